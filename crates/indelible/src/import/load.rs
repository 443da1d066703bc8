//! Loading files: all of a file goes in or nothing of it, or, where bad records are skipped, all its good ones.
//!
//! A file that fits into one batch is read once and appended at once. A larger one is first read through to its end, and
//! appended in batches only if nothing was wrong. Reading, preparing and appending go on at the same time, the order is kept.
//!
//! That first pass also asks the ledger, batch by batch, what it would say of each event, so that an id which another event
//! has, there or earlier in the file, shows before anything is in. What others append between the two passes shows only
//! in appending; then the batches before it are in, and importing the file again, mended, adds the rest.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use indelible_core::event::{Source, Submission};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json;
use indelible_engine::append::Rejections;
use uuid::Uuid;

use super::input::Input;
use super::split::{Piece, Position, Splitter};
use super::{Format, Mapper};

/// A file of at most so many events and bytes goes in as one batch, all of it or nothing.
const WHOLE_EVENTS_MAX: usize = 10_000;
const WHOLE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Otherwise batches are of so many events or bytes.
const BATCH_EVENTS: usize = 1_000;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Records handed to a worker at a time.
const CHUNK_RECORDS: usize = 128;
const CHUNK_BYTES: usize = 512 * 1024;
/// Ids of one file that are remembered to find one that comes twice, some 50 bytes each.
const IDS_MAX: usize = 4_000_000;
/// Faults of one file that are kept; the others are counted.
pub const FAULTS_KEPT: usize = 20;

/// Where events go: the ledger itself, or a server.
pub trait Sink: Sync {
    /// An event that is ready to be appended.
    type Ready: Send;

    /// Checks and prepares one event; returns it and its size in bytes.
    fn prepare(&self, submission: Submission<'_>) -> Result<(Self::Ready, usize), Fault>;

    /// Records what was refused of a file, where nobody has yet: events that claim what only the engine may write, and those that
    /// the ledger did not take.
    fn rejected(&self, rejections: &Rejections) -> anyhow::Result<()>;

    /// What appending would say of a batch, of which nothing is written. `ahead` new events of the file go before it.
    fn foresee(&self, batch: Vec<Self::Ready>, ahead: u64) -> anyhow::Result<Foretold>;

    /// Appends a batch, all of it or nothing; for each event whether it was there already.
    fn append(&self, batch: Vec<Self::Ready>) -> Result<Vec<bool>, NotAppended>;
}

/// What appending a batch would say.
#[derive(Debug, Default)]
pub struct Foretold {
    /// Events that are not there yet.
    pub new: u64,
    /// Events that would be refused: position in the batch, and why in one sentence.
    pub refused: Vec<(usize, String)>,
    /// Further ones, of which only the number is known.
    pub refused_more: u64,
    /// Those of `refused` whose refusal nobody has recorded yet.
    pub unrecorded: Rejections,
}

/// Why a batch was not appended.
pub enum NotAppended {
    /// The event at this index is refused.
    Refused {
        /// Position in the batch.
        index: usize,
        /// One sentence.
        message: String,
        /// Its fault, where nobody has recorded the refusal yet.
        unrecorded: Option<Fault>,
    },
    /// Nothing more can be appended.
    Failed(anyhow::Error),
}

/// A record that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Where it begins; `None` where the file itself could not be read.
    pub at: Option<Position>,
    /// Why.
    pub message: String,
}

/// What became of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Events added.
    pub imported: u64,
    /// Events that were there already.
    pub skipped: u64,
    /// Records refused.
    pub rejected: u64,
    /// The first [`FAULTS_KEPT`] of them.
    pub bad: Vec<Bad>,
    /// Whether the file was left out because of them.
    pub refused: bool,
}

impl Loaded {
    /// Of a file that cannot be opened.
    pub fn unreadable(error: &io::Error) -> Self {
        let mut loaded = Self::default();
        loaded.reject(None, unreadable(error));
        loaded
    }

    fn reject(&mut self, at: Option<Position>, message: String) {
        self.rejected += 1;
        if self.bad.len() < FAULTS_KEPT {
            self.bad.push(Bad { at, message });
        }
    }
}

