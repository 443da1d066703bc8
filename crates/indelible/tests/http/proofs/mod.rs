//! What an outsider gets: anchors, keys, proofs, tiles. Everything that is signed or proved is checked twice, by this program's own verifier
//! and by [`independent`], which shares no line with it.

mod anchors;
mod consistency;
mod events;
mod independent;
mod sealing;
mod tiles;

use std::time::Duration;

use indelible::http::HttpOptions;
use indelible_core::note::VerifierKey;
use serde_json::{Value, json};

use crate::server::{EVENTS, House, event};

const ANCHORS: &str = "/v1/audit/anchors";
const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

/// A server that seals when it is told to.
fn start() -> House {
    House::with(HttpOptions::default(), |options| options.anchor_interval = Duration::from_hours(1))
}

/// Appends so many events; their receipts.
fn append(house: &House, count: usize) -> Vec<Value> {
    let receipts = house.post(EVENTS, &json!(vec![event("proof.item"); count])).send().is(201);
    receipts["receipts"].as_array().expect("receipts").clone()
}

/// Seals, and sees that it went well; the newest anchor.
fn seal(house: &House) -> Value {
    let status = house.ask("POST", ANCHORS).send().is(200);
    assert_eq!((&status["unanchored"], &status["refusal"], &status["failing"]), (&json!(0), &Value::Null, &json!(false)), "{status}");
    status["latest"].clone()
}

/// The verifier keys as they are listed: the project's, then the instance's.
fn keys(house: &House) -> Vec<String> {
    let listed = house.get("/v1/audit/keys").send().is(200);
    let text = |key: &Value| key["verifier_key"].as_str().expect("text").to_owned();
    listed["keys"].as_array().expect("keys").iter().map(text).collect()
}

/// The same as this program reads them.
fn own(keys: &[String]) -> Vec<VerifierKey> {
    keys.iter().map(|key| key.parse().expect("a verifier key")).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}
