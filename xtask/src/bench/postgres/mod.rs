//! PostgreSQL: binary COPY in batches, each committed durably, with its key alone and with B-trees on the attributes; and beside it, as the
//! log grows, a ledger that is kept there and an audit table that a trigger fills.

mod grown;
mod host;
mod server;
mod trigger;

use std::path::Path;
use std::time::Instant;

use postgres::Client;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};

use super::event::{Event, Ids, Order};
use super::report::Report;
pub(crate) use grown::run as grown;
use server::Server;

/// Name of the figure that everything is compared with.
pub(crate) const INDEXED: &str = "PostgreSQL COPY, B-trees on the same attributes";
const BATCH: u64 = 10_000;

/// Rates with and without indexes.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(folder)?;
    let mut client = server.connect("postgres", "bench")?;
    let few = rows.min(1_000_000);
    create(&mut client, false)?;
    report.add("PostgreSQL COPY, its key alone", few as f64 / copy(&mut client, 0, few)?, "rows/s");
    client.batch_execute("DROP TABLE events")?;
    create(&mut client, true)?;
    report.add(INDEXED, rows as f64 / copy(&mut client, 0, rows)?, "rows/s");
    let bytes: i64 = client.query_one("SELECT pg_total_relation_size('events')", &[])?.get(0);
    report.add("PostgreSQL bytes a row, indexes included", bytes as f64 / rows as f64, "bytes");
    Ok(())
}

/// Names of the columns that are attributes.
fn names() -> Vec<&'static str> {
    Event { n: 0, ids: Ids::V4, order: Order::Recorded }.attributes().iter().map(|(name, _)| *name).collect()
}

/// Makes the table.
fn create(client: &mut Client, indexed: bool) -> anyhow::Result<()> {
    let names = names();
    let columns = names.iter().map(|name| format!("{name} text")).collect::<Vec<_>>().join(",");
    client.batch_execute(&format!(
        "CREATE TABLE events(row bigint PRIMARY KEY, id bytea, occurred_at bigint, {columns}, entry text, content bytea)"
    ))?;
    if indexed {
        client.batch_execute("CREATE UNIQUE INDEX ON events(id); CREATE INDEX ON events(occurred_at)")?;
        for name in &names {
            client.batch_execute(&format!("CREATE INDEX ON events({name})"))?;
        }
    }
    Ok(())
}

/// Copies the events from one number until another into it; seconds.
fn copy(client: &mut Client, from: u64, until: u64) -> anyhow::Result<f64> {
    let mut types = vec![Type::INT8, Type::BYTEA, Type::INT8];
    types.extend(names().iter().map(|_| Type::TEXT));
    types.extend([Type::TEXT, Type::BYTEA]);
    let begin = Instant::now();
    let mut n = from;
    while n < until {
        let mut transaction = client.transaction()?;
        let mut writer = BinaryCopyInWriter::new(transaction.copy_in("COPY events FROM STDIN BINARY")?, &types);
        for n in n..until.min(n + BATCH) {
            write_row(&mut writer, Event { n, ids: Ids::V4, order: Order::Recorded })?;
        }
        writer.finish()?;
        transaction.commit()?;
        n += BATCH;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn write_row(writer: &mut BinaryCopyInWriter<'_>, event: Event) -> anyhow::Result<()> {
    let (row, id, at) = (event.n as i64, event.id().as_bytes().to_vec(), event.occurred_at_micros());
    let (attributes, sealed) = (event.attributes(), event.sealed());
    let mut entry = String::new();
    event.write_entry(&mut entry);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&row, &id, &at];
    values.extend(attributes.iter().map(|(_, value)| value as &(dyn ToSql + Sync)));
    values.extend([&entry as &(dyn ToSql + Sync), &sealed]);
    Ok(writer.write(&values)?)
}
