//! What a kind of resource is: its words, where it may belong, who may write it, and what its documents must be.
//!
//! The API, the command line, the OpenAPI document and the events are all made from [`KINDS`]. A kind whose documents are read
//! here is a typed struct ([`Spec`]); unknown members, wrong types and missing members are refused with their place.

use std::time::Duration;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::MutateError;
use super::kept::Kept;
use super::registry::Registry;
use crate::access::{Caller, Owner, Scope};

pub use super::kinds::KINDS;

/// What a resource may belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The instance.
    Instance,
    /// An organization.
    Organization,
    /// A project.
    Project,
}

impl Level {
    /// The word of `owner.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Organization => "organization",
            Self::Project => "project",
        }
    }

    /// That of an owner.
    pub const fn of(owner: Owner) -> Self {
        match owner {
            Owner::Instance => Self::Instance,
            Owner::Organization(_) => Self::Organization,
            Owner::Project(_) => Self::Project,
        }
    }
}

/// How many of a kind an owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Any number, each with an id of its own.
    Many,
    /// One, under the owner's id, that is there from the start with every member as it is by default.
    One,
}

/// A kind of resource.
pub struct Kind {
    /// `resource.type` of its events, the noun of its actions, and its name on the command line.
    pub noun: &'static str,
    /// Its name in URLs.
    pub plural: &'static str,
    /// What it is, one sentence.
    pub doc: &'static str,
    /// What it may belong to.
    pub levels: &'static [Level],
    /// How many there are.
    pub number: Number,
    /// What changing it needs.
    pub scope: Scope,
    /// Actions of its events; `None` where there is no such change.
    pub actions: Actions,
    /// JSON Schema of a document.
    pub schema: fn() -> Value,
    /// A document that is valid, for the documentation and for tests.
    pub example: &'static str,
    /// Reads a document strictly; returns it as it is stored.
    pub(super) read: fn(&str) -> Result<String, Fault>,
    /// Whether a change may be, beside what is known.
    pub(super) admit: Option<Admit>,
    /// What few kinds have.
    pub rare: Rare,
}

/// What few kinds have.
#[derive(Clone, Copy)]
pub struct Rare {
    /// Members of its documents that are secret: pointers, in which `*` stands for every member of an object. They are sealed where they
    /// are stored, and shown as `[SEALED]` (`sealed.rs`).
    pub secrets: &'static [&'static str],
    /// Secret members that are made here, and shown once.
    pub drawn: &'static [Drawn],
    /// What can be done to one beside changing and ending it.
    pub verbs: &'static [Verb],
    /// Figures that are shown with one.
    pub figures: &'static [Figure],
    /// What others belong to it, where it is an organization or a project.
    pub holds: Option<Level>,
    /// Members of its documents that Indelible sets, and nobody else.
    pub own: &'static [&'static str],
    /// The member that says when one ended; those of such a kind stay to be seen after that.
    pub ended: Option<&'static str>,
    /// The member under which a credential is shown that is made with one, once. What is stored of it is its SHA-256.
    pub credential: Option<&'static str>,
    /// Whether it goes on, and can be made and changed, when what it belongs to was deleted.
    pub outlives: bool,
    /// Whether one is past its end, though nobody ended it. Making one ends those of the same owner that are.
    pub(super) is_past: Option<fn(&Kept, Timestamp) -> bool>,
    /// For those that somebody begins for itself, whatever its scopes: who may, and what Indelible sets of it ([`Self::own`]).
    pub(super) begin: Option<Begin>,
}

impl Rare {
    /// The member that is shown once, when one is made.
    pub fn shown_once(&self) -> Option<&'static str> {
        self.credential.or_else(|| self.drawn.first().map(|drawn| drawn.member))
    }

    /// Whether somebody begins one for itself, as a member does a session.
    pub const fn is_begun(&self) -> bool {
        self.begin.is_some()
    }
}

/// Completes what somebody begins for itself.
pub(super) type Begin = fn(&Caller, Timestamp, &mut serde_json::Map<String, Value>) -> Result<(), MutateError>;

/// A figure that is shown with a resource and is no part of its document.
#[derive(Clone, Copy)]
pub struct Figure {
    /// Its member.
    pub name: &'static str,
    /// What it is, one sentence.
    pub doc: &'static str,
    /// Whether it is a time, absent where there is none; else a number.
    pub is_time: bool,
}

impl Rare {
    /// Nothing of it.
    pub const NONE: Self = Self {
        secrets: &[],
        drawn: &[],
        verbs: &[],
        figures: &[],
        holds: None,
        own: &[],
        ended: None,
        credential: None,
        outlives: false,
        is_past: None,
        begin: None,
    };
}

/// A secret member that is made here.
#[derive(Clone, Copy)]
pub struct Drawn {
    /// Its name, at the top of the document.
    pub member: &'static str,
    /// What it is made of 32 random bytes.
    pub(super) make: fn(&[u8; 32]) -> String,
}

