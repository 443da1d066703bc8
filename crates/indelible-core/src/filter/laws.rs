//! Laws of filters, held against an evaluator that shares nothing with ours: it works on the parts a filter was made of,
//! collects values into lists first, and reads the entry with another JSON library.

use jiff::Timestamp as Instant;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Filter, Plan, terms, terms_of_bytes};
use crate::json;
use crate::limits::FILTER_BYTES_MAX;

/// What a generated filter is made of.
#[derive(Debug, Clone)]
enum Part {
    And(Vec<Part>),
    Or(Vec<Part>),
    Not(Box<Part>),
    /// Prefix and the comparisons that one element satisfies, joined by `and`.
    Element(&'static str, Vec<Comparison>),
    One(Comparison),
}

#[derive(Debug, Clone)]
struct Comparison {
    /// As written, and the path it means.
    name: (&'static str, &'static str),
    operator: &'static str,
    value: Json,
}

const TEXTS: &[(&str, &str)] = &[
    ("actor.id", "actor.id"),
    ("Actor_Id", "actor.id"),
    ("actor.on_behalf_of", "actor.on_behalf_of"),
    ("ACTOR.CHAIN.ID", "actor.chain.id"),
    ("actor_chain_display", "actor.chain.display"),
    ("reason", "reason"),
    ("subjects", "subjects"),
    ("changes", "changes"),
    ("resource_type", "resource.type"),
    ("thread_id", "run.thread_id"),
    ("tool", "context.tool"),
    ("context.Two", "context.two"),
    ("outcome", "outcome"),
];
const INTEGERS: &[(&str, &str)] = &[("http.status", "http.status"), ("SEQUENCE", "sequence"), ("usage_input_tokens", "usage.input_tokens")];
const TIMES: &[(&str, &str)] = &[("occurred_at", "occurred_at"), ("Ingested_At", "recorded_at"), ("claimed_at", "claimed_at")];
const BOOLEANS: &[(&str, &str)] = &[("http.request_truncated", "http.request_truncated")];
const ORDERINGS: &[&str] = &["eq", "ne", "gt", "ge", "lt", "le", "pr"];

/// Few and short texts, so that they often meet; some need escapes, some sort otherwise in UTF-16.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["", "a", "b", "ab", "A", "aba", "\"", "a\"", "\\", "\n", "é", "\u{fb33}", "😀", "\u{1f}", "/"]).prop_map(str::to_owned),
        1 => "[ab\"\\\\\\PC]{0,4}",
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![-2..4_i64, Just(403), any::<i64>()]
}

/// An instant of few, in one of several offsets: (what an entry holds, what a filter says).
fn time() -> impl Strategy<Value = (String, String)> {
    (0..4_i64, prop::sample::select(vec![(0, "Z"), (7200, "+02:00"), (-19_800, "-05:30")])).prop_map(|(n, (seconds, offset))| {
        let instant = Instant::from_microsecond(1_777_593_600_000_000 + n * 500_000).expect("in range");
        let local = Instant::from_microsecond(instant.as_microsecond() + seconds * 1_000_000).expect("in range");
        let body = |t: Instant| t.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string();
        (format!("{}Z", body(instant)), format!("{}{offset}", body(local)))
    })
}

fn comparison() -> impl Strategy<Value = Comparison> {
    let textual: Vec<&str> = ORDERINGS.iter().chain(&["eq", "co", "sw", "ew", "Eq", "CO"]).copied().collect();
    let of = |names: &'static [(&'static str, &'static str)]| prop::sample::select(names);
    prop_oneof![
        4 => (of(TEXTS), prop::sample::select(textual), text()).prop_map(|(name, operator, v)| Comparison { name, operator, value: json!(v) }),
        1 => (of(INTEGERS), prop::sample::select(ORDERINGS), integer()).prop_map(|(name, operator, v)| Comparison { name, operator, value: json!(v) }),
        1 => (of(TIMES), prop::sample::select(ORDERINGS), time()).prop_map(|(name, operator, v)| Comparison { name, operator, value: json!(v.1) }),
        1 => (of(BOOLEANS), prop::sample::select(vec!["eq", "ne", "pr"]), any::<bool>()).prop_map(|(name, operator, v)| Comparison { name, operator, value: json!(v) }),
    ]
}

