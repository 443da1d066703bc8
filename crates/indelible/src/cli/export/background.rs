//! A bundle that a server makes into a file first, which is then fetched in as many parts as it takes: a connection that breaks is taken up
//! again where it broke, and so is a command that was ended, with `--resume`.
//!
//! What came is in `FILE.part`, and in `FILE.part.json` what was asked for and which job makes it. The file has its name once it is whole and
//! has the SHA-256 that the server names.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use indelible_core::extract::{Format, Lines};
use indelible_core::hex;
use indelible_engine::export::ExportRequest;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::online::{JobFile, NotNow, Online};
use super::super::output;
use super::Written;
use super::part::{Beside, read_again, replace};
use crate::rename::rename_to_new;

/// Read at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// How often it is asked how far a job is: at first, and later.
const ASKED_EVERY_MIN: Duration = Duration::from_millis(50);
const ASKED_EVERY_MAX: Duration = Duration::from_secs(2);

/// Where a bundle goes that is fetched in parts.
pub(super) struct Fetched<'a> {
    path: &'a Path,
    beside: Beside,
    /// The job that makes it, where it was begun before.
    job: Option<Uuid>,
    asked: Value,
}

/// A job that is done.
struct Done {
    id: Uuid,
    sha256: String,
    written: Written,
}

impl<'a> Fetched<'a> {
    /// A new file, or one that was broken off.
    pub(super) fn open(path: &'a Path, asked: Value, resume: bool) -> anyhow::Result<Self> {
        let beside = Beside::open(path, &asked, resume)?;
        let id = |said: &Value| said["job_id"].as_str().and_then(|id| Uuid::try_parse(id).ok()).with_context(|| beside.damaged());
        let job = beside.said.as_ref().map(id).transpose()?;
        Ok(Self { path, beside, job, asked })
    }

    /// Has it made, and fetches it.
    pub(super) fn run(mut self, server: &Online, request: &ExportRequest) -> anyhow::Result<Written> {
        let done = self.made(server, request)?;
        self.fetch(server, &done)?;
        let (path, Beside { part, noted, file, .. }) = (self.path, self.beside);
        file.sync_all().with_context(|| format!("cannot write {}", part.display()))?;
        // Never over a file that came meanwhile.
        rename_to_new(&part, path).with_context(|| format!("cannot make {}", path.display()))?;
        std::fs::remove_file(&noted).with_context(|| format!("{} is whole; cannot remove {}", path.display(), noted.display()))?;
        if let Err(error) = server.remove_job(done.id) {
            output::note(&format!("the server keeps its copy for a day: {error:#}"));
        }
        Ok(done.written)
    }

    /// The job once it is done.
    fn made(&mut self, server: &Online, request: &ExportRequest) -> anyhow::Result<Done> {
        let id = match self.job {
            Some(id) => id,
            None => self.begin(server, request)?,
        };
        let (bar, mut wait, mut patience) = (output::bar(0, false), ASKED_EVERY_MIN, Patience::new());
        loop {
            let job = match server.job(id) {
                Ok(job) => job,
                Err(not) => {
                    self.wait(not, &mut patience)?;
                    continue;
                }
            };
            patience = Patience::new();
            match job["state"].as_str() {
                Some("done") => {
                    bar.finish_and_clear();
                    return done(&job, id);
                }
                Some("failed") => {
                    let why = job["reason"].as_str().unwrap_or("no reason was given");
                    return Err(self.come_to_nothing(server, id, why));
                }
                Some("queued") => bar.set_message("waits for its turn"),
                Some("running") => bar.set_message(""),
                _ => bail!("the server's job is in no state that is known here"),
            }
            bar.set_length(job["rows_all"].as_u64().unwrap_or(0));
            bar.set_position(job["rows"].as_u64().unwrap_or(0));
            thread::sleep(wait);
            wait = (wait * 3 / 2).min(ASKED_EVERY_MAX);
        }
    }

    fn begin(&self, server: &Online, request: &ExportRequest) -> anyhow::Result<Uuid> {
        let job = server.begin_bundle(request).inspect_err(|_| {
            // Nothing was made: nothing is to be gone on with. In vain where the file is gone.
            let _ = std::fs::remove_file(&self.beside.part);
        })?;
        let id = job["id"].as_str().and_then(|id| Uuid::try_parse(id).ok()).context("the server's job has no id")?;
        let (noted, text) = (&self.beside.noted, json!({"asked": self.asked, "job_id": id.to_string()}).to_string());
        replace(noted, text.as_bytes()).with_context(|| format!("cannot write {}", noted.display()))?;
        Ok(id)
    }

    /// Nothing will come of it: what there is of it goes, so that it can be asked for anew.
    fn come_to_nothing(&self, server: &Online, id: Uuid, why: &str) -> anyhow::Error {
        for path in [&self.beside.part, &self.beside.noted] {
            // Whoever asks anew is told of what is left.
            let _ = std::fs::remove_file(path);
        }
        // It takes the place of another for a day otherwise.
        if let Err(error) = server.remove_job(id) {
            output::note(&format!("the server keeps the job for a day: {error:#}"));
        }
        anyhow!("the bundle was not made: {why}; ask for it anew")
    }

