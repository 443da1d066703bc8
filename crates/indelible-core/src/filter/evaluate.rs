//! Whether an entry matches: no allocation, no lookup of names beyond the entry's own members.
//!
//! What is absent, or of another type than its attribute, satisfies nothing but `ne` and `not`.

use std::cmp::Ordering;

use memchr::memmem;

use super::attribute::{Kind, LABELS, Name};
use super::expression::{Node, Operand, Operator, Test};
use crate::json::Value;
use crate::time::Timestamp;

/// Whether `value`, an entry or the element whose brackets `node` stood in, satisfies `node`.
pub(super) fn matches(node: &Node, value: &Value<'_>) -> bool {
    match node {
        Node::Or(parts) => parts.iter().any(|part| matches(part, value)),
        Node::And(parts) => parts.iter().all(|part| matches(part, value)),
        Node::Not(inner) => !matches(inner, value),
        Node::Element(attribute, inner) => any(value, &attribute.path, &mut |element| matches(inner, element)),
        Node::Test(test) => test_matches(test, value),
    }
}

fn test_matches(test: &Test, value: &Value<'_>) -> bool {
    let operator = if test.operator == Operator::Ne { Operator::Eq } else { test.operator };
    let found = match &test.name {
        Name::Known(attribute) => any(value, &attribute.path[test.skip..], &mut |leaf| {
            compare(leaf, operator, &test.operand) && !(attribute.kind == Kind::Group && is_empty(leaf))
        }),
        Name::Label(key) => value
            .get(LABELS)
            .and_then(Value::as_object)
            .is_some_and(|labels| labels.iter().any(|(k, leaf)| k.eq_ignore_ascii_case(key) && compare(leaf, operator, &test.operand))),
    };
    found != (test.operator == Operator::Ne)
}

/// Whether `test` holds of one of the values that `path` leads to; arrays are entered.
fn any(value: &Value<'_>, path: &[&str], test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    match (value, path) {
        (Value::Array(items), _) => items.iter().any(|item| any(item, path, test)),
        (_, []) => test(value),
        (Value::Object(object), [name, rest @ ..]) => object.get(name).is_some_and(|inner| any(inner, rest, test)),
        _ => false,
    }
}

fn is_empty(value: &Value<'_>) -> bool {
    value.as_object().is_some_and(crate::json::Object::is_empty)
}

fn compare(leaf: &Value<'_>, operator: Operator, operand: &Operand) -> bool {
    match (leaf, operand) {
        (Value::Null, _) => false,
        (_, Operand::Nothing) => true,
        (Value::String(text), Operand::Text(wanted)) => match operator {
            Operator::Co => memmem::find(text.as_bytes(), wanted.as_bytes()).is_some(),
            Operator::Sw => text.starts_with(wanted.as_str()),
            Operator::Ew => text.ends_with(wanted.as_str()),
            // UTF-8 sorts as its code points do.
            _ => holds(text.as_ref().cmp(wanted), operator),
        },
        (Value::String(text), Operand::Time(wanted, written)) => {
            // The one form in which entries hold times sorts as the instants do.
            if text.len() == Timestamp::WRITTEN_BYTES && text.ends_with('Z') {
                holds(text.as_ref().cmp(written), operator)
            } else {
                Timestamp::parse(text).is_some_and(|time| holds(time.cmp(wanted), operator))
            }
        }
        (Value::Number(_), Operand::Integer(wanted)) => leaf.as_integer().is_some_and(|number| holds(number.cmp(wanted), operator)),
        (Value::Bool(value), Operand::Bool(wanted)) => value == wanted,
        _ => false,
    }
}

fn holds(order: Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Ne | Operator::Co | Operator::Sw | Operator::Ew | Operator::Pr => false,
    }
}
