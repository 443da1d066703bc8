//! `entries.ndjson` and what proves it: the range proof, or a proof an entry.
//!
//! An entry stands where its own bytes say, and they are hashed; so a line that is out of place, absent or twice there
//! shows by its sequence, and anything else by the root. In a range, the roots that anchors signed say roughly where.

use std::collections::VecDeque;

use super::anchors::Signed;
use super::manifest::{Kind, Manifest};
use super::text_lines::{LineFault, TextLines};
use crate::chain::Hash;
use crate::checkpoint::Checkpoint;
use crate::entry::Outline;
use crate::limits::BUNDLE_REMEMBERED_MAX;
use crate::note::Note;
use crate::proof::{InclusionProof, RangeCheck, RangeProof};
use crate::tree::{inclusion, leaf_hash};
use crate::verify::{Findings, Verdict};

/// What entries are held against as they come.
pub(super) struct Around<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) signed: &'a [Signed],
}

/// The entries of one bundle, as they come.
#[derive(Debug)]
pub(super) struct Entries {
    lines: TextLines,
    first: u64,
    last: u64,
    /// Lines read.
    pub(super) count: u64,
    /// The place after the last entry that was in its place.
    next: u64,
    /// Nothing is known against any entry.
    sound: bool,
    /// The file came.
    came: bool,
    /// Entries after the last anchor, and the first of them.
    pub(super) unanchored: Option<(u64, u64)>,
    kind: Kind,
    /// Of a range.
    check: Option<RangeCheck>,
    /// The first anchor whose root is not that of the entries.
    unlike: Option<Signed>,
    /// Of a selection: entries that no proof has come for.
    unproved: VecDeque<(u64, Hash)>,
    /// Of a selection: lines that were not taken, each of which excuses a proof without an entry.
    untaken: u64,
}

impl Entries {
    pub(super) fn new(manifest: &Manifest) -> Self {
        Self {
            lines: TextLines::default(),
            first: manifest.first_sequence,
            last: manifest.last_sequence,
            count: 0,
            next: manifest.first_sequence,
            sound: true,
            came: false,
            unanchored: None,
            kind: manifest.kind,
            check: None,
            unlike: None,
            unproved: VecDeque::new(),
            untaken: 0,
        }
    }

    /// The entries came, and nothing is known against any.
    pub(super) const fn are_sound(&self) -> bool {
        self.came && self.sound
    }

    /// The range proof, which comes before the entries.
    pub(super) fn range_proof(&mut self, bytes: &[u8], manifest: &Manifest, findings: &mut Findings) {
        match RangeProof::parse(bytes) {
            Ok(proof) if (proof.first(), proof.last(), proof.size()) == (self.first, self.last, manifest.tree_size) => {
                self.check = Some(proof.check());
            }
            Ok(_) => findings.found(Verdict::Altered, None, "range-proof: it is one of another range than the manifest's"),
            Err(error) => findings.found(Verdict::Altered, None, format!("range-proof: {error}")),
        }
    }

    /// Takes a piece, or the end of the file; `each` sees the outline of every entry that is in its place.
    pub(super) fn piece(&mut self, piece: Option<&[u8]>, around: &Around<'_>, findings: &mut Findings, mut each: impl FnMut(&Outline)) {
        let mut lines = std::mem::take(&mut self.lines);
        let mut line = |line: Result<&[u8], LineFault>, findings: &mut Findings| {
            if let Some(outline) = self.line(line, around.manifest, findings) {
                if around.signed.last().is_none_or(|last| last.tree_size <= outline.sequence) {
                    self.unanchored.get_or_insert((0, outline.sequence)).0 += 1;
                }
                each(&outline);
            }
            self.compare_anchor(around.signed);
        };
        let Some(piece) = piece else {
            let whole = lines.finish(|rest| line(rest, findings)).is_ok();
            self.came = true;
            if !whole {
                self.sound = false;
                findings.found(Verdict::Altered, None, "entries.ndjson: the last line does not end in a newline");
            }
            if self.kind == Kind::Range && self.next <= self.last {
                self.sound = false;
                self.report_gap(self.last, findings);
            }
            return;
        };
        lines.push(piece, |next| line(next, findings));
        self.lines = lines;
    }

    fn line(&mut self, line: Result<&[u8], LineFault>, manifest: &Manifest, findings: &mut Findings) -> Option<Outline> {
        self.count += 1;
        let entry = line.unwrap_or_default();
        let Some(outline) = Outline::read(entry) else {
            // What it was cannot be told; in a range it is taken for the one that should stand here.
            self.sound = false;
            let range = self.kind == Kind::Range;
            let place = range.then_some(self.next);
            findings.found(Verdict::Altered, place, format!("entries.ndjson, line {}: the entry cannot be read", self.count));
            if range {
                self.next = self.next.min(self.last) + 1;
            } else {
                self.untaken += 1;
            }
            return None;
        };
        let sequence = outline.sequence;
        let own = (outline.project_id, outline.organization_id) == (manifest.project_id, manifest.organization_id);
        if !own {
            self.sound = false;
            findings.found(Verdict::Altered, Some(sequence), "the entry is one of another project");
        }
        if !(self.first..=self.last).contains(&sequence) {
            self.sound = false;
            self.untaken += 1;
            findings.found(Verdict::Altered, Some(sequence), "the entry is not of the range that the manifest names");
            return None;
        }
        if sequence < self.next {
            self.sound = false;
            self.untaken += 1;
            findings.found(Verdict::Reordered, Some(sequence), "the entry stands after a later one, or twice");
            return None;
        }
        if sequence > self.next && self.kind == Kind::Range {
            self.sound = false;
            self.report_gap(sequence - 1, findings);
        }
        self.take(sequence, leaf_hash(entry));
        own.then_some(outline)
    }