/// How to load.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the records are.
    pub format: Format,
    /// Whether good records of a file go in although others are bad.
    pub skip_bad: bool,
    /// Name of the agent of runs that do not name it.
    pub agent: Option<String>,
}

/// Loads one file. `progress` counts stored bytes read, at most twice those of the file.
pub fn load<S: Sink>(sink: &S, input: &Input, options: &Options, progress: &Arc<AtomicU64>) -> anyhow::Result<Loaded> {
    let stage = if options.skip_bad { Stage::Batches } else { Stage::Whole };
    let (done, rejections) = (Loaded::default(), Rejections::default());
    let mut loading =
        Loading { sink, skip_bad: options.skip_bad, stage, batch: Batch::new(), ids: HashMap::new(), new: 0, done, rejections };
    let ended = loading.file(input, options, progress);
    // Before anything is told of them.
    let recorded = if loading.rejections.is_empty() { Ok(()) } else { sink.rejected(&loading.rejections) };
    ended.and(recorded).map(|()| loading.done)
}

/// An event that is ready, with what it was made of where it may have to be made again.
struct Ready<T> {
    event: T,
    id: Uuid,
    /// Of what was submitted under the id.
    hash: u64,
    bytes: usize,
    text: Option<Vec<u8>>,
}

/// One record after its preparation.
struct Prepared<T> {
    at: Option<Position>,
    events: Result<Vec<Ready<T>>, Wrong>,
}

/// What is wrong with a record.
enum Wrong {
    /// It breaks a rule.
    Fault(Fault),
    /// It is none.
    Broken(String),
}

/// Whether an event claims what only the engine may write: that is an attempt, and not a mistake.
const fn is_forbidden(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::EngineOnly | FaultKind::ServerOwned)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Everything so far fits into one batch.
    Whole,
    /// It did not: the first pass goes on only to look for faults, and to ask what would become of each batch.
    Checking,
    /// Batches are appended as they fill.
    Batches,
}

struct Batch<T> {
    events: Vec<(Ready<T>, Option<Position>)>,
    bytes: usize,
}

impl<T> Batch<T> {
    const fn new() -> Self {
        Self { events: Vec::new(), bytes: 0 }
    }
}

struct Loading<'s, S: Sink> {
    sink: &'s S,
    skip_bad: bool,
    stage: Stage,
    batch: Batch<S::Ready>,
    /// What the file has said under each id, while nothing of it is appended.
    ids: HashMap<Uuid, u64>,
    /// Events of the file that the ledger does not have, while nothing of it is appended.
    new: u64,
    done: Loaded,
    /// What is refused, and not a mere mistake in the file.
    rejections: Rejections,
}

