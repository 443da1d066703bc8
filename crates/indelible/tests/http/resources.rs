//! Resources of every kind by HTTP: each change and each refusal leaves the one event that the document of the API promises.

use indelible_engine::resource::{KINDS, Kind, Level, Number, SEALED, kind};
use serde_json::{Value, json};

use crate::server::{Ask, House, pointers};
use crate::wire::Wire;

const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

fn path(kind: &Kind) -> String {
    format!("/v1/{}", kind.plural)
}

fn make(house: &House, kind: &Kind) -> Value {
    match kind.number {
        Number::Many if kind.rare.is_begun() => house.post(&path(kind), kind.example).key(&house.member("owner")).send().is(201),
        Number::Many => house.post(&path(kind), kind.example).key(maker(house, kind)).send().is(201),
        Number::One => house.get(&format!("{}/{}", path(kind), house.project)).send().is(200),
    }
}

/// Whoever makes those of a kind: the administrator of the project, where they belong to projects.
fn maker<'h>(house: &'h House, kind: &Kind) -> &'h str {
    if kind.levels.contains(&Level::Project) { &house.admin } else { &house.instance }
}

/// The chain that tells of its changes, and that of the maker's key, which tells of refusals where nothing is known of it.
fn homes(house: &House, kind: &Kind) -> (String, String) {
    if kind.levels.contains(&Level::Project) {
        return (house.project.clone(), house.project.clone());
    }
    if kind.levels.contains(&Level::Instance) {
        return (house.system.clone(), house.system.clone());
    }
    let all = house.get("/v1/projects").key(&house.instance).send().is(200);
    let own = all["data"].as_array().expect("data").iter().find(|p| p["system"] == true && p["owner"]["id"] == json!(house.organization));
    (own.expect("the organization's own")["id"].as_str().expect("an id").to_owned(), house.system.clone())
}

fn halts() -> &'static Kind {
    kind("halt").expect("a kind")
}

/// The resource as it is shown from then on: secrets are shown when it is made, and never again.
fn once_shown(kind: &Kind, mut made: Value) -> Value {
    for drawn in kind.rare.drawn {
        assert!(made[drawn.member].as_str().is_some_and(|secret| secret.len() > 32), "{made}");
        made[drawn.member] = json!(SEALED);
    }
    if let Some(member) = kind.rare.credential {
        let credential = made.as_object_mut().and_then(|members| members.remove(member));
        assert!(credential.as_ref().and_then(Value::as_str).is_some_and(|text| text.starts_with("ind_")), "{made}");
    }
    made
}

fn patch<'h>(house: &'h House, kind: &Kind, id: &str, who: &str, body: &str) -> Ask<'h> {
    house
        .ask("PATCH", &format!("{}/{id}", path(kind)))
        .key(who)
        .header("content-type", "application/merge-patch+json")
        .body(body.to_owned())
}

fn tag(resource: &Value) -> String {
    format!("\"{}\"", resource["version"])
}

/// The document of a second one, beside the example.
fn another(kind: &Kind, project: &str) -> Value {
    let mut second: Value = serde_json::from_str(kind.example).expect("JSON");
    if kind.levels.contains(&Level::Project) {
        second["owner"] = json!({"type": "project", "id": project});
    }
    let other = [("model_price", "model", "other"), ("event_schema", "action", "invoice.refund")];
    for (_, member, text) in other.iter().filter(|(noun, ..)| *noun == kind.noun) {
        second[*member] = json!(text);
    }
    if let Some(user) = second.get_mut("user_id") {
        *user = json!("second@example.com");
    }
    second
}

