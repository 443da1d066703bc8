//! One pass of sealing: what was committed since the last anchor becomes an anchor of each project, each anchor a leaf
//! of the instance tree, and that tree a checkpoint of its own.
//!
//! Order, for project trees and for the instance tree alike: read the last signed checkpoint from the checkpoint store, prove
//! that the tree grew out of it, sign, swap, and only then publish, in the ledger. A crash before the swap leaves nothing; one
//! between swap and ledger leaves a signed checkpoint that the next pass grows out of, with the same root if nothing was
//! appended meanwhile. So there are never two roots for one size, and never an anchor for rows that are not durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use indelible_core::anchor::Anchor;
use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{KeyId, Name, Note, Signer};
use indelible_core::time::Timestamp;
use indelible_core::tree::{Edge, consistency};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::checkpoints::{CheckpointStore, Checkpoints, CheckpointsError, Closing, Swap};
use super::interval::{Anchored, Intervals, Waiting};
use super::keys::SigningKeys;
use super::{Refusal, RefusalKind, SealingFailure, instance};
use crate::append::AppendError;
use crate::clock::Clock;
use crate::cosigning::Cosigning;
use crate::faults::{Faults, When, Write};
use crate::keystore::{KeyError, KeyStore};
use crate::store::{StoreError, Tiles, Tree, open_reader};
use crate::write::{AnchorRow, Change, Privilege, Work, Writer};

/// Checkpoints swapped at once, and anchors published in one transaction.
pub(super) const BATCH_ANCHORS: usize = 1_000;

/// Why a pass ended early. What it had not published waits for the next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint store.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointsError),
    /// A key is not there.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No signature.
    #[error(transparent)]
    Sign(#[from] indelible_core::note::SignError),
    /// The writer did not take it.
    #[error("anchors cannot be written: {0}")]
    Append(#[from] AppendError),
}

impl SealError {
    /// Where the fault lies.
    pub(super) const fn kind(&self) -> SealingFailure {
        match self {
            Self::Checkpoints(_) => SealingFailure::CheckpointStore,
            Self::Key(_) | Self::Sign(_) => SealingFailure::Key,
            Self::Store(_) | Self::Append(_) => SealingFailure::Ledger,
        }
    }
}

impl From<rusqlite::Error> for SealError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What sealing works with.
pub(crate) struct Parts {
    pub(crate) ledger_db: PathBuf,
    pub(crate) checkpoints: CheckpointStore,
    pub(crate) instance: String,
    pub(crate) keystore: Arc<KeyStore>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) faults: Option<Arc<dyn Faults>>,
    /// Who asks the witnesses, where there are any.
    pub(crate) cosigning: Option<Arc<Cosigning>>,
}

/// What is remembered between passes; read anew after a failure.
pub(super) struct State {
    pub(super) ledger: Connection,
    pub(super) checkpoints: Checkpoints,
    pub(super) intervals: Intervals,
    pub(super) instance: Edge,
}

/// Seals; one a ledger.
pub(super) struct Sealer {
    pub(super) parts: Parts,
    closing: Closing,
    pub(super) state: Option<State>,
    /// Trees that are not signed, and why.
    pub(super) refused: BTreeMap<Name, Refusal>,
    /// Trees that this pass signs whatever was signed before: an administrator said so.
    pub(super) adopting: BTreeSet<Name>,
}

/// An anchor that may be signed: its tree grew out of what was signed before.
struct Due {
    project: i64,
    number: u64,
    last_row: i64,
    origin: Name,
    anchor: Anchor,
    /// The checkpoint in whose place the new one comes.
    old: Option<String>,
}

/// An anchor that is signed and not published.
struct Signed {
    project: i64,
    number: u64,
    last_row: i64,
    anchor: Anchor,
    note: Note,
    checkpoint: Note,
    swap: Swap,
}

/// What a tree is to be signed as.
pub(super) struct Grown<'a> {
    pub(super) origin: &'a Name,
    pub(super) size: u64,
    pub(super) root: Hash,
    /// Whether anything was signed of it before.
    pub(super) signed_before: bool,
}

