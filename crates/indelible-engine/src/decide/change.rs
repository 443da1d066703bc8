//! What would have to be changed for a decision to be the other way round: changes of resources, as the API takes them.

use serde_json::json;
use uuid::Uuid;

use super::asked;
use super::question::Question;
use crate::resource::kinds::{budgets, halts, policies};

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its action: `halt.clear`, `budget.update`, `policy.update` or `policy.create`.
    pub action: &'static str,
    /// The kind of resource.
    pub kind: &'static str,
    /// The resource; `None` where one is made.
    pub id: Option<Uuid>,
    /// The document or the merge patch, a JSON object; `None` where a resource ends.
    pub document: Option<String>,
    /// In words.
    pub words: String,
}

impl Change {
    pub(super) fn clear(halt: Uuid) -> Self {
        Self { action: "halt.clear", kind: halts::KIND.noun, id: Some(halt), document: None, words: format!("clear halt {halt}") }
    }

    /// `spent` is what the limit has to be above.
    pub(super) fn raise(budget: Uuid, spent: u64, currency: &str) -> Self {
        Self {
            action: "budget.update",
            kind: budgets::KIND.noun,
            id: Some(budget),
            document: Some(json!({"limit_micros": spent.saturating_add(1)}).to_string()),
            words: format!("raise budget {budget} above {spent} millionths of {currency}"),
        }
    }

    pub(super) fn disable(policy: Uuid) -> Self {
        Self {
            action: "policy.update",
            kind: policies::KIND.noun,
            id: Some(policy),
            document: Some(json!({"enabled": false}).to_string()),
            words: format!("disable policy {policy}"),
        }
    }

    /// A policy about exactly what was asked.
    pub(super) fn add(effect: &'static str, question: &Question) -> Self {
        let text = format!("{effect} {};", asked::scope(question));
        Self {
            action: "policy.create",
            kind: policies::KIND.noun,
            id: None,
            words: format!("add the policy: {text}"),
            document: Some(json!({"name": format!("{effect} what was asked"), "text": text}).to_string()),
        }
    }

    /// As JSON, for the record.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let document = self.document.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let mut change = json!({"action": self.action, "document": document, "id": self.id.map(|id| id.to_string())});
        if let Some(members) = change.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        change
    }
}
