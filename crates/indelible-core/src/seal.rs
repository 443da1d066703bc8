//! Sealing of contents (`formats.md`, Content and personal): compress, encrypt under a key of the record's own, and
//! wrap that key under the organization's data key.
//!
//! Opening refuses whatever does not authenticate under key and address, and never decompresses past
//! [`CONTENT_PLAIN_BYTES_MAX`]. A content key is used for one record, which is why a constant nonce is safe: the caller
//! draws 32 random bytes for each.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use uuid::Uuid;
use zstd::bulk::{Compressor, Decompressor};

use crate::chain::Hash;
use crate::key::Secret;
use crate::limits::CONTENT_PLAIN_BYTES_MAX;

/// An AES-256 key-wrapped key (RFC 3394).
pub type Wrapped = [u8; 40];

/// First byte of stored content and of its additional data.
const FORMAT: u8 = 1;
/// Bytes of an AES-GCM tag.
const TAG_BYTES: usize = 16;
/// Most contents are a kilobyte or two of JSON, on the path of every append. From here on, bytes, level 1; below, what level 1 does beyond
/// level −1 (Huffman tables) takes half of the time for a tenth of the bytes.
const LARGE_BYTES: usize = 4 * 1024;
/// A larger output buffer is given back after use instead of being kept for the next record.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// To which record content belongs; the additional data of its encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The organization.
    pub organization_id: Uuid,
    /// The project.
    pub project_id: Uuid,
    /// The event.
    pub event_id: Uuid,
}

impl Address {
    /// `0x01 ‖ organization id ‖ project id ‖ event id`.
    fn additional_data(&self) -> Aad<[u8; 49]> {
        let mut out = [FORMAT; 49];
        out[1..17].copy_from_slice(self.organization_id.as_bytes());
        out[17..33].copy_from_slice(self.project_id.as_bytes());
        out[33..].copy_from_slice(self.event_id.as_bytes());
        Aad::from(out)
    }
}

/// Content as it is stored, and what the entry says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// `0x01 ‖ AES-256-GCM(…)`.
    pub stored: Vec<u8>,
    /// SHA-256 of `stored`.
    pub sha256: Hash,
    /// Size of the JSON before compression.
    pub plain_bytes: u64,
}

/// Why sealed content could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The stored bytes, their address or their key were changed, or the key is another.
    #[error("the content does not authenticate under its key")]
    NotAuthentic,
    /// The first byte names a format that this version does not know.
    #[error("unknown content format {0}")]
    UnknownFormat(u8),
    /// It authenticates but does not decompress within the limit.
    #[error("the content does not decompress")]
    Corrupt,
}

/// A reusable sealer: holds the compressors and their buffer, which are costly to make.
pub struct Sealer {
    small: Compressor<'static>,
    large: Compressor<'static>,
    compressed: Vec<u8>,
}

impl Default for Sealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Sealer {
    /// A sealer.
    pub fn new() -> Self {
        let compressor = |level| Compressor::new(level).expect("the level exists and an empty dictionary always loads");
        Self { small: compressor(-1), large: compressor(1), compressed: Vec::new() }
    }

    /// Seals `json` under `content_key`, which must be random and used for this record alone. The caller has checked
    /// that `json` is at most [`CONTENT_PLAIN_BYTES_MAX`] bytes: more would seal, and never open.
    pub fn seal(&mut self, json: &[u8], address: &Address, content_key: &Secret) -> Sealed {
        debug_assert!(json.len() <= CONTENT_PLAIN_BYTES_MAX);
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(json.len()));
        // One frame, with the content size (which opening uses) and without a checksum (the tag is stronger).
        let compressor = if json.len() < LARGE_BYTES { &mut self.small } else { &mut self.large };
        compressor.compress_to_buffer(json, &mut self.compressed).expect("the buffer has the size that zstd asks for");
        let mut stored = Vec::with_capacity(1 + self.compressed.len() + TAG_BYTES);
        stored.push(FORMAT);
        stored.extend_from_slice(&self.compressed);
        if self.compressed.capacity() > KEPT_BYTES_MAX {
            self.compressed = Vec::new();
        }
        let tag = aes_gcm(content_key)
            .seal_in_place_separate_tag(nonce(), address.additional_data(), &mut stored[1..])
            .expect("AES-GCM takes 64 GiB, contents are far below");
        stored.extend_from_slice(tag.as_ref());
        let sha256 = crate::tree::array(&digest::digest(&digest::SHA256, &stored));
        Sealed { stored, sha256, plain_bytes: json.len() as u64 }
    }
}

