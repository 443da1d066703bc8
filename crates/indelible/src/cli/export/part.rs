//! A file of events while it is made: its bytes in `FILE.part`, and in `FILE.part.json` how far they are known to have come. The bytes are
//! on the disk before the other file says so; what was broken off, by whatever, goes on from there.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indelible_core::extract::{Format, Head, Lines, Manifest, Written};
use indelible_core::hex;
use indelible_core::json::Value as CoreValue;
use indelible_engine::export::extract::{Take, Writing};
use serde_json::{Value, json};

use super::super::output;
use crate::rename::rename_to_new;

/// It is written down how far it came after so much, bytes, or so long.
const NOTED_BYTES: u64 = 16 * 1024 * 1024;
const NOTED_AFTER: Duration = Duration::from_secs(1);
/// Read at once, bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// A file that is being made.
pub struct Part {
    path: PathBuf,
    format: Format,
    /// What was asked for: the same has to be asked for when it goes on.
    asked: Value,
    head: Option<Head>,
    lines: Option<Lines>,
    out: BufWriter<File>,
    events_after: u64,
    noted: Noted,
}

/// How far it is written down to have come.
struct Noted {
    path: PathBuf,
    bytes: u64,
    at: Instant,
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// What lies beside a file until it is whole.
pub(super) struct Beside {
    pub(super) part: PathBuf,
    /// What is written down of it.
    pub(super) noted: PathBuf,
    pub(super) file: File,
    /// What was written down of one that goes on; nothing, where it broke off before that, and then the file is empty.
    pub(super) said: Option<Value>,
}

impl Beside {
    /// Of a new file, or of one that was broken off, which has to be `asked` for in the same words.
    pub(super) fn open(path: &Path, asked: &Value, resume: bool) -> anyhow::Result<Self> {
        let (part, noted) = (with(path, ".part"), with(path, ".part.json"));
        if resume && !part.exists() {
            bail!("there is nothing to go on with: no {}", part.display());
        }
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
            // Of one whose part was removed.
            if let Err(error) = std::fs::remove_file(&noted)
                && error.kind() != io::ErrorKind::NotFound
            {
                bail!("cannot remove {}: {error}", noted.display());
            }
            return Ok(Self { part, noted, file, said: None });
        }
        let file = OpenOptions::new().read(true).write(true).open(&part).with_context(|| format!("cannot open {}", part.display()))?;
        let mut beside = Self { part, noted, file, said: None };
        match std::fs::read(&beside.noted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => beside.file.set_len(0)?,
            text => {
                let text = text.with_context(|| format!("cannot read {}", beside.noted.display()))?;
                let said: Value = serde_json::from_slice(&text).with_context(|| beside.damaged())?;
                if said["asked"] != *asked {
                    let [noted, part] = [&beside.noted, &beside.part].map(|path| path.display().to_string());
                    bail!("{noted} is of another export: ask for the same again, or remove it and {part}");
                }
                beside.said = Some(said);
            }
        }
        Ok(beside)
    }

    /// What is written down makes no sense.
    pub(super) fn damaged(&self) -> String {
        format!("{} cannot be read as what it should be: remove it and {}", self.noted.display(), self.part.display())
    }
}

impl Part {
    /// A new file, or one that was broken off.
    pub(super) fn open(path: &Path, format: Format, asked: Value, resume: bool) -> anyhow::Result<Self> {
        let mut beside = Beside::open(path, &asked, resume)?;
        let Some(said) = beside.said.take() else {
            return Ok(Self::of(path, format.clone(), asked, None, Lines::new(format), beside.file));
        };
        let damaged = || beside.damaged();
        let head = said["head"].as_str().and_then(|head| Head::parse(head.as_bytes()).ok()).with_context(damaged)?;
        let number = |name: &str| said[name].as_u64();
        let written = Written {
            entries: number("entries").with_context(damaged)?,
            bytes: number("bytes").with_context(damaged)?,
            first_included: number("first_included"),
            last_included: number("last_included"),
        };
        let mut lines = Lines::resumed(format.clone(), written);
        let mut file = &beside.file;
        read_again(&mut file, written.bytes, &mut lines).with_context(|| format!("cannot read {}", beside.part.display()))?;
        if said["sha256"] != hex::encode(&lines.sha256()) {
            bail!("{} was changed: remove it and {}", beside.part.display(), beside.noted.display());
        }
        // What came after was not known to be there.
        file.set_len(written.bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self::of(path, format, asked, Some(head), lines, beside.file))
    }

    fn of(path: &Path, format: Format, asked: Value, head: Option<Head>, lines: Lines, file: File) -> Self {
        let noted = Noted { path: with(path, ".part.json"), bytes: lines.written().bytes, at: Instant::now() };
        let out = BufWriter::with_capacity(PIECE_BYTES, file);
        Self { path: path.to_owned(), format, asked, head, lines: Some(lines), out, events_after: 0, noted }
    }

