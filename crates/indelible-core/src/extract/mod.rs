//! Extracts: events of a project as lines, for programs (NDJSON) and spreadsheets (CSV), and the manifest beside the file that says what it
//! holds: counts, its digest, and the signed checkpoint under which it was made.
//!
//! An extract of a whole range as NDJSON is proved by its manifest: the lines hold the exact entries, and a range proof leads from them to the
//! checkpoint. Of a selection, and of CSV, the manifest tells that nothing of the file was changed since; what proves single entries of a
//! selection is an evidence bundle (`bundle`).

mod check;
mod columns;
mod csv;
mod manifest;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{Context, SHA256};

pub use check::{Check, Checked};
pub use columns::Columns;
pub use manifest::{Head, Manifest, ManifestError};

use crate::chain::Hash;
use crate::json;

/// The form of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A record a line, as the HTTP API has it.
    Ndjson,
    /// A header line, and a line for each record (RFC 4180).
    Csv(Columns),
}

impl Format {
    /// The word used in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv(_) => "csv",
        }
    }

    /// The media type (RFC 4180, section 3).
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv(_) => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// What was written of an extract so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Events.
    pub entries: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Sequence of the first event in it.
    pub first_included: Option<u64>,
    /// Sequence of the last event in it.
    pub last_included: Option<u64>,
}

/// The lines of an extract as they are made, with what is told of them.
pub struct Lines {
    format: Format,
    digest: Context,
    written: Written,
}

impl Lines {
    /// The lines of a new file.
    pub fn new(format: Format) -> Self {
        Self { format, digest: Context::new(&SHA256), written: Written::default() }
    }

    /// Goes on with a file that was broken off after so much; its bytes are to be handed to [`Self::again`] before anything is added.
    pub fn resumed(format: Format, written: Written) -> Self {
        Self { format, digest: Context::new(&SHA256), written }
    }

    /// Bytes of the file that are there already, in their order.
    pub fn again(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The form of the lines.
    pub const fn format(&self) -> &Format {
        &self.format
    }

    /// What was made so far.
    pub const fn written(&self) -> Written {
        self.written
    }

    /// SHA-256 of it.
    pub fn sha256(&self) -> Hash {
        let mut out = [0; 32];
        out.copy_from_slice(self.digest.clone().finish().as_ref());
        out
    }

    /// What stands before the first record, once, where there is something.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let (Format::Csv(columns), 0) = (&self.format, self.written.bytes) {
            let from = out.len();
            columns.header(out);
            self.count(from, out);
        }
    }

    /// Adds the line of a record: one JSON object on one line. False, and nothing added, where it is none.
    pub fn push(&mut self, sequence: u64, record: &[u8], out: &mut Vec<u8>) -> bool {
        let from = out.len();
        match &self.format {
            Format::Ndjson => {
                out.extend_from_slice(record);
                out.push(b'\n');
            }
            Format::Csv(columns) => {
                let Ok(record) = json::parse(record) else { return false };
                columns.line(&record, out);
            }
        }
        self.written.entries += 1;
        self.written.first_included.get_or_insert(sequence);
        self.written.last_included = Some(sequence);
        self.count(from, out);
        true
    }

    fn count(&mut self, from: usize, out: &[u8]) {
        self.digest.update(&out[from..]);
        self.written.bytes += (out.len() - from) as u64;
    }
}
