//! One group: the batches that share a transaction.
//!
//! Order within it: each batch is planned, then written; at the end tiles and heads of every project that got rows;
//! then COMMIT, which fsyncs. Only then do ids, committed rows and answers go out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indelible_core::chain::Hash;
use indelible_core::entry::Entry;
use indelible_core::time::Timestamp;
use indelible_core::tree::Tile;
use uuid::Uuid;

use super::heads::Heads;
use super::insert::{Inserter, KeyRow, Place, faulty};
use super::plan::{Ids, Pending, Planner, Refusal, Slot};
use super::thread::Thread;
use super::{Answer, Change, DRAINED, KEYS_CHANGED, LEASE_LOST, MOVED, Privilege, RULES_CHANGED, STALE, WRITE_FAILED, Work};
use crate::append::{AppendError, Desk, Prepared, Receipt};
use crate::faults::Write;
use crate::index::Index;
use crate::keystore::{DataKey, KeyStore};
use crate::sharing::IS_HELD;
use crate::spending::Usage;
use crate::store::StoreError;
use crate::store::postgres::{self, Turn};
use crate::store::sql::{Connection, Param, SqlError};

/// How often partitions of the months ahead are made, where they are not there.
const LOOK_AHEAD_EVERY: Duration = Duration::from_hours(24);

/// What went wrong with a group, and how far it had come.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Whether COMMIT was tried: then the connection is not to be trusted.
    pub(super) at_commit: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, at_commit: false }
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self { error: error.into(), at_commit: false }
    }
}

/// A group that is committed: an answer for each of its batches, and what others are to be told.
pub(super) struct Committed {
    pub(super) answers: Vec<Answer>,
    /// Data keys whose rows were written.
    pub(super) data_keys: Vec<Arc<DataKey>>,
    pub(super) ids: Vec<(i64, Uuid, i64)>,
    /// What new rows used, by project.
    pub(super) used: Vec<(i64, Usage)>,
    /// The hash of the last of them.
    pub(super) last_hash: Option<Hash>,
    pub(super) last_row: i64,
    pub(super) duplicates: u64,
    /// When they were recorded.
    pub(super) recorded_at: Timestamp,
}

/// A transaction in the making.
struct Group<'a> {
    inserter: Inserter<'a>,
    planner: PlannerParts<'a>,
    desk: &'a Desk,
    heads: &'a mut Heads,
    pending: HashMap<(i64, Uuid), Pending>,
    ids: Vec<(i64, Uuid, i64)>,
    used: Vec<(i64, Usage)>,
    tiles: Vec<Tile>,
    data_keys: Vec<Arc<DataKey>>,
    /// The same, and those of which an event of their own tells: their rows are this transaction's.
    written_keys: HashSet<i64>,
    last_row: i64,
    last_hash: Option<Hash>,
    recorded_at: Timestamp,
    duplicates: u64,
}

#[derive(Clone, Copy)]
struct PlannerParts<'a> {
    connection: &'a Connection,
    keystore: &'a KeyStore,
    ids: &'a Ids<'a>,
}

impl Thread {
    /// Begins a transaction. Where others may write as well, it waits for its turn, and takes in what they wrote.
    fn begin(&mut self) -> Result<Option<Turn>, Failure> {
        let Some(connection) = self.connection.as_ref() else {
            return Err(StoreError::Corrupt("the store is not open".to_owned()).into());
        };
        let turn = faulty(self.parts.faults.as_ref(), Write::Begin, || match connection {
            Connection::Sqlite(sqlite) => {
                sqlite.execute_batch("BEGIN IMMEDIATE")?;
                Ok(None)
            }
            Connection::Postgres(session) => Turn::take(session).map(Some),
        })?;
        // Whatever is found wrong costs the connection: only a restart or a whole recovery goes on from there.
        let not_to_be_trusted = |error| Failure { error, at_commit: true };
        self.look_again().map_err(not_to_be_trusted)?;
        if let Some(turn) = turn {
            // Nobody commits while the turn is held: what is known is from before.
            self.ends_at(turn.last_row, self.known_row()).map_err(not_to_be_trusted)?;
            let Some(connection) = self.connection.as_ref() else { return Ok(None) };
            self.parts.held.take_in(connection, &turn)?;
            self.found_at(turn.last_row, Timestamp::from_micros(turn.recorded_at_micros));
        }
        Ok(turn)
    }

