//! The text of a policy: parsed, and validated against the schema. What is wrong is told with line and column.
//!
//! Messages never repeat a string of the text: it may be a secret. Refused beside what is no Cedar: templates, and more than can be
//! validated in a moment.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cedar_policy::{Policy, PolicySet, Schema, ValidationMode, Validator};
use indelible_core::event::action;
use indelible_core::fault::{Fault, FaultKind};
use miette::Diagnostic;

/// Bytes of a text.
pub(crate) const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Statements in a text. Each is validated for every sort of principal and every action that the text names.
const STATEMENTS_MAX: usize = 64;
/// Brackets within brackets, and operators in one statement: Cedar reads, and lets go of, what is nested by recursion, and a stack that
/// is used up ends the process.
const NESTING_MAX: usize = 24;
/// See [`NESTING_MAX`]. Of two characters it counts both.
const OPERATORS_MAX: usize = 600;
/// Actions that a text names.
const ACTIONS_MAX: usize = 64;

/// What policies may speak of, but for actions.
const SCHEMA: &str = include_str!("schema.cedarschema");
/// Words that a message may repeat: they are Cedar's own.
const WORDS: &[&str] = &["permit", "forbid", "principal", "action", "resource", "context", "when", "unless", "in", "is", "has", "like"];

/// Whether a text may be a policy.
pub(crate) fn check(text: &str) -> Result<(), Fault> {
    let policies = parse(text)?;
    let set = PolicySet::from_policies(policies.iter().cloned()).map_err(|error| fault(error.to_string()))?;
    let validation = Validator::new(schema(&actions(&policies)?)?).validate(&set, ValidationMode::Strict);
    match validation.validation_errors().next() {
        Some(error) => Err(fault(located(text, error, &without_literals(plainly(&error.to_string()))))),
        None => Ok(()),
    }
}

/// The statements of a text, in their order.
pub(crate) fn parse(text: &str) -> Result<Vec<Policy>, Fault> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(fault(format!("has 1 to {TEXT_BYTES_MAX} bytes")));
    }
    check_nesting(text)?;
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| match errors.iter().next() {
        Some(error) => fault(located(text, error, &without_names(&without_place(text, error)))),
        None => fault("is not Cedar".to_owned()),
    })?;
    if set.num_of_templates() > 0 {
        return Err(fault("holds a template: a policy names what it is about".to_owned()));
    }
    let mut policies: Vec<Policy> = set.policies().cloned().collect();
    // `policy0`, `policy1`: the numbers by which they lie in the text.
    policies.sort_by_key(number);
    match policies.len() {
        0 => Err(fault("holds no statement".to_owned())),
        1..=STATEMENTS_MAX => Ok(policies),
        _ => Err(fault(format!("holds more than {STATEMENTS_MAX} statements"))),
    }
}

/// Looks at a text before Cedar does, outside of its strings and comments.
fn check_nesting(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let (mut depth, mut operators, mut at) = (0_usize, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                while let Some(&inner) = bytes.get(at).filter(|inner| **inner != b'"') {
                    at += if inner == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'/' if bytes.get(at) == Some(&b'/') => at += bytes[at..].iter().take_while(|inner| **inner != b'\n').count(),
            b'(' | b'[' | b'{' => (depth, operators) = (depth + 1, operators + 1),
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' => operators = 0,
            b'&' | b'|' | b'+' | b'-' | b'*' | b'.' | b'!' | b'<' | b'>' | b'=' => operators += 1,
            b'i' if bytes.get(at) == Some(&b'f') => operators += 1,
            _ => {}
        }
        if depth > NESTING_MAX || operators > OPERATORS_MAX {
            let line = String::from_utf8_lossy(&bytes[..at.min(bytes.len())]).split('\n').count();
            return Err(fault(format!(
                "nests more than {NESTING_MAX} brackets, or has too many operators in one statement, at line {line}"
            )));
        }
    }
    Ok(())
}

