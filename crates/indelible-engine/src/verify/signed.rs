//! What was signed, as it is stored: the keys, the anchors, and what the checkpoint store holds of each tree.
//!
//! The checkpoint store is read before the ledger's snapshot is taken. What it holds was committed when it was signed, so a
//! sealer at work beside can never make it look as if more had been signed than there is.

use std::collections::{BTreeMap, BTreeSet};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Algorithm, Name, VerifierKey};
use indelible_core::verify::{Finding, Log, StoredAnchor, Verdict};
use uuid::Uuid;

use crate::anchor::{CheckpointStore, Checkpoints};
use crate::store::sql::{Connection, OptionalExtension, Row, SqlError, params};

/// The checkpoint store as it was before the walk, by origin.
enum Store {
    Read(BTreeMap<String, String>),
    /// Why there is nothing, as the end of a sentence.
    Without(String),
}

/// Names, keys and last checkpoints of the trees of an instance.
pub(super) struct Signed {
    /// The name of the instance; `None` where the ledger has none, or it is none.
    instance: Option<Name>,
    public_keys: Vec<[u8; 32]>,
    store: Store,
    /// Origins that came into the store after it was read.
    later: BTreeSet<String>,
}

/// The name of the instance, which never changes: it may be read before the snapshot.
fn instance_name(ledger: &Connection) -> Result<Option<Name>, SqlError> {
    let read = |row: &Row<'_>| Ok(row.get_ref(0)?.as_str().map(str::to_owned));
    let name = ledger.query_row("SELECT value FROM instance WHERE key = 'name'", [], read).optional()?;
    Ok(name.flatten().and_then(|name| Name::new(name).ok()))
}

fn read_store(checkpoints: &CheckpointStore, instance: Option<&Name>) -> Store {
    let Some(instance) = instance else { return Store::Without("is not known: the ledger does not name its instance".to_owned()) };
    match Checkpoints::read_all(checkpoints, instance.as_str()) {
        Ok(Some(all)) => Store::Read(all),
        Ok(None) => Store::Without(format!("is not in {checkpoints}")),
        Err(error) => Store::Without(format!("cannot be read ({error})")),
    }
}

impl Signed {
    /// To be called before the snapshot is taken.
    pub(super) fn before(ledger: &Connection, checkpoints: &CheckpointStore) -> Result<Self, SqlError> {
        let instance = instance_name(ledger)?;
        let store = read_store(checkpoints, instance.as_ref());
        Ok(Self { instance, public_keys: Vec::new(), store, later: BTreeSet::new() })
    }

    /// Reads the keys in the snapshot, given those of the key store; says what is wrong with them.
    pub(super) fn load_keys(&mut self, snapshot: &Connection, own: &[(u64, [u8; 32])]) -> Result<Vec<Finding>, SqlError> {
        let (keys, mut faults) = public_keys(snapshot, own)?;
        self.public_keys = keys;
        if self.instance.is_none() {
            faults.push("the ledger does not name its instance".to_owned());
        }
        Ok(faults.into_iter().map(|detail| Finding { kind: Verdict::Altered, sequence: None, detail }).collect())
    }

    /// Looks again for trees of which the store held nothing, though the snapshot has something signed: a sealer may have
    /// signed them first in between.
    pub(super) fn look_again(&mut self, checkpoints: &CheckpointStore, mut signed: impl Iterator<Item = Option<Uuid>>) {
        let held = |origin: &Name| matches!(&self.store, Store::Read(all) if all.contains_key(origin.as_str()));
        if signed.any(|tree| self.origin(tree).is_some_and(|origin| !held(&origin)))
            && let Store::Read(all) = read_store(checkpoints, self.instance.as_ref())
        {
            self.later = all.into_keys().collect();
        }
    }

    /// The origin of a project's tree, or of the instance tree.
    fn origin(&self, project_id: Option<Uuid>) -> Option<Name> {
        let instance = self.instance.as_ref()?;
        project_id.map_or_else(|| Some(instance.clone()), |id| Name::new(format!("{instance}/{id}")).ok())
    }

    /// Who signs a project's tree, or the instance tree.
    pub(super) fn log(&self, project_id: Option<Uuid>) -> Option<Log> {
        Some(log_under(self.origin(project_id)?, &self.public_keys))
    }

    /// The name of the instance.
    pub(super) const fn instance(&self) -> Option<&Name> {
        self.instance.as_ref()
    }

    /// The last checkpoint that the store holds of a tree; or what is to be said where it is absent, though the ledger holds
    /// something `signed`, or cannot be believed.
    pub(super) fn last(&self, log: &Log, signed: bool) -> Result<Option<Checkpoint>, Finding> {
        let finding = |kind, detail| Finding { kind, sequence: None, detail };
        let origin = log.origin.as_str();
        match &self.store {
            Store::Read(all) => match all.get(origin) {
                Some(note) => log
                    .open(note.as_bytes())
                    .map(Some)
                    .map_err(|(kind, why)| finding(kind, format!("what the checkpoint store holds of {origin} cannot be believed: {why}"))),
                None if !signed || self.later.contains(origin) => Ok(None),
                None => {
                    let detail =
                        format!("the checkpoint store holds nothing of {origin}, which was signed: without it a rollback cannot be told");
                    Err(finding(Verdict::Unverifiable, detail))
                }
            },
            Store::Without(_) if !signed || self.later.contains(origin) => Ok(None),
            Store::Without(why) => {
                let detail =
                    format!("the checkpoint store {why}: without it a rollback of {origin} cannot be told (name it with --checkpoints)");
                Err(finding(Verdict::Unverifiable, detail))
            }
        }
    }

