//! When a poll of the feed is recorded.
//!
//! A poll that returned an event is recorded like any read. But its record is an event of the same project: a reader who
//! has come to the end would find the record of the last poll at each poll, for ever. So a poll that returned
//! nothing, or nothing but records of polls (of whomever: two readers must not keep each other going), is recorded
//! once a minute for each project, key and filter; the next record says how many there were in between.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indelible_core::json::{self, Value};
use uuid::Uuid;

/// Empty polls of one reader are recorded this often.
const WINDOW: Duration = Duration::from_mins(1);
/// Readers remembered; past it those whose minute is over are forgotten, and then all.
const READERS_MAX: usize = 10_000;

/// `resource.type` of the record of a poll.
pub(crate) const FEED: &str = "audit_feed";

/// Who polls what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    /// `ledgers.project`
    pub(crate) project: i64,
    /// The key, where there is one.
    pub(crate) api_key_id: Option<Uuid>,
    /// The filter, normalised.
    pub(crate) filter: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Duration,
    unrecorded: u64,
}

/// The minutes of all readers.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    windows: Mutex<HashMap<Reader, Window>>,
}

impl Polls {
    /// Whether this poll is to be recorded: `Some` with the number of polls before it that were not. `now` is monotonic.
    pub(crate) fn record(&self, reader: Reader, empty: bool, now: Duration) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= READERS_MAX && !windows.contains_key(&reader) {
            windows.retain(|_, window| now.saturating_sub(window.since) < WINDOW);
            if windows.len() >= READERS_MAX {
                windows.clear();
            }
        }
        match windows.get_mut(&reader) {
            Some(window) if empty && now.saturating_sub(window.since) < WINDOW => {
                window.unrecorded += 1;
                None
            }
            _ => Some(windows.insert(reader, Window { since: now, unrecorded: 0 }).map_or(0, |window| window.unrecorded)),
        }
    }
}

/// Whether an entry is the record of a poll that was answered.
pub(crate) fn is_poll(entry: &[u8]) -> bool {
    let Ok(entry) = json::parse(entry) else { return false };
    let text = |value: Option<&Value<'_>>, wanted: &str| value.and_then(Value::as_str) == Some(wanted);
    text(entry.get("action"), "audit.read")
        && text(entry.get("outcome"), "allow")
        && text(entry.get("resource").and_then(|resource| resource.get("type")), FEED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_polls_are_recorded_once_a_minute_and_others_always() {
        let polls = Polls::default();
        let reader = |project| Reader { project, api_key_id: None, filter: None };
        let cases = [
            (0, 1, true, Some(0)),
            (1, 1, true, None),
            (2, 2, true, Some(0)),
            (59, 1, true, None),
            (60, 1, true, Some(2)),
            (61, 1, true, None),
            (62, 1, false, Some(1)),
            (63, 1, false, Some(0)),
            (64, 1, true, None),
            (124, 1, true, Some(1)),
        ];
        for (second, project, empty, recorded) in cases {
            assert_eq!(polls.record(reader(project), empty, Duration::from_secs(second)), recorded, "second {second}");
        }
    }

    #[test]
    fn readers_are_bounded() {
        let polls = Polls::default();
        for n in 0..READERS_MAX as u128 + 10 {
            let reader = Reader { project: 1, api_key_id: Some(Uuid::from_u128(n)), filter: None };
            assert_eq!(polls.record(reader, true, Duration::ZERO), Some(0));
        }
        assert!(polls.windows.lock().expect("not poisoned").len() <= READERS_MAX);
    }

    #[test]
    fn records_of_polls_are_known() {
        let cases = [
            (r#"{"action":"audit.read","outcome":"allow","resource":{"type":"audit_feed"}}"#, true),
            (r#"{"action":"audit.read","outcome":"deny","resource":{"type":"audit_feed"}}"#, false),
            (r#"{"action":"audit.read","outcome":"allow","resource":{"type":"audit_events"}}"#, false),
            (r#"{"action":"policy.create","outcome":"allow","resource":{"type":"audit_feed"}}"#, false),
            ("nothing", false),
        ];
        for (entry, expected) in cases {
            assert_eq!(is_poll(entry.as_bytes()), expected, "{entry}");
        }
    }
}
