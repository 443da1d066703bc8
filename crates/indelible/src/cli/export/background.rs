//! A bundle that a server makes into a file first, which is then fetched in as many parts as it takes: a connection that breaks is taken up
//! again where it broke, and so is a command that was ended, with `--resume`.
//!
//! What came is in `FILE.part`, and in `FILE.part.json` what was asked for and which job makes it. The file has its name once it is whole and
//! has the SHA-256 that the server names.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use indelible_core::extract::{Format, Lines};
use indelible_core::hex;
use indelible_engine::export::ExportRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::online::{NotFetched, Online};
use super::super::output;
use super::part::{read_again, replace, with};
use super::Written;
use crate::rename::rename_to_new;

/// Read at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// How often it is asked how far a job is: at first, and later.
const ASKED_EVERY_MIN: Duration = Duration::from_millis(50);
const ASKED_EVERY_MAX: Duration = Duration::from_secs(2);
/// Tries in vain, one after the other, before the command gives up.
const TRIES_MAX: u32 = 5;
/// Between two of them.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Where a bundle goes that is fetched in parts.
pub(super) struct Fetched<'a> {
    path: &'a Path,
    part: PathBuf,
    noted: PathBuf,
    file: File,
    /// The job that makes it, where it was begun before.
    job: Option<Uuid>,
    asked: Value,
}

