//! Policies: what is permitted and what is forbidden, in the language Cedar. They are parsed and validated before they are kept, so
//! that what decides is known to hold together.

use indelible_core::fault::Fault;
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::MutateError;
use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::check_text;
use crate::access::Scope;
use crate::decide::language;

/// Policies of one owner at most.
const POLICIES_MAX: usize = 2_000;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// One or more statements of Cedar, `permit` or `forbid`, at most 64.
    #[schemars(length(min = 1, max = language::TEXT_BYTES_MAX))]
    pub(crate) text: String,
    /// Whether it counts.
    #[serde(default = "enabled")]
    pub(crate) enabled: bool,
}

const fn enabled() -> bool {
    true
}

impl Spec for Policy {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        language::check(&self.text).map_err(|fault| fault.within("text"))
    }
}

fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let is_new = admission.before.is_none();
    let count = || admission.registry.kept_of(&KIND, admission.owner).len();
    if is_new && count() >= POLICIES_MAX {
        return Err(MutateError::Conflict("there are 2000 policies already"));
    }
    Ok(())
}

pub(crate) static KIND: Kind = Kind {
    noun: "policy",
    plural: "policies",
    doc: "What is permitted and what is forbidden, in the language Cedar. A project has at most 2,000 of its own, and so has an organization.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::ControlWrite,
    actions: Actions { create: Some("policy.create"), update: Some("policy.update"), delete: Some("policy.delete") },
    schema: schema::<Policy>,
    example: r#"{"name":"agents read tickets","text":"permit (principal is Agent, action == Action::\"ticket.read\", resource in ResourceType::\"ticket\");","enabled":true}"#,
    read: strict::<Policy>,
    admit: Some(admit),
    rare: Rare::NONE,
};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indelible_core::time::Timestamp;
    use uuid::Uuid;

    use super::super::super::Kept;
    use super::super::super::registry::Registry;
    use super::*;
    use crate::access::{Caller, Owner};

    #[test]
    fn there_are_at_most_so_many_of_one_owner() {
        let (registry, caller) = (Registry::default(), Caller::engine());
        let (owner, other) = (Owner::Project(Uuid::from_u128(1)), Owner::Project(Uuid::from_u128(2)));
        let at = Timestamp::MAX;
        let kept = |n: usize, owner| Kept::first(Uuid::from_u128(n as u128), owner, at, KIND.example.to_owned());
        let admit = |n: usize, before: Option<&Kept>, owner| {
            let after = kept(n, owner);
            let admission = Admission { registry: &registry, caller: &caller, now: at, owner, verb: None, before, after: Some(&after) };
            super::admit(&admission)
        };
        for n in 1..=POLICIES_MAX {
            assert_eq!(admit(n, None, owner), Ok(()));
            registry.keep(&KIND, &Arc::new(kept(n, owner)));
        }
        let refused = admit(POLICIES_MAX + 1, None, owner).expect_err("one too many");
        assert!(matches!(refused, MutateError::Conflict(message) if message.contains(&POLICIES_MAX.to_string())), "{refused}");
        assert_eq!(admit(POLICIES_MAX + 1, None, other), Ok(()), "others have their own");
        assert_eq!(admit(1, Some(&kept(1, owner)), owner), Ok(()), "one that is there may change");
    }
}
