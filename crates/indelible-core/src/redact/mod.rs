//! The one choke point: nothing is stored that has not passed here.

use crate::event::Submission;
use crate::fault::Fault;
use crate::json::Object;
use crate::key::ProjectKeys;
use crate::time::Timestamp;
use uuid::Uuid;

/// Which names are excluded, replaced or hashed.
#[derive(Debug, Clone)]
pub struct Rules {
    _private: (),
}

impl Rules {
    /// The default rules.
    pub fn standard() -> Self {
        Self { _private: () }
    }

    /// Redacts one submission for the project whose keys these are; strips headers and URL secrets, bounds bodies, lists what changed
    /// and makes the diff. Fails only where the content is too large.
    pub fn redact<'a>(&self, submission: Submission<'a>, keys: &ProjectKeys) -> Result<Redacted<'a>, Fault> {
        unimplemented!("{submission:?} {keys:?}")
    }
}

/// An event from which secrets are gone. Only [`Rules::redact`] makes one.
#[derive(Debug)]
pub struct Redacted<'a> {
    pub(crate) id: Uuid,
    pub(crate) occurred_at: Option<Timestamp>,
    /// Canonical order at every level, `changes` and `changes_total` and `http.*_bytes` included.
    pub(crate) envelope: Object<'a>,
    /// Serialised content (before_state, after_state, diff, request, …), or none.
    pub(crate) content: Option<Vec<u8>>,
}

impl Redacted<'_> {
    /// The event's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// The content as JSON, to be sealed.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }
}