impl<S: Sink> Loading<'_, S> {
    /// Reads the file and appends it, where it is not left out.
    fn file(&mut self, input: &Input, options: &Options, progress: &Arc<AtomicU64>) -> anyhow::Result<()> {
        pass(self.sink, input, options, progress, &mut |record| self.take(record))?;
        if self.stage == Stage::Checking {
            self.foresee()?;
        }
        if !self.skip_bad && self.done.rejected > 0 {
            self.done.refused = true;
            return Ok(());
        }
        if self.stage == Stage::Checking {
            self.stage = Stage::Batches;
            self.ids = HashMap::new();
            pass(self.sink, input, options, progress, &mut |record| self.take(record))?;
        }
        self.flush()
    }

    /// Takes the next record. Returns false where no more are wanted.
    fn take(&mut self, record: Prepared<S::Ready>) -> anyhow::Result<bool> {
        let events = match record.events {
            Ok(events) => events,
            Err(Wrong::Broken(message)) => {
                self.done.reject(record.at, message);
                return Ok(true);
            }
            Err(Wrong::Fault(fault)) => {
                self.done.reject(record.at, fault.to_string());
                if is_forbidden(&fault) {
                    self.rejections.push(&fault);
                }
                return Ok(true);
            }
        };
        if let Some(id) = self.twin(&events) {
            self.done.reject(record.at, format!("a record before it in this file has the same id, {id}, and other content"));
            return Ok(true);
        }
        for event in events {
            let bytes = self.batch.bytes + event.bytes;
            match self.stage {
                Stage::Whole if self.batch.events.len() >= WHOLE_EVENTS_MAX || bytes > WHOLE_BYTES_MAX => {
                    self.stage = Stage::Checking;
                    self.foresee()?;
                }
                Stage::Checking if self.batch.events.len() >= BATCH_EVENTS || bytes > BATCH_BYTES => self.foresee()?,
                Stage::Batches if self.batch.events.len() >= BATCH_EVENTS || bytes > BATCH_BYTES => self.flush()?,
                Stage::Whole | Stage::Checking | Stage::Batches => {}
            }
            self.batch.bytes += event.bytes;
            self.batch.events.push((event, record.at));
        }
        Ok(!self.done.refused)
    }

    /// The id of an event that stands in the file already, with other content. Where bad records are skipped the ledger tells.
    fn twin(&mut self, events: &[Ready<S::Ready>]) -> Option<Uuid> {
        if self.skip_bad || self.stage == Stage::Batches {
            return None;
        }
        for event in events {
            match self.ids.get(&event.id).copied() {
                Some(hash) if hash != event.hash => return Some(event.id),
                None if self.ids.len() < IDS_MAX => {
                    self.ids.insert(event.id, event.hash);
                }
                _ => {}
            }
        }
        None
    }

    /// Asks what would become of what is waiting, and lets go of it.
    fn foresee(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::replace(&mut self.batch, Batch::new()).events;
        if waiting.is_empty() {
            return Ok(());
        }
        let (events, places): (Vec<_>, Vec<_>) = waiting.into_iter().map(|(ready, at)| (ready.event, at)).unzip();
        let foretold = self.sink.foresee(events, self.new)?;
        self.new += foretold.new;
        for (index, message) in foretold.refused {
            self.done.reject(places.get(index).copied().flatten(), message);
        }
        self.done.rejected += foretold.refused_more;
        self.rejections.extend(&foretold.unrecorded);
        Ok(())
    }

    /// Appends what is waiting.
    fn flush(&mut self) -> anyhow::Result<()> {
        let mut waiting = std::mem::replace(&mut self.batch, Batch::new()).events;
        while !waiting.is_empty() && !self.done.refused {
            let texts: Vec<_> = waiting.iter_mut().map(|(ready, at)| (ready.text.take(), *at)).collect();
            let refused = match self.sink.append(waiting.into_iter().map(|(ready, _)| ready.event).collect()) {
                Ok(duplicates) => {
                    let skipped = duplicates.iter().filter(|duplicate| **duplicate).count() as u64;
                    self.done.skipped += skipped;
                    self.done.imported += duplicates.len() as u64 - skipped;
                    return Ok(());
                }
                Err(NotAppended::Failed(error)) => return Err(error),
                Err(NotAppended::Refused { index, message, unrecorded }) => {
                    if let Some(fault) = &unrecorded {
                        self.rejections.push(fault);
                    }
                    self.done.reject(texts.get(index).and_then(|(_, at)| *at), message);
                    index
                }
            };
            if !self.skip_bad {
                self.done.refused = true;
                return Ok(());
            }
            waiting = Vec::with_capacity(texts.len());
            for (_, (text, at)) in texts.into_iter().enumerate().filter(|(n, _)| *n != refused) {
                match text.as_deref().map(|text| prepare(self.sink, Submission::parse(text, Source::Caller, Uuid::nil()), true)) {
                    Some(Ok(ready)) => waiting.push((ready, at)),
                    Some(Err(fault)) => self.done.reject(at, fault.to_string()),
                    None => self.done.reject(at, "it could not be prepared a second time".to_owned()),
                }
            }
        }
        Ok(())
    }
}

fn prepare<S: Sink>(sink: &S, submission: Result<Submission<'_>, Fault>, keep: bool) -> Result<Ready<S::Ready>, Fault> {
    let submission = submission?;
    let text = keep.then(|| submission.canonical().to_vec());
    let id = submission.id();
    let mut hasher = DefaultHasher::new();
    submission.canonical().hash(&mut hasher);
    let (event, bytes) = sink.prepare(submission)?;
    Ok(Ready { event, id, hash: hasher.finish(), bytes, text })
}

