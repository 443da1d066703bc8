//! Verification of one project's chain: rows go in, findings come out. A broken chain is a result, not an error.

use uuid::Uuid;

use crate::chain::Hash;
use crate::key::ProjectKeys;
use crate::tree::Tile;

/// What is wrong, or could not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing is wrong.
    Intact,
    /// Rows that no anchor covers yet.
    Unanchored,
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
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Unanchored => "unanchored",
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
    /// The gravest kind found.
    pub verdict: Verdict,
    /// At most [`FINDINGS_MAX`] of them, in the order found.
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
    /// The `prev_hash` column.
    pub prev_hash: &'a [u8],
    /// The `row_hash` column.
    pub row_hash: &'a [u8],
    /// The stored content, if there is any.
    pub content: Option<&'a [u8]>,
    /// Whether the wrap of the content key opens: `None` where there is no wrap.
    pub wrap_opens: Option<bool>,
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
    /// See [`ProjectKeys::head_mac`].
    pub mac: Hash,
    /// The stored partial tiles.
    pub partial_tiles: Vec<Vec<Hash>>,
    /// The stored compact range.
    pub compact_range: Vec<Hash>,
}

/// Walks one chain, row after row, in constant memory (tiles that fill are compared as they do).
pub struct Verifier {
    _private: (),
}

impl Verifier {
    /// A verifier that looks for keys by ring id.
    pub fn new(project_id: Uuid, keys: Box<dyn Fn(u64) -> Option<ProjectKeys> + Send>) -> Self {
        let _ = (project_id, keys);
        Self { _private: () }
    }

    /// The next row in stored order. Tiles that it completes are appended to `full`, for the caller to compare with
    /// the stored ones by [`Verifier::tile`].
    pub fn row(&mut self, row: &Row<'_>, full: &mut Vec<Tile>) {
        unimplemented!("{row:?} {full:?}")
    }

    /// Compares a computed tile with the stored one.
    pub fn tile(&mut self, computed: &Tile, stored: Option<&[u8]>) {
        unimplemented!("{computed:?} {stored:?}")
    }

    /// Adds a finding that the store itself made (an orphaned content, an index that hides a row).
    pub fn finding(&mut self, finding: Finding) {
        unimplemented!("{finding:?}")
    }

    /// Compares the end of the chain with the stored head.
    pub fn finish(self, head: Option<&Head>) -> Report {
        unimplemented!("{head:?}")
    }
}
