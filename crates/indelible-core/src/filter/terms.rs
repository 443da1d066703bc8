//! The equality terms of an entry, for the index. Called once for every row ever indexed, so it walks the entry's members
//! beside a sorted tree of the indexed ones and allocates nothing but one name for the keys of `context`.

use std::sync::LazyLock;

use super::attribute::{self, LABELS};
use crate::event::members::{self, Member, Shape};
use crate::json::{Object, Value};

/// A member that is indexed, or holds some that are.
struct Branch {
    name: &'static str,
    dotted: String,
    inner: Inner,
}

enum Inner {
    Leaf,
    Labels,
    Members(Vec<Branch>),
}

static TREE: LazyLock<Vec<Branch>> = LazyLock::new(|| grow(members::ENTRY, ""));

fn grow(members: &'static [Member], above: &str) -> Vec<Branch> {
    let branch = |member: &'static Member| {
        let dotted = if above.is_empty() { member.name.to_owned() } else { format!("{above}.{}", member.name) };
        let inner = match member.shape {
            Shape::Object(inner) | Shape::Objects(_, inner) => Inner::Members(grow(inner, &dotted)),
            Shape::Labels => Inner::Labels,
            _ if attribute::is_indexed(&dotted) => Inner::Leaf,
            _ => return None,
        };
        let empty = matches!(&inner, Inner::Members(branches) if branches.is_empty());
        (!empty).then_some(Branch { name: member.name, dotted, inner })
    };
    members.iter().filter_map(branch).collect()
}

/// Hands every term of `entry` to `each`, as (canonical attribute, value).
pub(super) fn terms(entry: &Value<'_>, each: &mut dyn FnMut(&str, &str)) {
    if let Value::Object(object) = entry {
        visit(&TREE, object, each);
    }
}

fn visit(branches: &[Branch], object: &Object<'_>, each: &mut dyn FnMut(&str, &str)) {
    let mut at = 0;
    for (name, value) in object.iter() {
        // Both sides ascend in an entry, so this goes back only where the text was not canonical.
        if at > 0 && branches[at - 1].name >= name {
            at = 0;
        }
        while branches.get(at).is_some_and(|branch| branch.name < name) {
            at += 1;
        }
        if let Some(branch) = branches.get(at).filter(|branch| branch.name == name) {
            emit(branch, value, each);
        }
    }
}

fn emit(branch: &Branch, value: &Value<'_>, each: &mut dyn FnMut(&str, &str)) {
    match (value, &branch.inner) {
        (Value::Array(items), _) => items.iter().for_each(|item| emit(branch, item, each)),
        (Value::Object(object), Inner::Members(branches)) => visit(branches, object, each),
        (Value::Object(object), Inner::Labels) => labels(object, each),
        (Value::String(text), Inner::Leaf) | (Value::Number(text), Inner::Leaf) => each(&branch.dotted, text),
        (Value::Bool(value), Inner::Leaf) => each(&branch.dotted, if *value { "true" } else { "false" }),
        _ => {}
    }
}

fn labels(object: &Object<'_>, each: &mut dyn FnMut(&str, &str)) {
    let mut dotted = String::with_capacity(64);
    for (key, value) in object.iter() {
        if let Value::String(text) = value {
            dotted.clear();
            dotted.push_str(LABELS);
            dotted.push('.');
            dotted.push_str(key);
            dotted.make_ascii_lowercase();
            each(&dotted, text);
        }
    }
}
