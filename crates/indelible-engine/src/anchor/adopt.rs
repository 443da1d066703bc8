//! Trees beside what was signed of them: looked at whenever sealing begins anew, and accepted as they are after a deliberate
//! restore. That is recorded first, with what was signed before, so that the break stays in sight.

use std::collections::BTreeSet;

use indelible_core::chain::Hash;
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Name, Note};
use indelible_core::time::Timestamp;
use rusqlite::OptionalExtension;
use uuid::Uuid;

use super::checkpoints::Swap;
use super::keys::SigningKeys;
use super::seal::{BATCH_ANCHORS, Grown, SealError, Sealer, State, instance_origin, origin, sign};
use crate::access::{Caller, Owner, Scope};
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::resource::MutateError;
use crate::store::{StoreError, Tree};

/// The event that tells of it.
const ADOPT: &str = "checkpoint.adopt";
/// `resource.type` of that event.
const KIND: &str = "checkpoint";

impl Ledger {
    /// Adopts every tree that is refused now, and seals. Returns the origins that were adopted. For keys of the instance with
    /// `audit:admin`.
    pub async fn adopt_checkpoints(&self, caller: &Caller) -> Result<Vec<String>, MutateError> {
        let lacking = if caller.has(Scope::AuditAdmin) { "the instance" } else { Scope::AuditAdmin.as_str() };
        if !caller.has(Scope::AuditAdmin) || caller.owner != Owner::Instance {
            let error = MutateError::Forbidden(lacking.to_owned());
            return Err(self.refuse(caller, None, (ADOPT, KIND, "*".to_owned()), error).await);
        }
        let home = self.home_of(Owner::Instance)?;
        // So that what is refused is known as of now.
        self.inner.anchoring.seal().await;
        let refused = self.inner.anchoring.report().refused;
        let adopted: BTreeSet<Name> = refused.keys().cloned().collect();
        let events = refused.iter().map(|(origin, refusal)| {
            let mut event =
                EngineEvent::new(caller, &home, ADOPT, "allow").because(format!("{}: {}", refusal.kind.as_str(), refusal.detail));
            event.resource = Some(ResourceMembers { kind: KIND, id: origin.as_str().to_owned(), parent: None });
            event
        });
        let events: Vec<EngineEvent> = events.collect();
        if !events.is_empty() {
            self.record(events).await?;
            self.inner.anchoring.adopt(adopted.clone()).await;
            let report = self.inner.anchoring.report();
            if report.failing.is_some() && adopted.iter().any(|origin| report.refused.contains_key(origin)) {
                let reason =
                    "the adoption was recorded, and the checkpoint store did not take it: once sealing works, adopt again".to_owned();
                return Err(AppendError::Unavailable { reason, outcome_unknown: false }.into());
            }
        }
        Ok(adopted.iter().map(|origin| origin.as_str().to_owned()).collect())
    }
}

impl Sealer {
    /// Compares every tree that was ever signed with the checkpoint store, whether anything was appended or not: an older copy
    /// is seen when it is opened.
    pub(super) fn look_at_all(&mut self, state: &State, keys: &SigningKeys) -> Result<(), SealError> {
        let mut refused = Vec::new();
        for project in state.intervals.anchored.keys() {
            let Some((project_id, size, root)) = state.head(*project)? else { continue };
            let origin = origin(&self.parts.instance, project_id)?;
            let grown = Grown { origin: &origin, size, root, signed_before: true };
            if let Err(refusal) = state.prove(&grown, Tree::Project(*project), keys)? {
                refused.push((origin, refusal));
            }
        }
        let (size, root) = (state.instance.size(), state.instance.root());
        if size > 0 {
            let origin = instance_origin(&self.parts.instance)?;
            let signed_before = state.instance_signed_before()?;
            if let Err(refusal) = state.prove(&Grown { origin: &origin, size, root, signed_before }, Tree::Instance, keys)? {
                refused.push((origin, refusal));
            }
        }
        for (origin, refusal) in refused {
            self.refuse(origin, refusal);
        }
        Ok(())
    }

    /// Signs trees as they are now, over whatever was signed before.
    pub(super) fn adopt(
        &mut self,
        state: &mut State,
        keys: &SigningKeys,
        now: Timestamp,
        origins: BTreeSet<Name>,
    ) -> Result<(), SealError> {
        let adopted = origins.into_iter().map(|origin| {
            let (size, checkpoint) = self.sign_as_is(state, keys, now, &origin)?;
            let old = state.checkpoints.read(origin.as_str())?;
            Ok((origin.clone(), size, Swap { origin: origin.as_str().to_owned(), old, new: checkpoint.to_string() }))
        });
        let adopted: Vec<(Name, u64, Swap)> = adopted.collect::<Result<_, SealError>>()?;
        for some in adopted.chunks(BATCH_ANCHORS) {
            let swaps: Vec<Swap> = some.iter().map(|(_, _, swap)| swap.clone()).collect();
            self.swap(&mut state.checkpoints, &swaps)?;
            for (origin, size, _) in some {
                self.refused.remove(origin);
                tracing::warn!(%origin, size, "a tree was adopted as it is");
            }
        }
        Ok(())
    }

    /// The checkpoint of a tree as it is now, and its size.
    fn sign_as_is(&self, state: &State, keys: &SigningKeys, now: Timestamp, origin: &Name) -> Result<(u64, Note), SealError> {
        let (size, root) = if *origin == instance_origin(&self.parts.instance)? {
            (state.instance.size(), state.instance.root())
        } else {
            let project_id = origin.as_str().rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_default();
            let number: Option<i64> = state
                .ledger
                .query_row("SELECT project FROM ledgers WHERE project_id = ?1", [project_id.to_string()], |row| row.get(0))
                .optional()?;
            let head = number.map(|number| state.head(number)).transpose()?.flatten();
            let (_, size, root) = head.ok_or_else(|| StoreError::Corrupt(format!("there is no tree {origin}")))?;
            (size, root)
        };
        let signers = keys.signers(&self.parts.keystore, origin, now)?;
        Ok((size, sign(&Checkpoint { origin: origin.clone(), size, root }, &signers)?))
    }
}

impl State {
    /// Project, size and root of a chain as its head has them.
    fn head(&self, project: i64) -> Result<Option<(Uuid, u64, Hash)>, SealError> {
        let head: Option<(String, i64, Hash)> = self
            .ledger
            .prepare_cached("SELECT project_id, size, tree_root FROM heads JOIN ledgers USING (project) WHERE project = ?1")?
            .query_row([project], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        Ok(head.and_then(|(id, size, root)| Some((Uuid::try_parse(&id).ok()?, size.unsigned_abs(), root))))
    }

    fn instance_signed_before(&self) -> Result<bool, SealError> {
        Ok(self.ledger.query_row("SELECT EXISTS (SELECT 1 FROM instance_checkpoints)", [], |row| row.get(0))?)
    }
}
