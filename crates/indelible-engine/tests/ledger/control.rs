//! Resources of every kind: made, changed, ended; each change and each refusal in the record, document and event together.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use indelible_core::json::{self, Value};
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::{Opening, ReadError, Search};
use indelible_engine::resource::{KINDS, Kept, Kind, Level, Listing, MutateError, NewApiKey, Number, Once, Project, kind};
use uuid::Uuid;

use crate::bench::{self, Bench, copy, verify, wait};
use crate::shell::Shell;

fn halts() -> &'static Kind {
    kind("halt").expect("a kind")
}

fn budgets() -> &'static Kind {
    kind("budget").expect("a kind")
}

fn streams() -> &'static Kind {
    kind("audit_stream").expect("a kind")
}

fn make(bench: &Bench, kind: &'static Kind) -> Arc<Kept> {
    wait(bench.ledger.create_resource(&maker(bench, kind), kind, None, kind.example, None)).expect("made").kept
}

/// Whoever makes those of a kind: the administrator of the project, where they belong to projects.
fn maker(bench: &Bench, kind: &Kind) -> Caller {
    match kind.levels {
        _ if kind.rare.is_begun() => owner(bench),
        levels if levels.contains(&Level::Project) => bench.admin(),
        _ => bench.instance(),
    }
}

