//! Asking about streams, trying one, and having something sent again. Each question is recorded as a read, each try and each replay as what it is,
//! before it is answered.

use std::sync::Arc;
use std::time::Duration;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::gather::{at, gather, head};
use super::patience::Patience;
use super::row::{Cursor, Delivery, DeliveryState, StreamChange};
use super::shared::Shared;
use super::stored;
use super::target::{Idle, Target};
use crate::access::{Caller, Owner, Scope};
use crate::apart::apart;
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::resource::kinds::audit_streams::{AuditStream, KIND, State};
use crate::resource::{Kept, MutateError, Mutation, Project};
use crate::write::{Change, Privilege, Work};

/// Deliveries on a page unless it is said how many, and at most.
const PAGE_DEFAULT: usize = 100;
/// See [`PAGE_DEFAULT`].
const PAGE_MAX: usize = 1_000;
/// Replays of a stream that are not over, at most.
const REPLAYS_MAX: u64 = 1_000;

const TEST: &str = "audit_stream.test";
const REPLAY: &str = "webhook_delivery.replay";
/// `resource.type` of a replay.
const DELIVERY: &str = "webhook_delivery";

/// How a stream goes, whichever server delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// Whether it is to deliver.
    pub is_running: bool,
    /// Why it is paused.
    pub state_reason: Option<String>,
    /// Events that it has not come to, those that are none of its own among them.
    pub lag_events: u64,
    /// How long the oldest of them has been recorded.
    pub lag: Duration,
    /// Why nothing is delivered now.
    pub trouble: Option<String>,
    /// The delivery that it is at, where that was tried and not taken; with its project.
    pub pending: Option<(Delivery, Option<Uuid>)>,
    /// Deliveries that were given up, and wait for being sent again.
    pub dead_letters: u64,
    /// Replays that are not over.
    pub replays: u64,
    /// How far it has come in each project.
    pub positions: Vec<Position>,
}

/// How far a stream has come in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The project.
    pub project_id: Uuid,
    /// The next event that it comes to.
    pub next_sequence: u64,
    /// Events of the project.
    pub size: u64,
}

/// Which deliveries.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveriesAsked {
    /// Those of one state.
    pub state: Option<DeliveryState>,
    /// Those before this one.
    pub before: Option<Uuid>,
    /// So many at most; 100 if not said, and never more than 1,000.
    pub limit: Option<usize>,
}

/// Some deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPage {
    /// Each with its project.
    pub deliveries: Vec<(Delivery, Option<Uuid>)>,
    /// The last of them, where there are more.
    pub next_before: Option<Uuid>,
}

/// What is to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// One delivery.
    Delivery(Uuid),
    /// All dead letters.
    DeadLetters,
    /// The events of a project between two of them, as many as are the stream's own.
    Range {
        /// Which project, where the stream has several.
        project_id: Option<Uuid>,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
}

/// A replay that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// `replay_id` of its deliveries; `None` where each of several is a replay of its own.
    pub replay_id: Option<Uuid>,
    /// Deliveries that are sent again; `None` where that is not known yet.
    pub deliveries: Option<u64>,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// Whether it was taken.
    pub is_taken: bool,
    /// What was sent, and the answer. It is kept nowhere.
    pub delivery: Delivery,
    /// The project whose event was sent.
    pub project_id: Uuid,
}

impl Ledger {
    /// How a stream goes.
    pub async fn stream_status(&self, caller: &Caller, id: Uuid) -> Result<StreamStatus, ReadError> {
        self.look(caller, (&KIND, id.to_string()), |ledger| Ok((ledger.status_of(caller, id)?, 1))).await
    }

