//! One stream at work: reads on from its cursors, sends, records, and waits.
//!
//! What is sent goes out in the order of the chain, one delivery after the other. A cursor moves only past what was taken, or became a dead
//! letter, and is stored with what is stored of that. So a crash anywhere sends again what may have been taken, and skips nothing. Where
//! several events are one delivery, what it holds is stored before it is sent: a retry is the same delivery, under the same id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_core::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::gather::{Chunk, Unread, first_since};
use super::row::{Cursor, Delivery, DeliveryState, StreamChange};
use super::shared::Shared;
use super::stored;
use super::target::{Idle, Target};
use crate::append::AppendError;

/// After something that is not the receiver's fault.
const LATER: Duration = Duration::from_secs(1);
/// How long a stream that has nothing to do waits, unless it is woken.
const REST: Duration = Duration::from_secs(5);

/// How long a stream sends of what it read, one delivery and what is left of the time.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Rings for one worker.
#[derive(Default)]
pub(super) struct Bell {
    pub(super) wake: Notify,
    /// Whether what is stored is to be read anew: replays, projects.
    pub(super) reload: AtomicBool,
}

/// A delivery that was not taken.
pub(super) struct Trouble {
    pub(super) delivery: Delivery,
    /// The version of the stream then: whoever changes a stream has it tried at once.
    pub(super) version: u64,
    /// The version under which it is recorded that its contents were opened; nothing is known of that after a restart.
    pub(super) opened_under: Option<u64>,
    /// Since when it fails.
    pub(super) since: Timestamp,
    pub(super) due: Instant,
}

/// The worker of one stream.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) id: Uuid,
    pub(super) bell: Arc<Bell>,
    pub(super) lanes: Vec<Lane>,
    /// The lane that has its turn.
    turn: usize,
    pub(super) trouble: Option<Trouble>,
    /// A delivery that was refused is being taken apart: so many events are one now.
    pub(super) narrow: Option<usize>,
    /// Deliveries that are not recorded, and since when something is not.
    pub(super) unrecorded: Vec<StreamChange>,
    pub(super) unrecorded_since: Option<Instant>,
    pub(super) since_pruned: u32,
}

/// A cursor at work.
pub(super) struct Lane {
    pub(super) cursor: Cursor,
    project_id: Uuid,
    /// Whether it is stored as it is.
    pub(super) is_stored: bool,
}

/// Why a worker cannot go on now.
pub(super) enum Halt {
    /// Not before so long.
    Wait(Duration),
    /// Until it is woken.
    Rest,
    /// At all: the stream ended, or another server has it.
    End,
}

impl From<AppendError> for Halt {
    fn from(error: AppendError) -> Self {
        tracing::debug!(%error, "what a stream did is not recorded yet");
        Self::Wait(LATER)
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, id: Uuid, bell: Arc<Bell>) -> Self {
        bell.reload.store(true, Ordering::Relaxed);
        Self {
            shared,
            id,
            bell,
            lanes: Vec::new(),
            turn: 0,
            trouble: None,
            narrow: None,
            unrecorded: Vec::new(),
            unrecorded_since: None,
            since_pruned: 0,
        }
    }

    /// Runs until the stream ends.
    pub(super) async fn run(mut self) {
        let mut first = true;
        loop {
            let halt = match self.step(std::mem::take(&mut first)).await {
                Ok(()) => continue,
                Err(halt) => halt,
            };
            let wait = match halt {
                Halt::End => break,
                Halt::Wait(wait) => wait,
                Halt::Rest => REST,
            };
            // In vain where nobody rings.
            let _ = tokio::time::timeout(wait, self.bell.wake.notified()).await;
        }
        // What is left of it is looked for at the next start, where this does not work.
        let _ = self.shared.store(vec![StreamChange::Forget { stream: self.id }]).await;
        self.shared.leave(self.id);
    }

