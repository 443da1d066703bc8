//! The verifier of a bundle: the caller reads the tar, and hands on each file's name, size and bytes in pieces.
//!
//! Whatever is wrong is a finding, and the rest is looked at all the same; without a manifest that can be read there is
//! no rest. A verdict of `intact` says: the pinned key signed a tree that holds these entries at these places; in a range,
//! it holds no others between them.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use super::anchors::{Anchors, Judge};
use super::contents::Contents;
use super::entries::{Around, Entries};
use super::instance::Instance;
use super::{CONTENTS, ContentPart, FileName, FolderDigest, Manifest, ManifestError, PROOFS};
use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, CheckpointError, Cosigned};
use crate::limits::{BUNDLE_FILE_BYTES_MAX, CONTENT_STORED_BYTES_MAX, NOTE_BYTES_MAX, PROOF_BYTES_MAX};
use crate::note::{Note, NoteError, VerifierKey};
use crate::proof::ConsistencyProof;
use crate::time::Timestamp;
use crate::verify::{Findings, Report, Verdict};

/// What the caller knows and does not take from the bundle.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys of the project's log, of the instance's, and of witnesses. Signatures of others prove nothing.
    pub keys: Vec<VerifierKey>,
    /// The checkpoint of an earlier bundle of the same log, which this one must have grown out of.
    pub earlier: Option<Checkpoint>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReport {
    /// Verdict and findings, and how many entries were read.
    pub report: Report,
    /// What the bundle says it holds; `None` where that could not be read.
    pub manifest: Option<Manifest>,
    /// Pinned keys of the log that signed the checkpoint.
    pub signed_by: Vec<VerifierKey>,
    /// Pinned witnesses that cosigned the project's checkpoint.
    pub witnesses: Vec<Cosigned>,
    /// Leaves of the instance tree that was proved to hold the last anchor, and the pinned witnesses that cosigned it.
    pub instance: Option<(u64, Vec<Cosigned>)>,
    /// Anchors read.
    pub anchors: u64,
    /// When the last of them was made.
    pub anchored_at: Option<Timestamp>,
    /// The size of the earlier checkpoint that the tree was proved to have grown out of.
    pub grown_from: Option<u64>,
    /// Contents whose stored bytes are those that their entries name.
    pub contents_sealed: u64,
    /// Of these, how many open under the key beside them.
    pub contents_opened: u64,
    /// Entries with a content that is not in the bundle. Counted only where the bundle has contents.
    pub contents_absent: u64,
    /// The keys that the bundle offers: for a person to compare with what the log's owner published, and pin.
    pub keys_offered: Vec<VerifierKey>,
}

/// The file that is being read.
struct Current {
    file: FileName,
    bytes: u64,
    taken: u64,
    /// Of a file outside folders.
    digest: Option<Context>,
    buffer: Vec<u8>,
}

/// Takes a bundle, file after file.
pub struct BundleVerifier {
    trust: Trust,
    findings: Findings,
    /// Without it nothing else is read.
    manifest: Option<(Manifest, Entries)>,
    manifest_read: bool,
    current: Option<Current>,
    last_file: Option<FileName>,
    seen: BTreeMap<&'static str, Hash>,
    proofs: FolderDigest,
    contents_digest: FolderDigest,
    note: Option<Note>,
    tree: Option<Checkpoint>,
    signed_by: Vec<VerifierKey>,
    witnesses: Vec<Cosigned>,
    offered: Vec<VerifierKey>,
    consistency: Option<ConsistencyProof>,
    anchors: Anchors,
    instance: Instance,
    contents: Contents,
}

