//! Anchors (`formats.md`, Checkpoints and anchors): one signed statement of what a project's chain and tree are, each
//! covering what was committed since the one before and naming that one by its hash.
//!
//! Refused: bytes that are not the canonical form, numbers that do not fit together, an anchor without rows. So an
//! anchor that was read is written as the same bytes, and its SHA-256 means one thing.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use crate::chain::Hash;
use crate::json::{self, Object, Value};
use crate::limits::INTEGER_MAX;
use crate::note::{Algorithm, KeyId, Name, Note, NoteError, SignError, Signer, VerifierKey, sign};
use crate::time::Timestamp;
use crate::tree::{Range, array, empty_root, leaf_hash};
use crate::{hex, lines};

/// The first line of the note that signs an anchor: no checkpoint begins with it, since no origin holds it.
const LABEL: &str = "indelible-anchor/v1";

/// What an anchor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// When it was made, by the ledger's clock.
    pub anchor_at: Timestamp,
    /// Whose chain.
    pub project_id: Uuid,
    /// The first row of its interval: 0, or the one after the last of the anchor before.
    pub first_sequence: u64,
    /// The last row of its interval.
    pub last_sequence: u64,
    /// `row_hash` of that one.
    pub last_row_hash: Hash,
    /// RFC 6962 root over the interval's `row_hash` values, in order: see [`Interval`].
    pub merkle_root: Hash,
    /// Root of the project's tree of `last_sequence + 1` leaves.
    pub tree_root: Hash,
    /// The key that signs its note.
    pub signing_key_id: KeyId,
    /// SHA-256 of the bytes of the anchor before; absent in the first, whose interval begins at 0.
    pub previous_anchor_sha256: Option<Hash>,
}

