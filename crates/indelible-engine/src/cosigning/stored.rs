//! Checkpoints of the instance tree with the cosignatures that are stored of them.
//!
//! A stored line is verified again whenever it is read: one that does not hold is left out, and the log says so.

use indelible_core::limits::NOTE_SIGNATURES_MAX;
use indelible_core::note::{Note, Signature, VerifierKey};
use indelible_core::policy::Policy;
use indelible_core::time::Timestamp;

use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension, SqlError};

/// A checkpoint and what witnesses said of it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    /// As the log signed it.
    pub(crate) note: Note,
    pub(crate) cosignatures: Vec<Cosignature>,
}

/// A cosignature that holds.
#[derive(Debug, Clone)]
pub(crate) struct Cosignature {
    pub(crate) key: VerifierKey,
    pub(crate) signature: Signature,
    /// When, by the witness's word.
    pub(crate) seconds: u64,
    pub(crate) received_at: Timestamp,
}

impl Stored {
    /// Whether the witnesses that cosigned it are enough.
    pub(crate) fn fulfils(&self, policy: &Policy) -> bool {
        policy.is_fulfilled(|witness| self.cosignatures.iter().any(|cosignature| cosignature.key == witness.key))
    }

    /// The note with the cosignatures in it: those of the policy's witnesses first, for a note has room for so many.
    pub(crate) fn assembled(&self, policy: Option<&Policy>) -> Note {
        let known = |key: &VerifierKey| policy.is_some_and(|policy| policy.witnesses().iter().any(|witness| witness.key == *key));
        let (first, rest): (Vec<_>, Vec<_>) = self.cosignatures.iter().partition(|cosignature| known(&cosignature.key));
        let mut note = self.note.clone();
        for cosignature in first.into_iter().chain(rest).take(NOTE_SIGNATURES_MAX.saturating_sub(self.note.signatures().len())) {
            if note.add(cosignature.signature.clone()).is_err() {
                break;
            }
        }
        note
    }
}

/// The size of the newest checkpoint.
pub(crate) fn newest_size(ledger: &Connection) -> Result<Option<u64>, StoreError> {
    let size: Option<i64> = ledger.prepare("SELECT max(size) FROM instance_checkpoints")?.query_row([], |row| row.get(0))?;
    Ok(size.map(i64::unsigned_abs))
}

/// The checkpoint of a size.
pub(crate) fn at(ledger: &Connection, size: u64) -> Result<Option<Stored>, StoreError> {
    let number = i64::try_from(size).unwrap_or(i64::MAX);
    let note: Option<String> =
        ledger.prepare("SELECT checkpoint FROM instance_checkpoints WHERE size = ?1")?.query_row([number], |row| row.get(0)).optional()?;
    let Some(note) = note else { return Ok(None) };
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("the checkpoint of {size} leaves: {error}"));
    let note = Note::parse(note.as_bytes()).map_err(|error| corrupt(&error))?;
    let mut cosignatures = Vec::new();
    let mut select = ledger.prepare("SELECT witness, line, received_at FROM cosignatures WHERE size = ?1 ORDER BY received_at")?;
    let mut rows = select.query([number])?;
    while let Some(row) = rows.next()? {
        let (witness, line): (String, String) = (row.get(0)?, row.get(1)?);
        let received_at = Timestamp::from_micros(row.get(2)?).unwrap_or(Timestamp::MIN);
        if let Some((key, signature, seconds)) = verified(&note, &witness, &line) {
            cosignatures.push(Cosignature { key, signature, seconds, received_at });
        } else {
            tracing::error!(size, witness, "a stored cosignature does not hold");
        }
    }
    Ok(Some(Stored { size, note, cosignatures }))
}

/// The cosignature in a stored line, if it is one of this note by that witness.
pub(crate) fn verified(note: &Note, witness: &str, line: &str) -> Option<(VerifierKey, Signature, u64)> {
    let key: VerifierKey = witness.parse().ok()?;
    let [signature] = Signature::parse_lines(line.as_bytes()).ok()?.try_into().ok()?;
    let seconds = seconds(note.text(), &signature, &key)?;
    Some((key, signature, seconds))
}

