//! The walk over values: members with secret names go or are replaced, headers are stripped, every string is looked into,
//! the names of members as well.
//!
//! Beside its own name, a member can be secret by the company it keeps: `{"name":"password","value":"x"}` (HAR, OTLP and the
//! like), and `{"op":"replace","path":"/password","value":"x"}` (RFC 6902, SCIM).

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use super::rule::{Node, Rules, Strategy, is_plain_secret_header, is_secret_header};
use super::text::may_show;
use crate::json::{Object, Value};
use crate::key::{ProjectKeys, REDACTION_PREFIX};

/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "[REDACTED]";
/// What stands in the place of a secret that is kept elsewhere, sealed; in events of the engine alone.
pub(super) const SEALED: &str = "[SEALED]";

/// The rules and the key under which one submission is redacted.
#[derive(Clone, Copy)]
pub(super) struct Redactor<'r> {
    pub(super) rules: &'r Rules,
    /// None where what comes out is only told: then what would be hashed is replaced.
    pub(super) keys: Option<&'r ProjectKeys>,
    /// Set where a string is JSON too large to be read: then nothing can be said of it, and it is not taken.
    pub(super) unread: &'r Cell<bool>,
    /// Where it is an event of the engine.
    pub(super) own: Option<Own<'r>>,
}

/// What is different in an event of the engine.
#[derive(Clone, Copy)]
pub(super) struct Own<'r> {
    /// The key of its `context` that no rule takes away.
    pub(super) spared: &'r str,
    /// The rules for its states.
    pub(super) states: &'r Rules,
}

/// Where the walk is.
#[derive(Clone, Copy, Default)]
pub(super) struct Place<'r> {
    /// The path rules that may still apply further in.
    pub(super) node: Option<&'r Node>,
    /// Whether this is inside of `headers`.
    pub(super) headers: bool,
    /// Strings looked into on the way here.
    pub(super) depth: u8,
}

