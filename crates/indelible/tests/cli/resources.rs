//! `indelible KIND …`, offline and through a server: every kind, every verb, by the example of its own help.

use indelible_engine::resource::{KINDS, Level, Number, SEALED};
use serde_json::{Value, json};

use super::program::{Folder, Server, run_with};

fn go(target: &[String], arguments: &[&str], input: &str) -> super::program::Ran {
    let all: Vec<&str> = arguments.iter().copied().chain(target.iter().map(String::as_str)).collect();
    run_with(&all, input.as_bytes())
}

fn verb(action: &'static str) -> &'static str {
    action.split_once('.').expect("noun.verb").1
}

/// `instance` is a target for what belongs to more than a project.
fn every_kind(folder: &Folder, target: &[String], instance: &[String]) {
    let projects = go(target, &["project", "list", "--json"], "").ok().json();
    let named = go(target, &["policy", "create", "name=17", "text=permit (principal, action, resource);", "--json"], "").ok().json();
    assert_eq!((&named[0]["name"], &named[0]["text"]), (&json!("17"), &json!("permit (principal, action, resource);")));
    let wrong = go(target, &["policy", "create", "name=17", "text"], "");
    assert!(wrong.code == 1 && wrong.err.contains("NAME=VALUE"), "{}", wrong.err);
    let project = projects.iter().find(|project| project["system"] == false).expect("a project")["id"].as_str().expect("an id").to_owned();
    // Sessions are begun by members (`people.rs`).
    for kind in KINDS.iter().filter(|kind| !kind.rare.is_begun()) {
        let target = if kind.levels.contains(&Level::Project) { target } else { instance };
        let noun = kind.noun.replace('_', "-");
        let id = if let (Number::Many, Some(create)) = (kind.number, kind.actions.create) {
            let made = go(target, &[&noun, verb(create), kind.example, "--json"], "").ok().json();
            let owner = if kind.levels.contains(&Level::Project) { "project" } else { kind.levels[0].as_str() };
            assert_eq!((&made[0]["version"], &made[0]["owner"]["type"]), (&json!(1), &json!(owner)), "{noun}");
            let listed = go(target, &[&noun, "list", "--json"], "").ok().json();
            let mut kept = made[0].clone();
            for drawn in kind.rare.drawn {
                assert!(kept[drawn.member].as_str().is_some_and(|secret| secret.len() > 32), "{kept}");
                kept[drawn.member] = json!(SEALED);
            }
            if let Some(member) = kind.rare.credential {
                let credential = kept.as_object_mut().and_then(|members| members.remove(member));
                assert!(credential.as_ref().and_then(Value::as_str).is_some_and(|text| text.starts_with("ind_")), "{kept}");
            }
            assert!(listed.contains(&kept), "{noun}");
            assert!(go(target, &[&noun, "list"], "").ok().out.contains(made[0]["id"].as_str().expect("an id")));
            let refused = go(target, &[&noun, verb(create), "{\"x\":1}"], "");
            assert!(refused.code == 1 && !refused.err.is_empty(), "{}", refused.err);
            made[0]["id"].as_str().expect("an id").to_owned()
        } else {
            project.clone()
        };
        let shown = go(target, &[&noun, "show", &id, "--json"], "").ok().json();
        if let Some(update) = kind.actions.update {
            let update = if kind.actions.create == kind.actions.update { "update" } else { verb(update) };
            let file = format!("@{}", folder.file("patch.json", kind.example));
            let changed = go(target, &[&noun, update, &id, &file, "--json"], "").ok().json();
            let before = shown[0]["version"].as_u64().expect("a version");
            assert_eq!(changed[0]["version"], json!(before + 1), "{noun}");
            let stale = go(target, &[&noun, update, &id, "-", "--if-version", "77"], kind.example);
            assert!(stale.code == 1 && stale.err.contains("at version"), "{}", stale.err);
        }
        for verb in kind.rare.verbs {
            let stale = go(target, &[&noun, verb.name, &id, "--if-version", "77"], "");
            assert!(stale.code == 1 && stale.err.contains("at version"), "{}", stale.err);
            go(target, &[&noun, verb.name, &id, "--json"], "").ok();
            let again = i32::from(kind.rare.credential.is_none());
            assert_eq!(go(target, &[&noun, verb.name, &id], "").code, again, "{noun} twice");
        }
        if let Some(delete) = kind.actions.delete {
            go(target, &[&noun, verb(delete), &id], "").ok();
            let seen = go(target, &[&noun, "show", &id, "--json"], "");
            match kind.rare.ended {
                Some(member) => assert!(seen.ok().json()[0][member].is_string(), "{noun}"),
                None => assert_eq!(seen.code, 1, "{noun}"),
            }
        }
    }
}

#[test]
fn a_sample_shows_what_would_be_stored_of_it_and_is_stored_nowhere() {
    let folder = Folder::new();
    go(&folder.target(), &["project", "create", "name=first"], "").ok();
    let sample = r#"{"action":"crm.update","outcome":"allow","actor":{"type":"agent","id":"a"},"content":{"arguments":{"iban":"DE02","api_key":"k"}}}"#;
    let shows = |target: &[String]| {
        let plain = go(target, &["redaction-test", sample, "--json"], "").ok().json();
        assert_eq!(plain[0]["content"]["arguments"], json!({"iban": "DE02"}));
        let rule = r#"{"name":"iban","action":"redact"}"#;
        let ruled = go(target, &["redaction-test", "-", "--rule", rule], sample).ok();
        assert!(ruled.out.contains("[REDACTED]") && !ruled.out.contains("DE02"), "{}", ruled.out);
        let wrong = go(target, &["redaction-test", r#"{"action":"x"}"#], "");
        assert!(wrong.code == 1 && wrong.err.contains("/sample"), "{}", wrong.err);
    };
    shows(&folder.target());
    let server = Server::start(&folder.path());
    shows(&server.target());
    let stored = go(&server.target(), &["events", "--filter", "action eq \"crm.update\"", "--json"], "").ok();
    assert_eq!(stored.out.trim(), "");
}

#[test]
fn every_kind_has_its_commands_offline_and_through_a_server() {
    let folder = Folder::new();
    go(&folder.target(), &["project", "list"], "");
    let made: Vec<Value> = go(&folder.target(), &["project", "create", "name=first", "--json"], "").ok().json();
    assert_eq!(made.len(), 1);
    every_kind(&folder, &folder.target(), &folder.target());
    let server = Server::start(&folder.path());
    let instance = folder.path().join("instance.key").display().to_string();
    every_kind(&folder, &server.target(), &server.target_with(&instance));
    for kind in KINDS {
        let help = run_with(&[kind.noun.replace('_', "-").as_str(), "--help"], b"").ok();
        assert!(help.out.contains(kind.doc.split('.').next().expect("a sentence").split(',').next().expect("a part")), "{}", help.out);
    }
}
