//! What a request may cost in memory: not many times its own size, whatever is in it; and what an export and its verification may,
//! however many events there are.

use std::io::Read as _;
use std::process::Command;

use indelible_core::limits::REQUEST_BYTES_MAX;

use crate::process::Server;

const MIB: u64 = 1024 * 1024;

#[test]
fn bodies_of_many_tiny_values_make_no_tree() {
    let event = r#"{"action":"tiny.values","outcome":"allow","actor":{"type":"human","id":"a"},"content":{"output":"#;
    let fill = |before: &str, item: &str, after: &str| {
        let items = (REQUEST_BYTES_MAX - before.len() - after.len()) / item.len() - 1;
        format!("{before}{}{}{after}", item.repeat(items), item.trim_end_matches(','))
    };
    // The body, and how much it may cost: itself and room to grow, or the tree of a million values beside.
    let cases = [
        (fill("[", "1,", "]"), 80),
        (fill("[", "{},", "]"), 80),
        (fill("[", "[],", ""), 80),
        (fill(&format!("{event}["), "[],", "]}}"), 190),
        (fill(&format!("{event}["), "{},", "]}}"), 190),
        (fill(&format!("[{event}["), "[],", "]}}]"), 190),
        (fill(&format!("{event}\"["), "[],", "]\"}}"), 190),
    ];
    for (body, mib_max) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("data"), &[]);
        let before = server.resident_max();
        let sent = ureq::post(format!("{}/v1/audit/events", server.url))
            .config()
            .http_status_as_error(false)
            .build()
            .header("authorization", format!("Bearer {}", server.key()))
            .header("content-type", "application/json")
            .send(&body);
        assert_eq!(sent.expect("answered").status(), 422, "{}", &body[..100]);
        let cost = server.resident_max().saturating_sub(before);
        assert!(cost < mib_max * MIB, "{} MiB for {}", cost / MIB, &body[..100]);
    }
}

/// Events of the export, and what it may cost the server beside what it took to load them; what the verifier may take in all, its
/// address space included.
const EXPORTED: usize = 100_000;
const EXPORT_MIB_MAX: u64 = 48;
const VERIFY_KIB_MAX: u64 = 96 * 1024;

#[test]
fn an_export_and_its_verification_take_no_more_for_more_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"), &[]);
    let key = format!("Bearer {}", server.key());
    let event = format!(
        "{{\"action\":\"small.event\",\"outcome\":\"allow\",\"actor\":{{\"type\":\"human\",\"id\":\"a\"}},\"reason\":\"{}\"}}\n",
        "r".repeat(500)
    );
    for _ in 0..EXPORTED / 5_000 {
        let sent = ureq::post(format!("{}/v1/audit/events", server.url)).header("authorization", &key);
        sent.header("content-type", "application/x-ndjson").send(event.repeat(5_000)).expect("taken");
    }
    let before = server.resident_max();
    for (body, entries_min) in [("{}", EXPORTED), (r#"{"filter":"action eq \"small.event\"","to_sequence":70000}"#, 69_000)] {
        let asked = ureq::post(format!("{}/v1/audit/exports", server.url)).header("authorization", &key);
        let mut answer = asked.header("content-type", "application/json").send(body).expect("a bundle");
        let entries: usize = answer.headers()["x-indelible-entries"].to_str().expect("text").parse().expect("a number");
        assert!(entries >= entries_min, "{entries}");
        let path = folder.path().join("bundle.tar");
        let mut file = std::fs::File::create(&path).expect("a file");
        let bytes = std::io::copy(&mut answer.body_mut().with_config().limit(u64::MAX).reader().take(u64::MAX), &mut file).expect("whole");
        assert!(bytes > 4 * EXPORT_MIB_MAX * MIB / 3, "{bytes} bytes would fit into the bound");
        let cost = server.resident_max().saturating_sub(before);
        assert!(cost < EXPORT_MIB_MAX * MIB, "{} MiB for {entries} entries", cost / MIB);
        let limited = format!("ulimit -v {VERIFY_KIB_MAX}; exec \"$0\" verify-bundle \"$1\" --trust-bundled-keys");
        let verified = Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_indelible")]).arg(&path).output().expect("sh runs");
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success() && said.starts_with("intact"), "{said}{}", String::from_utf8_lossy(&verified.stderr));
    }
    lines_take_no_more_either(&server, &key, before);
}

/// Nor do events as lines, streamed or made in the background.
fn lines_take_no_more_either(server: &Server, key: &str, before: u64) {
    let post = |path: &str, body: &str| {
        let asked = ureq::post(format!("{}{path}", server.url)).header("authorization", key);
        asked.header("content-type", "application/json").send(body).expect("taken")
    };
    let lines = |mut answer: ureq::http::Response<ureq::Body>| {
        let reader = std::io::BufReader::new(answer.body_mut().with_config().limit(u64::MAX).reader());
        std::io::BufRead::lines(reader).map(|line| line.expect("whole")).filter(|line| !line.is_empty()).count()
    };
    for body in [r#"{"format":"ndjson"}"#, r#"{"format":"csv","filter":"action eq \"small.event\""}"#] {
        let count = lines(post("/v1/audit/exports", body));
        assert!(count >= EXPORTED, "{count} lines of {body}");
    }
    let place = post("/v1/audit/export_jobs", r#"{"format":"ndjson"}"#).headers()["location"].to_str().expect("text").to_owned();
    let get = |path: &str| ureq::get(format!("{}{path}", server.url)).header("authorization", key).call().expect("an answer");
    let until = std::time::Instant::now() + std::time::Duration::from_mins(10);
    while !get(&place).body_mut().read_to_string().expect("text").contains("\"state\":\"done\"") && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let count = lines(get(&format!("{place}/file")));
    assert!(count >= EXPORTED, "{count} lines of the job");
    let cost = server.resident_max().saturating_sub(before);
    assert!(cost < EXPORT_MIB_MAX * MIB, "{} MiB for lines", cost / MIB);
}
