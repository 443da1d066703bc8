//! A row as readers get it: the exact bytes of its entry with the hashes beside, and its content where that is opened.

use indelible_core::entry::Outline;
use indelible_core::key::Secret;
use indelible_core::seal::{self, Address};
use indelible_core::{hex, json};
use uuid::Uuid;

use super::scan::{Found, ScanError};
use crate::keystore::DataKeys;
use crate::store::sql::{Connection, OptionalExtension};

/// Why a destroyed content is not opened.
pub(crate) const GONE: &str = "the content is gone";

/// What came of opening a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    /// The record has none.
    None,
    /// Its JSON.
    Content(Vec<u8>),
    /// Why it cannot be read: one sentence.
    Failed(&'static str),
}

/// The content of a row as it is stored, and its key or why there is none.
pub(crate) struct Sealed {
    /// `None` where it was destroyed.
    pub(crate) stored: Option<Vec<u8>>,
    /// The content key.
    pub(crate) key: Result<Secret, &'static str>,
}

/// Reads the content of a row, unopened.
pub(crate) fn sealed(ledger: &Connection, data_keys: &DataKeys, row: i64, organization_id: Uuid) -> Result<Sealed, ScanError> {
    let stored: Option<Vec<u8>> = ledger
        .prepare("SELECT stored FROM contents WHERE row = ?1")
        .and_then(|mut statement| statement.query_row([row], |row| row.get(0)).optional())
        .map_err(ScanError::from)?;
    let wrap: Option<(i64, Vec<u8>)> = ledger
        .prepare("SELECT data_key_id, wrap FROM wraps WHERE row = ?1")
        .and_then(|mut statement| statement.query_row([row], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(ScanError::from)?;
    let data_key = wrap.and_then(|(id, wrap)| data_keys.get(id).map(|key| (key, wrap)));
    let key = match data_key.filter(|(key, _)| key.organization_id == organization_id) {
        Some((key, wrap)) => {
            let opened = key.secret.as_ref().and_then(|secret| seal::unwrap_key(secret, &wrap));
            opened.ok_or("the key of the content is gone, or was changed")
        }
        None => Err("the key of the content is gone"),
    };
    Ok(Sealed { stored, key })
}

/// Opens the content of a row.
pub(crate) fn open(ledger: &Connection, data_keys: &DataKeys, found: &Found) -> Result<Opened, ScanError> {
    let Some(outline) = Outline::read(&found.entry) else { return Ok(Opened::Failed("the entry cannot be read")) };
    if outline.sealed.is_none() {
        return Ok(Opened::None);
    }
    let sealed = sealed(ledger, data_keys, found.row, outline.organization_id)?;
    let Some(stored) = sealed.stored else { return Ok(Opened::Failed(GONE)) };
    let content_key = match sealed.key {
        Ok(key) => key,
        Err(reason) => return Ok(Opened::Failed(reason)),
    };
    let address = Address { organization_id: outline.organization_id, project_id: outline.project_id, event_id: outline.id };
    Ok(match seal::open(&stored, &address, &content_key) {
        Ok(content) => Opened::Content(content),
        Err(_) => Opened::Failed("the content was changed: it does not open under its key"),
    })
}

/// Members that say where an event stands in its chain, and so how much there is beside it.
pub(crate) const PLACE: [&str; 1] = ["sequence"];

/// [`record`] without what says where it stands in its chain, for who does not see all of it.
pub(crate) fn record_apart(found: &Found) -> Vec<u8> {
    let mut entry = json::parse(&found.entry).map_or(json::Value::Null, json::Value::into_owned);
    if let json::Value::Object(members) = &mut entry {
        for name in PLACE {
            members.remove(name);
        }
    }
    entry.to_canonical()
}

/// The members of the entry, then `prev_hash` and `row_hash`, then `content` or `content_error`. The entry is copied, never
/// written anew.
pub(crate) fn record(found: &Found, opened: &Opened) -> Vec<u8> {
    let content_bytes = if let Opened::Content(content) = opened { content.len() } else { 0 };
    let mut out = Vec::with_capacity(found.entry.len() + content_bytes + 256);
    out.extend_from_slice(found.entry.strip_suffix(b"}").unwrap_or(&found.entry));
    for (name, hash) in [("prev_hash", &found.prev_hash), ("row_hash", &found.row_hash)] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":\"");
        hex::write(hash, &mut out);
        out.push(b'"');
    }
    match opened {
        Opened::None => {}
        Opened::Content(content) => {
            out.extend_from_slice(b",\"content\":");
            out.extend_from_slice(content);
        }
        Opened::Failed(reason) => {
            out.extend_from_slice(b",\"content_error\":");
            json::write_string(reason, &mut out);
        }
    }
    out.push(b'}');
    out
}
