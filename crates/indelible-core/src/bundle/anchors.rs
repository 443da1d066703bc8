//! `anchors.ndjson`: the anchors of a bundle, each with its note, as they follow one another.
//!
//! What is kept of each is what the entries are held against: its size and root. The newest is kept whole.

use super::text_lines::{LineFault, TextLines};
use crate::anchor::{Anchor, AnchorError};
use crate::chain::Hash;
use crate::checkpoint::Checkpoint;
use crate::json::{self, Object, Value};
use crate::limits::BUNDLE_ANCHORS_MAX;
use crate::note::{Name, Note, NoteError, VerifierKey};
use crate::verify::{Findings, Verdict};

/// One line: `{"anchor":{…},"note":"…"}`, canonical JSON, so the anchor stands in it as the bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorLine {
    /// The anchor.
    pub anchor: Anchor,
    /// Its signed note.
    pub note: Note,
}

impl AnchorLine {
    /// The line without its newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"{\"anchor\":".to_vec();
        out.extend_from_slice(&self.anchor.to_bytes());
        out.extend_from_slice(b",\"note\":");
        json::write_string(&self.note.to_string(), &mut out);
        out.push(b'}');
        out
    }

    /// Reads that form and no other.
    pub fn parse(line: &[u8]) -> Result<Self, AnchorError> {
        let value = json::parse(line).map_err(|_| AnchorError::Form("it is not JSON"))?;
        let member = |name| value.as_object().and_then(|object: &Object<'_>| object.get(name));
        let anchor = member("anchor").map(Value::to_canonical).ok_or(AnchorError::Form("no anchor in the line"))?;
        let note = member("note").and_then(Value::as_str).ok_or(AnchorError::Form("no note in the line"))?;
        let read = Self { anchor: Anchor::parse(&anchor)?, note: Note::parse(note.as_bytes())? };
        if read.to_bytes() == line { Ok(read) } else { Err(AnchorError::Form("the line is not canonical, or holds more")) }
    }
}

/// What the entries are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) first_sequence: u64,
    pub(super) tree_size: u64,
    pub(super) tree_root: Hash,
}

/// The anchors of one bundle.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    lines: TextLines,
    count: u64,
    pub(super) last: Option<Anchor>,
    /// By size, ascending.
    pub(super) signed: Vec<Signed>,
    unknown: Option<(u64, AnchorError)>,
    lost: bool,
}

impl Anchors {
    pub(super) fn piece(&mut self, piece: &[u8], judge: &Judge<'_>, findings: &mut Findings) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(piece, |line| self.line(line, judge, findings));
        self.lines = lines;
    }

    /// At the end of the file.
    pub(super) fn end(&mut self, judge: &Judge<'_>, findings: &mut Findings) {
        let mut lines = std::mem::take(&mut self.lines);
        if lines.finish(|line| self.line(line, judge, findings)).is_err() {
            findings.found(Verdict::Altered, None, "anchors.ndjson: the last line does not end in a newline");
        }
    }

    fn line(&mut self, line: Result<&[u8], LineFault>, judge: &Judge<'_>, findings: &mut Findings) {
        self.count += 1;
        let number = self.count;
        let read = line.map_err(|_| AnchorError::Form("the line is too long")).and_then(AnchorLine::parse);
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                self.lost = true;
                findings.found(Verdict::Altered, None, format!("anchors.ndjson, line {number}: {error}"));
                return;
            }
        };
        let sequence = Some(read.anchor.first_sequence);
        if let Some(error) = judge.fault(&read) {
            if let AnchorError::UnknownKey { .. } = error {
                self.unknown.get_or_insert((read.anchor.first_sequence, error));
            } else {
                self.lost = true;
                findings.found(Verdict::Altered, sequence, format!("anchors.ndjson, line {number}: {error}"));
                return;
            }
        }
        // After a line that could not be believed, the next need not follow the last that could.
        let broken = self.last.as_ref().filter(|_| !self.lost).and_then(|last| read.anchor.follows(last).err());
        if let Some(error) = broken {
            findings.found(Verdict::Altered, sequence, format!("anchors.ndjson, line {number}: {error}"));
        }
        self.lost = false;
        let anchor = read.anchor;
        let signed = Signed { first_sequence: anchor.first_sequence, tree_size: anchor.tree_size(), tree_root: anchor.tree_root };
        if self.signed.last().is_none_or(|last| last.tree_size < signed.tree_size) {
            if self.signed.len() < BUNDLE_ANCHORS_MAX {
                self.signed.push(signed);
            } else if self.signed.len() == BUNDLE_ANCHORS_MAX {
                findings.found(
                    Verdict::Unverifiable,
                    sequence,
                    format!("more than {BUNDLE_ANCHORS_MAX} anchors: the rest is held against no entry"),
                );
            }
            self.last = Some(anchor);
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// At the end of the bundle: against its checkpoint, where that could be read.
    pub(super) fn finish(&mut self, tree: Option<&Checkpoint>, findings: &mut Findings) {
        if let Some((sequence, error)) = self.unknown.take() {
            findings.found(Verdict::Unverifiable, Some(sequence), error.to_string());
        }
        let (Some(last), Some(tree)) = (self.signed.last(), tree) else { return };
        let at = last.tree_size.checked_sub(1);
        if last.tree_size > tree.size {
            findings.found(Verdict::RolledBack, at, "the checkpoint is older than the last anchor");
        } else if last.tree_size == tree.size && last.tree_root != tree.root {
            findings.found(Verdict::Forked, at, "anchor and checkpoint name two roots for one size");
        }
    }
}

/// Whose word an anchor must be.
pub(super) struct Judge<'a> {
    pub(super) project_id: uuid::Uuid,
    pub(super) origin: &'a Name,
    pub(super) pinned: &'a [VerifierKey],
    pub(super) offered: &'a [VerifierKey],
}

impl Judge<'_> {
    fn fault(&self, line: &AnchorLine) -> Option<AnchorError> {
        if line.anchor.project_id != self.project_id {
            return Some(AnchorError::Chain("it is another project's"));
        }
        let error = line.anchor.verify(&line.note, self.origin, self.pinned).err()?;
        let AnchorError::UnknownKey { .. } = error else { return Some(error) };
        // Not believed either way; but one that does not even hold under the bundle's own keys was changed.
        match line.anchor.verify(&line.note, self.origin, self.offered) {
            Err(bad @ AnchorError::Note(NoteError::BadSignature { .. })) => Some(bad),
            _ => Some(error),
        }
    }
}
