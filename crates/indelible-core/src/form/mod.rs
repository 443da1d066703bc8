//! What one event is sent as: as readers get it, or in a form that others have published.
//!
//! Every member of an event arrives in every form: those for which a form has no place stand together under one name of their own.
//! Nothing is added that the event does not say. `docs/stream-formats.md` tells where each member goes.

mod cloudevents;
mod ecs;
mod ocsf;
mod record;
mod severity;
#[cfg(test)]
pub(crate) mod tests;

use crate::fault::Fault;
use crate::json::{Value, write_verbatim};

pub(crate) use cloudevents::{BATCH_CONTENT_TYPE, CONTENT_TYPE};
pub(crate) use record::{Record, object};
pub(crate) use severity::Severity;

/// The name of this program, for forms that ask who speaks.
pub(crate) const PRODUCT: &str = "Indelible";
/// Its version.
pub(crate) const PRODUCT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an event is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The record as readers get it.
    Native,
    /// An event of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// A CloudEvent in its JSON format, its data the record.
    Cloudevents,
    /// A document of the Elastic Common Schema.
    Ecs,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Native, Self::Ocsf, Self::Cloudevents, Self::Ecs];

    /// Its name in a stream's document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ocsf => "ocsf",
            Self::Cloudevents => "cloudevents",
            Self::Ecs => "ecs",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// Whence events come.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The name of the instance (`formats.md`, Checkpoints and anchors).
    pub instance: &'a str,
}

/// Appends what a record is sent as: one JSON object on one line, without its newline.
///
/// `record` is the JSON of an event as readers get it: the members of the entry, `prev_hash`, `row_hash`, and `content` or
/// `content_error` where that is asked for. Refused, with its place: what is no such record. Then nothing is appended.
pub fn write(format: Format, record: &[u8], origin: &Origin<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    write_record(format, Record::read(record)?, origin, out);
    Ok(())
}

/// [`write()`] of a record that was read. A record that needs no other form is not written anew.
pub(crate) fn write_record<'a>(format: Format, record: Record<'a>, origin: &Origin<'a>, out: &mut Vec<u8>) {
    match format {
        Format::Native => out.extend_from_slice(record.bytes),
        Format::Cloudevents => cloudevents::write(&record, origin, out),
        Format::Ocsf | Format::Ecs => write_verbatim(&shape(format, record, origin), out),
    }
}

/// What a record is sent as, as a tree.
pub(crate) fn shape<'a>(format: Format, record: Record<'a>, origin: &Origin<'a>) -> Value<'a> {
    match format {
        Format::Native => Value::Object(record.into_members()),
        Format::Ocsf => ocsf::event(record, origin),
        Format::Cloudevents => cloudevents::event(record, origin),
        Format::Ecs => ecs::document(record, origin),
    }
}
