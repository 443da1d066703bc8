//! The attributes that a filter may name: every member of an entry, by its dotted path, and its other names.
//!
//! Made from [`members::ENTRY`], so a new member can be asked for as soon as it exists. Names compare in any case.
//! Invariant: a name means one attribute; no underscored form and no alias shadows a dotted path.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::LazyLock;

use crate::event::members::{self, Member, Shape};

/// How values of an attribute are read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By code point, exactly.
    Text,
    /// Text that entries hold in lower case (hex).
    Lower,
    /// A UUID, in lower case.
    Uuid,
    /// An instant.
    Time,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// Has attributes of its own; only `pr` and brackets apply.
    Group,
}

/// A member of an entry.
pub(super) struct Attribute {
    /// Canonical name.
    pub(super) dotted: String,
    /// The member names that lead to it; arrays on the way are entered.
    pub(super) path: Vec<&'static str>,
    /// See [`Kind`].
    pub(super) kind: Kind,
    /// Whether it is an array of strings.
    pub(super) list: bool,
    /// Whether the index holds its values.
    pub(super) indexed: bool,
}

impl Debug for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dotted)
    }
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.dotted == other.dotted
    }
}

impl Attribute {
    /// The part of the dotted name that is left inside `name[…]`, so many members in.
    pub(super) fn relative(&self, skip: usize) -> String {
        if skip == self.path.len() { ELEMENT.to_owned() } else { self.path[skip..].join(".") }
    }
}

/// What an attribute of a test is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Name {
    /// A member of the table.
    Known(&'static Attribute),
    /// A key of `context`, in lower case.
    Label(String),
}

/// The object whose keys are the application's own.
pub(super) const LABELS: &str = "context";
/// What an element of an array of strings is called inside brackets (RFC 7643, section 2.4).
pub(super) const ELEMENT: &str = "value";
/// Longer names get no suggestion.
const SUGGEST_BYTES_MAX: usize = 64;

/// What the index holds beside every key of `context`: the attributes that people ask for by equality. Left out are
/// times, counts, texts for people, and what is nearly unique without being looked up (`request.span_id`, `http.url`).
/// `id` has an index of its own. `changes` is in: few events have any, and "who changed this field" is asked often.
const INDEXED: &[&str] = &[
    "action",
    "action_category",
    "actor.chain.id",
    "actor.id",
    "actor.on_behalf_of",
    "actor.type",
    "assurance",
    "cascade_root_id",
    "changes",
    "channel",
    "decision.decision",
    "decision.policy_id",
    "decrypt.record_id",
    "decrypt.user_id",
    "grant.id",
    "grant.kind",
    "grant.provider",
    "http.method",
    "http.status",
    "model.id",
    "model.provider",
    "operation_id",
    "outcome",
    "outcome_detail",
    "phase",
    "pii_classes",
    "principal.id",
    "principal.type",
    "provisioning.path",
    "provisioning.sync_run_id",
    "recorder.api_key_id",
    "request.api_key_id",
    "request.request_id",
    "request.source_ip",
    "request.trace_id",
    "resource.id",
    "resource.parent",
    "resource.type",
    "run.id",
    "run.parent_id",
    "run.procedure_id",
    "run.thread_id",
    "run.verdict",
    "scope.id",
    "scope.type",
    "subjects",
];

/// Names that are neither a dotted path nor one with `_` for `.`.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("api_key_id", "request.api_key_id"),
    ("auth_method", "request.auth_method"),
    ("conversation_id", "run.thread_id"),
    ("framework", "context.framework"),
    ("ingested_at", "recorded_at"),
    ("latency_ms", "http.latency_ms"),
    ("method", "http.method"),
    ("on_behalf_of", "actor.on_behalf_of"),
    ("parent_agent", "context.parent_agent"),
    ("policy_id", "decision.policy_id"),
    ("policy_version", "decision.policy_version"),
    ("procedure_id", "run.procedure_id"),
    ("procedure_version", "run.procedure_version"),
    ("record_id", "decrypt.record_id"),
    ("record_type", "decrypt.record_type"),
    ("request_id", "request.request_id"),
    ("source_ip", "request.source_ip"),
    ("span_id", "request.span_id"),
    ("sync_run_id", "provisioning.sync_run_id"),
    ("thread_id", "run.thread_id"),
    ("tool", "context.tool"),
    ("tool_call_id", "context.tool_call_id"),
    ("trace_id", "request.trace_id"),
    ("url", "http.url"),
    ("user_agent", "request.user_agent"),
    ("user_id", "decrypt.user_id"),
    ("verdict", "run.verdict"),
];

