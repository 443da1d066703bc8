//! What is refused and where, what is kept and how: a table of faults, limits at their edges, and laws over random events.

use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::members::{ENTRY, Member, Owner, Shape, find};
use super::{Source, Submission, arbitrary};
use crate::fault::{Fault, FaultKind};
use crate::json::{self, Object, Value, push_pointer};
use crate::limits::{CONTEXT_KEYS_MAX, LIST_ITEMS_MAX, NAME_BYTES_MAX};

const NEW_ID: Uuid = Uuid::from_u128(0x0190_a5f0_5b1c_7d3e_8f00_0000_0000_0001);

/// The least event, open at its end for more members.
const LEAST: &str = r#"{"action":"a.b","actor":{"type":"human","id":"u"},"outcome":"allow""#;

fn least_with(members: &str) -> String {
    if members.is_empty() { format!("{LEAST}}}") } else { format!("{LEAST},{members}}}") }
}

fn parse(text: &str) -> Result<Submission<'_>, Fault> {
    Submission::parse(text.as_bytes(), Source::Caller, NEW_ID)
}

/// `testdata/faults.json`: kind, pointer, and a whole submission, or `+` and members beside those of the least event.
#[test]
fn faults_have_a_kind_and_a_place() {
    let file = json::parse(include_bytes!("../../testdata/faults.json")).expect("valid");
    let rows = file.as_array().expect("an array");
    assert!(rows.len() > 70);
    for row in rows {
        let row: Vec<&str> = row.as_array().expect("a row").iter().map(|cell| cell.as_str().expect("text")).collect();
        let text = row[2].strip_prefix('+').map_or_else(|| row[2].to_owned(), least_with);
        let fault = parse(&text).expect_err(&text);
        assert_eq!((format!("{:?}", fault.kind).as_str(), fault.pointer.as_str()), (row[0], row[1]), "{text}: {fault}");
    }
}

