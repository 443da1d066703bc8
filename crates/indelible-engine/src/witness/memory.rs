//! What a witness remembers, in one SQLite file: its name, the last tree it cosigned of each log, and what it refused that looks
//! like a second history.
//!
//! The decision is made inside the transaction that stores its outcome, so what was decided on is what is replaced, in this
//! process and any other. COMMIT fsyncs (`synchronous=extra`: the deletion of the journal too). After a failed COMMIT the
//! connection is thrown away, and the file read anew. A tree is only ever replaced; a name never is.

use std::path::{Path, PathBuf};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Name, Signature};
use indelible_core::time::Timestamp;
use indelible_core::witness::{Answer, LastCosigned};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::WitnessError;
use crate::store::open_durable;

/// `PRAGMA application_id`: "indw".
const APPLICATION_ID: i32 = 0x696e_6477;
/// Suspicious requests kept of one log. Anyone who has a signed checkpoint can send it with a proof that does not hold.
const SUSPICIONS_MAX: i64 = 64;

const TABLES: &str = "
CREATE TABLE witness (
    name TEXT NOT NULL -- of the key
) STRICT;

CREATE TABLE cosigned (
    origin TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests whose checkpoint the log signed and whose tree is not the one that was cosigned. With kind other_root, the checkpoint
-- and any cosigned one of that size prove that the log has two histories; with inconsistent, that or a wrong proof.
CREATE TABLE suspicions (
    origin TEXT NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    kind   TEXT NOT NULL,
    at     INTEGER NOT NULL, -- microseconds since 1970
    body   BLOB NOT NULL,
    PRIMARY KEY (origin, size, root, kind)
) STRICT;
";

/// The open file.
pub(super) struct Memory {
    path: PathBuf,
    /// `None` after a failed COMMIT, until the next use.
    connection: Option<Connection>,
}

impl Memory {
    /// Opens it, with mode 0600; makes it where it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, WitnessError> {
        let mut memory = Self { path: path.to_owned(), connection: None };
        memory.connection()?;
        Ok(memory)
    }

    fn connection(&mut self) -> Result<&mut Connection, WitnessError> {
        if self.connection.is_none() {
            self.connection = Some(
                open_durable(&self.path, TABLES, APPLICATION_ID)
                    .map_err(|error| WitnessError::Store(self.path.clone(), error.to_string()))?,
            );
        }
        self.connection.as_mut().ok_or_else(|| WitnessError::Store(self.path.clone(), "it is not open".to_owned()))
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> WitnessError + use<> {
        let path = self.path.clone();
        move |error| WitnessError::Store(path.clone(), error.to_string())
    }

    /// The name of the key, once it has one.
    pub(super) fn name(&mut self) -> Result<Option<Name>, WitnessError> {
        let failed = self.failed();
        let name: Option<String> =
            self.connection()?.query_row("SELECT name FROM witness", [], |row| row.get(0)).optional().map_err(failed)?;
        name.map(|name| Name::new(name).map_err(|error| WitnessError::Store(self.path.clone(), error.to_string()))).transpose()
    }

    /// Fixes the name.
    pub(super) fn set_name(&mut self, name: &Name) -> Result<(), WitnessError> {
        let failed = self.failed();
        self.connection()?.execute("INSERT INTO witness (name) VALUES (?1)", [name.as_str()]).map(drop).map_err(failed)
    }

    /// Whether nothing was ever cosigned.
    pub(super) fn is_empty(&mut self) -> Result<bool, WitnessError> {
        let failed = self.failed();
        self.connection()?.query_row("SELECT NOT EXISTS (SELECT 1 FROM cosigned)", [], |row| row.get(0)).map_err(failed)
    }

    /// Hands what was cosigned last to `decide`; stores the tree of `checkpoint` where that says [`Answer::Cosign`], and returns its
    /// signature once it is durable.
    pub(super) fn compare_and_swap(
        &mut self,
        checkpoint: &Checkpoint,
        decide: impl FnOnce(Option<&LastCosigned>) -> Result<(Answer, Option<Signature>), WitnessError>,
    ) -> Result<(Answer, Option<Signature>), WitnessError> {
        let failed = self.failed();
        let transaction = self.connection()?.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let origin = checkpoint.origin.as_str();
        let last = transaction
            .query_row("SELECT size, root FROM cosigned WHERE origin = ?1", [origin], |row| {
                Ok(LastCosigned { size: row.get::<_, i64>(0)?.unsigned_abs(), root: row.get(1)? })
            })
            .optional()
            .map_err(&failed)?;
        let (answer, signature) = decide(last.as_ref())?;
        if answer != Answer::Cosign {
            return Ok((answer, None));
        }
        let upsert = "INSERT INTO cosigned (origin, size, root) VALUES (?1, ?2, ?3)
                      ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root";
        let size = i64::try_from(checkpoint.size).unwrap_or(i64::MAX);
        let stored = transaction.execute(upsert, params![origin, size, checkpoint.root]).and_then(|_| transaction.commit());
        if let Err(error) = stored {
            self.connection = None;
            return Err(failed(error));
        }
        Ok((answer, signature))
    }

    /// Keeps a request that looks like a second history; the first of each kind and tree, and so many of a log.
    pub(super) fn suspect(&mut self, checkpoint: &Checkpoint, answer: Answer, now: Timestamp, body: &[u8]) -> Result<(), WitnessError> {
        let failed = self.failed();
        let kind = if answer == Answer::OtherRoot { "other_root" } else { "inconsistent" };
        let insert = "INSERT INTO suspicions (origin, size, root, kind, at, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6
                      WHERE (SELECT count(*) FROM suspicions WHERE origin = ?1 AND kind = ?4) < ?7 ON CONFLICT DO NOTHING";
        let size = i64::try_from(checkpoint.size).unwrap_or(i64::MAX);
        let row = params![checkpoint.origin.as_str(), size, checkpoint.root, kind, now.as_micros(), body, SUSPICIONS_MAX];
        self.connection()?.execute(insert, row).map(drop).map_err(failed)
    }
}
