//! Plain SQLite: WAL, synchronous=FULL, batches of 500, with its key alone and with B-trees on the attributes.

use std::path::Path;
use std::time::Instant;

use super::event::{Event, Ids, Order};
use super::report::Report;

const BATCH: u64 = 500;

/// Rates with and without indexes.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    for indexed in [false, true] {
        let file = folder.join("plain.db");
        let rate = load(&file, rows, indexed)?;
        report.add(if indexed { "SQLite with B-trees on the attributes" } else { "SQLite with its key alone" }, rate, "rows/s");
        for ending in ["", "-wal", "-shm"] {
            std::fs::remove_file(folder.join(format!("plain.db{ending}"))).ok();
        }
    }
    Ok(())
}

fn load(file: &Path, rows: u64, indexed: bool) -> anyhow::Result<f64> {
    let db = rusqlite::Connection::open(file)?;
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;")?;
    let names: Vec<&str> = Event { n: 0, ids: Ids::V4, order: Order::Recorded }.attributes().iter().map(|(name, _)| *name).collect();
    db.execute_batch(&format!(
        "CREATE TABLE events(row INTEGER PRIMARY KEY, id BLOB, occurred_at INTEGER, {}, entry TEXT, content BLOB)",
        names.join(",")
    ))?;
    if indexed {
        db.execute_batch("CREATE UNIQUE INDEX by_id ON events(id); CREATE INDEX by_time ON events(occurred_at);")?;
        for name in &names {
            db.execute_batch(&format!("CREATE INDEX by_{name} ON events({name})"))?;
        }
    }
    let marks = vec!["?"; names.len() + 4].join(",");
    let mut insert = db.prepare(&format!("INSERT INTO events(id,occurred_at,{},entry,content) VALUES({marks})", names.join(",")))?;
    let mut entry = String::new();
    let begin = Instant::now();
    for n in 0..rows {
        if n % BATCH == 0 {
            db.execute_batch("BEGIN")?;
        }
        let event = Event { n, ids: Ids::V4, order: Order::Recorded };
        entry.clear();
        event.write_entry(&mut entry);
        insert.raw_bind_parameter(1, event.id().as_bytes().as_slice())?;
        insert.raw_bind_parameter(2, event.occurred_at_micros())?;
        for (k, (_, value)) in event.attributes().into_iter().enumerate() {
            insert.raw_bind_parameter(k + 3, value)?;
        }
        insert.raw_bind_parameter(names.len() + 3, entry.as_str())?;
        insert.raw_bind_parameter(names.len() + 4, event.sealed())?;
        insert.raw_execute()?;
        if n % BATCH == BATCH - 1 || n + 1 == rows {
            db.execute_batch("COMMIT")?;
        }
    }
    Ok(rows as f64 / begin.elapsed().as_secs_f64())
}
