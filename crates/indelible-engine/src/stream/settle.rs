//! What comes of a delivery: the cursor moves past it, or it is tried again, taken apart, given up; and all of it is recorded.

use std::time::Duration;

use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;
use tokio::time::Instant;

use super::judge::Verdict;
use super::row::{Delivery, DeliveryState, StreamChange};
use super::stored;
use super::target::Target;
use super::worker::{Halt, Trouble, Worker};
use crate::access::{Caller, Scope};
use crate::resource::MutateError;
use crate::resource::kinds::audit_streams;
use crate::store::StoreError;

/// Deliveries are recorded together, so many, or those of so long. A cursor that moved over events that are none of the stream's is stored
/// with them.
const UNRECORDED_MAX: usize = 100;
/// See [`UNRECORDED_MAX`].
const UNRECORDED_FOR: Duration = Duration::from_millis(500);
/// Dead letters that a stream may have: then it pauses, rather than lose one.
const DEAD_MAX: u64 = 10_000;
/// Deliveries that are done with are kept to be looked at: so many of each stream, and some more until they are cleared away.
const KEPT_MAX: u32 = 1_000;
/// See [`KEPT_MAX`].
const PRUNE_EVERY: u32 = 500;
/// After a pause that could not be recorded.
const LATER: Duration = Duration::from_secs(1);

impl Worker {
    /// Takes note of what came of a delivery; whether the next one may be sent.
    pub(super) async fn settle(
        &mut self,
        target: &Target,
        at: usize,
        (verdict, mut delivery): (Verdict, Delivery),
        before: Option<Trouble>,
    ) -> Result<bool, Halt> {
        let tries = target.dead_letter_after.filter(|_| matches!(verdict, Verdict::Refused(_)));
        let is_partly = matches!(verdict, Verdict::Partly(_));
        let is_given_up = (is_partly && target.dead_letter_after.is_some())
            || tries.is_some_and(|tries| delivery.attempts >= tries)
            || self.is_stuck(at, before.as_ref(), &verdict);
        let is_taken_apart = tries.is_some() && delivery.events > 1 && (is_given_up || self.lanes[at].narrow.is_some());
        match verdict {
            Verdict::Taken => {
                self.shared.board().took(u64::from(delivery.events));
                let narrow = &mut self.lanes[at].narrow;
                *narrow = narrow.map(|events| events * 2).filter(|events| *events < target.batch_events);
                self.done(at, delivery);
                Ok(true)
            }
            _ if is_taken_apart => {
                self.shared.board().failed_once();
                self.lanes[at].narrow = Some(usize::try_from(delivery.events / 2).unwrap_or(1));
                delivery.state = DeliveryState::Split;
                self.lanes[at].set(|cursor| cursor.pending = None);
                self.unrecorded.push(StreamChange::Delivery(Box::new(delivery)));
                self.record().await?;
                Ok(false)
            }
            _ if is_given_up => {
                self.shared.board().failed_once();
                let dead = match self.dead().await {
                    Ok(dead) => dead,
                    Err(halt) => {
                        *self.trouble_of(delivery.replay_id.is_some()) = before;
                        return Err(halt);
                    }
                };
                if dead >= DEAD_MAX {
                    self.try_again(target, at, delivery, before, None).await?;
                    let why = format!("it has {DEAD_MAX} dead letters: have them sent again, or pause it and make another");
                    return Err(self.pause(target.version, &why).await);
                }
                self.shared.board().buried();
                delivery.state = DeliveryState::Dead;
                self.done(at, delivery);
                Ok(true)
            }
            // Of what was taken in part nothing is sent again unless somebody says so.
            Verdict::Gone | Verdict::Partly(_) => {
                self.shared.board().failed_once();
                let why = delivery.error.clone().unwrap_or_default();
                self.try_again(target, at, delivery, before, None).await?;
                Err(self.pause(target.version, &why).await)
            }
            Verdict::Refused(_) | Verdict::Failed(..) => {
                self.shared.board().failed_once();
                let asked = if let Verdict::Failed(_, asked) = verdict { asked } else { None };
                let why = delivery.error.clone().unwrap_or_default();
                // Before it is recorded: how long that takes is not the receiver's.
                let now = self.shared.now();
                let since = self.try_again(target, at, delivery, before, asked).await?;
                if self.shared.patience.is_over(since, now) {
                    return Err(self.pause(target.version, &format!("nothing could be delivered for a day: {why}")).await);
                }
                Ok(false)
            }
        }
    }

    /// Whether a delivery of a replay failed for so long that the replay goes on without it: the stream is not paused for what it sent before.
    fn is_stuck(&self, at: usize, before: Option<&Trouble>, verdict: &Verdict) -> bool {
        let is_replay = self.lanes[at].cursor.is_replay() && !matches!(verdict, Verdict::Taken | Verdict::Gone);
        is_replay && before.is_some_and(|before| self.shared.patience.is_over(before.since, self.shared.now()))
    }

