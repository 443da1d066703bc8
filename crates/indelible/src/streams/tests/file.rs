//! Files: lines that are whole whatever happened before, names, owners, and what becomes of a file that is full.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use indelible_core::time::Timestamp;
use indelible_engine::clock::Clock;
use indelible_engine::stream::{Request, Response, Route};
use tempfile::TempDir;
use uuid::Uuid;

use super::{PATIENCE, Streams, ask, request, tls_file};
use crate::streams::connect::{Dialer, trusted};
use crate::streams::file::Files;
use crate::streams::guard::Guard;
use crate::streams::guard::tests::Scripted;

/// A clock that stands still.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-29T12:00:00.000001Z").expect("a time")
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

fn writing(folder: &Path, bytes_max: u64) -> Streams {
    let files = Files::new(folder.to_owned(), bytes_max, Arc::new(Noon));
    let roots = trusted(Some(&tls_file("ca.pem"))).expect("certificates");
    Streams::new(Dialer::new(Guard::new(Vec::new(), Scripted::new(&[])), roots, PATIENCE), Some(files), Arc::new(Noon))
}

fn lines(name: &str, lines: &str) -> Request {
    Request { body: lines.as_bytes().to_vec(), ..request(Route::File { name: name.to_owned() }) }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn read(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).expect(name)
}

