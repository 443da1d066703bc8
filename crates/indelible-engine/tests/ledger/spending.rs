//! What was spent: exactly what the rows say, whatever happens to the process, to the store or to what was remembered of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use indelible_core::time::Timestamp;
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::query::ReadError;
use indelible_engine::spending::BudgetSpending;
use uuid::Uuid;

use crate::bench::{Bench, id, wait};
use crate::clock::Turned;
use crate::decisions::{decide, make};

/// An event of an agent that used so many input tokens of a model.
fn used(n: u64, agent: &str, input: u64) -> String {
    format!(
        r#"{{"id":"{}","action":"model.invoke","outcome":"allow","actor":{{"type":"agent","id":"{agent}"}},"model":{{"provider":"p","id":"m"}},"usage":{{"input_tokens":{input}}}}}"#,
        id(n)
    )
}

fn budget(bench: &Bench, subject: &str, period: &str, limit: u64, on_exceed: &str) -> Uuid {
    let document = format!(
        r#"{{"name":"b","subject":{subject},"period":"{period}","limit_micros":{limit},"currency":"USD","on_exceed":"{on_exceed}"}}"#
    );
    make(bench, None, "budget", &document).id
}

fn price(bench: &Bench) {
    // A token is a millionth.
    make(
        bench,
        None,
        "model_price",
        r#"{"provider":"p","model":"m","currency":"USD","input_micros_per_million":1000000,"output_micros_per_million":1}"#,
    );
}

fn spending(bench: &Bench, budget: Uuid) -> BudgetSpending {
    wait(bench.ledger.budget_spending(&bench.admin(), budget)).expect("told")
}

const ASK: &str = r#"{"subject":{"type":"agent","id":"a"},"action":{"name":"model.invoke"},"resource":{"type":"model","id":"m"}}"#;