    async fn step(&mut self, first: bool) -> Result<(), Halt> {
        self.record_if_due().await?;
        if let Some(left) = self.still() {
            return Err(Halt::Wait(left));
        }
        let rung = self.shared.board().rung();
        let target = match Target::of(&self.shared.ledger, self.id) {
            Ok(target) => Arc::new(target),
            Err(Idle::Ended) => return Err(Halt::End),
            Err(Idle::Paused) => {
                self.record().await?;
                self.shared.transport.forget(self.id);
                self.shared.board().note(self.id, |standing| standing.trouble = None);
                return Err(Halt::Rest);
            }
            Err(Idle::Unready(why)) => {
                self.tell(why.to_owned());
                return Err(Halt::Wait(LATER));
            }
        };
        if self.bell.reload.swap(false, Ordering::AcqRel) {
            self.reload(&target, first).await.inspect_err(|_| self.bell.reload.store(true, Ordering::Release))?;
        }
        if let Some(trouble) = &mut self.trouble {
            if trouble.version != target.version {
                (trouble.version, trouble.since, trouble.due) = (target.version, self.shared.now(), Instant::now());
            }
            let left = trouble.due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Err(Halt::Wait(left));
            }
        }
        let Some(at) = self.next() else {
            self.rest();
            return Err(Halt::Rest);
        };
        self.advance(&target, at, rung).await
    }

    /// How long it waits still before it tries again, where nobody changed the stream meanwhile. Asked first, for a stream in trouble is woken
    /// by each commit as well.
    fn still(&self) -> Option<Duration> {
        let trouble = self.trouble.as_ref()?;
        let left = trouble.due.saturating_duration_since(Instant::now());
        let is_as_it_was = self.shared.kept(self.id).is_some_and(|kept| kept.version == trouble.version);
        (is_as_it_was && !left.is_zero()).then_some(left)
    }

    /// Reads what is stored of the stream; a project that it has not come to yet gets a cursor.
    async fn reload(&mut self, target: &Arc<Target>, first: bool) -> Result<(), Halt> {
        let (shared, id, followed) = (Arc::clone(&self.shared), self.id, Arc::clone(target));
        let read = self.shared.apart(move || -> Result<_, Unread> {
            let reader = shared.ledger.inner.readers.get()?;
            let (stored, pending) = (stored::cursors(&reader, id)?, stored::pending(&reader, id)?);
            drop(reader);
            let projects = followed.projects(&shared.ledger);
            let mut new = Vec::new();
            for names in &projects {
                if !stored.iter().any(|cursor| !cursor.is_replay() && cursor.project == names.0) {
                    let next = first_since(&shared.ledger, *names, followed.since)?;
                    new.push(Cursor { stream: id, lane: id, project: names.0, next, last: None, pending: None });
                }
            }
            let heads = projects.iter().map(|(number, _)| Ok((*number, super::gather::head(&shared.ledger, *number)?)));
            let heads = heads.collect::<Result<Vec<_>, Unread>>()?;
            Ok((stored, pending, projects, new, heads))
        });
        let read = match read.await {
            Ok(read) => read,
            Err(unread) => return Err(self.unreadable(target, &unread).await),
        };
        let (stored, pending, projects, new, heads) = read;
        if !new.is_empty() {
            self.shared.store(new.iter().cloned().map(StreamChange::First).collect()).await?;
        }
        self.shared.know(heads);
        self.shared.listen(self.id, &self.bell, projects.iter().map(|(number, _)| *number).collect());
        for cursor in stored.into_iter().chain(new) {
            // Of a cursor that is known, what is known here is newer.
            let is_over = |change: &StreamChange| matches!(change, StreamChange::End(over) if over.is(&cursor));
            if self.lanes.iter().any(|lane| lane.cursor.is(&cursor)) || self.unrecorded.iter().any(is_over) {
                continue;
            }
            if let Some((_, project_id)) = projects.iter().find(|(number, _)| *number == cursor.project) {
                self.lanes.push(Lane { cursor, project_id: *project_id, is_stored: true });
            }
        }
        if let Some(delivery) = pending.filter(|_| first) {
            let lane = delivery.replay_id.unwrap_or(self.id);
            let is_at_it = |cursor: &Cursor| {
                let is_its = (cursor.lane, cursor.project) == (lane, delivery.project);
                is_its && cursor.pending == Some(delivery.last_sequence) && cursor.next <= delivery.first_sequence
            };
            let is_under_way = self.lanes.iter().any(|lane| is_at_it(&lane.cursor));
            let changed_at = self.shared.kept(self.id).map(|kept| kept.updated_at);
            let since = changed_at.map_or(delivery.created_at, |changed_at| changed_at.max(delivery.created_at));
            self.trouble = Some(Trouble { delivery, version: target.version, opened_under: None, since, due: Instant::now() });
            if !is_under_way {
                self.give_over();
            }
        }
        Ok(())
    }

    /// The lane whose turn it is, among those before which something lies; the one that is in trouble, where there is one.
    fn next(&mut self) -> Option<usize> {
        if let Some(trouble) = &self.trouble {
            let key = (trouble.delivery.replay_id.unwrap_or(self.id), trouble.delivery.project);
            if let Some(at) = self.lanes.iter().position(|lane| (lane.cursor.lane, lane.cursor.project) == key) {
                return Some(at);
            }
            self.give_over();
        }
        let heads = self.shared.heads();
        let is_due = |lane: &Lane| {
            let Cursor { project, next, .. } = lane.cursor;
            lane.cursor.is_replay() || heads.get(&project).is_some_and(|head| head.size > next)
        };
        let count = self.lanes.len();
        let found = (0..count).map(|n| (self.turn + n) % count).find(|at| is_due(&self.lanes[*at]))?;
        drop(heads);
        self.turn = (found + 1) % count;
        Some(found)
    }

    /// Sends what comes next on one lane.
    async fn advance(&mut self, target: &Arc<Target>, at: usize, rung: u64) -> Result<(), Halt> {
        let shared = Arc::clone(&self.shared);
        let _room = shared.room(self.trouble.is_some()).await;
        let began = Instant::now();
        let (cursor, project_id) = (self.lanes[at].cursor.clone(), self.lanes[at].project_id);
        let events_max = self.narrow.unwrap_or(target.batch_events);
        let read = shared.read(target, &cursor, project_id, events_max).await;
        let Chunk { parcels, next } = match read {
            Ok(chunk) => chunk,
            Err(unread) => return Err(self.unreadable(target, &unread).await),
        };
        let is_empty = parcels.is_empty();
        for parcel in parcels {
            self.stand(at, parcel.recorded_at);
            if !target.is_single() && self.lanes[at].cursor.pending.is_none() {
                self.lanes[at].set(|cursor| cursor.pending = Some(parcel.last));
                self.record().await?;
            }
            let before = self.trouble.take();
            let is_recorded =
                |before: &Trouble| before.opened_under == Some(target.version) && before.delivery.message_id == parcel.message_id;
            if !before.as_ref().is_some_and(is_recorded) {
                shared.record_opened(target, project_id, &parcel).await?;
            }
            let earlier = before.as_ref().map(|before| &before.delivery);
            let (verdict, delivery) = shared.attempt(target, &self.lanes[at].cursor, parcel, earlier).await;
            if !self.settle(target, at, (verdict, delivery), before).await? {
                return Ok(());
            }
            self.record_if_due().await?;
            // One that is slow makes room for others: it reads on when its turn comes again.
            if began.elapsed() > TURN_MAX {
                return self.record().await;
            }
            // What was changed meanwhile, of the stream or of a key, holds for the next one.
            if shared.board().rung() != rung || !shared.is_as(target) {
                return Ok(());
            }
        }
        self.pass(at, next, is_empty).await
    }

    /// The delivery that was in trouble is none any more: its events go on in others, or are none of the stream's.
    fn give_over(&mut self) {
        if let Some(Trouble { mut delivery, .. }) = self.trouble.take() {
            (delivery.state, delivery.due_at) = (DeliveryState::Split, None);
            self.unrecorded.push(StreamChange::Delivery(Box::new(delivery)));
            self.unrecorded_since.get_or_insert_with(Instant::now);
        }
    }

    /// Everything that was read is behind the cursor.
    async fn pass(&mut self, at: usize, next: u64, is_empty: bool) -> Result<(), Halt> {
        let lane = &mut self.lanes[at];
        let is_at_its_end = is_empty && next == lane.cursor.next;
        if next > lane.cursor.next || lane.cursor.pending.is_some() {
            lane.set(|cursor| (cursor.next, cursor.pending) = (next.max(cursor.next), None));
            self.unrecorded_since.get_or_insert_with(Instant::now);
        }
        let cursor = &self.lanes[at].cursor;
        if cursor.is_over() || (cursor.is_replay() && is_at_its_end) {
            let lane = self.lanes.remove(at);
            self.unrecorded.push(StreamChange::End(lane.cursor));
            self.record().await?;
            self.bell.reload.store(true, Ordering::Release);
            return Ok(());
        }
        if is_empty {
            // What was in trouble is none of the stream's events any more.
            self.give_over();
            return Ok(());
        }
        self.record().await
    }

    /// Where a stream cannot read on.
    async fn unreadable(&mut self, target: &Target, unread: &Unread) -> Halt {
        match unread {
            Unread::Later(why) => {
                tracing::debug!(stream = %self.id, why, "a stream reads on later");
                return Halt::Wait(LATER);
            }
            // A row that the index alone hides is there once it is built anew.
            Unread::Missing(_) if !self.shared.index_was_rebuilt.swap(true, Ordering::Relaxed) => {
                tracing::error!(stream = %self.id, %unread, "the index is built anew");
                self.shared.ledger.inner.index.rebuild();
                return Halt::Wait(LATER);
            }
            Unread::Missing(_) | Unread::Unfit(..) => {}
        }
        self.pause(target, &unread.to_string()).await
    }
}

impl Lane {
    /// Moves the cursor.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut Cursor)) {
        change(&mut self.cursor);
        self.is_stored = false;
    }
}
