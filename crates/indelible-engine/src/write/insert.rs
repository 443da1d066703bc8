//! The writes of one transaction, each with the places where a test may make it fail.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_core::chain::Hash;
use indelible_core::entry::Entry;
use indelible_core::key::ProjectKeys;
use indelible_core::time::Timestamp;
use indelible_core::tree::Tile;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};
use uuid::Uuid;

use super::heads::Head;
use super::{AnchorRow, AnswerRow, Change};
use crate::append::{Prepared, PreparedContent};
use crate::faults::{Faults, When, Write};
use crate::keystore::DataKey;
use crate::resource::ANSWERS_KEPT_MICROS;
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

/// The statements of a group, prepared once.
pub(super) struct Inserter<'c> {
    connection: &'c Connection,
    expected: &'c Expected,
    faults: Option<&'c Arc<dyn Faults>>,
    event: CachedStatement<'c>,
    content: CachedStatement<'c>,
    wrap: CachedStatement<'c>,
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
    pub(super) fn new(connection: &'c Connection, expected: &'c Expected, faults: Option<&'c Arc<dyn Faults>>) -> Result<Self, StoreError> {
        Ok(Self {
            connection,
            expected,
            faults,
            event: connection.prepare_cached(include_str!("../store/sqlite/insert_event.sql"))?,
            content: connection.prepare_cached("INSERT INTO contents (row, stored) VALUES (?1, ?2)")?,
            wrap: connection.prepare_cached("INSERT INTO wraps (row, data_key_id, wrap) VALUES (?1, ?2, ?3)")?,
        })
    }

    /// One event, with its content and wrap.
    pub(super) fn event(&mut self, prepared: &Prepared, entry: &Entry, place: &Place) -> Result<(), StoreError> {
        let sequence = place.sequence as i64;
        self.expected.next_row(place.row, prepared.project, sequence);
        faulty(self.faults, Write::Event, || {
            let mac_key = prepared.keys.ring_id as i64;
            let ids = (place.row, prepared.project, sequence, prepared.id.as_bytes(), mac_key);
            let retry_mac = prepared.keys.retry_mac(place.sequence, prepared.keys.ring_id, &prepared.submission_mac);
            Ok(self.event.execute(rusqlite::params![
                ids.0,
                ids.1,
                ids.2,
                ids.3,
                ids.4,
                prepared.submission_mac,
                retry_mac,
                place.prev_hash,
                place.row_hash,
                entry.as_str()
            ])?)
        })?;
        let Some(PreparedContent { stored, wrap, data_key }) = &prepared.content else { return Ok(()) };
        faulty(self.faults, Write::Content, || Ok(self.content.execute((place.row, stored))?))?;
        faulty(self.faults, Write::Wrap, || Ok(self.wrap.execute((place.row, data_key.id, wrap))?))?;
        Ok(())
    }

    /// A data key that no committed row has used. A transaction that failed but persisted may have left it.
    pub(super) fn data_key(&self, key: &DataKey) -> Result<(), StoreError> {
        faulty(self.faults, Write::Resource, || {
            let mut insert = self.connection.prepare_cached(
                "INSERT INTO data_keys (id, organization_id, wrapped, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
            )?;
            insert.execute((key.id, key.organization_id.to_string(), &key.wrapped, key.created_at.as_micros()))?;
            Ok(())
        })
    }

    /// A tile that filled.
    pub(super) fn tile(&self, project: i64, tile: &Tile) -> Result<(), StoreError> {
        let (level, position) = (i64::from(tile.level), tile.index as i64);
        self.expected.next_tile(project, level, position);
        faulty(self.faults, Write::Tile, || {
            let mut insert =
                self.connection.prepare_cached("INSERT INTO tiles (project, level, position, hashes) VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute((project, level, position, &tile.hashes))?;
            Ok(())
        })
    }

    /// A head, and those of its partial tiles that changed.
    pub(super) fn head(&self, project: i64, head: &Head, keys: &ProjectKeys, recorded_at: Timestamp) -> Result<(), StoreError> {
        self.expected.next_head(project);
        let partial = head.edge.partial_tiles();
        for (level, hashes) in partial.iter().enumerate().take(head.levels_changed) {
            faulty(self.faults, Write::Head, || {
                let mut upsert = self.connection.prepare_cached(
                    "INSERT INTO partial_tiles (project, level, hashes) VALUES (?1, ?2, ?3)
                     ON CONFLICT (project, level) DO UPDATE SET hashes = excluded.hashes",
                )?;
                upsert.execute((project, level as i64, hashes.as_flattened()))?;
                Ok(())
            })?;
        }
        faulty(self.faults, Write::Head, || {
            let root = head.edge.root();
            let mut upsert = self.connection.prepare_cached(include_str!("../store/sqlite/upsert_head.sql"))?;
            upsert.execute(rusqlite::params![
                project,
                head.size as i64,
                head.row_hash,
                root,
                head.hmac_key_id as i64,
                keys.head_mac(head.size, &head.row_hash, &root),
                head.edge.compact_range().as_flattened(),
                recorded_at.as_micros(),
                head.last_row
            ])?;
            Ok(())
        })
    }

    /// A row about which an event speaks.
    pub(super) fn change(&self, change: &Change) -> Result<(), StoreError> {
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
                Change::DataKey(key) => self.data_key(key)?,
                Change::Rewrap { row, key, wrap } => {
                    if !key.is_stored() {
                        self.data_key(key)?;
                    }
                    let mut update = self.connection.prepare_cached("UPDATE wraps SET data_key_id = ?2, wrap = ?3 WHERE row = ?1")?;
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
            }
            Ok(())
        })
    }

    fn anchor(&self, row: &AnchorRow) -> Result<(), StoreError> {
        let (number, tree_size) = (row.number as i64, row.tree_size as i64);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO anchors (project, number, tree_size, last_row, anchor, note, checkpoint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute((row.project, number, tree_size, row.last_row, &row.anchor, &row.note, &row.checkpoint))?;
        let mut insert =
            self.connection.prepare_cached("INSERT INTO instance_leaves (position, project, number, leaf) VALUES (?1, ?2, ?3, ?4)")?;
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
            let mut upsert = self.connection.prepare_cached(
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
                let mut statement = self.connection.prepare_cached(select)?;
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

/// Which write of the fault tests a row is.
const fn kind(change: &Change) -> Write {
    match change {
        Change::Anchor(_) | Change::InstanceTile(_) | Change::InstanceEdge { .. } | Change::InstanceCheckpoint { .. } => Write::Anchor,
        Change::Cosignature { .. } => Write::Cosignature,
        _ => Write::Resource,
    }
}
