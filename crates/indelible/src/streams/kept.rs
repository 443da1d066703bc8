//! Connections that are kept open between requests: one for each stream at most, for as long as it is used now and then.
//!
//! Whoever sends takes a place for the stream, with the connection in it, and puts the connection back when all went well. So a connection
//! is in one request at most, and one whose request was given up, or whose stream was forgotten meanwhile, is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use uuid::Uuid;

/// Connections by stream.
pub(super) struct Kept<C> {
    places: Places<C>,
    idle: Duration,
}

type Places<C> = Arc<Mutex<Table<C>>>;

struct Table<C> {
    slots: HashMap<Uuid, Slot<C>>,
    tickets: u64,
}

struct Slot<C> {
    /// Who put or took what is here: everybody who comes later has another.
    ticket: u64,
    /// A connection, and what closes it in the end; none while it is used.
    kept: Option<(C, AbortHandle)>,
}

/// The place of a stream, for one request.
pub(super) struct Place<C> {
    places: Places<C>,
    idle: Duration,
    stream_id: Uuid,
    /// None where another request of the same stream has the place: what is opened beside it is not kept.
    ticket: Option<u64>,
}

impl<C: Send + 'static> Kept<C> {
    pub(super) fn new(idle: Duration) -> Self {
        Self { places: Arc::new(Mutex::new(Table { slots: HashMap::new(), tickets: 0 })), idle }
    }

    /// Takes the place of a stream, and the connection that is in it.
    pub(super) fn take(&self, stream_id: Uuid) -> (Place<C>, Option<C>) {
        let mut table = locked(&self.places);
        table.tickets += 1;
        let next = table.tickets;
        let (ticket, kept) = match table.slots.get_mut(&stream_id) {
            None => {
                table.slots.insert(stream_id, Slot { ticket: next, kept: None });
                (Some(next), None)
            }
            Some(slot) => match slot.kept.take() {
                Some((connection, end)) => {
                    end.abort();
                    slot.ticket = next;
                    (Some(next), Some(connection))
                }
                None => (None, None),
            },
        };
        drop(table);
        (Place { places: Arc::clone(&self.places), idle: self.idle, stream_id, ticket }, kept)
    }

    /// Closes what is kept for a stream, and what a request has of it once that is answered.
    pub(super) fn forget(&self, stream_id: Uuid) {
        let slot = locked(&self.places).slots.remove(&stream_id);
        if let Some((connection, end)) = slot.and_then(|slot| slot.kept) {
            end.abort();
            drop(connection);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        locked(&self.places).slots.len()
    }
}

impl<C: Send + 'static> Place<C> {
    /// Keeps a connection for the next request.
    pub(super) fn keep(mut self, connection: C) {
        let Some(ticket) = self.ticket else { return };
        let mut table = locked(&self.places);
        let Some(slot) = table.slots.get_mut(&self.stream_id).filter(|slot| slot.ticket == ticket) else { return };
        let (places, stream_id, idle) = (Arc::clone(&self.places), self.stream_id, self.idle);
        let end = tokio::spawn(async move {
            tokio::time::sleep(idle).await;
            // Dropped after the lock is.
            let closed = remove(&places, stream_id, ticket);
            drop(closed);
        });
        slot.kept = Some((connection, end.abort_handle()));
        self.ticket = None;
    }
}

impl<C> Drop for Place<C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            drop(remove(&self.places, self.stream_id, ticket));
        }
    }
}

fn locked<C>(places: &Places<C>) -> MutexGuard<'_, Table<C>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes out what is there under this ticket.
fn remove<C>(places: &Places<C>, stream_id: Uuid, ticket: u64) -> Option<Slot<C>> {
    let mut table = locked(places);
    let is_there = table.slots.get(&stream_id).is_some_and(|slot| slot.ticket == ticket);
    if is_there { table.slots.remove(&stream_id) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    /// What is kept of a stream, taken out, and how many places there are after that.
    fn left(kept: &Kept<&'static str>) -> (Option<&'static str>, usize) {
        let connection = kept.take(A).1;
        (connection, kept.count())
    }

    #[tokio::test]
    async fn one_is_kept_for_each_stream_and_used_by_one_request_at_a_time() {
        let kept = Kept::new(Duration::from_mins(1));
        let (place, none) = kept.take(A);
        let (beside, also_none) = kept.take(A);
        assert_eq!((none, also_none), (None, None));
        place.keep("first");
        beside.keep("second");
        assert_eq!(kept.take(B).1, None, "another stream has none");
        let (place, first) = kept.take(A);
        assert_eq!((first, kept.take(A).1), (Some("first"), None));
        drop(place);
        assert_eq!(left(&kept), (None, 0), "a request that was given up leaves nothing");
    }

    #[tokio::test]
    async fn what_is_forgotten_while_it_is_used_is_not_kept() {
        let kept = Kept::new(Duration::from_mins(1));
        let (place, _) = kept.take(A);
        kept.forget(A);
        place.keep("old");
        assert_eq!(left(&kept), (None, 0));
        kept.take(A).0.keep("new");
        kept.forget(A);
        assert_eq!(left(&kept), (None, 0));
        // The one that was forgotten does not take the place of the one after it.
        let (old, _) = kept.take(A);
        kept.forget(A);
        let (new, _) = kept.take(A);
        old.keep("old");
        assert_eq!(kept.take(A).1, None);
        new.keep("new");
        assert_eq!(kept.take(A).1, Some("new"));
    }

    #[tokio::test]
    async fn what_nobody_uses_is_closed() {
        let kept = Kept::new(Duration::from_millis(40));
        let closed = Arc::new(());
        kept.take(A).0.keep(Arc::clone(&closed));
        for _ in 0..4 {
            // Each use begins the time anew.
            tokio::time::sleep(Duration::from_millis(15)).await;
            let (place, connection) = kept.take(A);
            place.keep(connection.expect("kept"));
        }
        assert_eq!(Arc::strong_count(&closed), 2);
        for _ in 0..200 {
            if Arc::strong_count(&closed) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((Arc::strong_count(&closed), kept.count()), (1, 0));
    }
}