    fn status_of(&self, caller: &Caller, id: Uuid) -> Result<StreamStatus, ReadError> {
        let kept = self.visible(caller, id).ok_or(ReadError::NotFound(KIND.noun))?;
        let stream: AuditStream = kept.typed().ok_or_else(|| ReadError::Unavailable("the stream cannot be read".to_owned()))?;
        apart(true, || {
            let reader = self.inner.readers.get().map_err(unreadable)?;
            let cursors = stored::cursors(&reader, id).map_err(unreadable)?;
            let (mut positions, mut oldest): (Vec<Position>, Option<Timestamp>) = (Vec::new(), None);
            let projects = self.inner.registry.projects();
            for cursor in cursors.iter().filter(|cursor| !cursor.is_replay()) {
                let Some(known) = projects.iter().find(|known| known.number == cursor.project) else { continue };
                let head = head(self, cursor.project).map_err(unreadable)?;
                positions.push(Position { project_id: known.project.id, next_sequence: cursor.next, size: head.size });
                if head.size > cursor.next {
                    let since = at(self, (cursor.project, known.project.id), head, cursor.next).map_err(unreadable)?;
                    oldest = Some(oldest.map_or(since, |oldest| oldest.min(since)));
                }
            }
            let now = self.inner.clock.now();
            let pending = stored::pending(&reader, id).map_err(unreadable)?.into_iter().next();
            let standing = self.inner.streams.standing(id);
            Ok(StreamStatus {
                is_running: stream.state == State::Running,
                state_reason: stream.state_reason.clone(),
                lag_events: positions.iter().map(|position| position.size.saturating_sub(position.next_sequence)).sum(),
                lag: oldest.map_or(Duration::ZERO, |oldest| {
                    Duration::from_micros(u64::try_from(now.as_micros() - oldest.as_micros()).unwrap_or(0))
                }),
                trouble: standing
                    .and_then(|standing| standing.trouble)
                    .or_else(|| pending.as_ref().and_then(|pending| pending.error.clone())),
                pending: pending.map(|pending| self.placed(pending)),
                dead_letters: stored::dead(&reader, id).map_err(unreadable)?,
                replays: stored::replays(&reader, id).map_err(unreadable)?,
                positions,
            })
        })
    }

    /// Deliveries of a stream, newest first.
    pub async fn deliveries(&self, caller: &Caller, id: Uuid, asked: DeliveriesAsked) -> Result<DeliveryPage, ReadError> {
        self.look(caller, (&KIND, id.to_string()), |ledger| {
            ledger.visible(caller, id).ok_or(ReadError::NotFound(KIND.noun))?;
            let limit = asked.limit.unwrap_or(PAGE_DEFAULT);
            if limit == 0 || limit > PAGE_MAX {
                return Err(ReadError::Options(format!("limit is 1 to {PAGE_MAX}")));
            }
            let mut found = apart(true, || stored::deliveries(&*ledger.inner.readers.get()?, id, asked.state, asked.before, limit + 1))
                .map_err(unreadable)?;
            let more = found.len() > limit;
            found.truncate(limit);
            let next_before = found.last().filter(|_| more).map(|last| last.id);
            let deliveries: Vec<_> = found.into_iter().map(|delivery| ledger.placed(delivery)).collect();
            let returned = deliveries.len() as u64;
            Ok((DeliveryPage { deliveries, next_before }, returned))
        })
        .await
    }

    /// One delivery, with its project.
    pub async fn delivery(&self, caller: &Caller, stream: Uuid, id: Uuid) -> Result<(Delivery, Option<Uuid>), ReadError> {
        self.look(caller, (&KIND, stream.to_string()), |ledger| {
            ledger.visible(caller, stream).ok_or(ReadError::NotFound(KIND.noun))?;
            let found = apart(true, || stored::one(&*ledger.inner.readers.get()?, stream, id)).map_err(unreadable)?;
            Ok((ledger.placed(found.ok_or(ReadError::NotFound(DELIVERY))?), 1))
        })
        .await
    }

    fn placed(&self, delivery: Delivery) -> (Delivery, Option<Uuid>) {
        let projects = self.inner.registry.projects();
        let project = projects.iter().find(|known| known.number == delivery.project).map(|known| known.project.id);
        (delivery, project)
    }

    fn visible(&self, caller: &Caller, id: Uuid) -> Option<Arc<Kept>> {
        let registry = &self.inner.registry;
        registry.kept(&KIND, id).filter(|kept| kept.ended_at.is_none() && registry.is_within(kept.owner, caller.owner()))
    }

    /// The stream, for who changes something about it, and the chain that tells of that.
    fn changeable(&self, caller: &Caller, id: Uuid) -> Result<(Arc<Kept>, Arc<Project>), MutateError> {
        let kept = self.visible(caller, id).ok_or(MutateError::NotFound(KIND.noun))?;
        if !caller.has(Scope::AuditWrite) {
            return Err(MutateError::Forbidden(Scope::AuditWrite.as_str().to_owned()));
        }
        let home = self.home_of(kept.owner)?;
        Ok((kept, home))
    }

