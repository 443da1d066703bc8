//! The manifest of an extract: JSON of a known form, in any layout.
//!
//! Refused: another version, unknown members, sequences and counts that do not fit together.

use uuid::Uuid;

use super::{Columns, Format, Written};
use crate::chain::Hash;
use crate::hex;
use crate::json::{self, Object, Value};
use crate::note::Name;

const VERSION: i64 = 1;
/// Bytes of a manifest: texts of a signed note and of a proof among them.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// For who has the file and nothing else.
const HOW_TO_CHECK: &str = "indelible export check MANIFEST --key LOG_KEY";

/// What is known of an extract before its first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose project.
    pub organization_id: Uuid,
    /// Whose events.
    pub project_id: Uuid,
    /// The origin of the checkpoint.
    pub origin: Name,
    /// By which events were selected, as it was asked for: a claim, which nothing proves.
    pub filter: Option<String>,
    /// The range that was asked for: its first place.
    pub first_sequence: u64,
    /// Its last place, which was signed.
    pub last_sequence: u64,
    /// Leaves of the tree of the checkpoint.
    pub tree_size: u64,
    /// Whether contents are opened.
    pub content_included: bool,
    /// The signed checkpoint under which it was made.
    pub checkpoint: String,
    /// The keys that sign it, as the log offers them: trust those that came another way.
    pub verifier_keys: Vec<String>,
    /// Of a whole range: what leads from its entries to the checkpoint (`indelible-range-proof/v1`).
    pub range_proof: Option<String>,
}

/// What an extract holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What was known before.
    pub head: Head,
    /// The form of the lines.
    pub format: Format,
    /// The name of the file, without a folder.
    pub file: String,
    /// Counts.
    pub written: Written,
    /// SHA-256 of the file.
    pub sha256: Hash,
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManifestError(String);

fn wrong(what: impl Into<String>) -> ManifestError {
    ManifestError(what.into())
}

fn number(number: u64) -> Value<'static> {
    Value::Number(number.to_string().into())
}

impl Head {
    /// Its members.
    pub fn to_object(&self) -> Object<'_> {
        let mut object = Object::new();
        object.insert("checkpoint", Value::string(self.checkpoint.as_str()));
        object.insert("content_included", Value::Bool(self.content_included));
        if let Some(filter) = &self.filter {
            object.insert("filter", Value::string(filter.as_str()));
        }
        object.insert("first_sequence", number(self.first_sequence));
        object.insert("last_sequence", number(self.last_sequence));
        object.insert("organization_id", Value::string(self.organization_id.to_string()));
        object.insert("origin", Value::string(self.origin.as_str()));
        object.insert("project_id", Value::string(self.project_id.to_string()));
        if let Some(proof) = &self.range_proof {
            object.insert("range_proof", Value::string(proof.as_str()));
        }
        object.insert("tree_size", number(self.tree_size));
        object.insert("verifier_keys", Value::Array(self.verifier_keys.iter().map(|key| Value::string(key.as_str())).collect()));
        object.insert("version", Value::integer(VERSION));
        object
    }

    /// Reads one, alone on its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::read(&Reader::of(bytes, &json::parse(bytes).map_err(|fault| wrong(format!("it is not JSON: {}", fault.message)))?)?)
    }

    fn read(from: &Reader<'_, '_>) -> Result<Self, ManifestError> {
        let head = Self {
            organization_id: from.uuid("organization_id")?,
            project_id: from.uuid("project_id")?,
            origin: Name::new(from.text("origin")?).map_err(|_| wrong("origin is not the name of a log"))?,
            filter: from.maybe_text("filter")?,
            first_sequence: from.number("first_sequence")?,
            last_sequence: from.number("last_sequence")?,
            tree_size: from.number("tree_size")?,
            content_included: from.flag("content_included")?,
            checkpoint: from.text("checkpoint")?,
            verifier_keys: from.texts("verifier_keys")?.ok_or_else(|| wrong("verifier_keys is absent"))?,
            range_proof: from.maybe_text("range_proof")?,
        };
        if head.first_sequence > head.last_sequence || head.last_sequence >= head.tree_size {
            return Err(wrong("its sequences are no range of its tree"));
        }
        Ok(head)
    }
}