fn element() -> impl Strategy<Value = Part> {
    let inner = |names: Vec<(&'static str, &'static str)>| {
        let one = (prop::sample::select(names), prop::sample::select(vec!["eq", "ne", "co", "sw", "pr"]), text());
        prop::collection::vec(one.prop_map(|(name, operator, v)| Comparison { name, operator, value: json!(v) }), 1..3)
    };
    prop_oneof![
        inner(vec![("id", "id"), ("Display", "display")]).prop_map(|c| Part::Element("actor.chain", c)),
        inner(vec![("value", "")]).prop_map(|c| Part::Element("subjects", c)),
        inner(vec![("id", "id"), ("on_behalf_of", "on_behalf_of")]).prop_map(|c| Part::Element("actor", c)),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = prop_oneof![5 => comparison().prop_map(Part::One), 1 => element()];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Part::And),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Part::Or),
            1 => inner.prop_map(|part| Part::Not(Box::new(part))),
        ]
    })
}

fn entry() -> impl Strategy<Value = Json> {
    let some = |strategy: BoxedStrategy<Json>| prop::option::weighted(0.7, strategy);
    let string = || some(text().prop_map(|t| json!(t)).boxed());
    let number = || some(integer().prop_map(|n| json!(n)).boxed());
    let instant = || some(time().prop_map(|t| json!(t.0)).boxed());
    let strings = || some(prop::collection::vec(text(), 0..4).prop_map(|t| json!(t)).boxed());
    let chain = some(
        prop::collection::vec((string(), string()).prop_map(|(id, display)| object([("id", id), ("display", display)])), 0..3)
            .prop_map(Json::Array)
            .boxed(),
    );
    let actor = (string(), string(), chain).prop_map(|(id, by, chain)| object([("id", id), ("on_behalf_of", by), ("chain", chain)]));
    let context = (string(), string()).prop_map(|(tool, two)| object([("Tool", tool), ("two", two)]));
    let http = (number(), some(any::<bool>().prop_map(|b| json!(b)).boxed()))
        .prop_map(|(status, cut)| object([("status", status), ("request_truncated", cut)]));
    let nested = (some(actor.boxed()), some(context.boxed()), some(http.boxed()), number(), string(), string());
    (nested, string(), string(), strings(), strings(), number(), instant(), instant(), instant()).prop_map(
        |((actor, context, http, tokens, thread, sort), reason, outcome, subjects, changes, sequence, occurred, recorded, claimed)| {
            object([
                ("actor", actor),
                ("context", context),
                ("http", http),
                ("usage", Some(object([("input_tokens", tokens)]))),
                ("run", Some(object([("thread_id", thread)]))),
                ("resource", Some(object([("type", sort)]))),
                ("reason", reason),
                ("outcome", outcome),
                ("subjects", subjects),
                ("changes", changes),
                ("sequence", sequence),
                ("occurred_at", occurred),
                ("recorded_at", recorded),
                ("claimed_at", claimed),
            ])
        },
    )
}

