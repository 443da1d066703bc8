//! What a destination's request is: events in one of the formats, in the frame that the destination asks for; and what its answer says.
//!
//! Refused, with its number and its place: a record that is none. Then there is no frame, so that whoever sends leaves that record
//! out knowingly, or none.

mod answer;
mod hec;
mod otlp;
mod syslog;
#[cfg(test)]
mod tests;

use crate::fault::Fault;
use crate::form::{self, BATCH_CONTENT_TYPE, CONTENT_TYPE, Format, Origin, Record};

pub use answer::{Answer, hec_answer, otlp_answer};

/// Where events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An endpoint of Standard Webhooks.
    Webhook,
    /// The HTTP Event Collector of Splunk: the path `/services/collector/event`.
    SplunkHec,
    /// A collector that takes logs by OTLP over HTTP, in JSON: the path `/v1/logs`.
    Otlp,
    /// A syslog server over TLS (RFC 5425) or TCP (RFC 6587, section 3.4.1): messages of RFC 5424, each with its length before it.
    Syslog,
    /// A file of lines.
    File,
}

/// A request's body, or bytes for a connection or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// Its media type, for destinations that are asked by HTTP.
    pub content_type: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unframed {
    /// One of the records is none.
    #[error("record {at}: {fault}")]
    Record {
        /// Which, counted from 0.
        at: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A single event was asked for, and so many were given.
    #[error("{0} events where one was expected")]
    NotOne(usize),
}

/// Bytes that a frame adds to a record: more than most need, so that the body seldom grows.
const FRAME_BYTES: usize = 1_024;

/// Frames records in their order. `is_batch` matters to a webhook alone: a batch is an array there, also one of a single event; else
/// there must be one record.
pub fn frame<R: AsRef<[u8]>>(
    destination: Destination,
    format: Format,
    is_batch: bool,
    origin: &Origin<'_>,
    records: &[R],
) -> Result<Framed, Unframed> {
    if destination == Destination::Webhook && !is_batch && records.len() != 1 {
        return Err(Unframed::NotOne(records.len()));
    }
    let mut body = Vec::with_capacity(records.iter().map(|record| record.as_ref().len() + FRAME_BYTES).sum());
    let (content_type, open, between, close) = around(destination, format, is_batch);
    if destination == Destination::Otlp {
        otlp::open(origin, &mut body);
    }
    body.extend_from_slice(open);
    for (at, record) in records.iter().enumerate() {
        let record = Record::read(record.as_ref()).map_err(|fault| Unframed::Record { at, fault })?;
        if at > 0 {
            body.extend_from_slice(between);
        }
        match destination {
            Destination::Webhook => form::write_record(format, record, origin, &mut body),
            Destination::SplunkHec => hec::write(format, record, origin, &mut body),
            Destination::Otlp => otlp::write(format, record, origin, &mut body),
            Destination::Syslog => syslog::write(format, record, origin, &mut body),
            Destination::File => {
                form::write_record(format, record, origin, &mut body);
                body.push(b'\n');
            }
        }
    }
    body.extend_from_slice(close);
    Ok(Framed { content_type, body })
}

/// The media type, and what stands before, between and after records.
fn around(destination: Destination, format: Format, is_batch: bool) -> (&'static str, &'static [u8], &'static [u8], &'static [u8]) {
    match (destination, format, is_batch) {
        (Destination::Webhook, Format::Cloudevents, false) => (CONTENT_TYPE, b"", b"", b""),
        (Destination::Webhook, Format::Cloudevents, true) => (BATCH_CONTENT_TYPE, b"[", b",", b"]"),
        (Destination::Webhook, _, false) | (Destination::SplunkHec, ..) => ("application/json", b"", b"", b""),
        (Destination::Webhook, _, true) => ("application/json", b"[", b",", b"]"),
        (Destination::Otlp, ..) => ("application/json", b"[", b",", b"]}]}]}"),
        (Destination::Syslog, ..) => ("application/octet-stream", b"", b"", b""),
        (Destination::File, ..) => ("application/x-ndjson", b"", b"", b""),
    }
}
