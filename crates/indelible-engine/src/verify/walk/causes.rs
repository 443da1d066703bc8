//! What is wrong with the store itself, told before all that follows from it.

use std::collections::BTreeMap;

use indelible_core::verify::{Finding, Verdict};

use super::super::data_keys;
use super::super::heads::Stored;
use super::{Chains, Ground, Keys};
use crate::store::absent_tables;
use crate::store::sql::{Connection, SqlError};

/// Tables that are gone, and data keys that do not open. Who asks for one project hears of those of its organization.
pub(super) fn causes(
    ground: &Ground<'_>,
    reading: &Connection,
    stored: &BTreeMap<i64, Stored>,
    keys: &dyn Keys,
) -> Result<Vec<Finding>, SqlError> {
    let gone = absent_tables(reading)?.into_iter().map(|table| (Verdict::Missing, format!("the table {table} is gone")));
    let asked = stored.values().find(|stored| ground.only.is_some() && stored.project_id == ground.only);
    let of_asked = |fault: &data_keys::Fault| asked.is_none_or(|asked| fault.organization_id == asked.organization_id);
    let faults = data_keys::check(reading, keys)?.into_iter().filter(of_asked).map(|fault| (Verdict::Altered, fault.detail));
    Ok(gone.chain(faults).map(|(kind, detail)| Finding { kind, sequence: None, detail }).collect())
}

impl Chains<'_> {
    /// Before what follows from them; where the ledger names no project, after the rows have.
    pub(super) fn tell_causes(&mut self) {
        for Finding { kind, sequence, detail } in std::mem::take(&mut self.causes) {
            self.find(0, kind, sequence, detail);
        }
    }
}
