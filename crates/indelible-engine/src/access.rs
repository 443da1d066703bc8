//! Who is asking, and what they may do. A [`Caller`] is made here alone: from a key that was found, or for the
//! operator who holds the data folder.

mod people;
mod recognise;
mod turned_away;

use indelible_core::json::Object;
use indelible_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use recognise::{credential, secret_digest};
pub(crate) use turned_away::{Counted, TurnedAway};

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Read the log, and look at what is configured.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Streams.
    #[serde(rename = "audit:write")]
    AuditWrite,
    /// Anchors, rotation, redaction rules, retention, holds; adopting a restore, confirming the clock.
    #[serde(rename = "audit:admin")]
    AuditAdmin,
    /// Hand in events, and ask for decisions.
    #[serde(rename = "events:append")]
    EventsAppend,
    /// Open what was sealed.
    #[serde(rename = "content:decrypt")]
    ContentDecrypt,
    /// Every other resource.
    #[serde(rename = "control:write")]
    ControlWrite,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::AuditRead, Self::AuditWrite, Self::AuditAdmin, Self::EventsAppend, Self::ContentDecrypt, Self::ControlWrite];

    /// The word used in JSON, such as `audit:read`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuditRead => "audit:read",
            Self::AuditWrite => "audit:write",
            Self::AuditAdmin => "audit:admin",
            Self::EventsAppend => "events:append",
            Self::ContentDecrypt => "content:decrypt",
            Self::ControlWrite => "control:write",
        }
    }

    /// The scope that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// What a key is for; it decides the assurance of what it hands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// An application: self_reported.
    #[default]
    Application,
    /// A gateway on the path of the request.
    Gateway,
    /// A hook in the agent's own process.
    Hook,
    /// Telemetry.
    Telemetry,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Application, Self::Gateway, Self::Hook, Self::Telemetry];

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Gateway => "gateway",
            Self::Hook => "hook",
            Self::Telemetry => "telemetry",
        }
    }

    /// The kind that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The assurance of what a key of this kind hands in (one of [`indelible_core::event::members::ASSURANCES`]).
    pub const fn assurance(self) -> &'static str {
        match self {
            Self::Application => "self_reported",
            Self::Gateway => "gateway",
            Self::Hook => "hook",
            Self::Telemetry => "telemetry",
        }
    }
}

/// What a member of an organization is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, and alone makes owners and auditors.
    Owner,
    /// Everything but opening what was sealed.
    Admin,
    /// Reads all of the log, and opens what was sealed, each time for a purpose.
    Auditor,
    /// Reads what is its own, and what was shared with it.
    Member,
}

impl Role {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Member => "member",
        }
    }

    /// What it allows. A plain member has no scope: what it sees is told one record from the other (`query/sight.rs`).
    pub fn scopes(self) -> Vec<Scope> {
        match self {
            Self::Owner => Scope::ALL.to_vec(),
            Self::Admin => Scope::ALL.into_iter().filter(|scope| *scope != Scope::ContentDecrypt).collect(),
            Self::Auditor => vec![Scope::AuditRead, Scope::ContentDecrypt],
            Self::Member => Vec::new(),
        }
    }
}

/// Whose a caller is that is a member of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The member.
    pub(crate) id: Uuid,
    /// How the applications' events name the same person.
    pub(crate) user_id: String,
    pub(crate) role: Role,
}

/// By what a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By nothing: the engine, the operator, a stranger.
    None,
    ApiKey(Uuid),
    /// The member's own key.
    Member(Uuid),
    Session(Uuid),
    Invitation(Uuid),
}

impl Proof {
    /// `request.auth_method`
    pub(crate) const fn method(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::ApiKey(_) => Some("api_key"),
            Self::Member(_) => Some("member_key"),
            Self::Session(_) => Some("session"),
            Self::Invitation(_) => Some("invitation"),
        }
    }
}

/// What a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Every project.
    Instance,
    /// The projects of one organization.
    Organization(Uuid),
    /// One project.
    Project(Uuid),
}

/// The request that a caller came with, for the record.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// `X-Request-Id`, made if absent.
    pub request_id: String,
    /// Peer address.
    pub source_ip: Option<String>,
    /// User agent.
    pub user_agent: Option<String>,
    /// W3C trace id, 32 hex digits.
    pub trace_id: Option<String>,
    /// W3C span id, 16 hex digits.
    pub span_id: Option<String>,
}

/// Someone who has been recognised.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) actor: Object<'static>,
    pub(crate) proof: Proof,
    pub(crate) member: Option<Membership>,
    /// When the key ends, where it is a key of the API.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) kind: KeyKind,
    pub(crate) owner: Owner,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) envelope: Envelope,
}

impl Caller {
    /// The key of the API, where it is one.
    pub const fn api_key_id(&self) -> Option<Uuid> {
        if let Proof::ApiKey(id) = self.proof { Some(id) } else { None }
    }

    /// What the credential belongs to by which it was recognised: a key, a member, a session, an invitation.
    pub const fn known_by(&self) -> Option<Uuid> {
        match self.proof {
            Proof::None => None,
            Proof::ApiKey(id) | Proof::Member(id) | Proof::Session(id) | Proof::Invitation(id) => Some(id),
        }
    }

    /// What the key belongs to.
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// Whether the key has this scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The request it came with.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

/// Why no caller could be made of a credential. The answer to all of them is one 401 that does not tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No credential at all.
    #[error("no key")]
    Missing,
    /// Not of the form `ind_<key id>_<43 characters>`.
    #[error("not a key")]
    Malformed,
    /// No such key, or another secret.
    #[error("unknown key")]
    Unknown,
    /// Revoked.
    #[error("revoked key")]
    Revoked,
    /// Past its expiry.
    #[error("expired key")]
    Expired,
    /// Nobody can be recognised now (503): it cannot be told what other servers have changed.
    #[error("the database cannot be reached")]
    Blind,
}
