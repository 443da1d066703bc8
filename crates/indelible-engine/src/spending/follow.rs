//! The thread that brings the sums to the rows: from the snapshot at the start, after a failure of the store from where they stood. It
//! also leaves a new snapshot now and then, and at the end.

use std::time::{Duration, Instant};

use super::usage::Usage;
use super::{Shared, snapshot};
use crate::store::sql::Connection;

/// Rows read at a time.
const BATCH_ROWS: i64 = 16_384;
/// Between two snapshots.
const SAVE_EVERY: Duration = Duration::from_mins(5);
/// Rows since the last snapshot below which none is left but at the end: reading them again is a moment's work.
const SAVE_ROWS: i64 = 250_000;
/// After a failure.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows until told to stop.
pub(super) fn run(shared: &Shared) {
    let mut saved_at = Instant::now();
    let mut ledger: Option<Connection> = None;
    while let Some(due) = wait(shared, saved_at) {
        let done = opened(shared, &mut ledger).and_then(|ledger| match due {
            Due::Rows => batch(shared, ledger),
            Due::Snapshot => {
                saved_at = Instant::now();
                save(shared, ledger);
                Ok(())
            }
        });
        if let Err(error) = done {
            tracing::warn!(%error, "what is spent waits: the ledger cannot be read");
            ledger = None;
            let state = shared.lock();
            if !state.stop {
                drop(shared.bell.wait_timeout(state, PAUSE));
            }
        }
    }
    if let Ok(ledger) = opened(shared, &mut ledger) {
        save(shared, ledger);
    }
}

enum Due {
    Rows,
    Snapshot,
}

/// Waits for something to do; `None` once it is told to stop.
fn wait(shared: &Shared, saved_at: Instant) -> Option<Due> {
    let mut state = shared.lock();
    loop {
        if state.stop {
            return None;
        }
        if state.through < state.committed {
            return Some(Due::Rows);
        }
        let left = SAVE_EVERY.saturating_sub(saved_at.elapsed());
        if left.is_zero() {
            return Some(Due::Snapshot);
        }
        state = shared.bell.wait_timeout(state, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

fn opened<'a>(shared: &Shared, ledger: &'a mut Option<Connection>) -> Result<&'a Connection, crate::store::StoreError> {
    if ledger.is_none() {
        *ledger = Some(shared.ledger.open_reader()?);
    }
    ledger.as_ref().ok_or_else(|| crate::store::StoreError::Corrupt("the ledger is not open".to_owned()))
}

/// Reads the next rows that the sums lack.
fn batch(shared: &Shared, ledger: &Connection) -> Result<(), crate::store::StoreError> {
    let through = shared.lock().through;
    if through < 0 {
        let (row, picture) = snapshot::read(&shared.path, ledger, &shared.keystore).unwrap_or_default();
        let mut state = shared.lock();
        shared.tallies.put(picture);
        (state.through, state.saved) = (row, row);
        // A row that is in the ledger is committed.
        state.committed = state.committed.max(row);
        shared.through.send_replace(state.through);
        return Ok(());
    }
    let last = shared.lock().committed.min(through.saturating_add(BATCH_ROWS));
    let mut used = Vec::new();
    let mut statement = ledger.prepare_by_row("SELECT project, entry FROM events WHERE row > ?1 AND row <= ?2 ORDER BY row")?;
    let mut rows = statement.query([through, last])?;
    while let Some(row) = rows.next()? {
        if let Some(usage) = Usage::read(row.bytes(1)?) {
            used.push((row.get::<_, i64>(0)?, usage));
        }
    }
    shared.count(&mut shared.lock(), through, last, &used);
    Ok(())
}

fn save(shared: &Shared, ledger: &Connection) {
    let (row, picture) = {
        let state = shared.lock();
        let few = if state.stop { 1 } else { SAVE_ROWS };
        if state.through - state.saved < few {
            return;
        }
        (state.through, shared.tallies.picture())
    };
    match snapshot::write(&shared.path, ledger, &shared.keystore, row, &picture) {
        Ok(()) => shared.lock().saved = row,
        Err(error) => tracing::warn!(%error, "what was spent was not saved; the next start reads more rows"),
    }
}