    /// Appends an event that says so, and sends that event once, whether the stream is paused or not, and whether it is one of its events or
    /// not.
    pub async fn test_stream(&self, caller: &Caller, id: Uuid) -> Result<Tested, MutateError> {
        let refused = (TEST, KIND.noun, id.to_string());
        let prepared = self.changeable(caller, id).and_then(|(kept, home)| {
            let transport = self.inner.streams.transport().ok_or(MutateError::Conflict("this server delivers no streams"))?;
            let target = Target::for_test(self, &kept).map_err(|idle| match idle {
                Idle::Unready(why) => MutateError::Conflict(why),
                Idle::Ended | Idle::Paused => MutateError::NotFound(KIND.noun),
            })?;
            Ok((transport, target, home))
        });
        let (transport, target, home) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.refuse(caller, None, refused, error).await),
        };
        let mut event = EngineEvent::new(caller, &home, TEST, "allow");
        event.resource = Some(ResourceMembers { kind: KIND.noun, id: id.to_string(), parent: None });
        let events = self.prepare_all(vec![event])?;
        let receipts = self.inner.writer.submit(Work::new(events, Privilege::Engine)).await?;
        let (Some(receipt), Some(project)) = (receipts.first(), self.inner.registry.number_of(home.id)) else {
            return Err(unavailable("the event of the test is not there"));
        };
        let (next, last) = (receipt.sequence, Some(receipt.sequence));
        let cursor = Cursor { stream: id, lane: id, project, next, last, pending: last };
        let (ledger, home_id, cursor) = (self.clone(), home.id, cursor);
        let shared = Shared::new(ledger, transport, Patience::default());
        let read = {
            let (ledger, cursor) = (self.clone(), cursor.clone());
            tokio::task::spawn_blocking(move || {
                let chunk = gather(&ledger, &target, &cursor, home_id, 1);
                (chunk, target)
            })
        };
        let (chunk, target) = read.await.map_err(|_| unavailable("the event of the test cannot be read"))?;
        let mut chunk = chunk.map_err(|unread| unavailable(&unread.to_string()))?;
        let parcel = chunk.parcels.pop().ok_or_else(|| unavailable("the event of the test cannot be read"))?;
        let (_, delivery) = shared.attempt(&target, &cursor, parcel, None).await;
        Ok(Tested { is_taken: delivery.state == DeliveryState::Delivered, delivery, project_id: home.id })
    }

    /// Has something sent again, in the order of the chain and beside what the stream sends of itself.
    pub async fn replay(&self, caller: &Caller, id: Uuid, replay: Replay) -> Result<Replayed, MutateError> {
        let _control = self.control().await?;
        let refused = match replay {
            Replay::Delivery(delivery) => (REPLAY, DELIVERY, delivery.to_string()),
            Replay::DeadLetters | Replay::Range { .. } => (REPLAY, KIND.noun, id.to_string()),
        };
        let caller = &self.caller_now(caller, refused.clone()).await?;
        let intended = self.changeable(caller, id).and_then(|(kept, home)| {
            // What it sends again it opens again.
            let opens = kept.typed::<AuditStream>().is_none_or(|stream| stream.content_purpose.is_some());
            if opens && !caller.has(Scope::ContentDecrypt) {
                return Err(MutateError::Forbidden(Scope::ContentDecrypt.as_str().to_owned()));
            }
            Ok((self.intended(&kept, replay)?, home))
        });
        let ((changes, replayed), home) = match intended {
            Ok(intended) => intended,
            Err(error) => return Err(self.refuse(caller, None, refused, error).await),
        };
        let mutation = Mutation {
            caller,
            home,
            action: REPLAY,
            kind: refused.1,
            id: refused.2,
            before: None,
            after: Some(told(id, replay, replayed)),
            changes: changes.into_iter().map(Change::Stream).collect(),
            root: None,
        };
        self.mutate(mutation).await?;
        self.inner.streams.ring();
        Ok(replayed)
    }

    fn intended(&self, kept: &Kept, replay: Replay) -> Result<(Vec<StreamChange>, Replayed), MutateError> {
        let stream = kept.id;
        let ask = || -> Result<_, crate::store::StoreError> {
            let reader = self.inner.readers.get()?;
            let one = if let Replay::Delivery(id) = replay { stored::one(&reader, stream, id)? } else { None };
            Ok((stored::replays(&reader, stream)?, stored::dead(&reader, stream)?, one))
        };
        let (replays, dead, one) = apart(true, ask).map_err(|error| unavailable(&error.to_string()))?;
        if replays >= REPLAYS_MAX {
            return Err(MutateError::Conflict("1,000 replays of the stream are not over: wait for some of them"));
        }
        match replay {
            Replay::Delivery(_) => {
                let delivery = one.ok_or(MutateError::NotFound(DELIVERY))?;
                if delivery.state == DeliveryState::Pending {
                    return Err(MutateError::Conflict("the delivery is being tried still"));
                }
                let (next, last) = (delivery.first_sequence, Some(delivery.last_sequence));
                let cursor = Cursor { stream, lane: delivery.id, project: delivery.project, next, last, pending: last };
                let replayed = Replayed { replay_id: Some(delivery.id), deliveries: Some(1) };
                let was_dead = delivery.state == DeliveryState::Dead;
                let now = Delivery { state: DeliveryState::Replayed, ..delivery };
                let changes = std::iter::once(StreamChange::First(cursor)).chain(was_dead.then(|| StreamChange::Delivery(Box::new(now))));
                Ok((changes.collect(), replayed))
            }
            Replay::DeadLetters => Ok((vec![StreamChange::Revive { stream }], Replayed { replay_id: None, deliveries: Some(dead) })),
            Replay::Range { project_id, first, last } => {
                let project_id = self.replayed_project(kept.owner, project_id)?;
                let project = self.inner.registry.number_of(project_id).ok_or(MutateError::NotFound("project"))?;
                let head = apart(true, || head(self, project)).map_err(|error| unavailable(&error.to_string()))?;
                if last < first {
                    return Err(Fault::new(FaultKind::Invalid, "/to_sequence", "lies before from_sequence").into());
                }
                if last >= head.size {
                    let message = format!("the project has {} events so far, counted from 0", head.size);
                    return Err(Fault::new(FaultKind::Invalid, "/to_sequence", message).into());
                }
                let lane = self.new_id();
                let cursor = Cursor { stream, lane, project, next: first, last: Some(last), pending: None };
                Ok((vec![StreamChange::First(cursor)], Replayed { replay_id: Some(lane), deliveries: None }))
            }
        }
    }

    fn replayed_project(&self, owner: Owner, asked: Option<Uuid>) -> Result<Uuid, MutateError> {
        match (owner, asked) {
            (Owner::Project(own), None) => Ok(own),
            (owner, Some(asked)) if self.inner.registry.is_within(Owner::Project(asked), owner) => Ok(asked),
            (_, Some(_)) => Err(MutateError::NotFound("project")),
            (_, None) => Err(Fault::new(FaultKind::Invalid, "/project_id", "is said where a stream has several projects").into()),
        }
    }
}

