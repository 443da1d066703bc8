//! The opaque cursor of a page (`formats.md`, Cursor).

use uuid::Uuid;

use crate::filter::Filter;
use crate::time::Timestamp;

/// The last event of the page before: the next page holds what sorts below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// `id`
    pub id: Uuid,
    /// `occurred_at`
    pub occurred_at: Timestamp,
    /// `project_id`
    pub project_id: Uuid,
}

impl Cursor {
    /// base64url without padding, bound to the filter.
    pub fn encode(&self, filter: Option<&Filter>) -> String {
        unimplemented!("{filter:?}")
    }

    /// Reads one; `None` where it is not a cursor, or one of another filter or project.
    pub fn decode(text: &str, filter: Option<&Filter>, project_id: Uuid) -> Option<Self> {
        unimplemented!("{text} {filter:?} {project_id}")
    }
}
