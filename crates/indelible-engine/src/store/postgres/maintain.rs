//! What only the owner of the tables may do, over a connection of its own: bring them to this program's version, and make partitions.

use std::sync::Arc;
use std::time::Duration;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::bind::{Purpose, bind};
use super::check::{Finding, Weight, check};
use super::install::{Installed, VERSION, install, version};
use super::session::Session;
use super::wait::wait_for;
use super::{Database, told};
use crate::store::StoreError;
use crate::store::sql::Param;

/// Key of the advisory lock under which servers start: "indelopn".
const OPENING: i64 = 0x696e_6465_6c6f_706e;
/// How long installing may take: it may have to wait for another server that does.
const INSTALL_WAIT: Duration = Duration::from_mins(10);

/// How the owner of the tables connects.
#[derive(Debug, Clone)]
pub(crate) struct Maintenance(Arc<Database>);

impl Maintenance {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self(database)
    }

    /// Brings the tables to this program's version, if they are not; and makes the partitions of this month and of those ahead.
    pub(crate) fn prepare(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut session = Session::open(&self.0)?;
        let unready = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("{}: {error}", self.0));
        let there = wait_for(version(session.client_mut()), INSTALL_WAIT)?.map_err(|error| unready(&told(&error)))?;
        if there != VERSION {
            add_pgcrypto(&session);
            let installed = wait_for(install(session.client_mut()), INSTALL_WAIT)?.map_err(|error| unready(&error))?;
            tracing::info!(database = %self.0, from = installed.before, to = installed.now, "the tables were brought forward");
        }
        // A server that may not make partitions runs as long as somebody else makes them.
        if let Err(error) = make(&session, now) {
            tracing::warn!(database = %self.0, %error, "no partition was made: name the owner of the tables with --database-maintenance");
        }
        Ok(())
    }

    /// Makes the partition of a time, and those ahead of it.
    pub(crate) fn make_partitions(&self, at: Timestamp) -> Result<(), StoreError> {
        make(&Session::open(&self.0)?, at)
    }
}

/// Held by a server that starts, until it knows what there is, and has made it where there was nothing. It goes with its session.
pub(crate) struct Opening(#[expect(dead_code, reason = "it is held")] Session);

impl Opening {
    /// Waits until no other server is starting.
    pub(crate) fn wait(database: &Database) -> Result<Self, StoreError> {
        let session = Session::open(database)?;
        session.batch(&format!("SET lock_timeout TO '25s'; SET idle_session_timeout TO '120s'; SELECT pg_advisory_lock({OPENING})"))?;
        Ok(Self(session))
    }
}

/// Brings a database to this program's version, as the owner of its tables.
pub fn install_in(database: &Database) -> Result<Installed, String> {
    let mut session = Session::open(database).map_err(|error| error.to_string())?;
    add_pgcrypto(&session);
    let installed = wait_for(install(session.client_mut()), INSTALL_WAIT).map_err(|error| error.to_string())?;
    installed.map_err(|error| format!("{database}: {error}"))
}

/// Looks a database over for what was weakened. `now` is by the clock of the server that writes.
pub fn check_in(database: &Database, now: Timestamp) -> Result<Vec<Finding>, String> {
    let mut session = Session::open(database).map_err(|error| error.to_string())?;
    let found = wait_for(check(session.client_mut(), now), INSTALL_WAIT).map_err(|error| error.to_string())?;
    found.map_err(|error| format!("{database}: {}", told(&error)))
}

/// The same as a server does at its start: what is found is in its log.
pub(crate) fn look_over(database: &Database, now: Timestamp) {
    match check_in(database, now) {
        Ok(findings) => {
            for finding in findings {
                let (kind, object) = (finding.kind, &finding.object);
                match finding.weight {
                    Weight::Fault => tracing::error!(%kind, object, "{}", finding.sentence),
                    Weight::Warning => tracing::warn!(%kind, object, "{}", finding.sentence),
                }
            }
        }
        Err(error) => tracing::warn!(error, "the database could not be looked over"),
    }
}

/// Adds the extension that encrypts what waits in the inbox, where the system has it and this role may. Without it `audit.append` refuses,
/// until somebody accepts that events wait there as they are.
fn add_pgcrypto(session: &Session) {
    if let Err(error) = session.batch("CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public") {
        tracing::warn!(%error, "the extension pgcrypto is not there and was not added");
    }
}

/// Whether the extension pgcrypto is there.
pub fn has_pgcrypto_in(database: &Database) -> Result<bool, String> {
    let session = Session::open(database).map_err(|error| error.to_string())?;
    let find = session.prepare("SELECT FROM pg_extension WHERE extname = 'pgcrypto'").map_err(|error| error.to_string())?;
    session.query(&find, &[]).map(|rows| !rows.is_empty()).map_err(|error| error.to_string())
}

/// Makes a role that is bound to a project already a member of those who may append, or read with SQL.
pub fn let_in(database: &Database, purpose: Purpose, role: &str, project_id: Uuid) -> Result<(), String> {
    let mut session = Session::open(database).map_err(|error| error.to_string())?;
    let bound = wait_for(bind(session.client_mut(), purpose, role, project_id), INSTALL_WAIT).map_err(|error| error.to_string())?;
    bound.map_err(|error| format!("{database}: {error}"))
}

fn make(session: &Session, at: Timestamp) -> Result<(), StoreError> {
    // Where all are there, nothing is asked of the owner: the server's own role may look.
    let make = session.prepare("SELECT audit.make_partitions(to_timestamp(?1::bigint / 1000000.0))")?;
    for made in session.query(&make, &[Param::Integer(at.as_micros())])? {
        let name: String = made.try_get(0).map_err(crate::store::sql::SqlError::from)?;
        tracing::info!(name, "a partition was made");
    }
    Ok(())
}

/// The partition of `events` that holds what is recorded at a time.
pub(crate) fn partition(at: Timestamp) -> String {
    let text = at.to_string();
    format!("events_{}_{}", &text[..4], &text[5..7])
}
