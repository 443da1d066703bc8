//! `c2sp.org/tlog-proof@v1`: one entry, its path to the root, and the checkpoint of that root, verbatim.

use std::fmt::{self, Display, Formatter};

use super::{ProofError, parse_hashes};
use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, CheckpointError, Opened};
use crate::limits::PROOF_BYTES_MAX;
use crate::lines;
use crate::note::{Note, VerifierKey};
use crate::tree::inclusion;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// That an entry stands at a place of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// What an application put beside it: nobody signed that, and nothing here reads it.
    pub extra: Option<Vec<u8>>,
    /// The entry's place, from 0.
    pub index: u64,
    /// From the leaf's sibling to the root's child (RFC 6962, section 2.1.1).
    pub path: Vec<Hash>,
    /// The checkpoint with all its signatures.
    pub checkpoint: Note,
}

impl InclusionProof {
    /// Reads the text.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::Bytes("too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ProofError::Bytes("not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Bytes("no blank line before a checkpoint"))?;
        let mut texts = head.split('\n').peekable();
        if texts.next() != Some(FIRST_LINE) {
            return Err(ProofError::Text { line: 1, fault: "not c2sp.org/tlog-proof@v1" });
        }
        let extra = texts.next_if(|text| text.starts_with("extra ")).and_then(|text| text.strip_prefix("extra "));
        let extra = match extra.map(lines::decode) {
            Some(None) => return Err(ProofError::Text { line: 2, fault: "its extra data is not base64" }),
            extra => extra.flatten(),
        };
        let line = 2 + usize::from(extra.is_some());
        let index = texts.next().and_then(|text| text.strip_prefix("index ")).and_then(lines::decimal);
        let index = index.ok_or(ProofError::Text { line, fault: "not 'index' and a number in plain decimal" })?;
        let path = parse_hashes(texts, line + 1)?;
        let checkpoint = Note::parse(note.as_bytes()).map_err(CheckpointError::from)?;
        Checkpoint::parse(checkpoint.text())?;
        Ok(Self { extra, index, path, checkpoint })
    }

    /// Whether the entry of this leaf hash ([`crate::tree::leaf_hash`]) is in the tree of the checkpoint, and the
    /// checkpoint one of a log whose key is among `keys`; who signed it.
    pub fn verify(&self, leaf: &Hash, keys: &[VerifierKey]) -> Result<Opened, ProofError> {
        let opened = Checkpoint::open(&self.checkpoint, keys)?;
        let root = inclusion::root(leaf, self.index, opened.checkpoint.size, &self.path);
        if root == Some(opened.checkpoint.root) { Ok(opened) } else { Err(ProofError::NotIncluded) }
    }
}

impl Display for InclusionProof {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", lines::encode(extra))?;
        }
        let mut path = String::new();
        lines::push_hashes(&self.path, &mut path);
        write!(f, "index {}\n{path}\n{}", self.index, self.checkpoint)
    }
}
