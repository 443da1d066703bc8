//! Two tenants, one of whom tries every operation with the other's ids, with ids that are nowhere, and with ids that are nearly the
//! other's: what is another's and what is nowhere are answered alike, nothing of the other shows, and each attempt is in the log of the
//! one who tried.

use std::collections::{BTreeMap, BTreeSet};

use indelible_engine::query::sql::{Cell, SqlSession};
use indelible_engine::resource::{KINDS, Number};
use serde_json::{Value, json};

use super::operations::{self, NOBODY, Operation};
use crate::server::{Answer, EVENTS, House, encode, event};

/// In everything that the one stores, and in no request of the other.
const PLANTED: &str = "planted-4f1d";

/// What stands where an id may stand.
struct Ids {
    /// Of everything that the one has.
    theirs: Vec<String>,
    /// Of nothing; some are a digit away from one of theirs.
    nowhere: Vec<String>,
    /// That are none.
    none: &'static [&'static str],
}

/// xorshift64*, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("31 bits") % end
    }

    /// The same with another hex digit at one place.
    fn mutated(&mut self, id: &str) -> String {
        let places: Vec<usize> = id.char_indices().filter(|(_, c)| c.is_ascii_hexdigit()).map(|(at, _)| at).collect();
        let at = places[self.below(places.len())];
        let old = id[at..=at].to_owned();
        let digit =
            format!("{:x}", (u32::from_str_radix(&old, 16).expect("a digit") + 1 + u32::try_from(self.below(15)).expect("small")) % 16);
        format!("{}{digit}{}", &id[..at], &id[at + 1..])
    }
}

/// Something of everything, planted by the administrator of the default project; all ids of it.
fn plant(house: &House) -> Vec<String> {
    let mut ids = vec![house.project.clone(), house.organization.clone()];
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    for kind in KINDS {
        if kind.number == Number::One {
            continue;
        }
        let (maker, mut example) = operations::example(house, kind);
        for member in ["name", "reason"] {
            if example.get(member).is_some() {
                example[member] = json!(PLANTED);
            }
        }
        let path = format!("/v1/{}", kind.plural);
        let key = if kind.rare.is_begun() { &maker } else { &house.instance };
        ids.push(id(&house.post(&path, &example).key(key).send().is(201)));
        // They are there for who may see them.
        house.get(&format!("{path}/{}", ids.last().expect("one"))).key(&house.instance).send().is(200);
    }
    ids.push(house.admin[4..40].to_owned());
    let mut said = event("tenant.act");
    said["actor"]["id"] = json!(PLANTED);
    said["run"] = json!({"id": "run-of-the-one", "thread_id": "thread-of-the-one"});
    said["content"] = json!({"output": PLANTED});
    ids.push(id(&house.post(EVENTS, &said).send().is(201)));
    ids.extend(["run-of-the-one", "thread-of-the-one"].map(str::to_owned));
    ids.push(house.export_job());
    house.ask("POST", "/v1/audit/anchors").send().is(200);
    ids
}

