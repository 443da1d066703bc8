//! `export bundle` and `verify-bundle`: made offline and through a server, verified with a key alone, and by another program.

use std::process::Command;

use serde_json::Value;

use super::program::{Folder, Ran, Server, run, sample};

fn filled() -> Folder {
    let folder = Folder::new();
    folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    folder
}

/// The path of a file beside the data that is not there.
fn beside(folder: &Folder, name: &str) -> String {
    folder.path().with_file_name(name).display().to_string()
}

fn verify(arguments: &[&str]) -> Ran {
    let mut all = vec!["verify-bundle"];
    all.extend(arguments);
    run(&all)
}

fn offered(bundle: &str) -> Vec<String> {
    let report = verify(&[bundle, "--json"]).json();
    report[0]["keys_offered"].as_array().expect("keys").iter().map(|key| key.as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_bundle_is_believed_with_a_key_from_elsewhere_and_not_with_its_own() {
    let folder = filled();
    let bundle = beside(&folder, "all.tar");
    let made = folder.run(&["export", "bundle", "--out", &bundle, "--json"]).ok().json();
    assert_eq!(
        (made[0]["left_out"].as_u64(), made[0]["bytes"].as_u64()),
        (Some(0), Some(std::fs::metadata(&bundle).expect("there").len()))
    );
    let keys = offered(&bundle);
    let (log, instance) = (keys[0].as_str(), keys[1].as_str());
    let alone = verify(&[&bundle]);
    assert_eq!((alone.code, alone.out.starts_with("unverifiable")), (2, true), "{}", alone.out);
    assert!(alone.err.contains("keys inside a bundle prove nothing") && alone.err.contains(log), "{}", alone.err);
    let believed = verify(&[&bundle, "--key", log, "--key", instance]).ok();
    assert!(believed.out.starts_with("intact: ") && believed.out.contains("none between them is missing"), "{}", believed.out);
    let file = folder.file("keys", format!("# published by the owner\n{log}\n\n{instance}\n"));
    let report = verify(&[&bundle, "--keys-file", &file, "--json"]).ok().json();
    assert_eq!((&report[0]["entries"], report[0]["verdict"].as_str()), (&made[0]["entries"], Some("intact")));
    let own = verify(&[&bundle, "--trust-bundled-keys"]).ok();
    assert!(own.out.contains("says nothing of who made it"), "{}", own.out);
    assert_eq!(verify(&[&bundle, "--trust-bundled-keys", "--key", log]).code, 2, "one or the other");

    let mut bytes = std::fs::read(&bundle).expect("readable");
    let at = bytes.windows(10).position(|bytes| bytes == b"cloudtrail").expect("an entry says so");
    bytes[at] ^= 1;
    let changed = folder.file("changed.tar", &bytes);
    let caught = verify(&[&changed, "--key", log, "--key", instance]);
    assert_eq!((caught.code, caught.out.starts_with("altered: this is not proved")), (1, true), "{}", caught.out);
    bytes.truncate(bytes.len() / 2);
    assert_eq!(verify(&[&folder.file("cut.tar", &bytes), "--key", log]).code, 1);
    assert_eq!(verify(&[&folder.file("text", "not a tar"), "--key", log]).code, 1);
    assert_eq!(verify(&[&beside(&folder, "none.tar"), "--key", log]).code, 2);
    assert_eq!(verify(&[&bundle, "--keys-file", &folder.file("none.keys", "\n")]).code, 2);
}

#[test]
fn a_selection_and_a_later_bundle_through_a_server() {
    let folder = filled();
    let (first, second, third) = (beside(&folder, "1.tar"), beside(&folder, "2.tar"), beside(&folder, "3.tar"));
    folder.run(&["export", "bundle", "--out", &first, "--to-sequence", "9"]).ok();
    let log = offered(&first).swap_remove(0);
    let checkpoint = String::from_utf8(tar_file(&first, "checkpoint")).expect("text");
    let since = folder.file("earlier.checkpoint", checkpoint);
    let server = Server::start(&folder.path());
    let export = |arguments: &[&str]| {
        let target = server.target();
        let all: Vec<&str> = ["export", "bundle"].iter().chain(arguments).copied().chain(target.iter().map(String::as_str)).collect();
        run(&all)
    };
    let filter = "action eq \"audit.export\"";
    let made = export(&["--out", &second, "--filter", filter, "--from", "2000-01-01T00:00:00Z", "--since", &since, "--json"]).ok().json();
    assert!(made[0]["left_out"].as_u64() > Some(0) && made[0]["entries"].as_u64() > Some(0), "{}", made[0]);
    let report = verify(&[&second, "--key", &log, "--since", &since, "--json"]);
    let report: Value = report.json().swap_remove(0);
    assert!(report["grown_from"].is_u64(), "it grew out of the earlier one: {report}");
    assert_eq!(report["manifest"]["entries_left_out"], made[0]["left_out"]);
    let words = verify(&[&second, "--trust-bundled-keys", "--since", &since]).ok();
    assert!(words.out.contains("are left out") && words.out.contains("grew out of the earlier"), "{}", words.out);
    let opened = export(&["--out", &third, "--content", "--purpose", "an audit", "--from-sequence", "5", "--to-sequence", "30"]).ok();
    assert!(opened.out.contains("26 entries"), "{}", opened.out);
    assert!(verify(&[&third, "--trust-bundled-keys"]).ok().out.contains("contents open"));
    assert_eq!(export(&["--out", &third]).code, 1, "an existing file is kept");
    let refused = export(&["--out", &beside(&folder, "4.tar"), "--filter", "nothing eq 1"]);
    assert_eq!((refused.code, refused.err.contains("400")), (1, true), "{}", refused.err);
    assert_eq!(export(&["--out", &beside(&folder, "5.tar"), "--content"]).code, 2, "a purpose is asked for");
    let left: Vec<_> =
        std::fs::read_dir(folder.path().with_file_name("")).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".indelible-export")), "{left:?}");
}

/// One file of a tar.
fn tar_file(path: &str, name: &str) -> Vec<u8> {
    let tar = std::fs::read(path).expect("readable");
    let mut at = 0;
    loop {
        let size = usize::from_str_radix(std::str::from_utf8(&tar[at + 124..at + 135]).expect("ASCII"), 8).expect("octal");
        if tar[at..].starts_with(name.as_bytes()) && tar[at + name.len()] == 0 {
            return tar[at + 512..at + 512 + size].to_vec();
        }
        at += 512 + size.div_ceil(512) * 512;
    }
}

/// `bundle.py` is written from `docs/bundle.md`, and shares no line with this program.
#[test]
fn another_program_proves_the_same_range() {
    let folder = filled();
    let bundle = beside(&folder, "range.tar");
    let check = |bundle: &str, key: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/bundle.py");
        let output = Command::new("python3").args([script, bundle, key]).output().expect("python3 runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    folder.run(&["export", "bundle", "--out", &bundle, "--from-sequence", "37", "--to-sequence", "100"]).ok();
    let keys = offered(&bundle);
    let (ok, entries, error) = check(&bundle, &keys[0]);
    assert_eq!((ok, entries.as_str()), (true, "64"), "{error}");
    assert!(!check(&bundle, &keys[1]).0, "the instance's key did not sign the project's checkpoint");
    let mut bytes = std::fs::read(&bundle).expect("readable");
    let at = bytes.windows(10).position(|bytes| bytes == b"cloudtrail").expect("an entry says so");
    bytes[at] ^= 1;
    assert!(!check(&folder.file("changed.tar", &bytes), &keys[0]).0);
}
