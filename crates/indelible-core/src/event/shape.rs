//! One walk over a value and its shape: every member known, of its shape, and its owner's to set.
//!
//! What passes is put into the one form that entries have: members in canonical order, UUIDs in lower case, times
//! in UTC with six digits. Refuses null everywhere: an absent member is left out.

use std::borrow::Cow;

use uuid::Uuid;

use super::Source;
use super::action;
use super::members::{Member, Owner, Shape, find};
use crate::fault::{Fault, FaultKind};
use crate::json::{Object, Value};
use crate::limits::{ACTION_BYTES_MAX, CONTEXT_BYTES_MAX, CONTEXT_KEY_BYTES_MAX, CONTEXT_KEYS_MAX, CONTEXT_VALUE_BYTES_MAX};
use crate::time::Timestamp;

/// Spellings of what lives in `run`, without `_`, `-`, `.` and case.
const RUN_KEYS: &[&str] = &["runid", "threadid", "runthreadid"];

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, "", message)
}

fn too_large(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::TooLarge, "", message)
}

pub(super) fn wrong_kind(expected: &str, found: &Value<'_>) -> Fault {
    if matches!(found, Value::Null) {
        return invalid(format!("null where {expected} was expected: leave an absent member out"));
    }
    invalid(format!("{} where {expected} was expected", found.kind()))
}

/// Checks the members of an object and puts them into canonical order.
pub(super) fn check_members(object: &mut Object<'_>, members: &'static [Member], source: Source) -> Result<(), Fault> {
    for (name, value) in object.iter_mut() {
        let member = find(members, name).ok_or_else(|| invalid("an unknown member").within(name))?;
        let allowed = match member.owner {
            Owner::Caller => true,
            Owner::Engine => source == Source::Engine,
            Owner::Server => false,
        };
        if !allowed {
            return Err(Fault::new(FaultKind::ServerOwned, "", "a member that the server alone sets").within(name));
        }
        check(value, member.shape, source).map_err(|fault| fault.within(name))?;
    }
    for member in members.iter().filter(|member| member.required) {
        if object.get(member.name).is_none() {
            return Err(invalid("a required member is missing").within(member.name));
        }
    }
    object.sort();
    Ok(())
}

fn check(value: &mut Value<'_>, shape: Shape, source: Source) -> Result<(), Fault> {
    match shape {
        Shape::Text(bytes_max) => check_text(string(value)?, bytes_max),
        Shape::Choice(choices) => {
            let known = choices.contains(&&**string(value)?);
            if known { Ok(()) } else { Err(invalid(format!("not one of {}", choices.join(", ")))) }
        }
        Shape::Action => check_action(string(value)?, source),
        Shape::Category => {
            let text = string(value)?;
            check_text(text, ACTION_BYTES_MAX)?;
            if is_word(text) { Ok(()) } else { Err(invalid("not lower-case letters, digits and `_`, beginning with a letter")) }
        }
        Shape::Uuid => normalise_uuid(string(value)?),
        Shape::Time => normalise_time(string(value)?),
        Shape::Integer(least, most) => check_integer(value, least, most),
        Shape::Bool => match value {
            Value::Bool(_) => Ok(()),
            other => Err(wrong_kind("a boolean", other)),
        },
        Shape::Hex(bytes) => {
            let text = string(value)?;
            let hex = text.len() == bytes * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if hex { Ok(()) } else { Err(invalid(format!("not {} lower-case hex digits", bytes * 2))) }
        }
        Shape::Texts(items_max, bytes_max) => check_items(value, items_max, |item| check_text(string(item)?, bytes_max)),
        Shape::Object(members) => check_members(object(value)?, members, source),
        Shape::Objects(items_max, members) => check_items(value, items_max, |item| check_members(object(item)?, members, source)),
        Shape::Labels => check_labels(object(value)?),
    }
}

fn string<'v, 'a>(value: &'v mut Value<'a>) -> Result<&'v mut Cow<'a, str>, Fault> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_kind("a string", other)),
    }
}

fn object<'v, 'a>(value: &'v mut Value<'a>) -> Result<&'v mut Object<'a>, Fault> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(wrong_kind("an object", other)),
    }
}

fn check_text(text: &str, bytes_max: usize) -> Result<(), Fault> {
    match text.len() {
        0 => Err(invalid("an empty string")),
        bytes if bytes > bytes_max => Err(too_large(format!("{bytes} bytes, more than {bytes_max}"))),
        _ => Ok(()),
    }
}

