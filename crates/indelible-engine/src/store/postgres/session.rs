//! One session with the database: statements prepared once, transactions, and cursors.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::connect::{OnHint, Warned, connect_hinted};
use super::cursor::Cursor;
use super::months::{Months, Wanted, by_row};
use super::{Database, wait};
use crate::store::sql::{Param, SqlError, SqlResult};

/// Statements kept prepared.
const PREPARED_MAX: usize = 256;

/// Of every session. A machine that vanishes is missed by the database within seconds, and what it held is let go of.
const SETTINGS: &str = "SET search_path TO audit, pg_temp; SET TimeZone TO 'UTC'; SET synchronous_commit TO on; \
     SET tcp_keepalives_idle TO 5; SET tcp_keepalives_interval TO 2; SET tcp_keepalives_count TO 3";

/// The channel on which servers tell each other to look.
const HINT: &str = "audit_turn";

/// A statement that the server has prepared.
#[derive(Clone)]
pub(crate) struct Prepared {
    statement: Statement,
    /// Counts the statements of the session, to name cursors by.
    number: usize,
    sql: std::sync::Arc<str>,
    /// Where it is told in which months to look, by the rows that it looks for.
    wanted: Option<Wanted>,
}

impl Prepared {
    /// As the client takes it.
    pub(crate) const fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// A session.
pub(crate) struct Session {
    client: Client,
    wait_max: Duration,
    prepared: RefCell<HashMap<String, Prepared>>,
    /// Names of cursors that are open.
    cursors: RefCell<HashSet<String>>,
    counted: Cell<usize>,
    in_transaction: Cell<bool>,
    months: RefCell<Option<Months>>,
    warned: Warned,
}

impl Session {
    /// Opens one.
    pub(crate) fn open(database: &Database) -> SqlResult<Self> {
        Self::open_hinted(database, Box::new(|| ()))
    }

    /// Opens one that listens to [`Self::hint`], and does this each time.
    pub(crate) fn open_listening(database: &Database, on_hint: OnHint) -> SqlResult<Self> {
        let session = Self::open_hinted(database, on_hint)?;
        match session.batch(&format!("LISTEN {HINT}")) {
            // What speaks for PostgreSQL there may not know of it; hints are then lost, and nothing else.
            Err(SqlError::Postgres(error)) if error.as_db_error().is_some() => {
                tracing::warn!(
                    error = super::told(&error),
                    "the database tells of no notifications: other servers are heard of a little later"
                );
            }
            listening => listening?,
        }
        Ok(session)
    }

    fn open_hinted(database: &Database, on_hint: OnHint) -> SqlResult<Self> {
        let wires = super::wait::wires()?;
        let (sender, receiver) = std::sync::mpsc::channel();
        let (wanted, wait_max, warned) = (database.clone(), database.wait_max, Warned::default());
        let warns = Warned::clone(&warned);
        wires.spawn(async move {
            let opened = tokio::time::timeout(wait_max, connect_hinted(&wanted, on_hint, warns)).await;
            // Whoever asked may have gone.
            let _ = sender.send(opened);
        });
        let unreachable = |why: String| SqlError::Unreachable(format!("{database}: {why}"));
        let opened = receiver.recv().map_err(|_| unreachable("the connection broke".to_owned()))?;
        let client = opened.map_err(|_| unreachable(format!("no connection within {} s", wait_max.as_secs_f32())))?;
        let client = client.map_err(unreachable)?;
        let session = Self {
            client,
            wait_max,
            prepared: RefCell::default(),
            cursors: RefCell::default(),
            counted: Cell::new(0),
            in_transaction: Cell::new(false),
            months: RefCell::default(),
            warned,
        };
        session.batch(SETTINGS)?;
        Ok(session)
    }

    /// Whether no transaction is open and the server still there.
    pub(crate) fn is_idle(&self) -> bool {
        !self.in_transaction.get() && !self.client.is_closed()
    }

    /// Prepares a statement, or takes the one that was prepared before.
    pub(crate) fn prepare(&self, sql: &str) -> SqlResult<Prepared> {
        if let Some(prepared) = self.prepared.borrow().get(sql) {
            return Ok(prepared.clone());
        }
        self.prepare_as(sql.to_owned(), sql, None)
    }

    /// The same, of a statement that looks for events by row: see [`by_row`].
    pub(crate) fn prepare_by_row(&self, sql: &str) -> SqlResult<Prepared> {
        let name = format!("by row: {sql}");
        if let Some(prepared) = self.prepared.borrow().get(&name) {
            return Ok(prepared.clone());
        }
        match by_row(sql) {
            Some((told, wanted)) => self.prepare_as(name, &told, Some(wanted)),
            None => self.prepare(sql),
        }
    }

    fn prepare_as(&self, name: String, sql: &str, wanted: Option<Wanted>) -> SqlResult<Prepared> {
        let text = translated(sql);
        let statement = wait(self.client.prepare(&text), self.wait_max)?;
        let number = self.counted.get();
        self.counted.set(number + 1);
        let prepared = Prepared { statement, number, sql: text.into(), wanted };
        let mut all = self.prepared.borrow_mut();
        if all.len() >= PREPARED_MAX {
            all.clear();
        }
        all.insert(name, prepared.clone());
        Ok(prepared)
    }

