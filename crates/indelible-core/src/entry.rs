//! The canonical entry: a draft made beside the caller, and the stamp that the writer puts on it.
//!
//! An entry is RFC 8785 JSON of at most 65,535 bytes. A draft holds its bytes with a gap where each member goes that
//! only the writer knows; stamping copies the pieces into one buffer of the exact size. The bytes are never made again.

mod outline;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use crate::fault::{Fault, FaultKind};
use crate::hex;
use crate::json::{write_canonical, write_string};
use crate::limits::{CLOCK_AHEAD_SECONDS_MAX, ENTRY_BYTES_MAX};
use crate::redact::Redacted;
use crate::seal::Sealed;
use crate::time::Timestamp;

pub use outline::Outline;

/// Version of the list of members.
pub const SCHEMA_VERSION: u64 = 1;

/// What the engine knows of how an event came in.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// The organization of the project.
    pub organization_id: Uuid,
    /// The project.
    pub project_id: Uuid,
    /// One of [`crate::event::members::ASSURANCES`].
    pub assurance: &'static str,
    /// The key that handed it in.
    pub api_key_id: Option<&'a str>,
    /// The way it came.
    pub path: &'a str,
}

/// An entry that lacks only what the writer knows: sequence, times, ring id. Its bytes are made, in the pieces
/// between those members, so that stamping copies and nothing else.
#[derive(Debug, Clone)]
pub struct Draft {
    id: Uuid,
    occurred_at: Option<Timestamp>,
    /// All members but those of [`GAPS`].
    bytes: Vec<u8>,
    /// Where in `bytes` each member of [`GAPS`] goes.
    gaps: [usize; GAPS.len()],
}

/// The members that the stamp writes, in canonical order. Each begins with a comma, since `assurance` stands before them all.
const GAPS: [&[u8]; 5] = [b",\"claimed_at\":", b",\"hmac_key_id\":", b",\"occurred_at\":", b",\"recorded_at\":", b",\"sequence\":"];

/// Bytes that [`GAPS`] add at most, their values included: three quoted times and two integers.
const GAPS_BYTES_MAX: usize = 14 + 15 + 15 + 15 + 12 + 3 * (Timestamp::WRITTEN_BYTES + 2) + 2 * 20;

/// What the writer adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Position in the project's chain.
    pub sequence: u64,
    /// The ledger's time.
    pub recorded_at: Timestamp,
    /// Ring id of the chain key.
    pub hmac_key_id: u64,
}

/// A stamped entry: the exact bytes that are stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    /// The time it sorts by: the caller's, or recorded_at.
    pub occurred_at: Timestamp,
}

