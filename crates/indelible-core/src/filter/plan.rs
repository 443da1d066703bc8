//! What a filter says about every entry that matches it: equality terms for the index, bounds, bytes.
//!
//! Everything here is necessary and nothing is sufficient: candidates are always matched again. A part that says
//! nothing certain says [`Plan::All`].

use uuid::Uuid;

use super::attribute::{LABELS, Name};
use super::expression::{Node, Operand, Operator, Test, quoted};
use super::{Plan, Term};
use crate::time::Timestamp;

/// The necessary condition of `node`; of its opposite where `negated`.
pub(super) fn plan(node: &Node, negated: bool) -> Plan {
    match node {
        Node::And(parts) if !negated => all_of(parts.iter().map(|part| plan(part, false))),
        Node::Or(parts) if negated => all_of(parts.iter().map(|part| plan(part, true))),
        Node::And(parts) | Node::Or(parts) => one_of(parts.iter().map(|part| plan(part, negated))),
        Node::Not(inner) => plan(inner, !negated),
        // What holds of one element holds of the entry; what holds of no element says nothing of the entry's terms.
        Node::Element(_, inner) if !negated => plan(inner, false),
        Node::Element(..) => Plan::All,
        Node::Test(test) => {
            let wanted = if negated { Operator::Ne } else { Operator::Eq };
            if test.operator == wanted { term(test).map_or(Plan::All, Plan::Term) } else { Plan::All }
        }
    }
}

fn term(test: &Test) -> Option<Term> {
    let attribute = match &test.name {
        Name::Known(attribute) if attribute.indexed => attribute.dotted.clone(),
        Name::Known(_) => return None,
        Name::Label(key) => format!("{LABELS}.{key}"),
    };
    let value = match &test.operand {
        Operand::Text(wanted) => wanted.clone(),
        Operand::Integer(number) => number.to_string(),
        Operand::Bool(value) => value.to_string(),
        Operand::Nothing | Operand::Time(..) => return None,
    };
    Some(Term { attribute, value })
}

fn all_of(parts: impl Iterator<Item = Plan>) -> Plan {
    let mut known = Vec::new();
    for part in parts {
        match part {
            Plan::All => {}
            Plan::And(inner) => inner.into_iter().for_each(|part| add(&mut known, part)),
            part => add(&mut known, part),
        }
    }
    match known.len() {
        0 => Plan::All,
        1 => known.swap_remove(0),
        _ => Plan::And(known),
    }
}

fn one_of(parts: impl Iterator<Item = Plan>) -> Plan {
    let mut known = Vec::new();
    for part in parts {
        match part {
            Plan::All => return Plan::All,
            Plan::Or(inner) => inner.into_iter().for_each(|part| add(&mut known, part)),
            part => add(&mut known, part),
        }
    }
    if known.len() == 1 { known.swap_remove(0) } else { Plan::Or(known) }
}

fn add(known: &mut Vec<Plan>, part: Plan) {
    if !known.contains(&part) {
        known.push(part);
    }
}

/// Hands over the tests that every match satisfies: those joined by `and` alone, brackets entered.
fn conjuncts<'a>(node: &'a Node, each: &mut dyn FnMut(&'a Test)) {
    match node {
        Node::And(parts) => parts.iter().for_each(|part| conjuncts(part, each)),
        Node::Element(_, inner) => conjuncts(inner, each),
        Node::Test(test) => each(test),
        Node::Or(_) | Node::Not(_) => {}
    }
}

/// The inclusive bounds that `node` puts on the attribute `dotted`, whose operands `read` turns into steps of 1.
fn bounds(node: &Node, dotted: &str, read: impl Fn(&Operand) -> Option<i64>) -> (Option<i64>, Option<i64>) {
    let (mut least, mut greatest): (Option<i64>, Option<i64>) = (None, None);
    conjuncts(node, &mut |test| {
        if !matches!(&test.name, Name::Known(attribute) if attribute.dotted == dotted) {
            return;
        }
        let Some(value) = read(&test.operand) else { return };
        let (from, to) = match test.operator {
            Operator::Eq => (Some(value), Some(value)),
            Operator::Ge => (Some(value), None),
            Operator::Gt => (Some(value.saturating_add(1)), None),
            Operator::Le => (None, Some(value)),
            Operator::Lt => (None, Some(value.saturating_sub(1))),
            _ => return,
        };
        least = least.max(from);
        greatest = greatest.into_iter().chain(to).min();
    });
    (least, greatest)
}

/// Inclusive bounds on a time.
pub(super) fn time_bounds(node: &Node, dotted: &str) -> (Option<Timestamp>, Option<Timestamp>) {
    let read = |operand: &Operand| if let Operand::Time(time, _) = operand { Some(time.as_micros()) } else { None };
    let (least, greatest) = bounds(node, dotted, read);
    // A step beyond the last year is a bound that nothing satisfies but the bound itself may.
    let held = |micros: i64| Timestamp::MIN.saturating_add_micros(micros.saturating_sub(Timestamp::MIN.as_micros()));
    (least.map(held), greatest.map(held))
}

/// Inclusive bounds on an integer.
pub(super) fn integer_bounds(node: &Node, dotted: &str) -> (Option<i64>, Option<i64>) {
    bounds(node, dotted, |operand| if let Operand::Integer(number) = operand { Some(*number) } else { None })
}

/// The one id that a match can have.
pub(super) fn id_equals(node: &Node) -> Option<Uuid> {
    let mut id = None;
    conjuncts(node, &mut |test| {
        let (Name::Known(attribute), Operator::Eq, Operand::Text(text)) = (&test.name, test.operator, &test.operand) else { return };
        if attribute.dotted == "id" {
            id = id.or_else(|| Uuid::try_parse(text).ok());
        }
    });
    id
}

/// The longest string of bytes that every match holds.
pub(super) fn necessary_bytes(node: &Node) -> Option<Vec<u8>> {
    let mut longest = String::new();
    conjuncts(node, &mut |test| {
        if let Some(bytes) = bytes_of(test)
            && bytes.len() > longest.len()
        {
            longest = bytes;
        }
    });
    (!longest.is_empty()).then(|| longest.into_bytes())
}

/// Escaping goes character by character, so a part of a text, escaped, is a part of the text escaped. Where the member
/// is known its name stands before the value: entries are canonical, so there is no white space between.
fn bytes_of(test: &Test) -> Option<String> {
    let Operand::Text(wanted) = &test.operand else { return None };
    let quoted = quoted(wanted);
    let inner = &quoted[..quoted.len() - 1];
    let before = match &test.name {
        Name::Known(attribute) if !attribute.list => attribute.path.last().map_or_else(String::new, |name| format!("\"{name}\":")),
        _ => String::new(),
    };
    match test.operator {
        Operator::Eq => Some(before + &quoted),
        Operator::Sw => Some(before + inner),
        Operator::Co => Some(inner[1..].to_owned()),
        Operator::Ew => Some(quoted[1..].to_owned()),
        _ => None,
    }
}
