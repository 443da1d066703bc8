//! When a poll of the feed is recorded.
//!
//! A poll that returned an event is recorded like any read. But its record is an event of the same project: a reader who
//! has come to the end would find the record of the last poll at each poll, and two readers each other's, for ever. So a
//! poll that returned nothing, or nothing but records of polls, whoever's, is recorded once a minute for each project, key and
//! filter; the next record says how many there were in between. Who does not come again for a minute is told of then, and
//! who is left when the ledger closes. A minute begins when the record that opens it is durable, so that no poll is counted on
//! a record that there is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indelible_core::json::{self, Value};
use uuid::Uuid;

use super::reading::Reading;
use crate::append::EngineEvent;

/// Empty polls of one reader are recorded this often.
const WINDOW: Duration = Duration::from_mins(1);
/// Readers remembered; of further ones each poll is recorded.
const READERS_MAX: usize = 10_000;
/// Readers of minutes that are over, whose polls are told beside a record of another to make room.
const OTHERS_MAX: usize = 100;

/// `resource.type` of the record of a poll.
pub(crate) const FEED: &str = "audit_feed";

/// Who polls what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    /// `ledgers.project`
    pub(crate) project: i64,
    /// The key, where there is one.
    pub(crate) known_by: Option<Uuid>,
    /// The filter, normalised.
    pub(crate) filter: Option<String>,
}

#[derive(Debug)]
struct Window<L> {
    since: Duration,
    /// When the reader came last.
    came: Duration,
    /// Polls that no record speaks of yet.
    untold: u64,
    /// The last of them.
    last: Option<L>,
}

impl<L> Window<L> {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= WINDOW
    }
}

/// The minutes of all readers. `L` is what is kept of a poll to make its record of.
#[derive(Debug)]
pub(crate) struct Polls<L = Arc<Reading>> {
    windows: Mutex<HashMap<Reader, Window<L>>>,
}

impl<L> Default for Polls<L> {
    fn default() -> Self {
        Self { windows: Mutex::default() }
    }
}

/// A poll that is to be recorded.
#[derive(Debug)]
pub(crate) struct Mark<L = Arc<Reading>> {
    reader: Reader,
    now: Duration,
    /// Polls before it that its record speaks of.
    pub(crate) told: u64,
    /// Polls of others that are to be recorded beside, to make room.
    others: Vec<(Reader, L, u64)>,
}

impl<L: Clone> Polls<L> {
    fn locked(&self) -> MutexGuard<'_, HashMap<Reader, Window<L>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the reader who has been away the longest is told of; `None` where there is nothing to tell.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        let windows = self.locked();
        windows.values().filter(|window| window.untold > 0).map(|window| (window.came + WINDOW).saturating_sub(now)).min()
    }

    /// Readers who have been away for a minute, with polls that no record speaks of; they are counted no more.
    fn gone(&self, now: Duration) -> Vec<(L, u64)> {
        let mut windows = self.locked();
        let gone = windows.extract_if(|_, window| window.untold > 0 && now.saturating_sub(window.came) >= WINDOW);
        gone.filter_map(|(_, window)| Some((window.last?, window.untold))).collect()
    }

    /// Counts a poll that is not recorded by itself: `None`. Any other is to be recorded, and then to be handed to
    /// [`Self::recorded`]. `now` is monotonic.
    pub(crate) fn count(&self, reader: Reader, empty: bool, poll: &L, now: Duration) -> Option<Mark<L>> {
        let mut windows = self.locked();
        let full = windows.len() >= READERS_MAX;
        match windows.get_mut(&reader) {
            Some(window) if empty && !window.is_over(now) => {
                window.untold += 1;
                window.came = now;
                window.last = Some(poll.clone());
                None
            }
            Some(window) => Some(Mark { reader, now, told: window.untold, others: Vec::new() }),
            None => {
                let over = windows.iter().filter(|(_, window)| full && window.is_over(now));
                let untold = over.filter_map(|(reader, window)| Some((reader.clone(), window.last.clone()?, window.untold)));
                let others = untold.take(OTHERS_MAX).collect();
                Some(Mark { reader, now, told: 0, others })
            }
        }
    }

    /// The record of this poll is durable: its minute begins.
    pub(crate) fn recorded(&self, mark: Mark<L>) {
        let mut windows = self.locked();
        for (reader, told) in mark.others.into_iter().map(|(reader, _, told)| (reader, told)).chain([(mark.reader.clone(), mark.told)]) {
            if let Some(window) = windows.get_mut(&reader) {
                window.untold = window.untold.saturating_sub(told);
                if window.untold == 0 {
                    window.last = None;
                }
            }
        }
        if windows.len() >= READERS_MAX && !windows.contains_key(&mark.reader) {
            windows.retain(|_, window| window.untold > 0 || !window.is_over(mark.now));
            if windows.len() >= READERS_MAX {
                return;
            }
        }
        let window = windows.entry(mark.reader).or_insert(Window { since: mark.now, came: mark.now, untold: 0, last: None });
        (window.since, window.came) = (mark.now, window.came.max(mark.now));
    }

    /// Every reader with polls that no record speaks of, and how many; they are counted no more.
    fn untold(&self) -> Vec<(L, u64)> {
        self.locked().drain().filter_map(|(_, window)| Some((window.last?, window.untold))).collect()
    }
}

impl Polls {
    /// The records of readers who have been away for a minute.
    pub(crate) fn due(&self, now: Duration) -> Vec<EngineEvent> {
        self.gone(now).iter().map(|(poll, polls)| further(poll, *polls)).collect()
    }

