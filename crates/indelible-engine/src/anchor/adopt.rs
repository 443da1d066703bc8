//! Trees beside what was signed of them: looked at whenever sealing begins anew, and accepted as they are after a deliberate
//! restore. That is recorded first: what was signed before, with its note, for the checkpoint store may hold the only copy of it, and what is
//! signed in its place, which is that and no later state of the tree. A tree that contradicts itself is not adopted.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_core::checkpoint::Checkpoint;
use indelible_core::hex;
use indelible_core::json::{Object, Value};
use indelible_core::note::{Name, Note};
use uuid::Uuid;

use super::Refusal;
use super::checkpoints::Swap;
use super::keys::SigningKeys;
use super::seal::{BATCH_ANCHORS, SealError, Sealer, instance_origin};
use super::signatures::Signatures;
use super::state::{Grown, Named, Standing, State};
use crate::access::{Caller, Owner, Scope};
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::resource::{MutateError, Project};
use crate::store::Tree;
use crate::store::sql::OptionalExtension;

/// The event that tells of it.
const ADOPT: &str = "checkpoint.adopt";
/// `resource.type` of that event.
const KIND: &str = "checkpoint";

/// What came of an adoption.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Origins of the trees that are signed as they are.
    pub adopted: Vec<String>,
    /// Those of the trees that are not, and why: they contradict themselves.
    pub refused: Vec<(String, Refusal)>,
}

