//! `POST /access/v1/evaluations`: many questions, with defaults for what they share.

use indelible_engine::decide::{ACTION, QUESTIONS_MAX, Questions, Semantic};
use serde_json::json;

use super::super::call::PROJECT_ID;
use super::super::route::{Audit, Handler, Route, Verb};
use super::{PROBLEMS, decide, decision_schema, question_schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "evaluate_many",
    verb: Verb::Post,
    path: "/access/v1/evaluations",
    summary: "Decide many questions",
    description: "Each of `evaluations`, at most 1,000, takes what it lacks from the members beside it, which counts with each: all come to 4 MiB at \
                  most. `options.evaluations_semantic` says \
                  which are answered: `execute_all`, or up to the first that is denied (`deny_on_first_deny`) or permitted \
                  (`permit_on_first_permit`). All are decided by the same rules and recorded in one transaction. One that is no question is \
                  denied, with `context.error`. Without `evaluations` it is one question, and answered like one. Needs `events:append`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: |_| {
        let mut schema = question_schema(&[]);
        let any = ["object", "array", "string", "number", "boolean", "null"];
        let no_question = json!({"type": any, "description": "Anything else is denied at its place, with `context.error`."});
        let item = json!({"anyOf": [question_schema(&[]), no_question]});
        let words = Semantic::ALL.map(|(_, word)| word);
        schema["properties"]["evaluations"] = json!({"type": "array", "maxItems": QUESTIONS_MAX, "items": item});
        schema["properties"]["options"] =
            json!({"type": "object", "properties": {"evaluations_semantic": {"type": "string", "enum": words}}});
        vec![("application/json", schema)]
    },
    status: 200,
    answers: |_| {
        let many = json!({
            "type": "object",
            "required": ["evaluations"],
            "properties": {"evaluations": {"type": "array", "items": decision_schema()}},
        });
        vec![("application/json", json!({"anyOf": [many, decision_schema()]}))]
    },
    problems: PROBLEMS,
    audit: Audit::Action(ACTION),
    handler: Handler::Keyed(|call, unread| Box::pin(async move { decide(&call, unread, Questions::read).await })),
};
