//! How what all stored documents have is written in JSON: owners, ids, times.

use indelible_core::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Owner;

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

pub(super) mod optional_time_text {
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