/// Opens what [`Sealer::seal`] made.
pub fn open(stored: &[u8], address: &Address, content_key: &Secret) -> Result<Vec<u8>, OpenError> {
    let (format, encrypted) = stored.split_first().ok_or(OpenError::NotAuthentic)?;
    if *format != FORMAT {
        return Err(OpenError::UnknownFormat(*format));
    }
    let mut buffer = encrypted.to_vec();
    let compressed = aes_gcm(content_key)
        .open_in_place(nonce(), address.additional_data(), &mut buffer)
        .map_err(|_unspecified| OpenError::NotAuthentic)?;
    // Allocates what the frame says it needs, or the limit where it does not say; zstd writes no further than that.
    let mut decompressor = Decompressor::new().map_err(|_out_of_memory| OpenError::Corrupt)?;
    decompressor.decompress(compressed, CONTENT_PLAIN_BYTES_MAX).map_err(|_zstd| OpenError::Corrupt)
}

/// Whether `stored` would open, as far as its tag says: decrypted into `buffer`, whose bytes are overwritten, and not
/// decompressed. For verification, which has every content of a ledger before it and wants none of them.
pub fn authenticates(stored: &[u8], address: &Address, content_key: &Secret, buffer: &mut Vec<u8>) -> bool {
    let Some(encrypted) = stored.strip_prefix(&[FORMAT]) else { return false };
    buffer.clear();
    buffer.extend_from_slice(encrypted);
    let holds = aes_gcm(content_key).open_in_place(nonce(), address.additional_data(), buffer).is_ok();
    buffer.fill(0);
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
    holds
}

/// Seals a short secret that is no record's content, such as a member of a resource: `0x01 ‖ AES-256-GCM(content key, nonce 0, secret)`,
/// additional data `"indelible/secret/v1" ‖ about`. `content_key` is random and used for this secret alone; `about` says
/// whose it is, so that it opens nowhere else.
pub fn seal_secret(secret: &[u8], about: &[u8], content_key: &Secret) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + secret.len() + TAG_BYTES);
    stored.push(FORMAT);
    stored.extend_from_slice(secret);
    let tag = aes_gcm(content_key)
        .seal_in_place_separate_tag(nonce(), secret_data(about), &mut stored[1..])
        .expect("AES-GCM takes 64 GiB, secrets are far below");
    stored.extend_from_slice(tag.as_ref());
    stored
}

/// Opens what [`seal_secret`] made.
pub fn open_secret(stored: &[u8], about: &[u8], content_key: &Secret) -> Result<Vec<u8>, OpenError> {
    let (format, encrypted) = stored.split_first().ok_or(OpenError::NotAuthentic)?;
    if *format != FORMAT {
        return Err(OpenError::UnknownFormat(*format));
    }
    let mut buffer = encrypted.to_vec();
    let opened = aes_gcm(content_key).open_in_place(nonce(), secret_data(about), &mut buffer);
    opened.map(|secret| secret.to_vec()).map_err(|_unspecified| OpenError::NotAuthentic)
}

fn secret_data(about: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([b"indelible/secret/v1".as_slice(), about].concat())
}

/// Wraps `key` under `wrapping_key` (RFC 3394).
pub fn wrap_key(wrapping_key: &Secret, key: &Secret) -> Wrapped {
    let mut out = [0; 40];
    kek(wrapping_key).wrap(key.bytes(), &mut out).expect("32 bytes wrap into 40");
    out
}

/// Unwraps; `None` where it does not authenticate.
pub fn unwrap_key(wrapping_key: &Secret, wrapped: &[u8]) -> Option<Secret> {
    let wrapped = <&Wrapped>::try_from(wrapped).ok()?;
    let mut out = [0; 32];
    kek(wrapping_key).unwrap(wrapped, &mut out).ok()?;
    Some(Secret::new(out))
}

fn aes_gcm(key: &Secret) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.bytes()).expect("an AES-256 key has 32 bytes"))
}

/// Zero: each content key encrypts once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn kek(key: &Secret) -> AesKek {
    AesKek::new(&AES_256, key.bytes()).expect("an AES-256 key has 32 bytes")
}

#[cfg(test)]
mod tests;