impl BundleVerifier {
    /// A verifier that believes `trust`.
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            findings: Findings::default(),
            manifest: None,
            manifest_read: false,
            current: None,
            last_file: None,
            seen: BTreeMap::new(),
            proofs: FolderDigest::new(),
            contents_digest: FolderDigest::new(),
            note: None,
            tree: None,
            signed_by: Vec::new(),
            witnesses: Vec::new(),
            offered: Vec::new(),
            consistency: None,
            anchors: Anchors::default(),
            instance: Instance::default(),
            contents: Contents::default(),
        }
    }

    /// The next file of the tar: its name and its size in bytes, as the tar has them.
    pub fn file(&mut self, name: &str, bytes: u64) {
        self.end_file();
        let Some(file) = FileName::parse(name) else {
            self.findings.found(Verdict::Altered, None, format!("{:?} is no file of a bundle", shown(name)));
            return;
        };
        if self.last_file.is_some_and(|last| file <= last) {
            self.findings.found(Verdict::Altered, None, format!("{file} does not come in its place, or comes twice"));
            return;
        }
        if file != FileName::Manifest {
            if !self.manifest_read {
                self.manifest_read = true;
                self.findings.found(Verdict::Altered, None, "a bundle begins with manifest.json");
            }
            let Some((manifest, _)) = &self.manifest else { return };
            if !manifest.files.contains_key(file.digest_name()) {
                self.findings.found(Verdict::Altered, None, format!("{file} is not in the manifest"));
                return;
            }
        }
        self.last_file = Some(file);
        let digest = match file {
            FileName::Proof(_) => {
                self.proofs.begin(file, bytes);
                None
            }
            FileName::Content(..) => {
                self.contents_digest.begin(file, bytes);
                None
            }
            _ => Some(Context::new(&SHA256)),
        };
        self.current = Some(Current { file, bytes, taken: 0, digest, buffer: Vec::new() });
    }

    /// The next bytes of that file; of a file that is not read, they go nowhere.
    pub fn piece(&mut self, piece: &[u8]) {
        let Some(current) = &mut self.current else { return };
        current.taken += piece.len() as u64;
        match (&mut current.digest, current.file) {
            (Some(digest), _) => digest.update(piece),
            (None, FileName::Proof(_)) => self.proofs.update(piece),
            (None, _) => self.contents_digest.update(piece),
        }
        match current.file {
            FileName::Entries => self.read_entries(Some(piece)),
            FileName::Anchors => self.read_anchors(Some(piece)),
            file if current.buffer.len() + piece.len() <= bytes_max(file) => current.buffer.extend_from_slice(piece),
            // What is not kept shows at the end of the file.
            _ => {}
        }
    }

    fn read_entries(&mut self, piece: Option<&[u8]>) {
        let Some((manifest, entries)) = &mut self.manifest else { return };
        let around = Around { manifest, signed: &self.anchors.signed };
        entries.piece(piece, &around, &mut self.findings, |outline| {
            if manifest.content_included {
                self.contents.entry(outline);
            }
        });
    }

    fn read_anchors(&mut self, piece: Option<&[u8]>) {
        let Some((manifest, _)) = &self.manifest else { return };
        let (origin, pinned, offered) = (&manifest.origin, &self.trust.keys[..], &self.offered[..]);
        let judge = Judge { project_id: manifest.project_id, origin, pinned, offered };
        match piece {
            Some(piece) => self.anchors.piece(piece, &judge, &mut self.findings),
            None => self.anchors.end(&judge, &mut self.findings),
        }
    }

    /// Something is wrong around the files: with the tar itself, as whoever reads it found. Ends the file that is being read.
    pub fn fault(&mut self, what: impl Into<String>) {
        self.end_file();
        self.findings.found(Verdict::Altered, None, what);
    }

    /// After the last file.
    pub fn finish(mut self) -> BundleReport {
        self.end_file();
        if !self.manifest_read {
            self.findings.found(Verdict::Altered, None, "manifest.json is not in the bundle");
        }
        let Some((manifest, mut entries)) = self.manifest.take() else {
            return self.report(None, 0);
        };
        for (folder, digest) in [(PROOFS, &self.proofs), (CONTENTS, &self.contents_digest)] {
            self.seen.insert(folder, digest.clone().finish());
        }
        for (name, sha256) in &manifest.files {
            let what = match self.seen.get(name.as_str()) {
                Some(seen) if seen == sha256 => continue,
                Some(_) => "not as the manifest has it",
                None => "named in the manifest and not in the bundle",
            };
            self.findings.found(Verdict::Altered, None, format!("{name}: {what}"));
        }
        let tree = self.tree.clone();
        entries.finish(&manifest, tree.as_ref(), &mut self.findings);
        self.anchors.finish(tree.as_ref(), &mut self.findings);
        self.count_unanchored(&entries);
        let grown_from = self.compare_earlier();
        self.contents.finish();
        let mut report = self.report(Some(manifest), entries.count);
        report.grown_from = grown_from;
        report
    }

    fn report(self, manifest: Option<Manifest>, events: u64) -> BundleReport {
        BundleReport {
            report: self.findings.report(manifest.as_ref().map_or(Uuid::nil(), |manifest| manifest.project_id), (events, 0), 0),
            manifest,
            signed_by: self.signed_by,
            witnesses: self.witnesses,
            instance: self.instance.proved,
            anchors: self.anchors.count(),
            anchored_at: self.anchors.last.map(|anchor| anchor.anchor_at),
            grown_from: None,
            contents_sealed: self.contents.sealed,
            contents_opened: self.contents.opened,
            contents_absent: self.contents.absent,
            keys_offered: self.offered,
        }
    }

    fn end_file(&mut self) {
        let Some(current) = self.current.take() else { return };
        let Current { file, bytes, taken, digest, buffer } = current;
        if let Some(digest) = digest {
            self.seen.insert(file.digest_name(), crate::tree::array(&digest.finish()));
        }
        if taken != bytes {
            self.findings.found(Verdict::Altered, None, format!("{file} is cut off: {taken} bytes of {bytes}"));
            if file != FileName::Manifest {
                return;
            }
        }
        if !matches!(file, FileName::Entries | FileName::Anchors) && buffer.len() as u64 != taken {
            self.findings.found(Verdict::Altered, None, format!("{file} has {taken} bytes, more than {}", bytes_max(file)));
            self.manifest_read |= file == FileName::Manifest;
            return;
        }
        if file == FileName::Manifest {
            self.read_manifest(&buffer);
            return;
        }
        let Some((manifest, entries)) = &mut self.manifest else { return };
        let findings = &mut self.findings;
        match file {
            FileName::RangeProof => entries.range_proof(&buffer, manifest, findings),
            FileName::Proof(sequence) => entries.proof(sequence, &buffer, self.note.as_ref(), self.tree.as_ref(), findings),
            FileName::Content(sequence, part) => self.contents.file(sequence, part, buffer, entries.are_sound(), findings),
            FileName::Consistency => match ConsistencyProof::parse(&buffer) {
                Ok(proof) => self.consistency = Some(proof),
                Err(error) => findings.found(Verdict::Altered, None, format!("consistency: {error}")),
            },
            FileName::InstanceCheckpoint => self.instance.checkpoint(buffer, findings),
            FileName::InstanceLeaf => self.instance.leaf(&buffer, self.anchors.last.as_ref(), findings),
            FileName::InstanceProof => self.instance.proof(&buffer, manifest, (&self.trust.keys, &self.offered), findings),
            FileName::VerifierKeys => self.read_keys(&buffer),
            FileName::Checkpoint => self.read_checkpoint(&buffer),
            FileName::Entries => self.read_entries(None),
            FileName::Anchors => self.read_anchors(None),
            FileName::Manifest => {}
        }
    }

    fn read_manifest(&mut self, bytes: &[u8]) {
        self.manifest_read = true;
        match Manifest::parse(bytes) {
            Ok(manifest) => {
                let entries = Entries::new(&manifest);
                self.manifest = Some((manifest, entries));
            }
            Err(error) => {
                let kind = if matches!(error, ManifestError::Form(_)) { Verdict::Altered } else { Verdict::Unverifiable };
                self.findings.found(kind, None, format!("manifest.json: {error}"));
            }
        }
    }

    fn read_keys(&mut self, bytes: &[u8]) {
        let lines = std::str::from_utf8(bytes).ok().and_then(crate::lines::split);
        if lines.is_none() && !bytes.is_empty() {
            self.findings.found(Verdict::Altered, None, "verifier-keys: not UTF-8, or the last line does not end in a newline");
        }
        for (n, line) in lines.into_iter().flatten().enumerate() {
            match line.parse() {
                Ok(key) => self.offered.push(key),
                Err(error) => self.findings.found(Verdict::Altered, None, format!("verifier-keys, line {}: {error}", n + 1)),
            }
        }
    }

    fn read_checkpoint(&mut self, bytes: &[u8]) {
        let Some((manifest, _)) = &self.manifest else { return };
        let read = Note::parse(bytes).map_err(CheckpointError::from);
        let read = read.and_then(|note| Ok((Checkpoint::parse(note.text())?, note)));
        let (tree, note) = match read {
            Ok(read) => read,
            Err(error) => return self.findings.found(Verdict::Altered, None, format!("checkpoint: {error}")),
        };
        // Nothing is held against a checkpoint that is not what was signed, or not the one that the manifest speaks of.
        if tree.origin != manifest.origin || tree.size != manifest.tree_size || !is_of_project(&tree, manifest) {
            let what = "checkpoint: origin or size are not those of the manifest and its project";
            return self.findings.found(Verdict::Altered, None, what);
        }
        match Checkpoint::open(&note, &self.trust.keys) {
            Ok(opened) => (self.signed_by, self.witnesses) = (opened.log_keys, opened.witnesses),
            Err(error) => {
                // A key that nobody pinned proves nothing; but a signature that does not even hold was changed.
                let unknown = matches!(error, CheckpointError::UnknownLog { .. });
                let bad = match Checkpoint::open(&note, &self.offered) {
                    Err(bad @ CheckpointError::Note(NoteError::BadSignature { .. })) if unknown => Some(bad),
                    _ => None,
                };
                if let Some(error) = bad.as_ref().or((!unknown).then_some(&error)) {
                    return self.findings.found(Verdict::Altered, None, format!("checkpoint: {error}"));
                }
                self.findings.found(Verdict::Unverifiable, None, format!("checkpoint: {error}"));
            }
        }
        (self.tree, self.note) = (Some(tree), Some(note));
    }

    /// Entries after the last anchor: signed in the checkpoint, and not yet in the chain of anchors.
    fn count_unanchored(&mut self, entries: &Entries) {
        if let Some((entries, first)) = entries.unanchored {
            self.findings.found(Verdict::Unanchored, Some(first), format!("no anchor of the bundle covers {entries} entries from here on"));
        }
    }

    /// The size of the earlier checkpoint, if this tree is proved to have grown out of it.
    fn compare_earlier(&mut self) -> Option<u64> {
        let (earlier, tree) = (self.trust.earlier.as_ref()?, self.tree.as_ref()?);
        let (kind, what) = if earlier.origin != tree.origin {
            (Verdict::Unverifiable, "the earlier checkpoint is another log's")
        } else if earlier.size > tree.size {
            (Verdict::RolledBack, "the checkpoint is older than the earlier one")
        } else if earlier.size == tree.size {
            if earlier.root == tree.root {
                return Some(earlier.size);
            }
            (Verdict::Forked, "two roots were signed for one size")
        } else {
            match &self.consistency {
                Some(proof) if (proof.old, proof.new) == (earlier.size, tree.size) => {
                    if proof.holds(&earlier.root, &tree.root) {
                        return Some(earlier.size);
                    }
                    (Verdict::Forked, "the tree is not proved to have grown out of the earlier one")
                }
                _ => (Verdict::Unverifiable, "the bundle has no proof that its tree grew out of the earlier one"),
            }
        };
        self.findings.found(kind, None, what);
        None
    }
}

/// Origin `<instance name>/<project id>`.
fn is_of_project(tree: &Checkpoint, manifest: &Manifest) -> bool {
    tree.origin.as_str().rsplit_once('/').is_some_and(|(_, project)| project == manifest.project_id.to_string())
}

/// What is kept of a file, bytes.
const fn bytes_max(file: FileName) -> usize {
    match file {
        FileName::Checkpoint | FileName::InstanceCheckpoint => NOTE_BYTES_MAX,
        FileName::Proof(_) | FileName::InstanceProof => PROOF_BYTES_MAX,
        FileName::Content(_, ContentPart::Sealed) => CONTENT_STORED_BYTES_MAX,
        _ => BUNDLE_FILE_BYTES_MAX,
    }
}

/// A name from a tar that somebody else made.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}
