//! When witnesses are asked: after each new checkpoint, once at start (so that an older copy put in the ledger's place is seen though
//! nothing is new), and again, later each time, after a failure. One thread a witness.
//!
//! Of servers that share a ledger the one that seals asks ([`Cosigning::take_over`]); the others read what it stored ([`Cosigning::follow`]).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indelible_core::policy::{Policy, Witness};
use indelible_core::time::Timestamp;

use super::round::{Cosigned, Round};
use super::{CosigningStatus, Failure, FailureKind, WitnessStatus, Witnesses, stored};
use crate::anchor::{SigningKeys, instance_origin};
use crate::clock::Clock;
use crate::ledger::OpenError;
use crate::store::{Readers, StoreError};
use crate::write::{Change, Privilege, Work, Writer};

/// How long closing waits for threads that are about to end. One that waits for a witness is left alone: it can do nothing more.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// What cosigning works with.
pub(crate) struct Parts {
    pub(crate) witnesses: Witnesses,
    pub(crate) instance: String,
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether other servers may have the same ledger: then nobody is asked before this one takes over.
    pub(crate) is_shared: bool,
}

struct State {
    /// Whether this server asks.
    asks: bool,
    /// Leaves of the newest checkpoint.
    newest: Option<u64>,
    /// The newest that fulfils the policy, and when its last cosignature came.
    fulfilled: Option<(u64, Option<Timestamp>)>,
    witnesses: Vec<WitnessStatus>,
    running: usize,
    closing: bool,
}

impl State {
    /// Whether the witnesses that cosigned the newest checkpoint, and those that are asked and did not fail last, are enough.
    fn expects(&self, policy: &Policy) -> bool {
        let comes = |known: &WitnessStatus| known.is_asked && known.failing.is_none() || known.size == self.newest;
        policy.is_fulfilled(|witness| self.witnesses.iter().any(|known| known.key == witness.key && comes(known)))
    }
}

struct Shared {
    parts: Parts,
    state: Mutex<State>,
    wake: Condvar,
}

/// The handle of the threads.
pub(crate) struct Cosigning {
    shared: Arc<Shared>,
}

impl Cosigning {
    /// Starts them. Refuses a policy that names logs, and not this one.
    pub(crate) fn start(parts: Parts) -> Result<Self, OpenError> {
        let policy = Arc::clone(&parts.witnesses.policy);
        let reader = parts.readers.get()?;
        check(&parts, &SigningKeys::load(&reader)?)?;
        let status = |witness: &Witness| -> Result<WitnessStatus, StoreError> {
            Ok(WitnessStatus {
                name: witness.name.clone(),
                key: witness.key.clone(),
                is_asked: witness.url.is_some(),
                size: stored::size_of(&reader, &witness.key)?,
                succeeded_at: None,
                failing: None,
            })
        };
        let witnesses = policy.witnesses().iter().map(status).collect::<Result<Vec<_>, _>>()?;
        let newest = stored::newest_size(&reader)?;
        drop(reader);
        let state = State { asks: !parts.is_shared, newest, fulfilled: None, witnesses, running: 0, closing: false };
        let shared = Arc::new(Shared { parts, state: Mutex::new(state), wake: Condvar::new() });
        shared.look(None);
        let cosigning = Self { shared };
        for (at, url) in policy.witnesses().iter().enumerate().filter_map(|(at, witness)| Some((at, witness.url.as_deref()?))) {
            let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
            let own = Arc::clone(&cosigning.shared);
            own.lock().running += 1;
            let spawned = std::thread::Builder::new().name("indelible-cosigner".to_owned()).spawn(move || own.run(at, &url));
            if let Err(error) = spawned {
                cosigning.shared.lock().running -= 1;
                cosigning.close();
                return Err(OpenError::Store(format!("a thread that asks witnesses cannot be started: {error}")));
            }
        }
        Ok(cosigning)
    }

    /// There is a new checkpoint. Returns at once.
    pub(crate) fn published(&self, size: u64) {
        let mut state = self.shared.lock();
        state.newest = Some(size);
        drop(state);
        if self.shared.parts.witnesses.policy.is_fulfilled(|_| false) {
            self.shared.look(Some(size));
        }
        self.shared.wake.notify_all();
    }