fn object<const N: usize>(members: [(&str, Option<Json>); N]) -> Json {
    Json::Object(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// As a person might write it: parentheses where they are needed and, by the depth, where they are not.
fn print(part: &Part, depth: usize) -> String {
    let list = |parts: &[Part], word: &str| {
        let text = parts.iter().map(|p| print(p, depth + 1)).collect::<Vec<_>>().join(word);
        format!("({text})")
    };
    match part {
        Part::And(parts) => list(parts, if depth.is_multiple_of(2) { " and " } else { "  AND\n" }),
        Part::Or(parts) => list(parts, " Or "),
        Part::Not(inner) => format!("not ({})", print(inner, depth + 1)),
        Part::Element(prefix, parts) => format!("{prefix}[{}]", parts.iter().map(print_one).collect::<Vec<_>>().join(" and ")),
        Part::One(comparison) => print_one(comparison),
    }
}

fn print_one(Comparison { name, operator, value }: &Comparison) -> String {
    if *operator == "pr" { format!("{} pr", name.0) } else { format!("{} {operator} {value}", name.0) }
}

/// Every value at `path`, arrays opened; keys of context in lower case.
fn values(value: &Json, path: &str) -> Vec<Json> {
    if let Json::Array(items) = value {
        return items.iter().flat_map(|item| values(item, path)).collect();
    }
    if path.is_empty() {
        return vec![value.clone()];
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let members = value.as_object().into_iter().flatten();
    members.filter(|(name, _)| name.to_lowercase() == first).flat_map(|(_, inner)| values(inner, rest)).collect()
}

fn naive_one(Comparison { name, operator, value }: &Comparison, entry: &Json) -> bool {
    let found = values(entry, name.1);
    let is_time = TIMES.contains(name);
    let order = |v: &Json| match (v, value) {
        (Json::String(a), Json::String(b)) if is_time => a.parse::<Instant>().expect("a time").cmp(&b.parse().expect("a time")),
        (Json::String(a), Json::String(b)) => a.chars().cmp(b.chars()),
        (a, b) if a.is_number() => a.as_i64().cmp(&b.as_i64()),
        (a, b) => a.as_bool().cmp(&b.as_bool()),
    };
    let text = |v: &Json| v.as_str().expect("a text").to_owned();
    match operator.to_lowercase().as_str() {
        "pr" => !found.is_empty(),
        "eq" => found.iter().any(|v| order(v).is_eq()),
        "ne" => found.iter().all(|v| order(v).is_ne()),
        "gt" => found.iter().any(|v| order(v).is_gt()),
        "ge" => found.iter().any(|v| order(v).is_ge()),
        "lt" => found.iter().any(|v| order(v).is_lt()),
        "le" => found.iter().any(|v| order(v).is_le()),
        "co" => found.iter().any(|v| text(v).contains(&text(value))),
        "sw" => found.iter().any(|v| text(v).starts_with(&text(value))),
        "ew" => found.iter().any(|v| text(v).ends_with(&text(value))),
        other => panic!("{other}"),
    }
}

fn naive(part: &Part, entry: &Json) -> bool {
    match part {
        Part::And(parts) => parts.iter().all(|p| naive(p, entry)),
        Part::Or(parts) => parts.iter().any(|p| naive(p, entry)),
        Part::Not(inner) => !naive(inner, entry),
        Part::Element(prefix, parts) => values(entry, prefix).iter().any(|e| parts.iter().all(|c| naive_one(c, e))),
        Part::One(comparison) => naive_one(comparison, entry),
    }
}

fn satisfied(plan: &Plan, held: &[(String, String)]) -> bool {
    match plan {
        Plan::All => true,
        Plan::Term(term) => held.iter().any(|(attribute, value)| *attribute == term.attribute && *value == term.value),
        Plan::And(parts) => parts.iter().all(|p| satisfied(p, held)),
        Plan::Or(parts) => parts.iter().any(|p| satisfied(p, held)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn filters_mean_what_the_naive_evaluator_says(part in part(), entries in prop::collection::vec(entry(), 1..4)) {
        let text = print(&part, 0);
        let filter = Filter::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        for entry in entries {
            let bytes = entry.to_string();
            let value = json::parse(bytes.as_bytes()).expect("valid");
            let matches = filter.matches(&value);
            let (mut held, mut scanned) = (Vec::new(), Vec::new());
            terms(&value, &mut |attribute, value| held.push((attribute.to_owned(), value.to_owned())));
            prop_assert!(terms_of_bytes(bytes.as_bytes(), &mut |attribute, value| scanned.push((attribute.to_owned(), value.to_owned()))));
            prop_assert_eq!(&scanned, &held);
            prop_assert_eq!(matches, naive(&part, &entry), "{} on {}", text, bytes);
            if matches {
                prop_assert!(satisfied(&filter.plan(), &held), "{:?} of {} on {}", filter.plan(), text, bytes);
                if let Some(needle) = filter.necessary_bytes() {
                    let canonical = value.to_canonical();
                    prop_assert!(memchr::memmem::find(&canonical, &needle).is_some(), "{:?} of {} on {}", needle, text, bytes);
                }
                for (name, (least, greatest)) in [("occurred_at", filter.occurred_at_bounds()), ("recorded_at", filter.recorded_at_bounds())] {
                    let time = values(&entry, name).first().and_then(|t| crate::time::Timestamp::parse(t.as_str()?));
                    prop_assert!(least.is_none_or(|least| time >= Some(least)) && greatest.is_none_or(|g| time.is_some_and(|t| t <= g)));
                }
                let (least, greatest) = filter.sequence_bounds();
                let sequence = entry["sequence"].as_i64();
                prop_assert!(least.is_none_or(|least| sequence >= Some(least)) && greatest.is_none_or(|g| sequence.is_some_and(|s| s <= g)));
            }
        }
    }

    #[test]
    fn the_normalised_text_is_the_same_filter(part in part()) {
        let text = print(&part, 0);
        let filter = Filter::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let normalised = filter.normalised();
        prop_assert!(normalised.len() <= FILTER_BYTES_MAX);
        let again = Filter::parse(&normalised).unwrap_or_else(|e| panic!("{normalised}: {e}"));
        prop_assert_eq!(again.normalised(), normalised);
        prop_assert_eq!(again, filter);
    }

    #[test]
    fn no_text_makes_the_parser_panic(words in prop::collection::vec(prop_oneof![
        prop::sample::select(vec!["not", "and", "or", "(", ")", "[", "]", "actor.id", "actor.chain", "context", "subjects", "eq", "pr", "\"a\"", "1",
            "-", "true", "null", "id", "value", "\"", "\\", "é", "occurred_at", " "]).prop_map(str::to_owned),
        "\\PC{0,3}",
    ], 0..24)) {
        let text = words.join(" ");
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.normalised()), Ok(filter)),
            Err(error) => prop_assert!(text.is_char_boundary(error.at), "{}: {}", text, error),
        }
    }
}