/// A part of an action: lower-case letters, digits and `_`, beginning with a letter.
fn is_word(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn check_action(text: &str, source: Source) -> Result<(), Fault> {
    check_text(text, ACTION_BYTES_MAX)?;
    if !text.contains('.') || !text.split('.').all(is_word) {
        return Err(invalid("not noun.verb: lower-case letters, digits and `_`, each part beginning with a letter"));
    }
    if source == Source::Caller && action::is_engine_only(text) {
        return Err(Fault::new(FaultKind::EngineOnly, "", "an action that the engine alone writes"));
    }
    Ok(())
}

/// Reads the hyphenated form, in any case; braces, `urn:` and the form without hyphens are refused.
pub(super) fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() == uuid::fmt::Hyphenated::LENGTH { Uuid::try_parse(text).ok() } else { None }
}

fn normalise_uuid(text: &mut Cow<'_, str>) -> Result<(), Fault> {
    parse_uuid(text).ok_or_else(|| invalid("not a UUID in its hyphenated form"))?;
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        text.to_mut().make_ascii_lowercase();
    }
    Ok(())
}

fn normalise_time(text: &mut Cow<'_, str>) -> Result<(), Fault> {
    let time = Timestamp::parse(text).ok_or_else(|| invalid("not an RFC 3339 time with an offset, in the years 0001 to 9999"))?;
    if text.as_bytes() != time.written() {
        *text = Cow::Owned(time.to_string());
    }
    Ok(())
}

fn check_integer(value: &Value<'_>, least: i64, most: i64) -> Result<(), Fault> {
    let Value::Number(text) = value else { return Err(wrong_kind("an integer", value)) };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if text == "-0" || digits.bytes().any(|b| !b.is_ascii_digit()) {
        return Err(invalid("a number that is not written as a plain integer"));
    }
    match value.as_integer() {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err(invalid(format!("not within {least} to {most}"))),
    }
}

fn check_items<'a>(
    value: &mut Value<'a>,
    items_max: usize,
    mut check: impl FnMut(&mut Value<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Value::Array(items) = value else { return Err(wrong_kind("an array", value)) };
    if items.len() > items_max {
        return Err(too_large(format!("{} items, more than {items_max}", items.len())));
    }
    for (at, item) in items.iter_mut().enumerate() {
        check(item).map_err(|fault| fault.within(&at.to_string()))?;
    }
    Ok(())
}

fn check_labels(labels: &mut Object<'_>) -> Result<(), Fault> {
    if labels.len() > CONTEXT_KEYS_MAX {
        return Err(too_large(format!("{} keys, more than {CONTEXT_KEYS_MAX}", labels.len())));
    }
    let mut bytes_total = 0;
    for (key, value) in labels.iter_mut() {
        check_label(key, value).map_err(|fault| fault.within(key))?;
        bytes_total += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes_total > CONTEXT_BYTES_MAX {
        return Err(too_large(format!("{bytes_total} bytes of keys and values, more than {CONTEXT_BYTES_MAX}")));
    }
    labels.sort();
    Ok(())
}

fn check_label(key: &str, value: &mut Value<'_>) -> Result<(), Fault> {
    match key.len() {
        0 => return Err(invalid("an empty key")),
        bytes if bytes > CONTEXT_KEY_BYTES_MAX => {
            return Err(too_large(format!("a key of {bytes} bytes, more than {CONTEXT_KEY_BYTES_MAX}")));
        }
        _ => {}
    }
    if names_run(key) {
        return Err(invalid("Run and thread live in `run`, never in `context`: use `run.id` and `run.thread_id`"));
    }
    let text = string(value)?;
    if text.len() > CONTEXT_VALUE_BYTES_MAX {
        return Err(too_large(format!("a value of {} bytes, more than {CONTEXT_VALUE_BYTES_MAX}", text.len())));
    }
    Ok(())
}

/// Whether a key is some spelling of `run_id` or `thread_id`. Compares without making a string: every event passes here.
fn names_run(key: &str) -> bool {
    RUN_KEYS.iter().any(|name| {
        let letters = key.bytes().filter(|b| !matches!(b, b'_' | b'-' | b'.' | b' '));
        letters.map(|b| b.to_ascii_lowercase()).eq(name.bytes())
    })
}
