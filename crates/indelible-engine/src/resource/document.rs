//! Resources as they are stored and as they appear in the events about them: JSON documents.
//!
//! A key's document holds the SHA-256 of its secret; what goes into an event ([`KeyDocument::state`]) does not.

use indelible_core::json::Value;
use indelible_core::time::Timestamp;
use indelible_core::{hex, json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{ApiKey, KeyKind, Owner, Project, Scope};

/// A document that cannot be read, in words.
#[derive(Debug, thiserror::Error)]
#[error("the stored {kind} {id} cannot be read: {reason}")]
pub(crate) struct DocumentError {
    /// Its type.
    pub(crate) kind: String,
    /// Its id.
    pub(crate) id: String,
    /// Why.
    pub(crate) reason: String,
}

/// A resource that can be stored.
pub(crate) trait Document: Serialize + for<'de> Deserialize<'de> {
    /// `resources.type`, and the noun of the actions about it.
    const TYPE: &'static str;

    /// `resources.id`
    fn id(&self) -> String;

    /// The JSON that is stored.
    fn body(&self) -> String {
        serde_json::to_string(self).expect("a document has string keys and no failing serializer")
    }

    /// Reads what [`Self::body`] wrote.
    fn from_body(id: &str, body: &str) -> Result<Self, DocumentError> {
        serde_json::from_str(body).map_err(|error| DocumentError {
            kind: Self::TYPE.to_owned(),
            id: id.to_owned(),
            reason: error.to_string(),
        })
    }
}

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrganizationDocument {
    #[serde(with = "uuid_text")]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    #[serde(with = "time_text")]
    pub(crate) created_at: Timestamp,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProjectDocument {
    #[serde(with = "uuid_text")]
    pub(crate) id: Uuid,
    #[serde(with = "uuid_text")]
    pub(crate) organization_id: Uuid,
    pub(crate) name: String,
    pub(crate) system: bool,
    #[serde(with = "time_text")]
    pub(crate) created_at: Timestamp,
}

/// A key, with the digest of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyDocument {
    #[serde(with = "uuid_text")]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) owner: OwnerDocument,
    pub(crate) kind: String,
    pub(crate) scopes: Vec<String>,
    #[serde(with = "time_text")]
    pub(crate) created_at: Timestamp,
    #[serde(with = "optional_time_text", default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(with = "optional_time_text", default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at: Option<Timestamp>,
    /// SHA-256 of the 43 characters, hex.
    pub(crate) digest: String,
    /// How often it was written.
    pub(crate) version: i64,
}

/// What a key belongs to: `{"type":"instance"}`, `{"type":"organization","id":…}`, `{"type":"project","id":…}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum OwnerDocument {
    Instance,
    Organization {
        #[serde(with = "uuid_text")]
        id: Uuid,
    },
    Project {
        #[serde(with = "uuid_text")]
        id: Uuid,
    },
}

impl Document for OrganizationDocument {
    const TYPE: &'static str = "organization";

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Document for ProjectDocument {
    const TYPE: &'static str = "project";

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Document for KeyDocument {
    const TYPE: &'static str = "api_key";

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl KeyDocument {
    /// The digest of the secret, as bytes.
    pub(crate) fn digest_bytes(&self) -> Option<[u8; 32]> {
        hex::decode_array(&self.digest)
    }

    /// The key without its digest, as it is shown.
    pub(crate) fn to_api_key(&self) -> ApiKey {
        ApiKey {
            id: self.id,
            name: self.name.clone(),
            owner: self.owner.into(),
            kind: KeyKind::parse(&self.kind).unwrap_or(KeyKind::Application),
            scopes: self.scopes.iter().filter_map(|word| Scope::parse(word)).collect(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        }
    }

    /// Its state as an event tells it: without the digest.
    pub(crate) fn state(&self) -> Value<'static> {
        let mut state = state(self);
        if let Value::Object(object) = &mut state {
            object.remove("digest");
        }
        state
    }
}

/// A document as the state of an event.
pub(crate) fn state(document: &impl Document) -> Value<'static> {
    let body = document.body();
    json::parse(body.as_bytes()).expect("a serialised document is strict JSON").into_owned()
}

impl From<&Project> for ProjectDocument {
    fn from(project: &Project) -> Self {
        Self {
            id: project.id,
            organization_id: project.organization_id,
            name: project.name.clone(),
            system: project.system,
            created_at: project.created_at,
        }
    }
}

impl From<ProjectDocument> for Project {
    fn from(document: ProjectDocument) -> Self {
        Self {
            id: document.id,
            organization_id: document.organization_id,
            name: document.name,
            system: document.system,
            created_at: document.created_at,
        }
    }
}

impl From<OwnerDocument> for Owner {
    fn from(document: OwnerDocument) -> Self {
        match document {
            OwnerDocument::Instance => Self::Instance,
            OwnerDocument::Organization { id } => Self::Organization(id),
            OwnerDocument::Project { id } => Self::Project(id),
        }
    }
}

impl From<Owner> for OwnerDocument {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Instance => Self::Instance,
            Owner::Organization(id) => Self::Organization { id },
            Owner::Project(id) => Self::Project { id },
        }
    }
}

pub(super) mod uuid_text {
    use super::{Deserialize, Deserializer, Serializer, Uuid};

    pub(in super::super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        Uuid::try_parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

pub(super) mod time_text {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in super::super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::parse(&String::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

mod optional_time_text {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(in super::super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time"))).transpose()
    }
}
