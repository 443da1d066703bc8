//! The turn to write: one row, whose lock is held from before a group is planned until it is committed. So whichever server writes,
//! rows are dense, and come to be seen in their order.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::Session;
use crate::store::StoreError;
use crate::store::sql::{Param, SqlError};

/// Sessions of this role that hold the turn, and for so long have waited for rows that are being copied. Those of other roles are not seen.
const STUCK: &str = "SELECT pid FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database() AND usename = session_user AND state = 'active'
      AND wait_event = 'ClientRead' AND starts_with(query, 'COPY ')
      AND query_start < clock_timestamp() - make_interval(secs => ?1::bigint)
      AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'turn'::regclass AND mode = 'RowShareLock')";

/// How the ledger stood when the turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The newest row.
    pub(crate) last_row: i64,
    /// When it was recorded, microseconds since 1970.
    pub(crate) recorded_at_micros: i64,
    /// Counts changes of what servers hold in memory.
    pub(crate) control_epoch: i64,
}

impl Turn {
    /// Begins a transaction and waits for its turn.
    pub(crate) fn take(session: &Session) -> Result<Self, StoreError> {
        // Of the transaction: what passes transactions from session to session would lose a setting of the session.
        session.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit TO on")?;
        Self::wait(session)
    }

    /// Waits for its turn in a transaction that has begun.
    pub(crate) fn wait(session: &Session) -> Result<Self, StoreError> {
        Self::read(session, "SELECT last_row, recorded_at, control_epoch FROM turn FOR UPDATE")
    }

    /// Ends the sessions of servers that stand still in the midst of sending rows, with the turn in hand: no setting of the database does. A
    /// server gives up itself what took as long as it waits for answers, so what is still under way some time after that is nobody's.
    pub(crate) fn free(session: &Session, stuck: Duration) -> Result<(), StoreError> {
        let stuck = session.query(&session.prepare(STUCK)?, &[Param::Integer(stuck.as_secs().max(1) as i64)])?;
        // Not in one statement with what finds them: in which order that asks what is not said, and it would end others before it looks.
        let end = session.prepare("SELECT pg_terminate_backend(?1)")?;
        for row in stuck {
            let pid: i32 = row.try_get(0).map_err(SqlError::from)?;
            session.query(&end, &[Param::Integer(pid.into())])?;
            tracing::warn!(pid, "the session of a server that stood still in the midst of sending rows was ended");
        }
        Ok(())
    }

    /// Whether somebody had the turn for as long as one waits for it.
    pub(crate) fn is_stuck(error: &StoreError) -> bool {
        matches!(error, StoreError::Sql(SqlError::Postgres(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }

    /// How it stands now, without waiting.
    pub(crate) fn look(session: &Session) -> Result<Self, StoreError> {
        Self::read(session, "SELECT last_row, recorded_at, control_epoch FROM turn")
    }

    fn read(session: &Session, sql: &str) -> Result<Self, StoreError> {
        let select = session.prepare(sql)?;
        let rows = session.query(&select, &[])?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt("the table turn is empty: run `indelible database check`".to_owned()))?;
        let number = |at: usize| row.try_get::<_, i64>(at).map_err(SqlError::from);
        Ok(Self { last_row: number(0)?, recorded_at_micros: number(1)?, control_epoch: number(2)? })
    }

    /// Says how it stands once the group is committed.
    pub(crate) fn pass_on(&self, session: &Session) -> Result<(), StoreError> {
        let update = session.prepare("UPDATE turn SET last_row = ?1, recorded_at = ?2, control_epoch = ?3")?;
        let params = [self.last_row, self.recorded_at_micros, self.control_epoch].map(Param::Integer);
        // The last statement before COMMIT: a transaction that is aborted fails here, and COMMIT would not say so.
        let changed = session.execute(&update, &params)?;
        if changed == 1 { Ok(()) } else { Err(StoreError::Corrupt("the table turn does not have one row".to_owned())) }
    }
}
