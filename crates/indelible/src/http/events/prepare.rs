//! From the text of a request to events that are ready for the writer: parsing, redaction, sealing; the work that costs.
//!
//! Runs where its caller puts it, off the runtime's own threads for anything large. All faults of a request are found, not only the first; once there is one, nothing more is sealed.

use indelible_core::event::{Source, Submission};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{self, Value};
use indelible_core::limits::BATCH_EVENTS_MAX;
use indelible_engine::Ledger;
use indelible_engine::access::Caller;
use indelible_engine::append::Prepared;
use indelible_engine::resource::Project;

use super::super::ids::Ids;
use super::super::refusal::Faults;

/// An event as it lies in a request.
pub(super) enum Piece<'a> {
    /// An item of an array, parsed with it.
    Parsed(Value<'a>),
    /// A line.
    Line(&'a [u8]),
}

/// The events of one request, as they become ready.
#[derive(Default)]
pub(super) struct Batch {
    /// Ready for the writer, in the order of the request.
    pub(super) events: Vec<Prepared>,
    /// What is wrong.
    pub(super) faults: Faults,
    /// Events seen.
    pub(super) seen: usize,
}

/// What preparation needs to know of a request.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) caller: &'a Caller,
    pub(super) project: &'a Project,
    pub(super) ids: &'a Ids,
    /// How the events came: `http`, or `import`, which is never more than reported.
    pub(super) path: &'static str,
}

impl Batch {
    /// Reads a JSON body: an object is one event, an array is many. Returns whether it was an object.
    pub(super) fn json(&mut self, desk: Desk<'_>, text: &[u8]) -> bool {
        match json::parse(text) {
            Ok(Value::Array(items)) => {
                let pieces = items.into_iter().map(Piece::Parsed).collect();
                self.add(desk, pieces);
                false
            }
            Ok(event) => {
                self.seen = 1;
                match desk.prepare(Piece::Parsed(event), false) {
                    Ok(event) => self.events.extend(event),
                    Err(fault) => self.faults.push(fault),
                }
                true
            }
            Err(fault) => {
                self.faults.push(fault);
                false
            }
        }
    }

    /// Adds the next events of a batch.
    pub(super) fn add(&mut self, desk: Desk<'_>, pieces: Vec<Piece<'_>>) {
        let first = self.seen;
        self.seen += pieces.len();
        if self.seen > BATCH_EVENTS_MAX {
            // One fault says it all: the rest is not worth the work.
            if first <= BATCH_EVENTS_MAX {
                self.faults.push(Fault::new(FaultKind::TooLarge, "", format!("more than {BATCH_EVENTS_MAX} events in one request")));
            }
            return;
        }
        let refused = self.faults.total > 0;
        let (events, faults) = desk.prepare_all(pieces, first, refused);
        self.events.extend(events);
        self.faults.extend(faults);
    }

    /// Whether more events would still be looked at.
    pub(super) const fn is_overfull(&self) -> bool {
        self.seen > BATCH_EVENTS_MAX
    }
}

impl Desk<'_> {
    /// Checks one event, and prepares it unless the request is refused anyway.
    fn prepare(self, piece: Piece<'_>, refused: bool) -> Result<Option<Prepared>, Fault> {
        let id = self.ids.draw();
        let submission = match piece {
            Piece::Parsed(value) => Submission::read(value, Source::Caller, id)?,
            Piece::Line(line) => Submission::parse(line, Source::Caller, id)?,
        };
        if refused { Ok(None) } else { self.ledger.prepare(self.caller, self.project, self.path, submission).map(Some) }
    }

    /// Prepares many, the first of them at index `first` of the request.
    fn prepare_all(self, pieces: Vec<Piece<'_>>, first: usize, mut refused: bool) -> (Vec<Prepared>, Faults) {
        let (mut events, mut faults) = (Vec::with_capacity(pieces.len()), Faults::default());
        for (n, piece) in pieces.into_iter().enumerate() {
            match self.prepare(piece, refused) {
                Ok(event) => events.extend(event),
                Err(fault) => {
                    refused = true;
                    faults.push(fault.within(&(first + n).to_string()));
                }
            }
        }
        (events, faults)
    }
}
