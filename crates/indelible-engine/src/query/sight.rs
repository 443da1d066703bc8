//! What a plain member sees of a project: the events that are its own, and those of what was shared with it. It is put to every question
//! that a member asks, beside the question itself, at the one place where candidates are read (`reading.rs`).

use indelible_core::filter::Filter;
use uuid::Uuid;

use super::run::equals;
use crate::access::{Caller, Owner};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::resource::kinds::shares::{self, Share};

/// Attributes by which an event is somebody's own.
const OWN: [&str; 3] = ["actor.id", "actor.on_behalf_of", "principal.id"];

/// What has this value; nothing where it is longer than a filter may be, which no event's is.
fn is(attribute: &str, value: &str) -> Option<Filter> {
    Filter::parse(&equals(attribute, value)).ok()
}

impl Ledger {
    /// What a caller sees of a project, where that is not all of it.
    pub(crate) fn sight(&self, caller: &Caller, project: &Project) -> Option<Filter> {
        let member = caller.member.as_ref().filter(|_| Self::sees_apart(caller))?;
        let registry = &self.inner.registry;
        let owners = [Owner::Project(project.id), Owner::Organization(project.organization_id)];
        let shared = owners.map(|owner| registry.kept_of(&shares::KIND, owner)).concat();
        let shared = shared.iter().filter_map(|kept| kept.typed::<Share>()).filter(|share| share.is_with(member.id));
        let shared =
            shared.filter_map(|share| Some(Filter::all_of([is("scope.type", &share.scope.kind)?, is("scope.id", &share.scope.id)?])));
        let own = OWN.iter().filter_map(|attribute| is(attribute, &member.user_id));
        let seen: Vec<Filter> = own.chain(shared).collect();
        // An id that no event can have: nothing is seen where nothing can be told.
        let nothing = || Filter::parse(&equals("id", &Uuid::nil().to_string())).expect("a filter");
        Some(if seen.is_empty() { nothing() } else { Filter::any_of(seen) })
    }
}
