//! The writes of one transaction, each with the places where a test may make it fail.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_core::chain::Hash;
use indelible_core::entry::Entry;
use indelible_core::key::ProjectKeys;
use indelible_core::time::Timestamp;
use indelible_core::tree::Tile;
use rusqlite::CachedStatement;
use uuid::Uuid;

use super::heads::Head;
use super::inbox::Inbox;
use super::{AnchorRow, AnswerRow, Change, streams};
use crate::append::{Prepared, PreparedContent};
use crate::faults::{Faults, When, Write};
use crate::keystore::DataKey;
use crate::resource::ANSWERS_KEPT_MICROS;
use crate::store::postgres::{NewHead, NewRow, Session, Staged};
use crate::store::sql::{Connection, OptionalExtension as _};
use crate::store::{Expected, StoreError};

/// Does a write, unless a test wants it to fail.
pub(super) fn faulty<T>(
    faults: Option<&Arc<dyn Faults>>,
    write: Write,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let Some(faults) = faults else { return work() };
    let strike = |when| if faults.strikes(write, when) { Err(StoreError::Injected(write, when)) } else { Ok(()) };
    strike(When::Before)?;
    let done = work()?;
    strike(When::After)?;
    Ok(done)
}

/// How a group's rows are written: each at once, or gathered and sent together.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
enum Sink<'c> {
    Sqlite { expected: &'c Expected, event: CachedStatement<'c>, content: CachedStatement<'c>, wrap: CachedStatement<'c> },
    Postgres(&'c Session, Box<Staged>),
}

/// The statements of a group, prepared once.
pub(super) struct Inserter<'c> {
    pub(super) connection: &'c Connection,
    pub(super) faults: Option<&'c Arc<dyn Faults>>,
    sink: Sink<'c>,
    pub(super) inbox: Inbox,
    /// Whether something was written that other servers hold in memory.
    pub(super) changes_control: bool,
}

/// What became of the row of a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyRow {
    Written,
    /// It is there already, committed by a transaction that failed and persisted, and told of by that.
    There,
    /// Another server has given its number to a key of its own.
    Taken,
}

/// A row that was put in is there: a trigger of somebody else's may have passed it over.
fn one(rows: usize) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Corrupt("a row that was written is not there".to_owned())) }
}

/// Where a row goes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: i64,
    pub(super) sequence: u64,
    pub(super) prev_hash: Hash,
    pub(super) row_hash: Hash,
}