fn number(policy: &Policy) -> usize {
    let id: &str = policy.id().as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// The actions that policies name, and those that hold them.
fn actions(policies: &[Policy]) -> Result<BTreeSet<String>, Fault> {
    let mut named = BTreeSet::new();
    for uid in policies.iter().flat_map(Policy::entity_literals) {
        if uid.type_name().to_string() == "Action" {
            named.insert(uid.id().unescaped().to_owned());
        }
    }
    if named.len() > ACTIONS_MAX {
        return Err(fault(format!("names more than {ACTIONS_MAX} actions")));
    }
    let nouns: Vec<String> = named.iter().map(|name| action::category(name).to_owned()).collect();
    named.extend(nouns);
    if named.is_empty() {
        // A schema without an action validates nothing.
        named.insert("any".to_owned());
    }
    Ok(named)
}

/// The schema, with these actions.
fn schema(actions: &BTreeSet<String>) -> Result<Schema, Fault> {
    let mut text = String::from(SCHEMA);
    for name in actions {
        let within = action::category(name);
        let parent = if within == name { String::new() } else { format!(" in [Action::{}]", quoted(within)) };
        let _ = writeln!(
            text,
            "action {}{parent} appliesTo {{ principal: [Agent, User, ServiceAccount, System, Subject], resource: [Resource], context: \
             Circumstances }};",
            quoted(name)
        );
    }
    match Schema::from_cedarschema_str(&text) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => {
            tracing::error!(%error, "the schema of policies does not hold together");
            Err(fault("names an action that cannot be one".to_owned()))
        }
    }
}

/// A string of Cedar.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", cedar_policy::EntityId::new(text).escaped())
}

fn fault(message: String) -> Fault {
    Fault::new(FaultKind::Invalid, "", message)
}

