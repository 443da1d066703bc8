//! Redaction rules: what a project or an organization takes out of its events beside what is taken out of all. A rule is a name, at any
//! depth, or a path; it only ever adds: where another rule is stronger, that one counts.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::redact::{RuleError, Rules, Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::kind::{Actions, Admission, Kind, Level, Number, Rare, Spec, schema, strict};
use super::super::{MutateError, rulebook};
use crate::access::Scope;

/// Bytes of a path at most.
const PATH_BYTES_MAX: usize = 1_024;
/// Segments of a path at most.
const PATH_SEGMENTS_MAX: usize = 16;
/// Actions, and categories, that a rule names at most.
const NAMED_MAX: usize = 100;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedactionRule {
    /// A member's name, at any depth of `content` and in `context`; case, `_`, `-`, `.` and white space do not matter. A rule has either a
    /// name or a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// A JSON Pointer; `*` stands for any member and for any array item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// From where the path goes.
    #[serde(default)]
    pub(crate) base: Base,
    /// What becomes of the value.
    pub(crate) action: Treatment,
    /// Only in events of these actions, or of the categories; in all events where neither is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) actions: Vec<String>,
    /// Only in events of these categories, or of the actions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
}

/// From where a path goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Base {
    /// The event's content: `/after_state/ssn`.
    #[default]
    Content,
    /// The event: `/context/email`, `/content/after_state/ssn`.
    Event,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Treatment {
    /// It goes, and its name with it.
    Exclude,
    /// It becomes `[REDACTED]`.
    Redact,
    /// It becomes `hmac-sha256:` and its HMAC under a key of the project, so that the same value is told to be the same.
    Hmac,
}

impl Treatment {
    pub(crate) const fn strategy(self) -> Strategy {
        match self {
            Self::Exclude => Strategy::Exclude,
            Self::Redact => Strategy::Redact,
            Self::Hmac => Strategy::Hmac,
        }
    }
}

impl RedactionRule {
    /// Its place, as the core has it.
    pub(crate) fn place(&self) -> String {
        match (&self.name, &self.path, self.base) {
            (Some(name), ..) => name.clone(),
            (None, Some(path), Base::Event) => path.clone(),
            (None, path, _) => format!("/content{}", path.as_deref().unwrap_or_default()),
        }
    }

    /// Whether it is for some events alone.
    pub(crate) const fn is_narrow(&self) -> bool {
        !self.actions.is_empty() || !self.categories.is_empty()
    }

    fn check_path(&self, path: &str) -> Result<(), Fault> {
        let fault = |message: String| Err(Fault::new(FaultKind::Invalid, "/path", message));
        let segments = path.split('/').count() - 1;
        if !path.starts_with('/') || path.len() > PATH_BYTES_MAX || segments > PATH_SEGMENTS_MAX {
            return fault(format!("is a JSON Pointer of 1 to {PATH_SEGMENTS_MAX} segments and at most {PATH_BYTES_MAX} bytes"));
        }
        let first = path.split('/').nth(1).unwrap_or_default();
        if self.base == Base::Event && (!matches!(first, "content" | "context") || segments < 2) {
            return fault("leads into /content or /context: other members of an event have a meaning that everybody needs".to_owned());
        }
        if path.replace("~0", "").replace("~1", "").contains('~') {
            return fault("writes `~` as `~0` and `/` as `~1`".to_owned());
        }
        Ok(())
    }
}

impl Spec for RedactionRule {
    fn check(&self) -> Result<(), Fault> {
        match (&self.name, &self.path) {
            (Some(name), None) if name.starts_with('/') => {
                return Err(Fault::new(FaultKind::Invalid, "/name", "a name does not begin with `/`: that is a path"));
            }
            (Some(_), None) => {}
            (None, Some(path)) => self.check_path(path)?,
            _ => return Err(Fault::new(FaultKind::Invalid, "", "a rule has a name or a path, and not both")),
        }
        for (member, named) in [("actions", &self.actions), ("categories", &self.categories)] {
            let well_formed = |name: &String| {
                !name.is_empty() && name.len() <= 256 && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
            };
            if named.len() > NAMED_MAX {
                return Err(Fault::new(FaultKind::Invalid, "", format!("at most {NAMED_MAX}")).within(member));
            }
            if let Some(at) = named.iter().position(|name| !well_formed(name)) {
                let fault = Fault::new(FaultKind::Invalid, "", "is written in lower case, as in `policy.create` and `policy`");
                return Err(fault.within(&at.to_string()).within(member));
            }
        }
        let place = self.place();
        Rules::standard().strengthened([(place.as_str(), self.action.strategy())]).map(drop).map_err(|error| wrong(self, error))
    }
}

fn wrong(rule: &RedactionRule, error: RuleError) -> Fault {
    let pointer = if rule.name.is_some() { "/name" } else { "/path" };
    Fault::new(FaultKind::Invalid, pointer, error.to_string())
}

/// All rules that count together must fit.
fn admit(admission: &Admission<'_>) -> Result<(), MutateError> {
    let Some(after) = admission.after else { return Ok(()) };
    let Some(rule) = after.typed::<RedactionRule>() else { return Ok(()) };
    rulebook::check(admission.registry, after).map_err(|error| match error {
        rulebook::Refused::TooMany(max) => {
            Fault::new(FaultKind::Invalid, "", format!("there are {max} redaction rules at most, those of the organization included"))
                .into()
        }
        rulebook::Refused::Rule(error) => wrong(&rule, error).into(),
    })
}

pub(crate) static KIND: Kind = Kind {
    noun: "redaction_rule",
    plural: "redaction_rules",
    doc: "What is taken out of the events of a project, or of all projects of an organization, before they are stored, beside what is taken out of all events. Of several rules the strongest counts: `exclude`, then `redact`, then `hmac`; no rule weakens those that are built in, nor blanks the states that the engine's own events tell of resources. A rule is in force for every event that comes after it was acknowledged. `POST /v1/redaction_rules/test` shows what a sample would become.",
    levels: &[Level::Organization, Level::Project],
    number: Number::Many,
    scope: Scope::AuditAdmin,
    actions: Actions {
        create: Some("redaction_rule.create"),
        update: Some("redaction_rule.update"),
        delete: Some("redaction_rule.delete"),
    },
    schema: schema::<RedactionRule>,
    example: r#"{"path":"/after_state/customer/*/iban","action":"hmac","categories":["payment"]}"#,
    read: strict::<RedactionRule>,
    admit: Some(admit),
    rare: Rare::NONE,
};