impl<'c> Inserter<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        expected: &'c Expected,
        faults: Option<&'c Arc<dyn Faults>>,
        recorded_at: Timestamp,
    ) -> Result<Self, StoreError> {
        let sink = match connection {
            Connection::Sqlite(sqlite) => Sink::Sqlite {
                expected,
                event: sqlite.prepare_cached(include_str!("../store/sqlite/insert_event.sql"))?,
                content: sqlite.prepare_cached("INSERT INTO contents (row, stored) VALUES (?1, ?2)")?,
                wrap: sqlite.prepare_cached("INSERT INTO wraps (row, data_key_id, wrap) VALUES (?1, ?2, ?3)")?,
            },
            Connection::Postgres(session) => Sink::Postgres(session, Box::new(Staged::new(recorded_at))),
        };
        Ok(Self { connection, faults, sink, inbox: Inbox::default(), changes_control: false })
    }

    /// One event, with its content and wrap.
    pub(super) fn event(&mut self, prepared: &Prepared, entry: &Entry, place: &Place) -> Result<(), StoreError> {
        let retry_mac = prepared.keys.retry_mac(place.sequence, prepared.keys.ring_id, &prepared.submission_mac);
        let (row, faults) = (place.row, self.faults);
        let content = prepared.content.as_ref();
        match &mut self.sink {
            Sink::Sqlite { expected, event, content: insert_content, wrap: insert_wrap } => {
                let (sequence, mac_key) = (place.sequence as i64, prepared.keys.ring_id as i64);
                expected.next_row(row, prepared.project, sequence);
                faulty(faults, Write::Event, || {
                    one(event.execute(rusqlite::params![
                        row,
                        prepared.project,
                        sequence,
                        prepared.id.as_bytes(),
                        mac_key,
                        prepared.submission_mac,
                        retry_mac,
                        place.prev_hash,
                        place.row_hash,
                        entry.as_str()
                    ])?)
                })?;
                let Some(PreparedContent { stored, wrap, data_key }) = content else { return Ok(()) };
                faulty(faults, Write::Content, || one(insert_content.execute((row, stored))?))?;
                faulty(faults, Write::Wrap, || one(insert_wrap.execute((row, data_key.id, wrap))?))?;
            }
            Sink::Postgres(_, staged) => {
                faulty(faults, Write::Event, || {
                    staged.event(&NewRow {
                        row,
                        project: prepared.project,
                        sequence: place.sequence,
                        id: prepared.id,
                        submission_key_id: prepared.keys.ring_id,
                        submission_mac: &prepared.submission_mac,
                        retry_mac: &retry_mac,
                        prev_hash: &place.prev_hash,
                        row_hash: &place.row_hash,
                        entry: entry.as_str(),
                    })
                })?;
                let Some(PreparedContent { stored, wrap, data_key }) = content else { return Ok(()) };
                faulty(faults, Write::Content, || {
                    staged.content(row, stored);
                    Ok(())
                })?;
                faulty(faults, Write::Wrap, || {
                    staged.wrap(row, data_key.id, wrap);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Sends what was gathered.
    pub(super) fn send(&mut self) -> Result<(), StoreError> {
        match &mut self.sink {
            Sink::Sqlite { .. } => Ok(()),
            Sink::Postgres(session, staged) => {
                staged.send(session)?;
                self.inbox.send(session, self.faults)
            }
        }
    }

    /// A data key that no committed row has used, as far as is known.
    pub(super) fn data_key(&self, key: &DataKey) -> Result<KeyRow, StoreError> {
        faulty(self.faults, Write::Resource, || {
            let insert =
                "INSERT INTO data_keys (id, organization_id, wrapped, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
            let owner = key.organization_id.to_string();
            if self.connection.execute(insert, (key.id, owner, &key.wrapped, key.created_at.as_micros()))? == 1 {
                return Ok(KeyRow::Written);
            }
            let select = "SELECT wrapped FROM data_keys WHERE id = ?1";
            let there: Vec<u8> = self.connection.prepare(select)?.query_row([key.id], |row| row.get(0))?;
            Ok(if there == key.wrapped { KeyRow::There } else { KeyRow::Taken })
        })
    }

    /// A tile that filled.
    pub(super) fn tile(&mut self, project: i64, tile: &Tile) -> Result<(), StoreError> {
        let (level, position) = (i64::from(tile.level), tile.index as i64);
        let (connection, sink) = (self.connection, &mut self.sink);
        faulty(self.faults, Write::Tile, || match sink {
            Sink::Sqlite { expected, .. } => {
                expected.next_tile(project, level, position);
                let insert = "INSERT INTO tiles (project, level, position, hashes) VALUES (?1, ?2, ?3, ?4)";
                connection.execute(insert, (project, level, position, &tile.hashes))?;
                Ok(())
            }
            Sink::Postgres(_, staged) => {
                staged.tile(project, tile);
                Ok(())
            }
        })
    }

    /// A head, and those of its partial tiles that changed.
    pub(super) fn head(&mut self, project: i64, head: &Head, keys: &ProjectKeys, recorded_at: Timestamp) -> Result<(), StoreError> {
        let (connection, sink) = (self.connection, &mut self.sink);
        let (partial, root, range) = (head.edge.partial_tiles(), head.edge.root(), head.edge.compact_range());
        for (level, hashes) in partial.iter().enumerate().take(head.levels_changed) {
            faulty(self.faults, Write::Head, || match sink {
                Sink::Sqlite { expected, .. } => {
                    expected.next_head(project);
                    let upsert = "INSERT INTO partial_tiles (project, level, hashes) VALUES (?1, ?2, ?3)
                                  ON CONFLICT (project, level) DO UPDATE SET hashes = excluded.hashes";
                    connection.execute(upsert, (project, level as i64, hashes.as_flattened()))?;
                    Ok(())
                }
                Sink::Postgres(_, staged) => {
                    staged.partial_tile(project, level, hashes.as_flattened());
                    Ok(())
                }
            })?;
        }
        let mac = keys.head_mac(head.size, &head.row_hash, &root);
        let new = NewHead {
            project,
            size: head.size,
            row_hash: &head.row_hash,
            tree_root: &root,
            hmac_key_id: head.hmac_key_id,
            mac: &mac,
            compact_range: range.as_flattened(),
            recorded_at_micros: recorded_at.as_micros(),
            last_row: head.last_row,
        };
        faulty(self.faults, Write::Head, || match sink {
            Sink::Sqlite { expected, .. } => {
                expected.next_head(project);
                let numbers = (new.size as i64, new.hmac_key_id as i64, new.recorded_at_micros, new.last_row);
                connection.execute(
                    include_str!("../store/sqlite/upsert_head.sql"),
                    (project, numbers.0, new.row_hash, new.tree_root, numbers.1, new.mac, new.compact_range, numbers.2, numbers.3),
                )?;
                Ok(())
            }
            Sink::Postgres(_, staged) => {
                staged.head(&new);
                Ok(())
            }
        })
    }

    /// A row about which an event speaks.
    pub(super) fn change(&mut self, change: &Change) -> Result<(), StoreError> {
        self.changes_control |= is_held_in_memory(change);
        self.inbox.note(change)?;
        faulty(self.faults, kind(change), || {
            match change {
                Change::Instance { key, value } => {
                    self.connection.execute("INSERT INTO instance (key, value) VALUES (?1, ?2)", (key, value))?;
                }
                Change::Ledger { project, project_id, organization_id } => {
                    self.connection.execute(
                        "INSERT INTO ledgers (project, project_id, organization_id) VALUES (?1, ?2, ?3)",
                        (project, project_id.to_string(), organization_id.to_string()),
                    )?;
                }
                Change::Resource { project_id, kind, id, version, body } => {
                    self.resource(&project_id.to_string(), kind, id, *version, body)?;
                }
                Change::Anchor(row) => self.anchor(row)?,
                Change::InstanceTile(tile) => {
                    let insert = "INSERT INTO instance_tiles (level, position, hashes) VALUES (?1, ?2, ?3)";
                    self.connection.execute(insert, (tile.level, tile.index as i64, &tile.hashes))?;
                }
                Change::InstanceEdge { level, hashes } => {
                    let upsert = "INSERT INTO instance_edge (level, hashes) VALUES (?1, ?2)
                                  ON CONFLICT (level) DO UPDATE SET hashes = excluded.hashes";
                    self.connection.execute(upsert, (*level as i64, hashes.as_flattened()))?;
                }
                Change::InstanceCheckpoint { size, checkpoint } => {
                    let insert = "INSERT INTO instance_checkpoints (size, checkpoint) VALUES (?1, ?2)";
                    self.connection.execute(insert, (*size as i64, checkpoint))?;
                }
                Change::Cosignature { size, witness, line, received_at } => {
                    let insert = "INSERT INTO cosignatures (size, witness, line, received_at) VALUES (?1, ?2, ?3, ?4)
                                  ON CONFLICT (size, witness) DO NOTHING";
                    self.connection.execute(insert, (*size as i64, witness, line, received_at.as_micros()))?;
                }
                Change::RingKey { id, since } => {
                    self.connection.execute("INSERT INTO ring_keys (id, since) VALUES (?1, ?2)", (*id as i64, since.as_micros()))?;
                }
                Change::Answer(row) => self.answer(row)?,
                Change::Rewrap { row, key, wrap } => {
                    let mut update = self.connection.prepare("UPDATE wraps SET data_key_id = ?2, wrap = ?3 WHERE row = ?1")?;
                    update.execute((row, key.id, wrap))?;
                }
                Change::SigningKey { id, public_key, since } => {
                    let insert = "INSERT INTO signing_keys (id, public_key, since) VALUES (?1, ?2, ?3)";
                    self.connection.execute(insert, (*id as i64, public_key, since.as_micros()))?;
                }
                Change::RetiredSigningKey { id, since } => {
                    let insert = "INSERT INTO retired_signing_keys (id, since) VALUES (?1, ?2)";
                    self.connection.execute(insert, (*id as i64, since.as_micros()))?;
                }
                // The one was written before anything else of the batch, for that may be in vain; the other goes with those of the whole group,
                // at its end.
                Change::DataKey(_) | Change::Drained { .. } => {}
                Change::Stream(change) => streams::write(self.connection, change)?,
                Change::InboxKey { organization_id, public_key } => self.inbox_key(*organization_id, public_key)?,
                Change::Binding { purpose, role, project_id, organization_id } => {
                    self.bind(*purpose, role, *project_id, *organization_id)?;
                }
                Change::Unbinding { purpose, role, project_id } => self.unbind(*purpose, role, *project_id)?,
            }
            Ok(())
        })
    }

    fn anchor(&self, row: &AnchorRow) -> Result<(), StoreError> {
        let (number, tree_size) = (row.number as i64, row.tree_size as i64);
        let mut insert = self.connection.prepare(
            "INSERT INTO anchors (project, number, tree_size, last_row, anchor, note, checkpoint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute((row.project, number, tree_size, row.last_row, &row.anchor, &row.note, &row.checkpoint))?;
        let mut insert =
            self.connection.prepare("INSERT INTO instance_leaves (position, project, number, leaf) VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute((row.position as i64, row.project, number, &row.leaf))?;
        Ok(())
    }

    fn answer(&self, row: &AnswerRow) -> Result<(), StoreError> {
        let oldest = row.answered_at.as_micros() - ANSWERS_KEPT_MICROS;
        self.connection.execute("DELETE FROM answers WHERE answered_at <= ?1", [oldest])?;
        let insert = "INSERT INTO answers (caller, key, request, type, id, answered_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (caller, id) = (row.caller.as_bytes(), row.id.as_bytes());
        self.connection.execute(insert, (caller, row.key, row.request, row.kind, id, row.answered_at.as_micros()))?;
        Ok(())
    }

    /// When a key was last used. Where the group fails this is lost, and told by the key's next use.
    pub(super) fn key_use(&self, id: Uuid, used_at: i64) -> Result<(), StoreError> {
        faulty(self.faults, Write::Resource, || {
            let mut upsert = self.connection.prepare(
                "INSERT INTO api_key_uses (id, used_at) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at",
            )?;
            upsert.execute((id.as_bytes(), used_at))?;
            Ok(())
        })
    }

    /// Why the documents of a work cannot be written: another version is stored than the one that they were made from.
    pub(super) fn stale(&self, changes: &[Change]) -> Result<Option<String>, StoreError> {
        let mut seen: HashMap<(&str, &str), i64> = HashMap::new();
        for change in changes {
            let Change::Resource { project_id, kind, id, version, .. } = change else { continue };
            let stored = if let Some(version) = seen.get(&(*kind, id)) {
                *version
            } else {
                let select = "SELECT version FROM resources WHERE project_id = ?1 AND type = ?2 AND id = ?3";
                let mut statement = self.connection.prepare(select)?;
                statement.query_row((project_id.to_string(), kind, id), |row| row.get(0)).optional()?.unwrap_or(0)
            };
            if stored != version - 1 {
                return Ok(Some(format!("the stored {kind} {id} is at version {stored} and not at {}", version - 1)));
            }
            seen.insert((*kind, id), *version);
        }
        Ok(None)
    }

    /// Writes a document over the version before it, and over no other.
    fn resource(&self, project_id: &str, kind: &str, id: &str, version: i64, body: &str) -> Result<(), StoreError> {
        let written = if version == 1 {
            let insert = "INSERT INTO resources (project_id, type, id, version, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            self.connection.execute(insert, (project_id, kind, id, version, body))?
        } else {
            let update =
                "UPDATE resources SET version = ?4, body = ?5 WHERE project_id = ?1 AND type = ?2 AND id = ?3 AND version = ?4 - 1";
            self.connection.execute(update, (project_id, kind, id, version, body))?
        };
        if written == 1 { Ok(()) } else { Err(StoreError::Corrupt(format!("the stored {kind} {id} is not at version {}", version - 1))) }
    }
}

/// Whether servers hold in memory what a change is made to.
const fn is_held_in_memory(change: &Change) -> bool {
    match change {
        Change::Instance { .. }
        | Change::Ledger { .. }
        | Change::Resource { .. }
        | Change::RingKey { .. }
        | Change::DataKey(_)
        | Change::Rewrap { .. }
        | Change::SigningKey { .. }
        | Change::RetiredSigningKey { .. } => true,
        Change::Anchor(_)
        | Change::InstanceTile(_)
        | Change::InstanceEdge { .. }
        | Change::InstanceCheckpoint { .. }
        | Change::Cosignature { .. }
        | Change::Answer(_)
        | Change::Stream(_)
        | Change::Drained { .. }
        | Change::InboxKey { .. }
        | Change::Binding { .. }
        | Change::Unbinding { .. } => false,
    }
}

/// Which write of the fault tests a row is.
const fn kind(change: &Change) -> Write {
    match change {
        Change::Anchor(_) | Change::InstanceTile(_) | Change::InstanceEdge { .. } | Change::InstanceCheckpoint { .. } => Write::Anchor,
        Change::Cosignature { .. } => Write::Cosignature,
        Change::Stream(_) => Write::Stream,
        _ => Write::Resource,
    }
}
