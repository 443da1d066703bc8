//! A row put between two others, with all that comes after moved on by one: what somebody does who does not want a row out of line.

use indelible_core::chain::Hash;
use indelible_core::verify::Verdict::{Altered, Forked};
use rusqlite::params;
use uuid::Uuid;

use super::How::Do;
use super::forge::{A, Forge};
use super::{Case, last, run};

/// Of the inserted row.
const ID: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0abc);

/// The columns of an event that an inserted one has, too.
struct Columns {
    id: Vec<u8>,
    prev_hash: Hash,
    row_hash: Hash,
    entry: String,
}

impl Forge {
    /// Makes room after a row of the default project: rows, contents, wraps and what names rows move on by one, and so do the sequences of
    /// the project's later rows. Gives the number of the row that is free.
    fn make_room(&self, after: u64) -> i64 {
        let sql = "SELECT row FROM events WHERE project = 3 AND sequence = ?1";
        let row: i64 = self.db.query_row(sql, [after as i64], |row| row.get(0)).expect("a row");
        for table in ["events", "contents", "wraps"] {
            self.sql(&format!("UPDATE {table} SET row = -row - 1 WHERE row > {row}; UPDATE {table} SET row = -row WHERE row < 0"));
        }
        for table in ["anchors", "heads"] {
            self.sql(&format!("UPDATE {table} SET last_row = last_row + 1 WHERE last_row > {row}"));
        }
        self.sql(&format!("UPDATE events SET sequence = sequence + 1 WHERE project = 3 AND sequence > {after}"));
        self.forget_index();
        row + 1
    }

    fn columns(&self, sequence: u64) -> Columns {
        let sql = "SELECT id, prev_hash, row_hash, entry FROM events WHERE project = 3 AND sequence = ?1";
        let read =
            |row: &rusqlite::Row<'_>| Ok(Columns { id: row.get(0)?, prev_hash: row.get(1)?, row_hash: row.get(2)?, entry: row.get(3)? });
        self.db.query_row(sql, [sequence as i64], read).expect("a row")
    }

    fn insert(&self, row: i64, sequence: u64, columns: &Columns) {
        let Columns { id, prev_hash, row_hash, entry } = columns;
        let sql = "INSERT INTO events VALUES (?1, 3, ?2, ?3, 1, zeroblob(32), zeroblob(32), ?4, ?5, ?6)";
        self.db.execute(sql, params![row, sequence as i64, id, prev_hash, row_hash, entry]).expect("inserted");
    }

    /// Puts a copy of a row behind it, with its content and the wrap of that.
    fn insert_copy(&self, of: u64) {
        let row = self.make_room(of);
        self.insert(row, of + 1, &self.columns(of));
        for (table, columns) in [("contents", "stored"), ("wraps", "data_key_id, wrap")] {
            self.sql(&format!("INSERT INTO {table} SELECT row + 1, {columns} FROM {table} WHERE row = {}", row - 1));
        }
    }

    /// Puts an event that never was behind a row.
    fn insert_made_up(&self, after: u64) {
        let row = self.make_room(after);
        let before = self.columns(after);
        let old = Uuid::from_slice(&before.id).expect("an id").to_string();
        let mut entry = numbered(&before.entry, after, after + 1).replace(&old, &ID.to_string());
        let sealed = entry.find("\"sealed\":{").expect("it has a content");
        let end = sealed + entry[sealed..].find("},").expect("more members follow") + 2;
        entry.replace_range(sealed..end, "");
        let made_up = Columns { id: ID.as_bytes().to_vec(), prev_hash: before.row_hash, row_hash: [7; 32], entry };
        self.insert(row, after + 1, &made_up);
    }

    /// With the HMAC ring: gives each entry from a sequence on the sequence of its column, and chains them anew.
    fn chain_anew(&self, from: u64) {
        let keys = self.keystore().project_keys(self.project_id(A), 1).expect("keys");
        let mut select =
            self.db.prepare("SELECT row, sequence, entry FROM events WHERE project = 3 AND sequence >= ?1 ORDER BY row").expect("sql");
        let rows: Vec<(i64, u64, String)> = select
            .query_map([from as i64], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?)))
            .expect("rows")
            .collect::<Result<_, _>>()
            .expect("rows");
        let mut prev_hash = self.columns(from - 1).row_hash;
        for (row, sequence, entry) in rows {
            let own = indelible_core::entry::Outline::read(entry.as_bytes()).expect("an entry").sequence;
            let entry = numbered(&entry, own, sequence);
            let row_hash = keys.row_hash(entry.as_bytes(), &prev_hash);
            let update = "UPDATE events SET entry = ?2, prev_hash = ?3, row_hash = ?4 WHERE row = ?1";
            self.db.execute(update, params![row, entry, prev_hash, row_hash]).expect("written");
            prev_hash = row_hash;
        }
        self.rewrite_head(A, true);
    }
}

/// An entry under another sequence.
fn numbered(entry: &str, own: u64, sequence: u64) -> String {
    let (own, other) = (format!("\"sequence\":{own}"), format!("\"sequence\":{sequence}"));
    assert_eq!(entry.matches(&own).count(), 1, "{entry}");
    entry.replace(&own, &other)
}

/// The interval of the anchor of this number begins here.
const fn first(number: u64) -> u64 {
    last(number - 1) + 1
}

const INSERTED: &[Case] = &[
    ("a row put in between, without the HMAC ring", Do(|f| f.insert_made_up(100)), &[(A, Altered, Some(101))]),
    (
        "the same, and a head that counts it",
        Do(|f| {
            f.insert_made_up(100);
            f.rewrite_head(A, false);
        }),
        &[(A, Altered, Some(101))],
    ),
    ("a row twice, in line", Do(|f| f.insert_copy(100)), &[(A, Altered, Some(100))]),
    (
        "a row put in between, with the HMAC ring",
        Do(|f| {
            f.insert_made_up(first(50));
            f.chain_anew(first(50) + 1);
        }),
        &[(A, Forked, Some(first(50)))],
    ),
    (
        "a row twice, in line, with the HMAC ring",
        Do(|f| {
            f.insert_copy(first(50));
            f.chain_anew(first(50) + 1);
        }),
        &[(A, Forked, Some(first(50)))],
    ),
];

#[test]
fn a_row_between_two_others_has_its_verdict() {
    run(INSERTED);
}
