//! What a group of batches writes, gathered and then sent in a few statements: rows by binary COPY, heads and partial tiles as arrays.

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use indelible_core::chain::Hash;
use indelible_core::time::Timestamp;
use indelible_core::tree::Tile;
use uuid::Uuid;

use super::columns::{self, COLUMNS};
use super::maintain::partition;
use super::session::Session;
use crate::store::StoreError;
use crate::store::sql::SqlError;

/// What a COPY in binary begins with: signature, flags, length of an extension.
const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const COPY_END: [u8; 2] = (-1_i16).to_be_bytes();

/// A row of `events`, and what lies beside it.
pub(crate) struct NewRow<'r> {
    pub(crate) row: i64,
    pub(crate) project: i64,
    pub(crate) sequence: u64,
    pub(crate) id: Uuid,
    pub(crate) submission_key_id: u64,
    pub(crate) submission_mac: &'r Hash,
    pub(crate) retry_mac: &'r Hash,
    pub(crate) prev_hash: &'r Hash,
    pub(crate) row_hash: &'r Hash,
    pub(crate) entry: &'r str,
}

/// A head, as it will be.
pub(crate) struct NewHead<'h> {
    pub(crate) project: i64,
    pub(crate) size: u64,
    pub(crate) row_hash: &'h Hash,
    pub(crate) tree_root: &'h Hash,
    pub(crate) hmac_key_id: u64,
    pub(crate) mac: &'h Hash,
    pub(crate) compact_range: &'h [u8],
    pub(crate) recorded_at_micros: i64,
    pub(crate) last_row: i64,
}

/// Rows of one table, as COPY takes them.
struct Copy {
    statement: String,
    bytes: Vec<u8>,
    rows: usize,
}

impl Copy {
    fn into(table: &str, columns: &str) -> Self {
        Self { statement: format!("COPY {table} {columns} FROM STDIN BINARY"), bytes: Vec::new(), rows: 0 }
    }

    fn row(&mut self, columns: usize) -> &mut Vec<u8> {
        if self.rows == 0 {
            self.bytes.extend_from_slice(COPY_HEAD);
        }
        self.rows += 1;
        self.bytes.extend_from_slice(&(columns as i16).to_be_bytes());
        &mut self.bytes
    }

    /// Sends what was gathered.
    fn send(&mut self, session: &Session) -> Result<(), StoreError> {
        if self.rows == 0 {
            return Ok(());
        }
        let (rows, mut bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes));
        bytes.extend_from_slice(&COPY_END);
        let copied = session.wait(async {
            let sink = session.client().copy_in(&self.statement).await?;
            let mut sink = pin!(sink);
            sink.send(Bytes::from(bytes)).await?;
            sink.finish().await
        })?;
        if copied == rows as u64 { Ok(()) } else { Err(StoreError::Corrupt(format!("{copied} of {rows} rows were taken"))) }
    }
}

/// What is gathered.
pub(crate) struct Staged {
    events: Copy,
    ids: Copy,
    contents: Copy,
    wraps: Copy,
    tiles: Copy,
    heads: Heads,
    partial: (Vec<i64>, Vec<i64>, Vec<Vec<u8>>),
}

#[derive(Default)]
struct Heads {
    numbers: [Vec<i64>; 5],
    bytes: [Vec<Vec<u8>>; 4],
}

impl Staged {
    /// All rows of a group are recorded at one time. They go to its partition directly: row-level security, which `events` has for
    /// those who read it, refuses COPY.
    pub(crate) fn new(recorded_at: Timestamp) -> Self {
        Self {
            events: Copy::into(&partition(recorded_at), columns::NAMES),
            ids: Copy::into("ids", "(project, id, row, submission_key_id, submission_mac, retry_mac)"),
            contents: Copy::into("contents", "(row, stored)"),
            wraps: Copy::into("wraps", "(row, data_key_id, wrap)"),
            tiles: Copy::into("tiles", "(project, level, position, hashes)"),
            heads: Heads::default(),
            partial: Default::default(),
        }
    }

    pub(crate) fn event(&mut self, new: &NewRow<'_>) -> Result<(), StoreError> {
        let out = self.events.row(7 + COLUMNS.len());
        integer(out, new.row);
        integer(out, new.project);
        integer(out, new.sequence as i64);
        bytes_of(out, new.id.as_bytes());
        bytes_of(out, new.prev_hash);
        bytes_of(out, new.row_hash);
        bytes_of(out, new.entry.as_bytes());
        columns::write(new.entry.as_bytes(), out).ok_or_else(|| StoreError::Corrupt("an entry cannot be read again".to_owned()))?;
        let out = self.ids.row(6);
        integer(out, new.project);
        bytes_of(out, new.id.as_bytes());
        integer(out, new.row);
        integer(out, new.submission_key_id as i64);
        bytes_of(out, new.submission_mac);
        bytes_of(out, new.retry_mac);
        Ok(())
    }