impl State {
    fn open(parts: &Parts, closing: &Closing) -> Result<Self, SealError> {
        let ledger = open_reader(&parts.ledger_db)?;
        let checkpoints = Checkpoints::open(&parts.checkpoints, &parts.instance, closing)?;
        let (intervals, instance) = (Intervals::load(&ledger)?, instance::edge(&ledger)?);
        Ok(Self { ledger, checkpoints, intervals, instance })
    }

    /// The checkpoint to be swapped, once it is proved that the tree grew out of it; or why nothing may be signed.
    pub(super) fn prove(&self, grown: &Grown<'_>, tree: Tree, keys: &SigningKeys) -> Result<Result<Option<String>, Refusal>, SealError> {
        let Some(stored) = self.checkpoints.read(grown.origin.as_str())? else {
            let refusal = Refusal::new(
                RefusalKind::NoCheckpoint,
                "the checkpoint store has none of this tree, whose anchors the ledger holds: put the store back, or accept the ledger as it is \
                 with `indelible checkpoints adopt`",
            );
            return Ok(if grown.signed_before { Err(refusal) } else { Ok(None) });
        };
        let opened = Note::parse(stored.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|note| Checkpoint::open(&note, &keys.verifier_keys(grown.origin)).map_err(|error| error.to_string()));
        let last = match opened {
            Ok(opened) => opened.checkpoint,
            Err(error) => {
                let detail = format!("what the checkpoint store holds of this tree cannot be believed: {error}");
                return Ok(Err(Refusal::new(RefusalKind::BadCheckpoint, detail)));
            }
        };
        if last.size > grown.size {
            let detail = format!("{} leaves were signed, the ledger holds {}: it is an older copy", last.size, grown.size);
            return Ok(Err(Refusal::new(RefusalKind::RolledBack, detail)));
        }
        let mut tiles = Tiles::new(&self.ledger, tree, grown.size);
        let proof = consistency::proof(last.size, grown.size, |height, index| tiles.hash_at(height, index));
        let proof = tiles.finish(proof)?;
        let holds = proof.is_some_and(|proof| consistency::holds(last.size, grown.size, &last.root, &grown.root, &proof));
        if !holds {
            let detail = format!("the tree of {} leaves did not grow out of the one of {} leaves that was signed", grown.size, last.size);
            return Ok(Err(Refusal::new(RefusalKind::Forked, detail)));
        }
        Ok(Ok(Some(stored)))
    }
}

impl Sealer {
    pub(super) fn new(parts: Parts, closing: Closing) -> Self {
        Self { parts, closing, state: None, refused: BTreeMap::new(), adopting: BTreeSet::new() }
    }

    /// Anchors everything that is committed and not anchored; finishes what a pass before this one left.
    pub(super) fn pass(&mut self) -> Result<(), SealError> {
        let (mut state, opened) = match self.state.take() {
            Some(state) => (state, false),
            None => (State::open(&self.parts, &self.closing)?, true),
        };
        let now = self.parts.clock.now();
        let keys = SigningKeys::load(&state.ledger)?;
        let adopting = std::mem::take(&mut self.adopting);
        self.adopt(&mut state, &keys, now, adopting)?;
        // Heads, tiles and rows of one moment: appends go on meanwhile.
        state.ledger.execute_batch("BEGIN")?;
        let looked = if opened { self.look_at_all(&state, &keys) } else { Ok(()) };
        let read = looked.and_then(|()| Ok(state.intervals.read(&state.ledger)?));
        let due = read.and_then(|()| self.prove_all(&state, &keys, now));
        state.ledger.execute_batch("COMMIT")?;
        let mut due = due?;
        // Whoever signs may be a network away: no view of the ledger is held open meanwhile.
        while !due.is_empty() {
            let later = due.split_off(due.len().min(BATCH_ANCHORS));
            let signed = std::mem::replace(&mut due, later).into_iter().map(|due| self.sign(due, &keys, now));
            let signed = signed.collect::<Result<Vec<_>, _>>()?;
            self.publish(&mut state, signed)?;
        }
        self.seal_instance(&mut state, &keys, now)?;
        self.state = Some(state);
        Ok(())
    }

