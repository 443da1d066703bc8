//! Deliveries as they arrive, verified by the reference library of Standard Webhooks in Python.

#[path = "../../../tests/http/streams/reference.rs"]
mod library;

use indelible_core::webhook::signatures;
use indelible_engine::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::receiver::{Receiver, Seen, answer};
use super::{ask, on_loopback, to};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const ID: &str = "0192f0c1-2d3e-7abc-8def-001122334455";

/// What a receiver hands to the library.
fn case(seen: &Seen, secret: &str) -> Value {
    let headers: serde_json::Map<String, Value> =
        seen.head.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({"secret": secret, "body": seen.body, "headers": headers})
}

/// Signs with these secrets as of now, sends, and shows what arrived.
async fn delivered(secrets: &[&str], body: &str) -> Seen {
    let receiver = Receiver::start(&[answer("200 OK", "", "")]).await;
    let seconds = SystemClock.now().as_micros() / 1_000_000;
    let signed = signatures(secrets.iter().copied(), ID, seconds, body.as_bytes()).expect("secrets");
    let mut request = to(&receiver.url("/hook"));
    request.body = body.as_bytes().to_vec();
    for (name, value) in [("webhook-id", ID.to_owned()), ("webhook-timestamp", seconds.to_string()), ("webhook-signature", signed)] {
        request.headers.push((name.to_owned(), value));
    }
    ask(&on_loopback(), request).await.expect("an answer");
    receiver.seen().remove(0)
}

#[tokio::test]
async fn the_reference_library_accepts_what_arrives_and_nothing_else() {
    let mut cases = Vec::new();
    for body in ["{\"action\":\"document.share\"}", "[{\"reason\":\"schöne Grüße – \\u0000 €\"},\n{\"n\":9007199254740991}]", "{}"] {
        let seen = delivered(&[NEW], body).await;
        cases.push((case(&seen, NEW), "accepted"));
        cases.push((case(&seen, OLD), "No matching signature found"));
        let changed = |header: &str, value: &str| {
            let mut case = case(&seen, NEW);
            case["headers"][header] = value.into();
            case
        };
        let seconds: i64 = case(&seen, NEW)["headers"]["webhook-timestamp"].as_str().expect("sent").parse().expect("a number");
        cases.push((changed("webhook-id", "0192f0c1-2d3e-7abc-8def-001122334456"), "No matching signature found"));
        cases.push((changed("webhook-timestamp", &(seconds + 1).to_string()), "No matching signature found"));
        cases.push((changed("webhook-timestamp", &(seconds - 301).to_string()), "Message timestamp too old"));
        let mut longer = seen.clone();
        longer.body.push(b' ');
        cases.push((case(&longer, NEW), "No matching signature found"));
    }
    // While a key rotates, whoever has either verifies.
    let both = delivered(&[NEW, OLD], "{\"a\":1}").await;
    cases
        .extend([(NEW, "accepted"), (OLD, "accepted"), (OTHER, "No matching signature found")].map(|(key, told)| (case(&both, key), told)));
    let told = library::told(&cases.iter().map(|(case, _)| case.clone()).collect::<Vec<_>>());
    assert_eq!(told, cases.iter().map(|(_, told)| *told).collect::<Vec<_>>());
}
