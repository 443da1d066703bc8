//! Streams to files: lines of JSON at the end of a file in the folder that the operator named.
//!
//! What was written counts once it is on the disk. A write that fails is taken back, and a line that a crash left without its end is cut
//! off before the next is written, so that every line in a file is whole; some may be there twice. A file that has grown to its size is
//! renamed to its name with the time, and a new one begun; none is ever removed.
//!
//! A file belongs to the stream that began it, which `.<name>.stream` beside it says: no other stream, of whatever project, writes into
//! it, nor into a file that no stream began. That file is also locked while a stream writes, so that processes do not meet.

use std::fmt::Display;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indelible_core::time::Timestamp;
use indelible_engine::clock::Clock;
use indelible_engine::stream::host::check_file_name;
use indelible_engine::stream::{Request, Response};
use rustix::fs::OFlags;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::rename::rename_to_new;

/// Files that are written at a time: each has a thread until the disk has taken everything.
const WRITES_MAX: usize = 16;
/// How much is looked at a time for the end of the last line.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Bytes of an owner's file that are looked at.
const OWNER_BYTES_MAX: u64 = 64;
/// Names that are tried for a file that is full.
const RENAMES_MAX: i64 = 1_000;

/// The folder of files.
pub(super) struct Files {
    folder: Arc<Path>,
    bytes_max: u64,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

impl Files {
    /// `bytes_max`: size at which a file is renamed and a new one begun.
    pub(super) fn new(folder: PathBuf, bytes_max: u64, clock: Arc<dyn Clock>) -> Self {
        Self { folder: folder.into(), bytes_max, clock, places: Arc::new(Semaphore::new(WRITES_MAX)) }
    }

    /// Appends. The error is a sentence.
    pub(super) async fn send(&self, request: Request, name: &str, whole: Duration) -> Result<Response, String> {
        check_file_name(name)?;
        if !request.body.ends_with(b"\n") {
            return Err("what was to be written does not end with its line".to_owned());
        }
        let target =
            Target { path: self.folder.join(name), owner: self.folder.join(format!(".{name}.stream")), stream_id: request.stream_id };
        let (folder, bytes_max, now) = (Arc::clone(&self.folder), self.bytes_max, self.clock.now());
        let places = Arc::clone(&self.places);
        let written = async move {
            let place = places.acquire_owned().await.map_err(|error| error.to_string())?;
            let written = tokio::task::spawn_blocking(move || {
                let written = target.append(&folder, &request.body, bytes_max, now);
                drop(place);
                written
            });
            written.await.map_err(|error| error.to_string())?
        };
        let late = |_| Err(format!("the file {name} could not be written within {whole:?}"));
        timeout(whole, written).await.unwrap_or_else(late).map(|()| Response::default())
    }
}

/// A file of one stream.
struct Target {
    path: PathBuf,
    owner: PathBuf,
    stream_id: Uuid,
}

impl Target {
    fn append(&self, folder: &Path, lines: &[u8], bytes_max: u64, now: Timestamp) -> Result<(), String> {
        let failed = |what: &str, error: &dyn Display| format!("{what} {}: {error}", self.name());
        let _held = self.own(folder)?;
        let mut file = plain(&self.path).map_err(|error| failed("cannot open", &error))?;
        let mut end = whole_lines(&mut file).map_err(|error| failed("cannot read", &error))?;
        if end > 0 && end.saturating_add(lines.len() as u64) > bytes_max {
            // Synced before its name changes, with what was cut off.
            file.sync_all().and_then(|()| self.set_aside(now)).map_err(|error| failed("cannot rename", &error))?;
            file = plain(&self.path).map_err(|error| failed("cannot begin a new", &error))?;
            end = 0;
        }
        let written = file.write_all(lines).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // What a failed sync left in memory would seem to be written: it is taken back and written anew. Where that fails too, the next
            // opening cuts off what is not whole.
            let _ = file.set_len(end).and_then(|()| file.sync_all());
            return Err(failed("cannot write", &error));
        }
        // Each time: the one that made or renamed a file may not have come so far.
        sync_folder(folder).map_err(|error| failed("cannot make durable the name of", &error))
    }

    /// Makes sure that the file is this stream's, and locks it for as long as what comes back lives.
    fn own(&self, folder: &Path) -> Result<File, String> {
        let failed = |error: &dyn Display| format!("cannot use {}: {error}", file_name(&self.owner));
        let mut mark = plain(&self.owner).map_err(|error| failed(&error))?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(format!("{} is being written by somebody else", self.name())),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let mut text = String::new();
        (&mark).take(OWNER_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
        let own = format!("{}\n", self.stream_id);
        if text == own {
            return Ok(mark);
        }
        // What a crash left of its making is the beginning of an id, and then there is no file yet.
        let is_there = self.path.symlink_metadata().is_ok();
        if text.ends_with('\n') || is_there {
            let whose = if text.ends_with('\n') { "belongs to another stream" } else { "was not begun by a stream" };
            return Err(format!(
                "{} {whose}: give this stream another name, or move the file and {} away",
                self.name(),
                file_name(&self.owner)
            ));
        }
        let written = mark.set_len(0).and_then(|()| mark.write_all(own.as_bytes())).and_then(|()| mark.sync_all());
        written.and_then(|()| sync_folder(folder)).map_err(|error| failed(&error))?;
        Ok(mark)
    }

    /// As sentences call it: they are read by whoever asks about the stream, and where the folder is, is the operator's matter.
    fn name(&self) -> std::borrow::Cow<'_, str> {
        file_name(&self.path)
    }

    /// Renames a full file, to a name that is free.
    fn set_aside(&self, now: Timestamp) -> io::Result<()> {
        for later in 0..RENAMES_MAX {
            let time = now.saturating_add_micros(later).to_string().replace([':', '-'], "");
            let mut aside = self.path.clone().into_os_string();
            aside.push(format!(".{time}"));
            match rename_to_new(&self.path, &PathBuf::from(aside)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        Err(io::Error::other("all names with the time are taken"))
    }
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Opens a file to read and to append to, made with mode 0600 where it is not there. No link is followed, and what is no plain file is
/// refused: opening a device or a pipe may do anything.
fn plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a plain file")) }
}

/// Cuts off what stands after the last end of a line; the size that is left.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let mut end = size;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        (&*file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = memchr::memrchr(b'\n', &block) {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < size {
        file.set_len(end)?;
    }
    Ok(end)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
