//! `export ndjson`, `export csv` and `export check`: the same file offline and through a server, in one go and in pieces, and what a
//! spreadsheet would make of it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{Folder, Ran, Server, run, run_with, sample};

fn filled() -> Folder {
    let folder = Folder::new();
    folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    folder
}

fn beside(folder: &Folder, name: &str) -> String {
    folder.path().with_file_name(name).display().to_string()
}

fn on(server: &Server, arguments: &[&str]) -> Ran {
    let target = server.target();
    run(&arguments.iter().copied().chain(target.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn manifest(path: &str) -> Value {
    serde_json::from_slice(&read(&format!("{path}.manifest.json"))).expect("JSON")
}

#[test]
fn a_file_is_the_same_offline_and_through_a_server_and_its_manifest_tells_what_it_is() {
    let folder = filled();
    let range = ["--from-sequence", "3", "--to-sequence", "60"];
    let (here, there) = (beside(&folder, "here.ndjson"), beside(&folder, "there.ndjson"));
    let made = folder.run(&[&["export", "ndjson", "--json", "--out", &here], &range[..]].concat()).ok().json();
    assert_eq!((made[0]["entries"].as_u64(), made[0]["bytes"].as_u64()), (Some(58), Some(read(&here).len() as u64)));
    let server = Server::start(&folder.path());
    let said = on(&server, &[&["export", "ndjson", "--out", &there], &range[..]].concat()).ok();
    assert!(said.out.contains("58 events"), "{}", said.out);
    assert_eq!(read(&here), read(&there));
    let text = String::from_utf8(read(&here)).expect("UTF-8");
    let sequences: Vec<u64> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["sequence"].as_u64().expect("one")).collect();
    assert_eq!(sequences, (3..=60).collect::<Vec<_>>());
    let told = manifest(&there);
    assert_eq!((&told["format"], &told["first_included"], &told["last_included"]), (&"ndjson".into(), &3.into(), &60.into()));
    assert_eq!((told["entries"].as_u64(), told["file"].as_str()), (Some(58), Some("there.ndjson")));
    let log = told["verifier_keys"][0].as_str().expect("a key").to_owned();
    let checked = run(&["export", "check", &format!("{there}.manifest.json"), "--key", &log]).ok();
    assert!(checked.out.contains("are all there are from 3 to 60") && checked.out.contains("the checkpoint is signed"), "{}", checked.out);
    let report = run(&["export", "check", &format!("{here}.manifest.json"), "--json"]).ok().json();
    assert_eq!((&report[0]["proved"], &report[0]["signed"]), (&true.into(), &false.into()));
    let other = told["verifier_keys"][1].as_str().expect("the instance's").to_owned();
    assert_eq!(run(&["export", "check", &format!("{there}.manifest.json"), "--key", &other]).code, 1, "another key has not signed it");
    let mut bytes = read(&there);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&there, &bytes).expect("written");
    let caught = run(&["export", "check", &format!("{there}.manifest.json")]);
    assert_eq!((caught.code, caught.out.contains("SHA-256 is another")), (1, true), "{}", caught.out);
    assert_eq!(run(&["export", "check", &format!("{there}.nowhere.json")]).code, 2);
    let again = on(&server, &["export", "ndjson", "--out", &there]);
    assert_eq!((again.code, again.err.contains("is there already")), (1, true), "{}", again.err);
    let events = on(&server, &["events", "--json", "-f", "action eq \"audit.export\" and phase eq \"outcome\""]).ok().json();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["read"]["returned"] == 58 && event["context"]["sha256"].is_string()), "{events:?}");
    assert_eq!(events[1]["context"]["sha256"], manifest(&here)["sha256"], "the log itself says what the file is");
}

#[test]
fn csv_has_the_columns_asked_for_and_no_formula() {
    let folder = Folder::new();
    let event = r#"{"action":"sheet.cell","outcome":"allow","actor":{"type":"human","id":"=cmd|' /C calc'!A0","display":"say \"hi\", all"},"reason":"two\nlines","context":{"tool":"@x"},"content":{"output":"+1"}}"#;
    let target = folder.target();
    run_with(&["append", &target[0], &target[1]], event.as_bytes()).ok();
    let out = beside(&folder, "some.csv");
    let columns = "sequence,actor.id,actor.display,reason,context.tool,content";
    let asked = ["export", "csv", "--out", &out, "--filter", "action eq \"sheet.cell\"", "--columns", columns];
    folder.run(&[&asked[..], &["--content", "--purpose", "a test"]].concat()).ok();
    let text = String::from_utf8(read(&out)).expect("UTF-8");
    let (header, line) = text.split_once("\r\n").expect("a header");
    assert_eq!(header, columns);
    let sequence: String = line.chars().take_while(char::is_ascii_digit).collect();
    let expected = r#","'=cmd|' /C calc'!A0","say ""hi"", all","two
lines","'@x","{""output"":""+1""}""#;
    assert_eq!(line, format!("{sequence}{expected}\r\n"));
    run(&["export", "check", &format!("{out}.manifest.json")]).ok();
    assert_eq!(folder.run(&["events", "--json", "-f", "action eq \"content.decrypt\""]).ok().json().len(), 1);
    let all = beside(&folder, "all.csv");
    folder.run(&["export", "csv", "--out", &all]).ok();
    assert!(String::from_utf8(read(&all)).expect("UTF-8").starts_with("sequence,occurred_at,actor.type,actor.id,"));
    let wrong = folder.run(&["export", "csv", "--out", &beside(&folder, "x.csv"), "--columns", "colour"]);
    assert_eq!((wrong.code, wrong.err.contains("there is no such column")), (1, true), "{}", wrong.err);
    let unsaid = folder.run(&["export", "ndjson", "--out", &beside(&folder, "x.ndjson"), "--content"]);
    assert_eq!(unsaid.code, 2, "content needs a purpose");
}

