//! Tenants of streams, and what a key of a scope may do.

use serde_json::{Value, json};

use super::inbox::Inbox;
use super::receiver::wait;
use super::{Delivering, KEYS, NOBODY, STREAMS, append, house, make, numbers};
use crate::server::House;

/// A tenant with a stream of its own: project, a key for everything, and the stream.
fn tenant(house: &House, inbox: &Inbox, name: &str) -> (String, String, String) {
    let (project, _) = house.tenant(name);
    let key = house.make_key(&project, "application", &["audit:read", "audit:write", "events:append"]);
    house.post(KEYS, r#"{"name":"k","primary":true}"#).key(&key).send().is(201);
    let stream = make(house, &key, &inbox.url(&format!("/{name}")), &json!({}));
    (project, key, stream)
}

#[test]
fn two_tenants_get_their_own_events_and_know_nothing_of_each_others_streams() {
    let (house, inbox) = (house(&[]), Inbox::start());
    let (_, alices, hers) = tenant(&house, &inbox, "alice");
    let (bob, bobs, _) = tenant(&house, &inbox, "bob");
    append(&house, &alices, 0..10);
    append(&house, &bobs, 100..110);
    append(&house, &alices, 10..20);
    assert_eq!(numbers(&inbox.until("/alice", 20)), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&inbox.until("/bob", 10)), (100..110).collect::<Vec<_>>());
    assert_eq!((inbox.taken("/alice").len(), inbox.taken("/bob").len()), (20, 10));

    let recorded =
        || house.get(&format!("{hers}/deliveries?limit=1")).key(&alices).send().is(200)["data"][0]["id"].as_str().map(str::to_owned);
    let delivery = wait(recorded, || "no delivery".to_owned());
    let asks: [(&'static str, String, &str); 5] = [
        ("GET", "/status".to_owned(), "audit.read"),
        ("GET", "/deliveries".to_owned(), "audit.read"),
        ("GET", format!("/deliveries/{delivery}"), "audit.read"),
        ("POST", "/test".to_owned(), "audit_stream.test"),
        ("POST", "/replay".to_owned(), "webhook_delivery.replay"),
    ];
    for (method, path, action) in asks {
        let ask = |stream: &str| {
            let ask = house.ask(method, &format!("{stream}{path}")).key(&bobs);
            let ask = if path == "/replay" { ask.header("content-type", "application/json").body(r#"{"dead_letters":true}"#) } else { ask };
            ask.refused(404, "not-found", (&bob, action, if method == "GET" { "error" } else { "deny" }))
        };
        // What is somebody else's, and what is nowhere, are told alike.
        let (theirs, nowhere) = (ask(&hers), ask(&format!("{STREAMS}/{NOBODY}")));
        let said = |problem: &Value| ["type", "title", "detail"].map(|member| problem[member].clone());
        assert_eq!(said(&theirs), said(&nowhere), "{path}");
    }
    assert_eq!(inbox.taken("/alice").len(), 20, "nothing was sent again");
}

#[test]
fn who_reads_may_look_and_who_writes_may_have_it_sent() {
    let delivering = Delivering::start();
    let (house, stream) = (&delivering.house, delivering.stream("/in", &json!({})));
    let project = &house.project;
    let [reader, writer, other] =
        ["audit:read", "audit:write", "events:append"].map(|scope| house.make_key(project, "application", &[scope]));
    for path in ["/status", "/deliveries"] {
        for key in [&reader, &writer] {
            house.get(&format!("{stream}{path}")).key(key).send().is(200);
        }
        house.get(&format!("{stream}{path}")).key(&other).refused(403, "forbidden", (project, "audit.read", "deny"));
    }
    for (path, body, action) in
        [("/test", "", "audit_stream.test"), ("/replay", r#"{"from_sequence":0,"to_sequence":0}"#, "webhook_delivery.replay")]
    {
        let ask = |key: &str| house.post(&format!("{stream}{path}"), body).key(key);
        for key in [&reader, &other] {
            ask(key).refused(403, "forbidden", (project, action, "deny"));
        }
        let done = ask(&writer).send();
        assert!(done.status < 300, "{}", done.text());
        done.left(house, (project, action, "allow"));
    }
}
