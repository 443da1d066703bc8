//! Merge patches (RFC 7396), by which resources are changed.

use indelible_core::fault::{Fault, FaultKind};
use serde_json::{Map, Value};

/// A document with a merge patch applied (RFC 7396): null takes a member away.
pub(super) fn merged(document: &str, patch: &str) -> Result<String, Fault> {
    let invalid = |error: serde_json::Error| Fault::new(FaultKind::Invalid, "", error.to_string());
    let mut target: Value = serde_json::from_str(document).map_err(invalid)?;
    let patch: Value = serde_json::from_str(patch).map_err(invalid)?;
    if !patch.is_object() {
        return Err(Fault::new(FaultKind::Invalid, "", "a merge patch of a resource is an object"));
    }
    merge(&mut target, patch);
    Ok(target.to_string())
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(members) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_those_of_the_rfc() {
        // RFC 7396, appendix A, those whose patch is an object.
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (document, patch, expected) in cases {
            let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert_eq!(read(&merged(document, patch).expect("an object")), read(expected), "{document} {patch}");
        }
        assert!(merged("{}", "[]").is_err() && merged("{}", "null").is_err());
    }
}
