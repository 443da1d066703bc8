//! Callers without a valid key, coalesced by source and minute: the first of a source in a minute is recorded before it
//! is answered, the others of that minute are counted and recorded as one event when it is over.
//!
//! The map is bounded: whoever comes from many addresses shares one bucket.

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

/// Sources told apart at one time.
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
}

struct Bucket {
    began: Duration,
    /// Attempts after the first.
    more: u64,
    refused: Refused,
    envelope: Envelope,
}

/// The strangers of this minute.
pub(crate) struct Strangers {
    registry: Arc<Registry>,
    buckets: Mutex<HashMap<Source, Bucket>>,
}

impl Strangers {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, buckets: Mutex::default() }
    }

    /// Counts one; gives the event to record now, where it is the first of its source in this minute.
    fn count(&self, source: Option<IpAddr>, refused: Refused, envelope: &Envelope, now: Duration) -> Option<EngineEvent> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut source = source.map_or(Source::Nowhere, Source::Address);
        if !buckets.contains_key(&source) && buckets.len() >= SOURCES_MAX {
            source = Source::Crowd;
        }
        if let Some(bucket) = buckets.get_mut(&source) {
            bucket.more += 1;
            return None;
        }
        buckets.insert(source, Bucket { began: now, more: 0, refused, envelope: envelope.clone() });
        drop(buckets);
        self.event(refused, envelope.clone(), 1)
    }

    fn event(&self, refused: Refused, envelope: Envelope, attempts: u64) -> Option<EngineEvent> {
        let home = self.registry.system_project(Uuid::nil())?;
        let mut event = EngineEvent::new(&Caller::stranger(envelope), &home, "audit.unauthenticated", "deny").because(refused.to_string());
        event.context.push(("attempts", attempts.to_string()));
        Some(event)
    }

    /// When the oldest minute is over; `None` where nobody is counted.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.values().map(|bucket| (bucket.began + MINUTE).saturating_sub(now)).min()
    }

    /// The events of the minutes that are over; they are counted no more.
    pub(crate) fn due(&self, now: Duration) -> Vec<EngineEvent> {
        self.take(|bucket| bucket.began + MINUTE <= now)
    }

    /// The events of all minutes, over or not; at closing.
    pub(crate) fn all(&self) -> Vec<EngineEvent> {
        self.take(|_| true)
    }

    fn take(&self, over: impl Fn(&Bucket) -> bool) -> Vec<EngineEvent> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Bucket> = buckets.extract_if(|_, bucket| over(bucket)).map(|(_, bucket)| bucket).collect();
        drop(buckets);
        gone.into_iter().filter(|bucket| bucket.more > 0).filter_map(|b| self.event(b.refused, b.envelope, b.more)).collect()
    }
}

impl Ledger {
    /// Counts someone without a valid key, to be recorded in the instance's system project: at once for the first of
    /// a source in a minute, the others of that minute as one event when it is over.
    pub async fn stranger(&self, source: Option<IpAddr>, refused: Refused, envelope: &Envelope) -> Result<(), AppendError> {
        match self.inner.strangers.count(source, refused, envelope, self.inner.clock.monotonic()) {
            // As a caller's: who has no key must not use up what is kept free for the records of reads.
            Some(event) => {
                let batch = self.prepare_all(vec![event])?;
                self.inner.writer.submit(Work::new(batch, Privilege::Caller)).await.map(|_| ())
            }
            None => Ok(()),
        }
    }
}
