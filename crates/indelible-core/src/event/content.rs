//! The `content` of a submission: which members it may have. What they hold is kept as it came, null included;
//! only `request` and `response` (headers, body) and `messages` (an array) have a shape.

use super::members::CONTENT;
use super::shape::{invalid, wrong_kind};
use crate::fault::{Fault, FaultKind};
use crate::json::{Object, Value};

/// What the server makes beside what the caller sends.
const DIFF: &str = "diff";

/// Checks `content`; an object without members is no content.
pub(super) fn check(value: Value<'_>) -> Result<Option<Object<'_>>, Fault> {
    let Value::Object(content) = value else { return Err(wrong_kind("an object", &value)) };
    for (name, value) in content.iter() {
        check_member(name, value).map_err(|fault| fault.within(name))?;
    }
    Ok(if content.is_empty() { None } else { Some(content) })
}

fn check_member(name: &str, value: &Value<'_>) -> Result<(), Fault> {
    if name == DIFF {
        return Err(Fault::new(FaultKind::ServerOwned, "", "a member that the server alone sets"));
    }
    if CONTENT.binary_search(&name).is_err() {
        return Err(invalid(format!("an unknown member of content; known are {}", CONTENT.join(", "))));
    }
    match (name, value) {
        (_, Value::Null) | ("messages", Value::Array(_)) => Ok(()),
        ("messages", other) => Err(wrong_kind("an array", other)),
        ("request" | "response", Value::Object(exchange)) => exchange.iter().try_for_each(|(name, value)| {
            let checked = match name {
                "headers" => check_headers(value),
                "body" => Ok(()),
                _ => Err(invalid("an unknown member; known are headers, body")),
            };
            checked.map_err(|fault| fault.within(name))
        }),
        ("request" | "response", other) => Err(wrong_kind("an object", other)),
        _ => Ok(()),
    }
}

/// Headers: each a string, or an array of strings where it came several times.
fn check_headers(value: &Value<'_>) -> Result<(), Fault> {
    let Value::Object(headers) = value else { return Err(wrong_kind("an object", value)) };
    headers.iter().try_for_each(|(name, value)| {
        let checked = match value {
            Value::String(_) => Ok(()),
            Value::Array(lines) => lines.iter().enumerate().try_for_each(|(at, line)| match line {
                Value::String(_) => Ok(()),
                other => Err(wrong_kind("a string", other).within(&at.to_string())),
            }),
            other => Err(wrong_kind("a string or an array of strings", other)),
        };
        checked.map_err(|fault| fault.within(name))
    })
}