/// Kills the program as soon as it has written down how far it came; whether it was in the midst of it.
fn broken_off(server: &Server, arguments: &[&str], out: &str) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_indelible"))
        .args(arguments)
        .args(server.target())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let (noted, until) = (format!("{out}.part.json"), Instant::now() + Duration::from_mins(1));
    while std::fs::metadata(&noted).is_err() && child.try_wait().expect("a child").is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().ok();
    child.wait().expect("it ends");
    std::fs::metadata(format!("{out}.part")).is_ok()
}

#[test]
fn a_download_that_was_killed_goes_on_to_the_same_bytes() {
    let folder = Folder::new();
    let event = format!(
        "{{\"action\":\"long.export\",\"outcome\":\"allow\",\"actor\":{{\"type\":\"human\",\"id\":\"a\"}},\"reason\":\"{}\"}}\n",
        "r".repeat(1_500)
    );
    let target = folder.target();
    for _ in 0..3 {
        run_with(&["append", &target[0], &target[1]], event.repeat(10_000).as_bytes()).ok();
    }
    let server = Server::start(&folder.path());
    let whole = beside(&folder, "whole");
    for form in ["ndjson", "csv"] {
        let whole = format!("{whole}.{form}");
        let fixed = ["--to-sequence", "30000", "-f", "action eq \"long.export\""];
        on(&server, &[&["export", form, "--out", &whole], &fixed[..]].concat()).ok();
        let out = beside(&folder, &format!("pieces.{form}"));
        let asked = [&["export", form, "--out", &out], &fixed[..]].concat();
        assert!(broken_off(&server, &asked, &out), "it was killed before its end");
        let again = on(&server, &asked);
        assert_eq!((again.code, again.err.contains("--resume")), (1, true), "{}", again.err);
        let other = on(&server, &["export", form, "--out", &out, "--resume"]);
        assert_eq!((other.code, other.err.contains("of another export")), (1, true), "{}", other.err);
        // What was written after the last note may be cut anywhere.
        let part = format!("{out}.part");
        let mut bytes = read(&part);
        bytes.extend_from_slice(b"{\"half");
        std::fs::write(&part, &bytes).expect("written");
        let resumed = [&asked[..], &["--resume"]].concat();
        on(&server, &resumed).ok();
        assert!(read(&out) == read(&whole), "the bytes are those of one in one go");
        assert_eq!(manifest(&out)["sha256"], manifest(&whole)["sha256"]);
        run(&["export", "check", &format!("{out}.manifest.json")]).ok();
        assert!(["part", "part.json"].iter().all(|left| std::fs::metadata(format!("{out}.{left}")).is_err()));
        let nothing = on(&server, &resumed);
        assert_eq!((nothing.code, nothing.err.contains("nothing to go on with")), (1, true), "{}", nothing.err);
    }
    // A server that goes away in the midst of it is told, and what came is kept.
    let out = beside(&folder, "server.ndjson");
    let child = Command::new(env!("CARGO_BIN_EXE_indelible"))
        .args(["export", "ndjson", "--out", &out, "--to-sequence", "30000", "-f", "action eq \"long.export\""])
        .args(server.target())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let until = Instant::now() + Duration::from_mins(1);
    while std::fs::metadata(format!("{out}.part")).map_or(0, |part| part.len()) == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    let server = server.again(&folder.path());
    let ended = child.wait_with_output().expect("it ends");
    if !ended.status.success() {
        assert!(String::from_utf8_lossy(&ended.stderr).contains("go on with --resume"), "{}", String::from_utf8_lossy(&ended.stderr));
        on(&server, &["export", "ndjson", "--out", &out, "--to-sequence", "30000", "-f", "action eq \"long.export\"", "--resume"]).ok();
    }
    assert!(read(&out) == read(&format!("{whole}.ndjson")), "the bytes are those of one in one go");
}
