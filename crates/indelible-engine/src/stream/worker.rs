//! One stream at work: reads on from its cursors, sends, records, and waits.
//!
//! What is sent goes out in the order of the chain, one delivery after the other. A cursor moves only past what was taken, or became a dead
//! letter, and is stored with what is stored of that. So a crash anywhere sends again what may have been taken, and skips nothing. Where
//! several events are one delivery, what it holds is stored before it is sent: a retry is the same delivery, under the same id.
//!
//! A delivery that is not taken holds up everything while the stream sends of itself: the receiver is in trouble. One of a replay holds up
//! replays alone, for it may be an old event that the receiver refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use indelible_core::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::gather::{Chunk, Unread, first_since};
use super::row::{Cursor, Delivery, DeliveryState, StreamChange};
use super::shared::Shared;
use super::stored;
use super::target::{Followed, Idle, Target};
use crate::append::AppendError;

/// After something that is not the receiver's fault.
const LATER: Duration = Duration::from_secs(1);
/// How long a stream that has nothing to do waits, unless it is woken.
const REST: Duration = Duration::from_secs(5);

/// How long a stream sends of what it read, one delivery and what is left of the time.
const TURN_MAX: Duration = Duration::from_secs(1);
/// For how many deliveries a receiver that took longer than that counts as slow.
const SLOW_FOR: u8 = 20;

/// Rings for one worker.
#[derive(Default)]
pub(super) struct Bell {
    pub(super) wake: Notify,
    /// Whether what is stored is to be read anew: replays, projects.
    pub(super) reload: AtomicBool,
    /// Replays that the worker knows.
    pub(super) replays: AtomicUsize,
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
    /// Whether nothing that is stored was taken up yet.
    is_new: bool,
    /// Of what the stream sends of itself.
    trouble: Option<Trouble>,
    /// Of replays.
    replay_trouble: Option<Trouble>,
    /// Deliveries for which its receiver counts as slow still.
    slow: u8,
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
    /// A delivery that was refused is being taken apart: so many events are one now.
    pub(super) narrow: Option<usize>,
}

