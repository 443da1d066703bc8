//! The stored data keys: whether each can be read, and opens under its organization's key, and whether those are there that a server holds in
//! memory. One that is not is named before the contents that it can no longer open.

use std::collections::BTreeMap;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::walk::Keys;

use crate::store::sql::{Connection, SqlError};

/// What is wrong with a data key.
pub(super) struct Fault {
    /// Whose it is, where that can be read.
    pub(super) organization_id: Option<Uuid>,
    pub(super) detail: String,
}

/// Looks at each.
pub(super) fn check(ledger: &Connection, keys: &dyn Keys) -> Result<Vec<Fault>, SqlError> {
    let mut statement = ledger.prepare("SELECT id, organization_id, wrapped, created_at FROM data_keys ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut faults = Vec::new();
    let mut gone: BTreeMap<i64, Uuid> = keys.stored_data_keys().iter().copied().collect();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        gone.remove(&id);
        let bytes = |at: usize| row.get_ref(at).map(|value| value.as_bytes().unwrap_or_default());
        let organization_id = Uuid::try_parse_ascii(bytes(1)?).ok();
        let detail = match organization_id {
            None => format!("data key {id} cannot be read: its organization_id is none"),
            Some(_) if Timestamp::from_micros(row.get(3)?).is_none() => format!("data key {id} cannot be read: its created_at is no time"),
            Some(organization) if keys.opens_data_key(organization, bytes(2)?) == Some(false) => {
                format!("data key {id} does not open under the key of its organization")
            }
            Some(_) => continue,
        };
        faults.push(Fault { organization_id, detail });
    }
    let lost = |(id, organization_id)| Fault {
        organization_id: Some(organization_id),
        detail: format!("data key {id} is gone: what was sealed under it opens only as long as the server runs that knows it"),
    };
    faults.extend(gone.into_iter().map(lost));
    Ok(faults)
}
