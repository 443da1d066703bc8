//! Properties of what is asked about: JSON of any shape, laid flat by name, so that policies which are validated can speak of it.
//!
//! Strings, booleans and numbers are texts; integers are numbers too; arrays of those are lists. A member of a member has a dot in its
//! name. Of null, and of arrays that hold objects or arrays, policies see nothing. Refused: two properties of one name.

use std::collections::{BTreeMap, BTreeSet};

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value};
use indelible_core::limits::NAME_BYTES_MAX;

/// Properties of one thing, those of the things within it included.
const PROPERTIES_MAX: usize = 256;

/// Properties by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) numbers: BTreeMap<String, i64>,
    pub(crate) lists: BTreeMap<String, Vec<String>>,
    /// Texts that were strings: what a named attribute is made of.
    strings: BTreeSet<String>,
    /// Members that were laid flat, those included that hold nothing or others.
    members: usize,
}

impl Properties {
    /// Adds the members of an object, their names after `prefix`.
    pub(crate) fn add(&mut self, prefix: &str, object: &Object<'_>) -> Result<(), Fault> {
        for (name, value) in object.iter() {
            self.put(format!("{prefix}{name}"), value).map_err(|fault| fault.within(name))?;
        }
        Ok(())
    }

    fn put(&mut self, name: String, value: &Value<'_>) -> Result<(), Fault> {
        let fault = |message: &str| Err(Fault::new(FaultKind::Invalid, "", message));
        if self.texts.contains_key(&name) || self.lists.contains_key(&name) {
            return fault("has the name of another property, once both are laid flat");
        }
        self.members += 1;
        if self.members > PROPERTIES_MAX {
            return fault("is one property too many");
        }
        if name.len() > NAME_BYTES_MAX {
            return fault("has too long a name, those of the objects around it included");
        }
        match value {
            Value::Object(object) => self.add(&format!("{name}."), object)?,
            Value::Array(items) => {
                if let Some(items) = items.iter().map(scalar).collect::<Option<Vec<String>>>() {
                    self.lists.insert(name, items);
                }
            }
            _ => {
                if let Some(number) = value.as_integer() {
                    self.numbers.insert(name.clone(), number);
                }
                if value.as_str().is_some() {
                    self.strings.insert(name.clone());
                }
                if let Some(text) = scalar(value) {
                    self.texts.insert(name, text);
                }
            }
        }
        Ok(())
    }

    /// A property that was a string.
    pub(crate) fn string(&self, name: &str) -> Option<&str> {
        self.strings.contains(name).then(|| self.texts.get(name).map(String::as_str)).flatten()
    }
}

fn scalar(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(text) | Value::String(text) => Some(text.clone().into_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use indelible_core::json;

    use super::*;

    fn read(text: &str) -> Result<Properties, Fault> {
        let value = json::parse(text.as_bytes()).expect("JSON").into_owned();
        let mut properties = Properties::default();
        properties.add("", value.as_object().expect("an object")).map(|()| properties)
    }

    #[test]
    fn json_is_laid_flat() {
        let properties = read(r#"{"a":"x","b":{"c":7,"d":{"e":true}},"f":[1,"y",false],"g":[{}],"h":null,"i":1.5,"j":[]}"#).expect("flat");
        let texts: Vec<_> = properties.texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(texts, [("a", "x"), ("b.c", "7"), ("b.d.e", "true"), ("i", "1.5")]);
        assert_eq!(properties.numbers.into_iter().collect::<Vec<_>>(), [("b.c".to_owned(), 7)]);
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            properties.lists.into_iter().collect::<Vec<_>>(),
            [("f".to_owned(), list(&["1", "y", "false"])), ("j".to_owned(), list(&[]))]
        );
    }

    #[test]
    fn a_named_attribute_is_made_of_a_string_alone() {
        let properties = read(r#"{"run_id":"r","agent":7}"#).expect("flat");
        assert_eq!((properties.string("run_id"), properties.string("agent"), properties.string("other")), (Some("r"), None, None));
    }

    #[test]
    fn two_of_one_name_and_too_many_are_refused() {
        assert_eq!(read(r#"{"a.b":1,"a":{"b":2}}"#).expect_err("twice").pointer, "/a/b");
        assert_eq!(read(r#"{"a":{"b":2},"a.b":[1]}"#).expect_err("twice").pointer, "/a.b");
        assert_eq!(read(r#"{"a.b":[1],"a":{"b":2}}"#).expect_err("twice").pointer, "/a/b");
        let many: Vec<String> = (0..=PROPERTIES_MAX).map(|n| format!("\"p{n}\":1")).collect();
        assert!(read(&format!("{{{}}}", many.join(","))).is_err());
        assert!(read(&format!("{{{}}}", many[1..].join(","))).is_ok());
        // What holds nothing costs as much, and so does a name that is written before each of many.
        let empty: Vec<String> = (0..=PROPERTIES_MAX).map(|n| format!("\"p{n}\":null")).collect();
        assert!(read(&format!("{{\"a\":{{{}}}}}", empty.join(","))).is_err());
        assert!(read(&format!("{{\"{}\":{{\"b\":1}}}}", "a".repeat(NAME_BYTES_MAX))).is_err());
    }
}
