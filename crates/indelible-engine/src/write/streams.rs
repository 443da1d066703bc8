//! The rows of streams: cursors and deliveries.

use indelible_core::time::Timestamp;
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::{Connection, params};
use crate::stream::{Cursor, Delivery, StreamChange};

const CURSOR: &str = "INSERT INTO stream_cursors (stream, lane, project, next_sequence, last_sequence, pending_last)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (stream, lane, project) DO UPDATE SET next_sequence = excluded.next_sequence, pending_last = excluded.pending_last";
const FIRST: &str = "INSERT INTO stream_cursors (stream, lane, project, next_sequence, last_sequence, pending_last)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (stream, lane, project) DO NOTHING";
const END: &str = "DELETE FROM stream_cursors WHERE stream = ?1 AND lane = ?2 AND project = ?3";
const DELIVERY: &str =
    "INSERT INTO webhook_deliveries (stream, id, lane, project, message_id, first_sequence, last_sequence, events, state,
        attempts, created_at, attempted_at, due_at, status, latency, error, answer)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
    ON CONFLICT (stream, id) DO UPDATE SET message_id = excluded.message_id, first_sequence = excluded.first_sequence,
        last_sequence = excluded.last_sequence, events = excluded.events, state = excluded.state, attempts = excluded.attempts,
        attempted_at = excluded.attempted_at, due_at = excluded.due_at, status = excluded.status, latency = excluded.latency,
        error = excluded.error, answer = excluded.answer";
const REVIVE: [&str; 2] = [
    "INSERT INTO stream_cursors (stream, lane, project, next_sequence, last_sequence, pending_last)
     SELECT stream, id, project, first_sequence, last_sequence, last_sequence FROM webhook_deliveries
     WHERE stream = ?1 AND state = 'dead' ON CONFLICT (stream, lane, project) DO NOTHING",
    "UPDATE webhook_deliveries SET state = 'replayed' WHERE stream = ?1 AND state = 'dead'",
];
/// Those that still wait, and dead letters, stay.
const PRUNE: &str = "DELETE FROM webhook_deliveries WHERE stream = ?1 AND state IN ('delivered', 'split', 'replayed') AND id <
    (SELECT id FROM webhook_deliveries WHERE stream = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
const FORGET: [&str; 2] = ["DELETE FROM stream_cursors WHERE stream = ?1", "DELETE FROM webhook_deliveries WHERE stream = ?1"];

/// Carries out a change.
pub(super) fn write(connection: &Connection, change: &StreamChange) -> Result<(), StoreError> {
    match change {
        StreamChange::Cursor(cursor) => put(connection, CURSOR, cursor),
        StreamChange::First(cursor) => put(connection, FIRST, cursor),
        StreamChange::End(cursor) => {
            connection.execute(END, (cursor.stream, cursor.lane, cursor.project))?;
            Ok(())
        }
        StreamChange::Delivery(delivery) => record(connection, delivery),
        StreamChange::Revive { stream } => all(connection, &REVIVE, *stream),
        StreamChange::Prune { stream, keep } => {
            connection.execute(PRUNE, (stream, *keep))?;
            Ok(())
        }
        StreamChange::Forget { stream } => all(connection, &FORGET, *stream),
    }
}

fn put(connection: &Connection, sql: &str, cursor: &Cursor) -> Result<(), StoreError> {
    let Cursor { stream, lane, project, next, last, pending } = cursor;
    let (last, pending) = (last.map(|last| last as i64), pending.map(|last| last as i64));
    connection.execute(sql, (stream, lane, project, *next as i64, last, pending))?;
    Ok(())
}

fn all(connection: &Connection, statements: &[&str], stream: Uuid) -> Result<(), StoreError> {
    for sql in statements {
        connection.execute(sql, [stream])?;
    }
    Ok(())
}

fn record(connection: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let mut upsert = connection.prepare(DELIVERY)?;
    upsert.execute(params![
        delivery.stream_id,
        delivery.id,
        delivery.replay_id.unwrap_or(delivery.stream_id),
        delivery.project,
        delivery.message_id,
        delivery.first_sequence as i64,
        delivery.last_sequence as i64,
        delivery.events,
        delivery.state.as_str().to_owned(),
        delivery.attempts,
        delivery.created_at.as_micros(),
        delivery.attempted_at.as_micros(),
        delivery.due_at.map(Timestamp::as_micros),
        delivery.status.map(i64::from),
        delivery.latency_micros as i64,
        delivery.error,
        delivery.answer,
    ])?;
    Ok(())
}
