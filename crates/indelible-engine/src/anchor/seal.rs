//! One pass of sealing: what was committed since the last anchor becomes an anchor of each project, each anchor a leaf
//! of the instance tree, and that tree a checkpoint of its own.
//!
//! Order, for project trees and for the instance tree alike: read the last signed checkpoint from the checkpoint store, prove
//! that the tree grew out of it, sign, swap, and only then publish, in the ledger. A crash before the swap leaves nothing; one
//! between swap and ledger leaves a signed checkpoint that the next pass grows out of, with the same root if nothing was
//! appended meanwhile. So there are never two roots for one size, and never an anchor for rows that are not durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_core::anchor::Anchor;
use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{KeyId, Name, Note};
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::checkpoints::{CheckpointStore, Checkpoints, CheckpointsError, Closing, Swap};
use super::interval::{Anchored, Waiting};
use super::keys::SigningKeys;
use super::signatures::Signatures;
use super::state::{Grown, Head, Named, Refused, Standing, State};
use super::{Refusal, RefusalKind, SealingFailure};
use crate::append::AppendError;
use crate::clock::Clock;
use crate::cosigning::Cosigning;
use crate::faults::{Faults, When, Write};
use crate::keystore::{KeyError, KeyStore};
use crate::sharing::{Lease, Term};
use crate::store::sql::SqlError;
use crate::store::{Source, StoreError, Tree};
use crate::write::{AnchorRow, Change, LEASE_LOST, Privilege, Work, Writer};

/// Checkpoints swapped at once, and anchors published in one transaction.
pub(super) const BATCH_ANCHORS: usize = 1_000;
/// How long is signed before what was signed is published, fewer though it may be: who signs may be slow, and what is published stays done
/// whatever becomes of the rest.
const BATCH_TIME: Duration = Duration::from_secs(5);
/// How often somebody who asked is served by sealing anew where another server took over in the midst of it.
const TRIES: usize = 3;

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
    /// What is to be said of the tree that was looked at, where what is stored of it is the reason: no fault of the store as a whole.
    pub(super) fn of_one_tree(self) -> Result<Refused, Self> {
        match self {
            Self::Store(StoreError::Sql(SqlError::Unfit(..))) => {
                Ok(Refused::broken("what is stored of the tree is not what the ledger stores: run `indelible verify`"))
            }
            error => Err(error),
        }
    }

    /// Where the fault lies.
    pub(super) const fn kind(&self) -> SealingFailure {
        match self {
            Self::Checkpoints(_) => SealingFailure::CheckpointStore,
            Self::Key(_) | Self::Sign(_) => SealingFailure::Key,
            Self::Store(_) | Self::Append(_) => SealingFailure::Ledger,
        }
    }
}

impl SealError {
    /// Whether another server seals now, by whom it was taken over in the midst of it: nothing is wrong.
    fn is_taken_over(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::TakenOver),
            Self::Append(AppendError::Unavailable { reason, .. }) => reason == LEASE_LOST,
            _ => false,
        }
    }
}

impl From<SqlError> for SealError {
    fn from(error: SqlError) -> Self {
        Self::Store(error.into())
    }
}

/// What sealing works with.
pub(crate) struct Parts {
    pub(crate) source: Source,
    pub(crate) checkpoints: CheckpointStore,
    pub(crate) instance: String,
    pub(crate) keystore: Arc<KeyStore>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) faults: Option<Arc<dyn Faults>>,
    /// Who asks the witnesses, where there are any.
    pub(crate) cosigning: Option<Arc<Cosigning>>,
    /// Where several servers share a ledger, one of them seals.
    pub(crate) lease: Option<Lease>,
}

impl Parts {
    /// Renews the lease, if that is due.
    pub(super) fn keep(&mut self) -> Result<(), StoreError> {
        self.lease.as_mut().map_or(Ok(()), Lease::keep)
    }

    fn strike(&self, write: Write, when: When) -> Result<(), StoreError> {
        let struck = self.faults.as_ref().is_some_and(|faults| faults.strikes(write, when));
        if struck { Err(StoreError::Injected(write, when)) } else { Ok(()) }
    }
}

