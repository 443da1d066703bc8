//! Work that one server does for all: sealing. Whoever has the lease does it, holds the lease's row locked while at it, and says when the
//! lease ends unless it is renewed. Whoever takes it over counts its epoch up, in a transaction of its own and before anything is done under
//! it; what was made under an older epoch is refused by the writer. A server that stands still in the midst of it is let go of by the
//! database after a while, finds its lease gone when it goes on, and stops.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::store::postgres::{Session, Turn};
use crate::store::sql::{Param, SqlError};
use crate::store::{Database, StoreError};

/// How long the database waits for a server that stands still while it holds the row, and how long others wait for the row.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout TO '180s'; SET lock_timeout TO '20s'";
const FIRST: &str = "INSERT INTO leases (work, holder, epoch, expires_at) VALUES (?1, ?2, 0, '-infinity') ON CONFLICT (work) DO NOTHING";
const TAKE: &str = "UPDATE leases SET holder = ?2, epoch = epoch + 1, expires_at = clock_timestamp() + make_interval(secs => ?3::bigint)
                    WHERE work = ?1 AND (?4::bigint = 1 OR expires_at < clock_timestamp() OR holder = ?2) RETURNING epoch";
const HOLD: &str = "SELECT 1 FROM leases WHERE work = ?1 AND holder = ?2 AND epoch = ?3 FOR UPDATE";
const KEEP: &str = "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => ?4::bigint)
                    WHERE work = ?1 AND holder = ?2 AND epoch = ?3";
/// What the writer asks before it writes what was made under a lease.
pub(crate) const IS_HELD: &str = "SELECT 1 FROM leases WHERE work = ?1 AND holder = ?2 AND epoch = ?3";

/// Whose a lease is, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// What is done under it.
    pub(crate) work: &'static str,
    /// The server.
    pub(crate) holder: Uuid,
    /// Counts who had it.
    pub(crate) epoch: i64,
}

/// A lease, as one server has it or would have it.
pub(crate) struct Lease {
    database: Arc<Database>,
    work: &'static str,
    holder: Uuid,
    lasts: Duration,
    session: Option<Session>,
    term: Option<Term>,
}

impl Lease {
    /// `holder` is this server's id, drawn when it started; a lease `lasts` so long after each use.
    pub(crate) const fn new(database: Arc<Database>, work: &'static str, holder: Uuid, lasts: Duration) -> Self {
        Self { database, work, holder, lasts, session: None, term: None }
    }

    /// Holds it until [`Self::let_go`]. `None` where another server has it, unless `insist` says to take it over. The second value says
    /// whether another may have had it since it was held last, so that nothing that was known then can be relied on.
    pub(crate) fn hold(&mut self, insist: bool) -> Result<Option<(Term, bool)>, StoreError> {
        let held = self.try_hold(insist);
        if held.is_err() {
            self.session = None;
        }
        held
    }

    fn try_hold(&mut self, insist: bool) -> Result<Option<(Term, bool)>, StoreError> {
        let session = if let Some(session) = self.session.take().filter(Session::is_idle) {
            session
        } else {
            let session = Session::open(&self.database)?;
            session.batch(SETTINGS)?;
            session
        };
        let session = self.session.insert(session);
        if let Some(term) = self.term
            && lock(session, term)?
        {
            return Ok(Some((term, false)));
        }
        self.term = None;
        let (work, holder) = (Param::Text(self.work), self.holder.into_bytes());
        let (holder, lasts) = (Param::Blob(&holder), Param::Integer(self.lasts.as_secs() as i64));
        session.execute(&session.prepare(FIRST)?, &[work, holder])?;
        // Under the turn: what was written under the term before this one is committed, or will be refused.
        Turn::take(session)?;
        let taken = session.query(&session.prepare(TAKE)?, &[work, holder, lasts, Param::Integer(insist.into())])?;
        session.end("COMMIT")?;
        let Some(row) = taken.first() else { return Ok(None) };
        let term = Term { work: self.work, holder: self.holder, epoch: row.try_get(0).map_err(SqlError::from)? };
        self.term = Some(term);
        Ok(lock(session, term)?.then_some((term, true)))
    }

    /// Whether it is held still: asked before anything is done that cannot be taken back.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        let held = match (&self.session, self.term) {
            (Some(session), Some(term)) => session.prepare(IS_HELD).and_then(|held| session.query(&held, &term.params().as_params())),
            _ => return Err(lost()),
        };
        match held {
            Ok(rows) if !rows.is_empty() => Ok(()),
            Ok(_) => Err(lost()),
            Err(error) => {
                self.session = None;
                Err(error.into())
            }
        }
    }

    /// Lets others look; it stays this server's for as long as it lasts, or not at all where the server `closes`.
    pub(crate) fn let_go(&mut self, closes: bool) {
        let (Some(session), Some(term)) = (self.session.take(), self.term) else { return };
        let lasts = if closes { 0 } else { self.lasts.as_secs() as i64 };
        let mut params = term.params();
        params.more = Some(lasts);
        let kept = session.prepare(KEEP).and_then(|keep| session.execute(&keep, &params.as_params())).and_then(|_| session.end("COMMIT"));
        match kept {
            Ok(()) => self.session = Some(session),
            Err(error) => tracing::warn!(%error, work = self.work, "a lease was not renewed"),
        }
    }
}

/// Locks the row of a lease, if it is this server's under this epoch.
fn lock(session: &Session, term: Term) -> Result<bool, StoreError> {
    session.begin("BEGIN")?;
    let there = !session.query(&session.prepare(HOLD)?, &term.params().as_params())?.is_empty();
    if !there {
        session.end("ROLLBACK")?;
    }
    Ok(there)
}

fn lost() -> StoreError {
    StoreError::Corrupt("another server has taken over".to_owned())
}

/// The parameters that name a term.
pub(crate) struct TermParams {
    work: &'static str,
    holder: [u8; 16],
    epoch: i64,
    more: Option<i64>,
}

impl Term {
    /// As [`IS_HELD`] takes it.
    pub(crate) const fn params(self) -> TermParams {
        TermParams { work: self.work, holder: self.holder.into_bytes(), epoch: self.epoch, more: None }
    }
}

impl TermParams {
    /// In their order.
    pub(crate) fn as_params(&self) -> Vec<Param<'_>> {
        let mut params = vec![Param::Text(self.work), Param::Blob(&self.holder), Param::Integer(self.epoch)];
        params.extend(self.more.map(Param::Integer));
        params
    }
}
