//! Agreement with `serde_json` on what JSON is and means, and the laws of the writers.

use proptest::prelude::*;

use super::{Cut, Value, check_array, cut, parse, parse_item};
use crate::fault::FaultKind;

/// Whether both readers saw the same: numbers compare as `serde_json` reads their text.
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

/// Read, not taken as it was: `serde_json` does not read each float that it writes as the same one.
fn read_by_serde(text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).expect("valid")
}

fn agree(text: &[u8]) -> Result<(), TestCaseError> {
    match (parse(text), serde_json::from_slice::<serde_json::Value>(text)) {
        (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{:?} is not {:?}", ours, theirs),
        (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "taken by us alone: {}", error),
        // Stricter on purpose: duplicate names. Lone surrogates and depth, both refuse.
        (Err(fault), Ok(_)) => prop_assert_eq!(fault.kind, FaultKind::Invalid, "refused by us alone: {}", fault),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        "[\u{0}-\u{1f}\"\\\\/é€😀]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            proptest::collection::btree_map("[a-c]{0,3}|\\PC{1,2}", inner, 0..20)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn valid_text_means_the_same(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.expect("writes");
        let ours = parse(&text).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert!(same(&ours, &read_by_serde(&text)));
    }

    #[test]
    fn broken_text_is_refused_alike(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = serde_json::to_vec(&value).expect("writes");
        let at = at.index(text.len());
        if cut { text.truncate(at); } else { text[at] = byte; }
        agree(&text)?;
    }

    #[test]
    fn texts_of_the_letters_of_json_are_read_alike(text in "[\\[\\]{}:,\"\\\\ 0-9eE.+ntrufalsebd\\-]{0,24}") {
        agree(text.as_bytes())?;
    }

    #[test]
    fn escapes_are_read_alike(text in "\"(\\\\[bfnrtu/\\\\\"]|\\\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\u[0-9a-f]{4}|[a-z\u{80}-\u{ff}]){0,6}\"") {
        agree(text.as_bytes())?;
    }

    #[test]
    fn what_is_printed_is_read_again(value in json()) {
        let text = serde_json::to_vec(&value).expect("writes");
        let ours = parse(&text).expect("valid");
        let verbatim = ours.to_verbatim();
        prop_assert_eq!(&parse(&verbatim).expect("valid"), &ours);
        let canonical = ours.to_canonical();
        let again = parse(&canonical).expect("valid");
        prop_assert_eq!(&again.to_canonical(), &canonical, "idempotent");
        prop_assert_eq!(&again.to_verbatim(), &canonical, "sorted");
        prop_assert!(same(&again, &read_by_serde(&text)));
    }

    #[test]
    fn members_are_sorted_by_utf16(names in proptest::collection::btree_set("[\u{f000}-\u{ffff}😀-😂a-c]{0,3}", 0..30)) {
        let members = names.iter().map(|name| (name.as_str().into(), Value::Null)).collect();
        let mut object = super::Object::from_distinct(members);
        let canonical = Value::Object(object.clone()).to_canonical();
        object.sort();
        prop_assert!(object.iter().map(|(name, _)| name.encode_utf16().collect::<Vec<_>>()).is_sorted());
        prop_assert_eq!(Value::Object(object).to_verbatim(), canonical);
    }
}

/// Cutting an array and parsing its items is parsing the array.
fn cut_agrees(text: &[u8]) -> Result<(), TestCaseError> {
    let whole = parse(text);
    match cut(text, usize::MAX) {
        Cut::Items(items) => {
            let items: Result<Vec<_>, _> = items.into_iter().map(parse_item).collect();
            prop_assert_eq!(items.is_ok(), whole.is_ok());
            if let (Ok(items), Ok(Value::Array(whole))) = (items, &whole) {
                prop_assert_eq!(&items, whole);
            }
        }
        Cut::Broken => prop_assert!(whole.is_err()),
        Cut::Other => prop_assert!(!matches!(whole, Ok(Value::Array(_)))),
        Cut::TooMany => prop_assert!(false),
    }
    prop_assert_eq!(check_array(text).err(), whole.err());
    Ok(())
}

proptest! {
    #[test]
    fn cutting_and_parsing_items_is_parsing(value in json(), at in any::<prop::sample::Index>(), with in prop::sample::select(b"[]{},\"\\1 \n\x0c".to_vec())) {
        let mut text = serde_json::to_vec(&serde_json::json!([value, value])).expect("writes");
        cut_agrees(&text)?;
        let at = at.index(text.len());
        text[at] = with;
        cut_agrees(&text)?;
        text.remove(at);
        cut_agrees(&text)?;
    }

    #[test]
    fn cutting_any_brackets_and_commas_is_parsing(text in "[\\[\\]{},:\"1a\\\\ \x0c]{0,12}") {
        cut_agrees(text.as_bytes())?;
        cut_agrees(format!("[{text}]").as_bytes())?;
    }

    #[test]
    fn depth_counts_the_array_around_an_item(levels in 120_usize..132) {
        cut_agrees(format!("[{}{}]", "[".repeat(levels), "]".repeat(levels)).as_bytes())?;
    }
}
