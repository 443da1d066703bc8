//! Appending through HTTP: single events over 1, 16 and 64 connections.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::event::{Event, Ids, Order};
use super::report::{Report, percentile};
use super::server::Server;
use super::together;

/// Rate and latency of single events until durable.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    for (connections, events) in [(1_u64, 500_u64), (16, 6_000), (64, 20_000)] {
        let events = events.min(rows / 10).max(connections);
        let data = folder.join("single");
        std::fs::remove_dir_all(&data).ok();
        let server = Server::start(&data)?;
        let (seconds, mut all) = singles(&server, connections, 0..events)?;
        report.add(format!("HTTP single events, {connections} connections"), events as f64 / seconds, "events/s");
        report.add(format!("HTTP single events, {connections} connections, p50"), percentile(&mut all, 50.0), "ms");
        report.add(format!("HTTP single events, {connections} connections, p99"), percentile(&mut all, 99.0), "ms");
        server.stop()?;
        std::fs::remove_dir_all(&data).ok();
    }
    Ok(())
}

/// Appends the events of these numbers one by one: how long it took, in seconds, and each of them, in milliseconds.
pub(crate) fn singles(server: &Server, connections: u64, numbers: Range<u64>) -> anyhow::Result<(f64, Vec<f64>)> {
    let (next, begin) = (AtomicU64::new(numbers.start), Instant::now());
    let latencies = together(connections, || single(server, &next, numbers.end))?;
    Ok((begin.elapsed().as_secs_f64(), latencies.concat()))
}

fn single(server: &Server, next: &AtomicU64, events: u64) -> anyhow::Result<Vec<f64>> {
    let mut client = server.connect()?;
    let (mut body, mut latencies) = (String::new(), Vec::new());
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= events {
            return Ok(latencies);
        }
        body.clear();
        Event { n, ids: Ids::V4, order: Order::Recorded }.write_submission(&mut body);
        let begin = Instant::now();
        client.append("application/json", body.as_bytes())?;
        latencies.push(begin.elapsed().as_secs_f64() * 1_000.0);
    }
}
