//! Retention policies: how long events are kept at least, and after what time their contents are to go. They go on when their project or
//! organization is deleted, since the events do.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::limits::NAME_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{Kept, MutateError};
use super::{check_text, legal_holds};
use crate::access::Scope;

/// Days that anything may be kept: a hundred years.
const DAYS_MAX: u32 = 36_525;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionPolicy {
    /// A name for people.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub(crate) name: String,
    /// The floor: nothing is disposed of before so many days.
    #[schemars(range(min = 1, max = 36525))]
    pub(crate) keep_days: u32,
    /// The disposition: contents go after so many days; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36525))]
    pub(crate) dispose_days: Option<u32>,
    /// Only events of these categories; of all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
}

impl Spec for RetentionPolicy {
    fn check(&self) -> Result<(), Fault> {
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        let days = |member: &str, days: u32| {
            let message = || format!("is 1 to {DAYS_MAX} days");
            (1..=DAYS_MAX).contains(&days).then_some(()).ok_or_else(|| Fault::new(FaultKind::Invalid, "", message()).within(member))
        };
        days("keep_days", self.keep_days)?;
        if let Some(dispose) = self.dispose_days {
            days("dispose_days", dispose)?;
            if dispose < self.keep_days {
                return Err(Fault::new(FaultKind::Invalid, "/dispose_days", "is not before keep_days: the floor comes first"));
            }
        }
        for (n, category) in self.categories.iter().enumerate() {
            check_text(&n.to_string(), category, NAME_BYTES_MAX).map_err(|fault| fault.within("categories"))?;
        }
        Ok(())
    }
}

/// A floor is not taken away under a hold, nor lowered: what is held is kept as long as was promised when the hold came.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(before) = admission.before.and_then(Kept::typed::<RetentionPolicy>) else { return Ok(()) };
    let after = admission.after.and_then(Kept::typed::<RetentionPolicy>);
    if after.is_some_and(|after| after.keep_days >= before.keep_days && after.categories == before.categories) {
        return Ok(());
    }
    legal_holds::check_free(admission.registry, admission.owner)
}

pub(crate) static KIND: Kind = Kind {
    noun: "retention_policy",
    plural: "retention_policies",
    doc: "How long events are kept at least, and after what time their contents are to go.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::AuditAdmin,
    actions: Actions {
        create: Some("retention_policy.create"),
        update: Some("retention_policy.update"),
        delete: Some("retention_policy.delete"),
    },
    schema: schema::<RetentionPolicy>,
    example: r#"{"name":"two years","keep_days":730,"dispose_days":2555,"categories":["policy"]}"#,
    read: strict::<RetentionPolicy>,
    admit: Some(admit),
    rare: Rare { outlives: true, ..Rare::NONE },
};