/// Reads a file through; hands each record to `take` in order until it says that no more are wanted.
fn pass<S: Sink>(
    sink: &S,
    input: &Input,
    options: &Options,
    progress: &Arc<AtomicU64>,
    take: &mut dyn FnMut(Prepared<S::Ready>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let reader = match input.read(progress) {
        Ok(reader) => reader,
        Err(error) => return take(Prepared { at: None, events: Err(Wrong::Broken(unreadable(&error))) }).map(drop),
    };
    let workers = if options.format.is_stateless() { thread::available_parallelism().map_or(1, |n| n.get().min(4)) } else { 1 };
    thread::scope(|scope| {
        let (to, from): (Vec<_>, Vec<_>) = (0..workers).map(|_| sync_channel::<Vec<Cut>>(2)).unzip();
        let mut results = Vec::with_capacity(workers);
        for chunks in from {
            let (done, result) = sync_channel(2);
            results.push(result);
            let mapper = options.format.mapper(options.agent.as_deref());
            scope.spawn(move || work(sink, mapper, &chunks, &done, options.skip_bad));
        }
        let splitter = Splitter::new(reader, options.format.envelopes());
        scope.spawn(move || distribute(splitter, &to));
        // Chunks go round the workers in turn, so taking from each in turn keeps the order of the file, and whose turn finds
        // nothing is past its end.
        for worker in (0..workers).cycle() {
            let Ok(records) = results[worker].recv() else { return Ok(()) };
            for record in records {
                if !take(record)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}

/// What was cut from the file; `Err` where it could not be read on.
type Cut = Result<(Position, Piece), String>;

fn unreadable(error: &io::Error) -> String {
    format!("the file cannot be read: {error}")
}

/// Hands chunks of records to the workers in turn; stops when nobody takes them any more.
fn distribute(splitter: Splitter<impl io::Read>, workers: &[SyncSender<Vec<Cut>>]) {
    let (mut chunk, mut bytes, mut turn) = (Vec::new(), 0, 0);
    for cut in splitter {
        if let Ok((_, Piece::Record(record))) = &cut {
            bytes += record.len();
        }
        chunk.push(cut.map_err(|error| unreadable(&error)));
        if chunk.len() >= CHUNK_RECORDS || bytes >= CHUNK_BYTES {
            if workers[turn % workers.len()].send(std::mem::take(&mut chunk)).is_err() {
                return;
            }
            turn += 1;
            bytes = 0;
        }
    }
    // Nobody is left to tell where it is not taken.
    let _ = workers[turn % workers.len()].send(chunk);
}

/// Maps and prepares chunks until there are no more.
fn work<S: Sink>(
    sink: &S,
    mut mapper: Box<dyn Mapper>,
    chunks: &Receiver<Vec<Cut>>,
    done: &SyncSender<Vec<Prepared<S::Ready>>>,
    keep: bool,
) {
    for chunk in chunks {
        let mut records = Vec::with_capacity(chunk.len());
        for cut in chunk {
            records.push(match cut {
                Ok((at, Piece::Record(bytes))) => {
                    Prepared { at: Some(at), events: record(sink, mapper.as_mut(), &bytes, at.record, keep).map_err(Wrong::Fault) }
                }
                Ok((at, Piece::Broken(why))) => Prepared { at: Some(at), events: Err(Wrong::Broken(why.to_owned())) },
                Err(why) => Prepared { at: None, events: Err(Wrong::Broken(why)) },
            });
        }
        if done.send(records).is_err() {
            return;
        }
    }
    let last = mapper.finish();
    if !last.is_empty() {
        let events: Result<Vec<_>, Fault> =
            last.into_iter().map(|value| prepare(sink, Submission::read(value, Source::Caller, Uuid::nil()), keep)).collect();
        let _ = done.send(vec![Prepared { at: None, events: events.map_err(Wrong::Fault) }]);
    }
}

fn record<S: Sink>(sink: &S, mapper: &mut dyn Mapper, bytes: &[u8], number: u64, keep: bool) -> Result<Vec<Ready<S::Ready>>, Fault> {
    let submissions = mapper.record(json::parse(bytes)?, number)?;
    submissions.into_iter().map(|value| prepare(sink, Submission::read(value, Source::Caller, Uuid::nil()), keep)).collect()
}
