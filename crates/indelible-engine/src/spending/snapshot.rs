//! The sums as they were at one row, in a file beside the ledger, so that a start does not read every row again.
//!
//! It is believed only under the MAC of a ring key, and only where the ledger holds that row with that row hash: a file that was
//! changed, that is of another ledger or of a time that was taken back is as good as none. Deleting it is always safe.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_core::hex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tally::{Picture, Spenders};
use crate::keystore::KeyStore;
use crate::store::sql::{Connection, OptionalExtension as _, SqlError};

/// Of the members and of what they mean.
const VERSION: u64 = 2;

/// The first line; the sums are the rest.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u64,
    row: i64,
    row_hash: String,
    hmac_key_id: u64,
    mac: String,
}

pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("spending.snapshot")
}

fn mac(keystore: &KeyStore, header: &Header, body: &str) -> Option<String> {
    let keys = keystore.project_keys(Uuid::nil(), header.hmac_key_id)?;
    let kind = format!("spending/v{VERSION}");
    Some(hex::encode(&keys.document_mac(&kind, &header.row_hash, header.row.unsigned_abs(), body)))
}

fn row_hash(ledger: &Connection, row: i64) -> Result<Option<Vec<u8>>, SqlError> {
    ledger.query_row("SELECT row_hash FROM events WHERE row = ?1", [row], |found| found.get(0)).optional()
}

/// The sums of a snapshot and the row that they go up to.
pub(crate) fn read(path: &Path, ledger: &Connection, keystore: &KeyStore) -> Option<(i64, Picture)> {
    let mut file = BufReader::new(std::fs::File::open(path).ok()?);
    let (mut first, mut body) = (String::new(), String::new());
    file.read_line(&mut first).ok()?;
    file.read_to_string(&mut body).ok()?;
    let header: Header = serde_json::from_str(&first).ok()?;
    let own = header.version == VERSION && mac(keystore, &header, &body).as_ref() == Some(&header.mac);
    let stored = row_hash(ledger, header.row).ok()??;
    if !own || hex::encode(&stored) != header.row_hash {
        return None;
    }
    let projects: BTreeMap<i64, Spenders> = serde_json::from_str(&body).ok()?;
    Some((header.row, projects.into_iter().map(|(number, spenders)| (number, Arc::new(spenders))).collect()))
}

/// Writes the sums up to `row`, in the place of what was there.
pub(crate) fn write(path: &Path, ledger: &Connection, keystore: &KeyStore, row: i64, picture: &Picture) -> Result<(), std::io::Error> {
    let Some(row_hash) = row_hash(ledger, row).map_err(std::io::Error::other)? else { return Ok(()) };
    let body = serde_json::to_string(&picture.iter().map(|(number, spenders)| (number, &**spenders)).collect::<BTreeMap<_, _>>())?;
    let mut header =
        Header { version: VERSION, row, row_hash: hex::encode(&row_hash), hmac_key_id: keystore.newest_ring_id(), mac: String::new() };
    header.mac = mac(keystore, &header, &body).unwrap_or_default();
    let beside = path.with_extension("snapshot.new");
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", serde_json::to_string(&header)?)?;
    file.write_all(body.as_bytes())?;
    drop(file);
    std::fs::rename(&beside, path)
}
