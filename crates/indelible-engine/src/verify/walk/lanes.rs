//! Batches on their way from the one thread that reads to the one that puts rows in their places: examined by several between them, each
//! batch by the next in turn, and handed on in the order in which they were read.
//!
//! Every queue is short, so that memory is that of a few batches, and one that nobody takes from stops who fills it. Where a thread dies
//! the walk is over, and whoever joins it says so.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::super::batch::Batch;
use super::super::examine::Examiner;

/// Batches that wait before a thread, and after it.
const AHEAD: usize = 1;
/// To read a row takes a fourth of what it takes to examine it, so four keep up with the reader; two more do where contents are long.
const WORKERS_MAX: usize = 6;

/// How many threads examine: as many as there are cores beside the two for reading and for comparing.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(2).clamp(1, WORKERS_MAX)
}

/// The reader's end.
pub(super) struct Lanes {
    to: Vec<SyncSender<Batch>>,
    turn: usize,
    empty: Receiver<Batch>,
}

impl Lanes {
    /// Hands a full batch on and gives an empty one for it; `None` where nobody takes any.
    pub(super) fn on(&mut self, full: Batch) -> Option<Batch> {
        self.to[self.turn].send(full).ok()?;
        self.turn = (self.turn + 1) % self.to.len();
        Some(self.empty.try_recv().unwrap_or_default())
    }
}

/// The other end.
pub(super) struct Examined {
    from: Vec<Receiver<Batch>>,
    turn: usize,
    back: Sender<Batch>,
}

impl Examined {
    /// The next batch in the order of the reader.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let batch = self.from[self.turn].recv().ok()?;
        self.turn = (self.turn + 1) % self.from.len();
        Some(batch)
    }

    /// Gives back one that nobody needs any more.
    pub(super) fn give_back(&self, batch: Batch) {
        // A reader that is done needs none.
        drop(self.back.send(batch.emptied()));
    }
}

/// Threads that examine, one for each of `examiners`, which are not none.
pub(super) fn open<'s>(scope: &'s Scope<'s, '_>, examiners: Vec<Examiner>) -> (Lanes, Examined, Vec<ScopedJoinHandle<'s, ()>>) {
    let (back, empty) = channel();
    let (mut to, mut from, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    for mut examiner in examiners {
        let (full, batches) = sync_channel::<Batch>(AHEAD);
        let (done, examined) = sync_channel(AHEAD);
        threads.push(scope.spawn(move || {
            for mut batch in batches {
                examiner.batch(&mut batch);
                if done.send(batch).is_err() {
                    break;
                }
            }
        }));
        to.push(full);
        from.push(examined);
    }
    (Lanes { to, turn: 0, empty }, Examined { from, turn: 0, back }, threads)
}
