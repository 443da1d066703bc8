//! Composing a submission from members that may be absent, empty or too long.
//!
//! What is absent, null or empty is left out. A text over its bound is cut at a character and ends in `…`; every mapping
//! also keeps the record in `content.extra`, so nothing is lost by it. `context` is filled in the order in which its
//! keys are put, until its limits are reached. What is cut, taken apart or put together is redacted before, since afterwards it
//! might no longer show that it holds a secret.

use std::borrow::Cow;

use indelible_core::json::{Object, Value};
use indelible_core::limits::{CONTEXT_BYTES_MAX, CONTEXT_KEY_BYTES_MAX, CONTEXT_KEYS_MAX, CONTEXT_VALUE_BYTES_MAX, NAME_BYTES_MAX};
pub(super) use indelible_core::redact::told;
use indelible_core::time::Timestamp;
use uuid::Uuid;

/// Texts such as `reason` and `request.user_agent` are cut here, bytes: so that all members together stay well below
/// what an entry may hold.
pub(super) const TEXT_BYTES_MAX: usize = 2_048;

const MARK: &str = "…";

/// A submission in the making.
pub(super) struct Composer<'a> {
    members: Object<'a>,
    context: Object<'a>,
    context_bytes: usize,
    content: Object<'a>,
}

impl<'a> Composer<'a> {
    pub(super) fn new(id: Uuid, action: String) -> Self {
        let mut members = Object::new();
        members.insert("id", Value::string(id.to_string()));
        members.insert("action", Value::string(action));
        Self { members, context: Object::new(), context_bytes: 0, content: Object::new() }
    }

    /// Sets a member of the envelope, if there is anything to set.
    pub(super) fn put(&mut self, name: &'static str, value: Option<Value<'a>>) -> &mut Self {
        if let Some(value) = value {
            self.members.insert(name, value);
        }
        self
    }

    /// Sets one member of an object of the envelope, such as `run.step`.
    pub(super) fn put_in(&mut self, object: &'static str, name: &'static str, value: Option<Value<'a>>) -> &mut Self {
        let Some(value) = value else { return self };
        if let Some(Value::Object(inner)) = self.members.get_mut(object) {
            inner.insert(name, value);
        } else {
            let mut inner = Object::new();
            inner.insert(name, value);
            self.members.insert(object, Value::Object(inner));
        }
        self
    }

    /// Sets `model`; a provider alone is no model.
    pub(super) fn model(&mut self, id: Option<&str>, provider: Option<&str>) -> &mut Self {
        let provider = provider.filter(|_| id.is_some());
        self.put_in("model", "id", name(id)).put_in("model", "provider", name(provider))
    }

    /// Adds a label to `context`, cut to its bound; left out where the label is empty or `context` is full.
    pub(super) fn label(&mut self, key: &'static str, text: Option<&str>) -> &mut Self {
        debug_assert!(key.len() <= CONTEXT_KEY_BYTES_MAX);
        let Some(text) = text.filter(|text| !text.is_empty()) else { return self };
        let text = cut(Cow::Owned(text.to_owned()), CONTEXT_VALUE_BYTES_MAX);
        let bytes = key.len() + text.len();
        if self.context.len() < CONTEXT_KEYS_MAX && self.context_bytes + bytes <= CONTEXT_BYTES_MAX {
            self.context_bytes += bytes;
            self.context.insert(key, Value::String(text));
        }
        self
    }

    /// Sets a member of the content, unless it is absent, null or empty.
    pub(super) fn content(&mut self, name: &'static str, value: Option<Value<'a>>) -> &mut Self {
        let empty = |value: &Value<'_>| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if let Some(value) = value.filter(|value| !empty(value)) {
            self.content.insert(name, value);
        }
        self
    }

    /// The submission.
    pub(super) fn finish(mut self) -> Value<'a> {
        if !self.context.is_empty() {
            self.members.insert("context", Value::Object(self.context));
        }
        if !self.content.is_empty() {
            self.members.insert("content", Value::Object(self.content));
        }
        Value::Object(self.members)
    }
}

/// The text of a non-empty string, or a number as it was written.
pub(super) fn text_of<'v>(value: Option<&'v Value<'_>>) -> Option<&'v str> {
    match value? {
        Value::String(text) => Some(text.as_ref()).filter(|text| !text.is_empty()),
        Value::Number(text) => Some(text),
        _ => None,
    }
}

/// The value at a path of member names.
pub(super) fn at<'v, 'a>(value: &'v Value<'a>, path: &[&str]) -> Option<&'v Value<'a>> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The text at a path of member names.
pub(super) fn text_at<'v>(value: &'v Value<'_>, path: &[&str]) -> Option<&'v str> {
    text_of(at(value, path))
}

/// An id or name, cut to what an id may hold.
pub(super) fn name<'a>(text: Option<&str>) -> Option<Value<'a>> {
    bounded(text, NAME_BYTES_MAX)
}

/// A text for people, cut to [`TEXT_BYTES_MAX`].
pub(super) fn text<'a>(text: Option<&str>) -> Option<Value<'a>> {
    bounded(text, TEXT_BYTES_MAX)
}

