//! Every command, offline and through a server: the same commands, the same answers.

use serde_json::{Value, json};

use super::program::{Folder, Ran, Server, run, run_as, run_with};

const EVENTS: &str = r#"[{"id":"01890a5d-ac96-774b-bcce-b302099a8057","action":"document.share","outcome":"allow","actor":{"type":"human","id":"alice"},"principal":{"type":"user","id":"alice"},"resource":{"type":"document","id":"d-1"},"content":{"arguments":{"with":"bob","n":1.50}}},
 {"action":"tool.call","phase":"intent","operation_id":"o","actor":{"type":"agent","id":"agent-x","on_behalf_of":"alice"},"principal":{"type":"user","id":"alice"},"resource":{"type":"tool","id":"mail"},"run":{"id":"run 1/a","step":0},"context":{"tool":"mail"}}]"#;

/// Runs commands on one target.
struct On<'a>(&'a [String]);

impl On<'_> {
    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let all: Vec<&str> = arguments.iter().copied().chain(self.0.iter().map(String::as_str)).collect();
        run_with(&all, input)
    }
}

#[test]
fn nobody_is_another_by_saying_so() {
    let folder = Folder::new();
    let data = folder.path().display().to_string();
    let alice = [("SUDO_USER", "alice"), ("LOGNAME", "alice"), ("USER", "alice")];
    run_as(&alice, &["append", "--data", &data], EVENTS.as_bytes()).ok();
    let list = run_as(&alice, &["project", "list", "--json", "--data", &data], b"").ok().json();
    // What concerns the instance is in its own project.
    let system = list.iter().find(|p| p["system"] == true && p["owner"]["type"] == "instance");
    let system = system.and_then(|project| project["id"].as_str()).expect("the system project");
    let read = folder.run(&["events", "--project", system, "--filter", "action eq \"audit.read\"", "--json"]).ok().json();
    let actor = &read.last().expect("the list was recorded")["actor"];
    assert_eq!(actor["display"], "alice");
    assert!(actor["id"].as_str().is_some_and(|id| id.starts_with("uid-")), "{actor}");
}

#[test]
fn every_command_works_offline() {
    let folder = Folder::new();
    every_command(&On(&folder.target()));
    confirms_the_clock(&On(&folder.target()));
    keeps_the_ledgers_own_keys(&On(&folder.target()), &folder);
    let rebuilt = folder.run(&["index", "rebuild", "--json"]).ok().json();
    assert!(rebuilt[0]["rows"].as_u64() > Some(5));
}

#[test]
fn every_command_works_through_a_server() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    every_command(&On(&server.target()));
    let instance = folder.path().join("instance.key").display().to_string();
    confirms_the_clock(&On(&server.target_with(&instance)));
    keeps_the_ledgers_own_keys(&On(&server.target_with(&instance)), &folder);
    let refused = On(&server.target()).run(&["index", "rebuild"]);
    assert_eq!((refused.code, refused.err.contains("stop the server")), (1, true), "{}", refused.err);
}

#[test]
fn sealing_that_fails_without_a_server_says_why() {
    let folder = Folder::new();
    On(&folder.target()).run_with(&["append"], EVENTS.as_bytes()).ok();
    let file = folder.file("no-folder", "a file");
    let failed = folder.run(&["anchors", "--seal", "--checkpoints", &file]);
    assert_eq!(failed.code, 1, "{}", failed.out);
    assert!(failed.err.contains("sealing failed: ") && failed.err.contains(&file), "{}", failed.err);
}

fn confirms_the_clock(on: &On<'_>) {
    assert!(on.run(&["clock", "confirm", "--json"]).ok().json()[0]["confirmed_at"].is_string());
}

