//! Kill -9 at any moment while clients make, change and end resources of every kind: what was acknowledged is there with its event, what
//! was not is there whole or not at all, and each resource is what its events say.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indelible_engine::query::sql::{Cell, SqlSession};
use indelible_engine::resource::{KINDS, Kind, Level, Number};
use serde_json::{Value, json};

use crate::load::Client;
use crate::process::{Server, verify};

/// Clients at once.
const CLIENTS: usize = 4;
/// How often the server is killed.
const KILLS: u64 = 12;
/// Begins the id of every request.
const MARK: &str = "change-";

/// A change that a client asked for.
struct Change {
    action: &'static str,
    /// The name that it gives, where resources of the kind have one.
    name: Option<String>,
    /// The id of the resource, where it was acknowledged.
    acknowledged: Option<String>,
}

/// What a resource comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    noun: &'static str,
    version: u64,
    name: Option<String>,
}

/// The kinds of which there may be many, but sessions, which members begin.
fn kinds() -> Vec<&'static Kind> {
    let many = |kind: &&&Kind| kind.number == Number::Many && !kind.rare.is_begun() && kind.actions.create.is_some();
    KINDS.iter().filter(many).copied().collect()
}

/// Whether those of a kind belong to more than a project.
fn is_wide(kind: &Kind) -> bool {
    !kind.levels.contains(&Level::Project)
}

/// Clients of one server, and what they asked of it so far, by the ids of their requests.
struct Clients<'a> {
    url: &'a str,
    /// Of the project, and of the instance.
    keys: [&'a str; 2],
    next: &'a AtomicU64,
    asked: &'a Mutex<BTreeMap<String, Change>>,
    done: &'a AtomicU64,
}

impl Clients<'_> {
    /// Sends one change. `None` where nothing came back; else the status, and the resource that was shown.
    fn send(
        &self,
        agent: &ureq::Agent,
        kind: &Kind,
        (method, path): (&str, &str),
        body: &Value,
        action: &'static str,
    ) -> Option<(u16, Value)> {
        let request_id = format!("{MARK}{}", self.next.fetch_add(1, Ordering::Relaxed));
        let name = body["name"].as_str().map(str::to_owned);
        let change = Change { action, name, acknowledged: None };
        self.asked.lock().expect("no client panics").insert(request_id.clone(), change);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.keys[usize::from(is_wide(kind))]))
            .header("x-request-id", &request_id)
            .header("if-match", "*")
            .header("content-type", "application/json");
        let sent = if method == "DELETE" {
            agent.run(request.body(()).expect("a request"))
        } else {
            agent.run(request.body(body.to_string()).expect("a request"))
        };
        let mut answer = sent.ok()?;
        let status = answer.status().as_u16();
        // An answer that was cut off acknowledges nothing.
        let text = answer.body_mut().read_to_string().ok()?;
        let shown: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).ok()? };
        if (200..300).contains(&status) {
            let id = shown["id"].as_str().or_else(|| path.rsplit('/').next()).expect("an id").to_owned();
            self.asked.lock().expect("no client panics").get_mut(&request_id).expect("asked").acknowledged = Some(id);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Some((status, shown))
    }

    /// Makes, changes twice and, two times of three, ends one resource after the other, until nobody answers.
    fn go_on(&self) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_mins(1))).build().into();
        for n in 0.. {
            let Some(()) = self.one(&agent, kinds()[n % kinds().len()], n) else { return };
        }
    }

    fn one(&self, agent: &ureq::Agent, kind: &'static Kind, n: usize) -> Option<()> {
        let document = |step: usize| {
            let mut document: Value = serde_json::from_str(kind.example).expect("JSON");
            if document.get("name").is_some() {
                document["name"] = json!(format!("of the {n}th, step {step}"));
            }
            if document.get("user_id").is_some() {
                document["user_id"] = json!(format!("user of {:?}, {n}", std::thread::current().id()));
            }
            document
        };
        let path = format!("/v1/{}", kind.plural);
        let (status, made) = self.send(agent, kind, ("POST", &path), &document(0), kind.actions.create.expect("it is made"))?;
        // Of some kinds there is one for each model or action, and another client has just made it.
        if status == 409 {
            return Some(());
        }
        assert_eq!(status, 201, "{made}");
        let item = format!("{path}/{}", made["id"].as_str().expect("an id"));
        for step in 1..=2 {
            let Some(action) = kind.actions.update else { continue };
            let (status, changed) = self.send(agent, kind, ("PATCH", &item), &document(step), action)?;
            assert_eq!(status, 200, "{changed}");
        }
        if let Some(action) = kind.actions.delete.filter(|_| !n.is_multiple_of(3)) {
            let (status, ended) = self.send(agent, kind, ("DELETE", &item), &Value::Null, action)?;
            // Under a hold of another client no floor is taken away.
            assert!(status == 204 || status == 409 && kind.rare.outlives, "{ended}");
        }
        Some(())
    }
}

