//! The thread that takes rows out of `audit.inbox` and has them chained.
//!
//! At most every 50 ms it reads all rows that can be seen, in the order of their numbers, and from the first again: a transaction that
//! commits later may have a smaller number. One server does it at a time, by a lock of its session; that spares work, and nothing depends
//! on it, since the writer removes a row in the transaction that chains its event, and refuses where it is gone. So a crash anywhere
//! leaves a row, or its event, and never both or neither.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use super::keys::Keys;
use super::row::{Row, Unchained};
use crate::append::{AppendError, Desk, Prepared, reason, reported};
use crate::store::postgres::Session;
use crate::store::sql::{Param, SqlError};
use crate::store::{Database, StoreError};
use crate::write::{Change, Privilege, Work, Writer};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(50);
/// How often it looks while another server drains, and where nothing that waits can be taken.
const SELDOM: Duration = Duration::from_millis(250);
/// After the database failed.
const RETRY: Duration = Duration::from_secs(1);

/// Key of the lock: "indeldrn". A server that stands still is let go of by the database, and its lock with it.
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(7597120008193602158)";
const SETTINGS: &str = "SET lock_timeout TO '10s'; SET idle_in_transaction_session_timeout TO '30s'; SET idle_session_timeout TO '60s'";
const IS_STORED: &str = "SELECT 1 FROM ledgers WHERE project_id = ?1";

/// What it is made of.
pub(crate) struct Parts {
    pub(crate) database: Arc<Database>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) writer: Arc<Writer>,
}

