//! A ledger in PostgreSQL as it grows: what goes into it beside plain COPY and beside an audit table that a trigger fills, while each of them
//! holds nothing, a million and ten million rows.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use super::host;
use super::server::Server;
use super::trigger::{self, BOOKINGS};
use crate::bench::event::{ACTORS, Ids, Order, PRINCIPALS, mix};
use crate::bench::http::singles;
use crate::bench::load;
use crate::bench::report::{Report, median, percentile};
use crate::bench::server::Server as Program;

/// What each of them holds when it is measured.
const HELD: [u64; 3] = [0, 1_000_000, 10_000_000];
/// Rows that are measured, at most.
const MEASURED_MAX: u64 = 100_000;
/// Connections of an application that changes one row in each transaction.
const APPLICATIONS: u64 = 16;

/// Rates at each size, up to so many rows.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut held: Vec<u64> = HELD.into_iter().filter(|held| *held <= rows).collect();
    if held.len() == 1 {
        held.push(rows);
    }
    let measured = (rows / 10).clamp(load::BATCH, MEASURED_MAX);
    let server = Server::start(folder)?;
    for database in ["plain", "audited", "log"] {
        server.connect("postgres", "bench")?.batch_execute(&format!("CREATE DATABASE {database}"))?;
    }
    copied(&server, &held, measured, report)?;
    by_trigger(&server, &held, measured, report)?;
    ledger(&server, &folder.join("database"), &held, measured, report)
}

/// Name of the figure that the others at this size are compared with.
fn copy_name(held: u64) -> String {
    format!("PostgreSQL COPY, B-trees on the same attributes, {held} rows there")
}

/// Name of the figure of all that is loaded until there are so many.
fn copied_to(held: u64) -> String {
    format!("PostgreSQL COPY, B-trees on the same attributes, until there are {held} rows")
}

fn trigger_name(held: u64, of_each: u64) -> String {
    format!("audit by a trigger, {}, {held} rows there", in_each(of_each))
}

fn in_each(rows: u64) -> String {
    format!("{rows} row{} a transaction", if rows == 1 { "" } else { "s" })
}

fn copied(server: &Server, held: &[u64], measured: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut client = server.connect("plain", "bench")?;
    super::create(&mut client, true)?;
    let mut there = 0;
    for held in held {
        let seconds = super::copy(&mut client, there, *held)?;
        if *held > there {
            report.add(copied_to(*held), (held - there) as f64 / seconds, "rows/s");
        }
        there = held + measured;
        report.add(copy_name(*held), measured as f64 / super::copy(&mut client, *held, there)?, "rows/s");
    }
    drop(client);
    // The disk is needed for what follows.
    server.connect("postgres", "bench")?.batch_execute("DROP DATABASE plain")?;
    Ok(())
}

fn by_trigger(server: &Server, held: &[u64], measured: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut client = server.connect("audited", "bench")?;
    trigger::create_bookings(&mut client)?;
    let few = measured / 10;
    let rate = trigger::update(server, ("audited", "bench"), 4, load::BATCH, measured)?;
    report.add(format!("updates without any audit, {} rows a transaction", load::BATCH), rate, "rows/s");
    let rate = trigger::update(server, ("audited", "bench"), APPLICATIONS, 1, few)?;
    report.add("updates without any audit, 1 row a transaction", rate, "rows/s");
    trigger::create_audit(&mut client)?;
    let mut there = 0;
    for held in held {
        trigger::fill_audit(&mut client, held.saturating_sub(there))?;
        there = held + measured + few;
        for (connections, of_each, rows) in [(4, load::BATCH, measured), (APPLICATIONS, 1, few)] {
            let rate = trigger::update(server, ("audited", "bench"), connections, of_each, rows)?;
            report.compare(trigger_name(*held, of_each), rate, "rows/s", &copy_name(*held));
        }
    }
    let bytes: i64 = client.query_one("SELECT pg_total_relation_size('audit_log')", &[])?.get(0);
    report.add("audit by a trigger, bytes a row, indexes included", bytes as f64 / there as f64, "bytes");
    drop(client);
    server.connect("postgres", "bench")?.batch_execute("DROP DATABASE audited")?;
    Ok(())
}

fn ledger(server: &Server, data: &Path, held: &[u64], measured: u64, report: &mut Report) -> anyhow::Result<()> {
    let checkpoints = data.with_extension("checkpoints");
    // Of a command that works beside the server.
    let beside = data.with_extension("beside");
    let remove = || [data, &checkpoints, &beside].map(|folder| std::fs::remove_dir_all(folder).ok());
    remove();
    let address = server.address("log");
    let mut owner = server.connect("log", "bench")?;
    owner.batch_execute("CREATE EXTENSION pgcrypto")?;
    let program = Program::start_with(data, &["--database", &address])?;
    let (beside, keys, checkpoints) = (beside.to_string_lossy(), data.join("keys"), checkpoints.to_string_lossy());
    let arguments = ["--database", &address, "--data", &beside, "--keys", &keys.to_string_lossy(), "--checkpoints", &checkpoints];
    host::bind(&mut owner, &arguments)?;
    trigger::create_bookings(&mut server.connect("log", host::ROLE)?)?;
    let mut there = 0;
    for held in held {
        let begin = Instant::now();
        load::append(&program, there..*held, Ids::V4, Order::Recorded)?;
        load::wait_until_findable(&program)?;
        if *held > there {
            let rate = (held - there) as f64 / begin.elapsed().as_secs_f64();
            let name = format!("ledger in PostgreSQL, HTTP batches of {} until findable, until there are {held} rows", load::BATCH);
            report.compare(name, rate, "rows/s", &copied_to(*held));
        }
        there = at_size(server, &program, &mut owner, *held, measured, report)?;
    }
    load::wait_until_findable(&program)?;
    let sizes = "SELECT sum(pg_total_relation_size(pg_class.oid))::bigint FROM pg_class
                 WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p')";
    let bytes: i64 = owner.query_one(sizes, &[])?.get(0);
    report.add("ledger in PostgreSQL, bytes a row, B-trees included", bytes as f64 / there as f64, "bytes");
    let index: u64 = std::fs::read_dir(data)?.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
    report.add("ledger in PostgreSQL, bytes a row in the data folder of a server", index as f64 / there as f64, "bytes");
    report.add("ledger in PostgreSQL, greatest resident memory of the server", program.process().resident_max()? / 1e6, "MB");
    by_sql(server, &mut owner, report)?;
    load::questions(&program, there, "in PostgreSQL", report)?;
    program.stop()?;
    let arguments = arguments.map(OsStr::new);
    load::verify(&arguments, there, " in PostgreSQL", report)?;
    remove();
    Ok(())
}