/// Something that is done to a resource: `POST /v1/KIND/{id}/VERB`, with an event of its own.
#[derive(Clone, Copy)]
pub struct Verb {
    /// In URLs and on the command line.
    pub name: &'static str,
    /// Of its event.
    pub action: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// JSON Schema of what is said with it.
    pub schema: fn() -> Value,
    /// What the document becomes by what was said, a JSON object.
    pub(super) apply: fn(&str, &str) -> Result<String, MutateError>,
    /// Where a new credential takes the place of the old one: how long that one goes on working, by what was said.
    pub(super) renews: Option<Grace>,
}

/// How long an old credential goes on working, by what was said.
pub(super) type Grace = fn(&str) -> Result<Duration, Fault>;

impl Verb {
    /// Whether it gives a new credential.
    pub const fn renews_credential(&self) -> bool {
        self.renews.is_some()
    }
}

impl std::fmt::Debug for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.action)
    }
}

impl Kind {
    /// The verb of this name.
    pub fn verb(&self, name: &str) -> Option<&'static Verb> {
        self.rare.verbs.iter().find(|verb| verb.name == name)
    }

    /// Every action of its events.
    pub fn all_actions(&self) -> Vec<&'static str> {
        let Actions { create, update, delete } = self.actions;
        let mut actions: Vec<_> = [create, update].into_iter().flatten().collect();
        actions.extend(self.rare.verbs.iter().map(|verb| verb.action));
        actions.extend(delete);
        actions.dedup();
        actions
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.noun)
    }
}

/// The actions of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Actions {
    /// What making one is called.
    pub create: Option<&'static str>,
    /// What changing one is called.
    pub update: Option<&'static str>,
    /// What ending one is called.
    pub delete: Option<&'static str>,
}

/// Holds a change against what is known.
pub(super) type Admit = fn(&Admission<'_>) -> Result<(), MutateError>;

/// A change that is about to be, and what it is held against.
pub(super) struct Admission<'a> {
    pub(super) registry: &'a Registry,
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
    pub(super) owner: Owner,
    /// The verb by which it changes, where it is one.
    pub(super) verb: Option<&'static str>,
    /// As it is, unless it is made.
    pub(super) before: Option<&'a Kept>,
    /// As it will be, unless it ends.
    pub(super) after: Option<&'a Kept>,
}

/// A typed document.
pub(crate) trait Spec: Serialize + DeserializeOwned + JsonSchema {
    /// What its types do not say.
    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The kind of this noun.
pub fn kind(noun: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.noun == noun).copied()
}

/// Reads a document of type `S`, and writes it as it is stored.
pub(super) fn strict<S: Spec>(text: &str) -> Result<String, Fault> {
    let spec: S = typed(text)?;
    spec.check()?;
    // Sorted: a document is the same text however it came.
    let mut value = serde_json::to_value(&spec).map_err(|error| Fault::new(FaultKind::Invalid, "", error.to_string()))?;
    value.sort_all_objects();
    Ok(value.to_string())
}

/// A document of type `S`.
pub(crate) fn typed<S: DeserializeOwned>(text: &str) -> Result<S, Fault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| fault(&error))
}

/// The schema of `S`, without the dialect it is written in.
pub(super) fn schema<S: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<S>().to_value();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
    }
    schema.sort_all_objects();
    schema
}

/// Where and what, without the value: the library quotes values in some of its messages.
fn fault(error: &serde_path_to_error::Error<serde_json::Error>) -> Fault {
    let mut pointer = String::new();
    for segment in error.path() {
        match segment {
            serde_path_to_error::Segment::Seq { index } => indelible_core::json::push_pointer(&mut pointer, &index.to_string()),
            serde_path_to_error::Segment::Map { key } | serde_path_to_error::Segment::Enum { variant: key } => {
                indelible_core::json::push_pointer(&mut pointer, key);
            }
            serde_path_to_error::Segment::Unknown => {}
        }
    }
    let message = error.inner().to_string();
    // ` at line 1 column 7`: of a text that the caller has not seen.
    let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]);
    let quoted = |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    if let Some(name) = quoted("unknown field `") {
        // The path of some errors ends at the member itself, of others at the object that holds it.
        let mut own = String::new();
        indelible_core::json::push_pointer(&mut own, name);
        if !pointer.ends_with(&own) {
            pointer.push_str(&own);
        }
        let known = message.split_once(", expected ").map_or(String::new(), |(_, known)| format!("; expected {known}"));
        return Fault::new(FaultKind::Invalid, pointer, format!("an unknown member{known}"));
    }
    if let Some(name) = quoted("missing field `") {
        indelible_core::json::push_pointer(&mut pointer, name);
        return Fault::new(FaultKind::Invalid, pointer, "is required");
    }
    if message.starts_with("unknown variant `") {
        let known = message.split_once(", expected ").map_or("another value", |(_, known)| known);
        return Fault::new(FaultKind::Invalid, pointer, format!("expected {known}"));
    }
    // `invalid type: string "…", expected u64` and its like.
    let said = match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if message.starts_with("invalid") => "is not valid".to_owned(),
        None => message.to_owned(),
    };
    Fault::new(FaultKind::Invalid, pointer, said)
}
