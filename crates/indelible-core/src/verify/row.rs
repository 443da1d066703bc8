//! What one row says of itself: whether entry, hashes and key agree, and whether its content is the one it names.
//!
//! Everything that costs is in [`Hashed`], which no other row has a part in: it can be made on any thread and in any order, while the
//! walk that puts rows in their places takes what was made in theirs.

use aws_lc_rs::digest;
use uuid::Uuid;

use super::{Finding, Row, Verdict, Wrap};
use crate::chain::{GENESIS, Hash};
use crate::entry::Outline;
use crate::key::ProjectKeys;
use crate::tree::leaf_hash;

/// The keys of a project by ring id; remembers the last, since a chain seldom changes its key.
pub(super) struct Keys<F> {
    find: F,
    last: Option<ProjectKeys>,
    /// The id that was met last and whose key is there.
    met: Option<u64>,
}

impl<F: Fn(u64) -> Option<ProjectKeys>> Keys<F> {
    pub(super) const fn new(find: F) -> Self {
        Self { find, last: None, met: None }
    }

    /// Somebody else has used the key of this id.
    pub(super) const fn meet(&mut self, ring_id: u64) {
        self.met = Some(ring_id);
    }

    pub(super) fn get(&mut self, ring_id: u64) -> Option<&ProjectKeys> {
        if self.last.as_ref().is_none_or(|keys| keys.ring_id != ring_id) {
            self.last = Some((self.find)(ring_id)?);
        }
        self.met = Some(ring_id);
        self.last.as_ref()
    }

    /// The keys used last, whatever their id.
    pub(super) fn last(&mut self) -> Option<&ProjectKeys> {
        self.get(self.met?)
    }
}

/// Whether the HMAC of a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Without an outline, or with hashes of another length, there is none to compute.
    None,
    KeyAbsent,
    Holds,
    Broken,
}

/// What hashing says of one row by itself. It is that row's alone: handed in with another, it says something else of that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    leaf: Hash,
    link: Link,
    /// The content is the one that the entry names.
    content: bool,
    /// What a retry is compared with is as it was written, as far as there is a key to tell.
    retry: bool,
}

impl Hashed {
    /// Hashes a row. `keys` gives those of a project under a ring id, as the entry names them.
    pub fn of<'k>(row: &Row<'_>, keys: impl FnOnce(Uuid, u64) -> Option<&'k ProjectKeys>) -> Self {
        debug_assert_eq!(row.outline, Outline::read(row.entry).as_ref());
        let mut retry = true;
        let link = match (row.outline, row.prev_hash.try_into(), <&Hash>::try_from(row.row_hash)) {
            (Some(outline), Ok(prev_hash), Ok(row_hash)) => match keys(outline.project_id, outline.hmac_key_id) {
                Some(keys) if keys.row_hash(row.entry, prev_hash) == *row_hash => {
                    retry = row.retry.holds(outline.sequence, keys);
                    Link::Holds
                }
                Some(_) => Link::Broken,
                None => Link::KeyAbsent,
            },
            _ => Link::None,
        };
        let sealed = row.outline.and_then(|outline| outline.sealed);
        let content = sealed.zip(row.content).is_some_and(|((sha256, bytes), content)| {
            content.len() as u64 == bytes && digest::digest(&digest::SHA256, content).as_ref() == sha256
        });
        Self { leaf: leaf_hash(row.entry), link, content, retry }
    }

    /// The leaf of the row in the tree.
    pub(super) const fn leaf(&self) -> Hash {
        self.leaf
    }

    /// Whether there is a key for it.
    pub(super) const fn has_key(&self) -> bool {
        matches!(self.link, Link::Holds | Link::Broken)
    }
}

