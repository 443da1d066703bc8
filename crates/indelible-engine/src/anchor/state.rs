//! What sealing remembers between passes, and how a tree is held against what was signed of it.
//!
//! A tree that did not grow out of that is refused. Where the tree itself is whole, an administrator may adopt it: what would be signed,
//! and over what, goes into the record first ([`Standing`]). One that contradicts itself is adopted by nobody.

use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Name, Note};
use indelible_core::tree::{Edge, Range, consistency};
use uuid::Uuid;

use super::checkpoints::{Checkpoints, Closing};
use super::interval::Intervals;
use super::keys::SigningKeys;
use super::seal::{Parts, SealError, origin};
use super::{Refusal, RefusalKind, instance};
use crate::store::sql::{Connection, OptionalExtension};
use crate::store::{StoreError, Tiles, Tree};

/// What is remembered between passes; read anew after a failure of the store or the checkpoint store.
pub(super) struct State {
    pub(super) ledger: Connection,
    pub(super) checkpoints: Checkpoints,
    pub(super) intervals: Intervals,
    pub(super) instance: Edge,
    /// Whether every tree was compared with the checkpoint store since it was opened.
    pub(super) looked: bool,
}

/// What a tree is to be signed as.
pub(super) struct Grown<'a> {
    pub(super) origin: &'a Name,
    pub(super) size: u64,
    pub(super) root: Hash,
    /// Whether anything was signed of it before.
    pub(super) signed_before: bool,
}

/// How a project's tree is called.
pub(super) struct Named {
    pub(super) origin: Name,
    /// Or why it can be none.
    pub(super) project_id: Result<Uuid, String>,
}

/// The head of a chain.
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) row_hash: Hash,
    pub(super) root: Hash,
}

/// A tree that is refused: what was signed of it, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The note in the checkpoint store.
    pub(crate) old: Option<String>,
    /// Leaves that there are.
    pub(crate) size: u64,
    /// Their root.
    pub(crate) root: Hash,
}

/// Why a tree is not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// What an adoption takes; nothing where the tree contradicts itself.
    pub(super) standing: Option<Standing>,
}

impl Refused {
    pub(super) fn broken(detail: impl Into<String>) -> Self {
        Self { refusal: Refusal::new(RefusalKind::Broken, detail), standing: None }
    }
}

impl State {
    pub(super) fn open(parts: &mut Parts, closing: &Closing) -> Result<Self, SealError> {
        let ledger = parts.source.open_reader()?;
        let checkpoints = Checkpoints::open(&parts.checkpoints, &parts.instance, closing)?;
        let (intervals, instance) = (Intervals::load(&ledger, &mut || parts.keep())?, instance::edge(&ledger)?);
        Ok(Self { ledger, checkpoints, intervals, instance, looked: false })
    }

    /// The name of the tree of the project that has this number in the ledger; where its id can be none, one to refuse it under.
    pub(super) fn named(&self, instance: &str, project: i64) -> Result<Named, SealError> {
        let id: Option<String> = self
            .ledger
            .prepare("SELECT project_id FROM ledgers WHERE project = ?1")?
            .query_row([project], |row| Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned()))
            .optional()?;
        let id = id.unwrap_or_default();
        if let Ok(project_id) = Uuid::try_parse(&id) {
            return Ok(Named { origin: origin(instance, project_id)?, project_id: Ok(project_id) });
        }
        let by_number = || Name::new(format!("{instance}/{project}"));
        let name = if id.is_empty() { by_number() } else { Name::new(format!("{instance}/{id}")).or_else(|_| by_number()) };
        let origin = name.map_err(indelible_core::note::SignError::from)?;
        Ok(Named { origin, project_id: Err(format!("{id:?} is not the id of a project: run `indelible verify`")) })
    }

    /// The head of a chain.
    pub(super) fn head(&self, project: i64) -> Result<Option<Head>, SealError> {
        let head = self
            .ledger
            .prepare("SELECT size, row_hash, tree_root FROM heads WHERE project = ?1")?
            .query_row([project], |row| Ok(Head { size: row.get::<_, i64>(0)?.unsigned_abs(), row_hash: row.get(1)?, root: row.get(2)? }))
            .optional()?;
        Ok(head)
    }

    /// The checkpoint to be swapped, once it is proved that the tree grew out of it; or why nothing may be signed.
    pub(super) fn prove(&self, grown: &Grown<'_>, tree: Tree, keys: &SigningKeys) -> Result<Result<Option<String>, Refused>, SealError> {
        let stored = self.checkpoints.read(grown.origin.as_str())?;
        if stored.is_none() && !grown.signed_before {
            return Ok(Ok(None));
        }
        let Some(refusal) = self.compare(grown, tree, keys, stored.as_deref())? else { return Ok(Ok(stored)) };
        if self.root(tree, grown.size, grown.size)? != Some(grown.root) {
            return Ok(Err(Refused::broken("the root of the tree is not that of its tiles: run `indelible verify`")));
        }
        Ok(Err(Refused { refusal, standing: Some(Standing { old: stored, size: grown.size, root: grown.root }) }))
    }

    /// What is wrong between a tree and the checkpoint that is stored of it.
    fn compare(&self, grown: &Grown<'_>, tree: Tree, keys: &SigningKeys, stored: Option<&str>) -> Result<Option<Refusal>, SealError> {
        let Some(stored) = stored else {
            return Ok(Some(Refusal::new(
                RefusalKind::NoCheckpoint,
                "the checkpoint store has none of this tree, whose anchors the ledger holds: put the store back, or accept the ledger as it is \
                 with `indelible checkpoints adopt`",
            )));
        };
        let opened = Note::parse(stored.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|note| Checkpoint::open(&note, &keys.verifier_keys(grown.origin)).map_err(|error| error.to_string()));
        let last = match opened {
            Ok(opened) => opened.checkpoint,
            Err(error) => {
                let detail = format!("what the checkpoint store holds of this tree cannot be believed: {error}");
                return Ok(Some(Refusal::new(RefusalKind::BadCheckpoint, detail)));
            }
        };
        if last.size > grown.size {
            let detail = format!("{} leaves were signed, the ledger holds {}: it is an older copy", last.size, grown.size);
            return Ok(Some(Refusal::new(RefusalKind::RolledBack, detail)));
        }
        let mut tiles = Tiles::new(&self.ledger, tree, grown.size);
        let proof = consistency::proof(last.size, grown.size, |height, index| tiles.hash_at(height, index));
        let proof = tiles.finish(proof)?;
        let holds = proof.is_some_and(|proof| consistency::holds(last.size, grown.size, &last.root, &grown.root, &proof));
        let detail = format!("the tree of {} leaves did not grow out of the one of {} leaves that was signed", grown.size, last.size);
        Ok((!holds).then(|| Refusal::new(RefusalKind::Forked, detail)))
    }

    /// The root of the first `size` leaves of a tree that has `stored` now, by its tiles; `None` where they do not lead to one.
    pub(super) fn root(&self, tree: Tree, size: u64, stored: u64) -> Result<Option<Hash>, StoreError> {
        let mut tiles = Tiles::new(&self.ledger, tree, stored);
        let nodes: Option<Vec<Hash>> = Range::subtrees_of(0, size).map(|(height, index)| tiles.hash_at(height, index)).collect();
        let nodes = tiles.finish(nodes)?;
        Ok(nodes.and_then(|nodes| Range::from_nodes(0, size, nodes)).and_then(|range| range.root()))
    }
}
