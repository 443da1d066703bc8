//! From the text of a request to events that are ready for the writer: parsing, redaction, sealing; the work that costs.
//!
//! Runs where its caller puts it, off the runtime's own threads for anything large. All faults of a request are found, not only the first; once there is one, nothing more is sealed.

use indelible_core::event::{Source, Submission};
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{self, Cut, Value};
use indelible_core::limits::BATCH_EVENTS_MAX;
use indelible_engine::Ledger;
use indelible_engine::access::Caller;
use indelible_engine::append::Prepared;
use indelible_engine::resource::Project;

use super::super::ids::Ids;
use super::super::refusal::Faults;

/// An event as it lies in a request.
pub(super) enum Piece<'a> {
    /// The one event of a body.
    Parsed(Value<'a>),
    /// An item of an array.
    Item(&'a [u8]),
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
    /// Reads a JSON body: an object is one event, an array is many. Returns whether it was an object. The tree of an item is there
    /// only while the item is prepared, and none is made of an array with too many.
    pub(super) fn json(&mut self, desk: Desk<'_>, text: &[u8]) -> bool {
        match json::cut(text, BATCH_EVENTS_MAX) {
            Cut::Items(items) => {
                self.add(desk, items.into_iter().map(Piece::Item).collect());
                // An array that is no JSON is no array of faulty events.
                if self.faults.total > 0 {
                    self.check_array(text);
                }
                false
            }
            Cut::TooMany => {
                self.overfill();
                false
            }
            Cut::Broken => {
                self.faults.push(Fault::new(FaultKind::Malformed, "", "not JSON"));
                self.check_array(text);
                false
            }
            Cut::Other => self.single(desk, text),
        }
    }

    fn single(&mut self, desk: Desk<'_>, text: &[u8]) -> bool {
        match json::parse(text) {
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

    /// Where the text of an array breaks a rule of JSON, that is all that is said of it, with its place in the whole.
    fn check_array(&mut self, text: &[u8]) {
        if let Err(fault) = json::check_array(text) {
            self.faults = fault.into();
        }
    }

    /// One fault says it all: the rest is not worth the work.
    fn overfill(&mut self) {
        self.seen = BATCH_EVENTS_MAX + 1;
        self.faults.push(Fault::new(FaultKind::TooLarge, "", format!("more than {BATCH_EVENTS_MAX} events in one request")));
    }

    /// Adds the next events of a batch.
    pub(super) fn add(&mut self, desk: Desk<'_>, pieces: Vec<Piece<'_>>) {
        let first = self.seen;
        self.seen += pieces.len();
        if self.seen > BATCH_EVENTS_MAX {
            if first <= BATCH_EVENTS_MAX {
                self.overfill();
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
            Piece::Item(item) => Submission::read(json::parse_item(item)?, Source::Caller, id)?,
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
