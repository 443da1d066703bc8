//! Decisions by HTTP, as the Authorization API 1.0 of OpenID AuthZEN has them: its cases, and what is recorded of each.

use serde_json::{Value, json};

use crate::server::{House, pointers};

const ONE: &str = "/access/v1/evaluation";
const MANY: &str = "/access/v1/evaluations";

fn question() -> Value {
    json!({"subject": {"type": "user", "id": "alice@example.com"}, "action": {"name": "can_read"}, "resource": {"type": "todo", "id": "1"}})
}

fn policy(house: &House, text: &str) -> Value {
    house.post("/v1/policies", &json!({"name": "p", "text": text})).send().is(201)
}

#[test]
fn a_question_is_answered_once_it_is_recorded() {
    let house = House::start();
    let answer = house.post(ONE, &question()).send();
    let denied = answer.is(200);
    answer.left(&house, (&house.project, "policy.decision", "deny"));
    assert_eq!((&denied["decision"], &denied["context"]["engine"]), (&json!(false), &json!("default")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let kept = policy(
        &house,
        "permit (principal == User::\"alice@example.com\", action == Action::\"can_read\", resource in ResourceType::\"todo\");",
    );
    let mut with_more = question();
    with_more["context"] = json!({"time": "1985-10-26T01:22-07:00"});
    with_more["action"]["properties"] = json!({"method": "GET"});
    with_more["subject"]["properties"] = json!({"department": "Sales"});
    let answer = house.post(ONE, &with_more).send();
    let allowed = answer.is(200);
    answer.left(&house, (&house.project, "policy.decision", "allow"));
    assert_eq!(allowed["decision"], true);
    let context = &allowed["context"];
    assert_eq!(context["rules"], json!([{"type": "policy", "id": kept["id"], "version": 1, "statement": "1"}]));
    let event = house.get(&format!("/v1/audit/events/{}", context["id"].as_str().expect("an id"))).send().is(200);
    assert_eq!((&event["decision"]["policy_id"], &event["principal"]["id"]), (&kept["id"], &json!("alice@example.com")));
    assert!(context["reason_admin"]["en"].is_string() && context["reason_user"]["en"].is_string());
    assert_eq!(context["changes"][0]["action"], "policy.update");
}

#[test]
fn many_questions_are_answered_in_their_order() {
    let house = House::start();
    policy(&house, "permit (principal, action, resource) when { resource.id == \"1\" || resource.id == \"3\" };");
    let resources: Vec<Value> = ["1", "2", "3"].iter().map(|id| json!({"resource": {"type": "document", "id": id}})).collect();
    let ask = |semantic: &str| {
        let mut body = json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"}, "evaluations": resources});
        if !semantic.is_empty() {
            body["options"] = json!({"evaluations_semantic": semantic});
        }
        let answer = house.post(MANY, &body).send();
        let events = house.log(&format!("request.request_id eq \"{}\"", answer.request_id));
        let answers = answer.is(200)["evaluations"].as_array().expect("answers").clone();
        let told: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
        assert_eq!(told, answers.iter().map(|answer| &answer["context"]["id"]).collect::<Vec<_>>(), "each is recorded, in order");
        answers.iter().map(|answer| answer["decision"].as_bool().expect("a decision")).collect::<Vec<_>>()
    };
    assert_eq!(ask(""), [true, false, true]);
    assert_eq!(ask("execute_all"), [true, false, true]);
    assert_eq!(ask("deny_on_first_deny"), [true, false]);
    assert_eq!(ask("permit_on_first_permit"), [true]);
    // Without a list it is one question.
    let single = house.post(MANY, &question()).send().is(200);
    assert!(single["decision"].is_boolean() && single.get("evaluations").is_none());
    // One that is none is denied at its place.
    let mut body = question();
    body["evaluations"] = json!([{}, {"resource": {"type": "document"}}, {"resource": {"type": "document", "id": "1"}}]);
    let answers = house.post(MANY, &body).send().is(200);
    let words: Vec<_> =
        answers["evaluations"].as_array().expect("answers").iter().map(|answer| answer["context"]["outcome"].clone()).collect();
    assert_eq!(words, ["allow", "error", "allow"]);
    let error = &answers["evaluations"][1]["context"]["error"];
    assert_eq!((&error["status"], &error["pointer"]), (&json!(400), &json!("/evaluations/1/resource/id")));
}

#[test]
fn what_is_no_question_is_refused_and_told() {
    let house = House::start();
    let project = house.project.clone();
    for member in ["subject", "action", "resource"] {
        let mut body = question();
        body.as_object_mut().expect("an object").remove(member);
        let problem = house.post(ONE, &body).refused(400, "invalid-evaluation", (&project, "policy.decision", "error"));
        assert_eq!(pointers(&problem), [format!("/{member}")]);
    }
    let mut several = question();
    several["evaluations"] = json!([{}]);
    house.post(ONE, &several).refused(400, "invalid-evaluation", (&project, "policy.decision", "error"));
    house.post(MANY, "{").refused(400, "malformed-json", (&project, "policy.decision", "error"));
    house.post(ONE, "").refused(400, "malformed-json", (&project, "policy.decision", "error"));
    let text = house.post(ONE, &question()).header("content-type", "text/plain");
    text.refused(415, "unsupported-media-type", (&project, "policy.decision", "error"));
    let large = format!("{}{}", question(), " ".repeat(1024 * 1024));
    house.post(ONE, &large).refused(413, "request-too-large", (&project, "policy.decision", "error"));
    let reader = house.make_key(&project, "application", &["audit:read", "control:write"]);
    house.post(ONE, &question()).key(&reader).refused(403, "forbidden", (&project, "policy.decision", "deny"));
    house.post(ONE, &question()).no_key().send().problem(401, "unauthorized");
}

#[test]
fn what_many_questions_share_counts_with_each() {
    let house = House::start();
    let ask = |evaluations: usize| {
        let mut body = question();
        // A share of 600 KiB: the request itself is far from its bound.
        let texts: serde_json::Map<String, Value> = (0..200).map(|n| (format!("p{n}"), json!("x".repeat(3 * 1024)))).collect();
        body["subject"]["properties"] = Value::Object(texts);
        body["evaluations"] = json!(vec![json!({}); evaluations]);
        house.post(MANY, &body)
    };
    assert_eq!(ask(6).send().is(200)["evaluations"].as_array().expect("answers").len(), 6);
    let problem = ask(7).refused(400, "invalid-evaluation", (&house.project, "policy.decision", "error"));
    assert_eq!(pointers(&problem), ["/evaluations"]);
}

#[test]
fn two_tenants_ask_for_themselves_alone() {
    let house = House::start();
    let (other, key) = house.tenant("other");
    policy(&house, "permit (principal, action, resource);");
    assert_eq!(house.post(ONE, &question()).send().is(200)["decision"], true);
    assert_eq!(house.post(ONE, &question()).key(&key).send().is(200)["decision"], false);
    let path = format!("{ONE}?project_id={}", house.project);
    let theirs = house.post(&path, &question()).key(&key).refused(404, "not-found", (&other, "policy.decision", "deny"));
    let path = format!("{ONE}?project_id=00000000-0000-4000-8000-00000000dead");
    let nowhere = house.post(&path, &question()).key(&key).refused(404, "not-found", (&other, "policy.decision", "deny"));
    assert_eq!(theirs, nowhere);
    // A key of the instance names the project.
    let path = format!("{ONE}?project_id={other}");
    let asked = house.post(&path, &question()).key(&house.instance).send();
    assert_eq!(asked.is(200)["decision"], false);
    asked.left(&house, (&other, "policy.decision", "deny"));
}

#[test]
fn a_policy_with_a_fault_is_refused_with_its_line_and_column() {
    let house = House::start();
    let text = "permit (principal, action, resource)\nwhen { principal.colour == \"s3cr3t\" };";
    let body = json!({"name": "p", "text": text});
    let problem = house.post("/v1/policies", &body).refused(422, "invalid-resource", (&house.project, "policy.create", "error"));
    assert_eq!(pointers(&problem), ["/text"]);
    let message = problem["errors"][0]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("line 2, column 8: ") && message.contains("colour") && !problem.to_string().contains("s3cr3t"),
        "{message}"
    );
}

#[test]
fn where_decisions_are_asked_for_is_told_to_anybody() {
    let house = House::start();
    let told = house.get("/.well-known/authzen-configuration").no_key().send().is(200);
    let base = format!("http://{}", house.address);
    assert_eq!(told["policy_decision_point"], json!(base));
    assert_eq!(told["access_evaluation_endpoint"], json!(format!("{base}{ONE}")));
    assert_eq!(told["access_evaluations_endpoint"], json!(format!("{base}{MANY}")));
}

#[test]
fn spending_is_shown_and_the_look_is_recorded() {
    let house = House::start();
    let budget = json!({"name": "b", "subject": {"type": "project"}, "period": "month", "limit_micros": 100, "currency": "EUR"});
    let budget = house.post("/v1/budgets", &budget).send().is(201);
    let path = format!("/v1/budgets/{}/spending", budget["id"].as_str().expect("an id"));
    let mut event = crate::server::event("model.invoke");
    event["usage"] = json!({"cost_micros": 100, "currency": "EUR"});
    house.post(crate::server::EVENTS, &event).send().is(201);
    let answer = house.get(&path).send();
    let shown = answer.is(200);
    answer.left(&house, (&house.project, "audit.read", "allow"));
    assert_eq!((&shown["spent_micros"], &shown["exceeded"], &shown["currency"]), (&json!(100), &json!(true), &json!("EUR")));
    assert_eq!((&shown["other_costs"], &shown["at_most"]), (&json!([]), &json!(false)));
    let mut other = crate::server::event("model.invoke");
    other["usage"] = json!({"cost_micros": 3, "currency": "USD"});
    house.post(crate::server::EVENTS, &other).send().is(201);
    assert_eq!(house.get(&path).send().is(200)["other_costs"], json!([{"currency": "USD", "micros": 3}]));
    assert!(shown["period_start"].as_str().is_some_and(|from| from.ends_with("-01T00:00:00.000000Z")));
    let (other, key) = house.tenant("other");
    house.get(&path).key(&key).refused(404, "not-found", (&other, "audit.read", "error"));
    house.get("/v1/budgets/nothing/spending").refused(404, "not-found", (&house.project, "audit.read", "error"));
    let denied = house.post(ONE, &question()).send().is(200);
    assert_eq!((&denied["decision"], &denied["context"]["engine"]), (&json!(false), &json!("budget")));
}
