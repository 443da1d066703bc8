//! The thread that looks: at the turn, for all who ask at the same time, and when nobody does: at the hint of another server that it
//! committed, and now and then, since a hint may be lost. Nothing that must hold depends on a hint.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Held;
use crate::append::AppendError;
use crate::clock::Clock;
use crate::store::postgres::{Session, Turn};
use crate::store::sql::{Connection, SqlError};
use crate::store::{Database, StoreError};

/// Looking at hints is no more frequent: a busy server hints at each of its commits.
const HINTED_EVERY: Duration = Duration::from_millis(10);

/// How often the clock is held against the database's.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// How far apart they may be, microseconds.
const CLOCK_APART_MAX: i64 = 5 * 1_000_000;

/// The database could not be looked at (503).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database cannot be reached, so it cannot be told what holds now")]
pub(crate) struct Blind;

impl From<Blind> for AppendError {
    fn from(blind: Blind) -> Self {
        Self::Unavailable { reason: blind.to_string(), outcome_unknown: false }
    }
}

/// Who asked, and how they are answered: on a runtime, or on a thread that waits whether a runtime's or not.
enum Asked {
    Awaiting(oneshot::Sender<Result<(), Blind>>),
    Blocked(Sender<Result<(), Blind>>),
    /// By another server, which waits for nothing.
    Hinted,
}

impl Asked {
    fn answer(self, answer: Result<(), Blind>) {
        // Nobody waits any more where the caller went away.
        match self {
            Self::Awaiting(sender) => drop(sender.send(answer)),
            Self::Blocked(sender) => drop(sender.send(answer)),
            Self::Hinted => {}
        }
    }
}

/// Where questions are handed in, until it is closed.
type Door = Mutex<Option<Sender<Asked>>>;

/// The handle of the thread.
pub(crate) struct Look {
    /// See [`Compared::ahead`].
    clock_ahead: Arc<AtomicI64>,
    asked: Arc<Door>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Look {
    /// Looks at least every so often.
    pub(super) fn start(database: Arc<Database>, held: Held, every: Duration) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let asked = Arc::new(Mutex::new(Some(sender)));
        let clock = Compared::default();
        let clock_ahead = Arc::clone(&clock.ahead);
        let door = Arc::downgrade(&asked);
        let looking =
            Looking { database, held, asked: door, hint_waits: Arc::default(), every, trouble: None, connection: None, row: 0, clock };
        let thread = std::thread::Builder::new().name("indelible-look".to_owned()).spawn(move || looking.run(&receiver))?;
        Ok(Self { clock_ahead, asked, thread: Mutex::new(Some(thread)) })
    }

    fn hand_in(&self, asked: Asked) -> Result<(), Blind> {
        let sender = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().ok_or(Blind)?.send(asked).map_err(|_| Blind)
    }

    pub(super) async fn ask(&self) -> Result<(), Blind> {
        let (sender, receiver) = oneshot::channel();
        self.hand_in(Asked::Awaiting(sender))?;
        receiver.await.unwrap_or(Err(Blind))
    }

    pub(super) fn ask_blocking(&self) -> Result<(), Blind> {
        let (sender, receiver) = channel();
        self.hand_in(Asked::Blocked(sender))?;
        receiver.recv().unwrap_or(Err(Blind))
    }

    /// How far this server's clock is ahead of the database's, microseconds; below zero where it is behind.
    pub(super) fn clock_ahead_micros(&self) -> i64 {
        self.clock_ahead.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks at the database panicked");
        }
    }
}

/// The state of the thread.
struct Looking {
    database: Arc<Database>,
    held: Held,
    /// Where hints are handed in.
    asked: Weak<Door>,
    /// Whether a hint waits there.
    hint_waits: Arc<AtomicBool>,
    every: Duration,
    /// Why it cannot look, as it was told last.
    trouble: Option<String>,
    connection: Option<Connection>,
    /// How far the ledger had come when it looked last.
    row: i64,
    clock: Compared,
}

/// The clock, held against the database's.
#[derive(Default)]
struct Compared {
    /// How far it is ahead, microseconds. What a question and its answer took of it is not counted.
    ahead: Arc<AtomicI64>,
    seen: Option<Instant>,
    /// Whether the log was told that they are too far apart.
    is_apart: bool,
}

