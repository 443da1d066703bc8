//! Who is turned away at the door: callers without a valid key, coalesced by source and minute, and keys that come faster than
//! their rate, coalesced by key and minute. The first of a minute is recorded before it is answered, the others of that minute
//! are counted and recorded as one event when it is over. What could not be recorded is put back, and told with the next minute.
//!
//! The map is bounded: whoever comes without a key from many addresses shares one bucket. Of keys there are as many as were made.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::{Caller, Envelope, Refused};
use crate::append::{AppendError, EngineEvent};
use crate::ledger::Ledger;
use crate::resource::registry::Registry;
use crate::write::{Privilege, Work};

/// Addresses told apart at one time.
const SOURCES_MAX: usize = 10_000;
/// How long a source is counted before it is told.
const MINUTE: Duration = Duration::from_mins(1);

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    /// A connection without an address.
    Nowhere,
    /// One of more than can be told apart.
    Crowd,
    /// A key.
    Key(Uuid),
    /// A member, a session or an invitation in whose name somebody came.
    SignIn(Uuid),
}

#[derive(Debug)]
struct Bucket {
    began: Duration,
    /// Attempts that no record speaks of yet.
    more: u64,
    /// The event of the first.
    event: EngineEvent,
}

/// Attempts of a source that are taken out of the count, to be recorded.
#[derive(Debug)]
pub(crate) struct Counted {
    source: Source,
    bucket: Bucket,
}

impl Counted {
    /// The event that speaks of them.
    pub(crate) fn event(&self) -> EngineEvent {
        attempts(self.bucket.event.clone(), self.bucket.more)
    }
}

/// Those of this minute.
pub(crate) struct TurnedAway {
    registry: Arc<Registry>,
    buckets: Mutex<HashMap<Source, Bucket>>,
}

impl TurnedAway {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, buckets: Mutex::default() }
    }

    /// Counts one; gives what is to be recorded now, where it is the first of its source in this minute.
    fn count(&self, source: Source, now: Duration, event: impl FnOnce() -> Option<EngineEvent>) -> Option<Counted> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = matches!(source, Source::Key(_) | Source::SignIn(_)) || buckets.contains_key(&source);
        let source = if !is_known && buckets.len() >= SOURCES_MAX { Source::Crowd } else { source };
        if let Some(bucket) = buckets.get_mut(&source) {
            bucket.more += 1;
            return None;
        }
        let event = event()?;
        buckets.insert(source, Bucket { began: now, more: 0, event: event.clone() });
        drop(buckets);
        Some(Counted { source, bucket: Bucket { began: now, more: 1, event } })
    }

    /// Counts again what could not be recorded, from now on: it is told a minute later, with those that came meanwhile.
    pub(crate) fn put_back(&self, untold: impl IntoIterator<Item = Counted>, now: Duration) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for Counted { source, bucket } in untold {
            let is_known = matches!(source, Source::Key(_)) || buckets.contains_key(&source);
            let source = if !is_known && buckets.len() >= SOURCES_MAX { Source::Crowd } else { source };
            buckets.entry(source).or_insert(Bucket { began: now, more: 0, event: bucket.event }).more += bucket.more;
        }
    }

    fn stranger(&self, refused: Refused, envelope: Envelope) -> Option<EngineEvent> {
        let home = self.registry.system_project(Uuid::nil())?;
        Some(EngineEvent::new(&Caller::stranger(envelope), &home, "audit.unauthenticated", "deny").because(refused.to_string()))
    }

    /// When the oldest minute is over; `None` where nobody is counted.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.values().map(|bucket| (bucket.began + MINUTE).saturating_sub(now)).min()
    }

    /// Those of the minutes that are over; they are counted no more, unless they are put back.
    pub(crate) fn due(&self, now: Duration) -> Vec<Counted> {
        self.take(|bucket| bucket.began + MINUTE <= now)
    }

    /// Those of all minutes, over or not; at closing.
    pub(crate) fn all(&self) -> Vec<Counted> {
        self.take(|_| true)
    }

    fn take(&self, over: impl Fn(&Bucket) -> bool) -> Vec<Counted> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = buckets.extract_if(|_, bucket| over(bucket)).filter(|(_, bucket)| bucket.more > 0);
        gone.map(|(source, bucket)| Counted { source, bucket }).collect()
    }
}

fn attempts(mut event: EngineEvent, attempts: u64) -> EngineEvent {
    event.context.push(("attempts", attempts.to_string()));
    event
}

impl Ledger {
    /// Counts someone without a valid key, to be recorded in the instance's system project: at once for the first of
    /// a source in a minute, the others of that minute as one event when it is over.
    ///
    /// Whoever comes in the name of a member is counted by the member, and recorded in its organization (`sign_in.attempt`).
    pub async fn stranger(
        &self,
        source: Option<IpAddr>,
        credential: Option<&str>,
        refused: Refused,
        envelope: &Envelope,
    ) -> Result<(), AppendError> {
        let (turned_away, source) = (&self.inner.turned_away, source.map_or(Source::Nowhere, Source::Address));
        if let Some((member, event)) = self.failed_sign_in(credential, refused, envelope) {
            return self.turned_away(turned_away.count(Source::SignIn(member), self.inner.clock.monotonic(), || Some(event))).await;
        }
        let event = || turned_away.stranger(refused, envelope.clone());
        self.turned_away(turned_away.count(source, self.inner.clock.monotonic(), event)).await
    }

    /// Counts a request of a known key that its rate does not allow, to be recorded in the chain of what the key belongs to, as
    /// [`Self::stranger`] is.
    pub async fn throttled(&self, caller: &Caller) -> Result<(), AppendError> {
        let Some(key) = caller.known_by() else { return Ok(()) };
        let home = self.home_of(caller.owner)?;
        let event = || Some(EngineEvent::new(caller, &home, "audit.rate_limited", "deny").because("the key's rate"));
        self.turned_away(self.inner.turned_away.count(Source::Key(key), self.inner.clock.monotonic(), event)).await
    }

    async fn turned_away(&self, told: Option<Counted>) -> Result<(), AppendError> {
        let Some(told) = told else { return Ok(()) };
        // As a caller's: who is turned away must not use up what is kept free for the records of reads.
        let recorded = match self.prepare_all(vec![told.event()]) {
            Ok(batch) => self.inner.writer.submit(Work::new(batch, Privilege::Caller)).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if recorded.is_err() {
            // Where COMMIT failed and persisted, it is told of twice: better than not at all.
            self.inner.turned_away.put_back([told], self.inner.clock.monotonic());
        }
        recorded
    }
}
