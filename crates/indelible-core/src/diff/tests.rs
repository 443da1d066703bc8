//! The diff against an applier of its own, written from RFC 6902 alone.

use proptest::prelude::*;

use super::*;
use crate::json::parse;

fn read(text: &str) -> Value<'static> {
    parse(text.as_bytes()).expect("valid").into_owned()
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// Applies one operation (RFC 6902, sections 4.1 to 4.3), and panics where the target is not as the operation needs it.
fn apply(document: &mut Value<'static>, operation: &Value<'static>) {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).expect("a string").to_owned();
    let value = operation.get("value").cloned();
    let mut path = tokens(&text("path"));
    let Some(last) = path.pop() else {
        assert_eq!(text("op"), "replace");
        *document = value.expect("a value");
        return;
    };
    let parent = path.iter().fold(document, |at, token| match at {
        Value::Object(object) => object.get_mut(token).expect("the parent exists"),
        Value::Array(items) => &mut items[token.parse::<usize>().expect("an index")],
        _ => panic!("no parent"),
    });
    match (parent, text("op").as_str()) {
        (Value::Object(object), "add") => assert!(object.insert(last, value.expect("a value")).is_none(), "only what is absent is added"),
        (Value::Object(object), "replace") => assert!(object.insert(last, value.expect("a value")).is_some()),
        (Value::Object(object), "remove") => assert!(object.remove(&last).is_some()),
        (Value::Array(items), "add") => items.insert(last.parse().expect("an index"), value.expect("a value")),
        (Value::Array(items), "replace") => items[last.parse::<usize>().expect("an index")] = value.expect("a value"),
        (Value::Array(items), "remove") => drop(items.remove(last.parse().expect("an index"))),
        _ => panic!("unknown operation"),
    }
}

#[test]
fn operations_are_at_element_level() {
    let cases = [
        (r#"{"a":1}"#, r#"{"a":1}"#, "[]"),
        (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "[]"),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, r#"[{"op":"replace","path":"/a","value":1.0}]"#),
        (
            r#"{"a":{"b":1,"c":2}}"#,
            r#"{"a":{"b":3,"d":4}}"#,
            r#"[{"op":"remove","path":"/a/c"},{"op":"replace","path":"/a/b","value":3},{"op":"add","path":"/a/d","value":4}]"#,
        ),
        (r#"{"a/b":{"c~d":1}}"#, r#"{"a/b":{"c~d":2}}"#, r#"[{"op":"replace","path":"/a~1b/c~0d","value":2}]"#),
        ("[1,2,3]", "[0,1,2,3]", r#"[{"op":"add","path":"/0","value":0}]"#),
        ("[1,2,3,4]", "[1,4]", r#"[{"op":"remove","path":"/1"},{"op":"remove","path":"/1"}]"#),
        (
            r#"[{"id":1,"n":"a"},{"id":2,"n":"b"}]"#,
            r#"[{"id":1,"n":"a"},{"id":2,"n":"c"}]"#,
            r#"[{"op":"replace","path":"/1/n","value":"c"}]"#,
        ),
        ("1", "[]", r#"[{"op":"replace","path":"","value":[]}]"#),
        (r#"{"":{"":1}}"#, r#"{"":{}}"#, r#"[{"op":"remove","path":"//"}]"#),
    ];
    for (before, after, expected) in cases {
        let made = operations(&read(before), &read(after));
        assert_eq!(String::from_utf8_lossy(&made.to_verbatim()), expected, "{before} {after}");
    }
}

#[test]
fn changes_name_roots_of_what_came_and_went_and_leaves_of_what_changed() {
    let cases: [(&str, &str, &[&str], usize); 6] = [
        ("{}", r#"{"a":{"b":1},"c":2}"#, &["/a", "/c"], 2),
        (r#"{"a":{"b":1,"c":{"d":2}}}"#, r#"{"a":{"b":1,"c":{"d":3}}}"#, &["/a/c/d"], 1),
        ("[1,2,3,4]", "[1,4,5]", &["/1", "/2", "/2"], 3),
        ("[9,8,1,2]", "[1,2]", &["/0", "/1"], 2),
        (r#"{"a":1}"#, r#"{"a":1}"#, &[], 0),
        ("1", "2", &[], 1),
    ];
    for (before, after, listed, total) in cases {
        let made = changes(&read(before), &read(after));
        assert_eq!(
            (made.listed.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), made.total),
            (listed, total),
            "{before} {after}"
        );
    }
}

#[test]
fn changes_are_bounded_and_counted() {
    let object = |count: usize, length: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"{n:0length$}\":1")).collect();
        read(&format!("{{{}}}", members.join(",")))
    };
    let nothing = read("{}");
    let many = changes(&nothing, &object(1_000, 4));
    assert_eq!((many.listed.len(), many.total), (CHANGES_MAX, 1_000));
    let long = changes(&nothing, &object(200, 99));
    assert_eq!((long.listed.len(), long.total), (CHANGES_BYTES_MAX / 100, 200));
    let longest = changes(&nothing, &object(1, TEXT_BYTES_MAX));
    assert_eq!((longest.listed.len(), longest.total), (0, 1));
}

#[test]
fn large_arrays_are_diffed_in_bounded_work() {
    let array = |from: usize, to: usize| read(&format!("[{}]", (from..to).map(|n| n.to_string()).collect::<Vec<_>>().join(",")));
    let (before, after) = (array(0, 20_000), array(10, 20_010));
    let mut document = before.clone();
    let made = operations(&before, &after);
    made.as_array().expect("an array").iter().for_each(|operation| apply(&mut document, operation));
    assert_eq!(document, after);
}

fn json() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0_i64..4).prop_map(Value::integer),
        "[ab/~]{0,2}".prop_map(Value::string),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(Value::Array),
            prop::collection::btree_map("[ab/~]{0,2}", inner, 0..5)
                .prop_map(|members| Value::Object(Object::from_distinct(members.into_iter().map(|(k, v)| (k.into(), v)).collect()))),
        ]
    })
}

proptest! {
    #[test]
    fn applying_the_diff_gives_the_second_value(before in json(), after in json(), work in prop_oneof![Just(WORK_MAX), 0_usize..200]) {
        let mut walk = Walk { work, pointer: String::new(), sink: Operations { made: Vec::new() } };
        walk.compare(&before, &after);
        let mut document = before.clone();
        for operation in &walk.sink.made {
            apply(&mut document, operation);
        }
        prop_assert_eq!(document.to_canonical(), after.to_canonical());
        let equal = before.to_canonical() == after.to_canonical();
        prop_assert_eq!(walk.sink.made.is_empty(), equal);
        prop_assert_eq!(changes(&before, &after).total == 0, equal);
    }
}
