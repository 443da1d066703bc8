//! A resource as it is kept: an envelope that the engine sets, and the document that its owner wrote.
//!
//! The row that is stored is never removed: what ended stays as a row that says so, so that no version comes twice and
//! verification can hold every row against the last event about it.

use std::sync::Arc;

use indelible_core::json::{self, Object, Value};
use indelible_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::credential::Credential;
use super::document::{DocumentError, OwnerDocument, optional_time_text, time_text, uuid_text};
use super::kind::{Kind, Level, typed};
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
    /// When it ended. Only of kinds whose resources stay to be seen after that ([`super::Rare::ended`]).
    pub ended_at: Option<Timestamp>,
    /// The secrets.
    pub(crate) sealed: Sealed,
    /// What opens with it, newest first; only of kinds that have a credential.
    pub(crate) credentials: Vec<Credential>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "time_text")]
    created_at: Timestamp,
    /// None is left once it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    credentials: Vec<Credential>,
    /// Absent once it ended, but of kinds whose resources stay to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<serde_json::Value>,
    #[serde(with = "optional_time_text", default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
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

    /// One that is made now, with nothing sealed.
    pub(super) const fn first(id: Uuid, owner: Owner, now: Timestamp, document: String) -> Self {
        Self {
            id,
            owner,
            version: 1,
            created_at: now,
            updated_at: now,
            document,
            ended_at: None,
            sealed: Sealed::new(),
            credentials: Vec::new(),
        }
    }

    /// What it lies in: a project in itself, an organization too, everything else in what it belongs to. Whoever sees that sees it.
    pub(super) fn place(&self, kind: &Kind) -> Owner {
        match kind.rare.holds {
            None => self.owner,
            Some(Level::Instance) => Owner::Instance,
            Some(Level::Organization) => Owner::Organization(self.id),
            Some(Level::Project) if self.owner == Owner::Instance => Owner::Instance,
            Some(Level::Project) => Owner::Project(self.id),
        }
    }

    /// Whether it is still to be seen.
    pub(super) const fn is_seen(&self, kind: &Kind) -> bool {
        self.ended_at.is_none() || kind.rare.ended.is_some()
    }

    /// The row of this version.
    pub(super) fn row(&self, kind: &Kind, home: Uuid) -> Change {
        let document = serde_json::from_str(&self.document).expect("a document was read strictly before it is kept");
        let ended = self.ended_at.is_some();
        let stored = Stored {
            created_at: self.created_at,
            credentials: if ended { Vec::new() } else { self.credentials.clone() },
            document: self.is_seen(kind).then_some(document),
            ended_at: self.ended_at,
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
            ended_at: stored.ended_at,
            sealed: stored.sealed,
            credentials: stored.credentials,
        }))
    }

    /// As its events are told it: sealed members are marked, so that it shows whether one changed.
    pub(super) fn told(&self, kind: &Kind) -> Value<'static> {
        let mut state = self.state(kind);
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
    pub fn state(&self, kind: &Kind) -> Value<'static> {
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
        if let Some(until) = self.credentials.iter().filter_map(|credential| credential.until).max() {
            object.insert(PREVIOUS_UNTIL, Value::string(until.to_string()));
        }
        if let Some((name, ended)) = kind.rare.ended.zip(self.ended_at) {
            object.insert(name, Value::string(ended.to_string()));
        }
        Value::Object(object)
    }
}

/// Names of members that the engine sets, which no document may have.
pub const ENVELOPE: &[&str] = &["id", "owner", "version", "created_at", "updated_at"];

/// The member that says until when a credential works that another took the place of.
pub const PREVIOUS_UNTIL: &str = "previous_until";

/// Kept, and shared by all who look.
pub(crate) type Shared = Arc<Kept>;
