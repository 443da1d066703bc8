//! Asking one witness to cosign the newest checkpoint: from the size that it cosigned last, as far as that is known, with the proof from
//! there; where it names another size, once more from that one.
//!
//! Believed of an answer: a cosignature that holds under the witness's key. All else is a [`Failure`], never a reason to stop.

use std::sync::Arc;

use indelible_core::limits::TREE_SIZE_MAX;
use indelible_core::note::{Note, Signature};
use indelible_core::policy::Witness;
use indelible_core::tree::consistency;
use indelible_core::witness::{AddCheckpoint, SIZE_MEDIA_TYPE};

use super::{ANSWER_BYTES_MAX, Failure, FailureKind, Response, Transport, stored};
use crate::store::sql::{Connection, SqlError};
use crate::store::{Readers, StoreError, Tiles, Tree};

/// Requests of one round: one, and two more where the witness was asked by another meanwhile.
const REQUESTS_MAX: usize = 3;
/// Of what a witness says, so many characters are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// A witness, and what it takes to ask it.
pub(super) struct Round<'a> {
    pub(super) readers: &'a Arc<Readers>,
    pub(super) transport: &'a dyn Transport,
    pub(super) witness: &'a Witness,
    pub(super) url: &'a str,
}

/// A cosignature that came.
pub(super) struct Cosigned {
    /// Leaves.
    pub(super) size: u64,
    /// The signature line.
    pub(super) line: String,
    /// Whether it is stored already, from an earlier round.
    pub(super) is_stored: bool,
}

/// What is sent.
struct Question {
    size: u64,
    old: u64,
    note: Note,
    body: String,
    is_stored: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(FailureKind::Store, error.to_string())
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        StoreError::from(error).into()
    }
}

impl Round<'_> {
    /// Asks. `known` is what the witness cosigned last, as far as is known, and is kept up.
    pub(super) fn ask(&self, known: &mut u64) -> Result<Cosigned, Failure> {
        let mut told = None;
        for _ in 0..REQUESTS_MAX {
            let question = self.question(*known)?;
            let response = self.transport.post(self.url, question.body.as_bytes());
            let response = response.map_err(|error| Failure::new(FailureKind::Unreachable, error))?;
            match self.judge(&question, &response)? {
                Judged::Cosigned(line) => {
                    *known = question.size;
                    return Ok(Cosigned { size: question.size, line, is_stored: question.is_stored });
                }
                Judged::OtherSize(size) if size > question.size => {
                    let detail = format!("it cosigned {size} leaves, of which there are {}: this ledger is an older copy", question.size);
                    return Err(Failure::new(FailureKind::RolledBack, detail));
                }
                Judged::OtherSize(size) => {
                    *known = size;
                    told = Some(size);
                }
            }
        }
        let detail = format!("asked from the size that it names ({}), it names another", told.unwrap_or_default());
        Err(Failure::new(FailureKind::BadAnswer, detail))
    }

    /// The newest checkpoint, and the proof from `known`; from no more than there is.
    fn question(&self, known: u64) -> Result<Question, Failure> {
        let reader = self.readers.get()?;
        // One view of checkpoint, leaves and tiles.
        let view = reader.moment()?;
        let stored = stored::newest_size(&view)?.map(|size| stored::at(&view, size)).transpose()?.flatten();
        let stored = stored.ok_or_else(|| Failure::new(FailureKind::Store, "there is no checkpoint"))?;
        let (size, old) = (stored.size, known.min(stored.size));
        let proof = proof(&view, old, size)?;
        let request = AddCheckpoint::new(old, proof, stored.note.clone());
        let request = request.map_err(|error| Failure::new(FailureKind::Store, error.to_string()))?;
        let is_stored = stored.cosignatures.iter().any(|cosignature| cosignature.key == self.witness.key);
        Ok(Question { size, old, note: stored.note, body: request.to_string(), is_stored })
    }

    fn judge(&self, question: &Question, response: &Response) -> Result<Judged, Failure> {
        let bad = |detail: String| Failure::new(FailureKind::BadAnswer, detail);
        if response.body.len() > ANSWER_BYTES_MAX {
            return Err(bad(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        let Question { size, old, .. } = question;
        match response.status {
            200 => self.cosignature(question, &response.body).map(Judged::Cosigned),
            409 if response.content_type.as_deref() == Some(SIZE_MEDIA_TYPE) => {
                let text = std::str::from_utf8(&response.body).ok().and_then(|text| text.strip_suffix('\n'));
                let number = text.and_then(|text| text.parse::<u64>().ok().filter(|number| number.to_string() == text));
                match number.filter(|number| *number <= TREE_SIZE_MAX) {
                    Some(number) if number == *old => Err(bad(format!("it names {number} leaves, from which it was asked"))),
                    Some(number) => Ok(Judged::OtherSize(number)),
                    None => Err(bad(format!("its answer 409 is no size: {}", shown(&response.body)))),
                }
            }
            409 => Err(Failure::new(FailureKind::Forked, format!("it cosigned another tree of {size} leaves"))),
            422 => {
                let detail = format!("the tree of {size} leaves did not grow out of the one of {old} leaves that it cosigned");
                Err(Failure::new(FailureKind::Forked, detail))
            }
            403 => Err(Failure::new(FailureKind::UnknownKey, "it does not know the key that signed the checkpoint")),
            404 => Err(Failure::new(FailureKind::UnknownLog, "it does not witness this log")),
            status => Err(bad(format!("it answered {status}: {}", shown(&response.body)))),
        }
    }

    /// The line of the answer that is by the witness's key, if that holds.
    fn cosignature(&self, question: &Question, body: &[u8]) -> Result<String, Failure> {
        let bad = |detail: String| Failure::new(FailureKind::BadAnswer, detail);
        let lines = Signature::parse_lines(body).map_err(|error| bad(format!("its answer is no cosignature: {error}")))?;
        let key = &self.witness.key;
        let mut own = lines.iter().filter(|line| (&line.name, line.key_id) == (key.name(), key.id())).peekable();
        if own.peek().is_none() {
            return Err(bad(format!("no line of its answer is by {key}")));
        }
        let line = own.find(|line| stored::seconds(question.note.text(), line, key).is_some());
        line.map(ToString::to_string).ok_or_else(|| bad(format!("its cosignature does not hold under {key}")))
    }
}

enum Judged {
    Cosigned(String),
    OtherSize(u64),
}

fn proof(view: &Connection, old: u64, size: u64) -> Result<Vec<indelible_core::chain::Hash>, Failure> {
    let last: Option<i64> = view.query_row("SELECT max(position) FROM instance_leaves", [], |row| row.get(0))?;
    let mut tiles = Tiles::new(view, Tree::Instance, last.map_or(0, |last| last.unsigned_abs() + 1));
    let proof = consistency::proof(old, size, |height, index| tiles.hash_at(height, index));
    let missing = || Failure::new(FailureKind::Store, format!("the tiles of the instance tree do not reach from {old} to {size}"));
    tiles.finish(proof)?.ok_or_else(missing)
}

/// What somebody else said, in one line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_CHARS_MAX * 4)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS_MAX).collect::<String>().trim().to_owned()
}
