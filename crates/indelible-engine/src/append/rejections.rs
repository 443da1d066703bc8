//! What events are refused for, and its record. A request may be refused for many events at once: each sort of fault is an event
//! of its own, so that an attempt at what only the engine writes does not hide behind a mistake.

use indelible_core::fault::{Fault, FaultKind};

use super::{AppendError, EngineEvent};
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::write::{Privilege, Work};

/// The faults of one request or file: of each sort the first, and how many there were.
#[derive(Debug, Clone, Default)]
pub struct Rejections(Vec<(Fault, u64)>);

impl Rejections {
    /// One more fault.
    pub fn push(&mut self, fault: &Fault) {
        self.add(fault, 1);
    }

    /// The faults of a later part.
    pub fn extend(&mut self, later: &Self) {
        for (fault, count) in &later.0 {
            self.add(fault, *count);
        }
    }

    fn add(&mut self, fault: &Fault, count: u64) {
        match self.0.iter_mut().find(|(first, _)| first.kind == fault.kind) {
            Some((_, total)) => *total += count,
            None => self.0.push((fault.clone(), count)),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The first of a sort.
    pub fn first(&self, kind: FaultKind) -> Option<&Fault> {
        self.0.iter().find(|(fault, _)| fault.kind == kind).map(|(fault, _)| fault)
    }
}

impl From<Fault> for Rejections {
    fn from(fault: Fault) -> Self {
        Self(vec![(fault, 1)])
    }
}

/// The fault of an event whose id another one has.
pub fn other_event() -> Fault {
    Fault::new(FaultKind::Invalid, "/id", "belongs to another event")
}

impl AppendError {
    /// The event of the batch that was refused, and its fault; `None` where the fault is not an event's.
    pub fn refused(&self) -> Option<(usize, Fault)> {
        match self {
            Self::Conflict { index, .. } => Some((*index, other_event())),
            Self::Fault { index, fault } => Some((*index, fault.clone())),
            Self::Busy { .. } | Self::Unavailable { .. } => None,
        }
    }
}

impl Ledger {
    /// Records that a submission was refused (`audit.append_rejected`), before the refusal is answered. `deny` is for what the key does not allow.
    pub async fn reject(&self, caller: &Caller, project: &Project, fault: &Fault, deny: bool) -> Result<(), AppendError> {
        self.reject_all(caller, project, &fault.clone().into(), deny).await
    }

    /// [`Self::reject`] of many submissions at once: one event for each sort of fault, all or none. It names the first one's place;
    /// how many there were is its `context.attempts`.
    pub async fn reject_all(&self, caller: &Caller, project: &Project, rejections: &Rejections, deny: bool) -> Result<(), AppendError> {
        let home = self
            .inner
            .registry
            .project(project.id)
            .ok_or_else(|| AppendError::Unavailable { reason: "there is no such project".to_owned(), outcome_unknown: false })?;
        let event = |(fault, attempts): &(Fault, u64)| {
            let outcome = if deny || fault.kind == FaultKind::EngineOnly { "deny" } else { "error" };
            let mut event = EngineEvent::new(caller, &home, "audit.append_rejected", outcome).because(reason(fault));
            if *attempts > 1 {
                event.context.push(("attempts", attempts.to_string()));
            }
            event
        };
        let batch = self.prepare_all(rejections.0.iter().map(event).collect())?;
        self.inner.writer.submit(Work::new(batch, Privilege::Caller)).await.map(|_| ())
    }
}

/// Never the message of an unknown kind, never a value: the pointer says where, the kind says what.
pub(crate) fn reason(fault: &Fault) -> String {
    let kind = match fault.kind {
        FaultKind::Malformed => "malformed",
        FaultKind::Invalid => "invalid",
        FaultKind::ServerOwned => "server_owned",
        FaultKind::EngineOnly => "engine_only",
        FaultKind::Gone => "project_deleted",
        FaultKind::TooLarge => "too_large",
    };
    if fault.pointer.is_empty() { kind.to_owned() } else { format!("{kind} at {}", fault.pointer) }
}
