//! Reading what is stored of streams. Whatever was written by somebody else, and makes no sense, is an error and never skipped.

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::row::{Cursor, Delivery, DeliveryState};
use crate::store::StoreError;
use crate::store::sql::{Connection, OptionalExtension as _, Row, SqlError, SqlResult, params};

/// Replays that are known at one time; of more, the oldest come first.
pub(super) const REPLAYS_MAX: u16 = 100;

const CURSORS: &str = "SELECT lane, project, next_sequence, last_sequence, pending_last FROM stream_cursors";
const COLUMNS: &str = "SELECT id, lane, project, message_id, first_sequence, last_sequence, events, state, attempts, created_at,
    attempted_at, due_at, status, latency, error, answer, stream FROM webhook_deliveries";

/// The cursors of a stream: all that follow a project, and the oldest replays.
pub(super) fn cursors(ledger: &Connection, stream: Uuid) -> Result<Vec<Cursor>, StoreError> {
    let read = |row: &Row<'_>| cursor(stream, row);
    let mut live = ledger.prepare(&format!("{CURSORS} WHERE stream = ?1 AND lane = ?1 ORDER BY project"))?;
    let mut cursors = live.query_map([stream], read)?.collect::<SqlResult<Vec<_>>>()?;
    let mut replays = ledger.prepare(&format!("{CURSORS} WHERE stream = ?1 AND lane <> ?1 ORDER BY lane, project LIMIT ?2"))?;
    for cursor in replays.query_map((stream, i64::from(REPLAYS_MAX)), read)? {
        cursors.push(cursor?);
    }
    Ok(cursors)
}

/// How many replays of a stream are not over.
pub(super) fn replays(ledger: &Connection, stream: Uuid) -> Result<u64, StoreError> {
    let count: i64 =
        ledger.query_row("SELECT count(*) FROM stream_cursors WHERE stream = ?1 AND lane <> ?1", [stream], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Cursors that follow a project and lie before its end: stream, project, the next sequence, events of the project.
pub(super) fn behind(ledger: &Connection) -> Result<Vec<(Uuid, i64, u64, u64)>, StoreError> {
    let sql = "SELECT stream_cursors.stream, stream_cursors.project, stream_cursors.next_sequence, heads.size FROM stream_cursors
        JOIN heads ON heads.project = stream_cursors.project
        WHERE stream_cursors.lane = stream_cursors.stream AND heads.size > stream_cursors.next_sequence";
    let mut statement = ledger.prepare(sql)?;
    Ok(statement.query_map([], |row| Ok((id(row, 0)?, row.get(1)?, number(row, 2)?, number(row, 3)?)))?.collect::<SqlResult<_>>()?)
}

/// Streams of which there are cursors.
pub(super) fn streams(ledger: &Connection) -> Result<Vec<Uuid>, StoreError> {
    let mut statement = ledger.prepare("SELECT DISTINCT stream FROM stream_cursors")?;
    Ok(statement.query_map([], |row| id(row, 0))?.collect::<SqlResult<_>>()?)
}

/// Streams of which something is to be sent again, with how many replays.
pub(super) fn replayed(ledger: &Connection) -> Result<Vec<(Uuid, u64)>, StoreError> {
    let mut statement = ledger.prepare("SELECT stream, count(*) FROM stream_cursors WHERE lane <> stream GROUP BY stream")?;
    Ok(statement.query_map([], |row| Ok((id(row, 0)?, number(row, 1)?)))?.collect::<SqlResult<_>>()?)
}

/// The deliveries that a stream is at, which were tried and not taken: one of those that it sends of itself, and one of a replay. That of the
/// stream itself comes first, then the newest.
pub(super) fn pending(ledger: &Connection, stream: Uuid) -> Result<Vec<Delivery>, StoreError> {
    let order = "ORDER BY CASE WHEN lane = stream THEN 0 ELSE 1 END, id DESC";
    let mut statement = ledger.prepare(&format!("{COLUMNS} WHERE stream = ?1 AND state = 'pending' {order} LIMIT 100"))?;
    Ok(statement.query_map([stream], delivery)?.collect::<SqlResult<_>>()?)
}

/// Deliveries of a stream, newest first: those before an id, and of one state, where these are given.
pub(super) fn deliveries(
    ledger: &Connection,
    stream: Uuid,
    state: Option<DeliveryState>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let before = before.unwrap_or(Uuid::max());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = match state {
        Some(state) => ledger
            .prepare(&format!("{COLUMNS} WHERE stream = ?1 AND state = ?4 AND id < ?2 ORDER BY id DESC LIMIT ?3"))?
            .query_map(params![stream, before, limit, state.as_str()], delivery)?
            .collect::<SqlResult<_>>(),
        None => ledger
            .prepare(&format!("{COLUMNS} WHERE stream = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"))?
            .query_map((stream, before, limit), delivery)?
            .collect(),
    };
    Ok(found?)
}

/// One delivery.
pub(super) fn one(ledger: &Connection, stream: Uuid, id: Uuid) -> Result<Option<Delivery>, StoreError> {
    let mut statement = ledger.prepare(&format!("{COLUMNS} WHERE stream = ?1 AND id = ?2"))?;
    Ok(statement.query_row((stream, id), delivery).optional()?)
}

/// How many dead letters a stream has.
pub(super) fn dead(ledger: &Connection, stream: Uuid) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM webhook_deliveries WHERE stream = ?1 AND state = 'dead'";
    let count: i64 = ledger.query_row(sql, [stream], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn id(row: &Row<'_>, at: usize) -> SqlResult<Uuid> {
    Ok(Uuid::from_bytes(row.get(at)?))
}

fn number(row: &Row<'_>, at: usize) -> SqlResult<u64> {
    Ok(row.get::<_, i64>(at)?.unsigned_abs())
}

fn optional(row: &Row<'_>, at: usize) -> SqlResult<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(i64::unsigned_abs))
}

fn cursor(stream: Uuid, row: &Row<'_>) -> SqlResult<Cursor> {
    Ok(Cursor {
        stream,
        lane: id(row, 0)?,
        project: row.get(1)?,
        next: number(row, 2)?,
        last: optional(row, 3)?,
        pending: optional(row, 4)?,
    })
}

fn delivery(row: &Row<'_>) -> SqlResult<Delivery> {
    let (stream_id, lane) = (id(row, 16)?, id(row, 1)?);
    let state: String = row.get(7)?;
    let time = |at: usize| Timestamp::from_micros(row.get(at)?).ok_or(SqlError::Unfit(at, "a time"));
    Ok(Delivery {
        id: id(row, 0)?,
        stream_id,
        replay_id: Some(lane).filter(|lane| *lane != stream_id),
        project: row.get(2)?,
        message_id: row.get(3)?,
        first_sequence: number(row, 4)?,
        last_sequence: number(row, 5)?,
        events: u32::try_from(number(row, 6)?).unwrap_or(u32::MAX),
        state: DeliveryState::parse(&state).ok_or(SqlError::Unfit(7, "a state of a delivery"))?,
        attempts: u32::try_from(number(row, 8)?).unwrap_or(u32::MAX),
        created_at: time(9)?,
        attempted_at: time(10)?,
        due_at: row.get::<_, Option<i64>>(11)?.and_then(Timestamp::from_micros),
        status: optional(row, 12)?.and_then(|status| u16::try_from(status).ok()),
        latency_micros: number(row, 13)?,
        error: row.get(14)?,
        answer: row.get(15)?,
    })
}