    pub(crate) fn content(&mut self, row: i64, stored: &[u8]) {
        let out = self.contents.row(2);
        integer(out, row);
        bytes_of(out, stored);
    }

    pub(crate) fn wrap(&mut self, row: i64, data_key_id: i64, wrap: &[u8]) {
        let out = self.wraps.row(3);
        integer(out, row);
        integer(out, data_key_id);
        bytes_of(out, wrap);
    }

    pub(crate) fn tile(&mut self, project: i64, tile: &Tile) {
        let out = self.tiles.row(4);
        integer(out, project);
        integer(out, i64::from(tile.level));
        integer(out, tile.index as i64);
        bytes_of(out, &tile.hashes);
    }

    pub(crate) fn partial_tile(&mut self, project: i64, level: usize, hashes: &[u8]) {
        self.partial.0.push(project);
        self.partial.1.push(level as i64);
        self.partial.2.push(hashes.to_vec());
    }

    pub(crate) fn head(&mut self, head: &NewHead<'_>) {
        let numbers = [head.project, head.size as i64, head.hmac_key_id as i64, head.recorded_at_micros, head.last_row];
        self.heads.numbers.iter_mut().zip(numbers).for_each(|(all, number)| all.push(number));
        let bytes = [head.row_hash.as_slice(), head.tree_root, head.mac, head.compact_range];
        self.heads.bytes.iter_mut().zip(bytes).for_each(|(all, bytes)| all.push(bytes.to_vec()));
    }

    /// Sends everything.
    pub(crate) fn send(&mut self, session: &Session) -> Result<(), StoreError> {
        for copy in [&mut self.events, &mut self.ids, &mut self.contents, &mut self.wraps, &mut self.tiles] {
            copy.send(session)?;
        }
        let (projects, levels, hashes) = std::mem::take(&mut self.partial);
        if !projects.is_empty() {
            let upsert = session.prepare(
                "INSERT INTO partial_tiles (project, level, hashes) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
                 ON CONFLICT (project, level) DO UPDATE SET hashes = excluded.hashes",
            )?;
            session.wait(session.client().execute(upsert.statement(), &[&projects, &levels, &hashes]))?;
        }
        let Heads { numbers: [project, size, hmac_key_id, recorded_at, last_row], bytes: [row_hash, tree_root, mac, range] } =
            std::mem::take(&mut self.heads);
        if !project.is_empty() {
            let upsert = session.prepare(include_str!("upsert_heads.sql"))?;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
                [&project, &size, &row_hash, &tree_root, &hmac_key_id, &mac, &range, &recorded_at, &last_row];
            session.wait(session.client().execute(upsert.statement(), &params))?;
        }
        Ok(())
    }
}

/// The rows of those events that are there already.
pub(crate) fn find(session: &Session, projects: &[i64], ids: &[Uuid]) -> Result<Vec<(i64, Uuid, i64)>, SqlError> {
    let ids: Vec<super::wire::Bytes16> = ids.iter().map(|id| super::wire::Bytes16(*id.as_bytes())).collect();
    let select = session.prepare(
        "SELECT ids.project, ids.id, ids.row FROM unnest($1::bigint[], $2::uuid[]) AS wanted (project, id) JOIN ids USING (project, id)",
    )?;
    let rows = session.wait(session.client().query(select.statement(), &[&projects, &ids]))?;
    rows.iter().map(|row| Ok((row.try_get(0)?, Uuid::from_bytes(row.try_get::<_, super::wire::Bytes16>(1)?.0), row.try_get(2)?))).collect()
}

/// What a statement gives of these projects, all at once.
pub(crate) fn of_projects(session: &Session, sql: &str, projects: &[i64]) -> Result<Vec<tokio_postgres::Row>, SqlError> {
    let select = session.prepare(sql)?;
    session.wait(session.client().query(select.statement(), &[&projects]))
}

fn integer(out: &mut Vec<u8>, n: i64) {
    bytes_of(out, &n.to_be_bytes());
}

/// A field, with its length before it.
pub(super) fn bytes_of(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}
