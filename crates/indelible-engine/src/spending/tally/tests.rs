//! Sums in memory: what counts for which budget, whatever the order of the rows, and how much is kept.

use indelible_core::time::Timestamp;
use proptest::prelude::*;

use super::super::period;
use super::super::price::{Prices, Spent};
use super::super::usage::Tokens;
use super::*;
use crate::resource::kinds::model_prices::ModelPrice;

fn budget(kind: &str, id: Option<&str>, period: &str) -> Budget {
    let id = id.map_or(String::new(), |id| format!(r#","id":"{id}""#));
    let text = format!(r#"{{"name":"b","subject":{{"type":"{kind}"{id}}},"period":"{period}","limit_micros":1,"currency":"USD"}}"#);
    serde_json::from_str(&text).expect("a budget")
}

fn price(provider: &str, model: &str, input: u64) -> ModelPrice {
    let text = format!(
        r#"{{"provider":"{provider}","model":"{model}","currency":"USD","input_micros_per_million":{input},"output_micros_per_million":{}}}"#,
        input * 5
    );
    serde_json::from_str(&text).expect("a price")
}

fn spent(tallies: &Tallies, project: i64, budget: &Budget, prices: &Prices, today: Day) -> Spent {
    tallies.taken(project, budget).spent(budget, prices, today)
}

/// As a restart finds them.
fn written(tallies: &Tallies) -> Tallies {
    let picture: BTreeMap<i64, Spenders> = tallies.picture().into_iter().map(|(number, spenders)| (number, (*spenders).clone())).collect();
    let text = serde_json::to_string(&picture).expect("JSON");
    let read: BTreeMap<i64, Spenders> = serde_json::from_str(&text).expect("a snapshot");
    let again = Tallies { projects: RwLock::default(), names_bytes_max: tallies.names_bytes_max };
    again.put(read.into_iter().map(|(number, spenders)| (number, Arc::new(spenders))).collect());
    again
}

fn usage(at: &str, agent: &str, model: &str, tokens: Tokens) -> Usage {
    let at = Timestamp::parse(at).expect(at);
    Usage { at, agent: Some(agent.to_owned()), model: Some(model.to_owned()), provider: "p".to_owned(), cost: None, tokens }
}

#[test]
fn spending_is_by_spender_and_period_and_is_rounded_up_once() {
    let tallies = Tallies::default();
    let tokens = Tokens { input: 1, output: 1, cache_read: 1, reasoning: 1 };
    for (at, agent, model) in [
        ("2026-11-29T10:00:00Z", "a", "m"),
        ("2026-11-29T11:00:00Z", "b", "m"),
        ("2026-11-23T00:00:00Z", "a", "m"),
        ("2026-11-22T23:59:59Z", "a", "n"),
        ("2026-10-31T23:59:59Z", "a", "m"),
    ] {
        tallies.add(1, &usage(at, agent, model, tokens));
    }
    let mut named = usage("2026-11-29T12:00:00Z", "a", "m", tokens);
    named.cost = Some((1_000, "USD".to_owned()));
    tallies.add(1, &named);
    named.cost = Some((5_000, "EUR".to_owned()));
    tallies.add(1, &named);
    let mut prices = Prices::default();
    // An event costs (1 + 5 + 1 + 5) * 100 / 1,000,000 micros.
    prices.set(price("p", "m", 100), false);
    prices.set(price("q", "n", 100), false);
    let today = day(Timestamp::parse("2026-11-29T20:00:00Z").expect("a time"));
    let cases = [
        ("project", None, "day", 1_001, 0),
        ("project", None, "week", 1_001, 0),
        ("project", None, "month", 1_001, 4),
        ("project", None, "total", 1_001, 4),
        ("agent", Some("b"), "total", 1, 0),
        ("agent", Some("c"), "total", 0, 0),
        ("model", Some("n"), "month", 0, 4),
        ("model", Some("m"), "month", 1_001, 0),
    ];
    for (kind, id, period, micros, unpriced_tokens) in cases {
        let spent = spent(&tallies, 1, &budget(kind, id, period), &prices, today);
        assert_eq!((spent.micros, spent.unpriced_tokens, spent.at_most), (micros, unpriced_tokens, false), "{kind} {id:?} {period}");
    }
    assert_eq!(spent(&tallies, 2, &budget("project", None, "total"), &prices, today), Spent::default());
    // A price that is set right counts for what was used before; the project's own stands before the organization's.
    prices.set(price("p", "m", 100_000_000), true);
    prices.set(price("p", "m", 1), false);
    assert_eq!(spent(&tallies, 1, &budget("agent", Some("b"), "day"), &prices, today).micros, 1_200);
}

#[test]
fn days_that_are_over_long_ago_are_let_go_and_stay_in_the_total() {
    let tallies = Tallies::default();
    let tokens = Tokens { input: 1_000_000, ..Tokens::default() };
    for at in ["2026-01-01T00:00:00Z", "2026-11-29T00:00:00Z", "2026-02-01T00:00:00Z"] {
        tallies.add(1, &usage(at, "a", "m", tokens));
    }
    assert_eq!(tallies.picture()[&1].project.days.len(), 1);
    let mut prices = Prices::default();
    prices.set(price("p", "m", 7), false);
    assert_eq!(spent(&tallies, 1, &budget("project", None, "total"), &prices, 0).micros, 21);
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter_and_a_snapshot_is_the_same(
        rows in prop::collection::vec((0_i64..3, 20_000_i32..20_100, 0_u8..3, 0_u64..1_000), 0..40),
        cut in 0_usize..40,
    ) {
        let add = |tallies: &Tallies, (project, day, agent, input): &(i64, Day, u8, u64)| {
            let mut usage = usage("2026-11-29T00:00:00Z", &agent.to_string(), "m", Tokens { input: *input, ..Tokens::default() });
            usage.at = period::begin(*day);
            tallies.add(*project, &usage);
        };
        let (forwards, backwards) = (Tallies::default(), Tallies::default());
        for (row, other) in rows.iter().zip(rows.iter().rev()) {
            add(&forwards, row);
            add(&backwards, other);
        }
        let mut prices = Prices::default();
        prices.set(price("p", "m", 1_000_000), false);
        let newest = rows.iter().map(|row| row.1).max().unwrap_or_default();
        // Read back in the middle, it goes on as if it had never stopped.
        let cut = cut.min(rows.len());
        let halves = Tallies::default();
        for row in &rows[..cut] {
            add(&halves, row);
        }
        let halves = written(&halves);
        for row in &rows[cut..] {
            add(&halves, row);
        }
        prop_assert_eq!(halves.picture(), forwards.picture());
        for period in ["day", "week", "month", "total"] {
            for agent in ["0", "1", "2"] {
                let budget = budget("agent", Some(agent), period);
                let of = |tallies: &Tallies| (0..3).map(|project| spent(tallies, project, &budget, &prices, newest)).collect::<Vec<_>>();
                prop_assert_eq!(of(&forwards), of(&backwards));
            }
        }
    }
}

#[test]
fn many_names_are_bounded_and_what_finds_no_room_counts_for_all_it_may_belong_to() {
    let tallies = Tallies { projects: RwLock::default(), names_bytes_max: 64 * 1024 };
    let used = |agent: &str, at: &str, input: u64| {
        tallies.add(1, &usage(at, agent, "m", Tokens { input, ..Tokens::default() }));
    };
    let mut prices = Prices::default();
    prices.set(price("p", "m", 1_000_000), false);
    let today = day(Timestamp::parse("2026-06-01T00:00:00Z").expect("a time"));
    let of = |agent: &str, period: &str, today: Day| {
        let spent = spent(&tallies, 1, &budget("agent", Some(agent), period), &prices, today);
        (spent.micros, spent.at_most)
    };
    used("first", "2026-06-01T00:00:00Z", 7);
    for n in 0..5_000 {
        used(&format!("agent-{n}"), "2026-06-01T00:00:00Z", 1);
    }
    let bytes = tallies.picture()[&1].names_bytes();
    assert!((64 * 1024..66 * 1024).contains(&bytes), "{bytes}");
    assert_eq!(of("first", "day", today), (7, false), "who came first has an account");
    let (others, at_most) = of("agent-4999", "day", today);
    assert!(at_most && others > 4_000, "{others}: never less than it used");
    // The sum of the project misses nothing, and a restart changes nothing.
    let all = spent(&tallies, 1, &budget("project", None, "total"), &prices, today);
    assert_eq!((all.micros, all.at_most), (5_007, false));
    assert_eq!(written(&tallies).picture(), tallies.picture());
    // Who used another day without room for it is counted with the others.
    used("first", "2026-06-02T00:00:00Z", 2);
    let (micros, at_most) = of("first", "day", today + 1);
    assert!(at_most && micros >= 2, "{micros}");
    // Two months on the idle ones are let go: a name has room again, and no total is less than it was.
    used("new", "2026-09-01T00:00:00Z", 3);
    let later = day(Timestamp::parse("2026-09-01T00:00:00Z").expect("a time"));
    assert!(tallies.picture()[&1].names_bytes() < 8 * 1024);
    assert_eq!(of("new", "day", later), (3, false));
    let (micros, at_most) = of("first", "total", later);
    assert!(at_most && micros >= 9, "{micros}");
}

#[test]
fn many_models_and_currencies_are_bounded_and_count_for_more_rather_than_less() {
    let tallies = Tallies::default();
    let at = "2026-06-01T00:00:00Z";
    let mut named = usage(at, "a", "m", Tokens::default());
    for n in 0..100_u64 {
        named.cost = Some((5, format!("X{n:02}")));
        tallies.add(1, &named);
    }
    named.cost = Some((9, "USD".to_owned()));
    tallies.add(1, &named);
    for n in 0..2_000 {
        tallies.add(1, &usage(at, "a", &format!("m{n}"), Tokens { input: 1, ..Tokens::default() }));
    }
    let sums = &tallies.picture()[&1].project.total;
    assert!(sums.costs.len() <= 16 && sums.tokens["p"].len() < 600, "{}", sums.tokens["p"].len());
    let mut prices = Prices::default();
    prices.set(price("p", "m1999", 1_000_000), false);
    let spent = spent(&tallies, 1, &budget("agent", Some("a"), "total"), &prices, 0);
    // The one that has a price is not kept apart from those that have none.
    assert!(spent.at_most && spent.micros > 9 + 1_000, "{spent:?}");
    assert_eq!(spent.other_costs.len(), 16);
}
