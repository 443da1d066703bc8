//! Streams: how fast a backlog goes to one receiver, over HTTPS on loopback, beside the same bodies posted by a client that has no ledger; single
//! events; how long after its acknowledgement an event arrives; a hundred streams, with a dead one and without.

mod receiver;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::event::{Event, Ids, Order};
use super::load;
use super::report::{Report, percentile};
use super::server::Server;
use receiver::{DEAD, Poster, Receiver, tls_file};

const STREAMS: &str = "/v1/audit_streams";
/// Events in a delivery.
const BATCH: u64 = 1_000;
/// Events of the backlog, at most.
const BACKLOG_MAX: u64 = 1_000_000;
/// Events of the other measurements, at most.
const EVENTS_MAX: u64 = 20_000;
/// While the lag is measured: events in a request, and how often there is one.
const STEADY: (u64, Duration) = (10, Duration::from_millis(5));
/// Streams at once, and events of each.
const MANY: usize = 100;
const MANY_EVENTS_MAX: u64 = 2_000;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_mins(10);

/// What the others are compared with.
const BASELINE: &str = "the same bodies over one connection, no ledger";

/// All of them, on one server.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let data = folder.join("streams");
    remove(&data);
    let ca = tls_file("ca.pem");
    let server = Server::start_with(&data, &["--stream-allow", "127.0.0.1", "--stream-ca-file", ca.to_str().context("a path in UTF-8")?])?;
    let mut bench = Bench { receiver: Receiver::start()?, server, appended: 0 };
    bench.ask("/v1/webhook_signing_keys", &json!({"name": "k", "primary": true}), 201)?;
    bench.backlog(rows.min(BACKLOG_MAX), report)?;
    bench.single((rows / 10).min(EVENTS_MAX), report)?;
    bench.lag((rows / 10).min(EVENTS_MAX), report)?;
    bench.many((rows / 100).min(MANY_EVENTS_MAX), report)?;
    report.add("greatest resident memory of the server that streams", bench.server.process().resident_max()? / 1e6, "MB");
    bench.server.stop()?;
    remove(&data);
    Ok(())
}

/// The server with its streams, and who receives them.
struct Bench {
    server: Server,
    receiver: Receiver,
    /// Events of the bench so far.
    appended: u64,
}

impl Bench {
    /// A connection for one request: one that is kept may have been closed while something else took long.
    fn desk(&self) -> anyhow::Result<Client> {
        self.server.connect()
    }