    /// The records of all that was counted and not told; at closing.
    pub(crate) fn rest(&self) -> Vec<EngineEvent> {
        self.untold().iter().map(|(poll, polls)| further(poll, *polls)).collect()
    }
}

impl Mark {
    /// The records that are to be written beside that of the poll itself.
    pub(crate) fn beside(&self) -> impl Iterator<Item = EngineEvent> {
        self.others.iter().map(|(_, poll, polls)| further(poll, *polls))
    }
}

fn further(poll: &Reading, polls: u64) -> EngineEvent {
    poll.event("allow", 0, Some(format!("{polls} further polls returned nothing but records of polls")))
}

/// Whether an entry is the record of a poll that was answered. One that opened contents left other records beside it.
pub(crate) fn is_poll(entry: &[u8]) -> bool {
    let Ok(entry) = json::parse(entry) else { return false };
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    text("action") == Some("audit.read")
        && text("outcome") == Some("allow")
        && entry.get("resource").and_then(|resource| resource.get("type")).and_then(Value::as_str) == Some(FEED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(n: u128) -> Reader {
        Reader { project: 1, known_by: Some(Uuid::from_u128(n)), filter: None }
    }

    #[test]
    fn empty_polls_are_recorded_once_a_minute_and_others_always() {
        let polls = Polls::default();
        // Second, reader, whether it is empty, whether its record becomes durable, what that says of polls before it.
        let cases = [
            (0, 1, true, false, Some(0)),
            (0, 1, true, true, Some(0)),
            (1, 1, true, true, None),
            (2, 2, true, true, Some(0)),
            (59, 1, true, true, None),
            (60, 1, true, false, Some(2)),
            (60, 1, true, true, Some(2)),
            (61, 1, true, true, None),
            (62, 1, false, true, Some(1)),
            (63, 1, false, true, Some(0)),
            (64, 1, true, true, None),
            (124, 1, true, true, Some(1)),
            (125, 1, true, true, None),
        ];
        for (second, who, empty, durable, told) in cases {
            let mark = polls.count(reader(who), empty, &who, Duration::from_secs(second));
            assert_eq!(mark.as_ref().map(|mark| mark.told), told, "second {second}");
            if let Some(mark) = mark.filter(|_| durable) {
                polls.recorded(mark);
            }
        }
        assert_eq!(polls.untold(), [(1, 1)]);
        assert_eq!(polls.untold(), []);
    }

    #[test]
    fn readers_are_bounded_and_none_is_forgotten() {
        let polls = Polls::default();
        let count = |n: u128, second| polls.count(reader(n), true, &n, Duration::from_secs(second));
        for n in 0..READERS_MAX as u128 + 10 {
            polls.recorded(count(n, 0).expect("the first of a reader is recorded"));
        }
        assert_eq!(polls.locked().len(), READERS_MAX);
        assert!(count(READERS_MAX as u128, 1).is_some(), "nobody counts it, so it is recorded");
        for n in 0..READERS_MAX as u128 {
            assert!(count(n, 1).is_none());
        }
        let mark = count(u128::MAX, 100).expect("recorded");
        assert_eq!(mark.others.len(), OTHERS_MAX);
        polls.recorded(mark);
        assert!(count(u128::MAX, 101).is_none(), "there is room now");
        assert_eq!(polls.untold().len(), READERS_MAX - OTHERS_MAX + 1);
    }

    #[test]
    fn who_stays_away_for_a_minute_is_told_of() {
        let polls = Polls::default();
        let poll = |who: u128, second| {
            if let Some(mark) = polls.count(reader(who), true, &who, Duration::from_secs(second)) {
                polls.recorded(mark);
            }
        };
        assert_eq!(polls.due_in(Duration::ZERO), None);
        poll(1, 0);
        assert_eq!(polls.due_in(Duration::ZERO), None, "its record says all");
        poll(1, 10);
        poll(2, 20);
        poll(2, 50);
        poll(2, 55);
        assert_eq!(polls.due_in(Duration::from_mins(1)), Some(Duration::from_secs(10)));
        assert_eq!(polls.gone(Duration::from_secs(69)), []);
        assert_eq!(polls.gone(Duration::from_secs(70)), [(1, 1)]);
        assert_eq!(polls.gone(Duration::from_secs(114)), []);
        assert_eq!(polls.gone(Duration::from_secs(115)), [(2, 2)]);
        assert!(polls.locked().is_empty(), "who comes again opens a minute with a record");
    }

    #[test]
    fn records_of_polls_are_known() {
        let entry = |action: &str, outcome: &str, kind: &str| {
            format!(r#"{{"action":"{action}","outcome":"{outcome}","request":{{"api_key_id":"k"}},"resource":{{"type":"{kind}"}}}}"#)
        };
        let cases = [
            (entry("audit.read", "allow", "audit_feed"), true),
            (entry("audit.read", "deny", "audit_feed"), false),
            (entry("audit.read", "allow", "audit_events"), false),
            (entry("policy.create", "allow", "audit_feed"), false),
            (r#"{"action":"audit.read","outcome":"allow","resource":{"type":"audit_feed"}}"#.to_owned(), true),
            (r#"{"action":"audit.read","outcome":"allow"}"#.to_owned(), false),
            ("nothing".to_owned(), false),
        ];
        for (entry, expected) in cases {
            assert_eq!(is_poll(entry.as_bytes()), expected, "{entry}");
        }
    }
}
