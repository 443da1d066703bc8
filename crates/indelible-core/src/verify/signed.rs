//! What was signed of a chain, against its rows: each anchor where the walk passes its end, and the last checkpoint that
//! the checkpoint store holds.
//!
//! An anchor is looked at for itself first: form, number, the one it follows, signatures. One whose signature does not hold says
//! nothing of the rows. One that holds and was signed over other rows than these means two histories, since only the log
//! signs; that is said once, where it begins. Rows that are in doubt are named already and do not make anchors faulty.

use super::{Verdict, Verifier};
use crate::anchor::{Anchor, AnchorError, Interval};
use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{Name, Note, VerifierKey};

/// An anchor as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnchor {
    /// The `number` column.
    pub number: u64,
    /// The `tree_size` column.
    pub tree_size: u64,
    /// The `anchor` column.
    pub anchor: Vec<u8>,
    /// The `note` column.
    pub note: Vec<u8>,
    /// The `checkpoint` column.
    pub checkpoint: Vec<u8>,
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The origin of the tree.
    pub origin: Name,
    /// Its keys, those that no longer sign included.
    pub keys: Vec<VerifierKey>,
}

/// What is known of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Holds,
    /// By a key that nobody gave.
    Unknown,
    Broken,
}

/// An anchor whose end the walk has not come to.
struct Pending {
    number: u64,
    anchor: Anchor,
    word: Word,
}

/// How far the walk has come in what was signed.
#[derive(Default)]
pub(super) struct Signed {
    log: Option<Log>,
    /// The number that the next anchor should have.
    next: u64,
    /// There are no more.
    exhausted: bool,
    /// All rows were walked: what comes now is beyond them.
    rows_ended: bool,
    previous: Option<Anchor>,
    pending: Option<Pending>,
    interval: Interval,
    /// What the checkpoint store holds, until the walk has come to its size.
    last_checkpoint: Option<Checkpoint>,
    /// Rows that anchors cover.
    covered: u64,
    /// Rows that anchors call for beyond those there are: the anchor's number and its size.
    beyond: Option<(u64, u64)>,
    forked: bool,
    /// The first anchor that a key signed which nobody gave, its last sequence, and how many there are.
    unknown: Option<(u64, u64, u64)>,
}

impl Log {
    /// A checkpoint of this log, or what is wrong with it: [`Verdict::Unverifiable`] where no key is known that signed it.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, (Verdict, String)> {
        let note = Note::parse(note).map_err(|error| (Verdict::Altered, error.to_string()))?;
        match Checkpoint::open(&note, &self.keys) {
            Ok(opened) if opened.checkpoint.origin == self.origin => Ok(opened.checkpoint),
            Ok(opened) => Err((Verdict::Altered, format!("it is one of {}", opened.checkpoint.origin))),
            Err(CheckpointError::UnknownLog { origin }) if origin == self.origin => {
                Err((Verdict::Unverifiable, "no known key signed it".to_owned()))
            }
            Err(error) => Err((Verdict::Altered, error.to_string())),
        }
    }

    /// The checkpoint of a stored anchor that is signed and of this tree; or what is wrong with it. The anchors beside it are not
    /// looked at.
    pub fn anchored(&self, stored: &StoredAnchor) -> Result<Checkpoint, (Verdict, String)> {
        let anchor = Anchor::parse(&stored.anchor).map_err(|error| (Verdict::Altered, error.to_string()))?;
        self.word(&anchor, &stored.note).map_err(|(word, why)| {
            let kind = if word == Word::Unknown { Verdict::Unverifiable } else { Verdict::Altered };
            (kind, why)
        })?;
        let checkpoint = self.open(&stored.checkpoint)?;
        if (checkpoint.size, checkpoint.root) == (anchor.tree_size(), anchor.tree_root) {
            Ok(checkpoint)
        } else {
            Err((Verdict::Altered, "its checkpoint is that of another tree".to_owned()))
        }
    }

    fn word(&self, anchor: &Anchor, note: &[u8]) -> Result<(), (Word, String)> {
        let note = Note::parse(note).map_err(|error| (Word::Broken, error.to_string()))?;
        match anchor.verify(&note, &self.origin, &self.keys) {
            Ok(_) => Ok(()),
            // A key that is known and named did not sign: that is no want of a key.
            Err(error @ AnchorError::UnknownKey { .. }) if !self.keys.iter().any(|key| key.id() == anchor.signing_key_id) => {
                Err((Word::Unknown, error.to_string()))
            }
            Err(error) => Err((Word::Broken, error.to_string())),
        }
    }
}