    /// This server seals, and asks from now on.
    pub(crate) fn take_over(&self) {
        self.shared.lock().asks = true;
        self.shared.read_stored();
        self.shared.wake.notify_all();
    }

    /// Another server seals and asks. What came of it is read.
    pub(crate) fn follow(&self) {
        self.shared.lock().asks = false;
        self.shared.read_stored();
        self.shared.wake.notify_all();
    }

    /// Who counts.
    pub(crate) fn policy(&self) -> &Policy {
        &self.shared.parts.witnesses.policy
    }

    /// Leaves of the newest checkpoint that the quorum cosigned.
    pub(crate) fn cosigned_size(&self) -> Option<u64> {
        self.shared.lock().fulfilled.map(|(size, _)| size)
    }

    /// Whether the quorum cosigned the newest checkpoint, or may be expected to do so in a moment.
    pub(crate) fn is_expected(&self) -> bool {
        self.shared.lock().expects(self.policy())
    }

    /// Waits until the quorum cosigned a checkpoint of at least so many leaves: while it may be expected to, and no longer than
    /// `wait_max`.
    pub(crate) fn wait_for(&self, leaves: u64, wait_max: Duration) {
        let lacks = |state: &mut State| {
            let is_signed = state.newest.is_some_and(|newest| newest >= leaves);
            let is_cosigned = state.fulfilled.is_some_and(|(size, _)| size >= leaves);
            is_signed && !is_cosigned && !state.closing && state.expects(self.policy())
        };
        drop(self.shared.wake.wait_timeout_while(self.shared.lock(), wait_max, lacks));
    }

    /// How it goes.
    pub(crate) fn status(&self) -> CosigningStatus {
        let state = self.shared.lock();
        let cosigned_at = state.fulfilled.and_then(|(_, at)| at);
        let now = self.shared.parts.clock.now();
        let size = state.newest.unwrap_or(0);
        let cosigned_size = state.fulfilled.map(|(size, _)| size);
        CosigningStatus {
            size,
            cosigned_size,
            cosigned_at,
            cosigned_age_micros: cosigned_at.map(|at| u64::try_from(now.as_micros() - at.as_micros()).unwrap_or(0)),
            is_fulfilled: state.newest == cosigned_size,
            witnesses: state.witnesses.clone(),
        }
    }

    /// Asks nobody any more. Safe to call twice.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.wake.notify_all();
        let running = |state: &mut State| state.running > 0;
        drop(self.shared.wake.wait_timeout_while(state, CLOSE_WAIT, running));
    }
}

