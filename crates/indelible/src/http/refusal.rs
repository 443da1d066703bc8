//! What the engine refuses, as problems.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::filter;
use indelible_engine::append::{AppendError, Rejections};
use indelible_engine::query::ReadError;
use indelible_engine::resource::MutateError;

use super::problem::{ERRORS_MAX, Kind, Problem};

/// The faults of one request: the first [`ERRORS_MAX`], how many there were, and what is recorded of them.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// In the order of the events.
    pub(super) list: Vec<Fault>,
    /// Listed or not.
    pub(super) total: usize,
    /// By their sorts.
    pub(super) rejections: Rejections,
}

impl Faults {
    /// One more fault.
    pub(super) fn push(&mut self, fault: Fault) {
        self.total += 1;
        self.rejections.push(&fault);
        if self.list.len() < ERRORS_MAX {
            self.list.push(fault);
        }
    }

    /// The faults of a later part of the request.
    pub(super) fn extend(&mut self, other: Self) {
        let room = ERRORS_MAX - self.list.len();
        self.total += other.total;
        self.rejections.extend(&other.rejections);
        self.list.extend(other.list.into_iter().take(room));
    }

    /// The gravest, which decides the answer: that nothing is taken, then what the key may not write, then what is not JSON, then what the server owns, then
    /// the rest.
    pub(super) fn gravest(&self) -> Option<&Fault> {
        let order =
            [FaultKind::Gone, FaultKind::EngineOnly, FaultKind::Malformed, FaultKind::ServerOwned, FaultKind::Invalid, FaultKind::TooLarge];
        order.into_iter().find_map(|kind| self.rejections.first(kind))
    }

    /// The answer.
    pub(super) fn problem(&self) -> Problem {
        let Some(gravest) = self.gravest() else {
            return Problem::new(Kind::Internal, "a refusal without a fault");
        };
        let kind = match gravest.kind {
            FaultKind::Gone => Kind::Deleted,
            FaultKind::EngineOnly => Kind::EngineOnlyAction,
            FaultKind::Malformed => Kind::MalformedJson,
            FaultKind::ServerOwned => Kind::ServerOwnedMember,
            FaultKind::Invalid => Kind::InvalidEvent,
            FaultKind::TooLarge => Kind::EventTooLarge,
        };
        let detail = match self.total {
            1 => gravest.message.clone(),
            total => format!("{} ({total} faults in all)", gravest.message),
        };
        let mut problem = Problem::new(kind, detail);
        problem.errors = self.list.iter().map(|fault| (fault.pointer.clone(), fault.message.clone())).collect();
        problem.errors_total = self.total;
        problem
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self { rejections: fault.clone().into(), list: vec![fault], total: 1 }
    }
}

/// What the writer says of an event that the engine made itself. What it says of a caller's own events is `events::submit`'s to tell.
impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let problem = match error {
            AppendError::Busy { retry_after } => {
                Self::new(Kind::QueueFull, "the writer has more waiting than it takes").retry_after(retry_after)
            }
            // No caller made that event, so no caller is to blame.
            AppendError::Conflict { .. } | AppendError::Fault { .. } => {
                tracing::error!(target: "indelible::http", %error, "an event of the engine was refused");
                Self::new(Kind::Internal, "the request could not be recorded")
            }
            AppendError::Unavailable { reason, outcome_unknown: false } => Self::new(Kind::Unavailable, reason),
            AppendError::Unavailable { reason, outcome_unknown: true } => {
                Self::new(Kind::OutcomeUnknown, format!("{reason}; send the events again with the same ids to learn what happened"))
            }
        };
        problem.recorded()
    }
}

/// The engine records a read that it refuses before it says so.
impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            ReadError::Forbidden(_) => Self::new(Kind::Forbidden, detail),
            ReadError::Purpose(_) => Self::new(Kind::InvalidPurpose, detail),
            ReadError::Filter(wrong) => {
                let attributes = if wrong.unknown_attribute { filter::attributes() } else { Vec::new() };
                let mut problem = Self::new(Kind::InvalidFilter, detail).at("", format!("at byte {}: {}", wrong.at, wrong.message));
                problem.attributes = attributes;
                problem
            }
            ReadError::Cursor => Self::new(Kind::InvalidCursor, detail),
            ReadError::Options(_) => Self::new(Kind::InvalidQuery, detail),
            ReadError::NotFound(_) => Self::new(Kind::NotFound, detail),
            ReadError::Deleted => Self::new(Kind::Deleted, detail),
            ReadError::Unavailable(_) => Self::new(Kind::Unavailable, detail),
            ReadError::NotAnchored { retry_after, .. } => Self::new(Kind::NotAnchored, detail).retry_after(retry_after),
            ReadError::Unprovable(_) => Self::new(Kind::Unprovable, detail),
            ReadError::Append(error) => error.into(),
        };
        problem.recorded()
    }
}

/// The engine records a change that it refuses before it says so.
impl From<MutateError> for Problem {
    fn from(error: MutateError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            MutateError::Forbidden(_) | MutateError::Ended(_) => Self::new(Kind::Forbidden, detail),
            MutateError::NotFound(_) => Self::new(Kind::NotFound, detail),
            MutateError::Stale { .. } => Self::new(Kind::StaleVersion, detail),
            MutateError::Gone(_) => Self::new(Kind::Deleted, detail),
            MutateError::Conflict(_) => Self::new(Kind::Conflict, detail),
            MutateError::Fault(fault) => resource(&fault),
            MutateError::Append(error) => error.into(),
        };
        problem.recorded()
    }
}

/// A fault in the document of a resource.
pub(super) fn resource(fault: &Fault) -> Problem {
    match fault.kind {
        FaultKind::Malformed => Problem::new(Kind::MalformedJson, fault.message.clone()),
        _ => Problem::new(Kind::InvalidResource, fault.message.clone()).at(fault.pointer.clone(), fault.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_fault_decides_the_answer() {
        use FaultKind::{EngineOnly, Invalid, Malformed, ServerOwned, TooLarge};
        let cases: &[(&[FaultKind], Kind)] = &[
            (&[Invalid], Kind::InvalidEvent),
            (&[TooLarge], Kind::EventTooLarge),
            (&[TooLarge, Invalid], Kind::InvalidEvent),
            (&[Invalid, ServerOwned], Kind::ServerOwnedMember),
            (&[Malformed, ServerOwned], Kind::MalformedJson),
            (&[Malformed, EngineOnly], Kind::EngineOnlyAction),
        ];
        for (kinds, answer) in cases {
            let mut faults = Faults::default();
            kinds.iter().for_each(|kind| faults.push(Fault::new(*kind, "/a", "wrong")));
            assert_eq!(faults.problem().kind, *answer, "{kinds:?}");
        }
    }

    #[test]
    fn at_most_a_hundred_faults_are_listed_and_all_are_counted() {
        let mut faults = Faults::default();
        (0..70).for_each(|n| faults.push(Fault::new(FaultKind::Invalid, format!("/{n}"), "wrong")));
        let mut more = Faults::default();
        (0..170).for_each(|n| more.push(Fault::new(FaultKind::Invalid, format!("/{n}"), "wrong")));
        faults.extend(more);
        let problem = faults.problem();
        assert_eq!((problem.errors.len(), problem.errors_total), (100, 240));
    }
}