/// A place of an operation where an id may stand.
#[derive(Clone, Copy, Debug)]
enum Place {
    Path,
    Query(&'static str),
    Owner(&'static str),
}

/// Where an operation takes an id of somebody's.
fn places(operation: &Operation) -> Vec<Place> {
    let mut places = Vec::new();
    if operation.has_variable() {
        places.push(Place::Path);
    }
    places.extend(
        ["project_id", "organization_id"].into_iter().filter(|name| operation.parameter("query", name).is_some()).map(Place::Query),
    );
    let makes = operation.method == "POST" && !operation.has_variable();
    if makes && operation.kind.is_some() {
        places.extend([Place::Owner("project"), Place::Owner("organization")]);
    }
    places
}

/// The other, who has every scope in his own organization.
struct Other<'h> {
    house: &'h House,
    /// The organization's own project.
    home: String,
    key: String,
    /// Requests that were refused, by their ids.
    refused: BTreeMap<String, String>,
}

impl Other<'_> {
    /// Tries an operation with an id at a place.
    fn try_with(&mut self, operation: &Operation, body: &str, place: Place, id: &str) -> Answer {
        let quoted = encode(id);
        let (path, body) = match place {
            Place::Path => (operation.at(&quoted), body.to_owned()),
            Place::Query(name) => {
                // What is in the path is his own business here: something that is nowhere.
                let needed = if operation.parameter("query", "from") == Some(true) { "&from=0" } else { "" };
                (format!("{}?{name}={quoted}{needed}", operation.at(NOBODY)), body.to_owned())
            }
            Place::Owner(level) => {
                let mut body: Value = serde_json::from_str(body).expect("JSON");
                body["owner"] = json!({"type": level, "id": id});
                (operation.at(NOBODY), body.to_string())
            }
        };
        let answer = operation.ask_any_version(self.house, &path, &body).key(&self.key).send();
        let what = format!("{} {path} {place:?}", operation.method);
        assert!((400..500).contains(&answer.status) && answer.status != 429, "{what}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains(PLANTED), "{what}: {}", answer.text());
        self.refused.insert(answer.request_id.clone(), what);
        answer
    }

    /// Tries all ids at a place of an operation.
    fn try_all(&mut self, operation: &Operation, body: &str, place: Place, ids: &Ids) {
        // Whether the connection is kept says whether a body that nobody read had come by then.
        let shape = |answer: &Answer| {
            let names = answer.headers.keys().map(|name| name.as_str().to_owned()).filter(|name| name != "connection");
            (answer.status, answer.text().to_owned(), names.collect::<Vec<_>>())
        };
        let is_uuid = |id: &str| id.len() == NOBODY.len();
        // A run is named by whoever runs it.
        let unknown: &[&str] = if matches!(place, Place::Path) { &[NOBODY, "run-of-nobody"] } else { &[NOBODY] };
        for guess in unknown {
            let guessed = shape(&self.try_with(operation, body, place, guess));
            for id in ids.theirs.iter().chain(&ids.nowhere).filter(|id| is_uuid(id) == is_uuid(guess)) {
                let tried = shape(&self.try_with(operation, body, place, id));
                assert_eq!(tried, guessed, "{} {place:?} {id}: what is another's is told from what is nowhere", operation.name());
            }
        }
        for none in ids.none {
            self.try_with(operation, body, place, none);
        }
    }
}

/// Of every event of every chain: the project, the id of the request, and the key.
fn rows(house: &House) -> Vec<(String, String, String)> {
    let session = SqlSession::open(&house.data()).expect("a ledger");
    let mut rows = Vec::new();
    let take = &mut |_: &[String], cells: Vec<Cell>| {
        let [Cell::Text(entry)] = cells.as_slice() else { panic!("{cells:?}") };
        let entry: Value = serde_json::from_str(entry).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.push((text(&entry["project_id"]), text(&entry["request"]["request_id"]), text(&entry["request"]["api_key_id"])));
        Ok(())
    };
    session.query("SELECT entry FROM audit_events", take).expect("rows");
    rows
}

#[test]
fn whatever_one_tenant_tries_with_anothers_ids_shows_nothing_and_is_in_his_own_log() {
    let mut house = House::start();
    let theirs = plant(&house);
    let other = house.post("/v1/organizations", &json!({"name": "other"})).key(&house.instance).send().is(201);
    let all = house.get("/v1/projects?limit=1000").key(&house.instance).send().is(200);
    let own = all["data"].as_array().expect("data").iter().find(|project| project["owner"]["id"] == other["id"]).expect("a system project");
    let home = own["id"].as_str().expect("an id").to_owned();
    let scopes = ["audit:read", "audit:write", "audit:admin", "content:decrypt", "control:write", "events:append"];
    let new = json!({"name": "k", "scopes": scopes, "owner": {"type": "organization", "id": other["id"]}});
    let key = house.post("/v1/api_keys", &new).key(&house.instance).send().is(201)["key"].as_str().expect("a key").to_owned();
    let mut dice = Dice(0x1ed6_e41b);
    let mutated = theirs.iter().filter(|id| id.len() == NOBODY.len()).map(|id| dice.mutated(id)).collect();
    let none = &["x", "..", "%00", "0", "null", "' or 1=1 --", "00000000-0000-4000-8000-00000000dea", "instance\n"];
    let ids = Ids { theirs, nowhere: mutated, none };
    let mut other = Other { house: &house, home, key, refused: BTreeMap::new() };
    let operations = operations::all(&house);
    // What there is to list is his own. What has no end is asked where streams are.
    let ends = |operation: &&Operation| !operation.path.ends_with("/stream");
    for operation in operations.iter().filter(|operation| operation.method == "GET" && !operation.has_variable()).filter(ends) {
        let answer = house.get(&operation.path).key(&other.key).send();
        let shown = ids.theirs.iter().find(|id| answer.text().contains(*id));
        assert!(shown.is_none() && !answer.text().contains(PLANTED), "{}: {shown:?}", operation.name());
    }
    let mut tried = BTreeSet::new();
    for operation in &operations {
        let recipe = (operation.method != "GET").then(|| operations::recipe(&house, operation, &|_| NOBODY.to_owned()).expect("a recipe"));
        let body = recipe.map_or_else(|| "{}".to_owned(), |recipe| recipe.body);
        for place in places(operation) {
            other.try_all(operation, &body, place, &ids);
            tried.insert(operation.name());
        }
    }
    assert!(tried.len() > operations.len() / 2 && other.refused.len() > 1_000, "{} at {tried:?}", other.refused.len());
    let Other { home: own_home, key, refused, .. } = other;
    let own_key = key[4..40].to_owned();
    house.close();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (home, request_id, key) in rows(&house) {
        assert!(key != own_key || home == own_home, "{request_id} is in the log of {home}: {:?}", refused.get(&request_id));
        *told.entry(request_id).or_default() += 1;
    }
    let silent: Vec<&String> = refused.iter().filter(|(id, _)| told.get(*id) != Some(&1)).map(|(_, what)| what).collect();
    assert!(silent.is_empty(), "{} of {} attempts left no event, or several: {silent:?}", silent.len(), refused.len());
}
