//! Asking the ledger. Every function that [`crate::Ledger`] offers for it appends `audit.read` (and `content.decrypt` for
//! each record opened) before it returns, for refusals and failures too.

pub mod anchors;
pub mod checkpoints;
mod conversation;
mod explorer;
pub(crate) mod feed;
pub mod follow;
mod joined;
pub(crate) mod newest;
pub(crate) mod open;
pub(crate) mod places;
pub(crate) mod polls;
pub mod proofs;
mod published;
pub(crate) mod reading;
mod run;
pub(crate) mod scan;
mod search;
pub(crate) mod sight;
pub mod sql;
pub mod status;
mod subagents;
mod tally;
pub mod tlog;

use std::time::Duration;

use indelible_core::filter::FilterError;
use uuid::Uuid;

/// A page to be read.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// SCIM filter.
    pub filter: Option<String>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Events in the page, 1 to 1,000; the default is 100.
    pub limit: Option<usize>,
    /// The feed: by sequence, from the one after this. `None` is newest first.
    pub feed: Option<Feed>,
    /// Whether content is to be opened, and why.
    pub opening: Opening,
}

/// Where a feed starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// At the first event.
    Start,
    /// After this sequence.
    After(u64),
}

/// Whether content is to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// Whether content is asked for; it then needs `content:decrypt` and a purpose.
    pub content: bool,
    /// Why the log is read; required where content is opened.
    pub purpose: Option<String>,
}

/// A page of events.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Each event as JSON: the members of its entry, then `prev_hash` and `row_hash`, then `content` where opened (or `content_error`).
    pub records: Vec<Vec<u8>>,
    /// Cursor of the next page, where there may be one. Absent in a feed.
    pub next_cursor: Option<String>,
    /// In a feed: the sequence to go on after.
    pub next_after_sequence: Option<u64>,
    /// The project's own sequence up to which the index had come; `None` for an empty project.
    pub indexed_through: Option<u64>,
    /// Until the page was ready, microseconds.
    pub search_micros: u64,
    /// Until the record of the read was durable, microseconds.
    pub record_micros: u64,
}

/// Why a read gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The caller's key does not allow it (403).
    #[error("the key lacks {0}")]
    Forbidden(String),
    /// Content was asked for without a purpose, or a purpose is too long (400).
    #[error("{0}")]
    Purpose(String),
    /// The filter does not parse (400).
    #[error("the filter is not valid at byte {}: {}", .0.at, .0.message)]
    Filter(FilterError),
    /// Not a cursor, or one of another filter (400).
    #[error("the cursor does not belong to this query")]
    Cursor,
    /// A limit outside 1 to 1,000, or options that exclude each other (400).
    #[error("{0}")]
    Options(String),
    /// There is none that the caller may see (404).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The project was deleted: nothing comes any more (410).
    #[error("the project was deleted: nothing comes any more")]
    Deleted,
    /// Nothing that was signed covers it yet (409).
    #[error("{detail}")]
    NotAnchored {
        /// One sentence.
        detail: String,
        /// Until the next sealing.
        retry_after: Duration,
    },
    /// What is stored does not lead to what was signed (500).
    #[error("{0}: it was changed since it was signed; run `indelible verify`")]
    Unprovable(&'static str),
    /// The index has not caught up in time, or the query took too long (503).
    #[error("{0}")]
    Unavailable(String),
    /// The read could not be recorded, so it is not answered.
    #[error(transparent)]
    Append(#[from] crate::append::AppendError),
}

/// The result of verifying one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventVerification {
    /// The event.
    pub id: Uuid,
    /// Its place.
    pub sequence: u64,
    /// Whether every check held.
    pub valid: bool,
    /// The verdict word: intact, altered, missing, unverifiable, unanchored.
    pub verdict: indelible_core::verify::Verdict,
    /// Whether an anchor covers it, and its signatures and the inclusion of the event under it hold.
    pub anchored: bool,
    /// The number of that anchor.
    pub anchor: Option<u64>,
    /// What did not hold.
    pub findings: Vec<indelible_core::verify::Finding>,
}