    /// Projects of which the store holds a checkpoint and that are not among `known`, each with what is to be said of it.
    pub(super) fn removed(&self, known: &BTreeSet<Uuid>) -> Vec<(Uuid, Finding)> {
        let (Some(instance), Store::Read(all)) = (&self.instance, &self.store) else { return Vec::new() };
        let mut removed = Vec::new();
        for (origin, note) in all {
            let id = origin.strip_prefix(instance.as_str()).and_then(|rest| rest.strip_prefix('/'));
            let Some(id) = id.and_then(|id| Uuid::try_parse(id).ok()).filter(|id| !known.contains(id)) else { continue };
            let (kind, detail) = match self.log(Some(id)).map(|log| log.open(note.as_bytes())) {
                Some(Ok(last)) => {
                    (Verdict::Missing, format!("{} rows of this project were signed; the ledger has no such project", last.size))
                }
                Some(Err((kind, why))) => {
                    (kind, format!("the ledger has no such project; what the checkpoint store holds of it cannot be believed: {why}"))
                }
                None => continue,
            };
            removed.push((id, Finding { kind, sequence: None, detail }));
        }
        removed
    }
}

/// Who signs the tree of `origin`: the keys of the ledger, and of the key store.
pub(super) fn log_of(ledger: &Connection, origin: &Name, own: &[(u64, [u8; 32])]) -> Result<Log, SqlError> {
    Ok(log_under(origin.clone(), &public_keys(ledger, own)?.0))
}

fn log_under(origin: Name, public_keys: &[[u8; 32]]) -> Log {
    let keys = public_keys.iter().map(|key| VerifierKey::new(origin.clone(), Algorithm::Ed25519, *key)).collect();
    Log { origin, keys }
}

/// The keys of the key store, and those of the ledger that it no longer has; one sentence for each of the ledger's that is
/// not what the key store has under its id, and is not believed.
fn public_keys(ledger: &Connection, own: &[(u64, [u8; 32])]) -> Result<(Vec<[u8; 32]>, Vec<String>), SqlError> {
    let mut keys: Vec<[u8; 32]> = own.iter().map(|(_, key)| *key).collect();
    let mut faults = Vec::new();
    let mut statement = ledger.prepare("SELECT id, public_key FROM signing_keys ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(0)?;
        let stored: Option<[u8; 32]> = row.get_ref(1)?.as_bytes().and_then(|key| key.try_into().ok());
        let known = own.iter().find_map(|(own, key)| (i64::try_from(*own) == Ok(id)).then_some(*key));
        match (stored, known) {
            (Some(stored), None) => keys.push(stored),
            (None, None) => faults.push(format!("signing key {id} is not a key")),
            (stored, known) if stored != known => faults.push(format!("signing key {id} is not the one of the key store")),
            _ => {}
        }
    }
    Ok((keys, faults))
}

/// The columns of an anchor, in the order of [`read_anchor`].
const ANCHOR: &str = "number, tree_size, anchor, note, checkpoint, last_row";

fn read_anchor(row: &Row<'_>) -> Result<(StoredAnchor, i64), SqlError> {
    let bytes = |at: usize| row.get_ref(at).map(|value| value.as_bytes().unwrap_or_default().to_vec());
    let number = |at: usize| row.get::<_, i64>(at).map(|number| u64::try_from(number).unwrap_or(u64::MAX >> 1));
    let stored = StoredAnchor { number: number(0)?, tree_size: number(1)?, anchor: bytes(2)?, note: bytes(3)?, checkpoint: bytes(4)? };
    Ok((stored, row.get(5)?))
}

/// The anchor of this number, or the next one there is up to `last`, and the row of its last event. Anchors are only added,
/// so another connection than the snapshot's sees the same up to there.
pub(super) fn anchor_from(ledger: &Connection, project: i64, number: u64, last: i64) -> Result<Option<(StoredAnchor, i64)>, SqlError> {
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    ledger
        .prepare(&format!("SELECT {ANCHOR} FROM anchors WHERE project = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number LIMIT 1"))?
        .query_row(params![project, number, last], read_anchor)
        .optional()
}

/// The first anchor that covers a sequence, found by halving: sizes grow with numbers.
pub(super) fn anchor_over(ledger: &Connection, project: i64, sequence: u64) -> Result<Option<StoredAnchor>, SqlError> {
    let last: Option<i64> = ledger.query_row("SELECT max(number) FROM anchors WHERE project = ?1", [project], |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    let (mut low, mut high) = (0, last.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let covers = anchor_from(ledger, project, middle.unsigned_abs(), last)?.is_some_and(|(anchor, _)| anchor.tree_size > sequence);
        if covers { high = middle } else { low = middle + 1 }
    }
    Ok(anchor_from(ledger, project, low.unsigned_abs(), last)?.map(|(anchor, _)| anchor))
}