impl Redactor<'_> {
    /// Redacts a value in place and tells whether anything changed.
    pub(super) fn value(&self, value: &mut Value<'_>, place: Place<'_>) -> bool {
        match value {
            Value::String(text) => match self.text(text, place) {
                Some(clean) => {
                    *text = Cow::Owned(clean);
                    true
                }
                None => false,
            },
            Value::Array(items) => self.array(items, place),
            Value::Object(object) => self.object(object, place),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn array(&self, items: &mut [Value<'_>], place: Place<'_>) -> bool {
        let inner = Place { node: place.node.and_then(Node::item), ..place };
        let mut changed = self.pairs(items);
        for at in 0..items.len() {
            // A list of names and values in turn, or one pair: ["Authorization", "Bearer …"].
            let named = if at > 0 { items[at - 1].as_str().and_then(|before| self.named_before(before, &items[at], place)) } else { None };
            changed |= match inner.node.and_then(|node| node.strategy).max(named) {
                Some(strategy) => self.replace(&mut items[at], strategy),
                None => self.value(&mut items[at], inner),
            };
        }
        changed
    }

    /// The strategy for an item by the one before it: in a list of names and values in turn, or one pair, such as
    /// `["Authorization", "Bearer …"]`, and in the arguments of a command, `["--password", "x"]`.
    fn named_before(&self, before: &str, item: &Value<'_>, place: Place<'_>) -> Option<Strategy> {
        if place.headers && is_secret_header(before) {
            return Some(Strategy::Redact);
        }
        let is_argument = before.starts_with("--") && item.as_str().is_some_and(|argument| !argument.starts_with("--"));
        if is_argument { self.rules.name(before) } else { None }
    }

    /// A list of pairs, `[["password", "x"], …]`: what stands behind a secret name. Tells whether anything changed.
    fn pairs(&self, items: &mut [Value<'_>]) -> bool {
        let is_pair = |item: &Value<'_>| matches!(item, Value::Array(pair) if matches!(pair.as_slice(), [Value::String(_), _]));
        if items.is_empty() || !items.iter().all(is_pair) {
            return false;
        }
        let mut changed = false;
        for item in items {
            if let Value::Array(pair) = item
                && let [Value::String(name), value] = pair.as_mut_slice()
                && let Some(strategy) = self.rules.name(name)
            {
                changed |= self.replace(value, strategy);
            }
        }
        changed
    }

    /// Cleans the names of the members of all objects in a value, and nothing else.
    pub(super) fn all_names(&self, value: &mut Value<'_>) {
        match value {
            Value::Object(object) => {
                self.names(object, 0);
                object.iter_mut().for_each(|(_, value)| self.all_names(value));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.all_names(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Cleans the names of an object's own members as if they were values, and tells whether any changed. What becomes of two names
    /// the same is told apart by a number.
    fn names(&self, object: &mut Object<'_>, depth: u8) -> bool {
        let place = Place { depth, ..Place::default() };
        let clean: Vec<(usize, String)> = object
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| may_show(name))
            .filter_map(|(at, (name, _))| Some((at, self.text(name, place)?)))
            .collect();
        if clean.is_empty() {
            return false;
        }
        let mut members = std::mem::take(object).into_members();
        let mut taken: HashMap<String, usize> = members.iter().map(|(name, _)| (name.to_string(), 1)).collect();
        for (at, name) in clean {
            let mut free = name.clone();
            while taken.contains_key(&free) {
                let count = taken.entry(name.clone()).or_insert(1);
                *count += 1;
                free = format!("{name} ({count})");
            }
            taken.insert(free.clone(), 1);
            members[at].0 = Cow::Owned(free);
        }
        *object = Object::from_distinct(members);
        true
    }

    /// Redacts an object in place and tells whether anything changed.
    pub(super) fn object(&self, object: &mut Object<'_>, place: Place<'_>) -> bool {
        let mut changed = self.names(object, place.depth);
        let paired = self.paired(object, place);
        object.retain(|name, value| {
            let node = place.node.and_then(|node| node.child(name));
            let by_pair = paired.filter(|_| is_value_name(name));
            let by_path = node.and_then(|node| node.strategy);
            let strategy = self.member(name, value, place.headers).max(by_path).max(by_pair);
            match strategy {
                Some(_) if self.own.is_some() && value.as_str() == Some(SEALED) => {}
                Some(Strategy::Exclude) => {
                    changed = true;
                    return false;
                }
                Some(strategy) => changed |= self.replace(value, strategy),
                None => changed |= self.value(value, Place { node, headers: place.headers || is_headers(name), depth: place.depth }),
            }
            true
        });
        changed
    }

    /// The strategy for a member by its own name.
    fn member(&self, name: &str, value: &Value<'_>, in_headers: bool) -> Option<Strategy> {
        // A rule of a project may be weaker than what is done to a header.
        match self.rules.name(name) {
            Some(Strategy::Exclude) => Some(Strategy::Exclude),
            by_name => by_name.max(header(name, in_headers, || value.as_str().map(Cow::Borrowed))),
        }
    }

    /// The strategy for the `value` of an object whose `name`, `key` or `path` is secret.
    fn paired(&self, object: &Object<'_>, place: Place<'_>) -> Option<Strategy> {
        if !(2..=8).contains(&object.len()) || !object.iter().any(|(name, _)| is_value_name(name)) {
            return None;
        }
        object.iter().find_map(|(name, value)| {
            let text = value.as_str()?;
            if ["name", "key", "header", "field", "k"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
                return self.rules.name(text).max(header(text, place.headers || is_ambiguous_header(text), || None));
            }
            if name.eq_ignore_ascii_case("path") && object.get("op").is_some() {
                let by_segment =
                    |segment: &str| self.rules.name(segment).max(segment.split('.').filter_map(|part| self.rules.name(part)).max());
                return text.split('/').filter_map(by_segment).max();
            }
            None
        })
    }

    /// Puts what the strategy says in the place of a value that stays. Excluded here means replaced: an array item cannot go
    /// without moving the others.
    fn replace(&self, value: &mut Value<'_>, strategy: Strategy) -> bool {
        if value.as_str().is_some_and(is_redacted) {
            return false;
        }
        *value = Value::string(match (strategy, self.keys, &*value) {
            (Strategy::Hmac, Some(keys), Value::String(text)) => keys.redaction_mac(text.as_bytes()),
            (Strategy::Hmac, Some(keys), other) => keys.redaction_mac(&other.to_canonical()),
            _ => REDACTED.to_owned(),
        });
        true
    }

    /// What stands for a secret inside of text.
    pub(super) fn stand_in(&self, value: &str, strategy: Strategy) -> Cow<'static, str> {
        match self.keys.filter(|_| strategy == Strategy::Hmac) {
            Some(keys) => Cow::Owned(keys.redaction_mac(value.as_bytes())),
            None => Cow::Borrowed(REDACTED),
        }
    }
}

/// Whether a text is what redaction leaves. It stays as it is, so that redacting twice changes nothing.
pub(super) fn is_redacted(text: &str) -> bool {
    text == REDACTED
        || text
            .strip_prefix(REDACTION_PREFIX)
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

fn is_value_name(name: &str) -> bool {
    matches!(name.len(), 1..=5) && ["value", "val", "v"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Exclusion for what is a header by its name. Outside of headers `authorization` and `cookie` are words like others, and their
/// value decides.
fn header<'v>(name: &str, in_headers: bool, value: impl FnOnce() -> Option<Cow<'v, str>>) -> Option<Strategy> {
    let secret = if in_headers {
        is_secret_header(name)
    } else if let Some(header) = name.strip_prefix("http.request.header.").or_else(|| name.strip_prefix("http.response.header.")) {
        is_secret_header(header)
    } else if is_ambiguous_header(name) {
        value().is_some_and(|value| looks_like_credential(name, &value))
    } else {
        is_plain_secret_header(name)
    };
    secret.then_some(Strategy::Exclude)
}

/// `headers`, `header`, `requestHeaders`, `response_headers` and the like.
fn is_headers(name: &str) -> bool {
    let bytes = name.as_bytes();
    let bytes = if let [rest @ .., b's' | b'S'] = bytes { rest } else { bytes };
    bytes.len() >= 6 && bytes[bytes.len() - 6..].eq_ignore_ascii_case(b"header")
}

/// Names of headers that are everyday words as well.
pub(super) fn is_ambiguous_header(name: &str) -> bool {
    match name.len() {
        6 => name.eq_ignore_ascii_case("cookie"),
        13 => name.eq_ignore_ascii_case("authorization"),
        _ => false,
    }
}

/// Whether the value of something called `authorization` or `cookie` is that of the header: a scheme with a credential after it, or a
/// long word with a digit; for cookies, `name=value`.
pub(super) fn looks_like_credential(name: &str, value: &str) -> bool {
    const SCHEMES: &[&str] =
        &["bearer", "basic", "digest", "negotiate", "ntlm", "token", "apikey", "hawk", "oauth", "signature", "aws4-hmac-sha256", "splunk"];
    let value = value.trim_start_matches([' ', '\t', '"', '\'', '`']);
    if name.len() == 6 {
        let name = value.split('=').next().unwrap_or_default();
        return name.len() < value.len()
            && !name.is_empty()
            && !name.contains([' ', '\t'])
            && !value[name.len() + 1..].starts_with([' ', '=']);
    }
    let mut words = value.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let scheme = SCHEMES.iter().any(|scheme| first.eq_ignore_ascii_case(scheme));
    scheme && words.next().is_some() || first.len() >= 16 && first.bytes().any(|b| b.is_ascii_digit())
}
