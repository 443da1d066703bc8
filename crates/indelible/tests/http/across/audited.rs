//! Every operation that is not a GET, walked as the OpenAPI document has them: each success, each denial and each failure is exactly one
//! event of the action that the document promises, with the request's id, and nothing else but what belongs to that event.

use std::collections::BTreeMap;

use indelible_engine::query::sql::{Cell, SqlSession};
use indelible_engine::resource::Kind;
use serde_json::Value;

use super::operations::{self, NOBODY, Operation, Recipe};
use crate::server::{Answer, Ask, House};

/// What a request was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Success,
    Denial,
    Failure,
}

impl Case {
    /// The outcome of its event.
    const fn outcome(self) -> &'static str {
        match self {
            Self::Success => "allow",
            Self::Denial => "deny",
            Self::Failure => "error",
        }
    }

    fn is_of(self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::Denial => [403, 404].contains(&status),
            Self::Failure => (400..500).contains(&status) && ![401, 403, 404, 429].contains(&status),
        }
    }
}

/// Action and outcome of each event of a request.
type Left = Vec<(String, String)>;

/// A request that was answered as it should be, and what it has to leave.
struct Sent {
    what: String,
    request_id: String,
    left: Left,
    /// Of the operation, which names what else it appends.
    description: String,
}

impl Sent {
    /// What is wrong with what it left.
    fn fault(&self, found: &BTreeMap<String, Left>) -> Option<String> {
        let mut found = found.get(&self.request_id).cloned().unwrap_or_default();
        found.retain(|event| {
            self.left.iter().any(|(action, _)| *action == event.0) || !self.description.contains(&format!("`{}`", event.0))
        });
        (found != self.left).then(|| format!("{}: {found:?} and not {:?}", self.what, self.left))
    }
}

/// Keys that may not.
struct Others {
    /// Of the project, with `audit:read` alone.
    reader: String,
    /// Of the project, with `events:append` alone.
    writer: String,
    /// Of another project, with every scope.
    stranger: String,
}

impl Others {
    fn of(house: &House) -> Self {
        let narrow = |scope| house.make_key(&house.project, "application", &[scope]);
        let every = ["audit:read", "audit:write", "audit:admin", "content:decrypt", "control:write", "events:append"];
        let stranger = house.make_key(&house.tenant("other").0, "application", &every);
        Self { reader: narrow("audit:read"), writer: narrow("events:append"), stranger }
    }

    /// A key of the project that lacks a scope.
    fn without(&self, scope: &str) -> &str {
        if scope == "events:append" { &self.reader } else { &self.writer }
    }
}

/// One operation, and whatever is sent to it.
struct Walk<'h> {
    house: &'h House,
    operation: &'h Operation,
    recipe: &'h Recipe,
    others: &'h Others,
    sent: Vec<Sent>,
}

impl<'h> Walk<'h> {
    fn path(&self) -> String {
        self.operation.at(&self.recipe.variable)
    }

    /// A request that would work.
    fn good(&self, path: &str) -> Ask<'h> {
        self.operation.ask_any_version(self.house, path, &self.recipe.body).key(&self.recipe.key)
    }

    fn send(&mut self, case: Case, what: &str, ask: Ask<'_>) -> Answer {
        let answer = ask.send();
        let what = format!("{} ({what})", self.operation.name());
        assert!(case.is_of(answer.status), "{what}: {} {}", answer.status, answer.text().chars().take(300).collect::<String>());
        let action = self.operation.extension("x-audit-action").expect("an action").to_owned();
        let is_exempt = case == Case::Success && self.operation.extension("x-audit-success-exempt").is_some_and(|reason| reason.len() > 10);
        let left = if is_exempt { Vec::new() } else { vec![(action, case.outcome().to_owned())] };
        let description = self.operation.said["description"].as_str().unwrap_or_default().to_owned();
        self.sent.push(Sent { what, request_id: answer.request_id.clone(), left, description });
        answer
    }

    /// Who may not.
    fn denials(&mut self) {
        let path = self.path();
        self.send(Case::Denial, "without the scope", self.good(&path).key(self.others.without(self.recipe.needs)));
        let named = match self.operation.parameter("query", "project_id") {
            Some(_) => format!("{path}?project_id={}", self.house.project),
            None => path,
        };
        self.send(Case::Denial, "of nothing of theirs", self.good(&named).key(&self.others.stranger));
        if self.operation.has_variable() {
            self.send(Case::Denial, "of what is nowhere", self.good(&self.operation.at(NOBODY)));
        }
    }

    /// What is not well said.
    fn failures(&mut self) {
        let path = self.path();
        self.send(Case::Failure, "an unknown parameter", self.good(&format!("{path}?colour=red")));
        if !self.operation.bodies().is_empty() {
            self.send(Case::Failure, "not JSON", self.good(&path).body("{"));
            self.send(Case::Failure, "not JSON's type", self.good(&path).header("content-type", "text/plain"));
            self.send(Case::Failure, "not UTF-8", self.good(&path).body(vec![b'"', 0xff, b'"']));
            self.send(Case::Failure, "an unknown coding", self.good(&path).header("content-encoding", "br"));
            self.send(Case::Failure, "a document of another form", self.good(&path).body("[[]]"));
            self.send(Case::Failure, "a wrong document", self.good(&path).body(self.recipe.wrong));
        }
        if let Some(required) = self.operation.parameter("header", "If-Match") {
            self.send(Case::Failure, "another version", self.good(&path).header("if-match", "\"77\""));
            self.send(Case::Failure, "no version", self.good(&path).header("if-match", "x"));
            if required {
                self.send(Case::Failure, "without a version", self.operation.ask(self.house, &path, "{}"));
            }
        }
        if self.operation.parameter("header", "Idempotency-Key").is_some() {
            self.send(Case::Failure, "a key too long", self.good(&path).header("idempotency-key", &"x".repeat(256)));
        }
    }

    /// What it should be; and the id of what it made, if it did.
    fn success(&mut self) -> Option<String> {
        let answer = self.send(Case::Success, "as it should be", self.good(&self.path()));
        let made: Value = serde_json::from_slice(&answer.body).ok()?;
        made["id"].as_str().map(str::to_owned)
    }
}