    /// Where to go on, and to where, if it was begun before: as it was fixed then.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        let head = self.head.as_ref()?;
        let next = self.lines.as_ref()?.written().last_included.map_or(head.first_sequence, |last| last + 1);
        Some((next, head.last_sequence))
    }

    /// What whoever hands records over knows before the first one.
    pub(in crate::cli) fn begin(&mut self, head: Head, events_after: u64) -> anyhow::Result<()> {
        if let Some(begun) = &self.head {
            if (begun.project_id, &begun.origin, begun.last_sequence) != (head.project_id, &head.origin, head.last_sequence) {
                bail!("{} is of another project or log", with(&self.path, ".part").display());
            }
        } else {
            self.head = Some(head);
            self.events_after = events_after;
        }
        Ok(())
    }

    /// Has records written by `hand_over`; what was written is kept, also where that fails.
    pub(in crate::cli) fn write(&mut self, hand_over: impl FnOnce(&mut dyn Take) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (Some(lines), Some(head)) = (self.lines.take(), self.head.clone()) else { bail!("nothing was begun") };
        let bar = output::bar(head.last_sequence - head.first_sequence + 1, false);
        let mut come = lines.written();
        // The digest of what is written is not that of the lines, of which some are held back.
        let mut digest = Lines::new(Format::Ndjson);
        if come.bytes > 0 {
            let file = File::open(with(&self.path, ".part"));
            file.and_then(|mut file| read_again(&mut file, come.bytes, &mut digest)).context("cannot read what is there")?;
        }
        let (asked, noted) = (&self.asked, &mut self.noted);
        let mut tee = Tee { out: &mut self.out, digest };
        let mut progress = |tee: &mut Tee<'_>, written: Written| -> io::Result<()> {
            come = written;
            bar.set_position(written.last_included.map_or(0, |last| last + 1 - head.first_sequence));
            if written.bytes - noted.bytes >= NOTED_BYTES || noted.at.elapsed() >= NOTED_AFTER {
                tee.sync()?;
                noted.note(asked, &head, written, &tee.digest)?;
            }
            Ok(())
        };
        let mut writing = Writing::new(lines, &mut tee, &mut progress);
        let handed = hand_over(&mut writing);
        let lines = writing.into_lines();
        bar.finish_and_clear();
        tee.sync().context("cannot write")?;
        self.noted.note(&self.asked, &head, come, &tee.digest).context("cannot write down how far it came")?;
        self.lines = Some(lines);
        handed
    }

    /// The file is whole: gives it its name, and writes the manifest beside.
    pub(super) fn keep(mut self) -> anyhow::Result<(Manifest, u64)> {
        self.out.flush()?;
        let (Some(lines), Some(head)) = (self.lines, self.head) else { bail!("nothing was written") };
        let name = self.path.file_name().and_then(|name| name.to_str()).context("the name of the file is not UTF-8")?;
        let manifest = Manifest { head, format: self.format, file: name.to_owned(), written: lines.written(), sha256: lines.sha256() };
        let mut text = manifest.to_bytes();
        text.push(b'\n');
        replace(&with(&self.path, ".manifest.json"), &text)?;
        let part = with(&self.path, ".part");
        // Never over a file that came meanwhile.
        rename_to_new(&part, &self.path).with_context(|| format!("cannot make {}", self.path.display()))?;
        std::fs::remove_file(&self.noted.path)?;
        Ok((manifest, self.events_after))
    }
}

impl Noted {
    fn note(&mut self, asked: &Value, head: &Head, written: Written, digest: &Lines) -> io::Result<()> {
        let text = json!({
            "asked": asked,
            "head": String::from_utf8_lossy(&CoreValue::Object(head.to_object()).to_canonical()),
            "entries": written.entries,
            "bytes": written.bytes,
            "first_included": written.first_included,
            "last_included": written.last_included,
            "sha256": hex::encode(&digest.sha256()),
        });
        replace(&self.path, text.to_string().as_bytes())?;
        (self.bytes, self.at) = (written.bytes, Instant::now());
        Ok(())
    }
}

/// The file, and the digest of what is in it.
struct Tee<'a> {
    out: &'a mut BufWriter<File>,
    digest: Lines,
}

impl Tee<'_> {
    fn sync(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_data()
    }
}

impl io::Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.digest.again(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Hands the first so many bytes of a file to `lines`.
pub(super) fn read_again(file: &mut impl io::Read, bytes: u64, lines: &mut Lines) -> io::Result<()> {
    let (mut left, mut piece) = (bytes, vec![0; PIECE_BYTES]);
    while left > 0 {
        let some = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact(&mut piece[..some])?;
        lines.again(&piece[..some]);
        left -= some as u64;
    }
    Ok(())
}

/// Writes a small file in one step: it is the old one or the new one, whatever happens.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".indelible-export-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
