//! `manifest.json`: what a bundle says it holds. Canonical JSON (RFC 8785), and nothing else is read.
//!
//! Refused: another version, counts and sequences that do not fit, a list of files that is not that of its kind.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{CONTENTS, FileName, PLAIN, PROOFS};
use crate::chain::Hash;
use crate::hex;
use crate::json::{self, Object, Value};
use crate::limits::{BUNDLE_FILE_BYTES_MAX, BUNDLE_REMEMBERED_MAX, FILTER_BYTES_MAX, INTEGER_MAX};
use crate::note::Name;

/// The version that is written and read.
const VERSION: i64 = 1;

/// What the entries of a bundle are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Some of a range: each is proved to be in the log, and nothing is said of those left out.
    Selection,
    /// All of a range: that nothing is missing is proved as well.
    Range,
}

impl Kind {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Selection => "selection",
            Self::Range => "range",
        }
    }
}

/// What a bundle says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What its entries are.
    pub kind: Kind,
    /// Whose project.
    pub organization_id: Uuid,
    /// Whose entries.
    pub project_id: Uuid,
    /// The origin of the checkpoint.
    pub origin: Name,
    /// By which entries were selected, as it was asked for: a claim, which nothing proves.
    pub filter: Option<String>,
    /// The range that was asked for: its first place.
    pub first_sequence: u64,
    /// Its last place.
    pub last_sequence: u64,
    /// Leaves of the tree of the checkpoint.
    pub tree_size: u64,
    /// Lines of `entries.ndjson`. What the range has beyond is left out: [`Manifest::entries_left_out`].
    pub entries_included: u64,
    /// Whether there is a folder of contents.
    pub content_included: bool,
    /// SHA-256 of each other file, and of the folders `proofs/` and `contents/` ([`super::FolderDigest`]).
    pub files: BTreeMap<String, Hash>,
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// They are not of the form.
    #[error("{0}")]
    Form(&'static str),
    /// Of a version that this program does not read.
    #[error("version {0} is not known here")]
    Version(String),
    /// More entries than a verifier remembers.
    #[error("{0} entries that must be remembered, more than {BUNDLE_REMEMBERED_MAX}")]
    TooMany(u64),
}

impl Manifest {
    /// Places of the range that hold no entry of this bundle.
    pub const fn entries_left_out(&self) -> u64 {
        (self.last_sequence - self.first_sequence + 1).saturating_sub(self.entries_included)
    }

    /// The canonical bytes. The caller has `first_sequence <= last_sequence < tree_size`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let number = |number: u64| Value::Number(number.to_string().into());
        let mut files = Object::new();
        for (name, sha256) in &self.files {
            files.insert(name.as_str(), Value::string(hex::encode(sha256)));
        }
        let mut object = Object::new();
        object.insert("content_included", Value::Bool(self.content_included));
        object.insert("entries_included", number(self.entries_included));
        object.insert("entries_left_out", number(self.entries_left_out()));
        object.insert("files", Value::Object(files));
        if let Some(filter) = &self.filter {
            object.insert("filter", Value::string(filter.as_str()));
        }
        object.insert("first_sequence", number(self.first_sequence));
        object.insert("kind", Value::string(self.kind.as_str()));
        object.insert("last_sequence", number(self.last_sequence));
        object.insert("organization_id", Value::string(self.organization_id.to_string()));
        object.insert("origin", Value::string(self.origin.as_str()));
        object.insert("project_id", Value::string(self.project_id.to_string()));
        object.insert("tree_size", number(self.tree_size));
        object.insert("version", Value::integer(VERSION));
        Value::Object(object).to_canonical()
    }

    /// Reads canonical bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > BUNDLE_FILE_BYTES_MAX {
            return Err(ManifestError::Form("it is too long"));
        }
        let value = json::parse(bytes).map_err(|_| ManifestError::Form("it is not JSON"))?;
        match value.get("version") {
            Some(version) if version.as_integer() == Some(VERSION) => {}
            Some(Value::Number(version)) => return Err(ManifestError::Version(version.chars().take(20).collect())),
            _ => return Err(ManifestError::Form("it has no version")),
        }
        let manifest = Self::from_value(&value).ok_or(ManifestError::Form("a member is absent or not of its form"))?;
        manifest.check()?;
        // Writing it again compares entries_left_out, order, spelling, and that nothing else is there.
        let canonical = manifest.to_bytes() == bytes;
        canonical.then_some(manifest).ok_or(ManifestError::Form("it is not canonical, has other members, or counts that do not fit"))
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let number = |name: &str| u64::try_from(value.get(name)?.as_integer()?).ok();
        let mut files = BTreeMap::new();
        for (name, sha256) in value.get("files")?.as_object()?.iter() {
            files.insert(name.to_owned(), hex::decode_array(sha256.as_str()?)?);
        }
        Some(Self {
            kind: [Kind::Selection, Kind::Range].into_iter().find(|kind| text("kind") == Some(kind.as_str()))?,
            organization_id: Uuid::try_parse(text("organization_id")?).ok()?,
            project_id: Uuid::try_parse(text("project_id")?).ok()?,
            origin: Name::new(text("origin")?).ok()?,
            filter: match value.get("filter") {
                None => None,
                Some(filter) => Some(filter.as_str().filter(|filter| filter.len() <= FILTER_BYTES_MAX)?.to_owned()),
            },
            first_sequence: number("first_sequence")?,
            last_sequence: number("last_sequence")?,
            tree_size: number("tree_size").filter(|size| *size <= INTEGER_MAX as u64)?,
            entries_included: number("entries_included")?,
            content_included: match value.get("content_included")? {
                Value::Bool(included) => *included,
                _ => return None,
            },
            files,
        })
    }

    fn check(&self) -> Result<(), ManifestError> {
        let (first, last) = (self.first_sequence, self.last_sequence);
        if first > last || last >= self.tree_size {
            return Err(ManifestError::Form("its sequences are no range of its tree"));
        }
        let places = last - first + 1;
        let fits = match self.kind {
            Kind::Range => self.entries_included == places && self.filter.is_none(),
            Kind::Selection => self.entries_included <= places,
        };
        if !fits {
            return Err(ManifestError::Form("its entries do not fit its kind and range"));
        }
        if (self.kind == Kind::Selection || self.content_included) && self.entries_included > BUNDLE_REMEMBERED_MAX {
            return Err(ManifestError::TooMany(self.entries_included));
        }
        self.check_files()
    }

    /// The files that there must be are there, and no others than there may be.
    fn check_files(&self) -> Result<(), ManifestError> {
        let has = |file: FileName| self.files.contains_key(file.digest_name());
        let instance = [FileName::InstanceCheckpoint, FileName::InstanceLeaf, FileName::InstanceProof].map(has);
        let fits = [FileName::VerifierKeys, FileName::Checkpoint, FileName::Anchors, FileName::Entries].map(has) == [true; 4]
            && has(FileName::RangeProof) == (self.kind == Kind::Range)
            && self.files.contains_key(PROOFS) == (self.kind == Kind::Selection)
            && self.files.contains_key(CONTENTS) == self.content_included
            && (instance == [true; 3] || instance == [false; 3])
            && !has(FileName::Manifest)
            && self.files.keys().all(|name| [PROOFS, CONTENTS].contains(&name.as_str()) || PLAIN.iter().any(|(plain, _)| plain == name));
        if fits { Ok(()) } else { Err(ManifestError::Form("its files are not those of its kind")) }
    }
}
