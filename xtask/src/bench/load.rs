//! The great load: rows through HTTP in NDJSON batches until durable and until findable, the cost of appending
//! as the log grows, then questions and verification over what was loaded.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::event::{ACTORS, Event, Ids, Order, PRINCIPALS, RUN_EVENTS, mix};
use super::postgres::INDEXED;
use super::proof;
use super::report::{Report, median, percentile};
use super::server::{Process, Server, program};
use super::together;

/// Events of a request.
pub(crate) const BATCH: u64 = 500;
const CONNECTIONS: u64 = 4;
/// Questions of one kind, at most.
const QUESTIONS_MAX: u64 = 200;

/// The loads: their parts in `--only`, and what is loaded.
pub(crate) const LOADS: [(&str, Ids, Order, &str); 4] = [
    ("load", Ids::V4, Order::Recorded, "UUIDv4, in order"),
    ("load-v7", Ids::V7, Order::Recorded, "UUIDv7, in order"),
    ("load-shuffled", Ids::V4, Order::Shuffled, "UUIDv4, shuffled within an hour"),
    ("load-late", Ids::V4, Order::Late, "UUIDv4, a tenth years late"),
];

/// Loads `rows` events as each of the wanted parts says; only the first is verified.
pub(crate) fn run(folder: &Path, rows: u64, wanted: impl Fn(&str) -> bool, report: &mut Report) -> anyhow::Result<()> {
    ensure!(rows >= 10 * BATCH, "a load has ten parts of at least {BATCH} rows each: give --rows {} or more", 10 * BATCH);
    for (_, ids, order, name) in LOADS.into_iter().filter(|(part, ..)| wanted(part)) {
        let data = folder.join("load");
        remove(&data);
        let server = Server::start(&data)?;
        load(&server, rows, ids, order, name, report)?;
        questions(&server, rows, name, report)?;
        if ids == Ids::V4 && order == Order::Recorded {
            proof::served(&server, rows, |n| Event { n, ids, order }, report)?;
            let bytes: u64 = std::fs::read_dir(&data)?.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
            report.add("bytes a row, index included", bytes as f64 / rows as f64, "bytes");
            report.add("greatest resident memory of the server", server.process().resident_max()? / 1e6, "MB");
            server.stop()?;
            let checkpoints = data.with_extension("checkpoints");
            verify(&[OsStr::new("--data"), data.as_os_str(), OsStr::new("--checkpoints"), checkpoints.as_os_str()], rows, "", report)?;
        } else {
            server.stop()?;
        }
        remove(&data);
    }
    Ok(())
}

/// Removes a data folder and its checkpoint store.
fn remove(data: &Path) {
    for folder in [data.to_owned(), data.with_extension("checkpoints")] {
        std::fs::remove_dir_all(folder).ok();
    }
}

fn load(server: &Server, rows: u64, ids: Ids, order: Order, name: &str, report: &mut Report) -> anyhow::Result<()> {
    let tenth = (rows / 10).max(BATCH);
    let mut costs = Vec::new();
    let begin = Instant::now();
    for part in 0..10 {
        let (from, until) = (part * tenth, if part == 9 { rows } else { (part + 1) * tenth });
        costs.push(append(server, from..until, ids, order)? * 1e6 / (until - from) as f64);
        eprintln!("    {until} rows, {:.2} µs a row", costs[costs.len() - 1]);
    }
    let durable = begin.elapsed().as_secs_f64();
    wait_until_findable(server)?;
    let findable = begin.elapsed().as_secs_f64();
    report.add(format!("processor time of the server a row, {name}"), server.process().processor_seconds()? * 1e6 / rows as f64, "µs");
    report.compare(format!("HTTP batches of {BATCH} until durable, {name}"), rows as f64 / durable, "rows/s", INDEXED);
    report.compare(format!("HTTP batches of {BATCH} until findable, {name}"), rows as f64 / findable, "rows/s", INDEXED);
    let first = format!("cost of a row, first tenth of {rows}, {name}");
    report.add(&first, costs[0], "µs");
    report.compare(format!("cost of a row, second tenth, {name}"), costs[1], "µs", &first);
    report.compare(format!("cost of a row, last tenth, {name}"), costs[9], "µs", &first);
    Ok(())
}

