//! A resource as it is kept: an envelope that the engine sets, and the document that its owner wrote.
//!
//! The row that is stored is never removed: what ended stays as a row that says so, so that no version comes twice and
//! verification can hold every row against the last event about it.

use std::sync::Arc;

use indelible_core::json::{self, Object, Value};
use indelible_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::document::{DocumentError, OwnerDocument, time_text, uuid_text};
use super::kind::{Kind, typed};
use super::sealed::{Sealed, mark};
use crate::access::Owner;
use crate::write::Change;

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: Uuid,
    /// What it belongs to.
    pub owner: Owner,
    /// Counted from 1; 0 for one of which there is always one and that nobody has changed yet.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its document: a JSON object, in which secrets are `[SEALED]`.
    pub document: String,
    /// The secrets.
    pub(crate) sealed: Sealed,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "time_text")]
    created_at: Timestamp,
    /// Absent once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<serde_json::Value>,
    owner: OwnerDocument,
    /// Empty once it ended.
    #[serde(default, skip_serializing_if = "Sealed::is_empty")]
    sealed: Sealed,
    #[serde(with = "time_text")]
    updated_at: Timestamp,
}

/// The id alone, read before it is known whether the rest can be.
#[derive(Deserialize)]
struct Id(#[serde(with = "uuid_text")] Uuid);

impl Kept {
    /// The members of the document, as `S`.
    pub(crate) fn typed<S: serde::de::DeserializeOwned>(&self) -> Option<S> {
        typed(&self.document).ok()
    }

    /// The row of this version; of its end where `ended`.
    pub(super) fn row(&self, kind: &Kind, home: Uuid, ended: bool) -> Change {
        let document = serde_json::from_str(&self.document).expect("a document was read strictly before it is kept");
        let stored = Stored {
            created_at: self.created_at,
            document: (!ended).then_some(document),
            owner: self.owner.into(),
            sealed: if ended { Sealed::new() } else { self.sealed.clone() },
            updated_at: self.updated_at,
        };
        let body = serde_json::to_string(&stored).expect("a document has string keys and no failing serializer");
        Change::Resource { project_id: home, kind: kind.noun, id: self.id.to_string(), version: self.version as i64, body }
    }

    /// Reads what [`Self::row`] wrote; `None` for one that ended.
    pub(super) fn read(kind: &str, id: &str, version: i64, body: &str) -> Result<Option<Self>, DocumentError> {
        let failed = |reason: String| DocumentError { kind: kind.to_owned(), id: id.to_owned(), reason };
        let Id(uuid) = serde_json::from_value(serde_json::Value::String(id.to_owned())).map_err(|error| failed(error.to_string()))?;
        let stored: Stored = serde_json::from_str(body).map_err(|error| failed(error.to_string()))?;
        let Some(document) = stored.document else { return Ok(None) };
        Ok(Some(Self {
            id: uuid,
            owner: stored.owner.into(),
            version: version.unsigned_abs(),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            document: document.to_string(),
            sealed: stored.sealed,
        }))
    }

    /// As its events are told it: sealed members are marked, so that it shows whether one changed.
    pub(super) fn told(&self) -> Value<'static> {
        let mut state = self.state();
        for (pointer, sealed) in &self.sealed {
            let mut segments = pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"));
            let place = segments.try_fold(&mut state, |value, name| match value {
                Value::Object(members) => members.get_mut(&name),
                _ => None,
            });
            if let Some(place) = place {
                *place = Value::string(mark(sealed));
            }
        }
        state
    }

    /// As it is shown, and as its events tell it: the envelope and the members of the document in one object.
    pub fn state(&self) -> Value<'static> {
        let mut object = match json::parse(self.document.as_bytes()).map(Value::into_owned) {
            Ok(Value::Object(members)) => members,
            _ => Object::new(),
        };
        let owner = serde_json::to_string(&OwnerDocument::from(self.owner)).expect("an owner has string keys");
        object.insert("id", Value::string(self.id.to_string()));
        object.insert("owner", json::parse(owner.as_bytes()).expect("a serialised owner is strict JSON").into_owned());
        object.insert("version", Value::integer(self.version as i64));
        object.insert("created_at", Value::string(self.created_at.to_string()));
        object.insert("updated_at", Value::string(self.updated_at.to_string()));
        Value::Object(object)
    }
}

/// Names of members that the engine sets, which no document may have.
pub const ENVELOPE: &[&str] = &["id", "owner", "version", "created_at", "updated_at"];

/// Kept, and shared by all who look.
pub(crate) type Shared = Arc<Kept>;
