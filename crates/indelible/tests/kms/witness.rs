//! Witnesses cosign what a key in KMS signed as they cosign anything.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::house::Place;
use crate::kms_server::KmsServer;

#[test]
fn a_witness_cosigns_what_a_key_in_kms_signed() {
    let (kms, place) = (KmsServer::start(), Place::new());
    let house = place.serve(&kms.url, &["--signing-kms", &kms.signing_key()]);
    let log_key = house.log_key.clone();
    house.stop();
    let store = place.text("witness");
    let arguments =
        ["witness", "--listen", "127.0.0.1:0", "--log", "off", "--name", "w.example/w", "--store", &store, "--log-key", &log_key];
    let mut witness = Command::new(env!("CARGO_BIN_EXE_indelible")).args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(witness.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut after = |beginning: &str| lines.find_map(|line| line.strip_prefix(beginning).map(str::to_owned)).expect("it says so");
    let (key, url) = (after("Verifier key "), after("Listening on "));
    let policy = place.text("policy");
    std::fs::write(&policy, format!("witness w {key} {url}\nquorum w\n")).expect("written");
    let house = place.serve(&kms.url, &["--witness-policy", &policy]);
    house.append("alice");
    house.sealed();
    house.until("indelible_quorum_met", 1.0);
    house.stop();
    witness.kill().expect("killed");
    witness.wait().expect("it ended");
}