/// Seals; one a ledger.
pub(super) struct Sealer {
    pub(super) parts: Parts,
    closing: Closing,
    pub(super) state: Option<State>,
    /// Trees that are not signed, and why.
    pub(super) refused: BTreeMap<Name, Refused>,
    /// Keys that should sign beside the newest and do not, and why.
    pub(super) failing_keys: BTreeMap<u64, String>,
    /// Trees that this pass signs whatever was signed before, as an administrator said.
    pub(super) adopting: BTreeMap<Name, Standing>,
    /// Under which lease this pass seals.
    term: Option<Term>,
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

impl Sealer {
    pub(super) fn new(parts: Parts, closing: Closing) -> Self {
        let (refused, failing_keys, adopting) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { parts, closing, state: None, refused, failing_keys, adopting, term: None }
    }

    /// Anchors everything that is committed and not anchored; finishes what a pass before this one left. Says whether it did: where another
    /// server seals, nothing is done, unless somebody asked for it here.
    pub(super) fn pass(&mut self, is_asked_for: bool, closes: bool) -> Result<bool, SealError> {
        for left in (0..if is_asked_for { TRIES } else { 1 }).rev() {
            if !self.hold(is_asked_for)? {
                return Ok(false);
            }
            let passed = self.pass_held();
            if let Some(lease) = &mut self.parts.lease {
                lease.let_go(closes);
            }
            match passed {
                Err(error) if error.is_taken_over() => {
                    tracing::info!(tried_again = left > 0, "another server took sealing over; what was published before stays");
                    self.follow();
                    if is_asked_for && left == 0 {
                        return Err(error);
                    }
                }
                passed => return passed.map(|()| true),
            }
        }
        Ok(false)
    }

    /// Takes the lease, if nobody has it.
    pub(super) fn claim(&mut self) -> Result<(), SealError> {
        if self.hold(false)?
            && let Some(lease) = &mut self.parts.lease
        {
            lease.let_go(false);
        }
        Ok(())
    }

    /// Takes the lease, where there is one; whether this server seals.
    fn hold(&mut self, insist: bool) -> Result<bool, SealError> {
        let Some(lease) = &mut self.parts.lease else { return Ok(true) };
        let Some((term, news)) = lease.hold(insist)? else {
            self.follow();
            return Ok(false);
        };
        self.term = Some(term);
        if news {
            self.state = None;
            if let Some(cosigning) = &self.parts.cosigning {
                cosigning.take_over();
            }
        }
        Ok(true)
    }

    /// Another server seals, and asks the witnesses.
    fn follow(&mut self) {
        (self.term, self.state) = (None, None);
        // What was refused here may be sealed by now. Whoever seals tells.
        self.refused.clear();
        self.failing_keys.clear();
        if let Some(cosigning) = &self.parts.cosigning {
            cosigning.follow();
        }
    }

    /// Asked before each swap, which cannot be taken back.
    pub(super) fn check_lease(&mut self) -> Result<(), SealError> {
        self.parts.lease.as_mut().map_or(Ok(()), |lease| Ok(lease.check()?))
    }

    /// Events and rows of sealing, which the writer takes under the lease alone.
    fn work(&self, changes: Vec<Change>) -> Work {
        let work = Work::with_changes(Vec::new(), changes, Privilege::Engine);
        match self.term {
            Some(term) => work.under(term),
            None => work,
        }
    }

    fn pass_held(&mut self) -> Result<(), SealError> {
        let mut state = match self.state.take() {
            Some(state) if !state.intervals.is_mended(&state.ledger)? => state,
            _ => State::open(&mut self.parts, &self.closing)?,
        };
        let sealed = self.seal(&mut state);
        // Where a key was the reason, what is remembered is as it was: signing comes before anything that it changes.
        if sealed.as_ref().err().is_none_or(|error| error.kind() == SealingFailure::Key) {
            self.state = Some(state);
        }
        sealed
    }

    fn seal(&mut self, state: &mut State) -> Result<(), SealError> {
        let now = self.parts.clock.now();
        let (keys, keystore) = (SigningKeys::load(&state.ledger)?, Arc::clone(&self.parts.keystore));
        let mut signatures = Signatures::new(&keys, &keystore, now);
        let sealed = self.seal_with(state, &mut signatures);
        let asked = signatures.into_asked();
        self.take_note_of_keys(&keys, now, asked);
        sealed
    }