/// What stands in a member that the server sets.
#[derive(Clone, Copy)]
enum Part<'x> {
    Gap,
    Text(&'x str),
    Uuid(Uuid),
    Integer(u64),
    Recorder(Option<&'x str>, &'x str),
    Sealed(&'x Sealed),
    Absent,
}

impl Draft {
    /// Writes what is known. `sealed` must be the sealed content of `redacted`, where it has any.
    pub fn new(redacted: &Redacted<'_>, sealed: Option<&Sealed>, provenance: &Provenance<'_>) -> Self {
        let server = [
            ("assurance", Part::Text(provenance.assurance)),
            ("claimed_at", Part::Gap),
            ("hmac_key_id", Part::Gap),
            ("occurred_at", Part::Gap),
            ("organization_id", Part::Uuid(provenance.organization_id)),
            ("project_id", Part::Uuid(provenance.project_id)),
            ("recorded_at", Part::Gap),
            ("recorder", Part::Recorder(provenance.api_key_id, provenance.path)),
            ("schema_version", Part::Integer(SCHEMA_VERSION)),
            ("sealed", sealed.map_or(Part::Absent, Part::Sealed)),
            ("sequence", Part::Gap),
        ];
        let mut draft =
            Self { id: redacted.id, occurred_at: redacted.occurred_at, bytes: Vec::with_capacity(1_536), gaps: [0; GAPS.len()] };
        let mut gap = 0;
        let mut server = server.into_iter().peekable();
        draft.bytes.push(b'{');
        for (name, value) in redacted.envelope.iter().filter(|(name, _)| *name != "occurred_at") {
            while let Some((name, part)) = server.next_if(|(own, _)| *own < name) {
                draft.write_part(name, part, &mut gap);
            }
            draft.write_name(name);
            write_canonical(value, &mut draft.bytes);
        }
        for (name, part) in server {
            draft.write_part(name, part, &mut gap);
        }
        draft.bytes.push(b'}');
        draft
    }

    fn write_name(&mut self, name: &str) {
        if self.bytes.len() > 1 {
            self.bytes.push(b',');
        }
        write_string(name, &mut self.bytes);
        self.bytes.push(b':');
    }

    fn write_part(&mut self, name: &str, part: Part<'_>, gap: &mut usize) {
        match part {
            Part::Absent => return,
            Part::Gap => {
                self.gaps[*gap] = self.bytes.len();
                *gap += 1;
                return;
            }
            _ => self.write_name(name),
        }
        let out = &mut self.bytes;
        match part {
            Part::Text(text) => write_string(text, out),
            Part::Uuid(id) => write_uuid(id, out),
            Part::Integer(number) => out.extend_from_slice(Short::integer(number).bytes()),
            Part::Recorder(api_key_id, path) => {
                out.push(b'{');
                if let Some(api_key_id) = api_key_id {
                    out.extend_from_slice(b"\"api_key_id\":");
                    write_string(api_key_id, out);
                    out.push(b',');
                }
                out.extend_from_slice(b"\"path\":");
                write_string(path, out);
                out.push(b'}');
            }
            Part::Sealed(sealed) => {
                out.extend_from_slice(b"{\"bytes\":");
                out.extend_from_slice(Short::integer(sealed.stored.len() as u64).bytes());
                out.extend_from_slice(b",\"plain_bytes\":");
                out.extend_from_slice(Short::integer(sealed.plain_bytes).bytes());
                out.extend_from_slice(b",\"sha256\":\"");
                hex::write(&sealed.sha256, out);
                out.extend_from_slice(b"\"}");
            }
            Part::Gap | Part::Absent => {}
        }
    }

    /// The event's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Bytes of the entry when it is stamped: never less, and at most a hundred or so more.
    pub const fn bytes_hint(&self) -> usize {
        self.bytes.len() + GAPS_BYTES_MAX
    }

    /// The canonical bytes. Fails where they exceed [`crate::limits::ENTRY_BYTES_MAX`].
    ///
    /// A caller's time that is more than [`CLOCK_AHEAD_SECONDS_MAX`] after `recorded_at` becomes `claimed_at`, and
    /// `recorded_at` is used in its place, as it is where the caller gave none.
    pub fn stamp(&self, stamp: &Stamp) -> Result<Entry, Fault> {
        let latest = stamp.recorded_at.saturating_add_micros(CLOCK_AHEAD_SECONDS_MAX * 1_000_000);
        let (occurred_at, claimed_at) = match self.occurred_at {
            Some(given) if given > latest => (stamp.recorded_at, Some(given)),
            Some(given) => (given, None),
            None => (stamp.recorded_at, None),
        };
        let values = [
            claimed_at.map(Short::time),
            Some(Short::integer(stamp.hmac_key_id)),
            Some(Short::time(occurred_at)),
            Some(Short::time(stamp.recorded_at)),
            Some(Short::integer(stamp.sequence)),
        ];
        let stamped: usize = GAPS.iter().zip(&values).filter_map(|(name, value)| Some(name.len() + value.as_ref()?.len)).sum();
        let bytes_total = self.bytes.len() + stamped;
        if bytes_total > ENTRY_BYTES_MAX {
            return Err(Fault::new(FaultKind::TooLarge, "", format!("an entry of {bytes_total} bytes, more than {ENTRY_BYTES_MAX}")));
        }
        let mut bytes = Vec::with_capacity(bytes_total);
        let mut from = 0;
        for ((name, value), at) in GAPS.iter().zip(&values).zip(self.gaps) {
            let Some(value) = value else { continue };
            bytes.extend_from_slice(&self.bytes[from..at]);
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value.bytes());
            from = at;
        }
        bytes.extend_from_slice(&self.bytes[from..]);
        debug_assert_eq!(bytes.len(), bytes_total);
        Ok(Entry { bytes, occurred_at })
    }
}

impl Entry {
    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical bytes, taken.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The canonical bytes as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("an entry is written from strings and ASCII")
    }

    /// The RFC 6962 leaf hash.
    pub fn leaf_hash(&self) -> crate::chain::Hash {
        crate::tree::leaf_hash(&self.bytes)
    }
}

fn write_uuid(id: Uuid, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
    out.push(b'"');
}

/// A quoted time or an integer, without an allocation.
struct Short {
    buffer: [u8; Timestamp::WRITTEN_BYTES + 2],
    len: usize,
}

impl Short {
    fn time(time: Timestamp) -> Self {
        let mut buffer = [b'"'; Timestamp::WRITTEN_BYTES + 2];
        buffer[1..=Timestamp::WRITTEN_BYTES].copy_from_slice(&time.written());
        Self { len: buffer.len(), buffer }
    }

    fn integer(number: u64) -> Self {
        let mut buffer = [0; Timestamp::WRITTEN_BYTES + 2];
        let len = number.checked_ilog10().map_or(1, |log| log as usize + 1);
        let mut rest = number;
        for digit in buffer[..len].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self { buffer, len }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}