impl Compared {
    fn take_note(&mut self, ahead: i64) {
        self.seen = Some(Instant::now());
        self.ahead.store(ahead, Ordering::Relaxed);
        let (before, seconds) = (std::mem::replace(&mut self.is_apart, is_apart(ahead)), ahead as f64 / 1e6);
        match (before, self.is_apart) {
            (false, true) => {
                tracing::warn!(ahead_seconds = seconds, "the clocks of this server and of the database are apart: set them right");
            }
            (true, false) => tracing::info!(ahead_seconds = seconds, "the clock of this server goes with the database's again"),
            _ => {}
        }
    }
}

impl Looking {
    fn run(mut self, asked: &Receiver<Asked>) {
        // Hints are heard from the first look on: that one waits for nobody.
        let (mut looked_at, mut wait) = (Instant::now(), Duration::ZERO);
        loop {
            let mut first = asked.recv_timeout(std::mem::replace(&mut wait, self.every));
            while let Ok(Asked::Hinted) = first {
                first = asked.recv_timeout(HINTED_EVERY.saturating_sub(looked_at.elapsed()));
            }
            let first = match first {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Who asks from here on is answered by the next look: this one may have begun before what they want to know.
            let all: Vec<Asked> = first.into_iter().chain(asked.try_iter()).collect();
            self.hint_waits.store(false, Ordering::Relaxed);
            let seen = self.look();
            looked_at = Instant::now();
            if seen.is_err() {
                // A connection that failed is opened anew.
                self.connection = None;
            }
            self.tell(seen.as_ref().err().map(ToString::to_string));
            let answer = seen.map_err(|_| Blind);
            for asked in all {
                asked.answer(answer);
            }
        }
    }

    /// The log has each reason once.
    fn tell(&mut self, trouble: Option<String>) {
        match (&trouble, &self.trouble) {
            (Some(reason), before) if before.as_ref() != Some(reason) => tracing::warn!(reason, "the database cannot be looked at"),
            (None, Some(_)) => tracing::info!("the database can be looked at again"),
            _ => {}
        }
        self.trouble = trouble;
    }

    fn listen(&self) -> Result<Session, StoreError> {
        let (asked, waits) = (Weak::clone(&self.asked), Arc::clone(&self.hint_waits));
        let hand_in = move || {
            if let Some(door) = asked.upgrade()
                && let Some(sender) = door.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            {
                // One that waits is as good as many. Where the thread has ended, so has what it listened for.
                if !waits.swap(true, Ordering::Relaxed) {
                    let _ = sender.send(Asked::Hinted);
                }
            }
        };
        Ok(Session::open_listening(&self.database, Box::new(hand_in))?)
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::Postgres(Box::new(self.listen()?)),
        };
        let connection = self.connection.insert(connection);
        let session = connection.postgres().ok_or_else(|| StoreError::Corrupt("no session".to_owned()))?;
        let clock = self.held.desk.clock.as_ref();
        if self.clock.seen.is_none_or(|seen| seen.elapsed() >= CLOCK_EVERY) {
            self.clock.take_note(clock_ahead(session, clock)?);
        }
        let turn = Turn::look(session)?;
        if turn.control_epoch > self.held.desk.registry.epoch() {
            let moment = connection.moment()?;
            let turn = Turn::look(session)?;
            self.held.take_in(&moment, &turn)?;
        }
        if turn.last_row > self.row {
            self.row = turn.last_row;
            self.held.has_come_to(turn.last_row);
        }
        Ok(())
    }
}

/// Whether a clock is further from the database's than it should be.
pub(super) const fn is_apart(ahead_micros: i64) -> bool {
    ahead_micros.unsigned_abs() > CLOCK_APART_MAX.unsigned_abs()
}

/// How far a clock is ahead of the database's, microseconds: the least that it can be, for the answer was made at some time between the
/// question and its coming.
fn clock_ahead(session: &Session, clock: &dyn Clock) -> Result<i64, StoreError> {
    let select = session.prepare("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")?;
    let before = clock.now().as_micros();
    let rows = session.query(&select, &[])?;
    let after = clock.now().as_micros();
    let row = rows.first().ok_or_else(|| StoreError::Corrupt("the database does not know the time".to_owned()))?;
    let there: i64 = row.try_get(0).map_err(SqlError::from)?;
    Ok(if before > there { before - there } else { after.min(there) - there })
}
