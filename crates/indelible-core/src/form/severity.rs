//! How grave an event is, for forms and frames that ask for it. An event does not say so itself: it follows from how it ended.

use super::Record;

/// From the least to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It was done, or is about to be.
    Informational,
    /// It was done in part.
    Notice,
    /// It was denied, or something strays from what it should be.
    Warning,
    /// It failed.
    Error,
    /// Somebody changed the ledger.
    Critical,
}

impl Severity {
    /// That of a record.
    pub(crate) fn of(record: &Record<'_>) -> Self {
        match record.action.as_ref() {
            "integrity.finding" => return Self::Critical,
            "event_schema.violation" | "grant.policy_violation" | "grant.scope_drift" => return Self::Warning,
            _ => {}
        }
        match record.text(&["outcome"]).as_deref() {
            Some("error") => Self::Error,
            Some("deny") => Self::Warning,
            Some("partial") => Self::Notice,
            _ => Self::Informational,
        }
    }
}
