//! What a request may cost in memory: not many times its own size, whatever is in it.

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
        let cost = server.resident_max() - before;
        assert!(cost < mib_max * MIB, "{} MiB for {}", cost / MIB, &body[..100]);
    }
}