#[tokio::test]
async fn lines_are_appended_to_a_file_of_its_owners_alone() {
    let folder = folder();
    let streams = writing(folder.path(), 1 << 20);
    for text in ["{\"a\":1}\n", "{\"b\":2}\n{\"c\":3}\n"] {
        assert_eq!(ask(&streams, lines("audit.ndjson", text)).await, Ok(Response::default()));
    }
    assert_eq!(read(&folder, "audit.ndjson"), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    for name in ["audit.ndjson", ".audit.ndjson.stream"] {
        let mode = fs::metadata(folder.path().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let error = ask(&streams, lines("audit.ndjson", "{\"half\":")).await.expect_err("no line");
    assert!(error.contains("does not end with its line"), "{error}");
}

#[tokio::test]
async fn a_line_that_a_crash_left_half_is_cut_off() {
    let folder = folder();
    let (streams, path) = (writing(folder.path(), 8 << 20), folder.path().join("a"));
    ask(&streams, lines("a", "1\n2\n")).await.expect("written");
    // Shorter and longer than what is looked at at a time, with the end of a line at its border, and nothing else at all.
    let long = "y".repeat(200_000);
    let cases = [
        ("1\n2\n".to_owned(), "1\n2\n"),
        ("1\n2\n{\"x".to_owned(), "1\n2\n"),
        (format!("1\n2\n{long}"), "1\n2\n"),
        ("{\"x".to_owned(), ""),
        (long.clone(), ""),
        (String::new(), ""),
    ];
    for (left, whole) in cases {
        fs::write(&path, &left).expect("written");
        ask(&streams, lines("a", "3\n")).await.expect("written");
        assert!(read(&folder, "a") == format!("{whole}3\n"), "{} bytes", left.len());
    }
    for border in [65_535, 65_536, 65_537, 131_072] {
        fs::write(&path, format!("{}\n{}", "z".repeat(10), "y".repeat(border))).expect("written");
        ask(&streams, lines("a", "3\n")).await.expect("written");
        assert_eq!(read(&folder, "a"), format!("{}\n3\n", "z".repeat(10)), "{border}");
    }
}

#[tokio::test]
async fn a_full_file_is_renamed_and_none_is_lost() {
    let folder = folder();
    let streams = writing(folder.path(), 10);
    for text in ["123\n", "56789\n", "longer than a file may be\n", "a\n", "b\n"] {
        ask(&streams, lines("audit", text)).await.expect("written");
    }
    let aside = |micros: u8| read(&folder, &format!("audit.20261129T120000.00000{micros}Z"));
    assert_eq!((aside(1).as_str(), aside(2).as_str()), ("123\n56789\n", "longer than a file may be\n"));
    assert_eq!(read(&folder, "audit"), "a\nb\n");
    // What is half does not count, and does not go along.
    fs::write(folder.path().join("audit"), "12345678\nhalf").expect("written");
    ask(&streams, lines("audit", "c\n")).await.expect("written");
    assert_eq!((aside(3).as_str(), read(&folder, "audit").as_str()), ("12345678\n", "c\n"));
}

#[tokio::test]
async fn a_name_is_one_plain_part() {
    let folder = folder();
    fs::create_dir(folder.path().join("below")).expect("a folder");
    let streams = writing(folder.path(), 1 << 20);
    let long = "a".repeat(129);
    let cases = [
        "",
        ".",
        "..",
        "../a",
        "/etc/x",
        "below/a",
        "a/../b",
        ".hidden",
        ".a.stream",
        "a\\b",
        "a b",
        "a\0",
        "a\n",
        "ü",
        "a:b",
        "%2e",
        &long,
    ];
    for name in cases {
        let error = ask(&streams, lines(name, "1\n")).await.expect_err(name);
        assert!(error.contains("a file's name has"), "{name:?}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing was made");
    for name in ["a", "A-1_b.c", "-", "a..b", &long[..128]] {
        ask(&streams, lines(name, "1\n")).await.expect(name);
    }
}

#[tokio::test]
async fn what_no_stream_began_is_not_written_to() {
    let (folder, elsewhere) = (folder(), folder());
    let target = elsewhere.path().join("target");
    fs::write(&target, "untouched\n").expect("written");
    fs::write(folder.path().join("there"), "untouched\n").expect("written");
    symlink(&target, folder.path().join("link")).expect("a link");
    symlink(elsewhere.path().join("nothing"), folder.path().join("dangling")).expect("a link");
    symlink(&target, folder.path().join(".marked.stream")).expect("a link");
    fs::create_dir(folder.path().join("below")).expect("a folder");
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().expect("mkfifo runs").success());
    assert!(Command::new("mkfifo").arg(folder.path().join(".pipes.stream")).status().expect("mkfifo runs").success());
    let streams = writing(folder.path(), 1 << 20);
    for name in ["there", "link", "dangling", "marked", "below", "pipe", "pipes"] {
        let error = ask(&streams, lines(name, "1\n")).await.expect_err(name);
        let folder = folder.path().to_str().expect("UTF-8");
        assert!(error.contains(name) && !error.contains(folder), "{name}: {error}");
    }
    // A link that is put in the place of a stream's own file is not followed either.
    ask(&streams, lines("own", "1\n")).await.expect("written");
    fs::remove_file(folder.path().join("own")).expect("removed");
    symlink(&target, folder.path().join("own")).expect("a link");
    ask(&streams, lines("own", "2\n")).await.expect_err("a link");
    assert_eq!((read(&folder, "there").as_str(), read(&elsewhere, "target").as_str()), ("untouched\n", "untouched\n"));
    assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 1);
}

#[tokio::test]
async fn a_file_is_its_streams_though_the_server_starts_again() {
    let folder = folder();
    ask(&writing(folder.path(), 1 << 20), lines("audit", "1\n")).await.expect("written");
    let other = |text| Request { stream_id: Uuid::from_u128(7), ..lines("audit", text) };
    let again = writing(folder.path(), 1 << 20);
    let error = ask(&again, other("2\n")).await.expect_err("of another stream");
    assert!(error.contains("belongs to another stream") && error.contains(".audit.stream"), "{error}");
    // The operator moves the file away, and the name is still the first stream's; he moves both away.
    fs::rename(folder.path().join("audit"), folder.path().join("kept")).expect("renamed");
    ask(&again, other("2\n")).await.expect_err("of another stream");
    ask(&again, lines("audit", "3\n")).await.expect("written");
    for name in ["audit", ".audit.stream"] {
        fs::remove_file(folder.path().join(name)).expect("removed");
    }
    ask(&again, other("4\n")).await.expect("written");
    assert_eq!((read(&folder, "kept"), read(&folder, "audit")), ("1\n".to_owned(), "4\n".to_owned()));
    // A crash left the mark half written, before there was a file.
    fs::write(folder.path().join(".new.stream"), "00000000-0000").expect("written");
    ask(&again, lines("new", "5\n")).await.expect("written");
    assert_eq!(read(&folder, ".new.stream"), format!("{}\n", super::STREAM));
}

#[tokio::test]
async fn who_writes_holds_a_lock() {
    let folder = folder();
    let streams = writing(folder.path(), 1 << 20);
    ask(&streams, lines("audit", "1\n")).await.expect("written");
    let held = fs::File::open(folder.path().join(".audit.stream")).expect("there");
    held.lock().expect("locked");
    let error = ask(&streams, lines("audit", "2\n")).await.expect_err("locked");
    assert!(error.contains("is being written by somebody else"), "{error}");
    held.unlock().expect("unlocked");
    ask(&streams, lines("audit", "3\n")).await.expect("written");
    assert_eq!(read(&folder, "audit"), "1\n3\n");
}

/// A tmpfs of one mebibyte, unmounted when dropped. Needs root, as the test machine has.
struct SmallDisk(TempDir);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_leaves_whole_lines() {
    let disk = SmallDisk(folder());
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(disk.0.path()).status();
    assert!(mounted.expect("mount runs").success(), "this test mounts a tmpfs and needs root");
    let streams = writing(disk.0.path(), 1 << 30);
    let line = format!("{}\n", "x".repeat(99_999));
    let mut written = 0;
    let error = loop {
        match ask(&streams, lines("audit", &line)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(error.contains("cannot write") && (5..11).contains(&written), "{written}: {error}");
    assert!(read(&disk.0, "audit") == line.repeat(written), "what did not go in whole was taken back");
    ask(&streams, lines("audit", "small\n")).await.expect("there is room for less");
    assert!(read(&disk.0, "audit") == line.repeat(written) + "small\n");
}

#[tokio::test]
async fn without_a_folder_the_option_is_named() {
    let error = ask(&super::on_loopback(), lines("audit", "1\n")).await.expect_err("no folder");
    assert!(error.contains("--stream-files"), "{error}");
}
