//! A ledger.db that tests write themselves, beside a real index: rows as the store would have them, hashes aside.

use std::path::PathBuf;

use indelible_core::entry::Outline;
use indelible_core::filter::Filter;
use indelible_core::time::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{Index, IndexReader, View};
use crate::query::scan::{Deadline, Scan};
use crate::store::{Source, sql};

/// The organization of every project here.
pub(crate) const ORGANIZATION: Uuid = Uuid::from_u128(0xa0);

/// A data folder with a ledger in it.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ledger: Connection,
    next_row: i64,
    next_sequence: Vec<u64>,
}

/// One event, in short.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) project: i64,
    pub(crate) id: u128,
    pub(crate) occurred_at: i64,
    pub(crate) action: String,
    pub(crate) actor: String,
    pub(crate) outcome: String,
    pub(crate) tool: Option<String>,
}

pub(crate) fn project_id(project: i64) -> Uuid {
    Uuid::from_u128(0xb000 + project as u128)
}

impl Event {
    /// The entry at this place.
    pub(crate) fn entry(&self, sequence: u64) -> String {
        let time = Timestamp::from_micros(self.occurred_at).expect("in range");
        let context = self.tool.as_ref().map(|tool| format!(r#""context":{{"tool":"{tool}"}},"#)).unwrap_or_default();
        let category = self.action.split('.').next().unwrap_or_default();
        format!(
            r#"{{"action":"{}","action_category":"{category}","actor":{{"id":"{}","type":"human"}},"assurance":"self_reported",{context}"hmac_key_id":1,"id":"{}","occurred_at":"{time}","organization_id":"{ORGANIZATION}","outcome":"{}","project_id":"{}","recorded_at":"2026-01-01T00:00:00.000000Z","schema_version":1,"sequence":{sequence}}}"#,
            self.action,
            self.actor,
            Uuid::from_u128(self.id),
            self.outcome,
            project_id(self.project),
        )
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Connection::open(folder.path().join("ledger.db")).expect("a ledger");
        ledger.pragma_update(None, "journal_mode", "wal").expect("wal");
        ledger.pragma_update(None, "synchronous", "off").expect("off");
        ledger.execute_batch(include_str!("../store/sqlite/schema.sql")).expect("tables");
        crate::store::sqlite::mark(&ledger).expect("marked");
        Self { folder, ledger, next_row: 1, next_sequence: Vec::new() }
    }

    pub(crate) fn ledger_path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        super::path(self.folder.path())
    }

    pub(crate) fn open(&self) -> Index {
        Index::open(self.folder.path(), &Source::File(self.ledger_path()))
    }

    pub(crate) fn rows(&self) -> i64 {
        self.next_row - 1
    }

    /// Appends events; returns their sequences.
    pub(crate) fn append(&mut self, events: &[Event]) -> Vec<u64> {
        let transaction = self.ledger.transaction().expect("begin");
        let mut sequences = Vec::new();
        for event in events {
            let at = event.project as usize;
            if self.next_sequence.len() <= at {
                self.next_sequence.resize(at + 1, 0);
            }
            let sequence = self.next_sequence[at];
            transaction
                .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, 1, zeroblob(32), zeroblob(32), zeroblob(32), ?5, ?6)")
                .and_then(|mut insert| {
                    let hash = [self.next_row as u8; 32];
                    insert.execute(params![
                        self.next_row,
                        event.project,
                        sequence as i64,
                        Uuid::from_u128(event.id).as_bytes(),
                        hash,
                        event.entry(sequence)
                    ])
                })
                .expect("a row");
            sequences.push(sequence);
            self.next_row += 1;
            self.next_sequence[at] += 1;
        }
        transaction.commit().expect("commit");
        sequences
    }

    /// Tells the index of everything and waits for it.
    pub(crate) fn index_all(&self, index: &Index) {
        index.committed(self.rows());
        let started = std::time::Instant::now();
        assert!(index.reached_blocking(self.rows(), &mut |_| started.elapsed().as_secs() < 60), "the index did not come so far");
    }

    /// Runs `with` on a scan of one project.
    pub(crate) fn scan<T>(&self, index: &Index, project: i64, filter: Option<&Filter>, with: impl FnOnce(&Scan<'_>) -> T) -> T {
        let view: std::sync::Arc<View> = index.view().expect("open");
        let reader: IndexReader = view.reader().expect("a reader");
        let deadline = Deadline::after(std::time::Duration::from_mins(1));
        let ledger = sql::Connection::from(Connection::open(self.ledger_path()).expect("open"));
        with(&Scan::new(&view, (&reader, &ledger), (project, project_id(project)), self.rows(), filter, deadline))
    }

    /// All of a project that matches, read from the ledger without the index: (occurred_at, id, sequence).
    pub(crate) fn naive(&self, project: i64, filter: Option<&Filter>) -> Vec<(i64, Uuid, u64)> {
        let mut statement = self.ledger.prepare("SELECT entry FROM events WHERE project = ?1 ORDER BY row").expect("sql");
        let entries: Vec<String> =
            statement.query_map([project], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("entries");
        let matching = entries
            .iter()
            .filter(|entry| filter.is_none_or(|filter| filter.matches(&indelible_core::json::parse(entry.as_bytes()).expect("an entry"))));
        matching
            .map(|entry| {
                let outline = Outline::read(entry.as_bytes()).expect("an entry");
                (outline.occurred_at.as_micros(), outline.id, outline.sequence)
            })
            .collect()
    }
}
