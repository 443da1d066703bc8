//! Following a project live: its events by sequence, each once, as they are committed, by whichever server.
//!
//! Nothing is read ahead of whoever takes: one batch at a time, which is small. That it began and how it ended are events (`audit.read`,
//! joined by `operation_id`, the end with how many were returned); single events are not, so nobody is shown records of what they were
//! shown. What a caller may is asked again before each batch and every few seconds, and it ends after an hour: whoever goes on comes again
//! with a key. Contents are not opened here.

mod look;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_core::filter::Filter;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::look::{Looked, look};
use super::places::Place;
use super::reading::Reading;
use super::{Opening, ReadError};
use crate::access::Caller;
use crate::append::EngineEvent;
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::write::{Privilege, Work};

/// Between two looks: commits of other projects wake a follower too.
const LOOK_AFTER: Duration = Duration::from_millis(50);
/// How often it is asked whether the caller still may, and looked without being woken.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two looks that fail.
const TRY_AFTER: Duration = Duration::from_secs(1);
/// How long they may fail.
const FAILING_MAX: Duration = Duration::from_mins(1);
/// After this whoever follows has to come again: a credential that has ended opens nothing then.
const TIME_MAX: Duration = Duration::from_hours(1);

/// What is to be followed.
#[derive(Debug, Clone, Default)]
pub struct FollowRequest {
    /// SCIM filter.
    pub filter: Option<String>,
    /// Begin after this sequence; `None` is from now on.
    pub after: Option<u64>,
    /// Why the log is read.
    pub purpose: Option<String>,
}

/// Events that came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Sequence and record ([`super::Page::records`]), ascending; never empty.
    pub events: Vec<(u64, Vec<u8>)>,
}

/// Why there is nothing more to follow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Ended {
    /// Whoever followed went away.
    #[error("whoever asked went away")]
    Gone,
    /// The server stops.
    #[error("the server stops")]
    Stopping,
    /// It lasted as long as it may.
    #[error("it lasted an hour, as long as it may")]
    TimeIsUp,
    /// The credential is in force no more, or allows it no more.
    #[error("the key does not allow it any more")]
    NotAllowed,
    /// The project was deleted.
    #[error("the project was deleted")]
    Deleted,
    /// A batch lay untaken for too long.
    #[error("it was read too slowly")]
    TooSlow,
    /// The ledger could not be read for too long.
    #[error("{0}")]
    Failed(String),
}

impl Ended {
    const fn outcome(&self) -> &'static str {
        if let Self::Failed(_) = self { "partial" } else { "allow" }
    }
}

/// A project that is being followed. One that is dropped before [`Following::close`] is recorded as left.
pub struct Following {
    ledger: Ledger,
    reading: Arc<Reading>,
    filter: Option<Arc<Filter>>,
    /// `ledgers.project`
    number: i64,
    operation: Uuid,
    /// Everything before this sequence was looked at.
    next: u64,
    committed: watch::Receiver<i64>,
    /// The look under way, so that nobody who stops waiting stops it.
    looking: Option<JoinHandle<Result<Looked, ReadError>>>,
    /// Whether more was there than the last batch took.
    more: bool,
    /// On the ledger's clock.
    until: Duration,
    failing_since: Option<Duration>,
    returned: u64,
    ended: bool,
    gone: Arc<AtomicBool>,
    _place: Place,
}

impl Ledger {
    /// Begins to follow a project, which is recorded when this returns. Needs `audit:read`.
    pub async fn follow(&self, caller: &Caller, project: &Project, request: FollowRequest) -> Result<Following, ReadError> {
        let opening = Opening { content: false, purpose: request.purpose.clone() };
        let mut reading = Reading::new(caller, project, "audit_event_stream", "", &opening);
        let rules = self.inner.desk.rules.for_question(project);
        reading.filter = request.filter.as_ref().map(|filter| rules.question(filter).replace(char::is_control, " "));
        let begun = reading.authorise(self).and_then(|()| self.begin(caller, project, &request));
        let (filter, number, place) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // As with every read, a stranger's project learns nothing.
                if error != ReadError::NotFound("project") {
                    self.record(vec![reading.refusal(&error)]).await?;
                }
                return Err(error);
            }
        };
        let operation = self.new_id();
        let mut event = reading.event("", 0, None);
        event.operation = Some((operation, "intent"));
        event.context.extend(request.after.map(|after| ("after_sequence", after.to_string())));
        let committed = self.inner.writer.committed();
        let batch = self.prepare_all(vec![event])?;
        let receipts = self.inner.writer.submit(Work::new(batch, Privilege::Engine)).await?;
        // From now on: after the record of its own beginning.
        let next = request.after.or_else(|| receipts.first().map(|receipt| receipt.sequence)).map_or(0, |after| after.saturating_add(1));
        Ok(Following {
            ledger: self.clone(),
            reading: Arc::new(reading),
            filter: filter.map(Arc::new),
            number,
            operation,
            next,
            committed,
            looking: None,
            more: true,
            until: self.inner.clock.monotonic() + TIME_MAX,
            failing_since: None,
            returned: 0,
            ended: false,
            gone: Arc::default(),
            _place: place,
        })
    }

    fn begin(&self, caller: &Caller, project: &Project, request: &FollowRequest) -> Result<(Option<Filter>, i64, Place), ReadError> {
        let text = request.filter.as_deref().filter(|text| !text.trim().is_empty());
        let filter = text.map(Filter::parse).transpose().map_err(ReadError::Filter)?;
        let number = self.inner.registry.number_of(project.id).ok_or(ReadError::NotFound("project"))?;
        if self.is_deleted(project.id) {
            return Err(ReadError::Deleted);
        }
        let place = self.inner.index.followers.take(project.organization_id, caller.known_by());
        let place = place.ok_or_else(|| ReadError::Unavailable("too many follow the log live; end one, or try again later".to_owned()))?;
        Ok((filter, number, place))
    }

    pub(crate) fn is_deleted(&self, project: Uuid) -> bool {
        self.inner.registry.project(project).is_none_or(|project| project.deleted_at.is_some())
    }
}