    fn ask(&mut self, path: &str, body: &Value, status: u16) -> anyhow::Result<Value> {
        let answer = self.desk()?.post(path, "application/json", body.to_string().as_bytes())?;
        ensure!(answer.status == status, "{path}: {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Makes a stream; its URL in the API.
    fn stream(&mut self, path: &str, batch: u64, start: &str) -> anyhow::Result<String> {
        let document = json!({"name": path, "url": self.receiver.url(path), "batch_events_max": batch, "start": start});
        let made = self.ask(STREAMS, &document, 201)?;
        Ok(format!("{STREAMS}/{}", made["id"].as_str().context("no id")?))
    }

    /// Ends a stream, so that the next measurement has the machine for itself.
    fn end(&mut self, stream: &str) -> anyhow::Result<()> {
        let status = self.desk()?.delete(stream)?.status;
        ensure!(status == 204, "a stream does not end: {status}");
        Ok(())
    }

    /// Appends so many events, as fast as they are taken.
    fn append(&mut self, events: u64) -> anyhow::Result<()> {
        let from = self.appended;
        self.appended += events;
        load::append(&self.server, from..self.appended, Ids::V4, Order::Recorded)?;
        load::wait_until_findable(&self.server)
    }

    /// Events of the project so far, and the next that a stream comes to, by what is stored of it.
    fn position(&mut self, stream: &str) -> anyhow::Result<(u64, u64)> {
        let answer = self.desk()?.get(&format!("{stream}/status"))?;
        ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
        let status: Value = serde_json::from_slice(&answer.body)?;
        let number = |name: &str| status["positions"][0][name].as_u64();
        // It has no position before it was looked at for the first time.
        Ok((number("events").unwrap_or(u64::MAX), number("next_sequence").unwrap_or(0)))
    }

    /// Waits until everything before a sequence has arrived.
    fn arrived(&self, paths: &[String], size: u64) -> anyhow::Result<()> {
        let begin = Instant::now();
        while paths.iter().any(|path| self.receiver.next(path) < size) {
            ensure!(begin.elapsed() < PATIENCE, "a stream does not go on");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The same, and until it is recorded.
    fn recorded(&mut self, stream: &str, path: &str, size: u64) -> anyhow::Result<()> {
        self.arrived(&[path.to_owned()], size)?;
        let begin = Instant::now();
        while self.position(stream)?.1 < size {
            ensure!(begin.elapsed() < PATIENCE, "what was delivered is not recorded");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Events of the project.
    fn size(&mut self) -> anyhow::Result<u64> {
        let answer = self.desk()?.get("/v1/audit/events?limit=1")?;
        let page: Value = serde_json::from_slice(&answer.body)?;
        Ok(page["data"][0]["sequence"].as_u64().context("no event")? + 1)
    }

    fn backlog(&mut self, events: u64, report: &mut Report) -> anyhow::Result<()> {
        self.append(events)?;
        let size = self.size()?;
        let (begin, before) = (Instant::now(), self.server.process().processor_seconds()?);
        let stream = self.stream("/backlog", BATCH, "beginning")?;
        self.recorded(&stream, "/backlog", size)?;
        let seconds = begin.elapsed().as_secs_f64();
        let cost = self.server.process().processor_seconds()? - before;
        self.end(&stream)?;
        let bodies = std::mem::take(&mut self.receiver.arrivals().get_mut("/backlog").context("nothing came")?.bodies);
        report.compare(
            format!("a stream in batches of {BATCH}, until delivered and recorded"),
            size as f64 / seconds,
            "events/s",
            BASELINE,
        );
        report.add("processor time of the server an event of it", cost * 1e6 / size as f64, "µs");
        report.add("bytes of a delivery of it", bodies[0].len() as f64, "bytes");
        let mut poster = Poster::connect(&self.receiver)?;
        let begin = Instant::now();
        for n in 0..size.div_ceil(BATCH) {
            poster.post(&bodies[usize::try_from(n)? % bodies.len()])?;
        }
        report.add(BASELINE, size as f64 / begin.elapsed().as_secs_f64(), "events/s");
        Ok(())
    }

    fn single(&mut self, events: u64, report: &mut Report) -> anyhow::Result<()> {
        let stream = self.stream("/single", 1, "now")?;
        self.ask(&format!("{stream}/pause"), &json!({}), 200)?;
        self.append(events)?;
        let size = self.size()?;
        let begin = Instant::now();
        self.ask(&format!("{stream}/resume"), &json!({}), 200)?;
        self.recorded(&stream, "/single", size)?;
        report.add("a stream of single events, until delivered and recorded", events as f64 / begin.elapsed().as_secs_f64(), "events/s");
        self.end(&stream)
    }

    /// Appends at a steady rate, and looks how long after its acknowledgement each event arrives.
    fn lag(&mut self, events: u64, report: &mut Report) -> anyhow::Result<()> {
        let stream = self.stream("/lag", BATCH, "now")?;
        let size = self.size()?;
        self.arrived(&["/lag".to_owned()], size)?;
        let mut desk = self.desk()?;
        let (mut body, mut acknowledged, begin) = (String::new(), Vec::new(), Instant::now());
        for (n, from) in (self.appended..self.appended + events).step_by(usize::try_from(STEADY.0)?).enumerate() {
            let due = STEADY.1 * u32::try_from(n)?;
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            body.clear();
            for n in from..from + STEADY.0 {
                Event { n, ids: Ids::V4, order: Order::Recorded }.write_submission(&mut body);
                body.push('\n');
            }
            let answer = desk.append("application/x-ndjson", body.as_bytes())?;
            let at = Instant::now();
            let receipts: Value = serde_json::from_slice(&answer.body)?;
            let receipts = receipts["receipts"].as_array().context("no receipts")?;
            acknowledged.extend(receipts.iter().filter_map(|receipt| receipt["sequence"].as_u64()).map(|sequence| (sequence, at)));
        }
        self.appended += events + STEADY.0;
        let rate = acknowledged.len() as f64 / begin.elapsed().as_secs_f64();
        let last = acknowledged.last().context("nothing was appended")?.0;
        self.arrived(&["/lag".to_owned()], last + 1)?;
        let mut lags = Vec::new();
        {
            let arrivals = self.receiver.arrivals();
            let requests = &arrivals["/lag"].requests;
            for (sequence, at) in acknowledged {
                let (_, came_at) = requests[requests.partition_point(|(last, _)| *last < sequence)];
                lags.push(came_at.saturating_duration_since(at).as_secs_f64() * 1_000.0);
            }
        }
        report.add("appended meanwhile, ten at a time", rate, "events/s");
        report.add("from acknowledged to received, p50", percentile(&mut lags, 50.0), "ms");
        report.add("from acknowledged to received, p99", percentile(&mut lags, 99.0), "ms");
        self.end(&stream)
    }

    /// A hundred streams at once, then the same where the receiver of one never answers.
    fn many(&mut self, events: u64, report: &mut Report) -> anyhow::Result<()> {
        let without = format!("{MANY} streams in batches of {BATCH}, delivered by all");
        for is_one_dead in [false, true] {
            let mut paths: Vec<String> = (0..MANY).map(|n| format!("/many/{is_one_dead}/{n}")).collect();
            if is_one_dead {
                DEAD.clone_into(&mut paths[MANY / 2]);
            }
            let streams = paths.iter().map(|path| self.stream(path, BATCH, "now")).collect::<anyhow::Result<Vec<_>>>()?;
            paths.retain(|path| path != DEAD);
            let size = self.size()?;
            self.arrived(&paths, size)?;
            let begin = Instant::now();
            self.append(events)?;
            let size = self.size()?;
            self.arrived(&paths, size)?;
            let rate = events as f64 * paths.len() as f64 / begin.elapsed().as_secs_f64();
            if is_one_dead {
                report.compare(format!("{} streams beside one that is dead, delivered by all", paths.len()), rate, "events/s", &without);
            } else {
                report.add(&without, rate, "events/s");
            }
            for stream in &streams {
                self.end(stream)?;
            }
        }
        Ok(())
    }
}

/// Removes a data folder and its checkpoint store.
fn remove(data: &Path) {
    for folder in [data.to_owned(), data.with_extension("checkpoints")] {
        std::fs::remove_dir_all(folder).ok();
    }
}
