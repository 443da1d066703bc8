//! `instance/`: that the last anchor of the bundle is in the instance tree, whose checkpoint witnesses cosign.

use super::manifest::Manifest;
use crate::anchor::{Anchor, InstanceLeaf};
use crate::checkpoint::{CheckpointError, Cosigned, Opened};
use crate::note::{Note, NoteError, VerifierKey};
use crate::proof::{InclusionProof, ProofError};
use crate::verify::{Findings, Verdict};

/// The three files, as they come.
#[derive(Debug, Default)]
pub(super) struct Instance {
    checkpoint: Option<Vec<u8>>,
    leaf: Option<InstanceLeaf>,
    /// Leaves of the instance tree that was proved, and who cosigned it.
    pub(super) proved: Option<(u64, Vec<Cosigned>)>,
}

impl Instance {
    pub(super) fn checkpoint(&mut self, bytes: Vec<u8>, findings: &mut Findings) {
        match Note::parse(&bytes) {
            Ok(_) => self.checkpoint = Some(bytes),
            Err(error) => findings.found(Verdict::Altered, None, format!("instance/checkpoint: {error}")),
        }
    }

    /// The leaf is that of the last anchor, which came before.
    pub(super) fn leaf(&mut self, bytes: &[u8], last: Option<&Anchor>, findings: &mut Findings) {
        match InstanceLeaf::parse(bytes) {
            Some(leaf) if last.map(Anchor::instance_leaf).as_ref() == Some(&leaf) => self.leaf = Some(leaf),
            Some(_) => findings.found(Verdict::Altered, None, "instance/leaf: it is not that of the last anchor"),
            None => findings.found(Verdict::Altered, None, "instance/leaf: it is not a leaf of the instance tree"),
        }
    }

    pub(super) fn proof(&mut self, bytes: &[u8], manifest: &Manifest, keys: (&[VerifierKey], &[VerifierKey]), findings: &mut Findings) {
        let (pinned, offered) = keys;
        let (Some(checkpoint), Some(leaf)) = (&self.checkpoint, &self.leaf) else { return };
        let proof = match InclusionProof::parse(bytes) {
            Ok(proof) if proof.checkpoint.to_string().as_bytes() == checkpoint => proof,
            Ok(_) => return findings.found(Verdict::Altered, None, "instance/proof: it is of another checkpoint than instance/checkpoint"),
            Err(error) => return findings.found(Verdict::Altered, None, format!("instance/proof: {error}")),
        };
        match proof.verify(&leaf.leaf_hash(), pinned) {
            Ok(opened) if is_instance_of(&opened, manifest) => self.proved = Some((opened.checkpoint.size, opened.witnesses)),
            Ok(_) => findings.found(Verdict::Altered, None, "instance/checkpoint: its origin is not that of the project's instance"),
            Err(ProofError::Checkpoint(error @ CheckpointError::UnknownLog { .. })) => {
                let kind = match proof.verify(&leaf.leaf_hash(), offered) {
                    Err(ProofError::NotIncluded | ProofError::Checkpoint(CheckpointError::Note(NoteError::BadSignature { .. }))) => {
                        Verdict::Altered
                    }
                    _ => Verdict::Unverifiable,
                };
                findings.found(kind, None, format!("instance/checkpoint: {error}"));
            }
            Err(error) => findings.found(Verdict::Altered, None, format!("instance/proof: {error}")),
        }
    }
}

/// Origins: `<instance name>` and `<instance name>/<project id>`.
fn is_instance_of(opened: &Opened, manifest: &Manifest) -> bool {
    format!("{}/{}", opened.checkpoint.origin, manifest.project_id) == manifest.origin.as_str()
}
