//! The HMAC chain of one project (`formats.md`, Chain).
//!
//! A row's hash covers its entry and the hash of the row before it, so no row can be changed, taken out or moved
//! without the key; the head's MAC covers how many rows there are, so none can be cut off the end either.
//! Nothing here knows where rows are kept.

use aws_lc_rs::hmac;

use crate::key::{ProjectKeys, array};

/// A SHA-256 or HMAC-SHA256 value.
pub type Hash = [u8; 32];

/// `prev_hash` of sequence 0, and the row hash of a head of size 0.
pub const GENESIS: Hash = [0; 32];

/// What the MAC of a head begins with, so that it can never stand for a row hash.
const HEAD_LABEL: &[u8; 17] = b"indelible/head/v1";

impl ProjectKeys {
    /// `HMAC-SHA256(K, entry ‖ prev_hash)`.
    pub fn row_hash(&self, entry: &[u8], prev_hash: &Hash) -> Hash {
        let mut context = hmac::Context::with_key(&self.chain);
        context.update(entry);
        context.update(prev_hash);
        array(&context.sign())
    }

    /// `HMAC-SHA256(K, "indelible/head/v1" ‖ size (u64 BE) ‖ row_hash ‖ tree root)`.
    pub fn head_mac(&self, size: u64, row_hash: &Hash, tree_root: &Hash) -> Hash {
        let mut text = [0; HEAD_LABEL.len() + 8 + 32 + 32];
        text[..17].copy_from_slice(HEAD_LABEL);
        text[17..25].copy_from_slice(&size.to_be_bytes());
        text[25..57].copy_from_slice(row_hash);
        text[57..].copy_from_slice(tree_root);
        array(&hmac::sign(&self.chain, &text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::hex;
    use crate::key::Secret;

    /// Made by `testdata/chain_vectors.py`, which knows `formats.md` and Python's hmac and nothing of this crate.
    #[test]
    fn agrees_with_the_golden_vectors() {
        let vectors: Value = serde_json::from_str(include_str!("../testdata/chain.json")).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let hash = |value: &Value| hex::decode_array::<32>(&text(value)).expect("32 bytes of hex");
        for chain in vectors["chains"].as_array().expect("chains") {
            let project = Uuid::parse_str(&text(&chain["project_id"])).expect("a UUID");
            let keys = ProjectKeys::derive(chain["ring_id"].as_u64().expect("a number"), &Secret::new(hash(&chain["ring_key"])), project);
            let mut previous = GENESIS;
            for row in chain["rows"].as_array().expect("rows") {
                assert_eq!(previous, hash(&row["prev_hash"]));
                previous = keys.row_hash(text(&row["entry"]).as_bytes(), &previous);
                assert_eq!(previous, hash(&row["row_hash"]), "{row}");
            }
            for head in chain["heads"].as_array().expect("heads") {
                let mac = keys.head_mac(head["size"].as_u64().expect("a number"), &hash(&head["row_hash"]), &hash(&head["tree_root"]));
                assert_eq!(mac, hash(&head["mac"]), "{head}");
            }
        }
    }
}