fn told(stream: Uuid, replay: Replay, replayed: Replayed) -> Value<'static> {
    let mut members = Object::new();
    members.insert("stream_id", Value::string(stream.to_string()));
    let number = |n: u64| Value::integer(i64::try_from(n).unwrap_or(i64::MAX));
    match replay {
        Replay::Delivery(id) => drop(members.insert("delivery_id", Value::string(id.to_string()))),
        Replay::DeadLetters => drop(members.insert("dead_letters", Value::Bool(true))),
        Replay::Range { project_id, first, last } => {
            if let Some(project_id) = project_id {
                members.insert("project_id", Value::string(project_id.to_string()));
            }
            members.insert("from_sequence", number(first));
            members.insert("to_sequence", number(last));
        }
    }
    if let Some(id) = replayed.replay_id {
        members.insert("replay_id", Value::string(id.to_string()));
    }
    if let Some(deliveries) = replayed.deliveries {
        members.insert("deliveries", number(deliveries));
    }
    Value::Object(members)
}

fn unavailable(reason: &str) -> MutateError {
    AppendError::Unavailable { reason: reason.to_owned(), outcome_unknown: false }.into()
}

fn unreadable(error: impl std::fmt::Display) -> ReadError {
    tracing::error!(%error, "what is stored of a stream cannot be read");
    ReadError::Unavailable("the store cannot be read now".to_owned())
}
