//! The thread that looks: at the turn, for all who ask at the same time, and now and then when nobody does.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Held;
use crate::append::AppendError;
use crate::store::postgres::{Session, Turn};
use crate::store::sql::Connection;
use crate::store::{Database, StoreError};

/// How often it looks when nobody asks: for the index and the sums, so that who asks later waits less.
const UNASKED_EVERY: Duration = Duration::from_millis(200);

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
}

impl Asked {
    fn answer(self, answer: Result<(), Blind>) {
        // Nobody waits any more where the caller went away.
        match self {
            Self::Awaiting(sender) => drop(sender.send(answer)),
            Self::Blocked(sender) => drop(sender.send(answer)),
        }
    }
}

/// The handle of the thread.
pub(crate) struct Look {
    asked: Mutex<Option<Sender<Asked>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Look {
    pub(super) fn start(database: Arc<Database>, held: Held) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let looking = Looking { database, held, connection: None, row: 0 };
        let thread = std::thread::Builder::new().name("indelible-look".to_owned()).spawn(move || looking.run(&receiver))?;
        Ok(Self { asked: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
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
    connection: Option<Connection>,
    /// How far the ledger had come when it looked last.
    row: i64,
}

impl Looking {
    fn run(mut self, asked: &Receiver<Asked>) {
        loop {
            let first = match asked.recv_timeout(UNASKED_EVERY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Who asks from here on is answered by the next look: this one may have begun before what they want to know.
            let all: Vec<Asked> = first.into_iter().chain(asked.try_iter()).collect();
            let seen = self.look();
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

    fn look(&mut self) -> Result<(), StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::Postgres(Box::new(Session::open(&self.database)?)),
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