/// What is known of a row from itself alone.
pub(super) enum Standing<'a> {
    /// Its HMAC holds: the entry and both hashes are as they were written.
    Authentic(&'a Outline),
    /// Well formed, and its key is not there.
    Unverifiable(&'a Outline),
    /// It was changed. The outline is what the changed bytes say, if they say anything.
    Faulty(&'static str, Option<&'a Outline>),
}

pub(super) fn examine<'a>(project_id: Uuid, row: &Row<'a>, hashed: &Hashed) -> Standing<'a> {
    let Some(outline) = row.outline else { return Standing::Faulty("the entry cannot be read", None) };
    if outline.project_id != project_id {
        return Standing::Faulty("the entry is one of another project", Some(outline));
    }
    match hashed.link {
        Link::None => Standing::Faulty("a hash does not have 32 bytes", Some(outline)),
        Link::KeyAbsent if outline.sequence != row.sequence => {
            Standing::Faulty("its key is not there, and entry and column name different sequences", Some(outline))
        }
        Link::KeyAbsent => Standing::Unverifiable(outline),
        Link::Holds => Standing::Authentic(outline),
        Link::Broken => Standing::Faulty("entry, prev_hash and row_hash do not agree", Some(outline)),
    }
}

/// What is wrong with the content beside a row.
pub(super) fn content_fault(outline: &Outline, row: &Row<'_>, hashed: &Hashed) -> Option<&'static str> {
    let Some((_, bytes)) = &outline.sealed else {
        return match (row.content, row.wrap) {
            (None, Wrap::Absent) => None,
            (Some(_), _) => Some("there is a content that the entry does not name"),
            (None, _) => Some("there is a wrapped key for a content that the entry does not name"),
        };
    };
    let Some(content) = row.content else { return Some("the content is gone") };
    if content.len() as u64 != *bytes {
        return Some("the content has another size than the entry says");
    }
    if !hashed.content {
        return Some("the content was changed");
    }
    match row.wrap {
        Wrap::Opens | Wrap::Untried => None,
        Wrap::Shut => Some("the wrapped key does not open, or does not open this content"),
        Wrap::Absent => Some("the wrapped key of the content is gone"),
    }
}

/// What is wrong with what a retry of an authentic row is compared with.
pub(super) fn retry_fault(hashed: &Hashed) -> Option<&'static str> {
    (!hashed.retry).then_some("what a retry is compared with was changed: submission_key_id, submission_mac or retry_mac")
}

/// Checks one row by itself and against the row hash of the one before it (`None` where there is no such row). No
/// findings means that the row is as it was written; what follows it, tree and head are not looked at.
pub fn one_row(project_id: Uuid, keys: &dyn Fn(u64) -> Option<ProjectKeys>, row: &Row<'_>, previous: Option<&[u8]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |kind, sequence, detail: &str| findings.push(Finding { kind, sequence: Some(sequence), detail: detail.to_owned() });
    let mut keys = Keys::new(keys);
    let hashed = Hashed::of(row, |of, ring_id| if of == project_id { keys.get(ring_id) } else { None });
    let outline = match examine(project_id, row, &hashed) {
        Standing::Authentic(outline) => outline,
        Standing::Unverifiable(outline) => {
            add(Verdict::Unverifiable, row.sequence, &absent_key(outline.hmac_key_id));
            outline
        }
        Standing::Faulty(why, _) => {
            add(Verdict::Altered, row.sequence, why);
            return findings;
        }
    };
    if outline.sequence != row.sequence {
        add(Verdict::Reordered, row.sequence, &format!("the entry is that of sequence {}", outline.sequence));
    }
    match previous {
        None if row.sequence > 0 => add(Verdict::Missing, row.sequence - 1, "the row before is gone"),
        previous => {
            if previous.unwrap_or(&GENESIS) != row.prev_hash {
                add(Verdict::Altered, row.sequence, "prev_hash is not the row_hash of the row before");
            }
        }
    }
    for fault in [content_fault(outline, row, &hashed), retry_fault(&hashed)].into_iter().flatten() {
        add(Verdict::Altered, row.sequence, fault);
    }
    if row.wrap == Wrap::Untried && content_fault(outline, row, &hashed).is_none() {
        add(Verdict::Unverifiable, row.sequence, UNTRIED);
    }
    findings
}

/// What is said of a wrap that nobody can try.
pub(super) const UNTRIED: &str = "whether the wrapped key of the content opens cannot be told: the organization's key cannot be used";

pub(super) fn absent_key(ring_id: u64) -> String {
    format!("key {ring_id} of the ring is not there")
}