#[test]
fn every_kind_is_made_shown_changed_and_ended_and_each_is_in_the_log() {
    let house = House::start();
    for kind in KINDS {
        let (home, elsewhere) = homes(&house, kind);
        // Reads are told at the home of the reader's key.
        let read = if kind.levels.contains(&Level::Project) { &house.project } else { &house.system };
        let (project, elsewhere, who) = (home.as_str(), elsewhere.as_str(), maker(&house, kind));
        let mut now = once_shown(kind, make(&house, kind));
        let item = format!("{}/{}", path(kind), now["id"].as_str().expect("an id"));
        if let Some(action) = kind.actions.create {
            let answer = house.post(&path(kind), &json!({"x": 1})).key(who).refused(422, "invalid-resource", (project, action, "error"));
            assert_eq!(pointers(&answer).len(), 1, "{answer}");
            let second = another(kind, project);
            let begun = kind.rare.is_begun().then(|| house.member("owner"));
            let answer = house.post(&path(kind), &second).key(begun.as_deref().unwrap_or(who)).send();
            let made = answer.is(201);
            answer.left(&house, (project, action, "allow"));
            assert_eq!(answer.header("location"), Some(format!("{}/{}", path(kind), made["id"].as_str().expect("an id")).as_str()));
            assert_eq!((answer.header("etag"), &made["version"]), (Some("\"1\""), &json!(1)));
            // A second hold would keep the retention policies below from ending.
            if kind.noun == "legal_hold" {
                let second = format!("{}/{}", path(kind), made["id"].as_str().expect("an id"));
                assert_eq!(house.ask("DELETE", &second).key(who).send().status, 204);
            }
        }
        let shown = house.get(&item).key(who).send();
        assert_eq!(shown.is(200), now);
        assert_eq!(shown.header("etag"), Some(tag(&now).as_str()));
        shown.left(&house, (read, "audit.read", "allow"));
        if let Some(action) = kind.actions.update {
            let id = now["id"].as_str().expect("an id").to_owned();
            patch(&house, kind, &id, who, "{}").refused(428, "version-required", (elsewhere, action, "error"));
            patch(&house, kind, &id, who, "{}").header("if-match", "\"77\"").refused(412, "stale-version", (project, action, "error"));
            patch(&house, kind, &id, who, "{}").header("if-match", "\"x\"").refused(412, "stale-version", (elsewhere, action, "error"));
            patch(&house, kind, &id, who, "{").header("if-match", "*").refused(400, "malformed-json", (elsewhere, action, "error"));
            patch(&house, kind, &id, who, "[]").header("if-match", "*").refused(422, "invalid-resource", (project, action, "error"));
            patch(&house, kind, NOBODY, who, "{}").header("if-match", "*").refused(404, "not-found", (elsewhere, action, "deny"));
            let answer = patch(&house, kind, &id, who, kind.example).header("if-match", &tag(&now)).send();
            now = answer.is(200);
            answer.left(&house, (project, action, "allow"));
        }
        for verb in kind.rare.verbs {
            let act = |body: &str| house.post(&format!("{item}/{}", verb.name), body).key(who);
            act(r#"{"x":1}"#).refused(422, "invalid-resource", (project, verb.action, "error"));
            act("{}").header("if-match", "\"77\"").refused(412, "stale-version", (project, verb.action, "error"));
            let untyped = house.ask("POST", &format!("{item}/{}", verb.name)).key(who).body("{}");
            untyped.refused(415, "unsupported-media-type", (elsewhere, verb.action, "error"));
            let answer = house.ask("POST", &format!("{item}/{}", verb.name)).key(who).send();
            now = answer.is(200);
            answer.left(&house, (project, verb.action, "allow"));
            if kind.rare.credential.is_none() {
                act("{}").refused(409, "conflict", (project, verb.action, "error"));
            }
            let nobody = house.post(&format!("{}/{NOBODY}/{}", path(kind), verb.name), "{}").key(who);
            nobody.refused(404, "not-found", (elsewhere, verb.action, "deny"));
        }
        if let Some(action) = kind.actions.delete {
            let end = || house.ask("DELETE", &item).key(who);
            end().header("if-match", "\"77\"").refused(412, "stale-version", (project, action, "error"));
            let answer = end().header("if-match", &tag(&now)).send();
            assert_eq!((answer.status, answer.body.len()), (204, 0));
            answer.left(&house, (project, action, "allow"));
            if let Some(member) = kind.rare.ended {
                end().refused(409, "conflict", (project, action, "error"));
                assert!(house.get(&item).key(who).send().is(200)[member].is_string());
                continue;
            }
            end().refused(404, "not-found", (elsewhere, action, "deny"));
            house.get(&item).key(who).refused(404, "not-found", (read, "audit.read", "error"));
        }
    }
}

#[test]
fn who_may_not_is_refused_and_told() {
    let house = House::start();
    let narrow = house.make_key(&house.project, "application", &["events:append"]);
    let (other, _) = house.tenant("other");
    let scopes = ["audit:read", "audit:write", "audit:admin", "control:write"];
    let stranger = house.make_key(&other, "application", &scopes);
    for kind in KINDS {
        let project = house.project.as_str();
        let now = make(&house, kind);
        // What belongs to more than the project is nothing that its keys see.
        let refused = if kind.levels.contains(&Level::Project) { (403, "forbidden") } else { (404, "not-found") };
        let of_projects = kind.levels.contains(&Level::Project);
        let id = now["id"].as_str().expect("an id").to_owned();
        let item = format!("{}/{id}", path(kind));
        house.get(&path(kind)).key(&narrow).refused(403, "forbidden", (project, "audit.read", "deny"));
        house.get(&item).key(&narrow).refused(403, "forbidden", (project, "audit.read", "deny"));
        // What is not theirs and what is nowhere are answered alike, and told at their home.
        for id in [id.as_str(), NOBODY] {
            let item = format!("{}/{id}", path(kind));
            house.get(&item).key(&stranger).refused(404, "not-found", (&other, "audit.read", "error"));
            if let Some(action) = kind.actions.update {
                patch(&house, kind, id, &stranger, "{}").header("if-match", "*").refused(404, "not-found", (&other, action, "deny"));
            }
            for verb in kind.rare.verbs {
                let act = house.post(&format!("{item}/{}", verb.name), "{}").key(&stranger);
                act.refused(404, "not-found", (&other, verb.action, "deny"));
            }
            if let Some(action) = kind.actions.delete {
                house.ask("DELETE", &item).key(&stranger).refused(404, "not-found", (&other, action, "deny"));
            }
        }
        if let Some(action) = kind.actions.create {
            house.post(&path(kind), kind.example).key(&narrow).refused(403, "forbidden", (project, action, "deny"));
            if kind.rare.is_begun() {
                continue;
            }
            let mut theirs: Value = serde_json::from_str(kind.example).expect("JSON");
            let Some(level) = kind.levels.iter().rev().find(|level| **level != Level::Instance) else { continue };
            let owner = if *level == Level::Project { project } else { house.organization.as_str() };
            theirs["owner"] = json!({"type": level.as_str(), "id": owner});
            let real = house.post(&path(kind), &theirs).key(&stranger).refused(404, "not-found", (&other, action, "deny"));
            theirs["owner"]["id"] = json!(NOBODY);
            let guessed = house.post(&path(kind), &theirs).key(&stranger).refused(404, "not-found", (&other, action, "deny"));
            assert_eq!(real, guessed);
            if of_projects && !kind.levels.contains(&Level::Instance) {
                let problem = house.post(&path(kind), kind.example).key(&house.instance);
                let problem = problem.refused(422, "invalid-resource", (&house.system, action, "error"));
                assert_eq!(pointers(&problem), ["/owner"]);
            }
        }
        if let Some(action) = kind.actions.update {
            patch(&house, kind, &id, &narrow, "{}").header("if-match", "*").refused(refused.0, refused.1, (project, action, "deny"));
        }
        for verb in kind.rare.verbs {
            let act = house.post(&format!("{item}/{}", verb.name), "{}").key(&narrow);
            act.refused(refused.0, refused.1, (project, verb.action, "deny"));
        }
        if let Some(action) = kind.actions.delete {
            house.ask("DELETE", &item).key(&narrow).refused(refused.0, refused.1, (project, action, "deny"));
        }
        let page = house.get(&path(kind)).key(&stranger).send().is(200);
        let seen: Vec<&Value> = page["data"].as_array().expect("data").iter().map(|kept| &kept["id"]).collect();
        let own = usize::from(kind.noun == "api_key" || kind.noun == "project");
        assert!(seen.len() <= own + 1 && !seen.contains(&&now["id"]), "{}: {page}", kind.noun);
    }
}

#[test]
fn a_request_with_a_key_has_its_effect_once() {
    let house = House::start();
    let kind = halts();
    let send = |key: &str, body: &str| house.post(&path(kind), body).header("idempotency-key", key).send();
    let first = send("a", kind.example);
    let again = send("a", kind.example);
    assert_eq!((first.is(201), first.header("idempotent-replayed")), (again.is(201), None));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let action = kind.actions.create.expect("an action");
    assert_eq!(house.log(&format!("action eq \"{action}\"")).len(), 1);
    let other = kind.example.replace("agent-7", "agent-8");
    let conflict = house.post(&path(kind), other.as_str()).header("idempotency-key", "a");
    conflict.refused(409, "conflict", (&house.project, action, "error"));
    send("b", other.as_str()).is(201);
    let long = "x".repeat(256);
    let refused = house.post(&path(kind), kind.example).header("idempotency-key", &long);
    refused.refused(422, "invalid-resource", (&house.project, action, "error"));
}

#[test]
fn pages_are_walked_by_their_cursors() {
    let house = House::start();
    let kind = halts();
    // In the order of their ids, which within one millisecond is that of chance.
    let mut made: Vec<Value> = (0..5).map(|_| make(&house, kind)).collect();
    made.sort_by_key(|resource| resource["id"].to_string());
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = house.get(&format!("{}?limit=2{cursor}", path(kind))).send().is(200);
        found.extend(page["data"].as_array().expect("data").clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, made);
    let project = house.project.as_str();
    for wrong in ["x", "", "eyJhZnRlciI6IjAifQ"] {
        let ask = house.get(&format!("{}?cursor={wrong}", path(kind)));
        ask.refused(400, "invalid-cursor", (project, "audit.read", "error"));
    }
    let elsewhere = house.get(&format!("{}?cursor={}", path(KINDS[0]), &cursor["&cursor=".len()..]));
    elsewhere.refused(400, "invalid-cursor", (project, "audit.read", "error"));
    let both = house.get(&format!("{}?project_id={project}&organization_id={}", path(kind), house.organization));
    both.refused(400, "invalid-query", (project, "audit.read", "error"));
    house.get(&format!("{}?project_id={NOBODY}", path(kind))).refused(404, "not-found", (project, "audit.read", "error"));
    let all = house.get(&format!("{}?organization_id={}", path(kind), house.organization)).key(&house.instance).send().is(200);
    assert_eq!(all["data"], json!(made));
}

/// A halt that is in the log and in nobody's way would be the worst of both.
#[test]
fn a_change_is_in_force_though_its_client_went_away() {
    let house = House::start();
    let asked = 60;
    for n in 0..asked {
        let body = format!(r#"{{"subject":{{"type":"agent","id":"agent-{n}"}},"reason":"It loops."}}"#);
        let mut wire = Wire::open(house.address);
        wire.write(format!(
            "POST /v1/halts HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            house.admin,
            body.len()
        ));
        // The server sees the end while the change is on its way to the disk, more or less.
        std::thread::sleep(std::time::Duration::from_micros(50 * n));
        drop(wire);
    }
    // Whoever asks for control waits until those before are through.
    let last = house.post("/v1/halts", r#"{"subject":{"type":"agent","id":"last"},"reason":"It loops."}"#).send().is(201);
    assert_eq!(last["version"], 1);
    let mut recorded: Vec<String> = Vec::new();
    for _ in 0..100 {
        let before = recorded.len();
        recorded = house
            .log("action eq \"halt.issue\" and outcome eq \"allow\"")
            .iter()
            .map(|event| event["resource"]["id"].as_str().expect("an id").to_owned())
            .collect();
        if recorded.len() == before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let listed = house.get("/v1/halts?limit=1000").send().is(200);
    let mut in_force: Vec<String> =
        listed["data"].as_array().expect("data").iter().map(|halt| halt["id"].as_str().expect("an id").to_owned()).collect();
    recorded.sort();
    in_force.sort();
    assert!(recorded.len() > 1, "none of {asked} came through");
    assert_eq!(recorded, in_force);
}
