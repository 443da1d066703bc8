//! Rows of either database, and what is read of them.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;

use super::{SqlError, SqlResult};
use crate::store::postgres::{self, Cursor};

/// Rows, as they are asked for.
pub(crate) enum Rows<'s> {
    /// Of SQLite.
    Sqlite(rusqlite::Rows<'s>),
    /// Of PostgreSQL.
    Postgres(Cursor<'s>),
}

impl Rows<'_> {
    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> SqlResult<Option<Row<'_>>> {
        match self {
            Self::Sqlite(rows) => Ok(rows.next()?.map(Row::Sqlite)),
            Self::Postgres(cursor) => Ok(cursor.next()?.map(Row::Postgres)),
        }
    }

    /// The row that [`Self::next`] gave last.
    pub(crate) fn current(&self) -> Option<Row<'_>> {
        match self {
            Self::Sqlite(rows) => rows.get().map(Row::Sqlite),
            Self::Postgres(cursor) => cursor.current().map(Row::Postgres),
        }
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(crate) enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(&'r tokio_postgres::Row),
}

/// A value as it lies in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueRef<'r> {
    /// NULL
    Null,
    /// An integer.
    Integer(i64),
    /// Text, not checked for UTF-8.
    Text(&'r [u8]),
    /// Bytes.
    Blob(&'r [u8]),
    /// Something that no table here has.
    Other,
}

impl<'r> ValueRef<'r> {
    /// The bytes of a text or a byte string.
    pub(crate) const fn as_bytes(self) -> Option<&'r [u8]> {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A byte string.
    pub(crate) const fn as_blob(self) -> Option<&'r [u8]> {
        match self {
            Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A text.
    pub(crate) fn as_str(self) -> Option<&'r str> {
        match self {
            Self::Text(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// The place of a column, from 0.
pub(crate) trait Place {
    /// As a number.
    fn at(self) -> usize;
}

impl Place for usize {
    fn at(self) -> usize {
        self
    }
}

impl<'r> Row<'r> {
    /// A value, if it is what it should be.
    pub(crate) fn get<P: Place, T: Column>(&self, place: P) -> SqlResult<T> {
        let at = place.at();
        T::of(self.get_ref(at)?).ok_or(SqlError::Unfit(at, T::NAME))
    }

    /// A value, whatever it is.
    pub(crate) fn get_ref(&self, at: usize) -> SqlResult<ValueRef<'r>> {
        match self {
            Self::Sqlite(row) => {
                use rusqlite::types::ValueRef as Found;
                Ok(match row.get_ref(at)? {
                    Found::Null => ValueRef::Null,
                    Found::Integer(n) => ValueRef::Integer(n),
                    Found::Text(text) => ValueRef::Text(text),
                    Found::Blob(bytes) => ValueRef::Blob(bytes),
                    Found::Real(_) => ValueRef::Other,
                })
            }
            Self::Postgres(row) => postgres::value(row, at),
        }
    }

    /// The bytes of a text or a byte string.
    pub(crate) fn bytes(&self, at: usize) -> SqlResult<&'r [u8]> {
        self.get_ref(at)?.as_bytes().ok_or(SqlError::Unfit(at, "a text or a byte string"))
    }
}

/// What a value can be read as.
pub(crate) trait Column: Sized {
    /// In words.
    const NAME: &'static str;

    /// `None` where it is something else.
    fn of(value: ValueRef<'_>) -> Option<Self>;
}

impl Column for i64 {
    const NAME: &'static str = "an integer";

    fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Integer(n) => Some(n),
            _ => None,
        }
    }
}

impl Column for u8 {
    const NAME: &'static str = "a small integer";

    fn of(value: ValueRef<'_>) -> Option<Self> {
        i64::of(value).and_then(|n| Self::try_from(n).ok())
    }
}

impl Column for bool {
    const NAME: &'static str = "true or false";

    fn of(value: ValueRef<'_>) -> Option<Self> {
        i64::of(value).map(|n| n != 0)
    }
}

impl Column for String {
    const NAME: &'static str = "a text";

    fn of(value: ValueRef<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Column for Vec<u8> {
    const NAME: &'static str = "a byte string";

    fn of(value: ValueRef<'_>) -> Option<Self> {
        value.as_blob().map(<[u8]>::to_vec)
    }
}

impl<const N: usize> Column for [u8; N] {
    const NAME: &'static str = "a byte string of its length";

    fn of(value: ValueRef<'_>) -> Option<Self> {
        value.as_blob()?.try_into().ok()
    }
}

impl<T: Column> Column for Option<T> {
    const NAME: &'static str = T::NAME;

    fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            other => T::of(other).map(Some),
        }
    }
}
