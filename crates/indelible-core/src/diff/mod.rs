//! RFC 6902 diffs at element level, and the JSON Pointers of what changed.
//!
//! Objects are compared member by member in any order, arrays are aligned first (`align`), so that an item put in front is one `add`
//! and not a change of every item. Numbers are equal if their source texts are. The cost is bounded: a diff may spend
//! `WORK_MAX` on aligning; from there on arrays are compared position by position, which is correct and longer.
//!
//! Invariant: applying the operations in order to the first value gives the second.

mod align;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::json::{Object, Value, push_pointer};
use crate::limits::{CHANGES_BYTES_MAX, CHANGES_MAX, TEXT_BYTES_MAX};
use align::Step;

/// What one diff may spend on aligning arrays: bytes made canonical, and cells of tables, 32 a unit.
const WORK_MAX: usize = 1 << 22;
/// Objects larger than this look their members up in a hash table.
const LINEAR_MEMBERS_MAX: usize = 16;

/// What changed, named by JSON Pointers (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// At most [`CHANGES_MAX`] pointers of [`CHANGES_BYTES_MAX`] in all, in the order in which the diff comes upon them. Added and
    /// removed parts are named by their root, replaced ones by their leaf, removed array items by the index they had.
    pub listed: Vec<String>,
    /// How many there are, listed or not. The change of a whole state counts, and is not listed: its pointer is empty.
    pub total: usize,
}

/// The operations (`add`, `remove`, `replace`) that lead from `before` to `after`, as an array in the form of RFC 6902.
pub fn operations<'a>(before: &Value<'a>, after: &Value<'a>) -> Value<'a> {
    let mut walk = Walk { work: WORK_MAX, pointer: String::new(), sink: Operations { made: Vec::new() } };
    walk.compare(before, after);
    Value::Array(walk.sink.made)
}

/// The pointers of what differs between `before` and `after`.
pub fn changes(before: &Value<'_>, after: &Value<'_>) -> Changes {
    let mut walk = Walk { work: WORK_MAX, pointer: String::new(), sink: Pointers { changes: Changes::default(), bytes: 0 } };
    walk.compare(before, after);
    walk.sink.changes
}

/// What a walk makes of the differences it comes upon.
trait Sink<'a> {
    fn add(&mut self, pointer: &str, value: &Value<'a>);
    fn replace(&mut self, pointer: &str, value: &Value<'a>);
    /// `old` is the pointer with the last index as it was in the first array; the same for a member.
    fn remove(&mut self, pointer: &str, old: impl FnOnce() -> String);
}

struct Operations<'a> {
    made: Vec<Value<'a>>,
}

impl<'a> Operations<'a> {
    fn push(&mut self, operation: &'static str, pointer: &str, value: Option<&Value<'a>>) {
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::with_capacity(3);
        members.push(("op".into(), Value::string(operation)));
        members.push(("path".into(), Value::string(pointer.to_owned())));
        members.extend(value.map(|value| ("value".into(), value.clone())));
        self.made.push(Value::Object(Object::from_distinct(members)));
    }
}

impl<'a> Sink<'a> for Operations<'a> {
    fn add(&mut self, pointer: &str, value: &Value<'a>) {
        self.push("add", pointer, Some(value));
    }

    fn replace(&mut self, pointer: &str, value: &Value<'a>) {
        self.push("replace", pointer, Some(value));
    }

    fn remove(&mut self, pointer: &str, _: impl FnOnce() -> String) {
        self.push("remove", pointer, None);
    }
}

struct Pointers {
    changes: Changes,
    bytes: usize,
}

impl Pointers {
    fn note(&mut self, pointer: &str) {
        let Changes { listed, total } = &mut self.changes;
        *total += 1;
        let fits = listed.len() < CHANGES_MAX && pointer.len() <= TEXT_BYTES_MAX && self.bytes + pointer.len() <= CHANGES_BYTES_MAX;
        if fits && !pointer.is_empty() {
            self.bytes += pointer.len();
            listed.push(pointer.to_owned());
        }
    }
}

impl<'a> Sink<'a> for Pointers {
    fn add(&mut self, pointer: &str, _: &Value<'a>) {
        self.note(pointer);
    }

    fn replace(&mut self, pointer: &str, _: &Value<'a>) {
        self.note(pointer);
    }

    fn remove(&mut self, _: &str, old: impl FnOnce() -> String) {
        self.note(&old());
    }
}

struct Walk<S> {
    work: usize,
    /// Where the walk is, in the first value as the operations so far have changed it.
    pointer: String,
    sink: S,
}

impl<S> Walk<S> {
    fn at<'a>(&mut self, token: &str, then: impl FnOnce(&mut Self))
    where
        S: Sink<'a>,
    {
        let length = self.pointer.len();
        push_pointer(&mut self.pointer, token);
        then(self);
        self.pointer.truncate(length);
    }

    fn compare<'a>(&mut self, before: &Value<'a>, after: &Value<'a>)
    where
        S: Sink<'a>,
    {
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => self.objects(before, after),
            (Value::Array(before), Value::Array(after)) => self.arrays(before, after),
            _ if before == after => {}
            _ => self.sink.replace(&self.pointer, after),
        }
    }

    fn objects<'a>(&mut self, before: &Object<'a>, after: &Object<'a>)
    where
        S: Sink<'a>,
    {
        let (old, new) = (Lookup::new(before), Lookup::new(after));
        for (name, _) in before.iter().filter(|(name, _)| new.get(name).is_none()) {
            self.at(name, |walk| walk.sink.remove(&walk.pointer, || walk.pointer.clone()));
        }
        for (name, value) in after.iter() {
            self.at(name, |walk| match old.get(name) {
                Some(was) => walk.compare(was, value),
                None => walk.sink.add(&walk.pointer, value),
            });
        }
    }

    /// Walks both arrays from left to right. What is behind `new` is as in `after` already, so an item of either is at index `new`
    /// when its turn comes.
    fn arrays<'a>(&mut self, before: &[Value<'a>], after: &[Value<'a>])
    where
        S: Sink<'a>,
    {
        let (mut old, mut new) = (0, 0);
        for step in align::align(before, after, &mut self.work) {
            match step {
                Step::Same(count) => {
                    old += count;
                    new += count;
                }
                Step::Changed => {
                    self.at(&new.to_string(), |walk| walk.compare(&before[old], &after[new]));
                    old += 1;
                    new += 1;
                }
                Step::Removed => {
                    let parent = self.pointer.len();
                    self.at(&new.to_string(), |walk| {
                        let was = || format!("{}/{old}", &walk.pointer[..parent]);
                        walk.sink.remove(&walk.pointer, was);
                    });
                    old += 1;
                }
                Step::Added => {
                    self.at(&new.to_string(), |walk| walk.sink.add(&walk.pointer, &after[new]));
                    new += 1;
                }
            }
        }
    }
}

/// Members by name, in constant time for large objects.
struct Lookup<'o, 'a> {
    object: &'o Object<'a>,
    hashed: Option<HashMap<&'o str, &'o Value<'a>>>,
}

impl<'o, 'a> Lookup<'o, 'a> {
    fn new(object: &'o Object<'a>) -> Self {
        Self { object, hashed: (object.len() > LINEAR_MEMBERS_MAX).then(|| object.iter().collect()) }
    }

    fn get(&self, name: &str) -> Option<&'o Value<'a>> {
        self.hashed.as_ref().map_or_else(|| self.object.get(name), |hashed| hashed.get(name).copied())
    }
}

#[cfg(test)]
mod tests;
