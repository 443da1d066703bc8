//! The reader agrees with `serde_json` on what JSON is and means, and what it reads it prints and reads again. Cutting an array and
//! reading its items is reading the array.
//!
//! Stricter on purpose: duplicate names and lone surrogates are refused, depth is bounded.

#![no_main]

use indelible_core::fault::FaultKind;
use indelible_core::json::{Cut, Value, check_array, cut, parse, parse_item};
use libfuzzer_sys::fuzz_target;

fn same(ours: &Value<'_>, theirs: &serde_json::Value) -> bool {
    match (ours, theirs) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Value::Number(a), serde_json::Value::Number(b)) => serde_json::from_str::<serde_json::Number>(a).is_ok_and(|a| a == *b),
        (Value::String(a), serde_json::Value::String(b)) => a == b,
        (Value::Array(a), serde_json::Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), serde_json::Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

fn cut_agrees(text: &[u8]) {
    let whole = parse(text);
    match cut(text, usize::MAX) {
        Cut::Items(items) => match items.into_iter().map(parse_item).collect::<Result<Vec<_>, _>>() {
            Ok(items) => assert_eq!(whole, Ok(Value::Array(items))),
            Err(_) => assert!(whole.is_err()),
        },
        Cut::Broken => assert!(whole.is_err()),
        Cut::Other => assert!(!matches!(whole, Ok(Value::Array(_)))),
        Cut::TooMany => unreachable!("as many as there are"),
    }
    assert_eq!(check_array(text).err(), parse(text).err());
}

fuzz_target!(|text: &[u8]| {
    cut_agrees(text);
    match (parse(text), serde_json::from_slice::<serde_json::Value>(text)) {
        (Ok(ours), theirs) => {
            match theirs {
                Ok(theirs) => assert!(same(&ours, &theirs)),
                // Floats beyond f64, and one level of depth less.
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("out of range") || error.contains("recursion limit"), "taken by us alone: {error}");
                }
            }
            let (verbatim, canonical) = (ours.to_verbatim(), ours.to_canonical());
            assert_eq!(parse(&verbatim).expect("what is printed is JSON"), ours);
            assert_eq!(parse(&canonical).expect("what is printed is JSON").to_verbatim(), canonical);
        }
        (Err(fault), Ok(_)) => assert_ne!(fault.kind, FaultKind::Malformed, "refused by us alone: {fault}"),
        (Err(_), Err(_)) => {}
    }
});