#[test]
fn the_engine_writes_its_own_members_and_no_stamp() {
    let text = r#"{"action":"audit.read","actor":{"type":"human","id":"u"},"outcome":"allow","read":{"filter":"a eq 1","returned":3}}"#;
    let submission = Submission::parse(text.as_bytes(), Source::Engine, NEW_ID).expect("the engine's");
    assert_eq!(submission.envelope().get("read").and_then(|read| read.get("returned")), Some(&Value::integer(3)));
    for member in ENTRY.iter().filter(|member| member.owner == Owner::Server) {
        let text = least_with(&format!("\"{}\":1", member.name));
        let fault = Submission::parse(text.as_bytes(), Source::Engine, NEW_ID).expect_err(member.name);
        assert_eq!((fault.kind, fault.pointer), (FaultKind::ServerOwned, format!("/{}", member.name)));
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let keys = |count: usize, value: usize| {
        let each: Vec<String> = (0..count).map(|n| format!("\"k{n:02}\":\"{}\"", "v".repeat(value))).collect();
        format!("\"context\":{{{}}}", each.join(","))
    };
    let key = |bytes: usize| format!("\"context\":{{\"{}\":\"v\"}}", "k".repeat(bytes));
    let items = |count: usize| format!("\"subjects\":[{}]", vec!["\"s\""; count].join(","));
    let name = |bytes: usize| format!("\"channel\":\"{}\"", "é".repeat(bytes / 2) + &"x".repeat(bytes % 2));
    let long_key = format!("/context/{}", "k".repeat(65));
    let cases: &[(String, Option<&str>)] = &[
        (keys(CONTEXT_KEYS_MAX, 1), None),
        (keys(CONTEXT_KEYS_MAX + 1, 1), Some("/context")),
        (keys(1, 512), None),
        (keys(1, 513), Some("/context/k00")),
        (keys(8, 509), None),
        (keys(8, 510), Some("/context")),
        (key(64), None),
        (key(65), Some(&long_key)),
        (items(LIST_ITEMS_MAX), None),
        (items(LIST_ITEMS_MAX + 1), Some("/subjects")),
        (name(NAME_BYTES_MAX), None),
        (name(NAME_BYTES_MAX + 1), Some("/channel")),
    ];
    for (members, pointer) in cases {
        let text = least_with(members);
        let fault = parse(&text).err();
        assert_eq!(fault.as_ref().map(|fault| (fault.kind, fault.pointer.as_str())), pointer.map(|at| (FaultKind::TooLarge, at)));
    }
}

#[test]
fn run_and_thread_are_sent_to_their_place() {
    for key in ["run_id", "runId", "RUN-ID", "thread_id", "thread.id", "run.thread_id", "Thread Id"] {
        let text = least_with(&format!("\"context\":{{\"{key}\":\"x\"}}"));
        let fault = parse(&text).expect_err(key);
        assert!(fault.message.contains("`run.id`") && fault.message.contains("`run.thread_id`"), "{fault}");
    }
    for key in ["runner_id", "run", "thread", "tool_call_id", "parent_run"] {
        assert!(parse(&least_with(&format!("\"context\":{{\"{key}\":\"x\"}}"))).is_ok(), "{key}");
    }
}

#[test]
fn what_is_accepted_is_put_into_one_form() {
    let text = least_with(
        r#""id":"0190A5F0-5B1C-7D3E-8F00-0000000000AB","occurred_at":"2026-11-21T19:00:00+01:00","content":{"result":null,"extra":[1.0,-0]}"#,
    );
    let submission = parse(&text).expect("valid");
    assert_eq!(submission.id(), Uuid::from_u128(0x0190_a5f0_5b1c_7d3e_8f00_0000_0000_00ab));
    let envelope = String::from_utf8(Value::Object(submission.envelope().clone()).to_verbatim()).expect("UTF-8");
    assert_eq!(
        envelope,
        r#"{"action":"a.b","action_category":"a","actor":{"id":"u","type":"human"},"id":"0190a5f0-5b1c-7d3e-8f00-0000000000ab","occurred_at":"2026-11-21T18:00:00.000000Z","outcome":"allow"}"#
    );
    assert_eq!(
        std::str::from_utf8(submission.canonical()).expect("UTF-8"),
        r#"{"action":"a.b","actor":{"id":"u","type":"human"},"content":{"extra":[1.0,-0],"result":null},"id":"0190a5f0-5b1c-7d3e-8f00-0000000000ab","occurred_at":"2026-11-21T19:00:00+01:00","outcome":"allow"}"#
    );
    let content = submission.content().map(|content| Value::Object(content.clone()).to_verbatim());
    assert_eq!(content.as_deref(), Some(br#"{"result":null,"extra":[1.0,-0]}"#.as_slice()));
    assert!(parse(&least_with("\"content\":{}")).expect("valid").content().is_none());
    assert_eq!(parse(&least_with("")).expect("valid").id(), NEW_ID);
    assert!(parse(r#"{"action":"a.b","actor":{"type":"anonymous"},"phase":"intent","operation_id":"o"}"#).is_ok());
}

#[test]
fn a_message_never_repeats_the_value() {
    let secret = "hunter2";
    for members in [r#""occurred_at":"hunter2""#, r#""id":"hunter2""#, r#""phase":"hunter2""#, r#""action_category":"hunter2!""#] {
        let text = least_with(members);
        assert!(!parse(&text).expect_err(members).to_string().contains(secret));
    }
}

/// A place in an event: its path, and what the table says of it.
struct Place {
    path: Vec<String>,
    shape: Shape,
}

impl Place {
    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |mut pointer, token| {
            push_pointer(&mut pointer, token);
            pointer
        })
    }

    fn of<'v>(&self, event: &'v mut Value<'static>) -> &'v mut Value<'static> {
        self.path.iter().fold(event, |value, token| match value {
            Value::Object(object) => object.get_mut(token).expect("a member"),
            Value::Array(items) => &mut items[token.parse::<usize>().expect("an index")],
            other => panic!("{token} in {}", other.kind()),
        })
    }
}

/// Every value of an event, the event itself aside.
fn places(object: &Object<'_>, members: &'static [Member], path: &[String], out: &mut Vec<Place>) {
    for (name, value) in object.iter() {
        let shape = find(members, name).expect("known").shape;
        let path: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
        let item_path = |item: &str| path.iter().cloned().chain([item.to_owned()]).collect::<Vec<_>>();
        match (shape, value) {
            (Shape::Object(members), Value::Object(inner)) => places(inner, members, &path, out),
            (Shape::Labels, Value::Object(inner)) => {
                out.extend(inner.iter().map(|(key, _)| Place { path: item_path(key), shape: Shape::Text(512) }));
            }
            (Shape::Texts(_, bytes_max), Value::Array(items)) => {
                out.extend((0..items.len()).map(|at| Place { path: item_path(&at.to_string()), shape: Shape::Text(bytes_max) }));
            }
            (Shape::Objects(_, members), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    let path = item_path(&at.to_string());
                    places(item.as_object().expect("an object"), members, &path, out);
                    out.push(Place { path, shape: Shape::Object(members) });
                }
            }
            _ => {}
        }
        out.push(Place { path, shape });
    }
}

#[derive(Debug, Clone, Copy)]
enum Mutation {
    Unknown,
    Server(&'static str),
    Null,
    WrongType,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let owned: Vec<_> = ENTRY.iter().filter(|member| member.owner != Owner::Caller).map(|member| member.name).collect();
    prop_oneof![
        Just(Mutation::Unknown),
        proptest::sample::select(owned).prop_map(Mutation::Server),
        Just(Mutation::Null),
        Just(Mutation::WrongType)
    ]
}

/// Breaks an event in one place; the kind and the pointer of the fault that must follow.
fn mutate(event: &mut Value<'static>, mutation: Mutation, at: Index) -> (FaultKind, String) {
    let mut all = Vec::new();
    places(event.as_object().expect("an object"), ENTRY, &[], &mut all);
    if let Mutation::Unknown = mutation {
        all.retain(|place| matches!(place.shape, Shape::Object(_)));
        all.push(Place { path: Vec::new(), shape: Shape::Object(ENTRY) });
    }
    let place = &all[at.index(all.len())];
    match mutation {
        Mutation::Unknown => {
            let Value::Object(object) = place.of(event) else { panic!("not an object") };
            object.insert("zz", Value::Bool(true));
            (FaultKind::Invalid, place.pointer() + "/zz")
        }
        Mutation::Server(name) => {
            let Value::Object(object) = event else { panic!("not an object") };
            object.insert(name, Value::integer(1));
            (FaultKind::ServerOwned, format!("/{name}"))
        }
        Mutation::Null => {
            *place.of(event) = Value::Null;
            (FaultKind::Invalid, place.pointer())
        }
        Mutation::WrongType => {
            *place.of(event) = if matches!(place.shape, Shape::Bool) { Value::integer(1) } else { Value::Bool(true) };
            (FaultKind::Invalid, place.pointer())
        }
    }
}

proptest! {
    #[test]
    fn valid_events_are_read_and_read_again_alike(event in arbitrary::event()) {
        let text = event.to_verbatim();
        let submission = Submission::parse(&text, Source::Caller, NEW_ID).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        let envelope = Value::Object(submission.envelope().clone());
        prop_assert_eq!(envelope.to_verbatim(), envelope.to_canonical(), "members are in canonical order");
        let again = Submission::parse(submission.canonical(), Source::Caller, Uuid::nil()).expect("canonical is valid");
        prop_assert_eq!(again.canonical(), submission.canonical());
        prop_assert_eq!(again.envelope(), submission.envelope());
        prop_assert_eq!(again.id(), submission.id());
    }

    #[test]
    fn every_single_fault_is_found_where_it_is(event in arbitrary::event(), mutation in mutation(), at in any::<Index>()) {
        let mut event = event;
        let expected = mutate(&mut event, mutation, at);
        let text = event.to_verbatim();
        let fault = Submission::parse(&text, Source::Caller, NEW_ID).expect_err("refused");
        prop_assert_eq!((fault.kind, fault.pointer), expected, "{:?}: {}", mutation, fault.message);
    }
}
