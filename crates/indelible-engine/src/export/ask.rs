//! What a bundle is to hold, and whether that makes sense.

use indelible_core::checkpoint::Checkpoint;
use indelible_core::filter::Filter;
use indelible_core::limits::FILTER_BYTES_MAX;
use indelible_core::note::Note;
use indelible_core::redact::Rules;
use indelible_core::time::Timestamp;

use crate::query::{Opening, ReadError};

/// What a bundle is to hold. Without filter and times it is a range, which proves that nothing in it is missing; with any of them a
/// selection of the range.
#[derive(Debug, Clone, Default)]
pub struct ExportRequest {
    /// SCIM filter.
    pub filter: Option<String>,
    /// The range: its first sequence, by default 0.
    pub first_sequence: Option<u64>,
    /// Its last, by default the last that is signed; one after that is taken for it.
    pub last_sequence: Option<u64>,
    /// Only what occurred at this time or later.
    pub from: Option<Timestamp>,
    /// Only what occurred before this time.
    pub to: Option<Timestamp>,
    /// Whether contents are to be in it with their keys, and why the log is read.
    pub opening: Opening,
    /// The checkpoint of an earlier bundle, from which the tree is to be proved to have grown.
    pub since: Option<String>,
}

impl ExportRequest {
    /// Filter and times as one filter, without the secrets that it compares with: recorded, and the claim of the bundle.
    pub(super) fn claim(&self, rules: &Rules) -> Option<String> {
        self.question().map(|question| rules.question(&question).replace(char::is_control, " "))
    }

    fn question(&self) -> Option<String> {
        let filter = self.filter.as_deref().map(str::trim).filter(|filter| !filter.is_empty());
        let mut terms = Vec::new();
        if let Some(filter) = filter {
            let alone = self.from.is_none() && self.to.is_none();
            terms.push(if alone { filter.to_owned() } else { format!("({filter})") });
        }
        terms.extend(self.from.map(|from| format!("occurred_at ge \"{from}\"")));
        terms.extend(self.to.map(|to| format!("occurred_at lt \"{to}\"")));
        if terms.is_empty() { None } else { Some(terms.join(" and ")) }
    }

    /// What is asked, for the record of the intent.
    pub(super) fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![("content", self.opening.content.to_string())];
        details.extend(self.first_sequence.map(|first| ("first_sequence", first.to_string())));
        details.extend(self.last_sequence.map(|last| ("last_sequence", last.to_string())));
        details
    }
}

/// The same, once it is found to make sense.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) filter: Option<Filter>,
    /// What the manifest says of it.
    pub(super) claim: Option<String>,
    pub(super) first: u64,
    pub(super) last: Option<u64>,
    pub(super) content: bool,
    pub(super) since: Option<Checkpoint>,
}

impl Asked {
    pub(super) fn read(request: &ExportRequest, claim: Option<String>) -> Result<Self, ReadError> {
        // The caller's own words first, so that a fault is named where the caller wrote it.
        if let Some(filter) = request.filter.as_deref().filter(|filter| !filter.trim().is_empty()) {
            Filter::parse(filter).map_err(ReadError::Filter)?;
        }
        let filter = request.question().map(|question| Filter::parse(&question)).transpose().map_err(ReadError::Filter)?;
        if claim.as_ref().is_some_and(|claim| claim.len() > FILTER_BYTES_MAX) {
            return Err(ReadError::Options(format!("filter and times together have more than {FILTER_BYTES_MAX} bytes")));
        }
        let first = request.first_sequence.unwrap_or(0);
        if request.last_sequence.is_some_and(|last| last < first) {
            return Err(ReadError::Options("the last sequence is before the first".to_owned()));
        }
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from >= to
        {
            return Err(ReadError::Options("the time to which is not after the time from which".to_owned()));
        }
        let since = request.since.as_deref().map(checkpoint).transpose()?;
        Ok(Self { filter, claim, first, last: request.last_sequence, content: request.opening.content, since })
    }
}

fn checkpoint(text: &str) -> Result<Checkpoint, ReadError> {
    let read = Note::parse(text.as_bytes()).map_err(|error| error.to_string());
    let read = read.and_then(|note| Checkpoint::parse(note.text()).map_err(|error| error.to_string()));
    read.map_err(|error| ReadError::Options(format!("since is not a checkpoint: {error}")))
}
