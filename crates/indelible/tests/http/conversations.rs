//! `/v1/audit/conversations/{thread_id}`: everything of one conversation. Its refusals are tested with those of runs.

use serde_json::json;

use crate::runs::steps;
use crate::server::{EVENTS, House, event};

#[test]
fn a_conversation_is_all_its_runs_and_events_oldest_first() {
    let house = House::start();
    house.post(EVENTS, &steps("run-1", "thread-1")).send().is(201);
    house.post(EVENTS, &steps("run-2", "thread-1")).send().is(201);
    house.post(EVENTS, &steps("run-3", "thread-2")).send().is(201);
    let mut message = event("message.send");
    message["run"] = json!({"thread_id": "thread-1"});
    message["occurred_at"] = json!("2024-04-01T00:00:00Z");
    message["content"] = json!({"messages": [{"role": "user", "content": "hello"}]});
    house.post(EVENTS, &message).send().is(201);
    let answer = house.get("/v1/audit/conversations/thread-1?include=content&purpose=ticket").send();
    let conversation = answer.is(200);
    let events = conversation["events"].as_array().expect("events");
    assert_eq!((&conversation["thread_id"], events.len()), (&json!("thread-1"), 17), "{conversation}");
    assert_eq!(events[0]["content"], message["content"]);
    let times: Vec<_> = events.iter().map(|event| event["occurred_at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted());
    let decrypts = house.log(&format!("request.request_id eq \"{}\" and action eq \"content.decrypt\"", answer.request_id));
    assert_eq!(decrypts.len(), 1);
}