/// A policy that names logs names this one, under a key that it has or had.
fn check(parts: &Parts, keys: &SigningKeys) -> Result<(), OpenError> {
    let logs = parts.witnesses.policy.logs();
    let origin = instance_origin(&parts.instance).map_err(|error| OpenError::Store(error.to_string()))?;
    let own = keys.verifier_keys(&origin);
    if logs.is_empty() || logs.iter().any(|log| own.contains(&log.key)) {
        return Ok(());
    }
    let newest = own.last().map(ToString::to_string).unwrap_or_default();
    Err(OpenError::Policy(format!("the witness policy names logs, and not the instance tree of this ledger: `log {newest}`")))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, at: usize, url: &str) {
        let Witnesses { policy, transport, retry_min, retry_max } = &self.parts.witnesses;
        let witness = &policy.witnesses()[at];
        let round = Round { readers: &self.parts.readers, transport: transport.as_ref(), witness, url };
        let mut known = self.lock().witnesses[at].size.unwrap_or(0);
        let (mut done, mut due, mut wait) = (None, Instant::now(), *retry_min);
        while self.wait(done, due) {
            match round.ask(&mut known).and_then(|cosigned| self.keep(witness, cosigned)) {
                Ok(size) => {
                    (done, due, wait) = (Some(size), Instant::now(), *retry_min);
                    self.succeeded(at, size);
                }
                Err(failure) => {
                    due = Instant::now() + wait;
                    wait = wait.saturating_mul(2).min(*retry_max);
                    self.failed(at, failure);
                }
            }
        }
        self.lock().running -= 1;
        self.wake.notify_all();
    }

    /// Waits until there is a checkpoint other than `done`, and it is due; false at closing.
    fn wait(&self, done: Option<u64>, due: Instant) -> bool {
        let mut state = self.lock();
        loop {
            if state.closing {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            let is_new = state.asks && state.newest.is_some() && state.newest != done;
            state = if !is_new {
                self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else if left.is_zero() {
                return true;
            } else {
                self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    /// Stores a cosignature; it counts once it is durable.
    fn keep(&self, witness: &Witness, cosigned: Cosigned) -> Result<u64, Failure> {
        let Cosigned { size, line, is_stored } = cosigned;
        if !is_stored {
            let (witness, received_at) = (witness.key.to_string(), self.parts.clock.now());
            let change = Change::Cosignature { size, witness, line, received_at };
            let work = Work::with_changes(Vec::new(), vec![change], Privilege::Engine);
            self.parts.writer.submit_blocking(work).map_err(|error| Failure::new(FailureKind::Store, error.to_string()))?;
        }
        Ok(size)
    }

    fn succeeded(&self, at: usize, size: u64) {
        // First: who is expected to cosign is one that did not yet.
        self.look(Some(size));
        let now = self.parts.clock.now();
        let mut state = self.lock();
        let witness = &mut state.witnesses[at];
        if witness.failing.take().is_some() {
            tracing::info!(witness = witness.name, size, "a witness cosigns again");
        }
        witness.size = Some(size);
        witness.succeeded_at = Some(now);
        drop(state);
        self.wake.notify_all();
    }

    /// The log hears of it once, until it is another failure.
    fn failed(&self, at: usize, failure: Failure) {
        let mut state = self.lock();
        if state.closing {
            return;
        }
        let witness = &mut state.witnesses[at];
        if witness.failing.as_ref().map(|known| known.kind) != Some(failure.kind) {
            let (name, kind, detail) = (&witness.name, failure.kind.as_str(), &failure.detail);
            match failure.kind {
                FailureKind::RolledBack | FailureKind::Forked => {
                    tracing::error!(witness = name, kind, detail, "a witness remembers another history of this log");
                }
                _ => tracing::warn!(witness = name, kind, detail, "a witness does not cosign; it is asked again"),
            }
        }
        witness.failing = Some(failure);
        drop(state);
        self.wake.notify_all();
    }

    /// Takes in what the server that asked before stored.
    fn read_stored(&self) {
        let read = || -> Result<(Option<u64>, Vec<Option<u64>>), StoreError> {
            let reader = self.parts.readers.get()?;
            let sizes = self.parts.witnesses.policy.witnesses().iter().map(|witness| stored::size_of(&reader, &witness.key));
            Ok((stored::newest_size(&reader)?, sizes.collect::<Result<_, _>>()?))
        };
        let (newest, sizes) = match read() {
            Ok(read) => read,
            Err(error) => return tracing::error!(%error, "cosignatures cannot be read"),
        };
        {
            let mut state = self.lock();
            state.newest = newest;
            for (witness, size) in state.witnesses.iter_mut().zip(sizes) {
                (witness.size, witness.failing) = (size, None);
            }
        }
        self.look(newest);
    }

    /// Looks whether the checkpoint of a size fulfils the policy now; which is the newest that does, where no size is given.
    fn look(&self, size: Option<u64>) {
        let policy = &self.parts.witnesses.policy;
        let found = || -> Result<Option<(u64, Option<Timestamp>)>, StoreError> {
            let reader = self.parts.readers.get()?;
            let stored = match size {
                Some(size) => stored::at(&reader, size)?.filter(|stored| stored.fulfils(policy)),
                None => stored::newest_fulfilled(&reader, policy)?,
            };
            Ok(stored.map(|stored| (stored.size, stored.cosignatures.iter().map(|cosignature| cosignature.received_at).max())))
        };
        match found() {
            Ok(found) => {
                let mut state = self.lock();
                state.fulfilled = state.fulfilled.max(found);
            }
            Err(error) => tracing::error!(%error, "cosignatures cannot be read"),
        }
    }
}
