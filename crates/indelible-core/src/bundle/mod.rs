//! Evidence bundles (`docs/bundle.md`): a tar that proves entries to somebody who has nothing but a public key.
//!
//! The files come in one order, that of [`FileName`], so that a verifier reads the tar once: [`BundleVerifier`] takes
//! names and pieces as they come. Its memory does not grow with the entries of a range; a selection costs 40 bytes each.
//!
//! Nothing inside a bundle is trusted. The manifest is signed by nobody: what it says is checked, or is a claim (the
//! filter). Keys inside a bundle are an offer; those that the caller pinned decide.

mod anchors;
mod contents;
mod entries;
mod instance;
mod manifest;
pub mod tar;
#[cfg(test)]
mod tests;
mod text_lines;
mod verifier;

use std::fmt::{self, Display, Formatter};

use aws_lc_rs::digest::{Context, SHA256};

pub use anchors::AnchorLine;
pub use manifest::{Kind, Manifest, ManifestError};
pub use tar::TarVerifier;
pub use verifier::{BundleReport, BundleVerifier, Trust};

use crate::chain::Hash;
use crate::lines::decimal;

/// The files of a bundle, in the order of the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// [`Manifest`], canonical JSON.
    Manifest,
    /// A verifier key a line.
    VerifierKeys,
    /// The project's checkpoint, a signed note.
    Checkpoint,
    /// [`AnchorLine`]s, each following the one before.
    Anchors,
    /// [`crate::proof::ConsistencyProof`] from the checkpoint of an earlier bundle.
    Consistency,
    /// [`crate::proof::RangeProof`], in a range.
    RangeProof,
    /// The instance tree's checkpoint, a signed note.
    InstanceCheckpoint,
    /// [`crate::anchor::InstanceLeaf`] of the last anchor.
    InstanceLeaf,
    /// [`crate::proof::InclusionProof`] of that leaf, with the instance tree's checkpoint.
    InstanceProof,
    /// The entries, exact bytes, a line each, by sequence.
    Entries,
    /// [`crate::proof::InclusionProof`] of the entry with this sequence, in a selection.
    Proof(u64),
    /// Of the content of the entry with this sequence.
    Content(u64, ContentPart),
}

/// What a bundle holds of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentPart {
    /// The stored bytes, whose SHA-256 the entry names.
    Sealed,
    /// The content key, 64 hex digits, under which they open ([`crate::seal::open`]).
    Key,
}

/// Files with one name.
const PLAIN: [(&str, FileName); 10] = [
    ("manifest.json", FileName::Manifest),
    ("verifier-keys", FileName::VerifierKeys),
    ("checkpoint", FileName::Checkpoint),
    ("anchors.ndjson", FileName::Anchors),
    ("consistency", FileName::Consistency),
    ("range-proof", FileName::RangeProof),
    ("instance/checkpoint", FileName::InstanceCheckpoint),
    ("instance/leaf", FileName::InstanceLeaf),
    ("instance/proof", FileName::InstanceProof),
    ("entries.ndjson", FileName::Entries),
];

impl FileName {
    /// Reads a name as it stands in the tar.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some((_, file)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Some(*file);
        }
        if let Some(sequence) = name.strip_prefix("proofs/") {
            return decimal(sequence).map(Self::Proof);
        }
        let (sequence, part) = name.strip_prefix("contents/")?.split_once('.')?;
        let part = match part {
            "sealed" => ContentPart::Sealed,
            "key" => ContentPart::Key,
            _ => return None,
        };
        decimal(sequence).map(|sequence| Self::Content(sequence, part))
    }

    /// The name under which the manifest keeps its digest: its own, or its folder's with a slash.
    pub fn digest_name(self) -> &'static str {
        match self {
            Self::Proof(_) => PROOFS,
            Self::Content(..) => CONTENTS,
            plain => PLAIN.iter().find(|(_, file)| *file == plain).map_or("", |(name, _)| name),
        }
    }
}

/// Digest name of the folder of proofs.
pub(crate) const PROOFS: &str = "proofs/";
/// Digest name of the folder of contents.
pub(crate) const CONTENTS: &str = "contents/";

impl Display for FileName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof(sequence) => write!(f, "{PROOFS}{sequence}"),
            Self::Content(sequence, ContentPart::Sealed) => write!(f, "{CONTENTS}{sequence}.sealed"),
            Self::Content(sequence, ContentPart::Key) => write!(f, "{CONTENTS}{sequence}.key"),
            plain => f.write_str(plain.digest_name()),
        }
    }
}

/// The digest of a folder: SHA-256 over `<name>\n<bytes in decimal>\n<bytes>` of each file in the order of the tar.
#[derive(Clone)]
pub struct FolderDigest(Context);

impl Default for FolderDigest {
    fn default() -> Self {
        Self::new()
    }
}

impl FolderDigest {
    /// Of a folder without files.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// The next file, of so many bytes.
    pub fn begin(&mut self, file: FileName, bytes: u64) {
        self.0.update(format!("{file}\n{bytes}\n").as_bytes());
    }

    /// A piece of that file.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest.
    pub fn finish(self) -> Hash {
        crate::tree::array(&self.0.finish())
    }
}