impl Following {
    /// The sequence up to which everything was looked at: whoever comes again after it misses nothing.
    pub const fn through(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// The next events, once there are some. Who stops waiting loses nothing.
    pub async fn next(&mut self) -> Result<Batch, Ended> {
        loop {
            if self.looking.is_none() {
                self.wait().await;
                match self.may_go_on().await {
                    Ok(()) => {}
                    Err(May::Not(ended)) => return Err(ended),
                    Err(May::NotTell(reason)) => {
                        self.failed(reason).await?;
                        continue;
                    }
                }
                let looking = (self.ledger.clone(), Arc::clone(&self.reading), self.filter.clone(), Arc::clone(&self.gone));
                self.looking = Some(tokio::spawn(look(looking, self.number, self.next)));
            }
            let Some(looking) = &mut self.looking else { continue };
            let looked = looking.await;
            self.looking = None;
            match looked {
                Ok(Ok(looked)) => {
                    self.failing_since = None;
                    self.next = looked.next;
                    self.more = looked.more;
                    if !looked.events.is_empty() {
                        self.returned += looked.events.len() as u64;
                        return Ok(Batch { events: looked.events });
                    }
                }
                Ok(Err(error)) => self.failed(error.to_string()).await?,
                Err(error) => {
                    tracing::error!(%error, "a look of somebody who follows panicked");
                    return Err(Ended::Failed("the read failed".to_owned()));
                }
            }
        }
    }

    /// Until there may be something.
    async fn wait(&mut self) {
        if self.more {
            return;
        }
        // A commit that comes during the pause wakes the next wait, or is found by this one's look.
        tokio::time::sleep(LOOK_AFTER).await;
        let woken = tokio::time::timeout(LOOK_EVERY, self.committed.changed()).await;
        if matches!(woken, Ok(Err(_))) {
            // The writer is gone: the ledger closes.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the caller still may, and there is still something to follow.
    async fn may_go_on(&mut self) -> Result<(), May> {
        if self.ledger.inner.clock.monotonic() >= self.until {
            return Err(May::Not(Ended::TimeIsUp));
        }
        self.ledger.inner.sharing.look().await.map_err(|error| May::NotTell(error.to_string()))?;
        let caller = self.ledger.again(&self.reading.caller).map_err(|_| May::Not(Ended::NotAllowed))?;
        if self.ledger.is_deleted(self.reading.project.id) {
            return Err(May::Not(Ended::Deleted));
        }
        Arc::make_mut(&mut self.reading).caller = caller;
        self.reading.authorise(&self.ledger).map_err(|_| May::Not(Ended::NotAllowed))
    }

    /// Waits before it is tried again; that it fails for too long ends it.
    async fn failed(&mut self, reason: String) -> Result<(), Ended> {
        let now = self.ledger.inner.clock.monotonic();
        if now.saturating_sub(*self.failing_since.get_or_insert(now)) >= FAILING_MAX {
            return Err(Ended::Failed(reason));
        }
        tracing::debug!(%reason, "somebody who follows waits");
        tokio::time::sleep(TRY_AFTER).await;
        Ok(())
    }

    /// Records how it ended; durable when it returns, where it can be recorded.
    pub async fn close(mut self, ended: &Ended) {
        let event = self.end(ended);
        if let Err(error) = self.ledger.record(vec![event]).await {
            tracing::error!(%error, operation_id = %self.operation, "that somebody follows no more could not be recorded: its intent stays open");
        }
    }

    fn end(&mut self, ended: &Ended) -> EngineEvent {
        self.ended = true;
        let mut event = self.reading.event(ended.outcome(), self.returned, Some(ended.to_string()));
        event.operation = Some((self.operation, "outcome"));
        event.context.extend(self.through().map(|through| ("through_sequence", through.to_string())));
        event
    }
}

/// Why it does not go on.
enum May {
    Not(Ended),
    /// It cannot be told now.
    NotTell(String),
}

impl Drop for Following {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        if self.ended {
            return;
        }
        let event = self.end(&Ended::Gone);
        let recorded = self.ledger.prepare_all(vec![event]).and_then(|batch| {
            let work = Work::new(batch, Privilege::Engine);
            self.ledger.inner.writer.submit_unanswered(work)
        });
        if let Err(error) = recorded {
            tracing::error!(%error, operation_id = %self.operation, "that somebody follows no more could not be recorded: its intent stays open");
        }
    }
}
