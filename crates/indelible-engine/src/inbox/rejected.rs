//! What becomes of a row that cannot be chained: `audit.append_rejected` in the chain of its project, or of its organization where the
//! project is gone, with the reason and, sealed, what the row held. Whoever may open contents finds there what would otherwise be lost.
//!
//! The rules of the project redact it as far as it can be read as an event; the names of the rules are gone in any case.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::json::{self, Object, Value};
use uuid::Uuid;

use super::keys::Keys;
use super::row::Row;
use crate::access::{Caller, Owner};
use crate::append::{Desk, EngineEvent, Prepared, ResourceMembers};
use crate::resource::Project;

/// The event.
const ACTION: &str = "audit.append_rejected";
/// The type of the resource that it is about.
const ROW: &str = "inbox_row";

impl Row {
    /// The chain that tells of it.
    fn home(&self, desk: &Desk) -> Option<Arc<Project>> {
        let registry = &desk.registry;
        let lives =
            |project: &Arc<Project>| project.organization_id == self.organization_id && !registry.is_deleted(Owner::Project(project.id));
        let own = registry.project(self.project_id).filter(lives);
        own.or_else(|| registry.system_project(self.organization_id)).or_else(|| registry.system_project(Uuid::nil()))
    }

    /// The event that tells of it. `None` where none can be made now, which the log says.
    pub(super) fn rejected(&self, desk: &Desk, keys: &Keys, reason: &str) -> Option<Prepared> {
        let home = self.home(desk)?;
        let mut actor = Object::new();
        actor.insert("id", Value::string(self.role.clone()));
        actor.insert("type", Value::string("system"));
        let mut event = EngineEvent::new(&Caller { actor, ..Caller::engine() }, &home, ACTION, "error").because(reason);
        event.resource = Some(ResourceMembers { kind: ROW, id: self.n.to_string(), parent: None });
        event.context.push(("event_id", self.id.to_string()));
        event.context.push(("path", self.path().to_owned()));
        event.context.push(("received_at", self.received_at.to_string()));
        let without = event.clone();
        event.content.extend(self.original(desk, keys, &home).map(|original| ("extra", original)));
        // What is too large, or belongs to an organization whose keys are gone, is told of without it.
        let prepared = desk.prepare_own(event).or_else(|fault| {
            tracing::warn!(row = self.n, %fault, "what a row of the inbox held is not kept with its rejection");
            desk.prepare_own(without)
        });
        prepared.inspect_err(|fault| tracing::error!(row = self.n, %fault, "the rejection of a row of the inbox cannot be recorded")).ok()
    }

    /// What it held: the event, as the project's rules leave it, or bytes that are none.
    fn original(&self, desk: &Desk, keys: &Keys, home: &Project) -> Option<Value<'static>> {
        let mut kept = Object::new();
        let Ok(plain) = self.open(desk, keys) else {
            kept.insert("sealed", Value::string(STANDARD.encode(&self.event)));
            return Some(Value::Object(kept));
        };
        match json::parse(&plain) {
            Ok(event) => kept.insert("event", self.cleaned(desk, home, event)?),
            Err(_) => kept.insert("text", Value::string(String::from_utf8_lossy(&plain).into_owned())),
        };
        // Here it is deeper by some levels than it was: what nobody could read again is not kept.
        let kept = Value::Object(kept);
        let mut whole = Object::new();
        let mut content = Object::new();
        content.insert("extra", kept.clone());
        whole.insert("content", Value::Object(content));
        json::parse(&Value::Object(whole).to_canonical()).ok().map(|_| kept)
    }

    fn cleaned(&self, desk: &Desk, home: &Project, event: Value<'_>) -> Option<Value<'static>> {
        let Ok(submission) = self.submission(event.clone()) else { return Some(event.into_owned()) };
        let ring_id = desk.keystore.newest_ring_id();
        let keys = desk.keystore.project_keys(home.id, ring_id)?;
        let rules = desk.rules.for_event(&desk.registry.project(self.project_id).unwrap_or_else(|| Arc::new(home.clone())), &submission);
        let redacted = rules.redact(submission, &keys).ok()?;
        let mut members = redacted.envelope().clone();
        if let Some(content) = redacted.content() {
            members.insert("content", json::parse(content).ok()?.into_owned());
        }
        Some(Value::Object(members).into_owned())
    }
}