impl Manifest {
    /// Its JSON, canonical.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = self.head.to_object();
        object.insert("bytes", number(self.written.bytes));
        object.insert("check", Value::string(HOW_TO_CHECK));
        if let Format::Csv(columns) = &self.format {
            object.insert("columns", Value::Array(columns.names().iter().map(|name| Value::string(name.as_str())).collect()));
        }
        object.insert("entries", number(self.written.entries));
        object.insert("file", Value::string(self.file.as_str()));
        for (name, sequence) in [("first_included", self.written.first_included), ("last_included", self.written.last_included)] {
            if let Some(sequence) = sequence {
                object.insert(name, number(sequence));
            }
        }
        object.insert("format", Value::string(self.format.as_str()));
        object.insert("sha256", Value::string(hex::encode(&self.sha256)));
        Value::Object(object).to_canonical()
    }

    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let value = json::parse(bytes).map_err(|fault| wrong(format!("it is not JSON: {}", fault.message)))?;
        let from = Reader::of(bytes, &value)?;
        let head = Head::read(&from)?;
        let columns = from.texts("columns")?;
        let format = match (from.text("format")?.as_str(), columns) {
            ("ndjson", None) => Format::Ndjson,
            ("csv", Some(columns)) => Format::Csv(Columns::read(columns.iter().map(String::as_str)).map_err(wrong)?),
            _ => return Err(wrong("format is ndjson, or csv with columns")),
        };
        let written = Written {
            entries: from.number("entries")?,
            bytes: from.number("bytes")?,
            first_included: from.maybe_number("first_included")?,
            last_included: from.maybe_number("last_included")?,
        };
        let sha256 = hex::decode_array(&from.text("sha256")?).ok_or_else(|| wrong("sha256 is not 64 hex digits"))?;
        let manifest = Self { head, format, file: from.text("file")?, written, sha256 };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let Written { entries, first_included, last_included, .. } = self.written;
        let places = self.head.last_sequence - self.head.first_sequence + 1;
        let ends = match (first_included, last_included) {
            (Some(first), Some(last)) => {
                entries > 0 && self.head.first_sequence <= first && first <= last && last <= self.head.last_sequence
            }
            (None, None) => entries == 0,
            _ => false,
        };
        if !ends || entries > places || (self.head.range_proof.is_some() && entries != places) {
            return Err(wrong("its counts do not fit its range"));
        }
        if self.file.is_empty() || self.file.contains('/') || self.file == ".." {
            return Err(wrong("file is not the name of a file beside it"));
        }
        Ok(())
    }
}

/// Every member that a manifest may have.
const MEMBERS: [&str; 21] = [
    "bytes",
    "check",
    "checkpoint",
    "columns",
    "content_included",
    "entries",
    "file",
    "filter",
    "first_included",
    "first_sequence",
    "format",
    "last_included",
    "last_sequence",
    "organization_id",
    "origin",
    "project_id",
    "range_proof",
    "sha256",
    "tree_size",
    "verifier_keys",
    "version",
];

/// The members of a manifest as they are read.
struct Reader<'v, 'a>(&'v Object<'a>);

impl<'v, 'a> Reader<'v, 'a> {
    fn of(bytes: &[u8], value: &'v Value<'a>) -> Result<Self, ManifestError> {
        if bytes.len() > BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let object = value.as_object().ok_or_else(|| wrong("it is not an object"))?;
        match object.get("version").and_then(Value::as_integer) {
            Some(VERSION) => {}
            Some(other) => return Err(wrong(format!("version {other} is not known here"))),
            None => return Err(wrong("it has no version")),
        }
        match object.iter().find(|(name, _)| !MEMBERS.contains(name)) {
            Some(_) => Err(wrong("it has an unknown member")),
            None => Ok(Self(object)),
        }
    }

    fn maybe_text(&self, name: &str) -> Result<Option<String>, ManifestError> {
        let text = |value: &Value<'_>| value.as_str().map(str::to_owned).ok_or_else(|| wrong(format!("{name} is not a string")));
        self.0.get(name).map(text).transpose()
    }

    fn text(&self, name: &str) -> Result<String, ManifestError> {
        self.maybe_text(name)?.ok_or_else(|| wrong(format!("{name} is absent")))
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, ManifestError> {
        let texts =
            |value: &Value<'_>| -> Option<Vec<String>> { value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect() };
        self.0.get(name).map(|value| texts(value).ok_or_else(|| wrong(format!("{name} is not an array of strings")))).transpose()
    }

    fn uuid(&self, name: &str) -> Result<Uuid, ManifestError> {
        Uuid::try_parse(&self.text(name)?).map_err(|_| wrong(format!("{name} is not a UUID")))
    }

    fn maybe_number(&self, name: &str) -> Result<Option<u64>, ManifestError> {
        let number = |value: &Value<'_>| value.as_integer().and_then(|number| u64::try_from(number).ok());
        self.0.get(name).map(|value| number(value).ok_or_else(|| wrong(format!("{name} is not a number from 0")))).transpose()
    }

    fn number(&self, name: &str) -> Result<u64, ManifestError> {
        self.maybe_number(name)?.ok_or_else(|| wrong(format!("{name} is absent")))
    }

    fn flag(&self, name: &str) -> Result<bool, ManifestError> {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => Ok(*flag),
            _ => Err(wrong(format!("{name} is not true or false"))),
        }
    }
}
