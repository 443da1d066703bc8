//! The event of a decision.
//!
//! The actor is who asked: the key. The subject is the principal, its type as it was given in the context; properties and the rest of
//! the context are content, and sealed. A fault of the question is told by its place, never by its value.

use std::sync::Arc;

use indelible_core::json::{self, Object, Value};
use indelible_core::limits::{CONTEXT_VALUE_BYTES_MAX, NAME_BYTES_MAX};

use super::question::{Question, sort};
use super::{ACTION, Decision};
use crate::access::Caller;
use crate::append::{EngineEvent, texts};
use crate::resource::Project;

/// Rules that are listed; an entry has room for so many.
const RULES_MAX: usize = 100;

/// The event that records a decision about a question, if it was one.
pub(super) fn event(caller: &Caller, project: &Arc<Project>, question: Option<&Question>, decision: &Decision) -> EngineEvent {
    let mut event = EngineEvent::new(caller, project, ACTION, decision.outcome).because(reason(decision));
    event.members.push(("decision", members(decision)));
    let changes = serde_json::Value::Array(decision.changes.iter().map(super::Change::to_json).collect()).to_string();
    if !decision.changes.is_empty() && changes.len() <= CONTEXT_VALUE_BYTES_MAX {
        event.context.push(("changes", changes));
    } else if !decision.changes.is_empty()
        && let Ok(changes) = json::parse(changes.as_bytes())
    {
        let mut extra = Object::new();
        extra.insert("changes", changes.into_owned());
        event.content.push(("extra", Value::Object(extra)));
    }
    if decision.shadow {
        event.context.push(("enforcement", "shadow".to_owned()));
    }
    let Some(question) = question else { return event };
    let parent = question.resource.parent.as_ref().map(|(kind, id)| format!("{kind}/{id}"));
    event.context.push(("action", question.action.name.clone()));
    event.context.push(("subject_type", question.subject.thing.kind.clone()));
    let principal = match sort(&question.subject.thing.kind).as_str() {
        "agent" => "agent",
        "user" | "human" => "user",
        "group" => "group",
        _ => "system",
    };
    event.members.push(("principal", texts(&[("id", &question.subject.thing.id), ("type", principal)], NAME_BYTES_MAX)));
    let resource = [
        ("id", question.resource.thing.id.as_str()),
        ("parent", parent.as_deref().unwrap_or_default()),
        ("type", question.resource.thing.kind.as_str()),
    ];
    event.members.push(("resource", texts(&resource, NAME_BYTES_MAX)));
    let run = [("id", question.run()), ("thread_id", question.context.string("thread_id"))];
    let run = run.map(|(name, text)| (name, text.unwrap_or_default()));
    if run.iter().any(|(_, text)| !text.is_empty()) {
        event.members.push(("run", texts(&run, NAME_BYTES_MAX)));
    }
    event.content.extend(question.said().map(|said| ("arguments", said)));
    event
}

/// Why, and what would turn it.
fn reason(decision: &Decision) -> String {
    let mut reason = decision.reason.clone();
    for warning in &decision.warnings {
        reason.push_str("; ");
        reason.push_str(warning);
    }
    if !decision.changes.is_empty() {
        let words: Vec<&str> = decision.changes.iter().map(|change| change.words.as_str()).collect();
        reason.push_str(if decision.would_be { ". Denied after: " } else { ". Allowed after: " });
        reason.push_str(&words.join("; and "));
    }
    reason
}

fn members(decision: &Decision) -> Value<'static> {
    let mut members = Object::new();
    members.insert("decision", Value::string(if decision.would_be { "allow" } else { "deny" }));
    members.insert("engine", Value::string(decision.engine));
    if let Some(first) = decision.rules.first().filter(|rule| rule.kind != "default") {
        members.insert("policy_id", Value::string(first.id.to_string()));
        members.insert("policy_version", Value::string(first.version.to_string()));
    }
    if !decision.rules.is_empty() {
        let rules = decision.rules.iter().take(RULES_MAX).map(|rule| Value::string(rule.to_string()));
        members.insert("rules", Value::Array(rules.collect()));
    }
    Value::Object(members)
}