    fn take(&mut self, sequence: u64, leaf: Hash) {
        self.next = sequence + 1;
        match self.kind {
            Kind::Range => {
                if let Some(check) = self.check.as_mut().filter(|_| self.sound) {
                    check.push(leaf);
                }
            }
            Kind::Selection if (self.unproved.len() as u64) < BUNDLE_REMEMBERED_MAX => self.unproved.push_back((sequence, leaf)),
            Kind::Selection => self.sound = false,
        }
    }

    fn report_gap(&self, last: u64, findings: &mut Findings) {
        let rows = last - self.next + 1;
        let what = if rows == 1 {
            "the entry is not in the bundle".to_owned()
        } else {
            format!("{rows} entries up to {last} are not in the bundle")
        };
        findings.found(Verdict::Missing, Some(self.next), what);
    }

    /// Where an anchor ends at the entry just taken, its root is that of the tree so far.
    fn compare_anchor(&mut self, signed: &[Signed]) {
        let Some(check) = self.check.as_ref().filter(|_| self.sound && self.unlike.is_none()) else { return };
        let at = signed.binary_search_by_key(&check.next(), |signed| signed.tree_size);
        self.unlike = at.ok().map(|at| signed[at]).filter(|signed| signed.tree_root != check.root_so_far());
    }

    /// A proof of a selection; proofs come in the order of the entries.
    pub(super) fn proof(&mut self, sequence: u64, bytes: &[u8], note: Option<&Note>, tree: Option<&Checkpoint>, findings: &mut Findings) {
        while self.unproved.front().is_some_and(|(unproved, _)| *unproved < sequence) {
            self.report_unproved(findings);
        }
        let proof = match InclusionProof::parse(bytes) {
            Ok(proof) => proof,
            Err(error) => {
                findings.found(Verdict::Altered, Some(sequence), format!("proofs/{sequence}: {error}"));
                self.unproved.pop_front_if(|(unproved, _)| *unproved == sequence);
                return;
            }
        };
        let Some((_, leaf)) = self.unproved.pop_front_if(|(unproved, _)| *unproved == sequence) else {
            if self.untaken > 0 {
                self.untaken -= 1;
                return;
            }
            self.sound = false;
            findings.found(Verdict::Missing, Some(sequence), "its proof is in the bundle, and the entry is not");
            return;
        };
        // One checkpoint for all: its signatures were looked at once.
        let (Some(note), Some(tree)) = (note, tree) else { return };
        if proof.index != sequence || proof.checkpoint != *note {
            findings.found(Verdict::Altered, Some(sequence), format!("proofs/{sequence}: it is of another place or checkpoint"));
        } else if inclusion::root(&leaf, sequence, tree.size, &proof.path) != Some(tree.root) {
            findings.found(Verdict::Altered, Some(sequence), "entry and proof do not lead to the root of the checkpoint");
        }
    }

    fn report_unproved(&mut self, findings: &mut Findings) {
        if let Some((sequence, _)) = self.unproved.pop_front() {
            findings.found(Verdict::Altered, Some(sequence), "the entry has no proof");
        }
    }

    /// At the end of the bundle.
    pub(super) fn finish(&mut self, manifest: &Manifest, tree: Option<&Checkpoint>, findings: &mut Findings) {
        while !self.unproved.is_empty() {
            self.report_unproved(findings);
        }
        if self.are_sound() && self.count != manifest.entries_included {
            findings.found(Verdict::Altered, None, format!("{} entries, and the manifest says {}", self.count, manifest.entries_included));
        }
        let (Some(check), Some(tree)) = (self.check.take().filter(|_| self.are_sound()), tree) else { return };
        let whole = check.root() == Some(tree.root);
        match self.unlike {
            Some(anchor) if whole => {
                findings.found(Verdict::Forked, Some(anchor.first_sequence), "anchor and checkpoint were signed over different entries");
            }
            Some(Signed { first_sequence, tree_size, .. }) => {
                let detail = format!("no later than {}: the entries are not those of the anchor", tree_size - 1);
                findings.found(Verdict::Altered, Some(first_sequence.max(self.first)), detail);
            }
            None if !whole => {
                findings.found(Verdict::Altered, None, "the entries and the range proof do not lead to the root of the checkpoint");
            }
            None => {}
        }
    }
}