/// Appends the events of these numbers over all connections, until they are durable; seconds.
pub(crate) fn append(server: &Server, numbers: Range<u64>, ids: Ids, order: Order) -> anyhow::Result<f64> {
    let (next, begin) = (AtomicU64::new(numbers.start), Instant::now());
    together(CONNECTIONS, || batches(server, &next, numbers.end, ids, order))?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Waits until everything is findable: a read waits for the index.
pub(crate) fn wait_until_findable(server: &Server) -> anyhow::Result<()> {
    loop {
        let answer = server.connect()?.get("/v1/audit/events?limit=1")?;
        if answer.status == 200 {
            return Ok(());
        }
        ensure!(answer.status == 503, "{}", String::from_utf8_lossy(&answer.body));
    }
}

fn batches(server: &Server, next: &AtomicU64, until: u64, ids: Ids, order: Order) -> anyhow::Result<()> {
    let mut client = server.connect()?;
    let mut body = String::new();
    loop {
        let from = next.fetch_add(BATCH, Ordering::Relaxed);
        if from >= until {
            return Ok(());
        }
        body.clear();
        for n in from..until.min(from + BATCH) {
            Event { n, ids, order }.write_submission(&mut body);
            body.push('\n');
        }
        client.append("application/x-ndjson", body.as_bytes())?;
    }
}

/// A question: its name, and its filter for the k-th time it is asked.
type Question = (&'static str, fn(u64, u64) -> String);

const ASKED: &[Question] = &[
    ("newest 50", |_, _| String::new()),
    ("newest 50 of one actor", |k, _| format!("actor.id eq \"agent-{:04}\"", mix(k) % ACTORS)),
    ("newest 50 of one principal", |k, _| format!("principal.id eq \"user-{:06}\"", mix(k) % PRINCIPALS)),
    ("one run", |k, rows| format!("run.id eq \"run-{:010}\"", mix(k) % (rows / RUN_EVENTS).max(1))),
    ("resource and outcome", |k, _| format!("resource.id eq \"reservation-{:08}\" and outcome eq \"deny\"", mix(k) % 1_000_000)),
    ("contains", |k, _| format!("actor.display co \"agent {:03}\"", mix(k) % 100)),
    ("matches nothing", |k, _| format!("actor.id eq \"nobody-{k}\"")),
];

/// Asks each question as often as there are rows for, to what was loaded.
pub(crate) fn questions(server: &Server, rows: u64, name: &str, report: &mut Report) -> anyhow::Result<()> {
    let mut client = server.connect()?;
    let mut recording = Vec::new();
    for (question, filter) in ASKED {
        let mut searching = Vec::new();
        for k in 0..(rows / 100).clamp(1, QUESTIONS_MAX) {
            let filter: String = filter(k, rows)
                .bytes()
                .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect();
            let path = if filter.is_empty() {
                "/v1/audit/events?limit=50".to_owned()
            } else {
                format!("/v1/audit/events?limit=50&filter={filter}")
            };
            let answer = client.get(&path)?;
            ensure!(answer.status == 200, "{question}: {}", String::from_utf8_lossy(&answer.body));
            searching.push(answer.milliseconds("search").context("no Server-Timing")?);
            recording.push(answer.milliseconds("record").context("no Server-Timing")?);
        }
        report.add(format!("{question}, {name}, p50"), median(&mut searching), "ms");
        report.add(format!("{question}, {name}, p99"), percentile(&mut searching, 99.0), "ms");
    }
    report.add(format!("recording the read itself, {name}, p50"), median(&mut recording), "ms");
    Ok(())
}

/// Verifies a ledger with the program itself, as an auditor would. `of_what` follows the names of the figures.
pub(crate) fn verify(arguments: &[&OsStr], rows: u64, of_what: &str, report: &mut Report) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut command = Command::new(program());
    command.args(["verify", "--json"]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let process = Process(child.id());
    let (mut resident, mut processor) = (0.0, 0.0);
    // What it prints fits the pipe, so it cannot wait for us. The last look is at most a moment old.
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        (resident, processor) = (process.resident_max().unwrap_or(resident), process.processor_seconds().unwrap_or(processor));
        std::thread::sleep(Duration::from_millis(20));
    };
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(status.success(), "the verification of the load found something");
    report.add(format!("verification of everything{of_what}"), rows as f64 / seconds, "rows/s");
    report.add(format!("verification of everything{of_what}, a second of processor time"), rows as f64 / processor.max(0.01), "rows");
    report.add(format!("greatest resident memory of the verification{of_what}"), resident / 1e6, "MB");
    Ok(())
}