impl Signed {
    /// Everything up to the end of this anchor was verified before.
    pub(super) fn go_on_after(&mut self, number: u64, anchor: Anchor) {
        self.next = number.saturating_add(1);
        self.covered = anchor.tree_size();
        self.previous = Some(anchor);
    }
}

impl Verifier {
    /// Says who signs. Without it nothing that was signed is looked at, and no row counts as unanchored.
    pub fn signed_by(&mut self, log: Log) {
        self.signed.log = Some(log);
    }

    /// The last checkpoint that was signed of this tree, from the checkpoint store: to be told before the first row.
    pub fn last_checkpoint(&mut self, checkpoint: Checkpoint) {
        self.signed.last_checkpoint = Some(checkpoint);
    }

    /// The number from which on the next anchor is wanted by [`Verifier::anchor`]; before the first row and after each.
    pub const fn wants_anchor(&self) -> Option<u64> {
        let signed = &self.signed;
        if signed.exhausted || signed.pending.is_some() || signed.log.is_none() { None } else { Some(signed.next) }
    }

    /// The next anchor in order of its number; `None` where there is none.
    pub fn anchor(&mut self, stored: Option<&StoredAnchor>) {
        let Some(stored) = stored else {
            self.signed.exhausted = true;
            return;
        };
        let Some(log) = self.signed.log.take() else { return };
        let at = stored.tree_size.checked_sub(1);
        if stored.number != self.signed.next {
            let (first, last) = (self.signed.next, stored.number - 1);
            let name = if first == last { format!("anchor {first} is") } else { format!("the anchors {first} to {last} are") };
            self.findings.add(Verdict::Missing, Some(self.signed.covered), format!("{name} gone"));
            self.signed.previous = None;
        }
        self.signed.next = stored.number.saturating_add(1);
        match Anchor::parse(&stored.anchor) {
            Ok(anchor) => self.take(stored, anchor, &log),
            Err(error) => {
                self.findings.add(Verdict::Altered, at, format!("anchor {}: {error}", stored.number));
                self.signed.previous = None;
            }
        }
        self.signed.log = Some(log);
    }

    fn take(&mut self, stored: &StoredAnchor, anchor: Anchor, log: &Log) {
        let (number, at, size) = (stored.number, Some(anchor.last_sequence), anchor.tree_size());
        let mut faults: Vec<String> = Vec::new();
        if anchor.project_id != self.project_id {
            faults.push("it is another project's".to_owned());
        }
        if stored.tree_size != size {
            faults.push(format!("its column says {} rows, it says {size}", stored.tree_size));
        }
        match &self.signed.previous {
            Some(previous) => faults.extend(anchor.follows(previous).err().map(|error| error.to_string())),
            None if number == 0 && anchor.first_sequence != 0 => faults.push("it is the first, and does not begin at 0".to_owned()),
            None => {}
        }
        let mut word = Word::Holds;
        if let Err((not, why)) = log.word(&anchor, &stored.note) {
            word = not;
            if not == Word::Broken {
                faults.push(why);
            }
        }
        match log.open(&stored.checkpoint) {
            Ok(checkpoint) if (checkpoint.size, checkpoint.root) == (size, anchor.tree_root) => {}
            Ok(_) => faults.push("its checkpoint is that of another tree".to_owned()),
            Err((Verdict::Unverifiable, _)) => word = if word == Word::Holds { Word::Unknown } else { word },
            Err((_, why)) => faults.push(format!("its checkpoint: {why}")),
        }
        if !faults.is_empty() {
            self.findings.add(Verdict::Altered, at, format!("anchor {number}: {}", faults.join("; ")));
        }
        if word == Word::Unknown {
            let (_, _, count) = self.signed.unknown.get_or_insert((number, anchor.last_sequence, 0));
            *count += 1;
        }
        if word == Word::Holds {
            self.signed.covered = self.signed.covered.max(size);
        }
        if word != Word::Broken {
            if self.signed.rows_ended || size <= self.next {
                self.beyond(number, size);
            } else {
                self.signed.pending = Some(Pending { number, anchor: anchor.clone(), word });
            }
        }
        self.signed.previous = Some(anchor);
    }

    fn beyond(&mut self, number: u64, size: u64) {
        if size > self.next && self.signed.beyond.is_none_or(|(_, most)| most < size) {
            self.signed.beyond = Some((number, size));
        }
    }

