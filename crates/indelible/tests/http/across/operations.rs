//! The operations of the OpenAPI document, and how each of them is called so that it works: for tests that walk them all.

use indelible::http::routes;
use indelible_engine::resource::{Kind, Level, Number, kind};
use serde_json::{Value, json};

use crate::server::{Ask, EVENTS, House, event};

/// An id that nothing has.
pub(super) const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

/// One method of one URL, as the document has it.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// With variables in braces.
    pub(super) path: String,
    /// The kind of resource that it is about, where all kinds have such a URL.
    pub(super) kind: Option<&'static Kind>,
    /// What the document says of it.
    pub(super) said: Value,
}

/// Every operation of the document that a running server hands out, those that end something last.
pub(super) fn all(house: &House) -> Vec<Operation> {
    let document = house.get("/openapi.json").no_key().send().is(200);
    let table = routes();
    let mut operations = Vec::new();
    for route in &table {
        let said = document["paths"][&route.path][route.method.to_lowercase()].clone();
        assert!(said.is_object(), "{} {} is not in the document", route.method, route.path);
        operations.push(Operation { method: route.method, path: route.path.clone(), kind: route.kind.and_then(kind), said });
    }
    let described: usize =
        document["paths"].as_object().expect("paths").values().map(|item| item.as_object().expect("an item").len()).sum();
    assert_eq!(described, operations.len(), "the document has an operation that is in no table");
    operations.sort_by_key(|operation| operation.method == "DELETE");
    operations
}

impl Operation {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// What the document says under an extension's name.
    pub(super) fn extension(&self, name: &str) -> Option<&str> {
        self.said.get(name).and_then(Value::as_str)
    }

    /// Whether it has this parameter, in a query, a path or a header; `Some(true)` where it has to be there.
    pub(super) fn parameter(&self, place: &str, name: &str) -> Option<bool> {
        let parameters = self.said["parameters"].as_array()?;
        let found = parameters.iter().find(|parameter| parameter["in"] == place && parameter["name"] == name)?;
        Some(found["required"] == true)
    }

    /// The media types of its body.
    pub(super) fn bodies(&self) -> Vec<&str> {
        self.said["requestBody"]["content"].as_object().map(|content| content.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    pub(super) fn has_variable(&self) -> bool {
        self.path.contains('{')
    }

    /// The path with each variable given; a tile is always the first one.
    pub(super) fn at(&self, variable: &str) -> String {
        let mut path = self.path.replace("{tile}", "0/000");
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            path.replace_range(from..=to, variable);
        }
        path
    }

    /// A request of it, with a body in JSON where it has one.
    pub(super) fn ask<'h>(&self, house: &'h House, path: &str, body: &str) -> Ask<'h> {
        let ask = house.ask(self.method, path);
        match self.bodies().first() {
            Some(_) if self.method == "PATCH" => ask.header("content-type", "application/merge-patch+json").body(body),
            Some(_) => ask.header("content-type", "application/json").body(body),
            None => ask,
        }
    }

    /// [`Self::ask`] with whatever version is there, where one has to be named.
    pub(super) fn ask_any_version<'h>(&self, house: &'h House, path: &str, body: &str) -> Ask<'h> {
        let ask = self.ask(house, path, body);
        if self.parameter("header", "If-Match") == Some(true) { ask.header("if-match", "*") } else { ask }
    }
}

/// How an operation is called so that it works.
pub(super) struct Recipe {
    /// The key with which it works.
    pub(super) key: String,
    /// A body that is taken.
    pub(super) body: String,
    /// One that is JSON and not taken, where it has a body.
    pub(super) wrong: &'static str,
    /// The variable of the path, where it has one.
    pub(super) variable: String,
    /// The one scope that it needs and that a narrow key is to lack.
    pub(super) needs: &'static str,
}