    fn seal_with(&mut self, state: &mut State, signatures: &mut Signatures<'_>) -> Result<(), SealError> {
        let adopting = std::mem::take(&mut self.adopting);
        self.adopt(state, signatures, adopting)?;
        // Where the store was the reason, somebody may have put it right meanwhile.
        if state.looked && self.refused.values().any(|refused| refused.refusal.kind != RefusalKind::Broken) {
            state.checkpoints = Checkpoints::open(&self.parts.checkpoints, &self.parts.instance, &self.closing)?;
        }
        // Heads, tiles and rows of one moment: appends go on meanwhile.
        state.ledger.begin_reading()?;
        let looked = if state.looked && self.refused.is_empty() { Ok(()) } else { self.look_at_all(state, signatures.keys) };
        let read = looked.and_then(|()| Ok(state.intervals.read(&state.ledger, &mut || self.parts.keep())?));
        let due = read.and_then(|()| self.prove_all(state, signatures));
        state.ledger.end()?;
        let due = due?;
        state.looked = true;
        // Whoever signs may be a network away: no view of the ledger is held open meanwhile.
        let mut due = due.into_iter().peekable();
        while due.peek().is_some() {
            let signed = self.sign_some(&mut due, signatures)?;
            self.publish(state, signed)?;
        }
        self.seal_instance(state, signatures)
    }

    /// Signs as many as are published together.
    fn sign_some(&mut self, due: &mut impl Iterator<Item = Due>, signatures: &mut Signatures<'_>) -> Result<Vec<Signed>, SealError> {
        let (began, mut signed) = (Instant::now(), Vec::new());
        while signed.len() < BATCH_ANCHORS && (signed.is_empty() || began.elapsed() < BATCH_TIME) {
            let Some(due) = due.next() else { break };
            self.parts.keep()?;
            self.parts.strike(Write::Sign, When::Before)?;
            signed.push(sign(due, signatures)?);
        }
        Ok(signed)
    }

    /// What is to be signed, each proved to have grown out of what was signed before. What is wrong with one tree keeps no other
    /// from being signed.
    fn prove_all(&mut self, state: &State, signatures: &Signatures<'_>) -> Result<Vec<Due>, SealError> {
        let mut all = Vec::new();
        for (project, why) in &state.intervals.spoiled {
            let Named { origin, .. } = state.named(&self.parts.instance, *project)?;
            self.refuse(origin, Refused::broken(format!("{why}: run `indelible verify`")));
        }
        for (project, waiting) in &state.intervals.waiting {
            self.parts.keep()?;
            let Named { origin, project_id } = state.named(&self.parts.instance, *project)?;
            let proved = match project_id {
                Ok(project_id) => prove(state, signatures, (*project, project_id), &origin, waiting),
                Err(why) => Ok(Err(Refused::broken(why))),
            };
            match proved.or_else(|error| error.of_one_tree().map(Err))? {
                Ok(due) => {
                    self.refused.remove(&origin);
                    all.push(due);
                }
                Err(refused) => self.refuse(origin, refused),
            }
        }
        Ok(all)
    }

    /// Swaps in the checkpoint store, then writes the anchors and their leaves.
    fn publish(&mut self, state: &mut State, signed: Vec<Signed>) -> Result<(), SealError> {
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
        self.parts.writer.submit_blocking(self.work(changes))?;
        state.instance = edge;
        for signed in signed {
            state.intervals.anchored(signed.project, signed.number, signed.anchor);
        }
        Ok(())
    }

