//! A program that was built without AWS KMS: what names a key there is refused with the feature that is missing, and what such a key
//! signed verifies all the same.
#![cfg(not(feature = "aws"))]

use std::path::Path;
use std::process::Command;

use indelible_core::hex;
use indelible_core::key::{Secret, file_mac};
use indelible_engine::{Ledger, Options};

const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/a";

/// Exit code and what was said.
fn run(data: &Path, arguments: &[&str]) -> (i32, String) {
    let checkpoints = data.with_extension("checkpoints");
    let mut command = Command::new(env!("CARGO_BIN_EXE_indelible"));
    command.args(arguments).arg("--data").arg(data).arg("--checkpoints").arg(checkpoints);
    let output = command.output().expect("the program runs");
    (output.status.code().expect("not killed"), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn each_way_to_a_key_in_kms_names_the_feature() {
    let folder = tempfile::tempdir().expect("a folder");
    for option in ["--signing-kms", "--organization-kms"] {
        let (code, said) = run(&folder.path().join("new"), &["serve", "--listen", "127.0.0.1:0", "--no-metrics", option, ARN]);
        assert!(code == 1 && said.contains("--features aws"), "{option}: {code} {said}");
    }
    let data = folder.path().join("data");
    Ledger::open(Options::new(&data)).expect("a new ledger").ledger.close();
    let (code, said) = run(&data, &["keys", "rotate", "signing", "--kms", ARN]);
    assert!(code == 1 && said.contains("--features aws"), "{code} {said}");
    // The file of a key that signed once, in KMS, as a program that knows it wrote it.
    let master = std::fs::read_to_string(data.join("keys/master.key")).expect("a master key");
    let master = Secret::new(hex::decode_array(master.trim().trim_start_matches("generated ")).expect("hex"));
    let lines = format!("kms {ARN}\npublic-key {}\n", hex::encode(&[7; 32]));
    let file = data.join("keys/signing-2.key");
    let mac = hex::encode(&file_mac(&master, "signing-2.key", &lines));
    std::fs::copy(data.join("keys/signing-1.key"), &file).expect("for its mode");
    std::fs::write(&file, format!("{lines}mac {mac}\n")).expect("written");
    let (code, said) = run(&data, &["serve", "--listen", "127.0.0.1:0", "--no-metrics"]);
    assert!(code == 1 && said.contains("signing-2.key") && said.contains("--features aws"), "{code} {said}");
    let (code, said) = run(&data, &["verify"]);
    assert_eq!(code, 0, "{said}");
}
