//! Figures in the text format of Prometheus: what the HTTP side counted, and what the ledger says of itself.
//!
//! No figure has a label that names a tenant, a key or a path with an id in it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indelible_engine::Status;
use indelible_engine::cosigning::{CosigningStatus, WitnessStatus};
use indelible_engine::patrol::PatrolStatus;
use indelible_engine::stream::StreamsStatus;

/// Upper bounds of the latency buckets, microseconds.
const BUCKETS_MICROS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// Counters of the HTTP side.
#[derive(Default)]
pub(super) struct Metrics {
    /// By first digit of the status, 1 to 5.
    answers: [AtomicU64; 6],
    /// Not cumulative; the last is for what took longer.
    durations: [AtomicU64; BUCKETS_MICROS.len() + 1],
    micros: AtomicU64,
}

impl Metrics {
    /// Counts one answer.
    pub(super) fn answered(&self, status: u16, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = BUCKETS_MICROS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS_MICROS.len());
        self.answers[usize::from(status / 100).min(5)].fetch_add(1, Ordering::Relaxed);
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// All figures, as text.
    pub(super) fn text(&self, status: &Status) -> String {
        let mut out = String::with_capacity(4_096);
        let name = "indelible_http_requests_total";
        head(&mut out, name, "counter", "Requests answered, by class of status.");
        for class in 1..=5 {
            let _ = writeln!(out, "{name}{{status=\"{class}xx\"}} {}", self.answers[class].load(Ordering::Relaxed));
        }
        self.histogram(&mut out);
        let gauges = [
            ("indelible_appends_refused", "1 while appends are refused.", u64::from(status.refusing.is_some())),
            ("indelible_rows_indexed", "Rows that the index has.", status.rows_indexed),
            ("indelible_index_lag_rows", "Rows that the index has not.", status.rows.saturating_sub(status.rows_indexed)),
            ("indelible_queue_bytes", "Bytes waiting for the writer.", status.queue_bytes),
            ("indelible_queue_events", "Events waiting for the writer.", status.queue_events),
            ("indelible_rows_unanchored", "Rows that no anchor covers.", status.sealing.rows_waiting),
            ("indelible_sealing_failing", "1 while sealing fails and is tried again.", u64::from(status.sealing.failing.is_some())),
            (
                "indelible_signing_keys_failing",
                "Signing keys that should sign beside the newest and do not; checkpoints go without them.",
                status.sealing.keys_failing,
            ),
            ("indelible_trees_refused", "Trees that are not signed until somebody deals with it.", status.sealing.refused),
        ];
        for (name, help, value) in gauges {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
        let counters = [
            ("indelible_rows_total", "Rows committed, of all projects.", status.rows),
            ("indelible_commits_total", "Transactions committed since start.", status.commits_total),
            ("indelible_commit_failures_total", "Transactions that failed since start.", status.commit_failures_total),
            ("indelible_duplicates_total", "Events that were retries since start.", status.duplicates_total),
            (
                "indelible_schema_violations_total",
                "Times that a stored event broke an event schema which only reports, since start.",
                status.schema_violations_total,
            ),
            ("indelible_sealings_total", "Sealings that came to their end since start.", status.sealing.sealings_total),
        ];
        for (name, help, value) in counters {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {value}");
        }
        let name = "indelible_commit_seconds_total";
        head(&mut out, name, "counter", "Time spent in COMMIT since start.");
        let _ = writeln!(out, "{name} {}", seconds(status.commit_micros_total));
        let name = "indelible_seconds_since_sealed";
        head(&mut out, name, "gauge", "Since a sealing last came to its end, or since start where none has.");
        let _ = writeln!(out, "{name} {}", status.sealing.since.as_secs_f64());
        if let Some((seconds, _)) = status.clock_ahead {
            let name = "indelible_clock_ahead_of_database_seconds";
            head(&mut out, name, "gauge", "How far the clock of this server is ahead of the database's; below zero where it is behind.");
            let _ = writeln!(out, "{name} {seconds}");
        }
        streamed(&mut out, &status.streams);
        if let Some(patrol) = &status.patrol {
            patrolled(&mut out, patrol);
        }
        if let Some(cosigning) = &status.cosigning {
            cosigned(&mut out, cosigning);
        }
        out
    }

    fn histogram(&self, out: &mut String) {
        let name = "indelible_http_request_duration_seconds";
        head(out, name, "histogram", "Time from the head of a request to the head of its answer.");
        let mut count = 0;
        for (bound, bucket) in BUCKETS_MICROS.iter().zip(&self.durations) {
            count += bucket.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {count}", seconds(*bound));
        }
        count += self.durations[BUCKETS_MICROS.len()].load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_sum {}", seconds(self.micros.load(Ordering::Relaxed)));
        let _ = writeln!(out, "{name}_count {count}");
    }
}

/// How the streams go that this server delivers.
fn streamed(out: &mut String, status: &StreamsStatus) {
    let gauges = [
        ("indelible_streams_running", "Streams that this server delivers.", status.running as f64),
        ("indelible_streams_paused", "Streams that are paused.", status.paused as f64),
        ("indelible_streams_failing", "Streams of these that deliver nothing now.", status.failing as f64),
        ("indelible_stream_lag_events", "Events before the running stream that is the furthest behind.", status.lag_events_max as f64),
        (
            "indelible_stream_lag_seconds",
            "How long ago the oldest event was recorded that lies before a running stream.",
            status.lag_max.as_secs_f64(),
        ),
    ];
    for (name, help, value) in gauges {
        head(out, name, "gauge", help);
        let _ = writeln!(out, "{name} {value}");
    }
    let counters = [
        ("indelible_stream_deliveries_total", "Deliveries that were taken since start.", status.delivered_total),
        ("indelible_stream_events_total", "Events in them.", status.events_total),
        ("indelible_stream_failures_total", "Attempts that failed since start.", status.failed_total),
        ("indelible_stream_dead_letters_total", "Deliveries that became dead letters since start.", status.dead_total),
    ];
    for (name, help, value) in counters {
        head(out, name, "counter", help);
        let _ = writeln!(out, "{name} {value}");
    }
}

/// What verification in the background finds.
fn patrolled(out: &mut String, status: &PatrolStatus) {
    let gauges = [
        ("indelible_integrity_findings", "Findings of the last verification in the background.", status.findings as f64),
        ("indelible_verified_rows", "Rows that it read.", status.rows_verified as f64),
        ("indelible_verification_age_seconds", "Since it ended, or since start where none has.", status.since.as_secs_f64()),
        ("indelible_verification_failing", "1 while it fails and is tried again.", f64::from(u8::from(status.failing))),
    ];
    for (name, help, value) in gauges {
        head(out, name, "gauge", help);
        let _ = writeln!(out, "{name} {value}");
    }
    let name = "indelible_verifications_total";
    head(out, name, "counter", "Verifications in the background that came to their end since start.");
    let _ = writeln!(out, "{name} {}", status.rounds_total);
}

/// What witnesses say. A name is the policy's, escaped as the format asks.
fn cosigned(out: &mut String, status: &CosigningStatus) {
    let gauges = [
        ("indelible_checkpoint_size", "Leaves of the newest checkpoint of the instance tree.", Some(status.size as f64)),
        ("indelible_quorum_met", "1 while the quorum has cosigned the newest checkpoint.", Some(f64::from(u8::from(status.is_fulfilled)))),
        (
            "indelible_cosigned_size",
            "Leaves of the newest checkpoint that the quorum cosigned.",
            status.cosigned_size.map(|size| size as f64),
        ),
        ("indelible_cosigned_age_seconds", "Time since the last cosignature of that one came.", status.cosigned_age_micros.map(seconds)),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            head(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
    let mut each = |name: &str, help: &str, figure: &dyn Fn(&WitnessStatus) -> Option<(String, f64)>| {
        head(out, name, "gauge", help);
        for witness in &status.witnesses {
            let label = witness.name.replace('\\', "\\\\").replace('"', "\\\"");
            if let Some((more, value)) = figure(witness) {
                let _ = writeln!(out, "{name}{{witness=\"{label}\"{more}}} {value}");
            }
        }
    };
    let plain = |value: f64| (String::new(), value);
    each("indelible_witness_size", "Leaves of the largest checkpoint that the witness cosigned.", &|witness| {
        witness.size.map(|size| plain(size as f64))
    });
    each("indelible_witness_succeeded_seconds", "When the witness last cosigned, since start; seconds since 1970.", &|witness| {
        witness.succeeded_at.map(|at| plain(at.as_micros() as f64 / 1e6))
    });
    each("indelible_witness_failing", "1 with the reason while the witness does not cosign.", &|witness| {
        witness.failing.as_ref().map(|failure| (format!(",reason=\"{}\"", failure.kind.as_str()), 1.0))
    });
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use indelible_engine::Sealing;

    use super::*;

    #[test]
    fn witnesses_are_told_apart_with_their_reasons() {
        let name = indelible_core::note::Name::new("w").expect("a name");
        let key = indelible_core::note::VerifierKey::new(name, indelible_core::note::Algorithm::CosignatureV1, [7; 32]);
        let witness = |name: &str, size, failing| WitnessStatus {
            name: name.to_owned(),
            key: key.clone(),
            is_asked: true,
            size,
            succeeded_at: indelible_core::time::Timestamp::from_micros(1_500_000).filter(|_| size.is_some()),
            failing,
        };
        let failure = indelible_engine::cosigning::Failure {
            kind: indelible_engine::cosigning::FailureKind::Forked,
            detail: "another history".to_owned(),
        };
        let cosigning = CosigningStatus {
            size: 9,
            cosigned_size: Some(7),
            cosigned_at: None,
            cosigned_age_micros: Some(2_500_000),
            is_fulfilled: false,
            witnesses: vec![witness("a", Some(7), None), witness("b\"\\", None, Some(failure))],
        };
        let text = Metrics::default().text(&Status { cosigning: Some(cosigning), ..Status::default() });
        for line in [
            "indelible_checkpoint_size 9",
            "indelible_quorum_met 0",
            "indelible_cosigned_size 7",
            "indelible_cosigned_age_seconds 2.5",
            "indelible_witness_size{witness=\"a\"} 7",
            "indelible_witness_succeeded_seconds{witness=\"a\"} 1.5",
            "indelible_witness_failing{witness=\"b\\\"\\\\\",reason=\"forked\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn buckets_are_cumulative_and_every_line_is_a_figure() {
        let metrics = Metrics::default();
        for (status, micros) in [(201, 400), (201, 500), (404, 501), (503, 99_000_000)] {
            metrics.answered(status, Duration::from_micros(micros));
        }
        let sealing = Sealing { since: Duration::from_millis(61_500), refused: 2, rows_waiting: 3, ..Sealing::default() };
        let since = Duration::from_millis(90_500);
        let patrol = PatrolStatus { findings: 3, rows_verified: 6, since, rounds_total: 1, failing: false };
        let streams = StreamsStatus {
            running: 4,
            paused: 3,
            failing: 1,
            lag_events_max: 30,
            lag_max: Duration::from_millis(2_500),
            dead_total: 2,
            ..StreamsStatus::default()
        };
        let text = metrics.text(&Status { rows: 7, rows_indexed: 5, sealing, patrol: Some(patrol), streams, ..Status::default() });
        for line in [
            "indelible_http_requests_total{status=\"2xx\"} 2",
            "indelible_http_requests_total{status=\"5xx\"} 1",
            "indelible_http_request_duration_seconds_bucket{le=\"0.0005\"} 2",
            "indelible_http_request_duration_seconds_bucket{le=\"0.001\"} 3",
            "indelible_http_request_duration_seconds_bucket{le=\"10\"} 3",
            "indelible_http_request_duration_seconds_bucket{le=\"+Inf\"} 4",
            "indelible_http_request_duration_seconds_count 4",
            "indelible_index_lag_rows 2",
            "indelible_rows_unanchored 3",
            "indelible_trees_refused 2",
            "indelible_sealing_failing 0",
            "indelible_seconds_since_sealed 61.5",
            "indelible_integrity_findings 3",
            "indelible_verified_rows 6",
            "indelible_verification_age_seconds 90.5",
            "indelible_verification_failing 0",
            "indelible_verifications_total 1",
            "indelible_streams_failing 1",
            "indelible_streams_paused 3",
            "indelible_stream_lag_seconds 2.5",
            "indelible_stream_dead_letters_total 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
        let figure = |line: &str| line.starts_with("# ") || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok());
        assert!(text.lines().all(figure), "{text}");
    }
}