    /// The parameters of a statement, with the months in which it looks.
    fn told<'p>(&self, prepared: &Prepared, params: &[Param<'p>]) -> SqlResult<Vec<Param<'p>>> {
        let mut params = params.to_vec();
        let Some(wanted) = prepared.wanted else { return Ok(params) };
        if self.months.borrow().as_ref().is_none_or(Months::is_old) {
            let asked = Months::ask(self)?;
            self.months.replace(Some(asked));
        }
        let row = |at: usize, otherwise: i64| match params.get(at) {
            Some(Param::Integer(row)) => *row,
            _ => otherwise,
        };
        let rows = match wanted {
            Wanted::One => (row(0, i64::MIN), row(0, i64::MAX)),
            Wanted::Range => (row(0, i64::MIN), row(1, i64::MAX)),
            Wanted::From => (row(0, i64::MIN), i64::MAX),
        };
        if let Some(months) = self.months.borrow().as_ref() {
            let (from, until) = months.around(rows);
            params.extend([Param::Integer(from), Param::Integer(until)]);
        }
        Ok(params)
    }

    /// All rows.
    pub(crate) fn query(&self, prepared: &Prepared, params: &[Param<'_>]) -> SqlResult<Vec<Row>> {
        let params = self.told(prepared, params)?;
        wait(self.client.query(&prepared.statement, &as_sql(&params)), self.wait_max)
    }

    /// The rows, as they are asked for.
    pub(crate) fn open_rows(&self, prepared: &Prepared, params: &[Param<'_>]) -> SqlResult<Cursor<'_>> {
        if !self.in_transaction.get() {
            return Ok(Cursor::of(self.query(prepared, params)?));
        }
        let mut name = format!("rows_{}", prepared.number);
        while !self.cursors.borrow_mut().insert(name.clone()) {
            name.push('x');
        }
        Cursor::declare(self, name, &prepared.sql, &self.told(prepared, params)?)
    }

    pub(super) fn declare(&self, sql: &str, params: &[Param<'_>]) -> SqlResult<()> {
        wait(self.client.execute(sql, &as_sql(params)), self.wait_max).map(drop)
    }

    /// Lets a cursor go. Where that fails, so has the transaction, and all cursors with it.
    pub(super) fn close_cursor(&self, name: &str) {
        if self.in_transaction.get() {
            let _ = self.batch(&format!("CLOSE {name}"));
        }
        self.cursors.borrow_mut().remove(name);
    }

    /// How many rows a statement changed.
    pub(crate) fn execute(&self, prepared: &Prepared, params: &[Param<'_>]) -> SqlResult<usize> {
        wait(self.client.execute(&prepared.statement, &as_sql(params)), self.wait_max).map(|rows| rows as usize)
    }

    /// Statements without parameters.
    pub(crate) fn batch(&self, sql: &str) -> SqlResult<()> {
        wait(self.client.batch_execute(sql), self.wait_max)
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self, sql: &str) -> SqlResult<()> {
        // It may have begun though no answer came: the session is then not lent again.
        self.in_transaction.set(true);
        self.batch(sql)
    }

    /// Ends it, by COMMIT or ROLLBACK. A COMMIT of which the server warns is none: whoever cancels it while it waits for a standby has it
    /// succeed here, with a warning that it may not be there.
    pub(crate) fn end(&self, sql: &str) -> SqlResult<()> {
        let warned = || self.warned.lock().unwrap_or_else(PoisonError::into_inner).take();
        warned();
        self.batch(sql)?;
        self.in_transaction.set(false);
        match warned() {
            Some(warning) if sql == "COMMIT" => Err(SqlError::Unreachable(format!("the server warned of a COMMIT: {warning}"))),
            _ => Ok(()),
        }
    }

    /// Sends that an advisory lock is let go of, and does not wait for the answer. Says whether it was sent.
    pub(crate) fn send_unlock(&self, lock: i64) -> bool {
        self.send(&format!("SELECT pg_advisory_unlock({lock})"))
    }

    /// Tells whoever listens that something was committed, and does not wait for that. It is not part of the commit, for which others would
    /// then wait that notify as well; and nothing depends on it.
    pub(crate) fn hint(&self) {
        self.send(&format!("NOTIFY {HINT}"));
    }

    /// Whether it was sent.
    fn send(&self, sql: &str) -> bool {
        // What is asked is sent when it is first polled; the answer is then nobody's.
        let mut asked = std::pin::pin!(self.client.batch_execute(sql));
        let polled = asked.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        !matches!(polled, std::task::Poll::Ready(Err(_)))
    }

    /// The client, for a transaction of its own.
    pub(super) const fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The client itself, for what only this store does.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for what the client is asked.
    pub(crate) fn wait<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> SqlResult<T> {
        wait(asked, self.wait_max)
    }
}

fn as_sql<'p>(params: &'p [Param<'p>]) -> Vec<&'p (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// A statement as PostgreSQL has it: `$1` for `?1`, which no statement here has in a text; and a plain join where SQLite is told in which
/// order to go, which its own planner knows.
fn translated(sql: &str) -> String {
    let mut numbered = String::with_capacity(sql.len());
    let sql = sql.replace("CROSS JOIN", "JOIN");
    for part in sql.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                let _ = write!(numbered, "{before}$");
            }
            None => numbered.push_str(part),
        }
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::translated;

    #[test]
    fn parameters_are_numbered_as_postgresql_has_them() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("a = ?1 AND b > ?12", "a = $1 AND b > $12"),
            ("?2", "$2"),
            ("VALUES (?1,?2)", "VALUES ($1,$2)"),
            ("a CROSS JOIN b ON c", "a JOIN b ON c"),
        ] {
            assert_eq!(translated(sql), expected);
        }
    }
}