/// What is to be done next.
enum Next {
    /// This lane has its turn.
    Lane(usize),
    /// What is to be tried again is not due before so long.
    Later(Duration),
    /// Nothing lies before any lane.
    Nothing,
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
            is_new: true,
            trouble: None,
            replay_trouble: None,
            slow: 0,
            unrecorded: Vec::new(),
            unrecorded_since: None,
            since_pruned: 0,
        }
    }

    /// Runs until the stream ends.
    pub(super) async fn run(mut self) {
        loop {
            let halt = match self.step().await {
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

    async fn step(&mut self) -> Result<(), Halt> {
        self.record_if_due().await?;
        if let Some(left) = self.still() {
            return Err(Halt::Wait(left));
        }
        let rung = self.shared.board().rung();
        // Also of one that is paused, or has nothing to sign with: how far it is behind is told of it too.
        if self.bell.reload.swap(false, Ordering::AcqRel) {
            self.reload().await.inspect_err(|_| self.bell.reload.store(true, Ordering::Release))?;
        }
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
        let now = self.shared.now();
        for trouble in [&mut self.trouble, &mut self.replay_trouble].into_iter().flatten() {
            if trouble.version != target.version {
                (trouble.version, trouble.since, trouble.due) = (target.version, now, Instant::now());
            }
        }
        match self.next() {
            Next::Lane(at) => self.advance(&target, at, rung).await,
            Next::Later(left) => Err(Halt::Wait(left)),
            Next::Nothing => {
                self.rest();
                Err(Halt::Rest)
            }
        }
    }

    /// What is in trouble: of replays, or of what the stream sends of itself.
    pub(super) const fn trouble_of(&mut self, is_replay: bool) -> &mut Option<Trouble> {
        if is_replay { &mut self.replay_trouble } else { &mut self.trouble }
    }

    /// How long it waits still before it tries again, where nobody changed the stream meanwhile. Asked first, for a stream in trouble is woken
    /// by each commit as well.
    fn still(&self) -> Option<Duration> {
        let trouble = self.trouble.as_ref()?;
        let left = trouble.left();
        let is_as_it_was = self.shared.kept(self.id).is_some_and(|kept| kept.version == trouble.version);
        (is_as_it_was && !left.is_zero()).then_some(left)
    }

    /// Reads what is stored of the stream; a project that it has not come to yet gets a cursor.
    async fn reload(&mut self) -> Result<(), Halt> {
        let followed = match Followed::of(&self.shared.ledger, self.id) {
            Ok(followed) => Arc::new(followed),
            Err(Idle::Ended) => return Err(Halt::End),
            Err(Idle::Paused | Idle::Unready(_)) => return Err(Halt::Wait(LATER)),
        };
        let rebuilds = self.shared.rebuilds();
        let (shared, id, of) = (Arc::clone(&self.shared), self.id, Arc::clone(&followed));
        let read = self.shared.apart(move || -> Result<_, Unread> {
            let reader = shared.ledger.inner.readers.get()?;
            let (stored, pending) = (stored::cursors(&reader, id)?, stored::pending(&reader, id)?);
            drop(reader);
            let projects = of.projects(&shared.ledger);
            let mut new = Vec::new();
            for names in &projects {
                if !stored.iter().any(|cursor| !cursor.is_replay() && cursor.project == names.0) {
                    let next = first_since(&shared.ledger, *names, of.since)?;
                    new.push(Cursor { stream: id, lane: id, project: names.0, next, last: None, pending: None });
                }
            }
            let heads = projects.iter().map(|(number, _)| Ok((*number, super::gather::head(&shared.ledger, *number)?)));
            let heads = heads.collect::<Result<Vec<_>, Unread>>()?;
            Ok((stored, pending, projects, new, heads))
        });
        let read = match read.await {
            Ok(read) => read,
            Err(unread) => return Err(self.unreadable(followed.version, &unread, rebuilds).await),
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
                self.lanes.push(Lane { cursor, project_id: *project_id, is_stored: true, narrow: None });
            }
        }
        self.tell_replays();
        if std::mem::take(&mut self.is_new) {
            for delivery in pending {
                self.take_up(delivery, &followed);
            }
        }
        Ok(())
    }

    fn tell_replays(&self) {
        let known = self.lanes.iter().filter(|lane| lane.cursor.is_replay()).count();
        self.bell.replays.store(known, Ordering::Release);
    }

    /// Goes on with a delivery that was not taken before a restart; one that no lane is at any more is over.
    fn take_up(&mut self, delivery: Delivery, followed: &Followed) {
        let is_at_it = |cursor: &Cursor| {
            is_of(cursor, &delivery) && cursor.pending == Some(delivery.last_sequence) && cursor.next <= delivery.first_sequence
        };
        let is_under_way = self.lanes.iter().any(|lane| is_at_it(&lane.cursor));
        let is_replay = delivery.replay_id.is_some();
        if !is_under_way || self.trouble_of(is_replay).is_some() {
            self.over(delivery);
            return;
        }
        let (version, since) = (followed.version, followed.changed_at.max(delivery.created_at));
        // When it was due it still is, unless the stream was changed meanwhile.
        let due_at = delivery.due_at.filter(|_| followed.changed_at <= delivery.attempted_at);
        let left = due_at.map_or(0, |due_at| due_at.as_micros() - self.shared.now().as_micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(self.shared.patience.give_up_after);
        *self.trouble_of(is_replay) = Some(Trouble { delivery, version, opened_under: None, since, due: Instant::now() + left });
    }

    /// The lane whose turn it is, among those before which something lies. Those in trouble come when they are due, and hold up their like.
    fn next(&mut self) -> Next {
        for is_replay in [false, true] {
            let lost = |trouble: &Trouble| !self.lanes.iter().any(|lane| is_of(&lane.cursor, &trouble.delivery));
            let trouble = if is_replay { &self.replay_trouble } else { &self.trouble };
            if trouble.as_ref().is_some_and(lost) {
                self.give_over(is_replay);
            }
        }
        let at = |trouble: &Trouble| self.lanes.iter().position(|lane| is_of(&lane.cursor, &trouble.delivery));
        if let Some((trouble, at)) = self.trouble.as_ref().and_then(|trouble| Some((trouble, at(trouble)?))) {
            let left = trouble.left();
            return if left.is_zero() { Next::Lane(at) } else { Next::Later(left) };
        }
        let replay = self.replay_trouble.as_ref();
        let heads = self.shared.heads();
        let is_due = |lane: &Lane| match replay {
            _ if !lane.cursor.is_replay() => heads.get(&lane.cursor.project).is_some_and(|head| head.size > lane.cursor.next),
            None => true,
            Some(trouble) => is_of(&lane.cursor, &trouble.delivery) && trouble.left().is_zero(),
        };
        let count = self.lanes.len();
        let found = (0..count).map(|n| (self.turn + n) % count).find(|at| is_due(&self.lanes[*at]));
        let Some(found) = found else { return replay.map_or(Next::Nothing, |trouble| Next::Later(trouble.left())) };
        drop(heads);
        self.turn = (found + 1) % count;
        Next::Lane(found)
    }

    /// Sends what comes next on one lane.
    async fn advance(&mut self, target: &Arc<Target>, at: usize, rung: u64) -> Result<(), Halt> {
        let (shared, rebuilds) = (Arc::clone(&self.shared), self.shared.rebuilds());
        let is_replay = self.lanes[at].cursor.is_replay();
        let is_slow = self.slow > 0 || self.trouble_of(is_replay).is_some();
        let _room = shared.rooms.take(target.home.organization_id, is_slow).await;
        let began = Instant::now();
        let (cursor, project_id) = (self.lanes[at].cursor.clone(), self.lanes[at].project_id);
        let events_max = self.lanes[at].narrow.unwrap_or(target.batch_events);
        let read = shared.read(target, &cursor, project_id, events_max).await;
        let Chunk { parcels, next } = match read {
            Ok(chunk) => chunk,
            Err(unread) => return Err(self.unreadable(target.version, &unread, rebuilds).await),
        };
        let is_empty = parcels.is_empty();
        for parcel in parcels {
            if !target.is_single() && self.lanes[at].cursor.pending.is_none() {
                self.lanes[at].set(|cursor| cursor.pending = Some(parcel.last));
                self.record().await?;
            }
            let is_recorded =
                |before: &Trouble| before.opened_under == Some(target.version) && before.delivery.message_id == parcel.message_id;
            if !self.trouble_of(is_replay).as_ref().is_some_and(is_recorded) {
                shared.record_opened(target, project_id, &parcel).await?;
            }
            let before = self.trouble_of(is_replay).take();
            let earlier = before.as_ref().map(|before| &before.delivery);
            let sent = Instant::now();
            let (verdict, delivery) = shared.attempt(target, &self.lanes[at].cursor, parcel, earlier).await;
            self.slow = if sent.elapsed() > TURN_MAX { SLOW_FOR } else { self.slow.saturating_sub(1) };
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
    fn give_over(&mut self, is_replay: bool) {
        if let Some(Trouble { delivery, .. }) = self.trouble_of(is_replay).take() {
            self.over(delivery);
        }
    }

    fn over(&mut self, mut delivery: Delivery) {
        (delivery.state, delivery.due_at) = (DeliveryState::Split, None);
        self.unrecorded.push(StreamChange::Delivery(Box::new(delivery)));
        self.unrecorded_since.get_or_insert_with(Instant::now);
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
        let is_replay = cursor.is_replay();
        if cursor.is_over() || (is_replay && is_at_its_end) {
            let lane = self.lanes.remove(at);
            if self.turn > at {
                self.turn -= 1;
            }
            self.unrecorded.push(StreamChange::End(lane.cursor));
            self.tell_replays();
            self.record().await?;
            self.bell.reload.store(true, Ordering::Release);
            return Ok(());
        }
        if is_empty {
            // What was in trouble is none of the stream's events any more.
            self.give_over(is_replay);
            return Ok(());
        }
        self.record().await
    }

    /// Where a stream cannot read on.
    async fn unreadable(&mut self, version: u64, unread: &Unread, rebuilds: u64) -> Halt {
        match unread {
            Unread::Later(why) => {
                tracing::debug!(stream = %self.id, why, "a stream reads on later");
                return Halt::Wait(LATER);
            }
            // A row that the index alone hides is there once it is built anew.
            Unread::Missing(_) if self.shared.mend_index(rebuilds) => {
                tracing::error!(stream = %self.id, %unread, "the index is built anew");
                return Halt::Wait(LATER);
            }
            Unread::Missing(_) | Unread::Unfit(..) => {}
        }
        self.pause(version, &unread.to_string()).await
    }
}

impl Trouble {
    /// How long it waits still.
    fn left(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }
}

/// Whether a delivery is one of this cursor.
fn is_of(cursor: &Cursor, delivery: &Delivery) -> bool {
    (cursor.lane, cursor.project) == (delivery.replay_id.unwrap_or(cursor.stream), delivery.project)
}

impl Lane {
    /// Moves the cursor.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut Cursor)) {
        change(&mut self.cursor);
        self.is_stored = false;
    }
}