/// A member of the organization who may everything.
fn owner(bench: &Bench) -> Caller {
    let document = format!(r#"{{"name":"o","user_id":"{}","role":"owner"}}"#, bench.ledger.new_id());
    let invitation = kind("invitation").expect("a kind");
    let token = wait(bench.ledger.create_resource(&bench.instance(), invitation, None, &document, None)).expect("invited").shown;
    let known = |text: &str| bench.ledger.authenticate(Some(text), Envelope::default()).expect("known");
    known(&wait(bench.ledger.accept_invitation(&known(&token[0].text))).expect("accepted").shown[0].text)
}

/// The chains that tell of a kind, among those of the default organization.
fn homes(bench: &Bench, kind: &Kind) -> Vec<Arc<Project>> {
    let level = if kind.levels.contains(&Level::Project) { Level::Project } else { kind.levels[0] };
    let organization_id = bench.project().organization_id;
    let is_home = |project: &Arc<Project>| match level {
        Level::Project => project.id == bench.ledger.default_project_id(),
        Level::Organization => project.system && project.organization_id == organization_id,
        Level::Instance => project.system && project.organization_id.is_nil(),
    };
    bench.projects().into_iter().filter(is_home).collect()
}

/// Newest first: action, outcome, reason and resource id of what the project's chain tells of a kind, with its states.
fn told(bench: &Bench, kind: &Kind) -> Vec<(String, String, Option<Value<'static>>, Option<Value<'static>>)> {
    let filter = format!(r#"resource.type eq "{}" and action ne "audit.read""#, kind.noun);
    let opening = Opening { content: true, purpose: Some("a test".to_owned()) };
    let search = Search { filter: Some(filter), limit: Some(1_000), opening, ..Search::default() };
    let home = homes(bench, kind).pop().expect("a home");
    let page = wait(bench.ledger.search(&bench.instance(), &home, search)).expect("a page");
    let told = page.records.iter().map(|record| {
        let record = json::parse(record).expect("JSON").into_owned();
        let word = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = |name: &str| record.get("content").and_then(|content| content.get(name)).cloned();
        (word("action"), word("outcome"), state("before_state"), state("after_state"))
    });
    told.collect()
}

fn same(a: Option<&Value<'_>>, b: Option<&Value<'_>>) -> bool {
    let text = |value: Option<&Value<'_>>| {
        value.map(|value| {
            let mut out = Vec::new();
            json::write_canonical(value, &mut out);
            out
        })
    };
    text(a) == text(b)
}

#[test]
fn every_kind_is_made_changed_and_ended_and_replaying_its_events_rebuilds_it() {
    let mut bench = Bench::new();
    for kind in KINDS {
        let first = match kind.number {
            Number::Many => make(&bench, kind),
            Number::One => wait(bench.ledger.resource(&bench.admin(), kind, bench.ledger.default_project_id())).expect("always there"),
        };
        assert_eq!(first.version, u64::from(kind.number == Number::Many), "{}", kind.noun);
        let (id, caller) = (first.id, if kind.rare.is_begun() { bench.instance() } else { maker(&bench, kind) });
        let mut last = first;
        if kind.actions.update.is_some() {
            let done = wait(bench.ledger.update_resource(&caller, kind, id, Some(last.version), kind.example)).expect("changed");
            assert_eq!((done.kept.version, done.kept.created_at), (last.version + 1, last.created_at));
            last = done.kept;
        }
        for verb in kind.rare.verbs {
            let said = wait(bench.ledger.act_on_resource(&caller, kind, verb, (id, Some(last.version)), "{}", None)).expect("done");
            assert_eq!(said.kept.version, last.version + 1);
            last = said.kept;
        }
        bench = bench.reopen();
        let found = wait(bench.ledger.resource(&caller, kind, id)).expect("after a restart too");
        assert_eq!(found, last, "{}", kind.noun);
        let told_of = |bench: &Bench| {
            let of_it = |event: &(String, String, _, Option<Value<'static>>)| event.3.as_ref().is_none_or(|state| is_of(state, id));
            told(bench, kind).into_iter().filter(of_it).collect::<Vec<_>>()
        };
        let events = told_of(&bench);
        assert!(same(events[0].3.as_ref(), Some(&last.state(kind))), "{}: {:?}", kind.noun, events[0]);
        if kind.actions.delete.is_some() {
            wait(bench.ledger.delete_resource(&caller, kind, id, Some(last.version))).expect("ended");
            let seen = |bench: &Bench| wait(bench.ledger.resource(&caller, kind, id)).map(|kept| kept.ended_at.is_some());
            let expected = if kind.rare.ended.is_some() { Ok(true) } else { Err(ReadError::NotFound(kind.noun)) };
            assert_eq!(seen(&bench), expected);
            bench = bench.reopen();
            assert_eq!(seen(&bench), expected);
            let again = wait(bench.ledger.delete_resource(&caller, kind, id, None)).expect_err("it has ended");
            assert!(matches!(again, MutateError::NotFound(_) | MutateError::Conflict(_)), "{}: {again:?}", kind.noun);
        }
        // What each event says was before is what the one before it left.
        let events: Vec<_> = told_of(&bench).into_iter().rev().filter(|event| event.1 == "allow").collect();
        let verbs = kind.rare.verbs.iter().map(|verb| Some(verb.action));
        let expected: Vec<&str> =
            [kind.actions.create, kind.actions.update].into_iter().chain(verbs).chain([kind.actions.delete]).flatten().collect();
        assert_eq!(events.iter().map(|event| event.0.as_str()).collect::<Vec<_>>(), expected, "{}", kind.noun);
        for pair in events.windows(2) {
            assert!(same(pair[0].3.as_ref(), pair[1].2.as_ref()), "{}", kind.noun);
        }
    }
    bench.verify();
}

fn is_of(state: &Value<'_>, id: Uuid) -> bool {
    state.get("id").and_then(Value::as_str) == Some(id.to_string().as_str())
}

#[test]
fn a_stale_version_is_refused_told_and_changes_nothing() {
    let bench = Bench::new();
    let kept = make(&bench, budgets());
    let patch = |version, text: &str| wait(bench.ledger.update_resource(&bench.admin(), budgets(), kept.id, Some(version), text));
    patch(1, r#"{"limit_micros":5}"#).expect("changed");
    assert_eq!(patch(1, r#"{"limit_micros":6}"#), Err(MutateError::Stale { expected: 1, current: 2 }));
    let ended = wait(bench.ledger.delete_resource(&bench.admin(), budgets(), kept.id, Some(1)));
    assert_eq!(ended, Err(MutateError::Stale { expected: 1, current: 2 }));
    let fault = patch(2, r#"{"currency":null}"#).expect_err("it is required");
    assert!(matches!(&fault, MutateError::Fault(fault) if fault.pointer == "/currency"), "{fault:?}");
    let now = wait(bench.ledger.resource(&bench.admin(), budgets(), kept.id)).expect("there");
    assert!(now.version == 2 && now.document.contains("\"limit_micros\":5"));
    let outcomes: Vec<(String, String)> = told(&bench, budgets()).into_iter().map(|event| (event.0, event.1)).collect();
    let expected = [("update", "error"), ("delete", "error"), ("update", "error"), ("update", "allow"), ("create", "allow")];
    assert_eq!(outcomes, expected.map(|(verb, outcome)| (format!("budget.{verb}"), outcome.to_owned())));
}

#[test]
fn a_thousand_updates_at_once_have_one_winner_a_version() {
    let bench = Bench::new();
    let kept = make(&bench, budgets());
    let (mut won, mut lost) = (0, 0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..1_000_u64 {
            let (ledger, admin, id) = (bench.ledger.clone(), bench.admin(), kept.id);
            tasks.spawn(async move {
                let patch = format!(r#"{{"limit_micros":{n}}}"#);
                ledger.update_resource(&admin, budgets(), id, Some(1 + n / 100), &patch).await
            });
        }
        while let Some(result) = tasks.join_next().await {
            match result.expect("no panic") {
                Ok(_) => won += 1,
                Err(MutateError::Stale { .. }) => lost += 1,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let now = wait(bench.ledger.resource(&bench.admin(), budgets(), kept.id)).expect("there");
    assert_eq!((won + lost, now.version), (1_000, 1 + won));
    assert!(won >= 1, "the first version has a winner");
    bench.verify();
}

#[test]
fn the_same_request_has_its_effect_once() {
    let bench = Bench::new();
    let once = |key: &str, request: &str| Once::new(key, request.to_owned()).expect("a key");
    let create =
        |kind: &'static Kind, once: &Once| wait(bench.ledger.create_resource(&bench.admin(), kind, None, kind.example, Some(once)));
    let prices = kind("model_price").expect("a kind");
    let first = create(prices, &once("a", "1")).expect("made");
    let again = create(prices, &once("a", "1")).expect("answered again");
    assert!(!first.replayed && again.replayed && again.kept == first.kept);
    let before = told(&bench, prices).len();
    assert!(matches!(create(prices, &once("a", "2")), Err(MutateError::Conflict(_))), "another request");
    assert!(matches!(create(budgets(), &once("a", "1")), Err(MutateError::Conflict(_))), "another kind");
    assert!(matches!(create(prices, &once("b", "1")), Err(MutateError::Conflict(_))), "another key: the price is there");
    assert_eq!(told(&bench, prices).len(), before + 2, "refusals are told, replays are not");
    let bench = bench.reopen();
    let create = |once: &Once| wait(bench.ledger.create_resource(&bench.admin(), prices, None, prices.example, Some(once)));
    assert!(create(&once("a", "1")).expect("after a restart too").replayed);
    wait(bench.ledger.delete_resource(&bench.admin(), prices, first.kept.id, None)).expect("ended");
    assert!(matches!(create(&once("a", "1")), Err(MutateError::Conflict(_))), "what it made has ended");
    assert!(
        Once::new("", String::new()).is_err()
            && Once::new(&"x".repeat(256), String::new()).is_err()
            && Once::new("ä", String::new()).is_err()
    );
}

fn narrow(bench: &Bench, maker: &Caller, owner: Owner, scopes: &[Scope]) -> Caller {
    let new = NewApiKey { name: "n".to_owned(), owner, kind: KeyKind::Application, scopes: scopes.to_vec(), expires_at: None };
    let (_, text) = wait(bench.ledger.create_api_key(maker, new)).expect("made");
    bench.ledger.authenticate(Some(&text), Envelope::default()).expect("a key")
}

#[test]
fn nobody_reaches_what_is_not_theirs_and_each_try_is_told_at_home() {
    let bench = Bench::new();
    let other = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made");
    let them = narrow(&bench, &bench.instance(), Owner::Project(other.id), &Scope::ALL);
    let reader = narrow(&bench, &bench.instance(), Owner::Project(bench.ledger.default_project_id()), &[Scope::AuditRead]);
    let kept = make(&bench, halts());
    let mine = told(&bench, halts()).len();
    let look = |caller: &Caller, id: Uuid| wait(bench.ledger.resource(caller, halts(), id));
    assert_eq!(look(&them, kept.id).expect_err("not theirs"), look(&them, Uuid::from_u128(7)).expect_err("nowhere"));
    assert_eq!(look(&reader, kept.id).expect("a reader may look").id, kept.id);
    let listed = wait(bench.ledger.resources(&them, halts(), &Listing::default())).expect("a page");
    assert!(listed.kept.is_empty() && listed.next_after.is_none());
    let within = Listing { within: Some(Owner::Project(bench.ledger.default_project_id())), ..Listing::default() };
    assert_eq!(wait(bench.ledger.resources(&them, halts(), &within)).expect_err("not theirs"), ReadError::NotFound("project"));
    let clear = |caller: &Caller, id: Uuid| wait(bench.ledger.delete_resource(caller, halts(), id, None));
    assert_eq!(clear(&them, kept.id), Err(MutateError::NotFound("halt")));
    assert_eq!(clear(&them, Uuid::from_u128(7)), Err(MutateError::NotFound("halt")));
    assert!(matches!(clear(&reader, kept.id), Err(MutateError::Forbidden(_))));
    let issue = |caller: &Caller, owner| wait(bench.ledger.create_resource(caller, halts(), Some(owner), halts().example, None));
    assert_eq!(issue(&them, Owner::Project(bench.ledger.default_project_id())), Err(MutateError::NotFound("project")));
    assert!(matches!(issue(&them, Owner::Instance), Err(MutateError::Fault(_))), "a halt belongs to no instance");
    let theirs = Search { filter: Some(r#"resource.type eq "halt""#.to_owned()), ..Search::default() };
    let page = wait(bench.ledger.search(&them, &other, theirs)).expect("a page");
    assert_eq!(page.records.len(), 2 + 2 + 2 + 2, "looks, lists, clears and issues that were refused or empty");
    assert_eq!(told(&bench, halts()).len(), mine + 1, "the reader's try alone");
}

#[test]
fn pages_hold_every_resource_once() {
    let bench = Bench::new();
    // In the order of their ids, which within one millisecond is that of chance.
    let mut ids: Vec<Uuid> = (0..25).map(|_| make(&bench, halts()).id).collect();
    ids.sort_unstable();
    for limit in [1, 7, 25, 26] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let listing = Listing { after, limit: Some(limit), ..Listing::default() };
            let page = wait(bench.ledger.resources(&bench.admin(), halts(), &listing)).expect("a page");
            assert!(page.kept.len() <= limit);
            found.extend(page.kept.iter().map(|kept| kept.id));
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ids, "{limit}");
    }
    for limit in [0, 1_001] {
        let listing = Listing { limit: Some(limit), ..Listing::default() };
        assert!(matches!(wait(bench.ledger.resources(&bench.admin(), halts(), &listing)), Err(ReadError::Options(_))));
    }
}

#[test]
fn a_document_that_holds_a_credential_is_refused() {
    let bench = Bench::new();
    let document = r#"{"subject":{"type":"agent","id":"a"},"reason":"see https://x.example/?api_key=hunter2hunter2"}"#;
    let error = wait(bench.ledger.create_resource(&bench.admin(), halts(), None, document, None)).expect_err("refused");
    assert!(matches!(&error, MutateError::Fault(fault) if fault.pointer == "/reason"), "{error:?}");
}

struct Strike {
    write: Write,
    when: When,
    left: AtomicI64,
}

impl Faults for Strike {
    fn strikes(&self, write: Write, when: When) -> bool {
        (write, when) == (self.write, self.when) && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

#[test]
fn each_write_may_fail_and_document_and_event_are_both_there_or_neither() {
    let mut places = Vec::new();
    for change in ["create", "update", "delete"] {
        for write in [Write::Event, Write::Content, Write::Wrap, Write::Head, Write::Resource, Write::Commit] {
            for when in [When::Before, When::After] {
                for kind in [budgets(), streams()] {
                    places.push((kind, change, write, when, 0));
                    if write == Write::Resource {
                        places.push((kind, change, write, when, 1));
                    }
                }
            }
        }
    }
    for (kind, change, write, when, nth) in places.into_iter().step_by(bench::stride()) {
        strike(kind, change, write, when, nth);
    }
}

fn strike(kind: &'static Kind, change: &str, write: Write, when: When, nth: i64) {
    let faults = Arc::new(Strike { write, when, left: AtomicI64::new(-1) });
    let bench = Bench::with(|options| options.faults = Some(Arc::<Strike>::clone(&faults)));
    let kept = make(&bench, kind);
    let once = Once::new("k", "r".to_owned()).expect("a key");
    let events = bench.events();
    faults.left.store(nth, Ordering::SeqCst);
    let done = match change {
        "create" => wait(bench.ledger.create_resource(&bench.admin(), kind, None, kind.example, Some(&once))),
        "update" => wait(bench.ledger.update_resource(&bench.admin(), kind, kept.id, Some(1), r#"{"name":"another"}"#)),
        _ => wait(bench.ledger.delete_resource(&bench.admin(), kind, kept.id, None)),
    };
    faults.left.store(-1, Ordering::SeqCst);
    // What the running ledger believes is what a restart finds.
    let seen = |bench: &Bench| {
        let all = wait(bench.ledger.resources(&bench.admin(), kind, &Listing::default())).expect("a list");
        all.kept.iter().map(|kept| (kept.id, kept.version)).collect::<Vec<_>>()
    };
    let running = seen(&bench);
    let bench = bench.reopen();
    let stored = seen(&bench);
    let place = format!("{kind:?} {change} {write:?} {when:?} {nth}");
    assert_eq!(running, stored, "{place}");
    let changed = stored != vec![(kept.id, 1)];
    // Two looks at the list were recorded.
    assert_eq!(bench.events() - events - 2, u64::from(changed), "{place}");
    if done.is_ok() {
        assert!(changed, "{place}");
    }
    if change == "create" {
        let again = wait(bench.ledger.create_resource(&bench.admin(), kind, None, kind.example, Some(&once))).expect("made");
        assert_eq!(again.replayed, changed, "{place}");
    }
}

/// What a hand with a shell does to the stored resources, once the guards are gone.
#[test]
fn a_resource_that_its_events_do_not_explain_is_named() {
    let bench = Bench::new();
    let (kept, other) = (make(&bench, budgets()), make(&bench, halts()));
    wait(bench.ledger.update_resource(&bench.admin(), budgets(), kept.id, None, r#"{"limit_micros":5}"#)).expect("changed");
    wait(bench.ledger.delete_resource(&bench.admin(), halts(), other.id, None)).expect("cleared");
    bench.verify();
    let Bench { folder, ledger, .. } = bench;
    ledger.close();
    let (budget, halt) = (kept.id, other.id);
    let cases = [
        format!("UPDATE resources SET body = replace(body, '\"limit_micros\":5', '\"limit_micros\":6') WHERE id = '{budget}'"),
        format!("UPDATE resources SET version = version - 1 WHERE id = '{budget}'"),
        format!("UPDATE resources SET type = 'halt' WHERE id = '{budget}'"),
        format!("DELETE FROM resources WHERE id = '{budget}'"),
        format!("DELETE FROM resources WHERE id = '{halt}'"),
        // A halt that was cleared comes back, and a key that was never made.
        format!("UPDATE resources SET version = 1, body = (SELECT body FROM resources WHERE id = '{budget}') WHERE id = '{halt}'"),
        format!(
            "INSERT INTO resources (project_id, type, id, version, body)
             SELECT project_id, type, '{}', 1, body FROM resources WHERE type = 'api_key' LIMIT 1",
            Uuid::from_u128(7)
        ),
        "UPDATE resources SET body = replace(body, 'audit:read', 'audit:admin') WHERE type = 'api_key'".to_owned(),
        "UPDATE resources SET body = replace(body, 'default', 'defaulted') WHERE type = 'project'".to_owned(),
    ];
    let checkpoints = folder.path().join("data.checkpoints").into();
    for sql in cases {
        let second = tempfile::tempdir().expect("a folder");
        copy(folder.path(), second.path());
        assert!(Shell::over(second.path()).force(&sql) > 0, "{sql}");
        let reports = verify(second.path(), &checkpoints);
        let findings: Vec<_> = reports.iter().flat_map(|report| &report.findings).collect();
        assert!(!findings.is_empty() && findings.iter().all(|finding| finding.detail.contains("resource")), "{sql}: {findings:?}");
    }
}

/// Strikes after a COMMIT, once whoever asked for it has gone.
struct Gone {
    armed: AtomicBool,
    waits: AtomicBool,
    went: Mutex<mpsc::Receiver<()>>,
}

impl Faults for Gone {
    fn strikes(&self, write: Write, when: When) -> bool {
        let strikes = write == Write::Commit && when == When::After && self.armed.swap(false, Ordering::SeqCst);
        if strikes {
            self.waits.store(true, Ordering::SeqCst);
            self.went.lock().expect("held by nobody").recv().expect("told");
        }
        strikes
    }
}

#[test]
fn a_change_that_a_failed_commit_left_is_known_once_the_store_is_open_again_whoever_is_left_to_hear_of_it() {
    let (tell, went) = mpsc::channel();
    let gone = Arc::new(Gone { armed: AtomicBool::new(false), waits: AtomicBool::new(false), went: Mutex::new(went) });
    let bench = Bench::with(|options| options.faults = Some(Arc::<Gone>::clone(&gone)));
    let halt = kind("halt").expect("a kind");
    gone.armed.store(true, Ordering::SeqCst);
    let document = r#"{"subject":{"type":"project"},"reason":"stop"}"#;
    let caller = bench.admin();
    wait(async {
        let mut change = std::pin::pin!(bench.ledger.create_resource(&caller, halt, None, document, None));
        while !gone.waits.load(Ordering::SeqCst) {
            tokio::time::timeout(std::time::Duration::from_millis(5), &mut change).await.expect_err("it waits for its COMMIT");
        }
    });
    tell.send(()).expect("heard");
    let question = r#"{"subject":{"type":"user","id":"u"},"action":{"name":"read"},"resource":{"type":"d","id":"1"}}"#;
    // Refused while the store is being opened again.
    let questions = crate::decisions::questions(question);
    let is_halted = (0..3_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        wait(bench.ledger.decide(&caller, &bench.project(), &questions)).is_ok_and(|decided| decided[0].engine == "halt")
    });
    assert!(is_halted);
    bench.verify();
}