/// The events of every chain, by the id of their request. An intent and its outcome are one, and what a cascade took along is none.
fn by_request(house: &House) -> BTreeMap<String, Left> {
    let session = SqlSession::open(&house.data()).expect("a ledger");
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let take = &mut |_: &[String], cells: Vec<Cell>| {
        let [Cell::Text(entry)] = cells.as_slice() else { panic!("{cells:?}") };
        let entry: Value = serde_json::from_str(entry).expect("JSON");
        if let Some(id) = entry["request"]["request_id"].as_str() {
            found.entry(id.to_owned()).or_default().push(entry);
        }
        Ok(())
    };
    session.query("SELECT entry FROM audit_events", take).expect("rows");
    let word = |entry: &Value, member: &str| entry[member].as_str().unwrap_or_default().to_owned();
    let told = |entries: Vec<Value>| {
        let is_outcome_of = |entry: &Value, intent: &Value| {
            let same = |member: &str| entry[member] == intent[member];
            entry["phase"] == "outcome" && intent["phase"] == "intent" && same("operation_id") && same("action")
        };
        let is_begun = |entry: &Value| entry["phase"] == "intent" && entries.iter().any(|other| is_outcome_of(other, entry));
        let is_child = |entry: &Value| {
            let root = &entry["cascade_root_id"];
            root.is_string() && *root != entry["resource"]["id"]
        };
        entries
            .iter()
            .filter(|entry| !is_begun(entry) && !is_child(entry))
            .map(|entry| (word(entry, "action"), word(entry, "outcome")))
            .collect()
    };
    found.into_iter().map(|(id, entries)| (id, told(entries))).collect()
}

#[test]
fn every_change_that_succeeds_is_denied_or_fails_is_one_event_of_the_action_that_is_promised() {
    let mut house = House::delivering(&[]);
    let others = Others::of(&house);
    // Everything is permitted, so that a decision is a success.
    house.post("/v1/policies", r#"{"name":"all","text":"permit (principal, action, resource);"}"#).send().is(201);
    let mut there: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut sent = Vec::new();
    let mut without: Vec<String> = Vec::new();
    let operations = operations::all(&house);
    for operation in operations.iter().filter(|operation| operation.method != "GET") {
        let (action, exempt) = (operation.extension("x-audit-action"), operation.extension("x-audit-exempt"));
        assert!(action.is_some() != exempt.is_some_and(|reason| reason.len() > 10), "{} says how it is audited", operation.name());
        if exempt.is_some() {
            continue;
        }
        // What was made on the way: operations that make something come before those that change or end it.
        let there_is = |kind: &'static Kind| there[kind.noun].clone();
        let Some(recipe) = operations::recipe(&house, operation, &there_is) else {
            without.push(operation.name());
            continue;
        };
        let mut walk = Walk { house: &house, operation, recipe: &recipe, others: &others, sent: Vec::new() };
        walk.denials();
        walk.failures();
        let made = walk.success();
        if let (Some(kind), Some(id), false) = (operation.kind, made, operation.has_variable()) {
            there.insert(kind.noun, id);
        }
        sent.append(&mut walk.sent);
    }
    assert_eq!(without, [""; 0], "operations that nobody wrote a recipe for");
    house.close();
    let left = by_request(&house);
    let wrong: Vec<String> = sent.iter().filter_map(|sent| sent.fault(&left)).collect();
    assert!(wrong.is_empty(), "of {} requests:\n{}", sent.len(), wrong.join("\n"));
    assert!(sent.len() > 6 * operations.iter().filter(|operation| operation.method != "GET").count());
}
