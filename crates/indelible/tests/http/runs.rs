//! `/v1/audit/runs/{run_id}`: one run as one record.

use serde_json::{Value, json};

use crate::server::{EVENTS, House, encode, event};

/// The steps of a run of an agent: a model's answer, a tool's call and result, an approval, a sub-agent's run, its end.
pub(crate) fn steps(run: &str, thread: &str) -> Value {
    let names = ["run.start", "model.invoke", "tool.call", "tool.result", "approval.request", "approval.decide", "run.finish"];
    let mut steps: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(n, action)| {
            let mut step = event(action);
            step["run"] = json!({"id": run, "thread_id": thread, "step": n});
            step["occurred_at"] = json!(format!("2024-05-01T10:00:{n:02}Z"));
            step
        })
        .collect();
    steps[1]["usage"] = json!({"input_tokens": 100, "output_tokens": 20});
    for n in [2, 3] {
        steps[n]["context"] = json!({"tool": "search", "tool_call_id": "call-1"});
    }
    for n in [4, 5] {
        steps[n]["operation_id"] = json!("approval-1");
        steps[n]["phase"] = json!(if n == 4 { "intent" } else { "outcome" });
    }
    steps[6]["run"]["verdict"] = json!("met");
    let mut below = event("run.start");
    below["run"] = json!({"id": format!("{run}-below"), "parent_id": run, "thread_id": thread});
    steps.push(below);
    json!(steps)
}

#[test]
fn a_run_is_one_record() {
    let house = House::start();
    house.post(EVENTS, &steps("run/1 ä", "thread-1")).send().is(201);
    let answer = house.get(&format!("/v1/audit/runs/{}", encode("run/1 ä"))).send();
    answer.left(&house, (&house.project, "audit.read", "allow"));
    let run = answer.is(200);
    assert_eq!((&run["run_id"], run["steps"].as_array().map(Vec::len)), (&json!("run/1 ä"), Some(7)), "{run}");
    let actions: Vec<_> = run["steps"].as_array().expect("steps").iter().map(|step| step["action"].as_str().expect("an action")).collect();
    assert!(actions[0] == "run.start" && actions[6] == "run.finish", "{actions:?}");
    assert_eq!(run["usage"]["input_tokens"], 100);
    assert_eq!(run["verdict"], "met");
    for list in ["tool_calls", "approvals", "subagents"] {
        assert_eq!(run[list].as_array().map(Vec::len), Some(1), "{list}: {run}");
    }
}

#[test]
fn wrong_questions_are_refused_and_recorded() {
    let house = House::start();
    house.post(EVENTS, &steps("run-1", "thread-1")).send().is(201);
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let admin = house.admin.clone();
    let nobody = "00000000-0000-4000-8000-000000000001";
    for base in ["/v1/audit/runs/run-1", "/v1/audit/conversations/thread-1"] {
        let cases = [
            (&admin, format!("{base}-not"), 404, "not-found", "error"),
            (&admin, format!("{base}?limit=1"), 400, "invalid-query", "error"),
            (&admin, format!("{base}?include=content"), 400, "invalid-purpose", "error"),
            (&admin, format!("{base}?project_id={nobody}"), 404, "not-found", "deny"),
            (&writer, base.to_owned(), 403, "forbidden", "deny"),
        ];
        for (key, path, status, kind, outcome) in cases {
            house.get(&path).key(key).refused(status, kind, (&house.project, "audit.read", outcome));
        }
    }
}