/// When `signature` was made, if it is a cosignature of `text` by `key`.
pub(crate) fn seconds(text: &str, signature: &Signature, key: &VerifierKey) -> Option<u64> {
    let mut alone = Note::new(text).ok()?;
    alone.add(signature.clone()).ok()?;
    alone.verify(std::slice::from_ref(key)).ok()?.first()?.seconds
}

/// The newest checkpoint that fulfils the policy. Lines are verified of those alone that would be enough if they held, so that a
/// quorum that was never met costs no signatures.
pub(crate) fn newest_fulfilled(ledger: &Connection, policy: &Policy) -> Result<Option<Stored>, StoreError> {
    if policy.is_fulfilled(|_| false) {
        return newest_size(ledger)?.map_or(Ok(None), |size| at(ledger, size));
    }
    let mut select = ledger.prepare("SELECT size, witness FROM cosignatures ORDER BY size DESC")?;
    let mut rows = select.query([])?;
    let mut named: (u64, Vec<String>) = (0, Vec::new());
    loop {
        let row = rows.next()?.map(|row| Ok::<_, SqlError>((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))).transpose()?;
        if row.as_ref().is_none_or(|(size, _)| *size != named.0) {
            let is_enough = policy.is_fulfilled(|witness| named.1.contains(&witness.key.to_string()));
            if is_enough
                && let Some(stored) = at(ledger, named.0)?
                && stored.fulfils(policy)
            {
                return Ok(Some(stored));
            }
            named.1.clear();
        }
        let Some((size, witness)) = row else { return Ok(None) };
        named.0 = size;
        named.1.push(witness);
    }
}

/// The largest size that a witness cosigned.
pub(crate) fn size_of(ledger: &Connection, key: &VerifierKey) -> Result<Option<u64>, StoreError> {
    let size: Option<i64> = ledger
        .prepare("SELECT size FROM cosignatures WHERE witness = ?1 ORDER BY size DESC LIMIT 1")?
        .query_row([key.to_string()], |row| row.get(0))
        .optional()?;
    Ok(size.map(i64::unsigned_abs))
}

#[cfg(test)]
mod tests {
    use indelible_core::note::{Algorithm, Name};

    use super::*;

    /// Years of checkpoints that one of two witnesses cosigned: none is read, so none of them, though spoiled, is stumbled over.
    #[test]
    fn a_quorum_that_was_never_met_costs_no_checkpoint() {
        let key = |n: u8| VerifierKey::new(Name::new(format!("w{n}.example")).expect("a name"), Algorithm::CosignatureV1, [n; 32]);
        let text = format!("witness a {}\nwitness b {}\ngroup both all a b\nquorum both\n", key(1), key(2));
        let policy = Policy::parse(text.as_bytes()).expect("a policy");
        let ledger = Connection::from(rusqlite::Connection::open_in_memory().expect("a database"));
        ledger.execute_batch(include_str!("../store/sqlite/schema.sql")).expect("the tables");
        let cosign = |size: i64, by: &VerifierKey| {
            ledger.execute("INSERT OR IGNORE INTO instance_checkpoints VALUES (?1, 'spoiled')", [size]).expect("inserted");
            ledger.execute("INSERT INTO cosignatures VALUES (?1, ?2, 'x', 0)", (size, by.to_string())).expect("inserted");
        };
        for size in 1..600 {
            cosign(size, &key(if size < 500 { 1 } else { 2 }));
        }
        assert!(newest_fulfilled(&ledger, &policy).expect("read").is_none());
        // Of one that both are said to have cosigned it is looked whether that is so.
        cosign(250, &key(2));
        assert!(matches!(newest_fulfilled(&ledger, &policy), Err(StoreError::Corrupt(_))));
    }
}