/// The rates of a ledger that holds so many rows; how many it then holds.
fn at_size(
    server: &Server,
    program: &Program,
    owner: &mut postgres::Client,
    held: u64,
    measured: u64,
    report: &mut Report,
) -> anyhow::Result<u64> {
    let few = (measured / 10).max(load::BATCH);
    let mut next = held + measured;
    let seconds = load::append(program, held..next, Ids::V4, Order::Recorded)?;
    let name = format!("ledger in PostgreSQL, HTTP batches of {}, {held} rows there", load::BATCH);
    report.compare(&name, measured as f64 / seconds, "rows/s", &copy_name(held));
    report.compare(format!("{name}, against the trigger"), measured as f64 / seconds, "rows/s", &trigger_name(held, load::BATCH));
    let (seconds, mut latencies) = singles(program, APPLICATIONS, next..next + few)?;
    next += few;
    let name = format!("ledger in PostgreSQL, HTTP single events, {APPLICATIONS} connections, {held} rows there");
    report.compare(&name, few as f64 / seconds, "events/s", &trigger_name(held, 1));
    report.add(format!("{name}, p50"), median(&mut latencies), "ms");
    report.add(format!("{name}, p99"), percentile(&mut latencies, 99.0), "ms");
    let appended = host::append(server, "log", APPLICATIONS, (next, next + few))?;
    next += few;
    report.compare(format!("audit.append, 1 event a transaction, {held} rows there"), appended, "events/s", &trigger_name(held, 1));
    let waiting: i64 = owner.query_one("SELECT count(*) FROM audit.inbox", &[])?.get(0);
    let seconds = host::drained(owner)?;
    report.add(format!("the inbox emptied of the rest, {waiting} events, {held} rows there"), seconds, "s");
    host::watch(server, "log", true)?;
    for (connections, of_each) in [(4, load::BATCH), (APPLICATIONS, 1)] {
        let rate = trigger::update(server, ("log", host::ROLE), connections, of_each, few.min(BOOKINGS))?;
        next += few.min(BOOKINGS);
        let name = format!("row capture, {}, {held} rows there", in_each(of_each));
        report.compare(name, rate, "rows/s", &trigger_name(held, of_each));
    }
    host::watch(server, "log", false)?;
    host::drained(owner)?;
    Ok(next)
}

/// A question in SQL: its name, and its condition for the k-th time it is asked.
type Question = (&'static str, fn(u64) -> String);

/// The questions that the B-trees are there for.
const ASKED: &[Question] = &[
    ("newest 50 of one principal", |k| format!("principal_id = 'user-{:06}' ORDER BY occurred_at DESC LIMIT 50", mix(k) % PRINCIPALS)),
    ("newest 50 of one actor", |k| format!("actor_id = 'agent-{:04}' ORDER BY occurred_at DESC LIMIT 50", mix(k) % ACTORS)),
    ("denied in a second", |k| {
        let second = format!("'2026-01-01T00:00:00Z'::timestamptz + interval '{} s'", k % 60);
        format!("outcome = 'deny' AND occurred_at >= {second} AND occurred_at < {second} + interval '1 s'")
    }),
];

/// What somebody who reads with SQL waits, with the indexes and without them.
fn by_sql(server: &Server, owner: &mut postgres::Client, report: &mut Report) -> anyhow::Result<()> {
    // What was loaded in minutes has not been vacuumed, which is when BRIN learns of pages.
    owner.batch_execute("VACUUM (ANALYZE) audit.events")?;
    owner.batch_execute(
        "CREATE ROLE reader LOGIN; GRANT audit_reader TO reader;
         INSERT INTO audit.readers (role, project_id) SELECT 'reader', project_id::uuid FROM audit.ledgers",
    )?;
    let mut reader = server.connect("log", "reader")?;
    for (question, condition) in ASKED {
        for (how, planner, asked) in [("", "on", 50), (", without an index", "off", 3)] {
            reader.batch_execute(&format!("SET enable_indexscan TO {planner}; SET enable_bitmapscan TO {planner}"))?;
            let mut waited = Vec::new();
            for k in 0..asked {
                let sql = format!("SELECT entry FROM audit.audit_events WHERE {}", condition(k));
                let begin = Instant::now();
                reader.query(&sql, &[])?;
                waited.push(begin.elapsed().as_secs_f64() * 1e3);
            }
            report.add(format!("by SQL, {question}{how}, p50"), median(&mut waited), "ms");
        }
    }
    Ok(())
}
