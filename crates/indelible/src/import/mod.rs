//! Logs that were written elsewhere, turned into submissions: AWS CloudTrail, Kubernetes audit, agent runs, and
//! submissions themselves.
//!
//! A mapping ([`Mapper`]) is a function of one record (of one session, where its lines belong together): no clock, no
//! randomness, so the same record always becomes the same events with the same ids, and importing a file twice adds
//! nothing. What a mapping makes is read as strictly as anything that comes by HTTP; nothing here goes around it.
//!
//! `docs/import.md` says what becomes what.

pub mod cloudtrail;
mod compose;
pub mod input;
pub mod kubernetes;
pub mod load;
mod ndjson;
pub mod split;
pub mod trajectories;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;

/// What the records of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// AWS CloudTrail: `{"Records":[…]}` files as delivered, or one record a line
    Cloudtrail,
    /// Kubernetes audit.k8s.io: one event a line, or an EventList
    Kubernetes,
    /// Agent runs: chat messages with tool calls, SWE-agent trajectories, coding-agent sessions, GenAI spans
    Trajectories,
    /// Submissions, as POST /v1/audit/events takes them
    Ndjson,
}

impl Format {
    /// Names of the member that holds the records where a file is one object around them.
    pub const fn envelopes(self) -> &'static [&'static str] {
        match self {
            Self::Cloudtrail => &["Records"],
            Self::Kubernetes => &["items"],
            Self::Trajectories | Self::Ndjson => &[],
        }
    }

    /// Whether a record can be mapped without those before it.
    pub const fn is_stateless(self) -> bool {
        !matches!(self, Self::Trajectories)
    }

    /// A mapper for one file. `agent` names the agent of runs that do not name it themselves.
    pub fn mapper(self, agent: Option<&str>) -> Box<dyn Mapper> {
        match self {
            Self::Cloudtrail => Box::new(cloudtrail::CloudTrail),
            Self::Kubernetes => Box::new(kubernetes::Kubernetes),
            Self::Trajectories => Box::new(trajectories::Trajectories::new(agent)),
            Self::Ndjson => Box::new(ndjson::Submissions),
        }
    }
}

/// Turns the records of one file into submissions.
pub trait Mapper: Send {
    /// The submissions that one record stands for, in order. `number` counts the records of the file from 0.
    fn record<'a>(&mut self, record: Value<'a>, number: u64) -> Result<Vec<Value<'a>>, Fault>;

    /// What is left to say once the file has ended.
    fn finish(&mut self) -> Vec<Value<'static>> {
        Vec::new()
    }
}

/// The fault of a record that lacks what its mapping needs.
pub(crate) fn invalid(pointer: &str, message: &str) -> Fault {
    Fault::new(FaultKind::Invalid, pointer, message)
}
