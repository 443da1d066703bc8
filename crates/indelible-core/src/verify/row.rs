//! What one row says of itself: whether entry, hashes and key agree, and whether its content is the one it names.

use aws_lc_rs::digest;
use uuid::Uuid;

use super::{Finding, Row, Verdict};
use crate::chain::{GENESIS, Hash};
use crate::entry::Outline;
use crate::key::ProjectKeys;

/// The keys of a project by ring id; remembers the last, since a chain seldom changes its key.
pub(super) struct Keys<F> {
    find: F,
    last: Option<ProjectKeys>,
}

impl<F: Fn(u64) -> Option<ProjectKeys>> Keys<F> {
    pub(super) const fn new(find: F) -> Self {
        Self { find, last: None }
    }

    pub(super) fn get(&mut self, ring_id: u64) -> Option<&ProjectKeys> {
        if self.last.as_ref().is_none_or(|keys| keys.ring_id != ring_id) {
            self.last = Some((self.find)(ring_id)?);
        }
        self.last.as_ref()
    }

    /// The keys used last, whatever their id.
    pub(super) const fn last(&self) -> Option<&ProjectKeys> {
        self.last.as_ref()
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

pub(super) fn examine<'a, F: Fn(u64) -> Option<ProjectKeys>>(project_id: Uuid, row: &Row<'a>, keys: &mut Keys<F>) -> Standing<'a> {
    debug_assert_eq!(row.outline, Outline::read(row.entry).as_ref());
    let Some(outline) = row.outline else { return Standing::Faulty("the entry cannot be read", None) };
    if outline.project_id != project_id {
        return Standing::Faulty("the entry is one of another project", Some(outline));
    }
    let (Ok(prev_hash), Ok(row_hash)) = (<&Hash>::try_from(row.prev_hash), <&Hash>::try_from(row.row_hash)) else {
        return Standing::Faulty("a hash does not have 32 bytes", Some(outline));
    };
    let Some(keys) = keys.get(outline.hmac_key_id) else {
        if outline.sequence != row.sequence {
            return Standing::Faulty("its key is not there, and entry and column name different sequences", Some(outline));
        }
        return Standing::Unverifiable(outline);
    };
    if keys.row_hash(row.entry, prev_hash) == *row_hash {
        Standing::Authentic(outline)
    } else {
        Standing::Faulty("entry, prev_hash and row_hash do not agree", Some(outline))
    }
}

/// What is wrong with the content beside a row.
pub(super) fn content_fault(outline: &Outline, row: &Row<'_>) -> Option<&'static str> {
    let Some((sha256, bytes)) = &outline.sealed else {
        return match (row.content, row.wrap_opens) {
            (None, None) => None,
            (Some(_), _) => Some("there is a content that the entry does not name"),
            (None, Some(_)) => Some("there is a wrapped key for a content that the entry does not name"),
        };
    };
    let Some(content) = row.content else { return Some("the content is gone") };
    if content.len() as u64 != *bytes {
        return Some("the content has another size than the entry says");
    }
    if digest::digest(&digest::SHA256, content).as_ref() != sha256 {
        return Some("the content was changed");
    }
    match row.wrap_opens {
        Some(true) => None,
        Some(false) => Some("the wrapped key does not open, or does not open this content"),
        None => Some("the wrapped key of the content is gone"),
    }
}

/// What is wrong with what a retry of an authentic row is compared with.
pub(super) fn retry_fault<F: Fn(u64) -> Option<ProjectKeys>>(outline: &Outline, row: &Row<'_>, keys: &mut Keys<F>) -> Option<&'static str> {
    let holds = keys.get(outline.hmac_key_id).is_none_or(|keys| row.retry.holds(outline.sequence, keys));
    (!holds).then_some("what a retry is compared with was changed: submission_key_id, submission_mac or retry_mac")
}

/// Checks one row by itself and against the row hash of the one before it (`None` where there is no such row). No
/// findings means that the row is as it was written; what follows it, tree and head are not looked at.
pub fn one_row(project_id: Uuid, keys: &dyn Fn(u64) -> Option<ProjectKeys>, row: &Row<'_>, previous: Option<&[u8]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |kind, sequence, detail: &str| findings.push(Finding { kind, sequence: Some(sequence), detail: detail.to_owned() });
    let mut keys = Keys::new(keys);
    let outline = match examine(project_id, row, &mut keys) {
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
    for fault in [content_fault(outline, row), retry_fault(outline, row, &mut keys)].into_iter().flatten() {
        add(Verdict::Altered, row.sequence, fault);
    }
    findings
}

pub(super) fn absent_key(ring_id: u64) -> String {
    format!("key {ring_id} of the ring is not there")
}