fn keeps_the_ledgers_own_keys(on: &On<'_>, folder: &Folder) {
    for (kind, serves) in [("hmac", "hmac_key 2 serves"), ("signing", "signing_key 2 serves"), ("data", "serves")] {
        let rotated = on.run(&["keys", "rotate", kind]).ok();
        assert!(rotated.last().ends_with(serves), "{kind}: {}", rotated.out);
    }
    assert!(on.run(&["keys", "rotate", "signing", "--retire-old"]).ok().last().ends_with("signing_key 3 serves"));
    assert!(on.run(&["keys", "rotate", "hmac", "--retire-old"]).err.contains("leave --retire-old away"));
    let renewed = on.run(&["keys", "rewrap", "--json"]).ok().json();
    assert!(renewed[0]["renewed"].as_u64() > Some(0) && renewed[0]["unopened"] == 0, "{renewed:?}");
    assert!(on.run(&["keys", "rewrap"]).ok().out.starts_with("renewed 0 wraps"), "all of them are");
    assert_eq!(on.run(&["checkpoints", "adopt", "--json"]).ok().json()[0]["adopted"], json!([]));
    assert!(on.run(&["checkpoints", "adopt"]).ok().err.contains("nothing to adopt"));
    let project = on.run(&["project", "list", "--json"]).ok().json();
    let project = project.iter().find(|project| project["name"] == "default").expect("the default project")["id"].clone();
    let out = folder.path().join("../chain.json").display().to_string();
    on.run(&["keys", "export-chain", "--project", project.as_str().expect("an id"), "--out", &out]).ok();
    let keys: Value = serde_json::from_slice(&std::fs::read(&out).expect("written")).expect("JSON");
    assert_eq!((&keys["project_id"], keys["keys"].as_array().map(Vec::len)), (&project, Some(2)));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

fn every_command(on: &On<'_>) {
    let receipts = on.run_with(&["append", "--json"], EVENTS.as_bytes()).ok().json();
    assert_eq!(receipts.len(), 2);
    assert_eq!(receipts[0]["sequence"].as_u64().map(|n| n + 1), receipts[1]["sequence"].as_u64());
    let retry = on.run_with(&["append", "--json"], EVENTS.split_once(",\n").map(|(first, _)| format!("{first}]")).expect("two").as_bytes());
    assert_eq!(retry.ok().json()[0]["duplicate"], json!(true));

    let found = on.run(&["events", "--filter", "principal.id eq \"alice\"", "--json"]).ok().json();
    assert_eq!(found.iter().map(|event| event["action"].as_str().expect("text")).collect::<Vec<_>>(), ["tool.call", "document.share"]);
    let page = on.run(&["events", "--filter", "principal.id eq \"alice\"", "--json", "-n", "1"]).ok();
    let cursor = page.err.split("--cursor ").nth(1).expect("a cursor").trim().to_owned();
    let rest = on.run(&["events", "--filter", "principal.id eq \"alice\"", "--json", "--cursor", &cursor]).ok().json();
    assert_eq!((page.json().len(), rest.len(), rest[0]["action"].as_str()), (1, 1, Some("document.share")));
    let feed = on.run(&["events", "--order", "asc", "--all", "--json"]).ok().json();
    let sequences: Vec<_> = feed.iter().map(|event| event["sequence"].as_u64().expect("a number")).collect();
    assert!(sequences.is_sorted() && sequences.len() > 2, "{sequences:?}");

    let id = receipts[0]["id"].as_str().expect("an id");
    let closed = on.run(&["show", id, "--json"]).ok().json();
    assert_eq!((closed[0]["actor"]["id"].as_str(), closed[0].get("content")), (Some("alice"), None));
    let open = on.run(&["show", id, "--content", "--purpose", "a test"]).ok();
    assert!(open.out.contains("\"n\": 1.50"), "numbers stay as written: {}", open.out);
    let decrypted = on.run(&["events", "--filter", "action eq \"content.decrypt\"", "--json"]).ok().json();
    assert_eq!(decrypted[0]["decrypt"]["record_id"].as_str(), Some(id));
    let one_run = on.run(&["run", "run 1/a", "--json"]).ok().json();
    assert_eq!(one_run[0]["run_id"].as_str(), Some("run 1/a"));

    let made = on.run(&["keys", "create", "reader", "--scope", "audit:read", "--json"]).ok().json();
    assert!(made[0]["key"].as_str().expect("a key").starts_with("ind_"));
    let key_id = made[0]["id"].as_str().expect("an id");
    let listed = on.run(&["keys", "list", "--json"]).ok().json();
    let listed = listed.iter().find(|key| key["id"].as_str() == Some(key_id)).expect("listed");
    assert_eq!((listed["scopes"].clone(), listed.get("key")), (json!(["audit:read"]), None));
    let revoked = on.run(&["keys", "revoke", key_id, "--json"]).ok().json();
    assert!(!revoked[0]["revoked_at"].is_null());
    let projects = on.run(&["project", "list", "--json"]).ok().json();
    assert!(projects.iter().any(|project| project["name"].as_str() == Some("default")));

    let status = on.run(&["status", "--json"]).ok().json();
    let counted = status[0]["projects"].as_array().expect("projects").iter().find(|project| project["name"] == "default");
    assert!(counted.is_some_and(|project| project["events"].as_u64() > Some(2)), "{status:?}");
    assert_eq!(on.run(&["status", "--json", "--project", "00000000-0000-4000-8000-000000000001"]).code, 1);

    let verified = on.run(&["verify", "--json"]).ok().json();
    let project = &verified[0]["projects"][0];
    let mut names: Vec<_> = project.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["events", "findings", "project_id", "unanchored", "verdict"]);
    // For people.
    for (arguments, header) in [
        (&["events"][..], " TIME"),
        (&["keys", "list"], " ID"),
        (&["project", "list"], " ID"),
        (&["verify"], " PROJECT"),
        (&["status"], " PROJECT"),
    ] {
        let table = on.run(arguments).ok();
        assert!(table.out.starts_with(header), "{arguments:?}: {}", table.out);
    }
}