/// Why something is not an anchor, or not one to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The bytes are not an anchor's.
    #[error("not an anchor: {0}")]
    Form(&'static str),
    /// The note is none, or a signature on it does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note's text is not that of this anchor and origin.
    #[error("the note is not that of this anchor under {0}")]
    OtherText(Name),
    /// No known key that the anchor names signed it.
    #[error("no known key {origin}+{key_id} signed the anchor")]
    UnknownKey {
        /// The name that the key must have.
        origin: Name,
        /// The id that the anchor names.
        key_id: KeyId,
    },
    /// It does not follow the anchor before it.
    #[error("the anchor does not follow the one before it: {0}")]
    Chain(&'static str),
}

/// The root over the row hashes of an interval, as they come, in logarithmic memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval(Range);

impl Default for Interval {
    fn default() -> Self {
        Self::new()
    }
}

impl Interval {
    /// Without rows.
    pub const fn new() -> Self {
        Self(Range::new(0))
    }

    /// The next row of the interval.
    pub fn push(&mut self, row_hash: &Hash) {
        self.0.push(leaf_hash(row_hash));
    }

    /// Rows so far.
    pub const fn rows(&self) -> u64 {
        self.0.end()
    }

    /// RFC 6962 root of the rows so far, each `row_hash` the data of a leaf.
    pub fn root(&self) -> Hash {
        self.0.root().unwrap_or_else(empty_root)
    }
}

impl Anchor {
    /// Rows of its interval.
    pub const fn event_count(&self) -> u64 {
        self.last_sequence - self.first_sequence + 1
    }

    /// Leaves of the project's tree when it was made.
    pub const fn tree_size(&self) -> u64 {
        self.last_sequence + 1
    }

    /// The canonical bytes (RFC 8785). The caller has `first_sequence <= last_sequence`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = Object::new();
        let hash = |hash: &Hash| Value::string(hex::encode(hash));
        let number = |number: u64| Value::Number(number.to_string().into());
        object.insert("anchor_at", Value::string(self.anchor_at.to_string()));
        object.insert("event_count", number(self.event_count()));
        object.insert("first_sequence", number(self.first_sequence));
        object.insert("last_row_hash", hash(&self.last_row_hash));
        object.insert("last_sequence", number(self.last_sequence));
        object.insert("merkle_root", hash(&self.merkle_root));
        if let Some(previous) = &self.previous_anchor_sha256 {
            object.insert("previous_anchor_sha256", hash(previous));
        }
        object.insert("project_id", Value::string(self.project_id.to_string()));
        object.insert("signing_key_id", Value::string(self.signing_key_id.to_string()));
        object.insert("tree_root", hash(&self.tree_root));
        object.insert("tree_size", number(self.tree_size()));
        Value::Object(object).to_canonical()
    }

    /// Reads canonical bytes and nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        let value = json::parse(bytes).map_err(|_| AnchorError::Form("it is not JSON"))?;
        let anchor = Self::from_value(&value).ok_or(AnchorError::Form("a member is absent or not of its form"))?;
        let (first, last) = (anchor.first_sequence, anchor.last_sequence);
        if first > last || last >= INTEGER_MAX as u64 {
            return Err(AnchorError::Form("its sequences are no interval"));
        }
        if (first == 0) != anchor.previous_anchor_sha256.is_none() {
            return Err(AnchorError::Form("the first anchor begins at 0 and names no other, and it alone"));
        }
        // Writing it again compares what follows from other members, order, spelling, and that nothing else is there.
        let canonical = anchor.to_bytes() == bytes;
        canonical.then_some(anchor).ok_or(AnchorError::Form("it is not canonical, has other members, or counts that do not fit"))
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let hash = |name: &str| text(name).and_then(hex::decode_array);
        let number = |name: &str| u64::try_from(value.get(name)?.as_integer()?).ok();
        Some(Self {
            anchor_at: Timestamp::parse(text("anchor_at")?)?,
            project_id: Uuid::try_parse(text("project_id")?).ok()?,
            first_sequence: number("first_sequence")?,
            last_sequence: number("last_sequence")?,
            last_row_hash: hash("last_row_hash")?,
            merkle_root: hash("merkle_root")?,
            tree_root: hash("tree_root")?,
            signing_key_id: KeyId::parse(text("signing_key_id")?)?,
            previous_anchor_sha256: match value.get("previous_anchor_sha256") {
                None => None,
                Some(_) => Some(hash("previous_anchor_sha256")?),
            },
        })
    }

    /// SHA-256 of the canonical bytes.
    pub fn sha256(&self) -> Hash {
        array(&digest(&SHA256, &self.to_bytes()))
    }

    /// What its note says.
    pub fn note_text(&self, origin: &Name) -> String {
        format!("{LABEL}\n{origin}\n{}\n", lines::encode(&self.sha256()))
    }

    /// Its note, signed. The signer's key is the one that `signing_key_id` names, under the origin as its name.
    pub fn sign(&self, origin: &Name, signer: &dyn Signer) -> Result<Note, SignError> {
        let key = signer.verifier_key();
        if (key.name(), key.id()) != (origin, self.signing_key_id) {
            return Err(SignError::Mismatch(key.clone()));
        }
        let mut note = Note::new(self.note_text(origin))?;
        sign(&mut note, signer)?;
        Ok(note)
    }

    /// Whether `note` is the log's word for this anchor; the key that signed it. [`AnchorError::UnknownKey`] where the
    /// key that the anchor names is not among `keys`: then nothing can be told.
    pub fn verify<'k>(&self, note: &Note, origin: &Name, keys: &'k [VerifierKey]) -> Result<&'k VerifierKey, AnchorError> {
        if note.text() != self.note_text(origin) {
            return Err(AnchorError::OtherText(origin.clone()));
        }
        let own = |key: &VerifierKey| (key.algorithm(), key.name(), key.id()) == (Algorithm::Ed25519, origin, self.signing_key_id);
        let unknown = AnchorError::UnknownKey { origin: origin.clone(), key_id: self.signing_key_id };
        match note.verify(keys) {
            Err(NoteError::UnknownKeys) => Err(unknown),
            verified => verified?.into_iter().map(|by| by.key).find(|key| own(key)).ok_or(unknown),
        }
    }

    /// Whether this is the anchor after `previous`.
    pub fn follows(&self, previous: &Self) -> Result<(), AnchorError> {
        let rules = [
            (self.project_id == previous.project_id, "it is another project's"),
            (self.previous_anchor_sha256 == Some(previous.sha256()), "it names another by its hash"),
            (Some(self.first_sequence) == previous.last_sequence.checked_add(1), "its interval does not begin where the other ends"),
            (self.anchor_at >= previous.anchor_at, "it was made earlier"),
        ];
        rules.into_iter().try_for_each(|(holds, fault)| if holds { Ok(()) } else { Err(AnchorError::Chain(fault)) })
    }

    /// The leaf that commits to it in the instance tree.
    pub fn instance_leaf(&self) -> InstanceLeaf {
        InstanceLeaf { anchor_sha256: self.sha256(), project_id: self.project_id, root: self.tree_root, size: self.tree_size() }
    }
}

/// A leaf of the instance tree (`formats.md`, Tree): one for every anchor of every project, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceLeaf {
    /// SHA-256 of the anchor's bytes.
    pub anchor_sha256: Hash,
    /// Whose anchor.
    pub project_id: Uuid,
    /// The anchor's `tree_root`.
    pub root: Hash,
    /// The anchor's `tree_size`.
    pub size: u64,
}

impl InstanceLeaf {
    /// The canonical bytes, which are the data of the leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = Object::new();
        object.insert("anchor_sha256", Value::string(hex::encode(&self.anchor_sha256)));
        object.insert("project_id", Value::string(self.project_id.to_string()));
        object.insert("root", Value::string(hex::encode(&self.root)));
        object.insert("size", Value::Number(self.size.to_string().into()));
        Value::Object(object).to_canonical()
    }

    /// Reads canonical bytes and nothing else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value = json::parse(bytes).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let leaf = Self {
            anchor_sha256: hex::decode_array(text("anchor_sha256")?)?,
            project_id: Uuid::try_parse(text("project_id")?).ok()?,
            root: hex::decode_array(text("root")?)?,
            size: u64::try_from(value.get("size")?.as_integer()?).ok().filter(|size| *size <= INTEGER_MAX as u64)?,
        };
        (leaf.to_bytes() == bytes).then_some(leaf)
    }

    /// Its leaf hash in the instance tree.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests;
