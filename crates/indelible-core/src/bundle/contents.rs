//! `contents/`: the stored bytes of contents, and the keys under which they open. The entry names the SHA-256 of the
//! stored bytes, and the key opens them or does not; so what is opened is what was sealed.

use std::collections::VecDeque;

use aws_lc_rs::digest::{SHA256, digest};

use super::ContentPart;
use crate::chain::Hash;
use crate::entry::Outline;
use crate::hex;
use crate::key::Secret;
use crate::limits::CONTENT_STORED_BYTES_MAX;
use crate::seal::{Address, open};
use crate::verify::{Findings, Verdict};

/// What an entry says of its content.
#[derive(Debug)]
struct Commitment {
    sequence: u64,
    sha256: Hash,
    bytes: u64,
    address: Address,
}

/// The contents of one bundle.
#[derive(Debug, Default)]
pub(super) struct Contents {
    awaited: VecDeque<Commitment>,
    /// The stored bytes that came last, where they are those that the entry names.
    stored: Option<(Commitment, Vec<u8>)>,
    /// Contents whose bytes are those that their entries name.
    pub(super) sealed: u64,
    /// Of these, how many open under the key beside them.
    pub(super) opened: u64,
    /// Entries whose content is not in the bundle: it was destroyed, or not asked for.
    pub(super) absent: u64,
}

impl Contents {
    pub(super) fn entry(&mut self, outline: &Outline) {
        if let Some((sha256, bytes)) = outline.sealed {
            let address = Address { organization_id: outline.organization_id, project_id: outline.project_id, event_id: outline.id };
            self.awaited.push_back(Commitment { sequence: outline.sequence, sha256, bytes, address });
        }
    }

    /// `sound`: nothing is known against the entries, so a content that none names is a fault of its own.
    pub(super) fn file(&mut self, sequence: u64, part: ContentPart, bytes: Vec<u8>, sound: bool, findings: &mut Findings) {
        match part {
            ContentPart::Sealed => self.take_sealed(sequence, bytes, sound, findings),
            ContentPart::Key => self.take_key(sequence, &bytes, findings),
        }
    }

    fn take_sealed(&mut self, sequence: u64, bytes: Vec<u8>, sound: bool, findings: &mut Findings) {
        self.stored = None;
        while self.awaited.pop_front_if(|awaited| awaited.sequence < sequence).is_some() {
            self.absent += 1;
        }
        let Some(commitment) = self.awaited.pop_front_if(|awaited| awaited.sequence == sequence) else {
            if sound {
                findings.found(Verdict::Altered, Some(sequence), "a content that no entry of the bundle names");
            }
            return;
        };
        let same = bytes.len() as u64 == commitment.bytes && digest(&SHA256, &bytes).as_ref() == commitment.sha256;
        if same && bytes.len() <= CONTENT_STORED_BYTES_MAX {
            self.sealed += 1;
            self.stored = Some((commitment, bytes));
        } else {
            findings.found(Verdict::Altered, Some(sequence), "the content is not the one that the entry names");
        }
    }

    fn take_key(&mut self, sequence: u64, bytes: &[u8], findings: &mut Findings) {
        let Some((commitment, stored)) = self.stored.take().filter(|(commitment, _)| commitment.sequence == sequence) else {
            // Where the stored bytes were not believed, that is said already.
            return;
        };
        let key = std::str::from_utf8(bytes).ok().and_then(hex::decode_array).map(Secret::new);
        match key.map(|key| open(&stored, &commitment.address, &key)) {
            Some(Ok(_)) => self.opened += 1,
            Some(Err(error)) => findings.found(Verdict::Altered, Some(sequence), error.to_string()),
            None => findings.found(Verdict::Altered, Some(sequence), "the content key is not 64 hex digits"),
        }
    }

    pub(super) fn finish(&mut self) {
        self.absent += self.awaited.len() as u64;
        self.awaited.clear();
        self.stored = None;
    }
}