#[test]
fn refusals_are_one_sentence_with_the_next_step() {
    let folder = Folder::new();
    folder.run(&["project", "create", "name=second"]).ok();
    let key = folder.private_file("no.key", "ind_00000000-0000-7000-8000-000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["show", "01890a5d-ac96-774b-bcce-b302099a8057"], 1, "there is no such event"),
        (&["run", "none"], 1, "there is no such run"),
        (&["events", "--filter", "nothing eq 1"], 1, "filter"),
        (&["events", "--after-sequence", "3"], 1, "--order asc"),
        (&["show", "01890a5d-ac96-774b-bcce-b302099a8057", "--content"], 2, "--purpose"),
        (&["show", "x"], 2, "invalid value"),
        (&["keys", "create", "k", "--scope", "audit:fly"], 2, "audit:read"),
        (&["events", "--project", "01890a5d-ac96-774b-bcce-b302099a8057"], 1, "there is no such project"),
    ];
    for (arguments, code, words) in cases {
        let ran = folder.run(arguments);
        assert_eq!((ran.code, ran.err.contains(words), ran.out.as_str()), (*code, true, ""), "{arguments:?}: {}", ran.err);
    }
    let none = folder.path().join("none").display().to_string();
    for arguments in [&["events"][..], &["show", "01890a5d-ac96-774b-bcce-b302099a8057"], &["keys", "list"], &["sql", "SELECT 1"]] {
        let all: Vec<&str> = arguments.iter().copied().chain(["--data", none.as_str()]).collect();
        let ran = run(&all);
        assert_eq!((ran.code, ran.err.contains("--data")), (1, true), "{}", ran.err);
    }
    assert!(!std::path::Path::new(&none).exists(), "a mistyped folder is not made");
    assert_eq!(run(&["verify", "--data", &none]).code, 2);
    let unreachable = run(&["events", "--server", "http://127.0.0.1:1", "--key-file", &key]);
    assert_eq!((unreachable.code, unreachable.err.contains("indelible serve")), (1, true), "{}", unreachable.err);
    assert_eq!(run(&["events", "--server", "http://127.0.0.1:1"]).code, 2, "a server needs a key file");
}

