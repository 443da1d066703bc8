//! How what streams send leaves the server: over HTTPS, as syslog over TLS, to files. The engine says what is sent, and when again; here it
//! is decided whether it may go there at all, and what came of it.
//!
//! Shared by all streams, and never waits on a thread of the runtime: names are looked up and files are written by threads of their own, a
//! few at a time.

mod allowed;
mod connect;
mod file;
mod guard;
mod https;
mod kept;
mod reach;
mod syslog;
#[cfg(test)]
mod tests;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use indelible_engine::clock::Clock;
use indelible_engine::stream::{Request, Route, SendError, Sending, Transport};
use uuid::Uuid;

use self::allowed::Allowed;
use self::connect::{Dialer, Patience, trusted};
use self::file::Files;
use self::guard::{Guard, SystemResolver};
use self::https::Https;
use self::syslog::Syslog;
use crate::checkpoints::place;
use crate::serve::size;

/// Smallest size at which files are renamed: below, there would be more files than lines.
const FILE_BYTES_MIN: u64 = 1024 * 1024;

/// Characters of a sentence about what was not sent.
const SENTENCE_MAX: usize = 500;

/// The options that say what streams may reach.
#[derive(Debug, Clone, clap::Args)]
pub struct StreamOptions {
    /// What streams may reach though it is not on the Internet: a host by its name, to whatever address that leads, or addresses; both
    /// with a port if only that is meant; may be given more than once
    #[arg(
        id = "stream_allow",
        long = "stream-allow",
        value_name = "HOST[:PORT]|NETWORK",
        env = "INDELIBLE_STREAM_ALLOW",
        value_delimiter = ','
    )]
    allow: Vec<Allowed>,
    /// File with the certificates to trust for streams, instead of the system's
    #[arg(id = "stream_ca_file", long = "stream-ca-file", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The folder of streams to files; made if it is not there. Without it there are none
    #[arg(id = "stream_files", long = "stream-files", value_name = "DIR")]
    files: Option<PathBuf>,
    /// Size at which such a file is renamed and a new one begun: bytes, or with a suffix `64MiB`, `1GiB`
    #[arg(id = "stream_file_bytes", long = "stream-file-bytes", value_name = "SIZE", value_parser = size, default_value = "64MiB", requires = "stream_files")]
    file_bytes: u64,
}

impl StreamOptions {
    /// What sends for all streams of a server.
    pub fn transport(&self, data: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Transport>> {
        let roots = trusted(self.ca_file.as_deref())?;
        let files = match &self.files {
            Some(folder) => Some(Files::new(self.folder(folder, data)?, self.file_bytes, Arc::clone(&clock))),
            None => None,
        };
        let dialer = Dialer::new(Guard::new(self.allow.clone(), SystemResolver::default()), roots, Patience::default());
        Ok(Arc::new(Streams::new(dialer, files, clock)))
    }

    /// Makes the folder of files. It is not the data folder, whose files streams would be given names of.
    fn folder(&self, folder: &Path, data: &Path) -> anyhow::Result<PathBuf> {
        if self.file_bytes < FILE_BYTES_MIN {
            bail!("--stream-file-bytes must be 1MiB or more");
        }
        if place(folder)?.starts_with(place(data)?) {
            bail!("the folder {} of --stream-files lies in the data folder", folder.display());
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
        folder.canonicalize().with_context(|| format!("cannot use {}", folder.display()))
    }
}

/// Sends for all streams.
struct Streams {
    dialer: Arc<Dialer>,
    https: Https,
    syslog: Syslog,
    files: Option<Files>,
}

impl Streams {
    fn new(dialer: Dialer, files: Option<Files>, clock: Arc<dyn Clock>) -> Self {
        let dialer = Arc::new(dialer);
        Self { https: Https::new(Arc::clone(&dialer), clock), syslog: Syslog::new(Arc::clone(&dialer)), files, dialer }
    }
}

impl Transport for Streams {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(async move {
            let route = Arc::clone(&request.route);
            let sent = match route.as_ref() {
                Route::Https { url } => self.https.send(request, url).await,
                Route::Tls { host, port } => self.syslog.send(request, host, *port).await,
                Route::File { name } => match &self.files {
                    Some(files) => files.send(request, name, self.dialer.patience.whole).await,
                    None => Err("the server has no folder for streams to files: it is named with --stream-files".to_owned()),
                },
            };
            sent.map_err(|sentence| SendError(cut(sentence)))
        })
    }

    fn forget(&self, stream_id: Uuid) {
        self.https.forget(stream_id);
        self.syslog.forget(stream_id);
    }
}

/// Cuts a sentence that became long: of what is wrong with a certificate, the names in it are told, of which there may be thousands.
fn cut(mut sentence: String) -> String {
    if let Some((end, _)) = sentence.char_indices().nth(SENTENCE_MAX) {
        sentence.truncate(end);
        sentence.push('…');
    }
    sentence
}