/// The handle of the thread.
pub(crate) struct Drain {
    closing: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drain {
    /// Starts it.
    pub(crate) fn start(parts: Parts) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let keys = Keys::new(Arc::clone(&parts.desk), Arc::clone(&parts.writer));
        let draining = Draining { parts, keys, session: None, trouble: None };
        let thread = std::thread::Builder::new().name("indelible-drain".to_owned()).spawn(move || draining.run(&receiver))?;
        Ok(Self { closing: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Returns when it has ended: what was handed to the writer is answered. Safe to call twice.
    pub(crate) fn close(&self) {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that drains the inbox panicked");
        }
    }
}

/// What became of some rows.
#[derive(Default)]
struct Tally {
    taken: usize,
    /// Those that stay for now, and why one of them does.
    left: Option<String>,
    /// Organizations of rows that stay.
    without: Vec<Uuid>,
}

struct Draining {
    parts: Parts,
    keys: Keys,
    /// `None` where it does not have the lock.
    session: Option<Session>,
    /// Why rows wait, as it was told last.
    trouble: Option<String>,
}

impl Draining {
    fn run(mut self, closing: &Receiver<()>) {
        let mut wait = EVERY;
        while closing.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match self.pass(&|| closing.try_recv() == Err(TryRecvError::Disconnected)) {
                Ok(None) => SELDOM,
                Ok(Some(tally)) => {
                    let stuck = tally.taken == 0 && tally.left.is_some();
                    self.tell(tally.left);
                    if stuck {
                        // Another server may be able to.
                        self.session = None;
                        SELDOM
                    } else {
                        EVERY
                    }
                }
                Err(error) => {
                    self.session = None;
                    self.keys.forget_check();
                    self.tell(Some(error.to_string()));
                    RETRY
                }
            };
        }
    }

    /// The log has each reason once.
    fn tell(&mut self, trouble: Option<String>) {
        match &trouble {
            Some(reason) if self.trouble.as_ref() != Some(reason) => tracing::warn!(reason, "rows of the inbox wait; they are tried again"),
            _ => {}
        }
        self.trouble = trouble;
    }

    /// Takes the lock, if no other server has it.
    fn hold(&mut self) -> Result<bool, StoreError> {
        if self.session.as_ref().is_some_and(Session::is_idle) {
            return Ok(true);
        }
        let session = Session::open(&self.parts.database)?;
        session.batch(SETTINGS)?;
        let locked = session.query(&session.prepare(TRY_LOCK)?, &[])?;
        let locked = locked.first().map(|row| row.try_get(0)).transpose().map_err(SqlError::from)?.unwrap_or(false);
        self.session = Some(session).filter(|_| locked);
        Ok(locked)
    }

    /// Takes everything that can be seen. `None` where another server does.
    fn pass(&mut self, closing: &dyn Fn() -> bool) -> Result<Option<Tally>, StoreError> {
        if !self.hold()? {
            return Ok(None);
        }
        let Some(session) = self.session.as_ref() else { return Ok(None) };
        self.keys.look_over(session)?;
        let (mut after, mut tally) = (0, Tally { without: self.keys.away(), ..Tally::default() });
        while !closing() {
            let rows = Row::read(session, after, &tally.without)?;
            let Some(last) = rows.last() else { break };
            after = last.n;
            self.take(session, &rows, &mut tally)?;
        }
        Ok(Some(tally))
    }

    /// Has rows chained, and those that cannot be rejected.
    fn take(&self, session: &Session, rows: &[Row], tally: &mut Tally) -> Result<(), StoreError> {
        let desk = &self.parts.desk;
        let stored = |project_id: Uuid| -> Result<bool, StoreError> {
            let project_id = project_id.to_string();
            Ok(!session.query(&session.prepare(IS_STORED)?, &[Param::Text(&project_id)])?.is_empty())
        };
        let (mut ready, mut rejected) = (Vec::new(), Vec::new());
        for (row, opened) in rows.iter().zip(Row::open_all(rows, desk, &self.keys)) {
            match row.prepare(desk, opened, || stored(row.project_id))? {
                Ok(prepared) => ready.push((row, prepared)),
                Err(Unchained::Rejected(reason)) => rejected.push((row, reason.into_owned())),
                Err(Unchained::Later(reason)) => {
                    tally.left = Some(reason.to_owned());
                    tally.without.push(row.organization_id);
                }
            }
        }
        tally.without.sort_unstable();
        tally.without.dedup();
        for (row, refused) in self.chain(ready, tally) {
            rejected.push((row, refused));
        }
        let told: Vec<_> = rejected.iter().filter_map(|(row, reason)| Some((*row, row.rejected(desk, &self.keys, reason)?))).collect();
        if told.len() < rejected.len() {
            tally.left = Some("a rejection cannot be recorded".to_owned());
        }
        for (row, refused) in self.chain(told, tally) {
            tally.left = Some(format!("the rejection of row {} is refused: {refused}", row.n));
        }
        Ok(())
    }

    /// Hands events in, each with the end of its row. Those that are refused for what they are, and why.
    fn chain<'r>(&self, ready: Vec<(&'r Row, Prepared)>, tally: &mut Tally) -> Vec<(&'r Row, String)> {
        let (desk, mut works, mut handed_in) = (&self.parts.desk, Vec::with_capacity(ready.len()), Vec::with_capacity(ready.len()));
        for (row, prepared) in ready {
            let mut events = vec![prepared];
            handed_in.push((row, reported(&mut events)));
            works.push(Work::with_changes(events, vec![Change::Drained { n: row.n }], Privilege::Caller));
        }
        let mut refused = Vec::new();
        for ((row, broken), answer) in handed_in.into_iter().zip(self.parts.writer.submit_each(works)) {
            match answer {
                Ok(receipts) => {
                    tally.taken += 1;
                    if !broken.is_empty() {
                        desk.schemas.count(broken, &receipts, desk.clock.monotonic());
                    }
                }
                Err(error @ (AppendError::Busy { .. } | AppendError::Unavailable { .. })) => tally.left = Some(error.to_string()),
                Err(AppendError::Conflict { .. }) => refused.push((row, "another event has the id".to_owned())),
                Err(AppendError::Fault { fault, .. }) => refused.push((row, reason(&fault))),
            }
        }
        refused
    }
}
