//! The statements, and an event as their parameter. An event never is in the text of a statement: PostgreSQL logs that.

use serde_json::{Map, Value};

use crate::event::Event;
use crate::refusal::{Error, Refusal, RefusalKind};

pub(crate) const APPEND: &str = "SELECT audit.append($1::text::jsonb)";
pub(crate) const SET_ACTOR: &str = "SELECT audit.set_actor($1, $2, $3, $4)";

/// What is handed in for an event that `jsonb` cannot hold: `audit.append` refuses it, and so the transaction fails.
const UNREADABLE: &str = "null";

/// An event as JSON, and where in it U+0000 is.
///
/// `jsonb` holds no U+0000, and PostgreSQL tells of one with a piece of the text around it, to its log too. So such an event is not
/// handed in; what is handed in for it is refused just as well, and the refusal then says what was wrong with the event.
pub(crate) struct Parameter {
    pub(crate) json: String,
    zero_at: Option<String>,
}

impl Parameter {
    pub(crate) fn new(event: &Event) -> Self {
        // The types have no map with names other than strings and no number that is not finite: there is nothing that JSON cannot say.
        let event = serde_json::to_value(event).unwrap_or_default();
        match zero(&event) {
            None => Self { json: event.to_string(), zero_at: None },
            zero_at => Self { json: UNREADABLE.to_owned(), zero_at },
        }
    }

    /// The error for an event that was not handed in, or else the one that came.
    pub(crate) fn explain<D>(self, error: Error<D>) -> Error<D> {
        match (self.zero_at, error) {
            (Some(pointer), Error::Refused(Refusal { kind: RefusalKind::Invalid, .. })) => Error::Refused(Refusal {
                kind: RefusalKind::Invalid,
                pointer,
                message: "U+0000, which PostgreSQL cannot hold".to_owned(),
                hint: Some("Take it out, or encode the text, in base64 for one.".to_owned()),
            }),
            (_, error) => error,
        }
    }
}

/// The place of the first U+0000: of the text that has it, or of the object with a name that has it.
fn zero(value: &Value) -> Option<String> {
    let within = |name: &str, value| zero(value).map(|pointer| format!("/{}{pointer}", name.replace('~', "~0").replace('/', "~1")));
    let named = |object: &Map<String, Value>| object.keys().any(|name| name.contains('\0')).then(String::new);
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| within(&at.to_string(), item)),
        Value::Object(object) => named(object).or_else(|| object.iter().find_map(|(name, value)| within(name, value))),
        _ => None,
    }
}
