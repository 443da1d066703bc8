//! Work that one server does for all, each kind under a lease of its name: sealing, and with it asking the witnesses; verification in the
//! background. Whoever has the lease holds its row locked while at it, and says when the lease ends unless it is renewed, again and again
//! in the course of work that takes long ([`Lease::keep`]). Whoever takes it over counts its epoch up, in a transaction of its own and before
//! anything is done under it; what was made under an older epoch is refused by the writer. A server that stands still in the midst of it is
//! let go of by the database after a while, finds its lease gone when it goes on, and stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::store::postgres::{Session, Turn};
use crate::store::sql::{Param, SqlError};
use crate::store::{Database, StoreError};

/// How long the database waits for a server that stands still while it holds the row, and how long others wait for the row.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout TO '60s'; SET lock_timeout TO '20s'";
/// How often the lease is renewed while at work. Whoever waits for the row has it then, so this is less than they wait.
const RENEW_EVERY: Duration = Duration::from_secs(5);
const FIRST: &str = "INSERT INTO leases (work, holder, epoch, expires_at) VALUES (?1, ?2, 0, '-infinity') ON CONFLICT (work) DO NOTHING";
/// A row that is locked is that of a server at work, or of one that is about to take it.
const FREE: &str = "SELECT 1 FROM leases WHERE work = ?1 AND (expires_at < clock_timestamp() OR holder = ?2) FOR UPDATE SKIP LOCKED";
const WAIT: &str = "SELECT 1 FROM leases WHERE work = ?1 FOR UPDATE";
const TAKE: &str = "UPDATE leases SET holder = ?2, epoch = epoch + 1, expires_at = clock_timestamp() + make_interval(secs => ?3::bigint)
                    WHERE work = ?1 RETURNING epoch";
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
    /// When it was last said how long it lasts.
    renewed: Instant,
}

impl Lease {
    /// `holder` is this server's id, drawn when it started; a lease `lasts` so long after each use.
    pub(crate) fn new(database: Arc<Database>, work: &'static str, holder: Uuid, lasts: Duration) -> Self {
        Self { database, work, holder, lasts, session: None, term: None, renewed: Instant::now() }
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
        let session = session_of(&mut self.session, &self.database)?;
        if let Some(term) = self.term
            && lock(session, term)?
        {
            self.renewed = Instant::now();
            return Ok(Some((term, false)));
        }
        self.term = None;
        let (work, holder) = (Param::Text(self.work), self.holder.into_bytes());
        let (holder, lasts) = (Param::Blob(&holder), Param::Integer(self.lasts.as_secs() as i64));
        session.execute(&session.prepare(FIRST)?, &[work, holder])?;
        session.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")?;
        // The row before the turn: nobody who has the turn waits for the row, and whoever waits for the row keeps nobody from writing.
        let there = if insist {
            session.query(&session.prepare(WAIT)?, &[work])?
        } else {
            session.query(&session.prepare(FREE)?, &[work, holder])?
        };
        if there.is_empty() {
            session.end("ROLLBACK")?;
            return Ok(None);
        }
        // Under the turn: what was written under the term before this one is committed, or will be refused.
        Turn::wait(session)?;
        let taken = session.query(&session.prepare(TAKE)?, &[work, holder, lasts])?;
        session.end("COMMIT")?;
        let Some(row) = taken.first() else { return Ok(None) };
        let term = Term { work: self.work, holder: self.holder, epoch: row.try_get(0).map_err(SqlError::from)? };
        (self.term, self.renewed) = (Some(term), Instant::now());
        Ok(lock(session, term)?.then_some((term, true)))
    }

    /// Renews it, if that is due; called again and again by whoever is at work. An error where it is lost.
    pub(crate) fn keep(&mut self) -> Result<(), StoreError> {
        if self.renewed.elapsed() < RENEW_EVERY { Ok(()) } else { self.renew() }
    }

    /// Whether it is held still: asked before anything is done that cannot be taken back. An error where it is not.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        let Some(term) = self.term else { return Err(StoreError::TakenOver) };
        let asked = self.session.as_ref().map(|session| {
            let held = session.prepare(IS_HELD)?;
            session.query(&held, &term.params().as_params())
        });
        match asked {
            Some(Ok(rows)) if !rows.is_empty() => Ok(()),
            Some(Ok(_)) => Err(StoreError::TakenOver),
            // A session that was ended is no reason to stop, as long as nobody else has the lease.
            Some(Err(_)) | None => {
                self.session = None;
                self.renew()
            }
        }
    }

    /// Says anew how long it lasts, for everybody to see, and holds the row again.
    fn renew(&mut self) -> Result<(), StoreError> {
        let Some(term) = self.term else { return Err(StoreError::TakenOver) };
        if let Some(session) = self.session.take()
            && say(&session, term, self.lasts).is_ok()
        {
            self.session = Some(session);
        }
        let session = session_of(&mut self.session, &self.database)?;
        match lock(session, term) {
            Ok(true) => {
                self.renewed = Instant::now();
                Ok(())
            }
            Ok(false) => Err(StoreError::TakenOver),
            Err(error) => {
                self.session = None;
                Err(error)
            }
        }
    }

    /// Lets others look; it stays this server's for as long as it lasts, or not at all where the server `closes`.
    pub(crate) fn let_go(&mut self, closes: bool) {
        let (Some(session), Some(term)) = (self.session.take(), self.term) else { return };
        match say(&session, term, if closes { Duration::ZERO } else { self.lasts }) {
            Ok(()) => self.session = Some(session),
            Err(error) => tracing::warn!(%error, work = self.work, "a lease was not renewed"),
        }
    }
}

/// The session of a lease, opened anew where there is none that can be used.
fn session_of<'s>(kept: &'s mut Option<Session>, database: &Database) -> Result<&'s Session, StoreError> {
    let session = if let Some(session) = kept.take().filter(Session::is_idle) {
        session
    } else {
        let session = Session::open(database)?;
        session.batch(SETTINGS)?;
        session
    };
    Ok(kept.insert(session))
}

/// Says how long it lasts from now, and lets go of the row.
fn say(session: &Session, term: Term, lasts: Duration) -> Result<(), StoreError> {
    let mut params = term.params();
    params.more = Some(lasts.as_secs() as i64);
    session.execute(&session.prepare(KEEP)?, &params.as_params())?;
    Ok(session.end("COMMIT")?)
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
