//! What the ledger tells of findings, found by the index: known soon after a start, long before the first round has read everything.

use std::time::Duration;

use indelible_core::filter::Filter;
use uuid::Uuid;

use super::Parts;
use crate::index::Direction;
use crate::query::scan::{Deadline, Scan, ScanError};
use crate::verify::told::Told;

/// The longest that one project may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The events looked for.
const FILTER: &str = r#"action_category eq "integrity""#;

impl Parts {
    /// Findings that are told and not told to be gone. `None` where the index has not come far enough: the first round tells.
    pub(super) fn recall(&self, go_on: &dyn Fn() -> bool) -> Result<Option<Told>, ScanError> {
        let Ok(filter) = Filter::parse(FILTER) else { return Ok(None) };
        let ledger = self.readers.get()?;
        let last_row: i64 = ledger.query_row("SELECT coalesce(max(row), 0) FROM events", [], |row| row.get(0)).map_err(ScanError::from)?;
        let Some(view) = self.index.view_at(last_row, go_on) else { return Ok(None) };
        let index = view.reader()?;
        let mut found: Vec<(i64, Uuid, Vec<u8>)> = Vec::new();
        for known in self.desk.registry.projects() {
            let names = (known.number, known.project.id);
            let scan = Scan::new(&view, (&index, &ledger), names, last_row, Some(&filter), Deadline::after(TIME_MAX));
            scan.postings().read(&index, (1, last_row), Direction::Ascending, |row| {
                found.extend(scan.examine(row)?.map(|event| (row, known.project.id, event.entry)));
                Ok::<_, ScanError>(go_on())
            })?;
        }
        found.sort_unstable();
        let mut told = Told::default();
        for (_, project_id, entry) in found {
            told.entry(project_id, &entry);
        }
        Ok(Some(told))
    }
}