    /// What is to be signed, each proved to have grown out of what was signed before.
    fn prove_all(&mut self, state: &State, keys: &SigningKeys, now: Timestamp) -> Result<Vec<Due>, SealError> {
        let mut all = Vec::new();
        for (project, waiting) in &state.intervals.waiting {
            let id: String =
                state.ledger.prepare_cached("SELECT project_id FROM ledgers WHERE project = ?1")?.query_row([project], |row| row.get(0))?;
            let project_id = Uuid::try_parse(&id).map_err(|_| StoreError::Corrupt(format!("{id} is not the id of a project")))?;
            let origin = origin(&self.parts.instance, project_id)?;
            match prove(state, keys, now, (*project, project_id), &origin, waiting)? {
                Ok(due) => {
                    self.refused.remove(&origin);
                    all.push(due);
                }
                Err(refusal) => self.refuse(origin, refusal),
            }
        }
        Ok(all)
    }

    fn sign(&self, due: Due, keys: &SigningKeys, now: Timestamp) -> Result<Signed, SealError> {
        let Due { project, number, last_row, origin, anchor, old } = due;
        let signers = keys.signers(&self.parts.keystore, &origin, now)?;
        let newest = signers.first().ok_or_else(|| StoreError::Corrupt("no key signs".to_owned()))?;
        let note = anchor.sign(&origin, newest.as_ref())?;
        let checkpoint = sign(&Checkpoint { origin: origin.clone(), size: anchor.tree_size(), root: anchor.tree_root }, &signers)?;
        let swap = Swap { origin: origin.as_str().to_owned(), old, new: checkpoint.to_string() };
        Ok(Signed { project, number, last_row, anchor, note, checkpoint, swap })
    }

    /// Swaps in the checkpoint store, then writes the anchors and their leaves.
    fn publish(&self, state: &mut State, signed: Vec<Signed>) -> Result<(), SealError> {
        let swaps: Vec<Swap> = signed.iter().map(|signed| signed.swap.clone()).collect();
        self.swap(&mut state.checkpoints, &swaps)?;
        let mut edge = state.instance.clone();
        let (mut changes, mut tiles) = (Vec::new(), Vec::new());
        for signed in &signed {
            let leaf = signed.anchor.instance_leaf();
            changes.push(Change::Anchor(Box::new(AnchorRow {
                project: signed.project,
                number: signed.number,
                tree_size: signed.anchor.tree_size(),
                last_row: signed.last_row,
                anchor: text(signed.anchor.to_bytes()),
                note: signed.note.to_string(),
                checkpoint: signed.checkpoint.to_string(),
                position: edge.size(),
                leaf: text(leaf.to_bytes()),
            })));
            edge.append(leaf.leaf_hash(), &mut tiles);
        }
        changes.extend(tiles.into_iter().map(Change::InstanceTile));
        let levels = edge.partial_tiles().iter().enumerate();
        changes.extend(levels.map(|(level, hashes)| Change::InstanceEdge { level, hashes: hashes.clone() }));
        self.parts.writer.submit_blocking(Work::with_changes(Vec::new(), changes, Privilege::Engine))?;
        state.instance = edge;
        for signed in signed {
            state.intervals.anchored(signed.project, signed.number, signed.anchor);
        }
        Ok(())
    }

    /// Signs the instance tree, where it grew.
    fn seal_instance(&mut self, state: &mut State, keys: &SigningKeys, now: Timestamp) -> Result<(), SealError> {
        let origin = instance_origin(&self.parts.instance)?;
        let last: Option<i64> = state.ledger.query_row("SELECT max(size) FROM instance_checkpoints", [], |row| row.get(0))?;
        let (size, root) = (state.instance.size(), state.instance.root());
        if size == last.unwrap_or(0).unsigned_abs() {
            return Ok(());
        }
        let grown = Grown { origin: &origin, size, root, signed_before: last.is_some() };
        let old = match state.prove(&grown, Tree::Instance, keys)? {
            Ok(old) => old,
            Err(refusal) => {
                self.refuse(origin, refusal);
                return Ok(());
            }
        };
        self.refused.remove(&origin);
        let signers = keys.signers(&self.parts.keystore, &origin, now)?;
        let checkpoint = sign(&Checkpoint { origin: origin.clone(), size, root }, &signers)?.to_string();
        let swap = Swap { origin: origin.as_str().to_owned(), old, new: checkpoint.clone() };
        self.swap(&mut state.checkpoints, &[swap])?;
        let changes = vec![Change::InstanceCheckpoint { size, checkpoint }];
        self.parts.writer.submit_blocking(Work::with_changes(Vec::new(), changes, Privilege::Engine))?;
        if let Some(cosigning) = &self.parts.cosigning {
            cosigning.published(size);
        }
        Ok(())
    }

