//! Segments: what a checkpoint store in a bucket is made of. Each is one object, numbered from 0 without a gap, and holds what one swap
//! changed; from time to time one holds every tree instead, so that nobody reads from the beginning.
//!
//! A segment is whole when the ones since the last whole one weigh more than it would, or are [`PARTS_MAX`]: so at most twice as much
//! is written as changed, for few trees and for many, and a reader asks for [`PARTS_MAX`] small objects at most. What is no
//! segment of this instance and number is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CheckpointsError, Swap};

/// The first member of a segment.
const FORMAT: &str = "indelible-checkpoints/1";
/// Segments since the last whole one.
const PARTS_MAX: u64 = 256;
/// The last number: names have twelve digits. At a swap each second, 31,000 years.
const NUMBER_MAX: u64 = 999_999_999_999;

/// One object of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    format: String,
    instance: String,
    number: u64,
    /// The newest segment that holds every tree, this one included.
    base: u64,
    /// Signed notes by origin.
    checkpoints: BTreeMap<String, String>,
}

/// The name of a segment. The newest comes first in a listing, which is in the order of names.
pub(super) fn name(number: u64) -> String {
    format!("{:012}.json", NUMBER_MAX - number.min(NUMBER_MAX))
}

/// The number of the segment of a name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let left = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    (digits.len() == 12).then(|| NUMBER_MAX - left)
}

impl Segment {
    /// The one that a store begins with: the same bytes whoever makes it.
    pub(super) fn first(instance: &str) -> Self {
        Self { format: FORMAT.to_owned(), instance: instance.to_owned(), number: 0, base: 0, checkpoints: BTreeMap::new() }
    }

    /// Reads one, of which number and instance are known.
    pub(super) fn parse(bytes: &[u8], instance: &str, number: u64) -> Result<Self, String> {
        let segment: Self = serde_json::from_slice(bytes).map_err(|error| format!("segment {number} cannot be read: {error}"))?;
        let fits = segment.format == FORMAT && segment.instance == instance && segment.number == number && segment.base <= number;
        if fits { Ok(segment) } else { Err(format!("segment {number} is of another format, another instance or another number")) }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a segment has string keys and no failing serializer")
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The newest segment that holds every tree.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    fn weight(&self) -> usize {
        weight(&self.checkpoints)
    }
}

fn weight(checkpoints: &BTreeMap<String, String>) -> usize {
    checkpoints.iter().map(|(origin, note)| origin.len() + note.len()).sum()
}

/// What the segments up to one of them say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trees {
    instance: String,
    number: u64,
    base: u64,
    /// Of the segments since the whole one, bytes.
    since_base: usize,
    all: BTreeMap<String, String>,
}

impl Trees {
    /// What a whole segment says; `None` if it is not whole.
    pub(super) fn of(segment: Segment) -> Option<Self> {
        let Segment { instance, number, base, checkpoints, .. } = segment;
        (base == number).then_some(Self { instance, number, base, since_base: 0, all: checkpoints })
    }

    /// Goes on to the next segment.
    pub(super) fn follow(&mut self, segment: Segment) -> Result<(), String> {
        let is_whole = segment.base == segment.number;
        if segment.number != self.number + 1 || !(is_whole || segment.base == self.base) {
            return Err(format!("segment {} does not follow on segment {}", segment.number, self.number));
        }
        (self.number, self.base) = (segment.number, segment.base);
        if is_whole {
            (self.since_base, self.all) = (0, segment.checkpoints);
        } else {
            self.since_base += segment.weight();
            self.all.extend(segment.checkpoints);
        }
        Ok(())
    }

