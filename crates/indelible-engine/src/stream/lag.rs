//! How far the streams of this server are behind, for the metrics: by what is stored of them, so that those that wait, or have nothing to sign
//! with, count like those that send.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::board::Lag;
use super::gather::{Unread, at, head};
use super::shared::Shared;
use super::stored;
use crate::resource::kinds::audit_streams::{self, AuditStream, State};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Projects whose oldest event is looked up at one time.
const LOOKUPS_MAX: usize = 256;

/// When the event was recorded that is the first before some stream, by project and sequence; of the last look.
type Oldest = HashMap<(i64, u64), Timestamp>;

/// Looks until the server delivers no more.
pub(super) async fn watch(shared: Weak<Shared>) {
    let mut oldest = Oldest::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if !shared.delivers() {
            shared.board().lagging(Lag::default());
            continue;
        }
        let (own, known) = (Arc::clone(&shared), std::mem::take(&mut oldest));
        match shared.apart(move || look(&own, &known)).await {
            Ok((lag, found)) => {
                shared.board().lagging(lag);
                oldest = found;
            }
            Err(error) => tracing::debug!(%error, "how far streams are behind cannot be told"),
        }
    }
}

fn look(shared: &Shared, known: &Oldest) -> Result<(Lag, Oldest), Unread> {
    let registry = &shared.ledger.inner.registry;
    let mut lag = Lag::default();
    let mut running: HashMap<Uuid, u64> = HashMap::new();
    for kept in registry.kept_after(&audit_streams::KIND, None, usize::MAX, &|kept| kept.ended_at.is_none()) {
        match kept.typed::<AuditStream>().map(|stream| stream.state) {
            Some(State::Running) => drop(running.insert(kept.id, 0)),
            Some(State::Paused) | None => lag.paused += 1,
        }
    }
    lag.running = running.len() as u64;
    let mut first: HashMap<i64, u64> = HashMap::new();
    for (stream, project, next, size) in stored::behind(&*shared.ledger.inner.readers.get()?)? {
        let Some(behind) = running.get_mut(&stream) else { continue };
        *behind += size - next;
        first.entry(project).and_modify(|first| *first = next.min(*first)).or_insert(next);
    }
    lag.events_max = running.into_values().max().unwrap_or(0);
    let (projects, mut found) = (registry.projects(), Oldest::new());
    for (project, next) in first.into_iter().take(LOOKUPS_MAX) {
        let Some(names) = projects.iter().find(|known| known.number == project).map(|known| (project, known.project.id)) else { continue };
        let recorded_at = match known.get(&(project, next)) {
            Some(recorded_at) => *recorded_at,
            None => at(&shared.ledger, names, head(&shared.ledger, project)?, next)?,
        };
        found.insert((project, next), recorded_at);
        lag.since = Some(lag.since.map_or(recorded_at, |since| since.min(recorded_at)));
    }
    Ok((lag, found))
}