    pub(super) fn swap(&self, checkpoints: &mut Checkpoints, swaps: &[Swap]) -> Result<(), SealError> {
        let strike = |when| match &self.parts.faults {
            Some(faults) if faults.strikes(Write::Swap, when) => Err(StoreError::Injected(Write::Swap, when)),
            _ => Ok(()),
        };
        strike(When::Before)?;
        checkpoints.swap(swaps)?;
        Ok(strike(When::After)?)
    }

    /// Takes note that a tree is not signed; the log hears of it once.
    pub(super) fn refuse(&mut self, origin: Name, refusal: Refusal) {
        if self.refused.get(&origin) != Some(&refusal) {
            tracing::error!(%origin, kind = refusal.kind.as_str(), detail = refusal.detail, "a tree is not signed");
        }
        self.refused.insert(origin, refusal);
    }
}

/// `<instance name>/<project id>`
pub(crate) fn origin(instance: &str, project_id: Uuid) -> Result<Name, SealError> {
    Ok(Name::new(format!("{instance}/{project_id}")).map_err(indelible_core::note::SignError::from)?)
}

/// `<instance name>`
pub(crate) fn instance_origin(instance: &str) -> Result<Name, SealError> {
    Ok(Name::new(instance).map_err(indelible_core::note::SignError::from)?)
}

pub(super) fn sign(checkpoint: &Checkpoint, signers: &[Box<dyn Signer>]) -> Result<Note, SealError> {
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    Ok(checkpoint.sign(&signers)?)
}

/// The anchor of what waits in a project; or why nothing may be signed.
fn prove(
    state: &State,
    keys: &SigningKeys,
    now: Timestamp,
    (project, project_id): (i64, Uuid),
    origin: &Name,
    waiting: &Waiting,
) -> Result<Result<Due, Refusal>, SealError> {
    if let Some(sequence) = waiting.broken_at {
        let detail = format!("sequence {sequence} does not follow on the one before it: run `indelible verify`");
        return Ok(Err(Refusal::new(RefusalKind::Broken, detail)));
    }
    let head: Option<(i64, Hash, Hash)> = state
        .ledger
        .prepare_cached("SELECT size, row_hash, tree_root FROM heads WHERE project = ?1")?
        .query_row([project], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((_, _, root)) = head.filter(|(size, row_hash, _)| size.unsigned_abs() == waiting.size && *row_hash == waiting.last_row_hash)
    else {
        return Ok(Err(Refusal::new(RefusalKind::Broken, "the head does not agree with the rows: run `indelible verify`")));
    };
    let last = state.intervals.anchored.get(&project);
    let grown = Grown { origin, size: waiting.size, root, signed_before: last.is_some() };
    let old = match state.prove(&grown, Tree::Project(project), keys)? {
        Ok(old) => old,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let newest = keys.verifier_keys(origin).pop().ok_or_else(|| StoreError::Corrupt("no key signs".to_owned()))?;
    let anchor = anchor(waiting, last, project_id, root, newest.id(), now);
    let number = last.map_or(0, |last| last.number + 1);
    Ok(Ok(Due { project, number, last_row: waiting.last_row, origin: origin.clone(), anchor, old }))
}

fn anchor(waiting: &Waiting, last: Option<&Anchored>, project_id: Uuid, root: Hash, signing_key_id: KeyId, now: Timestamp) -> Anchor {
    Anchor {
        // The clock may have gone back: anchors do not.
        anchor_at: last.map_or(now, |last| now.max(last.anchor.anchor_at)),
        project_id,
        first_sequence: waiting.first_sequence,
        last_sequence: waiting.size - 1,
        last_row_hash: waiting.last_row_hash,
        merkle_root: waiting.interval.root(),
        tree_root: root,
        signing_key_id,
        previous_anchor_sha256: last.map(|last| last.anchor.sha256()),
    }
}

fn text(canonical: Vec<u8>) -> String {
    String::from_utf8(canonical).expect("canonical JSON is UTF-8")
}
