//! Looking at resources of every kind: one, or a page of them. Each look is recorded as a read before it is answered.

use std::sync::Arc;

use indelible_core::json::Value;
use uuid::Uuid;

use super::kept::{Kept, Shared};
use super::kind::{Figure, Kind};
use crate::access::{Caller, Owner, Scope};
use crate::append::{EngineEvent, ReadMembers, ResourceMembers};
use crate::ledger::Ledger;
use crate::query::ReadError;

/// Resources on a page unless it is said how many, and at most.
pub const PAGE_DEFAULT: usize = 100;
/// See [`PAGE_DEFAULT`].
pub const PAGE_MAX: usize = 1_000;

/// Which resources.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Those that belong to this, or to something within it; by default, to what the caller's key belongs to.
    pub within: Option<Owner>,
    /// Those after this one.
    pub after: Option<Uuid>,
    /// So many at most; [`PAGE_DEFAULT`] if not said.
    pub limit: Option<usize>,
}

/// Some resources of a kind, oldest first.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The resources.
    pub kept: Vec<Arc<Kept>>,
    /// The last of them, where there are more.
    pub next_after: Option<Uuid>,
}

impl Ledger {
    /// One resource.
    pub async fn resource(&self, caller: &Caller, kind: &'static Kind, id: Uuid) -> Result<Shared, ReadError> {
        self.look(caller, (kind, id.to_string()), |ledger| {
            let registry = &ledger.inner.registry;
            let kept = ledger.kept(kind, id).filter(|kept| registry.is_within(kept.place(kind), caller.owner));
            Ok((kept.ok_or(ReadError::NotFound(kind.noun))?, 1))
        })
        .await
    }

    /// Figures of a resource, by the names that its kind gives ([`super::Rare::figures`]).
    pub fn figures(&self, kind: &'static Kind, id: Uuid) -> Vec<(&'static str, Value<'static>)> {
        let figure = |figure: &Figure| {
            let value = if figure.is_time {
                Value::string(self.inner.registry.last_use(id)?.to_string())
            } else {
                Value::integer(i64::try_from(self.inner.desk.schemas.violations(id)).unwrap_or(i64::MAX))
            };
            Some((figure.name, value))
        };
        kind.rare.figures.iter().filter_map(figure).collect()
    }

    /// A page of resources.
    pub async fn resources(&self, caller: &Caller, kind: &'static Kind, listing: &Listing) -> Result<Listed, ReadError> {
        self.look(caller, (kind, "*".to_owned()), |ledger| {
            let registry = &ledger.inner.registry;
            let limit = listing.limit.unwrap_or(PAGE_DEFAULT);
            if limit == 0 || limit > PAGE_MAX {
                return Err(ReadError::Options(format!("limit is 1 to {PAGE_MAX}")));
            }
            let within = listing.within.unwrap_or(caller.owner);
            if !registry.is_within(within, caller.owner) {
                return Err(ReadError::NotFound(if matches!(within, Owner::Project(_)) { "project" } else { "organization" }));
            }
            let mut kept = registry.kept_after(kind, listing.after, limit + 1, &|kept| registry.is_within(kept.place(kind), within));
            let more = kept.len() > limit;
            kept.truncate(limit);
            let next_after = kept.last().filter(|_| more).map(|last| last.id);
            let returned = kept.len() as u64;
            Ok((Listed { kept, next_after }, returned))
        })
        .await
    }

    /// Looks, and records that it was looked.
    pub(crate) async fn look<T>(
        &self,
        caller: &Caller,
        (kind, id): (&'static Kind, String),
        look: impl FnOnce(&Self) -> Result<(T, u64), ReadError>,
    ) -> Result<T, ReadError> {
        let allowed = caller.has(Scope::AuditRead) || caller.has(kind.scope);
        let looked = if allowed { look(self) } else { Err(ReadError::Forbidden(Scope::AuditRead.as_str().to_owned())) };
        let (outcome, returned) = match &looked {
            Ok((_, returned)) => ("allow", *returned),
            Err(ReadError::Forbidden(_)) => ("deny", 0),
            Err(_) => ("error", 0),
        };
        let mut event = EngineEvent::new(caller, &self.home_of(caller.owner)?, "audit.read", outcome);
        event.reason = looked.as_ref().err().map(ToString::to_string);
        event.resource = Some(ResourceMembers { kind: kind.noun, id, parent: None });
        event.read = Some(ReadMembers { returned, ..ReadMembers::default() });
        self.record(vec![event]).await?;
        looked.map(|(answer, _)| answer)
    }
}
