//! The equality terms of an entry, for the index. Called once for every row ever indexed, so it walks the entry's members
//! beside a sorted tree of the indexed ones and allocates nothing but one name for the keys of `context`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use super::attribute::{self, LABELS};
use crate::event::members::{self, Member, Shape};
use crate::json::{Object, Value};

/// A member that is indexed, or holds some that are.
pub(super) struct Branch {
    pub(super) name: &'static str,
    /// The [`head`] of the name.
    head: u64,
    pub(super) dotted: String,
    pub(super) inner: Inner,
}

pub(super) enum Inner {
    /// A value, or a list of them.
    Leaf,
    /// The keys of `context`.
    Labels,
    /// Members below, sorted by name.
    Members(Vec<Branch>),
}

pub(super) static TREE: LazyLock<Vec<Branch>> = LazyLock::new(|| grow(members::ENTRY, ""));

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
        (!empty).then_some(Branch { name: member.name, head: head(member.name), dotted, inner })
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
        if let Some(branch) = find(branches, &mut at, name) {
            emit(branch, value, each);
        }
    }
}

/// The branch called `name`, looked for from `at` on: both sides ascend in an entry, so `at` goes back only where the
/// text was not canonical.
pub(super) fn find<'b>(branches: &'b [Branch], at: &mut usize, name: &str) -> Option<&'b Branch> {
    let head = head(name);
    let compare = |branch: &Branch| branch.head.cmp(&head).then_with(|| branch.name.cmp(name));
    if *at > 0 && compare(&branches[*at - 1]).is_ge() {
        *at = 0;
    }
    while let Some(branch) = branches.get(*at) {
        match compare(branch) {
            Ordering::Less => *at += 1,
            Ordering::Equal => return Some(branch),
            Ordering::Greater => return None,
        }
    }
    None
}

/// The first eight bytes of a name: most names differ in them, and no call is needed to compare them.
fn head(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let head = bytes.iter().take(8).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
    head.checked_shl(8 * 8_u32.saturating_sub(bytes.len() as u32)).unwrap_or(0)
}

fn emit(branch: &Branch, value: &Value<'_>, each: &mut dyn FnMut(&str, &str)) {
    match (value, &branch.inner) {
        (Value::Array(items), _) => items.iter().for_each(|item| emit(branch, item, each)),
        (Value::Object(object), Inner::Members(branches)) => visit(branches, object, each),
        (Value::Object(object), Inner::Labels) => labels(object, each),
        (Value::String(text) | Value::Number(text), Inner::Leaf) => each(&branch.dotted, text),
        (Value::Bool(value), Inner::Leaf) => each(&branch.dotted, if *value { "true" } else { "false" }),
        _ => {}
    }
}

fn labels(object: &Object<'_>, each: &mut dyn FnMut(&str, &str)) {
    let mut dotted = String::with_capacity(64);
    for (key, value) in object.iter() {
        if let Value::String(text) = value {
            write_label(key, &mut dotted);
            each(&dotted, text);
        }
    }
}

/// Puts `context.<key>` into `dotted`, in lower case.
pub(super) fn write_label(key: &str, dotted: &mut String) {
    dotted.clear();
    dotted.push_str(LABELS);
    dotted.push('.');
    dotted.push_str(key);
    dotted.make_ascii_lowercase();
}