    /// The segment that makes these swaps, if each finds what was read.
    pub(super) fn next(&self, swaps: &[Swap]) -> Result<Segment, CheckpointsError> {
        if let Some(moved) = swaps.iter().find(|swap| self.all.get(&swap.origin) != swap.old.as_ref()) {
            return Err(CheckpointsError::Moved(moved.origin.clone()));
        }
        let number = self.number + 1;
        let mut checkpoints: BTreeMap<_, _> = swaps.iter().map(|swap| (swap.origin.clone(), swap.new.clone())).collect();
        let is_whole = number - self.base > PARTS_MAX || self.since_base + weight(&checkpoints) > weight(&self.all);
        if is_whole {
            let mut all = self.all.clone();
            all.append(&mut checkpoints);
            checkpoints = all;
        }
        let base = if is_whole { number } else { self.base };
        Ok(Segment { format: FORMAT.to_owned(), instance: self.instance.clone(), number, base, checkpoints })
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// The newest segment.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Notes by origin.
    pub(super) const fn all(&self) -> &BTreeMap<String, String> {
        &self.all
    }

    pub(super) fn into_all(self) -> BTreeMap<String, String> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(trees: &Trees, origin: usize, new: &str) -> Swap {
        let origin = format!("log/{origin}");
        Swap { old: trees.all.get(&origin).cloned(), origin, new: new.to_owned() }
    }

    #[test]
    fn the_newest_name_comes_first() {
        assert_eq!(name(0), "999999999999.json");
        assert_eq!(name(1), "999999999998.json");
        assert_eq!(name(NUMBER_MAX), "000000000000.json");
        assert!((0..2_000).all(|n| name(n + 1) < name(n) && number(&name(n)) == Some(n)));
        for other in ["", ".json", "a", "99999999999.json", "9999999999999.json", "+99999999999.json", "999999999999.txt"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn segments_are_refused_unless_they_are_what_was_asked_for() {
        let first = Segment::first("log");
        let bytes = first.to_bytes();
        assert_eq!(Segment::parse(&bytes, "log", 0), Ok(first));
        assert!(Segment::parse(&bytes, "other", 0).is_err());
        assert!(Segment::parse(&bytes, "log", 1).is_err());
        for text in [
            "",
            "<html>",
            r#"{"format":"indelible-checkpoints/2","instance":"log","number":0,"base":0,"checkpoints":{}}"#,
            r#"{"format":"indelible-checkpoints/1","instance":"log","number":0,"base":1,"checkpoints":{}}"#,
            r#"{"format":"indelible-checkpoints/1","instance":"log","number":0,"base":0,"checkpoints":{},"more":1}"#,
        ] {
            assert!(Segment::parse(text.as_bytes(), "log", 0).is_err(), "{text}");
        }
    }

    /// Whatever is swapped in whatever order, reading from the last whole segment gives what reading all gives, and the bytes written
    /// follow what changed.
    #[test]
    fn a_reader_begins_at_the_last_whole_segment() {
        for trees_changed in [1_usize, 7, 100] {
            let mut trees = Trees::of(Segment::first("log")).expect("whole");
            let mut written = vec![Segment::first("log")];
            let (mut changed, mut bytes) = (0_usize, 0_usize);
            for round in 0..1_000_usize {
                let note = format!("{round:0200}");
                let swaps: Vec<Swap> = (0..trees_changed).map(|n| swap(&trees, (round * 31 + n * 13) % 500, &note)).collect();
                let segment = trees.next(&swaps).expect("nobody else swaps");
                changed += swaps.iter().map(|swap| swap.origin.len() + swap.new.len()).sum::<usize>();
                bytes += segment.weight();
                trees.follow(segment.clone()).expect("it follows");
                written.push(segment);
            }
            let base = usize::try_from(trees.base).expect("small");
            assert!(written.len() - base <= 257, "{base}");
            let mut read = Trees::of(written[base].clone()).expect("whole");
            for segment in &written[base + 1..] {
                read.follow(segment.clone()).expect("it follows");
            }
            assert_eq!(read.all, trees.all);
            let expected: BTreeMap<_, _> = written.iter().flat_map(|segment| segment.checkpoints.clone()).collect();
            assert_eq!(read.all, expected);
            // With one change a round, the whole ones that PARTS_MAX calls for weigh in: 500 trees every 256 rounds.
            let bound = 2 * changed + (1_000 / 256 + 1) * weight(&trees.all);
            assert!(bytes <= bound, "{trees_changed}: {bytes} for {changed}");
        }
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let mut trees = Trees::of(Segment::first("log")).expect("whole");
        let first = trees.next(&[swap(&trees, 1, "1")]).expect("the first");
        trees.follow(first.clone()).expect("it follows");
        assert!(trees.follow(first).is_err(), "the same again");
        let next = trees.next(&[swap(&trees, 1, "2")]).expect("the next");
        let gap = Segment { number: next.number + 1, base: next.number + 1, ..next.clone() };
        assert!(trees.follow(gap).is_err(), "one is missing");
        let other = Segment { base: 0, ..next };
        assert_eq!(trees.base, 1);
        assert!(trees.follow(other).is_err(), "it goes on from another whole one");
        assert!(Trees::of(Segment { number: 3, base: 1, ..Segment::first("log") }).is_none(), "not whole");
    }

    #[test]
    fn all_are_swapped_or_none() {
        let mut trees = Trees::of(Segment::first("log")).expect("whole");
        trees.follow(trees.next(&[swap(&trees, 1, "1")]).expect("the first")).expect("it follows");
        let stale = Swap { origin: "log/1".to_owned(), old: Some("0".to_owned()), new: "2".to_owned() };
        let fresh = swap(&trees, 2, "2");
        assert!(matches!(trees.next(&[fresh, stale]), Err(CheckpointsError::Moved(origin)) if origin == "log/1"));
    }
}
