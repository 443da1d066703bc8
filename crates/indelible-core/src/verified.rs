//! The note that a complete verification leaves (`docs/verification.md`, Going on): how far everything was read and nothing was wrong;
//! and that of one which went on from there, which is never taken for the other.
//!
//! The newest signed checkpoint of the instance tree then, and a digest of what was stored beside the rows, under a MAC of the ring:
//! whoever can write files alone can neither make one nor move it on. Refused: any form but the one that is written.

use std::fmt::{self, Display, Formatter};

use crate::chain::Hash;
use crate::lines;
use crate::note::Note;

/// How far a note vouches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything up to its checkpoint was read by the verification that left it.
    Complete,
    /// What came after an earlier note was; what that one covers, was then.
    Partial,
}

impl Extent {
    /// The first line.
    const fn label(self) -> &'static str {
        match self {
            Self::Complete => "indelible-verified/v1",
            Self::Partial => "indelible-verified-partial/v1",
        }
    }
}

/// The largest there is.
pub const VERIFIED_BYTES_MAX: usize = 256 * 1024;

/// A note as it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What was read.
    pub extent: Extent,
    /// Digest of the stored resources whose events are covered.
    pub resources: Hash,
    /// The checkpoint of the instance tree, as the log signed it.
    pub checkpoint: Note,
    /// Ring id of the MAC.
    pub hmac_key_id: u64,
    /// See [`crate::key::verified_mac`].
    pub mac: Hash,
}

impl Verified {
    /// What the MAC is made over.
    pub fn text(extent: Extent, resources: &Hash, checkpoint: &Note) -> String {
        format!("{}\n{}\n{checkpoint}", extent.label(), lines::encode(resources))
    }

    /// Reads it; `None` where it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= VERIFIED_BYTES_MAX)?;
        let (label, rest) = text.split_once('\n')?;
        let extent = [Extent::Complete, Extent::Partial].into_iter().find(|extent| extent.label() == label)?;
        let (mac, rest) = rest.split_once('\n')?;
        let (hmac_key_id, rest) = rest.split_once('\n')?;
        let (resources, note) = rest.split_once('\n')?;
        let verified = Self {
            extent,
            resources: lines::decode_hash(resources)?,
            checkpoint: Note::parse(note.as_bytes()).ok()?,
            hmac_key_id: lines::decimal(hmac_key_id)?,
            mac: lines::decode_hash(mac)?,
        };
        (verified.to_string() == text).then_some(verified)
    }
}

impl Display for Verified {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { extent, resources, checkpoint, hmac_key_id, mac } = self;
        let label = extent.label();
        write!(f, "{label}\n{}\n{hmac_key_id}\n{}\n{checkpoint}", lines::encode(mac), lines::encode(resources))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Secret, verified_mac};

    fn note(extent: Extent) -> Verified {
        let text = "log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} log AAAAAAAA\n";
        let (resources, checkpoint) = ([3; 32], Note::parse(text.as_bytes()).expect("a note"));
        let mac = verified_mac(&Secret::new([1; 32]), &Verified::text(extent, &resources, &checkpoint));
        Verified { extent, resources, checkpoint, hmac_key_id: 2, mac }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_no_other_way() {
        for extent in [Extent::Complete, Extent::Partial] {
            assert_eq!(Verified::parse(note(extent).to_string().as_bytes()), Some(note(extent)));
        }
        let text = note(Extent::Complete).to_string();
        let refused = [
            text.replace("/v1", "/v2"),
            text.replace("\n2\n", "\n02\n"),
            text.replacen('\n', "\n\n", 1),
            format!("{text}\n"),
            text[..text.len() - 1].to_owned(),
            text.replace("log\n7", "log\r\n7"),
            String::new(),
        ];
        for other in refused {
            assert_eq!(Verified::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn every_part_counts_for_the_mac_and_so_does_the_key() {
        let note = note(Extent::Complete);
        let ring = Secret::new([1; 32]);
        let mut other = note.checkpoint.to_string();
        other = other.replace("\n7\n", "\n8\n");
        let other = Note::parse(other.as_bytes()).expect("a note");
        for (key, text) in [
            (&ring, Verified::text(Extent::Complete, &[4; 32], &note.checkpoint)),
            (&ring, Verified::text(Extent::Complete, &note.resources, &other)),
            (&ring, Verified::text(Extent::Partial, &note.resources, &note.checkpoint)),
            (&Secret::new([2; 32]), Verified::text(Extent::Complete, &note.resources, &note.checkpoint)),
        ] {
            assert_ne!(verified_mac(key, &text), note.mac, "{text}");
        }
    }
}
