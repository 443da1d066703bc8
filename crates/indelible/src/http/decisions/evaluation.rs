//! `POST /access/v1/evaluation`: one question.

use indelible_engine::decide::{ACTION, Questions};

use super::super::call::PROJECT_ID;
use super::super::route::{Audit, Handler, Route, Verb};
use super::{PROBLEMS, decide, decision_schema, question_schema};

pub(in super::super) static ROUTE: Route = Route {
    name: "evaluate",
    verb: Verb::Post,
    path: "/access/v1/evaluation",
    summary: "Decide",
    description: "Whether a subject may do an action on a resource (OpenID AuthZEN, Authorization API 1.0). Halts decide first, then budgets, \
                  then policies, then the project's default. Recorded as `policy.decision` before it is answered: `context.id` is the event. \
                  Needs `events:append`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: |_| vec![("application/json", question_schema(&["subject", "action", "resource"]))],
    status: 200,
    answers: |_| vec![("application/json", decision_schema())],
    problems: PROBLEMS,
    audit: Audit::Action(ACTION),
    handler: Handler::Keyed(|call, unread| Box::pin(async move { decide(&call, unread, Questions::one).await })),
};