/// The event about one tree that is refused: allowed where there is something to adopt, else denied.
fn event(caller: &Caller, home: &Arc<Project>, (origin, refusal): (&Name, &Refusal), standing: Option<&Standing>) -> EngineEvent {
    let outcome = if standing.is_some() { "allow" } else { "deny" };
    let mut event = EngineEvent::new(caller, home, ADOPT, outcome).because(format!("{}: {}", refusal.kind.as_str(), refusal.detail));
    event.resource = Some(ResourceMembers { kind: KIND, id: origin.as_str().to_owned(), parent: None });
    let Some(standing) = standing else { return event };
    let tree = |size: u64, root: &[u8; 32]| {
        let mut state = Object::new();
        state.insert("root", Value::string(hex::encode(root)));
        state.insert("size", Value::integer(i64::try_from(size).unwrap_or(i64::MAX)));
        state
    };
    let size_and_root = |names: [&'static str; 2], size: u64, root: &[u8; 32]| names.into_iter().zip([size.to_string(), hex::encode(root)]);
    event.context.extend(size_and_root(["adopted_size", "adopted_root"], standing.size, &standing.root));
    event.after = Some(Value::Object(tree(standing.size, &standing.root)));
    if let Some(note) = &standing.old {
        let signed = Note::parse(note.as_bytes()).ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        let mut before = signed.as_ref().map_or_else(Object::new, |signed| tree(signed.size, &signed.root));
        before.insert("note", Value::string(note.clone()));
        event.context.extend(signed.iter().flat_map(|signed| size_and_root(["signed_size", "signed_root"], signed.size, &signed.root)));
        event.before = Some(Value::Object(before));
    }
    event
}

impl Ledger {
    /// Adopts every tree that is refused now and does not contradict itself, and seals. For keys of the instance with `audit:admin`.
    pub async fn adopt_checkpoints(&self, caller: &Caller) -> Result<Adopted, MutateError> {
        let lacking = if caller.has(Scope::AuditAdmin) { "the instance" } else { Scope::AuditAdmin.as_str() };
        if !caller.has(Scope::AuditAdmin) || caller.owner != Owner::Instance {
            let error = MutateError::Forbidden(lacking.to_owned());
            return Err(self.refuse(caller, None, (ADOPT, KIND, "*".to_owned()), error).await);
        }
        let home = self.home_of(Owner::Instance)?;
        // So that what is refused is known as of now.
        self.inner.anchoring.seal().await;
        let report = self.inner.anchoring.report();
        let standings = report.standings;
        let events = report.refused.iter().map(|(origin, refusal)| event(caller, &home, (origin, refusal), standings.get(origin)));
        let mut events: Vec<EngineEvent> = events.collect();
        if events.is_empty() {
            // That somebody asked is recorded too.
            let mut nothing = EngineEvent::new(caller, &home, ADOPT, "allow").because("every tree grew out of what was signed");
            nothing.resource = Some(ResourceMembers { kind: KIND, id: "*".to_owned(), parent: None });
            events.push(nothing);
        }
        let adopted: Vec<Name> = standings.keys().cloned().collect();
        self.record(events).await?;
        if !adopted.is_empty() {
            self.inner.anchoring.adopt(standings).await;
            let refused = self.inner.anchoring.report().refused;
            if adopted.iter().any(|origin| refused.contains_key(origin)) {
                let reason = "the adoption was recorded, and not every tree was signed: the log says why; once sealing works, adopt again"
                    .to_owned();
                return Err(AppendError::Unavailable { reason, outcome_unknown: false }.into());
            }
        }
        let refused = report.refused.into_iter().filter(|(origin, _)| !adopted.contains(origin));
        Ok(Adopted {
            refused: refused.map(|(origin, refusal)| (origin.as_str().to_owned(), refusal)).collect(),
            adopted: adopted.iter().map(|origin| origin.as_str().to_owned()).collect(),
        })
    }
}

impl Sealer {
    /// Compares trees that were ever signed with the checkpoint store, whether anything was appended or not: all of them when the ledger is
    /// opened, so that an older copy is seen, and in later passes those that are refused, so that it is seen when somebody put right what
    /// was wrong. What waits to be anchored is looked at anyway.
    pub(super) fn look_at_all(&mut self, state: &State, keys: &SigningKeys) -> Result<(), SealError> {
        for project in state.intervals.anchored.keys() {
            self.parts.keep()?;
            let Named { origin, project_id: Ok(_) } = state.named(&self.parts.instance, *project)? else { continue };
            let apart = state.intervals.waiting.contains_key(project) || state.intervals.spoiled.contains_key(project);
            if state.looked && (apart || !self.refused.contains_key(&origin)) {
                continue;
            }
            let look = || -> Result<_, SealError> {
                let Some(head) = state.head(*project)? else { return Ok(Ok(None)) };
                let grown = Grown { origin: &origin, size: head.size, root: head.root, signed_before: true };
                state.prove(&grown, Tree::Project(*project), keys)
            };
            match look().or_else(|error| error.of_one_tree().map(Err))? {
                Ok(_) => drop(self.refused.remove(&origin)),
                Err(refused) => self.refuse(origin, refused),
            }
        }
        let (size, root) = (state.instance.size(), state.instance.root());
        let origin = instance_origin(&self.parts.instance)?;
        if size > 0 && (!state.looked || self.refused.contains_key(&origin)) {
            let signed_before = state.instance_signed_before()?;
            let proved = state.prove(&Grown { origin: &origin, size, root, signed_before }, Tree::Instance, keys);
            match proved.or_else(|error| error.of_one_tree().map(Err))? {
                Ok(_) => drop(self.refused.remove(&origin)),
                Err(refused) => self.refuse(origin, refused),
            }
        }
        Ok(())
    }

    /// Signs trees as it was recorded that they are, over what was recorded to have been signed before.
    pub(super) fn adopt(
        &mut self,
        state: &mut State,
        signatures: &mut Signatures<'_>,
        standings: BTreeMap<Name, Standing>,
    ) -> Result<(), SealError> {
        let mut adopted = Vec::new();
        for (origin, Standing { old, size, root }) in standings {
            if !self.is_standing(state, &origin, size, &root).or_else(|error| error.of_one_tree().map(|_| false))? {
                tracing::error!(%origin, size, "a tree is not adopted: it is not any more what was recorded");
                continue;
            }
            self.parts.keep()?;
            let new = signatures.checkpoint(&Checkpoint { origin: origin.clone(), size, root })?.to_string();
            adopted.push((size, Swap { origin: origin.as_str().to_owned(), old, new }, origin));
        }
        for some in adopted.chunks(BATCH_ANCHORS) {
            let swaps: Vec<Swap> = some.iter().map(|(_, swap, _)| swap.clone()).collect();
            self.swap(&mut state.checkpoints, &swaps)?;
            for (size, _, origin) in some {
                self.refused.remove(origin);
                tracing::warn!(%origin, size, "a tree was adopted as it is");
            }
        }
        Ok(())
    }

    /// Whether the first `size` leaves of a tree have this root, by its tiles. It may have grown since.
    fn is_standing(&self, state: &State, origin: &Name, size: u64, root: &[u8; 32]) -> Result<bool, SealError> {
        // One view of head and tiles.
        let _moment = state.ledger.moment()?;
        let (tree, stored) = if *origin == instance_origin(&self.parts.instance)? {
            (Tree::Instance, state.instance.size())
        } else {
            let project_id = origin.as_str().rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_default();
            let number: Option<i64> = state
                .ledger
                .query_row("SELECT project FROM ledgers WHERE project_id = ?1", [project_id.to_string()], |row| row.get(0))
                .optional()?;
            let Some(number) = number else { return Ok(false) };
            (Tree::Project(number), state.head(number)?.map_or(0, |head| head.size))
        };
        Ok(size <= stored && state.root(tree, size, stored)?.as_ref() == Some(root))
    }
}

impl State {
    fn instance_signed_before(&self) -> Result<bool, SealError> {
        Ok(self.ledger.query_row("SELECT EXISTS (SELECT 1 FROM instance_checkpoints)", [], |row| row.get(0))?)
    }
}
