//! What a destination's request is: events in one of the formats, in the frame that the destination asks for.
//!
//! Refused, with its number and its place: a record that is none. Then there is no frame, so that whoever sends leaves that record
//! out knowingly, or none.

use crate::fault::Fault;
use crate::form::{self, Format, Origin, Record};

/// Where events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An endpoint of Standard Webhooks.
    Webhook,
    /// The HTTP Event Collector of Splunk.
    SplunkHec,
    /// A collector that takes logs by OTLP over HTTP, in JSON.
    Otlp,
    /// A syslog server, over TLS or TCP.
    Syslog,
    /// A file of lines.
    File,
}

/// A request's body, or bytes for a connection or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// Its media type.
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
    let mut body = Vec::with_capacity(records.iter().map(|record| record.as_ref().len() + 512).sum());
    for (at, record) in records.iter().enumerate() {
        let fault = |fault| Unframed::Record { at, fault };
        let record = Record::read(record.as_ref()).map_err(fault)?;
        form::write_record(format, record, origin, &mut body).map_err(fault)?;
        body.push(b'\n');
    }
    Ok(Framed { content_type: "application/x-ndjson", body })
}
