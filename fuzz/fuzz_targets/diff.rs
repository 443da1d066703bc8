//! Applying a diff to its first value gives its second; no diff and no changes mean equality. The input is two JSON texts with a zero
//! byte between them.

#![no_main]

use indelible_core::diff::{changes, operations};
use indelible_core::json::{Value, parse};
use libfuzzer_sys::fuzz_target;

/// RFC 6902, sections 4.1 to 4.3.
fn apply<'a>(document: &mut Value<'a>, operation: &Value<'a>) {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).expect("a string");
    let value = operation.get("value").cloned();
    let mut path: Vec<String> = text("path").split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    let Some(last) = path.pop() else {
        *document = value.expect("a value");
        return;
    };
    let parent = path.iter().fold(document, |at, token| match at {
        Value::Object(object) => object.get_mut(token).expect("the parent exists"),
        Value::Array(items) => &mut items[token.parse::<usize>().expect("an index")],
        _ => panic!("no parent"),
    });
    match (parent, text("op")) {
        (Value::Object(object), "add") => assert!(object.insert(last, value.expect("a value")).is_none()),
        (Value::Object(object), "replace") => assert!(object.insert(last, value.expect("a value")).is_some()),
        (Value::Object(object), "remove") => assert!(object.remove(&last).is_some()),
        (Value::Array(items), "add") => items.insert(last.parse().expect("an index"), value.expect("a value")),
        (Value::Array(items), "replace") => items[last.parse::<usize>().expect("an index")] = value.expect("a value"),
        (Value::Array(items), "remove") => drop(items.remove(last.parse().expect("an index"))),
        _ => panic!("unknown operation"),
    }
}

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (Some(Ok(before)), Some(Ok(after))) = (parts.next().map(parse), parts.next().map(parse)) else { return };
    let made = operations(&before, &after);
    let mut document = before.clone();
    made.as_array().expect("an array").iter().for_each(|operation| apply(&mut document, operation));
    let (wanted, equal) = (after.to_canonical(), before.to_canonical() == after.to_canonical());
    assert_eq!(document.to_canonical(), wanted);
    assert_eq!(made.as_array().is_some_and(<[Value<'_>]>::is_empty), equal);
    assert_eq!(changes(&before, &after).total == 0, equal);
});
