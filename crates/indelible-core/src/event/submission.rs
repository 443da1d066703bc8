//! Reading a submission: each member known, of its shape, and the caller's to set.

use uuid::Uuid;

use crate::fault::Fault;
use crate::json::{Object, Value};
use crate::time::Timestamp;

/// On whose word an event is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A caller: server-owned members and engine-only actions are refused.
    Caller,
    /// The engine itself: it may set `read`, `decrypt`, and write its own actions.
    Engine,
}

/// An event as somebody submitted it: well formed, not redacted, not stamped.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// Members of the entry in canonical order at each level, normalised (UUIDs in lower case, times in UTC with
    /// six digits, `id` and `action_category` always there).
    pub(crate) envelope: Object<'a>,
    /// The `content` member: only names of [`super::members::CONTENT`], values as they came.
    pub(crate) content: Option<Object<'a>>,
    /// The canonical submission, over which the submission MAC is taken.
    pub(crate) canonical: Vec<u8>,
    pub(crate) id: Uuid,
    pub(crate) occurred_at: Option<Timestamp>,
}

impl<'a> Submission<'a> {
    /// Checks a parsed event. `new_id` becomes its id if the caller gave none.
    pub fn read(value: Value<'a>, source: Source, new_id: Uuid) -> Result<Self, Fault> {
        unimplemented!("{value:?} {source:?} {new_id}")
    }

    /// Parses and checks one event.
    pub fn parse(bytes: &'a [u8], source: Source, new_id: Uuid) -> Result<Self, Fault> {
        Self::read(crate::json::parse(bytes)?, source, new_id)
    }

    /// The event's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// The caller's time.
    pub const fn occurred_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// The canonical submission (`formats.md`, Chain): the caller's members as parsed, `id` included, keys
    /// sorted as in RFC 8785, numbers as their source text.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The validated envelope.
    pub const fn envelope(&self) -> &Object<'a> {
        &self.envelope
    }
}
