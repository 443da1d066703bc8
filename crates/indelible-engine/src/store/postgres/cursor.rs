//! Rows as they are asked for. Within a transaction they come from a cursor of the server, a few at a time, and any number of cursors may
//! be read along each other; outside of one, all at once.

use tokio_postgres::Row;

use super::session::{Prepared, Session};
use crate::store::sql::{Param, SqlResult};

/// Rows fetched at once.
pub(super) const FETCHED: usize = 512;

/// Rows that are being read.
pub(crate) struct Cursor<'s> {
    rows: std::vec::IntoIter<Row>,
    at: Option<Row>,
    /// Where more come from, until its end.
    more: Option<(&'s Session, Prepared, String)>,
}

impl<'s> Cursor<'s> {
    /// Rows that are all here.
    pub(super) fn of(rows: Vec<Row>) -> Self {
        Self { rows: rows.into_iter(), at: None, more: None }
    }

    /// Opens a cursor of this name.
    pub(super) fn declare(session: &'s Session, name: String, sql: &str, params: &[Param<'_>]) -> SqlResult<Self> {
        session.declare(&format!("DECLARE {name} NO SCROLL CURSOR FOR {sql}"), params)?;
        let fetch = session.prepare(&format!("FETCH {FETCHED} FROM {name}"))?;
        Ok(Self { rows: Vec::new().into_iter(), at: None, more: Some((session, fetch, name)) })
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> SqlResult<Option<&Row>> {
        self.at = self.rows.next();
        if self.at.is_none()
            && let Some((session, fetch, _)) = &self.more
        {
            let rows = session.query(fetch, &[])?;
            if rows.len() < FETCHED {
                self.close();
            }
            self.rows = rows.into_iter();
            self.at = self.rows.next();
        }
        Ok(self.at.as_ref())
    }

    /// The row that [`Self::next`] gave last.
    pub(crate) const fn current(&self) -> Option<&Row> {
        self.at.as_ref()
    }

    fn close(&mut self) {
        if let Some((session, _, name)) = self.more.take() {
            session.close_cursor(&name);
        }
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
