//! Rates of the index alone, for whoever tunes it: `cargo test --release -p indelible-engine measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use indelible_core::filter::Filter;

use super::fixture::{Event, Fixture};
use crate::query::newest::{Bounds, newest};

/// Entries of about 1 KiB with a dozen indexed values, half of them nearly unique.
fn load(fixture: &mut Fixture, rows: u64) {
    let padding = "x".repeat(420);
    let events: Vec<Event> = (0..rows)
        .map(|n| {
            let noise = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Event {
                project: 1,
                id: u128::from(noise) << 64 | u128::from(noise.rotate_left(17) ^ n),
                occurred_at: 1_700_000_000_000_000 + n as i64 * 1_000,
                action: ["tool.call", "tool.result", "policy.create", "model.invoke"][(noise >> 60) as usize % 4].to_owned(),
                actor: format!("actor-{}", (noise >> 20) % 2_000),
                outcome: if noise.is_multiple_of(11) { "deny" } else { "allow" }.to_owned(),
                tool: Some(format!(
                    "tool-{}\",\"note\":\"{}\"}},\"operation_id\":\"op-{}\",\"principal\":{{\"id\":\"user-{}\",\"type\":\"user\"}},\"reason\":\"{padding}\",\"request\":{{\"request_id\":\"r-{noise}\"}},\"resource\":{{\"id\":\"res-{}\",\"type\":\"file\"}},\"run\":{{\"id\":\"run-{}\"}},\"usage\":{{\"currency\":\"usd",
                    (noise >> 30) % 20,
                    noise % 3,
                    n / 2,
                    (noise >> 10) % 5_000,
                    (noise >> 40) % 10_000,
                    n / 20
                )),
            }
        })
        .collect();
    for part in events.chunks(50_000) {
        fixture.append(part);
    }
}

#[test]
#[ignore = "a measurement, not a test"]
fn measure() {
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let mut fixture = Fixture::new();
    load(&mut fixture, rows);
    let bytes: i64 = fixture.ledger.query_row("SELECT avg(length(entry)) FROM events", [], |row| row.get::<_, f64>(0)).expect("avg") as i64;
    let started = Instant::now();
    let index = fixture.open();
    fixture.index_all(&index);
    let took = started.elapsed();
    println!("{rows} rows of {bytes} bytes indexed in {took:?}: {:.0} rows/s", rows as f64 / took.as_secs_f64());
    for text in [
        r#"actor.id eq "actor-7""#,
        r#"actor.id eq "actor-7" and outcome eq "deny""#,
        "",
        r#"actor.id eq "nobody""#,
        r#"run.id eq "run-77""#,
    ] {
        let filter = (!text.is_empty()).then(|| Filter::parse(text).expect(text));
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let started = Instant::now();
                fixture.scan(&index, 1, filter.as_ref(), |scan| newest(scan, Bounds::default(), 50)).expect("a page");
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("newest 50 of {text:?}: p50 {:?}, p99 {:?}", times[100], times[197]);
    }
}