    /// Where rows are kept by the month, that of this time is there: a clock may be months ahead of what was made ready.
    fn make_partition(&mut self, recorded_at: Timestamp) -> Result<(), StoreError> {
        let (Some(session), Some(maintenance)) = (self.connection.as_ref().and_then(Connection::postgres), &self.parts.maintenance) else {
            return Ok(());
        };
        let (wanted, now) = (postgres::partition(recorded_at), self.parts.clock.monotonic());
        let is_known = |(known, at): &(String, Duration)| *known == wanted && now.saturating_sub(*at) < LOOK_AHEAD_EVERY;
        if self.partition.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let select = session.prepare("SELECT to_regclass('audit.' || ?1) IS NOT NULL")?;
        let rows = session.query(&select, &[Param::Text(&wanted)])?;
        let is_there = rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false));
        match maintenance.make_partitions(recorded_at) {
            // Those ahead can wait for a day on which it works.
            Err(error) if is_there => tracing::warn!(%error, "no partition was made ahead"),
            made => made?,
        }
        self.partition = Some((wanted, now));
        Ok(())
    }

    /// Writes a group, and commits it.
    pub(super) fn write(&mut self, works: &[Work], recorded_at: Timestamp) -> Result<Committed, Failure> {
        self.make_partition(recorded_at)?;
        let turn = self.begin()?;
        let Some(connection) = self.connection.as_ref() else {
            return Err(StoreError::Corrupt("the store is not open".to_owned()).into());
        };
        let recorded_at =
            turn.and_then(|turn| Timestamp::from_micros(turn.recorded_at_micros)).map_or(recorded_at, |last| recorded_at.max(last));
        let faults = self.parts.faults.as_ref();
        self.heads.begin();
        if let Some(session) = connection.postgres() {
            let projects = works.iter().flat_map(|work| &work.events).map(|event| (event.project, event.project_id)).collect();
            self.heads.read_ahead(session, &self.parts.keystore, &projects)?;
        }
        let ids = ids_of(works, connection, &self.parts.held.index)?;
        let mut group = Group {
            inserter: Inserter::new(connection, &self.expected, faults, recorded_at)?,
            planner: PlannerParts { connection, keystore: &self.parts.keystore, ids: &ids },
            desk: &self.parts.held.desk,
            heads: &mut self.heads,
            pending: HashMap::with_capacity(works.iter().map(|work| work.events.len()).sum()),
            ids: Vec::new(),
            used: Vec::new(),
            tiles: Vec::new(),
            data_keys: Vec::new(),
            written_keys: HashSet::new(),
            last_row: self.last_row,
            last_hash: None,
            recorded_at,
            duplicates: 0,
        };
        group.inserter.look_into_inbox(works)?;
        let answers = works.iter().map(|work| group.batch(work)).collect::<Result<Vec<_>, _>>()?;
        group.tell_of_data_keys()?;
        group.finish()?;
        for (id, used_at) in self.parts.held.desk.registry.unwritten_uses() {
            group.inserter.key_use(id, used_at)?;
        }
        group.inserter.send()?;
        let changes_control = group.inserter.changes_control;
        let Group { ids, used, data_keys, last_row, last_hash, duplicates, .. } = group;
        if let (Some(turn), Some(session)) = (turn, connection.postgres()) {
            let recorded_at_micros = if ids.is_empty() { turn.recorded_at_micros } else { recorded_at.as_micros() };
            let control_epoch = turn.control_epoch + i64::from(changes_control);
            Turn { last_row, recorded_at_micros, control_epoch }.pass_on(session)?;
        }
        let began = Instant::now();
        let commit = || match connection {
            Connection::Sqlite(sqlite) => Ok(sqlite.execute_batch("COMMIT")?),
            Connection::Postgres(session) => Ok(session.end("COMMIT")?),
        };
        faulty(faults, Write::Commit, commit).map_err(|error| Failure { error, at_commit: true })?;
        if let Some(files) = &self.files {
            let found = files.are_there();
            if matches!(found, Ok(false)) {
                self.lost = Some(MOVED);
            }
            if !matches!(found, Ok(true)) {
                let error = found.err().map_or_else(|| StoreError::Corrupt(MOVED.to_owned()), StoreError::from);
                return Err(Failure { error, at_commit: true });
            }
        }
        if let Some(session) = connection.postgres() {
            session.hint();
        }
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.figures.commit_micros.fetch_add(micros, Relaxed);
        self.figures.commits.fetch_add(1, Relaxed);
        Ok(Committed { answers, data_keys, ids, used, last_hash, last_row, duplicates, recorded_at })
    }
}