/// How a kind's example is owned: by the narrowest level that it may belong to.
fn owner(house: &House, kind: &Kind) -> (String, Value) {
    if kind.levels.contains(&Level::Project) {
        (house.admin.clone(), json!({"type": "project", "id": house.project}))
    } else if kind.levels.contains(&Level::Organization) {
        (house.instance.clone(), json!({"type": "organization", "id": house.organization}))
    } else {
        (house.instance.clone(), json!({"type": "instance"}))
    }
}

/// A kind's example with its owner, and the key of somebody who may make it.
pub(super) fn example(house: &House, kind: &Kind) -> (String, Value) {
    let (key, owner) = owner(house, kind);
    let mut example: Value = serde_json::from_str(kind.example).expect("JSON");
    example["owner"] = owner;
    (if kind.rare.is_begun() { house.member("owner") } else { key }, example)
}

/// The recipe of an operation that changes something; `None` where nobody wrote one. `made` tells a resource of a kind that is there.
pub(super) fn recipe(house: &House, operation: &Operation, made: &dyn Fn(&'static Kind) -> String) -> Option<Recipe> {
    if let Some(kind) = operation.kind {
        let (maker, example) = example(house, kind);
        let key = if operation.has_variable() { owner(house, kind).0 } else { maker };
        let body = match (operation.method, operation.has_variable()) {
            ("POST", false) => example.to_string(),
            ("PATCH", _) => kind.example.to_owned(),
            _ => "{}".to_owned(),
        };
        let variable = match kind.number {
            _ if !operation.has_variable() => String::new(),
            Number::Many => made(kind),
            Number::One => house.project.clone(),
        };
        return Some(Recipe { key, body, wrong: r#"{"x":1}"#, variable, needs: kind.scope.as_str() });
    }
    let thing = json!({"type": "thing", "id": "1"});
    let question = json!({"subject": thing, "action": {"name": "read"}, "resource": thing});
    let sample = json!({"sample": event("walk.sample")});
    let (project, instance, invited) = (&house.admin, &house.instance, house.invitation("member"));
    let (key, needs, body, wrong) = match (operation.method, operation.path.as_str()) {
        ("POST", EVENTS | "/v1/audit/events/check") => (project, "events:append", event("walk.step"), r#"{"x":1}"#),
        ("POST", "/v1/audit/anchors" | "/v1/audit/keys/chain") => (project, "audit:admin", json!({}), ""),
        ("POST", "/v1/audit/exports") => (project, "audit:read", json!({}), r#"{"x":1}"#),
        ("POST", "/v1/audit/export_jobs") => (project, "audit:read", json!({"format": "ndjson"}), r#"{"format":"ndjson","x":1}"#),
        ("POST", "/v1/audit_streams/{id}/test") => (project, "audit:write", json!({}), ""),
        ("POST", "/v1/audit_streams/{id}/replay") => (project, "audit:write", json!({"dead_letters": true}), r#"{"x":1}"#),
        ("DELETE", "/v1/audit/export_jobs/{id}") => (project, "audit:read", json!({}), ""),
        ("POST", "/v1/audit/clock" | "/v1/audit/checkpoints/adopt") => (instance, "audit:admin", json!({}), ""),
        ("POST", "/v1/audit/keys/rotate") => (instance, "audit:admin", json!({"kind": "data"}), r#"{"kind":"master"}"#),
        ("POST", "/v1/audit/keys/rewrap") => (instance, "audit:admin", json!({}), r#"{"x":1}"#),
        ("POST", "/access/v1/evaluation" | "/access/v1/evaluations") => (project, "events:append", question, r#"{"x":1}"#),
        ("POST", "/v1/redaction_rules/test") => (project, "audit:admin", sample, r#"{"x":1}"#),
        ("POST", "/v1/invitations/accept") => (&invited, "control:write", json!({}), ""),
        _ => return None,
    };
    // One of its own, so that it is there.
    let variable = match operation.path.as_str() {
        path if path.starts_with("/v1/audit/export_jobs/") => house.export_job(),
        path if path.starts_with("/v1/audit_streams/") => house.stream(),
        _ => String::new(),
    };
    Some(Recipe { key: key.clone(), body: body.to_string(), wrong, variable, needs })
}
