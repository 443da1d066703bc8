//! Verification of one project's chain: rows go in, findings come out. A broken chain is a result, not an error.
//!
//! [`Verifier`] walks rows in stored order and compares the end with the head, and both with what was signed of them: anchors and the
//! last checkpoint; [`one_row`] checks a single row. One
//! fault gives one finding: after it the walk goes on with what is stored, so that later faults are found and none is
//! found twice. A row is believed to be where its own entry says only if its HMAC holds.

mod doubt;
mod head;
mod resume;
mod row;
mod signed;
mod walk;

use uuid::Uuid;

pub use resume::Start;
pub use row::{Hashed, one_row};
pub use signed::{Log, StoredAnchor};
pub use walk::Verifier;

use crate::chain::Hash;
use crate::entry::Outline;

/// What is wrong, or could not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing is wrong.
    Intact,
    /// Rows that no anchor covers yet.
    Unanchored,
    /// Nothing is wrong in what was read, and rows that were verified before were not read again.
    Partial,
    /// A key that is needed is not there.
    Unverifiable,
    /// Bytes were changed.
    Altered,
    /// Rows stand in another order.
    Reordered,
    /// A row in the middle is gone.
    Missing,
    /// The newest rows are gone.
    Truncated,
    /// An older copy stands in place of the newest.
    RolledBack,
    /// Two histories.
    Forked,
}

impl Verdict {
    /// All of them, the mildest first.
    pub const ALL: [Self; 10] = [
        Self::Intact,
        Self::Unanchored,
        Self::Partial,
        Self::Unverifiable,
        Self::Altered,
        Self::Reordered,
        Self::Missing,
        Self::Truncated,
        Self::RolledBack,
        Self::Forked,
    ];

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Unanchored => "unanchored",
            Self::Partial => "partial",
            Self::Unverifiable => "unverifiable",
            Self::Altered => "altered",
            Self::Reordered => "reordered",
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::RolledBack => "rolled_back",
            Self::Forked => "forked",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: Verdict,
    /// Where, if it has a place in the chain.
    pub sequence: Option<u64>,
    /// One sentence.
    pub detail: String,
}

/// The result for one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The project.
    pub project_id: Uuid,
    /// Rows read.
    pub events: u64,
    /// Rows that were verified before, and not read again.
    pub not_read: u64,
    /// Of the rows read, those that no anchor covers.
    pub unanchored: u64,
    /// The gravest kind found. Where nothing is: [`Verdict::Partial`] if rows were not read, else [`Verdict::Unanchored`] if anchors
    /// do not cover all.
    pub verdict: Verdict,
    /// At most [`FINDINGS_MAX`] of them, by sequence; those without one last.
    pub findings: Vec<Finding>,
    /// How many there were.
    pub findings_total: u64,
}

/// Findings kept in one report.
pub const FINDINGS_MAX: usize = 100;

/// One stored row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The `sequence` column.
    pub sequence: u64,
    /// The `entry` column.
    pub entry: &'a [u8],
    /// What [`Outline::read`] says of `entry`: the caller reads it once, for this and for whatever else it compares.
    pub outline: Option<&'a Outline>,
    /// The `prev_hash` column.
    pub prev_hash: &'a [u8],
    /// The `row_hash` column.
    pub row_hash: &'a [u8],
    /// What a retry of the event is compared with.
    pub retry: Retry<'a>,
    /// The stored content, if there is any.
    pub content: Option<&'a [u8]>,
    /// What became of the wrap of the content key.
    pub wrap: Wrap,
}

/// The wrap of a content key, and whether it does what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    /// There is none.
    Absent,
    /// It opens, and the key in it opens the content ([`crate::seal::authenticates`]).
    Opens,
    /// It does not.
    Shut,
    /// The key that should open it cannot be used here, so nobody can tell.
    Untried,
}

/// What a retry of an event is compared with, as it is stored beside it.
#[derive(Debug, Clone, Copy)]
pub struct Retry<'a> {
    /// The `submission_key_id` column.
    pub submission_key_id: u64,
    /// The `submission_mac` column.
    pub submission_mac: &'a [u8],
    /// The `retry_mac` column ([`crate::key::ProjectKeys::retry_mac`]).
    pub retry_mac: &'a [u8],
}

impl Retry<'_> {
    /// Whether it is what was written beside the row of this sequence; `keys` are those of the row.
    pub fn holds(&self, sequence: u64, keys: &crate::key::ProjectKeys) -> bool {
        let made = self.submission_mac.try_into().map(|mac| keys.retry_mac(sequence, self.submission_key_id, mac));
        made.is_ok_and(|made| made == self.retry_mac)
    }
}

/// The stored head of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Rows.
    pub size: u64,
    /// Row hash of the last.
    pub row_hash: Hash,
    /// Tree root.
    pub tree_root: Hash,
    /// Ring id of `mac`.
    pub hmac_key_id: u64,
    /// See [`crate::key::ProjectKeys::head_mac`].
    pub mac: Hash,
    /// The stored partial tiles.
    pub partial_tiles: Vec<Vec<Hash>>,
    /// The stored compact range.
    pub compact_range: Vec<Hash>,
}

/// The findings of one walk: the first few as they are, the rest as numbers.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    counts: [u64; Verdict::ALL.len()],
}

/// Where a finding was put, for [`Findings::promote`]; nowhere once enough are kept.
type Place = Option<usize>;

impl Findings {
    fn add(&mut self, kind: Verdict, sequence: Option<u64>, detail: impl Into<String>) -> Place {
        self.counts[kind as usize] += 1;
        if self.kept.len() >= FINDINGS_MAX {
            return None;
        }
        self.kept.push(Finding { kind, sequence, detail: detail.into() });
        Some(self.kept.len() - 1)
    }

    /// [`Findings::add`] for those that no later row explains.
    pub(crate) fn found(&mut self, kind: Verdict, sequence: Option<u64>, detail: impl Into<String>) {
        self.add(kind, sequence, detail);
    }

    /// What was taken for altered turns out to be in another place.
    fn promote(&mut self, place: Place, to: Verdict, detail: &str) {
        self.counts[Verdict::Altered as usize] -= 1;
        self.counts[to as usize] += 1;
        if let Some(finding) = place.and_then(|at| self.kept.get_mut(at)) {
            finding.kind = to;
            detail.clone_into(&mut finding.detail);
        }
    }

    pub(crate) fn report(mut self, project_id: Uuid, (events, not_read): (u64, u64), unanchored: u64) -> Report {
        self.kept.sort_by_key(|finding| finding.sequence.unwrap_or(u64::MAX));
        let verdict = Verdict::ALL.into_iter().rfind(|kind| self.counts[*kind as usize] > 0).unwrap_or(Verdict::Intact);
        let verdict = verdict.max(if unanchored > 0 { Verdict::Unanchored } else { Verdict::Intact });
        let verdict = verdict.max(if not_read > 0 { Verdict::Partial } else { Verdict::Intact });
        Report { project_id, events, not_read, unanchored, verdict, findings: self.kept, findings_total: self.counts.iter().sum() }
    }
}

#[cfg(test)]
mod tests;
