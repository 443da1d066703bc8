//! Organizations, projects and keys: what comes and goes with them, and what of it is in the record.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_core::fault::FaultKind;
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Refused, Scope};
use indelible_engine::append::AppendError;
use indelible_engine::decide::{DecideError, Questions};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::{Feed, Opening, ReadError, Search};
use indelible_engine::resource::{KINDS, Kept, Kind, Level, Listing, MutateError, NewApiKey, Number, Once, Project, kind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, event, wait};
use crate::clock::Turned;

fn of(noun: &str) -> &'static Kind {
    kind(noun).expect("a kind")
}

fn make(bench: &Bench, noun: &str, owner: Option<Owner>, document: &str) -> Arc<Kept> {
    wait(bench.ledger.create_resource(&bench.instance(), of(noun), owner, document, None)).expect("made").kept
}

fn delete(bench: &Bench, noun: &str, id: Uuid) -> Result<(), MutateError> {
    wait(bench.ledger.delete_resource(&bench.instance(), of(noun), id, None)).map(drop)
}

fn key(bench: &Bench, owner: Owner) -> (Uuid, String) {
    let new = NewApiKey { name: "k".to_owned(), owner, kind: KeyKind::Application, scopes: Scope::ALL.to_vec(), expires_at: None };
    let (made, text) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("made");
    (made.id, text)
}

fn known(bench: &Bench, text: &str) -> Result<Caller, Refused> {
    bench.ledger.authenticate(Some(text), Envelope::default())
}

fn found(bench: &Bench, project: &Arc<Project>, filter: &str) -> Vec<Value> {
    let search = Search { filter: Some(filter.to_owned()), limit: Some(1_000), ..Search::default() };
    let page = wait(bench.ledger.search(&bench.instance(), project, search)).expect("a page");
    page.records.iter().map(|record| serde_json::from_slice(record).expect("JSON")).collect()
}

fn project(bench: &Bench, id: Uuid) -> Arc<Project> {
    bench.ledger.project_of(&bench.instance(), Some(id)).expect("a project")
}

/// One of every kind that can belong to a project and can end.
fn furnish(bench: &Bench, id: Uuid) -> Vec<(&'static Kind, Uuid)> {
    let ends = |kind: &&&Kind| kind.levels.contains(&Level::Project) && kind.number == Number::Many && kind.actions.delete.is_some();
    let stays = |kind: &&&Kind| !["legal_hold", "retention_policy"].contains(&kind.noun);
    KINDS.iter().filter(ends).filter(stays).map(|kind| (*kind, make(bench, kind.noun, Some(Owner::Project(id)), kind.example).id)).collect()
}

