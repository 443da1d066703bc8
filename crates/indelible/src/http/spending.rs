//! `GET /v1/budgets/{id}/spending`: what was spent of a budget.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::spending::BudgetSpending;
use serde_json::json;

use super::call::{self, Call};
use super::json::Document;
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};

pub(super) static ROUTE: Route = Route {
    name: "budget_spending",
    verb: Verb::Get,
    path: "/v1/budgets/{id}/spending",
    summary: "Show what was spent of a budget",
    description: "In the period that goes on, by the `usage` of every event that was acknowledged before: its `cost_micros` where it names a cost \
                  and its currency, otherwise its tokens at the price that the model has now. Tokens of models without a price in the budget's \
                  currency count for nothing, and are told as `unpriced_tokens`. Appends `audit.read`.",
    variables: &["The budget."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| {
        let number = json!({"type": "integer", "minimum": 0});
        let time = json!({"type": ["string", "null"], "format": "date-time"});
        let schema = json!({
            "type": "object",
            "required": ["budget_id", "version", "currency", "limit_micros", "spent_micros", "exceeded", "unpriced_tokens", "period_start", "period_end"],
            "properties": {
                "budget_id": {"type": "string", "format": "uuid"},
                "version": number,
                "currency": {"type": "string"},
                "limit_micros": number,
                "spent_micros": number,
                "exceeded": {"type": "boolean"},
                "unpriced_tokens": number,
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
    Document::new()
        .uuid("budget_id", spending.budget_id)
        .number("version", spending.version)
        .text("currency", &spending.currency)
        .number("limit_micros", spending.limit_micros)
        .number("spent_micros", spending.spent_micros)
        .flag("exceeded", spending.exceeded)
        .number("unpriced_tokens", spending.unpriced_tokens)
        .maybe_time("period_start", spending.period.map(|(from, _)| from))
        .maybe_time("period_end", spending.period.map(|(_, until)| until))
        .end()
}