/// A message with line and column, counted from 1, of the place that the library names.
fn located(text: &str, at: &dyn Diagnostic, message: &str) -> String {
    let label = at.labels().and_then(|mut labels| labels.next());
    let Some(label) = label else { return message.to_owned() };
    let before = &text[..text.floor_char_boundary(label.offset())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    match label.label().map(without_names) {
        Some(more) if !more.is_empty() => format!("line {line}, column {column}: {message}; {more}"),
        _ => format!("line {line}, column {column}: {message}"),
    }
}

/// A message of the parser without what stands at the place that it is about.
fn without_place(text: &str, error: &cedar_policy::ParseError) -> String {
    let message = error.to_string();
    let label = error.labels().and_then(|mut labels| labels.next());
    let place = label.and_then(|label| text.get(label.offset()..label.offset() + label.len()));
    match place.filter(|place| place.contains(char::is_alphanumeric) && !WORDS.contains(place)) {
        Some(place) => message.replace(place, "…"),
        None => message,
    }
}

/// A message of the validator without the name that it gave the statement. Two of its messages hold strings of the text without their
/// quotes: those are said in other words.
fn plainly(message: &str) -> &str {
    let message = match message.split_once("`, ") {
        Some((before, after)) if before.starts_with("for policy `") => after,
        _ => message,
    };
    if message.contains("access to tag `") {
        return "there may be no such tag: ask `hasTag` before";
    }
    if message.contains("function argument validation") {
        return "the argument of a function is not one";
    }
    message
}

/// What went wrong with a policy, without the strings that it was about.
pub(crate) fn without_values(message: &str) -> String {
    without_literals(message.lines().next().unwrap_or_default())
}

/// A message without the strings that it repeats.
fn without_literals(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(open) = rest.find('"') {
        let inside = &rest[open + 1..];
        let mut escaped = false;
        let close = inside.char_indices().find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        out.push_str(&rest[..open]);
        out.push_str("\"…\"");
        rest = close.map_or("", |(at, _)| &inside[at + 1..]);
    }
    out.push_str(rest);
    out
}

/// A message without anything that it repeats of the text, but for what is Cedar's own.
fn without_names(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for (n, part) in message.split('`').enumerate() {
        let own = n % 2 == 0 || WORDS.contains(&part) || !part.contains(char::is_alphanumeric);
        if n > 0 {
            out.push('`');
        }
        out.push_str(if own { part } else { "…" });
    }
    without_literals(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_every_part_of_the_language_are_taken() {
        for text in [
            "permit (principal, action, resource);",
            "forbid (principal is Agent, action in Action::\"tool\", resource in ResourceType::\"tool\") when { context has run_id };",
            "permit (principal in Group::\"ops\", action == Action::\"ticket.read\", resource == Resource::\"ticket/1\");\n@id(\"second\")\nforbid \
             (principal == Subject::\"device/7\", action in [Action::\"a.b\", Action::\"c.d\"], resource) unless { principal.hasTag(\"team\") && \
             principal.getTag(\"team\") like \"bill*\" };",
            "permit (principal, action, resource) when { context.numbers.hasTag(\"amount\") && context.numbers.getTag(\"amount\") < 1000 };",
            "forbid (principal, action, resource) when { context has source_ip && !context.source_ip.isInRange(ip(\"10.0.0.0/8\")) };",
            "forbid (principal, action, resource) when { context.time.toTime() > duration(\"18h\") };",
            "forbid (principal, action, resource) when { context.lists.hasTag(\"labels\") && context.lists.getTag(\"labels\").contains(\"secret\") };",
            "permit (principal is User, action, resource) when { principal.type == \"user\" && resource in Resource::\"project/9\" };",
        ] {
            check(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_repeats_no_string() {
        let cases = [
            ("permit (principal, action, resource)", "line 1, column 37"),
            ("permit (principal, action, resource);\npermitt (principal, action, resource);", "line 2, column 1"),
            ("permit (principal, action, resource)\nwhen { principal.nothing == \"secret-value\" };", "line 2, column 8"),
            ("permit (principal == Robot::\"secret-value\", action, resource);", "line 1, column"),
            ("permit (principal, action, resource) when { context.run_id == \"secret-value\" };", "line 1, column 45"),
            ("permit (principal, action, resource) when { \"secret-value\" };", "line 1, column"),
            ("permit (principal, action, resource) when { principal.getTag(\"secret-value\") == \"x\" };", "line 1, column"),
            ("permit (principal, action, resource) when { context.source_ip == ip(\"secret-value\") };", "line 1, column"),
            ("permit (principal, action, resource) when { 1 == \"secret-value };", "line 1, column"),
            ("permit (principal, action, resource) when { secret_value };", "line 1, column"),
            ("permit (principal == ?principal, action, resource);", "template"),
            ("// nothing", "no statement"),
            ("", "1 to 32768 bytes"),
        ];
        for (text, expected) in cases {
            let message = check(text).expect_err(text).message;
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("secret-value") && !message.contains("secret_value"), "{text}: {message}");
        }
    }

    #[test]
    fn what_would_use_up_the_stack_is_refused_before_it_is_read() {
        let when = |condition: &str| format!("permit (principal, action, resource) when {{ {condition} }};");
        let nested = |open: &str, close: &str, times: usize| when(&format!("{}true{}", open.repeat(times), close.repeat(times)));
        for (open, close) in [("(", ")"), ("[", "]"), ("{a:", "}"), ("!(", ")")] {
            assert!(check(&nested(open, close, 8_000)).expect_err(open).message.contains("nests more than"), "{open}");
        }
        assert!(check(&nested("if true then false else ", "", 1_200)).is_err() && check(&nested("!", "", 9_000)).is_err());
        assert!(check(&when(&format!("{}true", "true&&".repeat(3_900)))).is_err());
        assert!(check(&when(&format!("context{}", ".a".repeat(9_000)))).is_err());
        // What may be, on a stack of the size that threads have by default, and let go of again.
        check(&nested("(", ")", NESTING_MAX - 2)).expect("as deep as may be");
        check(&when(&vec!["true"; OPERATORS_MAX / 2 - 2].join("&&"))).expect("as long as may be");
        // Brackets in strings and comments are none.
        check(&when(&format!(
            "context.time.toTime() > duration(\"1h\") && \"{}\\\"(\" != \"a\" // {}\n",
            "(".repeat(500),
            "(".repeat(500)
        )))
        .expect("text");
    }

    #[test]
    fn statements_and_actions_are_bounded() {
        let one = "permit (principal, action, resource);\n";
        assert_eq!(parse(&one.repeat(STATEMENTS_MAX)).expect("as many as may be").len(), STATEMENTS_MAX);
        assert!(parse(&one.repeat(STATEMENTS_MAX + 1)).is_err());
        let named = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("Action::\"a.b{n}\"")).collect();
            check(&format!("permit (principal, action in [{}], resource);", names.join(", ")))
        };
        assert!(named(ACTIONS_MAX).is_ok() && named(ACTIONS_MAX + 1).is_err());
    }
}
