//! A disk that fills up: a small tmpfs in a mount namespace of its own.

use std::path::Path;
use std::process::Command;

use crate::load::{Client, Outcome};
use crate::process::{Server, verify};

/// A tmpfs of so many bytes, unmounted when dropped. Needs root, as the test machine has.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={mebibytes}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        assert!(status.expect("mount runs").success(), "this test mounts a tmpfs and needs root");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().ok();
    }
}

#[test]
fn a_full_disk_refuses_appends_and_still_answers_questions() {
    let disk = SmallDisk::mount(48);
    let data = disk.path().join("data");
    let server = Server::start(&data, &["--disk-reserve", "12582912"]);
    let (url, key) = (server.url.clone(), server.key());
    let client = Client { url: &url, key: &key };
    let outcome = client.load(60_000, 200, 4);
    assert!(outcome.statuses.get(&201).is_some_and(|n| *n > 5), "{:?}", outcome.statuses);
    assert!(outcome.statuses.get(&503).is_some_and(|n| *n > 5), "{:?}", outcome.statuses);
    let (status, page) = client.get("/v1/audit/events?limit=10&filter=action%20eq%20%22load.step%22");
    assert_eq!((status, page["data"].as_array().map(Vec::len)), (200, Some(10)), "an investigation works on a full disk");
    client.check(&outcome, 60_000);
    // An export is streamed, and none is made into a file: half a GiB is left to what is to be recorded, which this disk never had.
    let post = |path: &str| {
        let asked = ureq::post(format!("{url}{path}")).header("authorization", format!("Bearer {key}"));
        let asked = asked.config().http_status_as_error(false).build().header("content-type", "application/json");
        asked.send(r#"{"format":"ndjson","to_sequence":10}"#).expect("an answer").status().as_u16()
    };
    assert_eq!((post("/v1/audit/exports"), post("/v1/audit/export_jobs")), (200, 503));
    server.stop();
    let (code, report) = verify(&data);
    assert_eq!(code, 0, "{report}");
}

#[test]
fn without_a_reserve_a_full_disk_loses_nothing_either() {
    let disk = SmallDisk::mount(32);
    let data = disk.path().join("data");
    let server = Server::start(&data, &["--disk-reserve", "0"]);
    let (url, key) = (server.url.clone(), server.key());
    let outcome = Client { url: &url, key: &key }.load(60_000, 200, 4);
    assert!(outcome.statuses.get(&503).is_some_and(|n| *n > 5), "{:?}", outcome.statuses);
    server.kill();
    // More room, as an operator would make: everything acknowledged is there, and the service resumes.
    let status = Command::new("mount").args(["-o", "remount,size=400m"]).arg(disk.path()).status();
    assert!(status.expect("mount runs").success());
    let (code, report) = verify(&data);
    assert_eq!(code, 0, "{report}");
    let server = Server::start(&data, &["--disk-reserve", "0"]);
    let (url, key) = (server.url.clone(), server.key());
    let client = Client { url: &url, key: &key };
    client.check(&outcome, 60_000);
    let last: Outcome = client.load(60_000, 200, 4);
    assert_eq!(client.check(&last, 60_000), 60_000);
    server.stop();
}