struct Table {
    attributes: Vec<Attribute>,
    /// Dotted paths and their underscored forms, to the place in `attributes`.
    names: BTreeMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut attributes = Vec::new();
    collect(members::ENTRY, &[], &mut attributes);
    let mut names: BTreeMap<String, usize> = attributes.iter().enumerate().map(|(at, a)| (a.dotted.clone(), at)).collect();
    for (at, attribute) in attributes.iter().enumerate() {
        names.entry(attribute.dotted.replace('.', "_")).or_insert(at);
    }
    Table { attributes, names }
});

fn collect(members: &'static [Member], above: &[&'static str], out: &mut Vec<Attribute>) {
    for member in members {
        let path = [above, &[member.name]].concat();
        let dotted = path.join(".");
        let kind = match member.shape {
            Shape::Text(_) | Shape::Choice(_) | Shape::Action | Shape::Category | Shape::Texts(..) => Kind::Text,
            Shape::Hex(_) => Kind::Lower,
            Shape::Uuid => Kind::Uuid,
            Shape::Time => Kind::Time,
            Shape::Integer(..) => Kind::Integer,
            Shape::Bool => Kind::Bool,
            Shape::Object(_) | Shape::Objects(..) | Shape::Labels => Kind::Group,
        };
        let indexed = is_indexed(&dotted);
        out.push(Attribute { dotted, path: path.clone(), kind, list: matches!(member.shape, Shape::Texts(..)), indexed });
        if let Shape::Object(inner) | Shape::Objects(_, inner) = member.shape {
            collect(inner, &path, out);
        }
    }
}

/// Whether the index holds this attribute, keys of `context` aside.
pub(super) fn is_indexed(dotted: &str) -> bool {
    INDEXED.binary_search(&dotted).is_ok()
}

/// Every attribute, in canonical order.
pub(super) fn all() -> &'static [Attribute] {
    &TABLE.attributes
}

/// The attribute with this dotted path, in lower case; no other name of it will do.
pub(super) fn at_path(dotted: &str) -> Option<&'static Attribute> {
    TABLE.names.get(dotted).map(|at| &TABLE.attributes[*at]).filter(|attribute| attribute.dotted == dotted)
}

/// What `name` means, in any case and under any of its names.
pub(super) fn resolve(name: &str) -> Option<Name> {
    let lower = name.to_ascii_lowercase();
    let target = ALIASES.binary_search_by(|(alias, _)| (*alias).cmp(&lower)).map_or(lower.as_str(), |at| ALIASES[at].1);
    if let Some(at) = TABLE.names.get(target) {
        return Some(Name::Known(&TABLE.attributes[*at]));
    }
    let key = target.strip_prefix(LABELS)?.strip_prefix(['.', '_'])?;
    (!key.is_empty()).then(|| Name::Label(key.to_owned()))
}

/// The attribute whose name is nearest to `name`, if one is near: at most a third of the letters differ, three at most.
pub(super) fn nearest(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if lower.len() > SUGGEST_BYTES_MAX {
        return None;
    }
    let allowed = (lower.len() / 3).clamp(1, 3);
    let named = TABLE.names.iter().map(|(name, at)| (name.as_str(), TABLE.attributes[*at].dotted.as_str()));
    named
        .chain(ALIASES.iter().copied())
        .map(|(name, dotted)| (distance(name.as_bytes(), lower.as_bytes()), dotted))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, dotted)| dotted.to_owned())
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let (mut older, mut above): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(older[j - 1] + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_name_what_exists() {
        assert!(INDEXED.is_sorted_by(|a, b| a < b));
        assert!(ALIASES.is_sorted_by(|a, b| a.0 < b.0));
        for dotted in INDEXED {
            assert!(at_path(dotted).is_some_and(|a| !matches!(a.kind, Kind::Group | Kind::Time)), "{dotted}");
        }
        for (alias, target) in ALIASES {
            assert!(at_path(target).is_some() || target.starts_with("context."), "{alias}");
        }
    }

    #[test]
    fn a_name_means_one_attribute() {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for attribute in all() {
            let underscored = attribute.dotted.replace('.', "_");
            for name in [attribute.dotted.clone(), underscored] {
                let other = seen.insert(name.clone(), &attribute.dotted);
                assert!(other.is_none_or(|other| other == attribute.dotted), "{name} is both {other:?} and {}", attribute.dotted);
                assert!(!name.starts_with("context_") && !name.starts_with("context."), "{name} shadows a key of context");
            }
        }
        for (alias, target) in ALIASES {
            assert!(!seen.contains_key(*alias), "{alias} -> {target} shadows {:?}", seen.get(*alias));
        }
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in
            [("", "", 0), ("ab", "", 2), ("actor", "actor", 0), ("actro", "actor", 1), ("acter", "actor", 1), ("a.b", "ab", 1)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), edits, "{a} {b}");
        }
    }
}
