//! The HMAC chain of one project.

use crate::key::ProjectKeys;

/// A SHA-256 or HMAC-SHA256 value.
pub type Hash = [u8; 32];

/// `prev_hash` of sequence 0, and the row hash of a head of size 0.
pub const GENESIS: Hash = [0; 32];

impl ProjectKeys {
    /// `HMAC-SHA256(K, entry ‖ prev_hash)`.
    pub fn row_hash(&self, entry: &[u8], prev_hash: &Hash) -> Hash {
        unimplemented!("{entry:?} {prev_hash:?}")
    }

    /// `HMAC-SHA256(K, "indelible/head/v1" ‖ size (u64 BE) ‖ row_hash ‖ tree root)`.
    pub fn head_mac(&self, size: u64, row_hash: &Hash, tree_root: &Hash) -> Hash {
        unimplemented!("{size} {row_hash:?} {tree_root:?}")
    }
}