    /// Waits before the next try, unless there is to be none.
    fn wait(&self, not: NotNow, patience: &mut Patience) -> anyhow::Result<()> {
        match not {
            NotNow::Refused(error) => Err(error.context("it can be gone on with by --resume once that is mended")),
            NotNow::Nowhere => bail!(
                "the server has no such job for this key: is it the same server? Where its day is over, remove {} and {}, and ask anew",
                self.beside.part.display(),
                self.beside.noted.display()
            ),
            NotNow::Later(error, wait) => patience.wait(error, wait).context("broken off: go on with --resume"),
        }
    }

    /// Fetches what is not there yet.
    fn fetch(&mut self, server: &Online, done: &Done) -> anyhow::Result<()> {
        let bytes = done.written.bytes;
        let bar = output::bar(bytes, true);
        let mut come = self.beside.file.metadata()?.len();
        let (mut furthest, mut patience) = (come, Patience::new());
        while come < bytes {
            bar.set_position(come);
            let not = match server.job_file(done.id, come, &done.sha256) {
                Ok(file) => NotNow::Later(self.take(file, &mut come, bytes, &bar)?, None),
                Err(not) => not,
            };
            if come > furthest {
                (furthest, patience) = (come, Patience::new());
            }
            if come < bytes {
                self.wait(not, &mut patience)?;
            }
        }
        bar.finish_and_clear();
        if come > bytes || self.digest(bytes)? != done.sha256 {
            self.beside.file.set_len(0)?;
            bail!("what came is not what the server made, and was thrown away: --resume fetches it anew");
        }
        Ok(())
    }

    /// Writes what comes; why it ended.
    fn take(&self, mut from: JobFile, come: &mut u64, bytes: u64, bar: &ProgressBar) -> anyhow::Result<anyhow::Error> {
        if !from.is_part {
            *come = 0;
        }
        let mut file = &self.beside.file;
        file.set_len(*come)?;
        file.seek(SeekFrom::Start(*come))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match from.bytes.read(&mut piece) {
                Ok(0) => return Ok(anyhow!("it ended early")),
                Ok(taken) => {
                    let left = usize::try_from(bytes - *come).unwrap_or(usize::MAX);
                    file.write_all(&piece[..taken.min(left)]).with_context(|| format!("cannot write {}", self.beside.part.display()))?;
                    *come += taken.min(left) as u64;
                    bar.set_position(*come);
                    if taken >= left {
                        return Ok(anyhow!("all of it came"));
                    }
                }
                Err(error) => return Ok(error.into()),
            }
        }
    }

    fn digest(&self, bytes: u64) -> io::Result<String> {
        let mut file = &self.beside.file;
        file.seek(SeekFrom::Start(0))?;
        let mut digest = Lines::new(Format::Ndjson);
        read_again(&mut file, bytes, &mut digest)?;
        Ok(hex::encode(&digest.sha256()))
    }
}

/// What a job that is done says of itself.
fn done(job: &Value, id: Uuid) -> anyhow::Result<Done> {
    let number = |value: &Value, name: &str| value[name].as_u64().with_context(|| format!("the server's job lacks {name}"));
    let (entries, bytes, events_after) = (number(job, "entries")?, number(job, "bytes")?, number(job, "events_after")?);
    let sha256 = job["sha256"].as_str().context("the server's job lacks sha256")?.to_owned();
    let (first, last) = (number(&job["manifest"], "first_sequence")?, number(&job["manifest"], "last_sequence")?);
    let left_out = last.saturating_sub(first).saturating_add(1).saturating_sub(entries);
    Ok(Done { id, sha256, written: Written { entries, left_out, events_after, bytes } })
}

/// How long is waited before something is tried again, and when no more.
struct Patience {
    pause: Duration,
    until: Instant,
}

impl Patience {
    /// Between two tries, at first and at most.
    const PAUSE_MIN: Duration = Duration::from_millis(500);
    const PAUSE_MAX: Duration = Duration::from_secs(30);
    /// A server that is started anew is back by then.
    const GIVE_UP_AFTER: Duration = Duration::from_mins(5);

    fn new() -> Self {
        Self { pause: Self::PAUSE_MIN, until: Instant::now() + Self::GIVE_UP_AFTER }
    }

    fn wait(&mut self, error: anyhow::Error, wait: Option<Duration>) -> anyhow::Result<()> {
        let pause = self.pause.max(wait.unwrap_or_default()).min(Self::PAUSE_MAX);
        if Instant::now() + pause > self.until {
            return Err(error);
        }
        output::note(&format!("{error:#}; trying again"));
        thread::sleep(pause);
        self.pause = (self.pause * 2).min(Self::PAUSE_MAX);
        Ok(())
    }
}
