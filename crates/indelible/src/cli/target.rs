//! Where a command works: on a data folder, or through a server.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indelible_engine::{Ledger, OpenError, Options};
use uuid::Uuid;

use super::connection::Connection;
use super::offline::Offline;
use super::online::Online;
use super::output;
use crate::checkpoints::Checkpoints;
use crate::database::LedgerDatabase;

/// Options that every command has.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Target {
    /// Work offline on this data folder
    #[arg(long, value_name = "DIR", default_value = "./indelible-data", conflicts_with = "server")]
    pub(super) data: PathBuf,
    #[command(flatten)]
    pub(super) database: LedgerDatabase,
    /// Work through the server at this address, such as http://127.0.0.1:4680
    #[arg(long, value_name = "URL", requires = "key_file")]
    server: Option<String>,
    /// File with the API key for the server
    #[arg(long, value_name = "FILE", env = "INDELIBLE_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// File with certificates (PEM) to trust for https, instead of the system's
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
    /// The project; by default the key's own, offline the one made at first start
    #[arg(long, value_name = "ID")]
    pub(super) project: Option<Uuid>,
    /// File with the master key, where it is not in the data folder
    #[arg(long, value_name = "FILE", env = "INDELIBLE_MASTER_KEY_FILE")]
    pub(super) master_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) checkpoints: Checkpoints,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Whether a data folder that is not there may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    /// It must be there.
    MustExist,
    /// It is made.
    MayBeMade,
}

impl Target {
    /// Whether the command goes through a server.
    pub(super) const fn is_online(&self) -> bool {
        self.server.is_some()
    }

    /// Opens it.
    pub(super) fn connect(&self, folder: Folder) -> anyhow::Result<Connection> {
        match self.online()? {
            Some(online) => Ok(Connection::Online(online)),
            None => self.open(folder).map(|offline| Connection::Offline(Box::new(offline))),
        }
    }

    /// The server, if the command goes through one.
    pub(super) fn online(&self) -> anyhow::Result<Option<Online>> {
        match (&self.server, &self.key_file) {
            (Some(server), Some(key_file)) => Online::new(server, key_file, self.ca_file.as_deref(), self.project).map(Some),
            (Some(_), None) => bail!("--server needs --key-file: the key of the project is in the data folder, in admin.key"),
            (None, _) => Ok(None),
        }
    }

    /// Opens the data folder, with the lock.
    pub(super) fn open(&self, folder: Folder) -> anyhow::Result<Offline> {
        self.check_folder(folder)?;
        let mut options = Options::new(&self.data);
        options.master_key_file.clone_from(&self.master_key_file);
        options.checkpoints = self.checkpoints.store(&self.data)?;
        self.database.choose(&mut options)?;
        let opened = Ledger::open(options).map_err(|error| match error {
            OpenError::Locked(_) => anyhow::anyhow!(
                "a server holds {}: go through it with --server http://127.0.0.1:4680 --key-file {}, or stop it",
                self.data.display(),
                self.data.join("admin.key").display()
            ),
            other => anyhow::Error::new(other).context(format!("cannot open {}", self.data.display())),
        })?;
        if let Some(first) = &opened.first_start {
            output::note(&format!(
                "made a new ledger in {}; its keys: {}, {}",
                self.data.display(),
                first.admin_key_file.display(),
                first.instance_key_file.display()
            ));
        }
        Offline::owning(opened.ledger, self.project)
    }

    /// Refuses a folder without a ledger, so that a mistyped name does not make a new one.
    pub(super) fn check_folder(&self, folder: Folder) -> anyhow::Result<()> {
        if folder == Folder::MustExist && !self.database.is_named() && !self.data.join("ledger.db").is_file() {
            bail!("there is no ledger in {}: name its folder with --data, or start one with `indelible serve`", self.data.display());
        }
        Ok(())
    }
}

/// Whether content is opened, and why the log is read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Opening {
    /// Open the sealed content; needs --purpose, and is recorded for each event
    #[arg(long, requires = "purpose")]
    content: bool,
    /// Why the log is read; recorded
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
}

impl Opening {
    pub(super) fn engine(&self) -> indelible_engine::query::Opening {
        indelible_engine::query::Opening { content: self.content, purpose: self.purpose.clone() }
    }
}

/// Longest key file that is read, bytes.
const KEY_FILE_BYTES_MAX: u64 = 4_096;

/// Reads the key of a key file, which nobody else may be able to read; or of a pipe. Looks at the open file, not at its name.
pub(super) fn read_key(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("cannot read the key file {}", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let about = file.metadata().with_context(unreadable)?;
    if about.is_file() && about.mode() & 0o077 != 0 {
        bail!("{0} can be read by others (mode {1:o}): run `chmod 600 {0}`", path.display(), about.mode() & 0o777);
    }
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).with_context(unreadable)?;
    let key = text.trim();
    if key.is_empty() || key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("{} does not hold one key", path.display());
    }
    Ok(key.to_owned())
}