#[test]
fn while_a_server_holds_the_folder_commands_name_it_and_those_that_need_no_lock_work() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    let file = folder.file("events.json", EVENTS);
    for arguments in [&["append", file.as_str()][..], &["events"], &["import", "ndjson", &file], &["keys", "list"], &["index", "rebuild"]] {
        let ran = folder.run(arguments);
        assert_eq!((ran.code, ran.err.contains("--server")), (1, true), "{arguments:?}: {}", ran.err);
    }
    On(&server.target()).run(&["append", &file]).ok();
    let row = folder.run(&["sql", "SELECT count(*) AS n FROM audit_events WHERE principal_id = 'alice'", "--json"]).ok();
    assert_eq!(row.json(), [json!({"n": 2})]);
    folder.run(&["verify"]).ok();
    let wrong = folder.private_file("wrong.key", "ind_00000000-0000-7000-8000-000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    let refused = On(&server.target_with(&wrong)).run(&["events"]);
    assert_eq!((refused.code, refused.err.contains("401")), (1, true), "{}", refused.err);
    assert_eq!(On(&server.target_with(&wrong)).run(&["verify"]).code, 2);
}

#[test]
fn the_two_questions_are_one_select_each() {
    let folder = Folder::new();
    let file = folder.file("events.json", EVENTS);
    folder.run(&["append", &file]).ok();
    let ask = |sql: &str| folder.run(&["sql", sql, "--json"]).ok().json();
    let used = ask("SELECT actor_id, action, resource_id FROM audit_events WHERE principal_id = 'alice' ORDER BY sequence");
    assert_eq!(
        used,
        [
            json!({"actor_id": "alice", "action": "document.share", "resource_id": "d-1"}),
            json!({"actor_id": "agent-x", "action": "tool.call", "resource_id": "mail"}),
        ]
    );
    let accessed = ask("SELECT resource_type, resource_id, actor_on_behalf_of, tool FROM audit_events WHERE actor_id = 'agent-x'");
    assert_eq!(accessed, [json!({"resource_type": "tool", "resource_id": "mail", "actor_on_behalf_of": "alice", "tool": "mail"})]);
    let columns = run(&["sql", "--columns"]).ok();
    let one = ask(&format!("SELECT {} FROM audit_events LIMIT 1", columns.out.lines().collect::<Vec<_>>().join(", ")));
    assert_eq!(one[0].as_object().map(serde_json::Map::len), Some(columns.out.lines().count()));
    for sql in ["DELETE FROM events", "PRAGMA query_only = OFF", "SELECT 1; SELECT 2", "ATTACH 'x' AS x"] {
        assert_eq!(folder.run(&["sql", sql]).code, 1, "{sql}");
    }
}

#[test]
fn a_key_file_is_private_and_new() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let path = folder.file("old.key", "x");
    assert_eq!(folder.run(&["keys", "create", "k", "--scope", "audit:read", "--out", &path]).code, 1, "an existing file is kept");
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "x");
    let path = path.replace("old", "new");
    let made = folder.run(&["keys", "create", "k", "--scope", "audit:read,events:append", "--out", &path, "--json"]).ok();
    assert_eq!(made.json()[0].get("key"), None::<&Value>);
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let server = Server::start(&folder.path());
    On(&server.target_with(&path)).run(&["events"]).ok();
    for mode in [0o640, 0o604, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        let exposed = On(&server.target_with(&path)).run(&["events"]);
        assert_eq!((exposed.code, exposed.err.contains(&format!("chmod 600 {path}"))), (1, true), "{}", exposed.err);
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let refused = On(&server.target_with(&path)).run(&["keys", "create", "l", "--scope", "audit:read"]);
    assert_eq!((refused.code, refused.err.contains("control:write")), (1, true), "{}", refused.err);
}