#[test]
fn a_budget_that_is_spent_denies_until_it_is_raised_and_one_that_warns_says_so() {
    let bench = Bench::new();
    price(&bench);
    make(&bench, None, "policy", r#"{"name":"p","text":"permit (principal, action, resource);"}"#);
    let own = budget(&bench, r#"{"type":"agent","id":"a"}"#, "day", 100, "deny");
    let all = budget(&bench, r#"{"type":"project"}"#, "month", 10, "warn");
    assert!(decide(&bench, ASK).decision);
    bench.append(&[used(1, "a", 99)]).expect("appended");
    let decision = decide(&bench, ASK);
    assert!(decision.decision && decision.warnings.len() == 1 && decision.warnings[0].contains(&all.to_string()), "{decision:?}");
    bench.append(&[used(2, "b", 5), used(3, "a", 1)]).expect("appended");
    let decision = decide(&bench, ASK);
    assert_eq!((decision.decision, decision.engine, decision.rules[0].id), (false, "budget", own));
    assert_eq!(decision.changes[0].document.as_deref(), Some(r#"{"limit_micros":101}"#));
    assert!(decision.changes[0].words.contains("above 100 "), "{decision:?}");
    let budgets = indelible_engine::resource::kind("budget").expect("a kind");
    wait(bench.ledger.update_resource(&bench.admin(), budgets, own, None, r#"{"limit_micros":101}"#)).expect("raised");
    assert!(decide(&bench, ASK).decision);
    let told = spending(&bench, own);
    assert_eq!((told.spent_micros, told.limit_micros, told.exceeded, told.version), (100, 101, false, 2));
    assert_eq!(spending(&bench, all).spent_micros, 105);
}

#[test]
fn an_event_counts_once_and_from_when_it_is_acknowledged() {
    let bench = Bench::new();
    price(&bench);
    let all = budget(&bench, r#"{"type":"project"}"#, "total", 1, "deny");
    for n in 1..=50 {
        bench.append(&[used(n, "a", 1)]).expect("appended");
        bench.append(&[used(n, "a", 1)]).expect("a retry");
        assert_eq!(spending(&bench, all).spent_micros, n);
    }
}

#[test]
fn a_restart_goes_on_exactly_whatever_is_left_of_the_snapshot() {
    let mut bench = Bench::new();
    price(&bench);
    let all = budget(&bench, r#"{"type":"project"}"#, "total", 1, "deny");
    let day = budget(&bench, r#"{"type":"agent","id":"a"}"#, "day", 1, "deny");
    let mut expected = 0;
    for n in 1..=6_u64 {
        bench.append(&[used(n * 2, "a", n), used(n * 2 + 1, "b", 0)]).expect("appended");
        expected += n;
        let snapshot = bench.data().join("spending.snapshot");
        let before = std::fs::read(&snapshot).ok();
        bench.ledger.clone().close();
        let bytes = std::fs::read(&snapshot).expect("a snapshot is left");
        match n {
            // As it was left.
            1 => {}
            // One of before: the rows since are read.
            2 => std::fs::write(&snapshot, before.expect("the first restart left one")).expect("put back"),
            // Somebody would rather have spent less.
            3 => {
                let text = String::from_utf8(bytes).expect("text");
                assert!(text.contains("\"input\":6"), "{text}");
                std::fs::write(&snapshot, text.replace("\"input\":6", "\"input\":0")).expect("written");
            }
            4 => std::fs::write(&snapshot, &bytes[..bytes.len() / 2]).expect("cut off"),
            5 => std::fs::remove_file(&snapshot).expect("removed"),
            _ => std::fs::write(&snapshot, b"").expect("emptied"),
        }
        bench = bench.reopen();
        assert_eq!(spending(&bench, all).spent_micros, expected, "restart {n}");
        assert_eq!(spending(&bench, day).spent_micros, expected, "restart {n}");
    }
    bench.verify();
}

/// Strikes once at COMMIT.
struct AtCommit(When, AtomicI64);

impl Faults for AtCommit {
    fn strikes(&self, write: Write, when: When) -> bool {
        write == Write::Commit && when == self.0 && self.1.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

#[test]
fn rows_that_a_failed_commit_left_count_and_others_do_not() {
    for when in [When::Before, When::After] {
        let faults = Arc::new(AtCommit(when, AtomicI64::new(-1)));
        let bench = Bench::with(|options| options.faults = Some(Arc::<AtCommit>::clone(&faults)));
        price(&bench);
        let all = budget(&bench, r#"{"type":"project"}"#, "total", 1, "deny");
        faults.1.store(0, Ordering::SeqCst);
        bench.append(&[used(1, "a", 7)]).expect_err("it failed");
        faults.1.store(-1, Ordering::SeqCst);
        // Nobody was told that it is there; once the store is open again it counts if it is.
        let expected = if when == When::After { 7 } else { 0 };
        let seen = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            wait(bench.ledger.budget_spending(&bench.admin(), all)).is_ok_and(|told| told.spent_micros == expected)
        });
        assert!(seen, "{when:?}");
        bench.append(&[used(1, "a", 7)]).expect("a retry");
        assert_eq!(spending(&bench, all).spent_micros, 7);
    }
}

#[test]
fn periods_are_those_of_utc_and_late_events_count_where_they_belong() {
    // 2026-03-01, noon: a Sunday, and the first of a month.
    let clock = Turned::new();
    let today = indelible_engine::clock::Clock::now(clock.as_ref()).as_micros();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    price(&bench);
    let budgets = ["day", "week", "month", "total"].map(|period| budget(&bench, r#"{"type":"agent","id":"a"}"#, period, 1, "deny"));
    let days_ago = |n: u64, days: i64| {
        let at = Timestamp::from_micros(today - days * 86_400_000_000).expect("a time");
        used(n, "a", 1).replacen('{', &format!(r#"{{"occurred_at":"{at}","#), 1)
    };
    bench.append(&[days_ago(1, 0), days_ago(2, 400), days_ago(3, 5)]).expect("appended");
    assert_eq!(budgets.map(|budget| spending(&bench, budget).spent_micros), [1, 2, 1, 3]);
    let period = |n: usize| spending(&bench, budgets[n]).period.map(|(from, until)| format!("{from} {until}"));
    assert_eq!(period(1).as_deref(), Some("2026-02-23T00:00:00.000000Z 2026-03-02T00:00:00.000000Z"));
    assert_eq!(period(3), None);
    clock.step(86_400, 86_400);
    assert_eq!(budgets.map(|budget| spending(&bench, budget).spent_micros), [0, 0, 1, 3], "a Monday");
}

#[test]
fn what_has_no_price_counts_for_nothing_and_is_told() {
    let bench = Bench::new();
    make(&bench, None, "policy", r#"{"name":"p","text":"permit (principal, action, resource);"}"#);
    let all = budget(&bench, r#"{"type":"project"}"#, "total", 50, "deny");
    bench.append(&[used(1, "a", 70)]).expect("appended");
    let told = spending(&bench, all);
    assert_eq!((told.spent_micros, told.unpriced_tokens), (0, 70));
    let decision = decide(&bench, ASK);
    assert!(decision.decision && decision.warnings[0].starts_with("70 tokens have no price in USD"), "{decision:?}");
    // A price that comes late counts for what was used before.
    price(&bench);
    assert!(!decide(&bench, ASK).decision);
}

#[test]
fn costs_in_another_currency_count_for_nothing_and_are_told() {
    let bench = Bench::new();
    make(&bench, None, "policy", r#"{"name":"p","text":"permit (principal, action, resource);"}"#);
    let all = budget(&bench, r#"{"type":"project"}"#, "total", 50, "deny");
    let cost = |n: u64, micros: u64, currency: &str| {
        used(n, "a", 1).replace(r#""input_tokens":1"#, &format!(r#""cost_micros":{micros},"currency":"{currency}""#))
    };
    bench.append(&[cost(1, 70, "EUR"), cost(2, 7, "USD"), cost(3, 5, "CHF")]).expect("appended");
    let told = spending(&bench, all);
    assert_eq!((told.spent_micros, told.at_most), (7, false));
    assert_eq!(told.other_costs, [("CHF".to_owned(), 5), ("EUR".to_owned(), 70)]);
    let decision = decide(&bench, ASK);
    assert!(decision.decision);
    let warnings = ["5 millionths of CHF do not count", "70 millionths of EUR do not count"];
    assert!(decision.warnings.iter().zip(warnings).all(|(told, expected)| told.starts_with(expected)), "{decision:?}");
    assert_eq!(decision.warnings.len(), 2);
}

#[test]
fn a_neighbours_budget_is_not_shown_and_nobody_without_a_scope_sees_one() {
    use indelible_engine::access::{Envelope, KeyKind, Owner, Scope};
    use indelible_engine::resource::NewApiKey;
    let bench = Bench::new();
    let all = budget(&bench, r#"{"type":"project"}"#, "total", 50, "deny");
    let other = wait(bench.ledger.create_project(&bench.instance(), None, "other")).expect("made");
    let key = |owner, scopes: &[Scope]| {
        let new = NewApiKey { name: "k".to_owned(), owner, kind: KeyKind::Application, scopes: scopes.to_vec(), expires_at: None };
        let (_, credential) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("made");
        bench.ledger.authenticate(Some(&credential), Envelope::default()).expect("a key")
    };
    let neighbour = key(Owner::Project(other.id), &[Scope::AuditRead]);
    let theirs = wait(bench.ledger.budget_spending(&neighbour, all));
    let nowhere = wait(bench.ledger.budget_spending(&neighbour, Uuid::from_u128(7)));
    assert_eq!((theirs.as_ref(), nowhere.as_ref()), (Err(&ReadError::NotFound("budget")), Err(&ReadError::NotFound("budget"))));
    let appender = key(Owner::Project(bench.ledger.default_project_id()), &[Scope::EventsAppend]);
    assert!(matches!(wait(bench.ledger.budget_spending(&appender, all)), Err(ReadError::Forbidden(_))));
    bench.verify();
}