#[test]
fn what_belongs_to_a_project_ends_with_it_in_one_transaction() {
    let bench = Bench::new();
    let id = make(&bench, "project", None, r#"{"name":"doomed"}"#).id;
    let inside = furnish(&bench, id);
    let retention = make(&bench, "retention_policy", Some(Owner::Project(id)), of("retention_policy").example).id;
    let (_, text) = key(&bench, Owner::Project(id));
    let admin = known(&bench, &text).expect("a key");
    let commits = bench.ledger.status().commits_total;
    delete(&bench, "project", id).expect("deleted");
    assert_eq!(bench.ledger.status().commits_total, commits + 1);
    let check = |bench: &Bench| {
        assert_eq!(known(bench, &text).map(drop), Err(Refused::Revoked));
        for (kind, id) in &inside {
            let seen = wait(bench.ledger.resource(&bench.instance(), kind, *id)).map(|kept| kept.ended_at.is_some());
            assert!(matches!(seen, Ok(true) | Err(ReadError::NotFound(_))), "{kind:?} {seen:?}");
        }
        wait(bench.ledger.resource(&bench.instance(), of("retention_policy"), retention)).expect("what says how long events stay goes on");
        assert!(project(bench, id).deleted_at.is_some(), "it is still to be seen");
    };
    check(&bench);
    let chain = project(&bench, id);
    let children = found(&bench, &chain, &format!("cascade_root_id eq \"{id}\""));
    assert_eq!(children.len(), inside.len() + 1, "one each, and the key");
    assert!(children.iter().all(|child| child["outcome"] == "allow" && child["resource"]["parent"] == json!(id.to_string())));
    let organization = bench.projects().into_iter().find(|project| project.system && !project.organization_id.is_nil()).expect("its own");
    let parent = found(&bench, &organization, &format!("cascade_root_id eq \"{id}\""));
    assert_eq!((parent.len(), &parent[0]["action"]), (1, &json!("project.delete")));

    // Nothing more is taken; it is read and verified as before.
    let operator = bench.ledger.operator();
    let submission = |n| event(n, "late");
    for caller in [&operator, &admin] {
        let text = submission(1);
        let parsed = indelible_core::event::Submission::parse(text.as_bytes(), indelible_core::event::Source::Caller, Uuid::nil());
        let fault = bench.ledger.prepare(caller, &chain, "http", parsed.expect("an event")).expect_err("refused");
        assert_eq!(fault.kind, FaultKind::Gone);
    }
    let halt = wait(bench.ledger.create_resource(&operator, of("halt"), Some(Owner::Project(id)), of("halt").example, None));
    assert_eq!(halt, Err(MutateError::Gone("project")));
    let question =
        json!({"subject": {"type": "agent", "id": "a"}, "action": {"name": "x"}, "resource": {"type": "t", "id": "r"}}).to_string();
    let question = Questions::read(&indelible_core::json::parse(question.as_bytes()).expect("JSON")).expect("a question");
    let decided = wait(bench.ledger.decide(&operator, &chain, &question)).expect_err("refused");
    assert!(matches!(decided, DecideError::Forbidden(_)), "{decided:?}");
    assert_eq!(delete(&bench, "project", id), Err(MutateError::Conflict("it has ended already")));
    let renamed = wait(bench.ledger.update_resource(&bench.instance(), of("project"), id, None, r#"{"name":"again"}"#));
    assert!(matches!(renamed, Err(MutateError::Conflict(_))));
    let settings = wait(bench.ledger.update_resource(&bench.instance(), of("project_settings"), id, None, r#"{"enforcement":"shadow"}"#));
    assert_eq!(settings.map(drop), Err(MutateError::Gone("project")));
    // What is left of it can be held.
    let hold = make(&bench, "legal_hold", Some(Owner::Project(id)), of("legal_hold").example).id;
    let shorter = |days: u32| {
        let patch = format!(r#"{{"keep_days":{days}}}"#);
        wait(bench.ledger.update_resource(&bench.instance(), of("retention_policy"), retention, None, &patch)).map(drop)
    };
    assert!(matches!(shorter(1), Err(MutateError::Conflict(_))), "what is held is kept as long as was promised");
    assert!(matches!(delete(&bench, "retention_policy", retention), Err(MutateError::Conflict(_))));
    shorter(2_000).expect("longer");
    delete(&bench, "legal_hold", hold).expect("released");
    shorter(1).expect("shorter");
    check(&bench.reopen());
}

#[test]
fn a_hold_keeps_what_it_covers() {
    let bench = Bench::new();
    let id = make(&bench, "project", None, r#"{"name":"held"}"#).id;
    let organization = project(&bench, id).organization_id;
    for owner in [Owner::Project(id), Owner::Organization(organization)] {
        let hold = make(&bench, "legal_hold", Some(owner), of("legal_hold").example).id;
        assert!(matches!(delete(&bench, "project", id), Err(MutateError::Conflict(_))));
        assert!(project(&bench, id).deleted_at.is_none());
        delete(&bench, "legal_hold", hold).expect("released");
    }
    delete(&bench, "project", id).expect("free");
    bench.verify();
}

#[test]
fn an_organization_has_a_chain_and_keys_of_its_own_and_goes_when_its_projects_are_gone() {
    let bench = Bench::new();
    let id = make(&bench, "organization", None, r#"{"name":"Second"}"#).id;
    let system = bench.projects().into_iter().find(|project| project.system && project.organization_id == id).expect("a system project");
    assert_eq!(found(&bench, &system, "action eq \"project.create\"").len(), 1, "its first event is its own");
    assert!(bench.data().join(format!("keys/organization-{id}.key")).exists());
    let inside = make(&bench, "project", Some(Owner::Organization(id)), r#"{"name":"inside"}"#).id;
    let (_, text) = key(&bench, Owner::Organization(id));
    let theirs = known(&bench, &text).expect("a key");
    let seen = |noun: &str| wait(bench.ledger.resources(&theirs, of(noun), &Listing::default())).expect("a list").kept.len();
    assert_eq!((seen("project"), seen("organization")), (2, 1), "its own, and no other's");
    let renamed = wait(bench.ledger.update_resource(&theirs, of("organization"), id, None, r#"{"name":"Mine"}"#));
    assert_eq!(renamed, Err(MutateError::Forbidden("the instance".to_owned())));
    let mine = wait(bench.ledger.create_project(&theirs, None, "by default in its own organization")).expect("made");
    assert_eq!(mine.organization_id, id);
    assert!(matches!(delete(&bench, "project", system.id), Err(MutateError::Conflict(_))), "a system project stays");
    assert!(matches!(delete(&bench, "organization", id), Err(MutateError::Conflict(_))), "it has projects");
    let (_, in_system) = key(&bench, Owner::Project(system.id));
    let nowhere =
        wait(bench.ledger.create_resource(&bench.instance(), of("halt"), Some(Owner::Organization(Uuid::nil())), of("halt").example, None));
    assert_eq!(nowhere.map(drop), Err(MutateError::NotFound("organization")));
    let bench = bench.reopen();
    delete(&bench, "project", inside).expect("deleted");
    delete(&bench, "project", mine.id).expect("deleted");
    delete(&bench, "organization", id).expect("deleted");
    assert_eq!(known(&bench, &text).map(drop), Err(Refused::Revoked));
    assert_eq!(known(&bench, &in_system).map(drop), Err(Refused::Revoked), "nor does what belongs to its system project outlive it");
    let late = wait(bench.ledger.create_resource(&bench.instance(), of("halt"), Some(Owner::Project(system.id)), of("halt").example, None));
    assert_eq!(late.map(drop), Err(MutateError::Gone("project")));
    let create = wait(bench.ledger.create_project(&bench.instance(), Some(id), "late"));
    assert_eq!(create.map(drop), Err(MutateError::Gone("organization")));
    bench.reopen().verify();
}

#[test]
fn a_rotated_key_works_for_its_grace_and_the_new_one_is_shown_once() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let (id, old) = key(&bench, Owner::Project(bench.ledger.default_project_id()));
    let rotate = of("api_key").verb("rotate").expect("a verb");
    let once = Once::new("r1", String::new()).expect("a key");
    let act = |said: &str, once: Option<&Once>| {
        wait(bench.ledger.act_on_resource(&bench.admin(), of("api_key"), rotate, (id, None), said, once)).expect("rotated")
    };
    let done = act(r#"{"grace_seconds":3600}"#, Some(&once));
    let new = done.shown[0].text.clone();
    assert!(known(&bench, &old).is_ok() && known(&bench, &new).is_ok() && old != new);
    let replayed = act(r#"{"grace_seconds":3600}"#, Some(&once));
    assert!(replayed.replayed && replayed.shown.is_empty(), "what was shown once is not shown again");
    assert!(known(&bench, &new).is_ok(), "and it was not rotated again");
    clock.step(3_600, 3_600);
    assert_eq!(known(&bench, &old).map(drop), Err(Refused::Unknown));
    assert!(known(&bench, &new).is_ok());
    let newest = act("{}", None).shown[0].text.clone();
    assert_eq!(known(&bench, &new).map(drop), Err(Refused::Unknown), "without grace it ends at once");
    let narrow = NewApiKey {
        name: "n".to_owned(),
        owner: Owner::Project(bench.ledger.default_project_id()),
        kind: KeyKind::Application,
        scopes: vec![Scope::ControlWrite],
        expires_at: None,
    };
    let (_, text) = wait(bench.ledger.create_api_key(&bench.admin(), narrow)).expect("made");
    let narrow = known(&bench, &text).expect("a key");
    for said in ["{}", r#"{"grace_seconds":2592000}"#] {
        let taken = wait(bench.ledger.act_on_resource(&narrow, of("api_key"), rotate, (id, None), said, None));
        assert!(matches!(taken, Err(MutateError::Forbidden(_))), "nobody gets hold of a key that may more");
    }
    let wide = wait(bench.ledger.update_resource(&narrow, of("api_key"), id, None, r#"{"name":"mine"}"#));
    assert!(matches!(wide, Err(MutateError::Forbidden(_))));
    let long = wait(bench.ledger.act_on_resource(&bench.admin(), of("api_key"), rotate, (id, None), r#"{"grace_seconds":2592001}"#, None));
    assert!(matches!(long, Err(MutateError::Fault(fault)) if fault.pointer == "/grace_seconds"));
    let digests: Vec<Value> = found(&bench, &bench.project(), &format!("resource.id eq \"{id}\""));
    assert!(digests.len() >= 4 && !digests.iter().any(|event| event.to_string().contains("sha256\":\"") && event["content"].is_object()));
    assert!(known(&bench.reopen(), &newest).is_ok(), "after a restart too");
}

#[test]
fn an_ended_key_stays_ended_and_none_outlives_its_maker() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let project = Owner::Project(bench.ledger.default_project_id());
    let new = |expires_at: Option<&str>| NewApiKey {
        name: "k".to_owned(),
        owner: project,
        kind: KeyKind::Application,
        scopes: vec![Scope::ControlWrite],
        expires_at: expires_at.map(|end| indelible_core::time::Timestamp::parse(end).expect("a time")),
    };
    let (made, text) = wait(bench.ledger.create_api_key(&bench.admin(), new(Some("2026-03-01T13:00:00Z")))).expect("made");
    let short = known(&bench, &text).expect("a key");
    for end in [None, Some("2026-03-01T13:00:01Z")] {
        let longer = wait(bench.ledger.create_api_key(&short, new(end)));
        assert!(matches!(longer, Err(MutateError::Fault(fault)) if fault.pointer == "/expires_at"));
    }
    wait(bench.ledger.create_api_key(&short, new(Some("2026-03-01T13:00:00Z")))).expect("no longer");
    let change = |caller: &Caller, patch: &str| wait(bench.ledger.update_resource(caller, of("api_key"), made.id, None, patch)).map(drop);
    assert!(matches!(change(&short, r#"{"expires_at":null}"#), Err(MutateError::Fault(_))), "not its own either");
    change(&short, r#"{"name":"another"}"#).expect("what is no end");
    clock.step(2 * 3_600, 2 * 3_600);
    assert_eq!(known(&bench, &text).map(drop), Err(Refused::Expired));
    assert!(matches!(change(&bench.admin(), r#"{"expires_at":"2030-01-01T00:00:00Z"}"#), Err(MutateError::Conflict(_))));
    wait(bench.ledger.revoke_api_key(&bench.admin(), made.id)).expect("revoked all the same");
}

#[test]
fn an_event_made_ready_before_a_change_of_the_rules_is_sent_again() {
    let bench = Bench::new();
    let (project, admin) = (bench.project(), bench.admin());
    let prepare = |n: u64| bench.prepare(&event(n, "text")).expect("prepared");
    let change = |noun: &str, owner| make(&bench, noun, Some(owner), of(noun).example).id;
    let organization = Owner::Organization(project.organization_id);
    let takes = |n: u64, ready| match wait(bench.ledger.append(vec![ready])) {
        Ok(_) => true,
        Err(AppendError::Unavailable { outcome_unknown: false, .. }) => {
            wait(bench.ledger.append(vec![prepare(n)])).map(|_| false).expect("sent again")
        }
        Err(error) => panic!("{error:?}"),
    };
    let ready = prepare(1);
    let rule = change("redaction_rule", Owner::Project(project.id));
    assert!(!takes(1, ready), "it was made ready under other rules");
    let ready = prepare(2);
    wait(bench.ledger.delete_resource(&admin, of("redaction_rule"), rule, None)).expect("ended");
    assert!(!takes(2, ready));
    let ready = prepare(3);
    change("event_schema", organization);
    assert!(!takes(3, ready), "the organization's count too");
    let ready = prepare(4);
    change("halt", Owner::Project(project.id));
    assert!(takes(4, ready), "what is no rule changes nothing");
    let ready = prepare(5);
    delete(&bench, "project", project.id).expect("deleted");
    let late = wait(bench.ledger.append(vec![ready])).expect_err("the project was deleted meanwhile");
    assert!(matches!(late, AppendError::Unavailable { outcome_unknown: false, .. }));
    bench.verify();
}

/// Folds the events of a project into what there is of each resource.
fn rebuilt(bench: &Bench, chain: &Arc<Project>) -> BTreeMap<(String, String), Value> {
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let search = Search { feed: Some(Feed::Start), limit: Some(1_000), opening, ..Search::default() };
    let page = wait(bench.ledger.search(&bench.instance(), chain, search)).expect("a page");
    let mut there = BTreeMap::new();
    for record in &page.records {
        let event: Value = serde_json::from_slice(record).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = (text(&event["resource"]["type"]), text(&event["resource"]["id"]));
        let is_change = event["recorder"]["path"] == "engine" && event["outcome"] == "allow" && event["context"]["document"].is_string();
        if !is_change || kind(&name.0).is_none() {
            continue;
        }
        match event["content"].get("after_state") {
            Some(state) => there.insert(name, state.clone()),
            None => there.remove(&name),
        };
    }
    there
}

#[test]
fn replaying_the_events_of_a_chain_rebuilds_its_resources() {
    let bench = Bench::new();
    let id = make(&bench, "project", None, r#"{"name":"first"}"#).id;
    let inside = furnish(&bench, id);
    furnish(&bench, id.min(bench.ledger.default_project_id()));
    for (kind, id) in &inside {
        if kind.actions.update.is_some() {
            wait(bench.ledger.update_resource(&bench.instance(), kind, *id, None, kind.example)).expect("changed");
        }
        for verb in kind.rare.verbs {
            wait(bench.ledger.act_on_resource(&bench.instance(), kind, verb, (*id, None), "{}", None)).expect("done");
        }
    }
    let ended = inside[0];
    wait(bench.ledger.delete_resource(&bench.instance(), ended.0, ended.1, None)).expect("ended");
    make(&bench, "organization", None, r#"{"name":"Second"}"#);
    let invitation = of("invitation");
    let token = wait(bench.ledger.create_resource(&bench.instance(), invitation, None, invitation.example, None)).expect("invited").shown;
    let guest = known(&bench, &token[0].text).expect("a guest");
    wait(bench.ledger.accept_invitation(&guest)).expect("accepted");
    let compare = |bench: &Bench| {
        let (mut told, mut there) = (BTreeMap::new(), BTreeMap::new());
        for chain in bench.projects() {
            told.extend(rebuilt(bench, &chain));
        }
        for kind in KINDS {
            let listing = Listing { limit: Some(1_000), ..Listing::default() };
            for kept in wait(bench.ledger.resources(&bench.instance(), kind, &listing)).expect("a list").kept {
                let state: Value = serde_json::from_slice(&kept.state(kind).to_canonical()).expect("JSON");
                there.insert((kind.noun.to_owned(), kept.id.to_string()), state);
            }
        }
        // What is sealed is told by a mark.
        let unsealed = |state: &Value| {
            let text = state.to_string();
            let mut parts = text.split("[SEALED:");
            let first = parts.next().unwrap_or_default().to_owned();
            let text = parts.fold(first, |all, part| format!("{all}[SEALED]{}", part.split_once(']').map_or("", |(_, rest)| rest)));
            serde_json::from_str::<Value>(&text).expect("JSON")
        };
        let told: BTreeMap<_, _> = told.iter().map(|(name, state)| (name.clone(), unsealed(state))).collect();
        assert!(there.len() > 20);
        assert_eq!(told, there);
    };
    compare(&bench);
    delete(&bench, "project", id).expect("deleted");
    compare(&bench);
    compare(&bench.reopen());
}

#[test]
fn when_a_key_was_used_is_known_to_the_minute_also_after_a_restart() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let (id, text) = key(&bench, Owner::Project(bench.ledger.default_project_id()));
    let used = |bench: &Bench| bench.ledger.figures(of("api_key"), id).first().map(|(_, time)| format!("{time:?}"));
    assert_eq!(used(&bench), None);
    known(&bench, &text).expect("a key");
    let first = used(&bench).expect("used");
    clock.step(59, 59);
    known(&bench, &text).expect("a key");
    assert_eq!(used(&bench).as_ref(), Some(&first), "to the minute");
    clock.step(1, 1);
    known(&bench, &text).expect("a key");
    let second = used(&bench).expect("used");
    assert_ne!(first, second);
    bench.append(&[event(1, "a write")]).expect("appended");
    assert_eq!(used(&bench.reopen()), Some(second));
}

struct Strike {
    write: Write,
    left: std::sync::atomic::AtomicI64,
}

impl Faults for Strike {
    fn strikes(&self, write: Write, when: When) -> bool {
        (write, when) == (self.write, When::After) && self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 0
    }
}

#[test]
fn each_write_of_a_cascade_may_fail_and_all_of_it_is_there_or_nothing() {
    for write in [Write::Event, Write::Content, Write::Resource, Write::Head, Write::Commit] {
        for nth in [0, 1, 5] {
            let faults = Arc::new(Strike { write, left: (-1).into() });
            let bench = Bench::with(|options| options.faults = Some(Arc::<Strike>::clone(&faults)));
            let id = make(&bench, "project", None, r#"{"name":"doomed"}"#).id;
            let inside = furnish(&bench, id);
            let instance = bench.instance();
            faults.left.store(nth, std::sync::atomic::Ordering::SeqCst);
            let done = wait(bench.ledger.delete_resource(&instance, of("project"), id, None));
            faults.left.store(-1, std::sync::atomic::Ordering::SeqCst);
            let gone = |bench: &Bench| project(bench, id).deleted_at.is_some();
            let running = gone(&bench);
            let bench = bench.reopen();
            assert_eq!(running, gone(&bench), "{write:?} {nth}");
            assert!(done.is_err() || running, "{write:?} {nth}");
            for (kind, inner) in &inside {
                let seen = wait(bench.ledger.resource(&bench.instance(), kind, *inner)).is_ok_and(|kept| kept.ended_at.is_none());
                assert_eq!(seen, !running, "{write:?} {nth} {kind:?}");
            }
            bench.verify();
        }
    }
}

/// Whatever several documents at once come of: all of them are there, or none.
#[test]
fn each_write_of_what_is_made_together_may_fail_and_all_of_it_is_there_or_nothing() {
    for write in [Write::Begin, Write::Event, Write::Content, Write::Wrap, Write::Resource, Write::Head, Write::Commit] {
        for nth in [0, 1] {
            for change in ["organization", "accept", "rotate"] {
                let faults = Arc::new(Strike { write, left: (-1).into() });
                let bench = Bench::with(|options| options.faults = Some(Arc::<Strike>::clone(&faults)));
                let (id, text) = key(&bench, Owner::Project(bench.ledger.default_project_id()));
                let invitation = of("invitation");
                let token =
                    wait(bench.ledger.create_resource(&bench.instance(), invitation, None, invitation.example, None)).expect("made").shown;
                let (instance, guest) = (bench.instance(), known(&bench, &token[0].text).expect("a guest"));
                faults.left.store(nth, std::sync::atomic::Ordering::SeqCst);
                let done = match change {
                    "organization" => wait(bench.ledger.create_resource(&instance, of("organization"), None, r#"{"name":"new"}"#, None)),
                    "accept" => wait(bench.ledger.accept_invitation(&guest)),
                    _ => {
                        let rotate = of("api_key").verb("rotate").expect("a verb");
                        wait(bench.ledger.act_on_resource(&instance, of("api_key"), rotate, (id, None), "{}", None))
                    }
                };
                faults.left.store(-1, std::sync::atomic::Ordering::SeqCst);
                let count = |bench: &Bench, noun: &str| {
                    wait(bench.ledger.resources(&bench.instance(), of(noun), &Listing::default())).expect("a list").kept.len()
                };
                let seen = |bench: &Bench| match change {
                    "organization" => (count(bench, "organization"), count(bench, "project")),
                    "accept" => (count(bench, "invitation"), count(bench, "member")),
                    _ => (usize::from(known(bench, &text).is_ok()), 0),
                };
                let (before, after) = match change {
                    "organization" => ((1, 3), (2, 4)),
                    "accept" => ((1, 0), (0, 1)),
                    _ => ((1, 0), (0, 0)),
                };
                let running = seen(&bench);
                let place = format!("{change} {write:?} {nth}");
                assert!(running == before || running == after, "{place}: {running:?}");
                assert!(done.is_err() || running == after, "{place}");
                let bench = bench.reopen();
                assert_eq!(seen(&bench), running, "{place}");
                bench.verify();
            }
        }
    }
}

#[test]
fn what_indelible_sets_is_not_given() {
    let bench = Bench::new();
    let create = |document: &str| wait(bench.ledger.create_resource(&bench.instance(), of("project"), None, document, None));
    let made = create(r#"{"name":"x","system":true}"#).expect_err("refused");
    assert!(matches!(made, MutateError::Fault(fault) if fault.pointer == "/system"));
    let id = create(r#"{"name":"x"}"#).expect("made").kept.id;
    let changed =
        wait(bench.ledger.update_resource(&bench.instance(), of("project"), id, None, r#"{"system":null}"#)).expect_err("refused");
    assert!(matches!(changed, MutateError::Fault(fault) if fault.pointer == "/system"));
}