/// Every change that is in the log: request, action and resource, in the order of the chain.
fn logged(data: &Path) -> Vec<(String, String, String)> {
    let session = SqlSession::open(data).expect("a ledger");
    let mut rows = Vec::new();
    let take = &mut |_: &[String], cells: Vec<Cell>| {
        let text = |cell: &Cell| if let Cell::Text(text) = cell { text.clone() } else { panic!("{cell:?}") };
        rows.push((text(&cells[0]), text(&cells[1]), text(&cells[2])));
        Ok(())
    };
    let sql = format!(
        "SELECT request_request_id, action, resource_id FROM audit_events WHERE request_request_id LIKE '{MARK}%' AND outcome = 'allow' \
         AND (cascade_root_id IS NULL OR cascade_root_id = resource_id) ORDER BY project_id, sequence"
    );
    session.query(&sql, take).expect("rows");
    rows
}

/// What the log says that there is, by id; each acknowledged change has its event, and none has two.
fn told(data: &Path, asked: &BTreeMap<String, Change>) -> BTreeMap<String, Known> {
    let mut there: BTreeMap<String, Known> = BTreeMap::new();
    let mut events: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (request_id, action, id) in logged(data) {
        let change = &asked[&request_id];
        assert_eq!(change.action, action, "{request_id}");
        let kind = KINDS.iter().find(|kind| kind.all_actions().contains(&change.action)).expect("a kind");
        if Some(change.action) == kind.actions.delete {
            assert!(there.remove(&id).is_some(), "{action} of {id}, which is not there");
        } else {
            let known = there.entry(id.clone()).or_insert_with(|| Known { noun: kind.noun, version: 0, name: None });
            known.version += 1;
            known.name.clone_from(&change.name);
            // What sets a price, for one, both makes and changes it.
            let (makes, changes) = (Some(change.action) == kind.actions.create, Some(change.action) == kind.actions.update);
            assert!(if known.version == 1 { makes } else { changes }, "{action} of {id}, which is at version {}", known.version);
        }
        let earlier = events.insert(request_id.clone(), (action, id));
        assert_eq!(earlier, None, "{request_id} has two events");
    }
    for (request_id, change) in asked {
        if let Some(id) = &change.acknowledged {
            assert_eq!(events.get(request_id), Some(&(change.action.to_owned(), id.clone())), "{request_id} was acknowledged");
        }
    }
    there
}

/// What the server shows that there is.
fn shown(clients: [&Client<'_>; 2]) -> BTreeMap<String, Known> {
    let mut there = BTreeMap::new();
    for kind in kinds() {
        let mut cursor = String::new();
        loop {
            let (status, page) = clients[usize::from(is_wide(kind))].get(&format!("/v1/{}?limit=1000{cursor}", kind.plural));
            assert_eq!(status, 200, "{page}");
            for resource in page["data"].as_array().expect("data") {
                let name = resource["name"].as_str().map(str::to_owned);
                // What ended and is still shown; and what was there first, or came with an organization.
                let has_ended = kind.rare.ended.is_some_and(|member| resource[member].is_string());
                if has_ended || matches!(name.as_deref(), Some("administrator" | "default")) || resource["system"] == true {
                    continue;
                }
                let known = Known { noun: kind.noun, version: resource["version"].as_u64().expect("a version"), name };
                there.insert(resource["id"].as_str().expect("an id").to_owned(), known);
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
    }
    there
}

/// The keys of the project and of the instance.
fn keys_of(data: &Path, server: &Server) -> [String; 2] {
    let instance = std::fs::read_to_string(data.join("instance.key")).expect("a key");
    [server.key(), instance.trim().to_owned()]
}

#[test]
fn kill_nine_leaves_every_resource_as_its_events_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (next, asked) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    for kill in 0..KILLS {
        let random = RandomState::new().hash_one(kill);
        let (changes, micros) = (40 + random % 200, random % 9_000);
        eprintln!("kill {kill}: {micros} microseconds after change {changes}");
        let server = Server::start(&data, &[]);
        let (url, keys, done) = (server.url.clone(), keys_of(&data, &server), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let clients = Clients { url: &url, keys: [&keys[0], &keys[1]], next: &next, asked: &asked, done: &done };
            let clients: Vec<_> = (0..CLIENTS).map(|_| Clients { ..clients }).collect();
            for clients in clients {
                scope.spawn(move || clients.go_on());
            }
            while done.load(Ordering::Relaxed) < changes {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(Duration::from_micros(micros));
            server.kill();
        });
        let (code, report) = verify(&data);
        assert_eq!(code, 0, "after kill {kill}: {report}");
        let asked = asked.lock().expect("no client panicked");
        let there = told(&data, &asked);
        let server = Server::start(&data, &[]);
        let client = |key| Client { url: &server.url, key };
        let keys = keys_of(&data, &server);
        assert_eq!(shown([&client(&keys[0]), &client(&keys[1])]), there, "after kill {kill}");
        server.stop();
        let (code, report) = verify(&data);
        assert_eq!(code, 0, "after the restart that followed kill {kill}: {report}");
    }
}