    /// A row was put at `place`; `next` counts it.
    pub(super) fn compare_signed(&mut self, place: u64, row_hash: &[u8]) {
        if let Some(pending) = &self.signed.pending {
            if place == pending.anchor.first_sequence {
                self.signed.interval = Interval::new();
            }
            // A hash of another length is a fault that was named; the interval differs then, and is in doubt.
            self.signed.interval.push(row_hash.try_into().unwrap_or(&[0; 32]));
        }
        if let Some(pending) = self.signed.pending.take_if(|pending| pending.anchor.tree_size() <= self.next) {
            self.compare_anchor(&pending);
        }
        if let Some(last) = self.signed.last_checkpoint.take_if(|last| last.size <= self.next) {
            let differs = last.size == self.next && self.tree_root().is_some_and(|root| root != last.root);
            if differs && !std::mem::replace(&mut self.signed.forked, true) {
                let detail = "the checkpoint store holds another root of the tree of that many rows: they are not what was signed";
                self.findings.add(Verdict::Forked, self.next.checked_sub(1), detail);
            }
        }
    }

    /// The root of the rows so far, where all of them are there and nothing is known against them.
    fn tree_root(&self) -> Option<Hash> {
        (self.doubt.is_empty() && !self.tree_lost).then(|| self.edge.root())
    }

    fn compare_anchor(&mut self, pending: &Pending) {
        let anchor = &pending.anchor;
        if anchor.tree_size() != self.next || self.signed.forked {
            return;
        }
        let sure = !self.doubt.touches(anchor.first_sequence, anchor.last_sequence);
        let interval = sure && self.signed.interval.rows() == anchor.event_count();
        let rules = [
            (interval && self.signed.interval.root() != anchor.merkle_root, "the row hashes of its interval"),
            (self.last.sound && self.last.row_hash.is_some_and(|hash| hash != anchor.last_row_hash), "the last row hash"),
            (self.tree_root().is_some_and(|root| root != anchor.tree_root), "the tree root"),
        ];
        let differing: Vec<&str> = rules.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect();
        if differing.is_empty() {
            return;
        }
        // Rows whose key is not there may be anybody's; the others were written by whoever holds the ring.
        let two_histories = pending.word == Word::Holds && self.unverifiable.is_empty();
        let kind = if two_histories { Verdict::Forked } else { Verdict::Altered };
        let detail = format!("anchor {} was signed over other rows than these: {} differ", pending.number, differing.join(", "));
        self.findings.add(kind, Some(anchor.first_sequence), detail);
        self.signed.forked = true;
    }

    /// All rows were handed in; the anchors that are left are still wanted, to be told before [`Verifier::finish`].
    pub fn rows_ended(&mut self) {
        self.signed.rows_ended = true;
        if let Some(pending) = self.signed.pending.take() {
            self.beyond(pending.number, pending.anchor.tree_size());
        }
    }

    /// What was signed beyond the rows there are. `head_holds`: an authentic head counts exactly these rows.
    pub(super) fn compare_signed_end(&mut self, head_holds: bool) {
        if let Some((number, at, count)) = self.signed.unknown.take() {
            let detail = format!("no known key signed anchor {number} ({count} anchors in all)");
            self.findings.add(Verdict::Unverifiable, Some(at), detail);
        }
        let truncated = |of: &Self| of.findings.counts[Verdict::Truncated as usize] > 0;
        if let Some((number, size)) = self.signed.beyond.filter(|_| !truncated(self)) {
            let detail = format!("anchor {number} covers {size} rows: the newest {} are gone", size - self.next);
            self.findings.add(Verdict::Truncated, Some(self.next), detail);
        }
        let Some(last) = self.signed.last_checkpoint.take_if(|last| last.size > self.next) else { return };
        if head_holds && !truncated(self) {
            let detail = format!("{} rows were signed, there are {}: it is an older copy", last.size, self.next);
            self.findings.add(Verdict::RolledBack, Some(self.next), detail);
        } else if !truncated(self) {
            let detail = format!("{} rows were signed, there are {}: the newest are gone", last.size, self.next);
            self.findings.add(Verdict::Truncated, Some(self.next), detail);
        }
    }

    /// Rows that no anchor covers.
    pub(super) fn unanchored(&self) -> u64 {
        if self.signed.log.is_none() { 0 } else { self.next.saturating_sub(self.signed.covered).min(self.events) }
    }
}