/// A string of a fixed vocabulary.
#[expect(clippy::unnecessary_wraps, reason = "everything that is put may be absent, a word is not")]
pub(super) fn word<'a>(word: &'static str) -> Option<Value<'a>> {
    Some(Value::string(word))
}

/// A count; negative and absent ones are left out.
pub(super) fn count<'a>(value: Option<i64>) -> Option<Value<'a>> {
    value.filter(|n| (0..=indelible_core::limits::INTEGER_MAX).contains(n)).map(Value::integer)
}

fn bounded<'a>(text: Option<&str>, bytes_max: usize) -> Option<Value<'a>> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(Value::String(cut(Cow::Owned(text.to_owned()), bytes_max)))
}

fn cut(text: Cow<'_, str>, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text;
    }
    let text = told(&text);
    if text.len() <= bytes_max {
        return Cow::Owned(text.into_owned());
    }
    let end = text.floor_char_boundary(bytes_max - MARK.len());
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

/// RFC 3339, or the same with a space for the `T` and without an offset (then UTC), as log pipelines write it. `None` where it is neither.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| {
        let mut written = text.replacen(' ', "T", 1);
        if !written.ends_with(['Z', 'z']) && !written.get(19..).is_some_and(|rest| rest.contains(['+', '-'])) {
            written.push('Z');
        }
        Timestamp::parse(&written)
    })
}

/// One part of an action: `CreateUser` and `create-user` become `create_user`, `DescribeDBInstances` becomes
/// `describe_db_instances`. What is not a letter or digit becomes `_`; a part that would not begin with a letter gets `x_` before it.
pub(super) fn snake(text: &str) -> String {
    let chars: Vec<char> = told(text).chars().take(100).collect();
    let mut out = String::with_capacity(chars.len() + 8);
    for (n, c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            if !out.ends_with('_') && !out.is_empty() {
                out.push('_');
            }
            continue;
        }
        let before = n.checked_sub(1).map(|n| chars[n]);
        let word_begins = c.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && chars.get(n + 1).is_some_and(char::is_ascii_lowercase))
            });
        if word_begins && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    let out = out.trim_end_matches('_');
    if out.starts_with(|c: char| c.is_ascii_lowercase()) { out.to_owned() } else { format!("x_{out}").trim_end_matches('_').to_owned() }
}

/// Millionths of a sum of money that was written as a decimal number.
pub(super) fn micros(amount: Option<&Value<'_>>) -> Option<i64> {
    let amount: f64 = text_of(amount)?.parse().ok()?;
    Some((amount * 1e6).round() as i64).filter(|_| amount.is_finite() && amount >= 0.0)
}

/// JSON inside a string as the value it stands for; anything else as it is.
pub(super) fn opened(value: Value<'_>) -> Value<'_> {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => match indelible_core::json::parse(text.as_bytes()) {
            Ok(inner) => inner.into_owned(),
            Err(_) => Value::String(text),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_an_action() {
        let cases = [
            ("CreateUser", "create_user"),
            ("DescribeDBInstances", "describe_db_instances"),
            ("GetBucketAcl", "get_bucket_acl"),
            ("ListFunctions20150331", "list_functions20150331"),
            ("cognito-idp", "cognito_idp"),
            ("GetEC2Data", "get_ec2_data"),
            ("s3", "s3"),
            ("PutObjectACL", "put_object_acl"),
            ("2fa", "x_2fa"),
            ("été", "t"),
            ("--", "x"),
            ("a - b", "a_b"),
            ("IAMUser", "iam_user"),
        ];
        for (from, to) in cases {
            assert_eq!(snake(from), to, "{from}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character_and_say_so() {
        let long = "é".repeat(1_000);
        let Some(Value::String(kept)) = name(Some(&long)) else { panic!("kept") };
        assert!(kept.len() <= NAME_BYTES_MAX && kept.ends_with(MARK) && kept.starts_with("éé"));
        assert_eq!(name(Some(&"a".repeat(NAME_BYTES_MAX))), Some(Value::string("a".repeat(NAME_BYTES_MAX))));
        assert_eq!(name(Some("")), None);
    }

    #[test]
    fn context_stops_at_its_limits() {
        const KEYS: [&str; 25] =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y"];
        for (bytes, kept) in [(1, 20), (512, 7), (600, 7)] {
            let mut composer = Composer::new(Uuid::nil(), "a.b".to_owned());
            for key in KEYS {
                composer.label(key, Some(&"v".repeat(bytes)));
            }
            let made = composer.finish();
            assert_eq!(made.get("context").and_then(Value::as_object).map(Object::len), Some(kept), "{bytes}");
        }
    }

    #[test]
    fn times_of_log_pipelines_are_read() {
        for (text, written) in [
            ("2023-07-10T11:42:18Z", Some("2023-07-10T11:42:18.000000Z")),
            ("2023-01-10 21:04:02", Some("2023-01-10T21:04:02.000000Z")),
            ("2022-11-29 00:09:04.38", Some("2022-11-29T00:09:04.380000Z")),
            ("2022-11-29 00:09:04+02:00", Some("2022-11-28T22:09:04.000000Z")),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(instant(text).map(|time| time.to_string()).as_deref(), written, "{text}");
        }
    }
}