/// Where the ids of a group are looked for: those that others may have written meanwhile are asked for at once.
fn ids_of<'a>(works: &[Work], connection: &Connection, index: &'a Index) -> Result<Ids<'a>, StoreError> {
    let Some(session) = connection.postgres() else { return Ok(Ids::Index(index)) };
    let events = works.iter().flat_map(|work| &work.events).filter(|event| !event.fresh_id);
    let (projects, ids): (Vec<i64>, Vec<Uuid>) = events.map(|event| (event.project, event.id)).unzip();
    if ids.is_empty() {
        return Ok(Ids::There(HashMap::new()));
    }
    let there = postgres::find(session, &projects, &ids)?;
    Ok(Ids::There(there.into_iter().map(|(project, id, row)| ((project, id), row)).collect()))
}

impl Group<'_> {
    /// One batch: the answer it will get once the group is committed, or a failure of the store.
    fn batch(&mut self, work: &Work) -> Result<Answer, StoreError> {
        if let Some(refused) = self.outdated(work) {
            return Ok(Err(refused));
        }
        if let (Some(term), Some(session)) = (work.term, self.planner.connection.postgres())
            && session.query(&session.prepare(IS_HELD)?, &term.params().as_params())?.is_empty()
        {
            return Ok(Err(unavailable(LEASE_LOST, false)));
        }
        if self.inserter.is_drained(&work.changes) {
            return Ok(Err(unavailable(DRAINED, false)));
        }
        let PlannerParts { connection, keystore, ids } = self.planner;
        let mut planner = Planner { connection, keystore, ids, heads: self.heads, pending: &self.pending, recorded_at: self.recorded_at };
        let slots = match planner.plan(&work.events) {
            Ok(slots) => slots,
            Err(Refusal::Batch(refused)) => return Ok(Err(refused)),
            // One chain that does not hold must not keep the others from being written; nothing of this batch was.
            Err(Refusal::Store(StoreError::Corrupt(reason))) => {
                tracing::error!(reason, "a batch was refused: its chain does not hold");
                return Ok(Err(unavailable(WRITE_FAILED, false)));
            }
            Err(Refusal::Store(error)) => return Err(error),
        };
        // What one works on must not keep the others from being written either.
        if let Some(reason) = self.inserter.stale(&work.changes)? {
            tracing::error!(reason, "a change was refused: it was made from another version than the one that is stored");
            return Ok(Err(unavailable(STALE, false)));
        }
        if !self.new_data_keys(work)? {
            return Ok(Err(unavailable(KEYS_CHANGED, false)));
        }
        for change in &work.changes {
            self.inserter.change(change)?;
        }
        let mut receipts: Vec<Receipt> = Vec::with_capacity(slots.len());
        for (event, slot) in work.events.iter().zip(slots) {
            let receipt = match slot {
                Slot::New { sequence, entry } => self.append(event, sequence, &entry)?,
                Slot::Repeat(receipt) => receipt,
                Slot::Twin(first) => Receipt { duplicate: true, ..receipts[first].clone() },
            };
            self.duplicates += u64::from(receipt.duplicate);
            receipts.push(receipt);
        }
        Ok(Ok(receipts))
    }

    /// Why a batch cannot be written: what it was made from is no longer so. Events that were made ready under rules, schemas or a project
    /// that have changed since are not taken, for a request may take minutes to come and what was acknowledged meanwhile holds for it too.
    fn outdated(&self, work: &Work) -> Option<AppendError> {
        let registry = &self.desk.registry;
        if work.made_at.is_some_and(|epoch| epoch != registry.epoch()) {
            return Some(unavailable(STALE, false));
        }
        let mut known: Option<(Uuid, (u64, u64))> = None;
        for event in &work.events {
            let Some(then) = event.rulings else { continue };
            let now = match known.filter(|(project, _)| *project == event.project_id) {
                Some((_, now)) => now,
                None => registry.project(event.project_id).map_or(then, |project| registry.rulings(&project)),
            };
            known = Some((event.project_id, now));
            if now != then {
                return Some(unavailable(RULES_CHANGED, false));
            }
        }
        None
    }

    /// Writes the data keys that a batch is the first to use, or that it makes. `false`, and nothing of the batch is to be written, where
    /// another server has given the number of one to a key of its own: that one was taken in when the turn came.
    fn new_data_keys(&mut self, work: &Work) -> Result<bool, StoreError> {
        // Of one that is made on purpose its own event tells.
        let of_changes = work.changes.iter().filter_map(|change| match change {
            Change::DataKey(key) => Some((key, false)),
            Change::Rewrap { key, .. } => Some((key, true)),
            _ => None,
        });
        let of_events = work.events.iter().filter_map(|event| event.content.as_ref()).map(|content| (&content.data_key, true));
        for (key, is_told) in of_changes.chain(of_events) {
            if key.is_stored() || self.written_keys.contains(&key.id) {
                continue;
            }
            match self.inserter.data_key(key)? {
                KeyRow::Taken => return Ok(false),
                KeyRow::There => key.mark_stored(),
                KeyRow::Written => {
                    // Other servers read what is sealed under it.
                    self.inserter.changes_control = true;
                    self.written_keys.insert(key.id);
                    if is_told {
                        self.data_keys.push(Arc::clone(key));
                    }
                }
            }
        }
        Ok(true)
    }

    /// One new row: chained, written, its leaf put on the tree.
    fn append(&mut self, event: &Prepared, sequence: u64, entry: &Entry) -> Result<Receipt, StoreError> {
        let head = self.heads.loaded(event.project).expect("planning loaded the head of every project of the batch");
        let row = self.last_row + 1;
        let row_hash = event.keys.row_hash(entry.bytes(), &head.row_hash);
        self.inserter.event(event, entry, &Place { row, sequence, prev_hash: head.row_hash, row_hash })?;
        let leaf_hash = entry.leaf_hash();
        head.edge.append(leaf_hash, &mut self.tiles);
        head.size = sequence + 1;
        head.row_hash = row_hash;
        head.hmac_key_id = event.keys.ring_id;
        head.last_row = row;
        head.touched = true;
        head.levels_changed = head.levels_changed.max(1);
        for tile in self.tiles.drain(..) {
            head.levels_changed = head.levels_changed.max(usize::from(tile.level) + 2);
            self.inserter.tile(event.project, &tile)?;
        }
        (self.last_row, self.last_hash) = (row, Some(row_hash));
        let receipt = Receipt { id: event.id, sequence, recorded_at: self.recorded_at, row_hash, leaf_hash, duplicate: false };
        self.ids.push((event.project, event.id, row));
        self.used.extend(Usage::read(entry.bytes()).map(|usage| (event.project, usage)));
        let pending = Pending { ring_id: event.keys.ring_id, submission_mac: event.submission_mac, receipt: receipt.clone() };
        self.pending.insert((event.project, event.id), pending);
        Ok(receipt)
    }

    /// The data keys that this group is the first to use: each is an event, in the transaction that writes its row.
    fn tell_of_data_keys(&mut self) -> Result<(), StoreError> {
        for at in 0..self.data_keys.len() {
            let key = Arc::clone(&self.data_keys[at]);
            let told = self.desk.tell_of_data_key(&key).map_err(|fault| StoreError::Corrupt(format!("data key {}: {fault}", key.id)))?;
            if let Some(event) = told
                && let Err(refused) = self.batch(&Work::new(vec![event], Privilege::Engine))?
            {
                return Err(StoreError::Corrupt(format!("data key {}: {refused}", key.id)));
            }
        }
        Ok(())
    }

    /// Writes the heads of all that changed.
    fn finish(&mut self) -> Result<(), StoreError> {
        for (project, head) in self.heads.touched() {
            let project_id = head.project_id;
            let keys = self.planner.keystore.project_keys(project_id, head.hmac_key_id);
            let keys = keys.ok_or_else(|| StoreError::Corrupt(format!("there is no ring key {}", head.hmac_key_id)))?;
            self.inserter.head(project, head, &keys, self.recorded_at)?;
        }
        Ok(())
    }
}

/// The same sad answer for everybody in a group.
pub(super) fn unavailable(reason: &str, outcome_unknown: bool) -> AppendError {
    AppendError::Unavailable { reason: reason.to_owned(), outcome_unknown }
}
