//! The thread that looks: at the turn, for all who ask at the same time, and when nobody does: at the hint of another server that it
//! committed, and now and then, since a hint may be lost. Nothing that must hold depends on a hint.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Held;
use crate::append::AppendError;
use crate::store::postgres::{Session, Turn};
use crate::store::sql::Connection;
use crate::store::{Database, StoreError};

/// Looking at hints is no more frequent: a busy server hints at each of its commits.
const HINTED_EVERY: Duration = Duration::from_millis(10);

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
    asked: Arc<Door>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Look {
    /// Looks at least every so often.
    pub(super) fn start(database: Arc<Database>, held: Held, every: Duration) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let asked = Arc::new(Mutex::new(Some(sender)));
        let looking = Looking { database, held, asked: Arc::downgrade(&asked), every, connection: None, row: 0 };
        let thread = std::thread::Builder::new().name("indelible-look".to_owned()).spawn(move || looking.run(&receiver))?;
        Ok(Self { asked, thread: Mutex::new(Some(thread)) })
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
    every: Duration,
    connection: Option<Connection>,
    /// How far the ledger had come when it looked last.
    row: i64,
}

impl Looking {
    fn run(mut self, asked: &Receiver<Asked>) {
        let mut looked_at = Instant::now();
        loop {
            let first = match asked.recv_timeout(self.every) {
                Ok(Asked::Hinted) => asked.recv_timeout(HINTED_EVERY.saturating_sub(looked_at.elapsed())),
                first => first,
            };
            let first = match first {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Who asks from here on is answered by the next look: this one may have begun before what they want to know.
            let all: Vec<Asked> = first.into_iter().chain(asked.try_iter()).collect();
            let seen = self.look();
            looked_at = Instant::now();
            if let Err(error) = &seen {
                // A connection that failed is opened anew.
                self.connection = None;
                tracing::warn!(%error, "the database cannot be looked at");
            }
            let answer = seen.map_err(|_| Blind);
            for asked in all {
                asked.answer(answer);
            }
        }
    }

    fn listen(&self) -> Result<Session, StoreError> {
        let asked = Weak::clone(&self.asked);
        let hand_in = move || {
            if let Some(door) = asked.upgrade()
                && let Some(sender) = door.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            {
                // The thread has ended: so has what it listened for.
                let _ = sender.send(Asked::Hinted);
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