    /// Signs the instance tree, where it grew.
    fn seal_instance(&mut self, state: &mut State, signatures: &mut Signatures<'_>) -> Result<(), SealError> {
        let origin = instance_origin(&self.parts.instance)?;
        let last: Option<i64> = state.ledger.query_row("SELECT max(size) FROM instance_checkpoints", [], |row| row.get(0))?;
        let (size, root) = (state.instance.size(), state.instance.root());
        if size == last.unwrap_or(0).unsigned_abs() {
            return Ok(());
        }
        let grown = Grown { origin: &origin, size, root, signed_before: last.is_some() };
        let proved = state.prove(&grown, Tree::Instance, signatures.keys);
        let old = match proved.or_else(|error| error.of_one_tree().map(Err))? {
            Ok(old) => old,
            Err(refused) => {
                self.refuse(origin, refused);
                return Ok(());
            }
        };
        self.refused.remove(&origin);
        let checkpoint = signatures.checkpoint(&Checkpoint { origin: origin.clone(), size, root })?.to_string();
        let swap = Swap { origin: origin.as_str().to_owned(), old, new: checkpoint.clone() };
        self.swap(&mut state.checkpoints, &[swap])?;
        let changes = vec![Change::InstanceCheckpoint { size, checkpoint }];
        self.parts.writer.submit_blocking(self.work(changes))?;
        if let Some(cosigning) = &self.parts.cosigning {
            cosigning.published(size);
        }
        Ok(())
    }

    pub(super) fn swap(&mut self, checkpoints: &mut Checkpoints, swaps: &[Swap]) -> Result<(), SealError> {
        self.check_lease()?;
        self.parts.strike(Write::Swap, When::Before)?;
        checkpoints.swap(swaps)?;
        Ok(self.parts.strike(Write::Swap, When::After)?)
    }

    /// Takes note that a tree is not signed; the log hears of it once.
    pub(super) fn refuse(&mut self, origin: Name, refused: Refused) {
        if self.refused.get(&origin).map(|known| &known.refusal) != Some(&refused.refusal) {
            let Refusal { kind, detail } = &refused.refusal;
            tracing::error!(%origin, kind = kind.as_str(), detail, "a tree is not signed");
        }
        self.refused.insert(origin, refused);
    }

    /// Takes note of which keys sign beside the newest; the log hears of a change.
    fn take_note_of_keys(&mut self, keys: &SigningKeys, now: Timestamp, asked: BTreeMap<u64, Option<String>>) {
        self.failing_keys.retain(|id, _| keys.beside(now).any(|key| key.id == *id));
        for (id, failing) in asked {
            match failing {
                Some(error) => {
                    if self.failing_keys.get(&id) != Some(&error) {
                        tracing::warn!(key = id, error, "a signing key does not sign beside the newest; checkpoints go without it");
                    }
                    self.failing_keys.insert(id, error);
                }
                None if self.failing_keys.remove(&id).is_some() => tracing::info!(key = id, "a signing key signs again"),
                None => {}
            }
        }
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

fn sign(due: Due, signatures: &mut Signatures<'_>) -> Result<Signed, SealError> {
    let Due { project, number, last_row, origin, anchor, old } = due;
    let note = signatures.anchor(&anchor, &origin)?;
    let checkpoint = signatures.checkpoint(&Checkpoint { origin: origin.clone(), size: anchor.tree_size(), root: anchor.tree_root })?;
    let swap = Swap { origin: origin.as_str().to_owned(), old, new: checkpoint.to_string() };
    Ok(Signed { project, number, last_row, anchor, note, checkpoint, swap })
}

/// The anchor of what waits in a project; or why nothing may be signed.
fn prove(
    state: &State,
    signatures: &Signatures<'_>,
    (project, project_id): (i64, Uuid),
    origin: &Name,
    waiting: &Waiting,
) -> Result<Result<Due, Refused>, SealError> {
    if let Some(sequence) = waiting.broken_at {
        let detail = format!("sequence {sequence} does not follow on the one before it: run `indelible verify`");
        return Ok(Err(Refused::broken(detail)));
    }
    let head = state.head(project)?;
    let Some(Head { root, .. }) = head.filter(|head| head.size == waiting.size && head.row_hash == waiting.last_row_hash) else {
        return Ok(Err(Refused::broken("the head does not agree with the rows: run `indelible verify`")));
    };
    let last = state.intervals.anchored.get(&project);
    let grown = Grown { origin, size: waiting.size, root, signed_before: last.is_some() };
    let old = match state.prove(&grown, Tree::Project(project), signatures.keys)? {
        Ok(old) => old,
        Err(refused) => return Ok(Err(refused)),
    };
    let anchor = anchor(waiting, last, project_id, root, signatures.key_id(origin)?, signatures.now);
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
