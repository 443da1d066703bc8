//! `GET /v1/budgets/{id}/spending`: what was spent of a budget.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::spending::BudgetSpending;
use serde_json::json;

use super::call::{self, Call};
use super::json::{Document, array};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "budget_spending",
    verb: Verb::Get,
    path: "/v1/budgets/{id}/spending",
    summary: "Show what was spent of a budget",
    description: "In the period that goes on, by the `usage` of every event that was acknowledged before: its `cost_micros` where it names a cost \
                  and its currency, otherwise its tokens at the price that the model has now. Tokens of models without a price in the budget's \
                  currency count for nothing, and are told as `unpriced_tokens`; costs in other currencies count for nothing either, and are told as \
                  `other_costs`. `at_most` says that some of it was summed with what others used, for there were too many names to keep apart. \
                  Appends `audit.read`.",
    variables: &["The budget."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let number = json!({"type": "integer", "minimum": 0});
        let time = json!({"type": ["string", "null"], "format": "date-time"});
        let other_cost = json!({
            "type": "object",
            "required": ["currency", "micros"],
            "properties": {"currency": {"type": "string"}, "micros": number},
        });
        let schema = json!({
            "type": "object",
            "required": ["budget_id", "version", "currency", "limit_micros", "spent_micros", "exceeded", "unpriced_tokens", "other_costs", "at_most", "period_start", "period_end"],
            "properties": {
                "budget_id": {"type": "string", "format": "uuid"},
                "version": number,
                "currency": {"type": "string"},
                "limit_micros": number,
                "spent_micros": number,
                "exceeded": {"type": "boolean"},
                "unpriced_tokens": number,
                "other_costs": {"type": "array", "items": other_cost},
                "at_most": {"type": "boolean"},
                "period_start": time,
                "period_end": time,
            },
        });
        vec![("application/json", schema)]
    },
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let spending = call.app.ledger.budget_spending(&call.caller, call.id("budget")?).await?;
    Ok(call::json(StatusCode::OK, render(&spending)))
}

/// As it is shown.
pub(crate) fn render(spending: &BudgetSpending) -> Vec<u8> {
    let cost = |(currency, micros): &(String, u64)| Document::new().text("currency", currency).number("micros", *micros).end();
    let mut other_costs = Vec::new();
    array(&mut other_costs, spending.other_costs.iter().map(cost));
    Document::new()
        .uuid("budget_id", spending.budget_id)
        .number("version", spending.version)
        .text("currency", &spending.currency)
        .number("limit_micros", spending.limit_micros)
        .number("spent_micros", spending.spent_micros)
        .flag("exceeded", spending.exceeded)
        .number("unpriced_tokens", spending.unpriced_tokens)
        .json("other_costs", &other_costs)
        .flag("at_most", spending.at_most)
        .maybe_time("period_start", spending.period.map(|(from, _)| from))
        .maybe_time("period_end", spending.period.map(|(_, until)| until))
        .end()
}
