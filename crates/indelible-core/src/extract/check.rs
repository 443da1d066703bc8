//! The check of an extract against its manifest, as its bytes are read: digest and counts of any; of a whole range as NDJSON also that
//! its entries are those of the checkpoint's tree, all of them, in their places.
//!
//! Findings are sentences. What a signature under the checkpoint is worth is the caller's to say: whoever made the file chose what it offers.

use aws_lc_rs::digest::{Context, SHA256};

use super::csv::Count;
use super::{Format, Manifest};
use crate::checkpoint::Checkpoint;
use crate::note::Note;
use crate::proof::{RangeCheck, RangeProof};
use crate::tree::leaf_hash;

/// Longest line that is looked into, bytes: an entry, its hashes, and the content beside it.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// What does not hold, a sentence each.
    pub findings: Vec<String>,
    /// Whether the entries lead to the checkpoint.
    pub proved: bool,
    /// The checkpoint, where it can be read.
    pub note: Option<Note>,
}

/// A check under way.
pub struct Check<'m> {
    manifest: &'m Manifest,
    digest: Context,
    bytes: u64,
    lines: u64,
    csv: Count,
    line: Vec<u8>,
    proof: Option<(RangeCheck, Checkpoint)>,
    note: Option<Note>,
    findings: Vec<String>,
}

impl<'m> Check<'m> {
    /// Begins one.
    pub fn new(manifest: &'m Manifest) -> Self {
        let mut findings = Vec::new();
        let read = read(manifest);
        let (note, checkpoint, proof) = read.unwrap_or_else(|finding| {
            findings.push(finding);
            (None, None, None)
        });
        // Cells of CSV are not the bytes that were hashed.
        let proof = proof.filter(|_| manifest.format == Format::Ndjson).map(|proof| proof.check()).zip(checkpoint);
        let (digest, csv) = (Context::new(&SHA256), Count::default());
        Self { manifest, digest, bytes: 0, lines: 0, csv, line: Vec::new(), proof, note, findings }
    }

    /// The next bytes of the file.
    pub fn piece(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        if self.manifest.format != Format::Ndjson {
            self.csv.piece(piece);
            return;
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.proof.is_some() {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_of_line();
            }
        }
        if self.line.len() > LINE_BYTES_MAX {
            self.broken("a line is longer than any event");
        }
    }

    fn end_of_line(&mut self) {
        self.lines += 1;
        let Some((check, _)) = &mut self.proof else { return };
        let entry = entry(self.line.strip_suffix(b"\n").unwrap_or_default());
        let fits = entry.is_some_and(|entry| check.push(leaf_hash(&entry)));
        self.line.clear();
        if !fits {
            let line = self.lines;
            self.broken(&format!("line {line} is not an event with its hashes, or one too many"));
        }
    }

    fn broken(&mut self, finding: &str) {
        self.findings.push(finding.to_owned());
        self.proof = None;
        self.line = Vec::new();
    }

    /// The file is at its end.
    pub fn finish(mut self) -> Checked {
        let written = &self.manifest.written;
        let entries = match self.manifest.format {
            Format::Ndjson => self.lines,
            // The first line names the columns.
            Format::Csv(_) => self.csv.lines.saturating_sub(1),
        };
        if self.bytes != written.bytes {
            self.findings.push(format!("the file has {} bytes and not {}", self.bytes, written.bytes));
        }
        if entries != written.entries {
            self.findings.push(format!("the file holds {entries} events and not {}", written.entries));
        }
        if self.digest.finish().as_ref() != self.manifest.sha256 {
            self.findings.push("the file was changed: its SHA-256 is another one".to_owned());
        }
        let root = self.proof.map(|(check, checkpoint)| check.root() == Some(checkpoint.root));
        if root == Some(false) {
            self.findings.push("the events do not lead to the checkpoint: some were changed, left out, put in or moved".to_owned());
        }
        Checked { proved: root == Some(true), note: self.note, findings: self.findings }
    }
}

type Read = (Option<Note>, Option<Checkpoint>, Option<RangeProof>);

/// The texts of a manifest, which have to fit each other.
fn read(manifest: &Manifest) -> Result<Read, String> {
    let head = &manifest.head;
    let note = Note::parse(head.checkpoint.as_bytes()).map_err(|error| format!("the checkpoint is none: {error}"))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| format!("the checkpoint is none: {error}"))?;
    if (&checkpoint.origin, checkpoint.size) != (&head.origin, head.tree_size) {
        return Err("the checkpoint is not of the log and the size that the manifest names".to_owned());
    }
    let proof = head.range_proof.as_ref().map(|proof| RangeProof::parse(proof.as_bytes())).transpose();
    let proof = proof.map_err(|error| format!("the range proof is none: {error}"))?;
    if let Some(proof) = &proof
        && (proof.first(), proof.last(), proof.size()) != (head.first_sequence, head.last_sequence, head.tree_size)
    {
        return Err("the range proof is of another range".to_owned());
    }
    Ok((Some(note), Some(checkpoint), proof))
}

/// The exact bytes of the entry in a record: what stands before its hashes, which come right after.
fn entry(record: &[u8]) -> Option<Vec<u8>> {
    const HASHES: &[u8] = b",\"prev_hash\":\"";
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, byte) in record.iter().enumerate() {
        if in_string {
            (in_string, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
            continue;
        }
        match byte {
            b',' if depth == 1 && record[at..].starts_with(HASHES) => {
                let mut entry = record[..at].to_vec();
                entry.push(b'}');
                return Some(entry);
            }
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}