impl<'a> Fetched<'a> {
    /// A new file, or one that was broken off. `asked` is what has to be the same then.
    pub(super) fn make(path: &'a Path, asked: Value, resume: bool) -> anyhow::Result<Self> {
        let (part, noted) = (with(path, ".part"), with(path, ".part.json"));
        if path.exists() {
            bail!("{} is there already", path.display());
        }
        if !resume {
            let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&part);
            let file = match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    bail!("{} is of an export that was broken off: go on with --resume, or remove it", part.display())
                }
                made => made.with_context(|| format!("cannot make {}", part.display()))?,
            };
            return Ok(Self { path, part, noted, file, job: None, asked });
        }
        if !part.exists() {
            bail!("there is nothing to go on with: no {}", part.display());
        }
        let file = OpenOptions::new().read(true).write(true).open(&part).with_context(|| format!("cannot open {}", part.display()))?;
        let job = match std::fs::read(&noted) {
            // It broke off before anything was asked for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            text => {
                let text = text.with_context(|| format!("cannot read {}", noted.display()))?;
                let damaged = || format!("{} cannot be read as what it should be: remove it and {}", noted.display(), part.display());
                let value: Value = serde_json::from_slice(&text).with_context(damaged)?;
                if value["asked"] != asked {
                    bail!("{} is of another export: ask for the same again, or remove it and {}", noted.display(), part.display());
                }
                Some(value["job_id"].as_str().and_then(|id| Uuid::try_parse(id).ok()).with_context(damaged)?)
            }
        };
        if job.is_none() {
            file.set_len(0)?;
        }
        Ok(Self { path, part, noted, file, job, asked })
    }

    /// Has it made, and fetches it.
    pub(super) fn run(mut self, server: &Online, request: &ExportRequest) -> anyhow::Result<Written> {
        let job = self.made(server, request)?;
        let text = |name: &str| job[name].as_str().with_context(|| format!("the server's job lacks {name}"));
        let number = |value: &Value, name: &str| value[name].as_u64().with_context(|| format!("the server's job lacks {name}"));
        let id = Uuid::try_parse(text("id")?).context("the server's job lacks its id")?;
        let (bytes, sha256) = (number(&job, "bytes")?, text("sha256")?);
        self.fetch(server, id, bytes, sha256)?;
        let Self { path, part, noted, file, .. } = self;
        file.sync_all().with_context(|| format!("cannot write {}", part.display()))?;
        // Never over a file that came meanwhile.
        rename_to_new(&part, path).with_context(|| format!("cannot make {}", path.display()))?;
        std::fs::remove_file(&noted)?;
        if let Err(error) = server.remove_job(id) {
            output::note(&format!("the server keeps its copy for a day: {error}"));
        }
        let manifest = &job["manifest"];
        let entries = number(&job, "entries")?;
        let range = number(manifest, "last_sequence")? - number(manifest, "first_sequence")? + 1;
        Ok(Written { entries, left_out: range.saturating_sub(entries), events_after: number(&job, "events_after")?, bytes })
    }

    /// The job once it is done.
    fn made(&mut self, server: &Online, request: &ExportRequest) -> anyhow::Result<Value> {
        let mut job = match self.job {
            Some(id) => server.job(id)?.ok_or_else(|| self.lost("the server has it no more"))?,
            None => self.begun(server, request)?,
        };
        let id = job["id"].as_str().and_then(|id| Uuid::try_parse(id).ok()).context("the server's job lacks its id")?;
        let (bar, mut wait) = (output::bar(0, false), ASKED_EVERY_MIN);
        loop {
            match job["state"].as_str() {
                Some("done") => {
                    bar.finish_and_clear();
                    return Ok(job);
                }
                Some("failed") => return Err(self.lost(job["reason"].as_str().unwrap_or("no reason was given"))),
                _ => {}
            }
            bar.set_length(job["rows_all"].as_u64().unwrap_or(0));
            bar.set_position(job["rows"].as_u64().unwrap_or(0));
            bar.set_message(if job["state"] == "queued" { "waits for its turn" } else { "" });
            thread::sleep(wait);
            wait = (wait * 3 / 2).min(ASKED_EVERY_MAX);
            job = server.job(id).context("go on with --resume")?.ok_or_else(|| self.lost("the server has it no more"))?;
        }
    }

    fn begun(&mut self, server: &Online, request: &ExportRequest) -> anyhow::Result<Value> {
        let job = server.begin_bundle(request).inspect_err(|_| {
            // Nothing was made: nothing is to be gone on with. In vain where the file is gone.
            let _ = std::fs::remove_file(&self.part);
        })?;
        let noted = json!({"asked": self.asked, "job_id": job["id"]});
        replace(&self.noted, noted.to_string().as_bytes()).with_context(|| format!("cannot write {}", self.noted.display()))?;
        Ok(job)
    }

    /// Nothing will come of it: what there is of it goes, so that it can be asked for anew.
    fn lost(&self, why: &str) -> anyhow::Error {
        for path in [&self.part, &self.noted] {
            // Whoever asks anew is told of what is left.
            let _ = std::fs::remove_file(path);
        }
        anyhow!("the bundle was not made: {why}; what came of it was removed, ask for it anew")
    }

    /// Fetches what is not there yet.
    fn fetch(&mut self, server: &Online, id: Uuid, bytes: u64, sha256: &str) -> anyhow::Result<()> {
        let bar = output::bar(bytes, true);
        let (mut come, mut in_vain) = (self.file.metadata()?.len(), 0);
        if come > bytes {
            bail!("{} was changed: remove it and {}", self.part.display(), self.noted.display());
        }
        while come < bytes {
            bar.set_position(come);
            let before = come;
            let broken = match server.job_file(id, come, sha256) {
                Ok(file) => self.take(file, &mut come, &bar)?,
                Err(NotFetched::Refused(error)) => return Err(error),
                Err(NotFetched::Later(error)) => error,
            };
            if come >= bytes {
                break;
            }
            in_vain = if come > before { 0 } else { in_vain + 1 };
            if in_vain >= TRIES_MAX {
                return Err(broken.context(format!("broken off after {come} of {bytes} bytes: go on with --resume")));
            }
            thread::sleep(TRY_EVERY);
        }
        bar.finish_and_clear();
        if come > bytes || self.digest(bytes)? != sha256 {
            bail!("{} is not what the server made: remove it and {}", self.part.display(), self.noted.display());
        }
        Ok(())
    }

    /// Writes what comes; why it ended.
    fn take(
        &mut self,
        mut file: super::super::online::File,
        come: &mut u64,
        bar: &indicatif::ProgressBar,
    ) -> anyhow::Result<anyhow::Error> {
        if !file.is_part {
            *come = 0;
        }
        self.file.set_len(*come)?;
        self.file.seek(SeekFrom::Start(*come))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.bytes.read(&mut piece) {
                Ok(0) => return Ok(anyhow!("it ended early")),
                Ok(taken) => {
                    self.file.write_all(&piece[..taken]).with_context(|| format!("cannot write {}", self.part.display()))?;
                    *come += taken as u64;
                    bar.set_position(*come);
                }
                Err(error) => return Ok(error.into()),
            }
        }
    }

    fn digest(&mut self, bytes: u64) -> io::Result<String> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut digest = Lines::new(Format::Ndjson);
        read_again(&mut self.file, bytes, &mut digest)?;
        Ok(hex::encode(&digest.sha256()))
    }
}