    /// A delivery is done with.
    fn done(&mut self, at: usize, delivery: Delivery) {
        self.lanes[at].set(|cursor| (cursor.next, cursor.pending) = (delivery.last_sequence + 1, None));
        self.unrecorded.push(StreamChange::Delivery(Box::new(delivery)));
        self.unrecorded_since.get_or_insert_with(Instant::now);
        self.since_pruned += 1;
        if self.lanes[at].cursor.is_replay() {
            return;
        }
        self.shared.board().note(self.id, |standing| {
            (standing.trouble, standing.attempts, standing.due_at) = (None, 0, None);
        });
    }

    /// A delivery was not taken: it is the next that is sent, once its time has come. Since when it fails.
    async fn try_again(
        &mut self,
        target: &Target,
        at: usize,
        mut delivery: Delivery,
        before: Option<Trouble>,
        asked: Option<Duration>,
    ) -> Result<Timestamp, Halt> {
        let now = self.shared.now();
        let since = before.map_or(now, |before| before.since);
        let wait = self.shared.patience.wait(delivery.attempts, asked);
        delivery.due_at = Some(now.saturating_add_micros(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)));
        let is_replay = self.lanes[at].cursor.is_replay();
        if !is_replay {
            self.tell(delivery.error.clone().unwrap_or_default());
            self.shared.board().note(self.id, |standing| (standing.attempts, standing.due_at) = (delivery.attempts, delivery.due_at));
        }
        self.lanes[at].set(|cursor| cursor.pending = Some(delivery.last_sequence));
        self.unrecorded.push(StreamChange::Delivery(Box::new(delivery.clone())));
        let trouble = Trouble { delivery, version: target.version, opened_under: Some(target.version), since, due: Instant::now() + wait };
        *self.trouble_of(is_replay) = Some(trouble);
        self.record().await?;
        Ok(since)
    }

    /// Pauses the stream, as an event that says why. Its cursors stay where they are.
    pub(super) async fn pause(&mut self, version: u64, why: &str) -> Halt {
        tracing::warn!(stream = %self.id, why, "a stream is paused");
        let Some(verb) = audit_streams::KIND.verb("pause") else { return Halt::Rest };
        let caller = Caller { scopes: vec![Scope::AuditWrite], ..Caller::engine() };
        let mut said = Object::new();
        said.insert("reason", Value::string(why.replace(char::is_control, " ")));
        let said = String::from_utf8_lossy(&Value::Object(said).to_canonical()).into_owned();
        let at = (self.id, Some(version));
        match self.shared.ledger.act_on_resource(&caller, &audit_streams::KIND, verb, at, &said, None).await {
            // Somebody changed it meanwhile.
            Ok(_) | Err(MutateError::Stale { .. } | MutateError::Conflict(_) | MutateError::NotFound(_)) => Halt::Rest,
            Err(error) => {
                tracing::warn!(stream = %self.id, %error, "the pause of a stream could not be recorded");
                Halt::Wait(LATER)
            }
        }
    }

    /// Records what was not recorded yet: deliveries, and cursors that moved.
    pub(super) async fn record(&mut self) -> Result<(), Halt> {
        let moved = self.lanes.iter().filter(|lane| !lane.is_stored).map(|lane| StreamChange::Cursor(lane.cursor.clone()));
        let mut changes: Vec<StreamChange> = self.unrecorded.iter().cloned().chain(moved).collect();
        if changes.is_empty() {
            self.unrecorded_since = None;
            return Ok(());
        }
        if self.since_pruned >= PRUNE_EVERY {
            changes.push(StreamChange::Prune { stream: self.id, keep: KEPT_MAX });
        }
        self.shared.store(changes).await?;
        if self.since_pruned >= PRUNE_EVERY {
            self.since_pruned = 0;
        }
        self.unrecorded.clear();
        self.unrecorded_since = None;
        self.lanes.iter_mut().for_each(|lane| lane.is_stored = true);
        Ok(())
    }

    /// The same, if it is time.
    pub(super) async fn record_if_due(&mut self) -> Result<(), Halt> {
        let is_due = self.unrecorded_since.is_some_and(|since| since.elapsed() >= UNRECORDED_FOR);
        if is_due || self.unrecorded.len() >= UNRECORDED_MAX { self.record().await } else { Ok(()) }
    }

    /// How many dead letters the stream has, those that are not recorded yet among them.
    async fn dead(&mut self) -> Result<u64, Halt> {
        self.record().await?;
        let (readers, id) = (self.shared.ledger.inner.readers.clone(), self.id);
        let count = self.shared.apart(move || -> Result<u64, StoreError> { stored::dead(&*readers.get()?, id) }).await;
        count.map_err(|error| {
            tracing::debug!(%error, "dead letters cannot be counted");
            Halt::Wait(LATER)
        })
    }

    /// Says why nothing is delivered: the log hears of each reason once.
    pub(super) fn tell(&self, why: String) {
        self.shared.board().note(self.id, |standing| {
            if standing.trouble.as_ref() != Some(&why) {
                tracing::warn!(stream = %self.id, why, "a stream delivers nothing; it is tried again");
                standing.trouble = Some(why);
            }
        });
    }

    /// Nothing lies before it.
    pub(super) fn rest(&self) {
        self.shared.board().note(self.id, |standing| standing.trouble = None);
    }
}
