//! Where a ledger is read from.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::sync::Arc;

use super::postgres::{self, Database, Session};
use super::sql::{Connection, SqlResult};
use super::{Expected, StoreError, sqlite};

/// Where the ledger lies.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In this file.
    File(PathBuf),
    /// In a database that other servers may share.
    Database(Arc<Database>),
}

impl Source {
    /// A connection that only reads.
    pub(crate) fn open_reader(&self) -> Result<Connection, StoreError> {
        match self {
            Self::File(path) => Ok(sqlite::open_reader(path)?.into()),
            Self::Database(database) => Ok(Connection::Postgres(Box::new(Session::open(database)?))),
        }
    }

    /// The connection that writes.
    pub(crate) fn open_writer(&self, expected: &Arc<Expected>) -> Result<Connection, StoreError> {
        match self {
            Self::File(path) => Ok(sqlite::open_writer(path, expected)?.into()),
            Self::Database(database) => {
                let session = Session::open(database)?;
                session.batch(postgres::WRITER_SETTINGS)?;
                Ok(Connection::Postgres(Box::new(session)))
            }
        }
    }

    /// A connection that verification reads: in the place of each table that is not there is an empty one, of this connection alone.
    pub(crate) fn open_verifier(&self) -> Result<Connection, StoreError> {
        match self {
            Self::File(path) => Ok(sqlite::open_verifier(path)?.into()),
            Self::Database(database) => Ok(postgres::open_verifier(database)?),
        }
    }

    /// The database, where it is one that other servers may share.
    pub(crate) const fn database(&self) -> Option<&Arc<Database>> {
        match self {
            Self::File(_) => None,
            Self::Database(database) => Some(database),
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Database(database) => write!(f, "{database}"),
        }
    }
}

/// The tables in whose place [`Source::open_verifier`] put an empty one.
pub(crate) fn absent_tables(connection: &Connection) -> SqlResult<Vec<String>> {
    match connection {
        Connection::Sqlite(connection) => Ok(sqlite::absent_tables(connection)?),
        Connection::Postgres(session) => postgres::absent_tables(session),
    }
}
