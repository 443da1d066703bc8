//! `GET /v1/audit/events`: a page, newest first, or of the feed.

use axum::body::Body;
use axum::http::header::{HeaderName, HeaderValue, LINK};
use axum::http::{Response, StatusCode};
use indelible_core::limits::{INTEGER_MAX, PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};
use indelible_engine::query::{Feed, Page, Search};
use serde_json::json;

use super::super::call::{self, Call, INCLUDE, PROJECT_ID, PURPOSE};
use super::super::json::{Document, array};
use super::super::problem::{Kind, Problem};
use super::super::query::{Parameter, Values};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;

/// Milliseconds until the page was ready, and until the record of the read was durable (W3C Server Timing, section 3).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// `filter`
pub(super) const FILTER: Parameter =
    Parameter { name: "filter", values: Values::Text, doc: "SCIM filter (RFC 7644, section 3.4.2.2), at most 10,000 bytes." };
/// `limit`
pub(super) const LIMIT: Parameter =
    Parameter { name: "limit", values: Values::Integer(1, PAGE_EVENTS_MAX as u64), doc: "Events in the page; 100 if absent." };
/// Problems of every page of events.
pub(super) const PROBLEMS: &[Kind] =
    &[Kind::InvalidQuery, Kind::InvalidFilter, Kind::InvalidCursor, Kind::InvalidPurpose, Kind::Forbidden, Kind::NotFound, Kind::QueueFull];
/// `cursor`
pub(super) const CURSOR: Parameter = Parameter { name: "cursor", values: Values::Text, doc: "`next_cursor` of the page before." };

pub(in super::super) static ROUTE: Route = Route {
    name: "list_events",
    verb: Verb::Get,
    path: "/v1/audit/events",
    summary: "Search events",
    description: "Newest first by `occurred_at`; `next_cursor` and the `Link` header lead to the next page. With `order=asc` it is a feed by \
                  `sequence` that loses nothing, events that arrive late included: go on with `after_sequence` set to `next_after_sequence`. \
                  Appends `audit.read` before it answers. Needs `audit:read`.",
    variables: &[],
    parameters: &[
        FILTER,
        CURSOR,
        LIMIT,
        Parameter { name: "order", values: Values::Choice(&["desc", "asc"]), doc: "`asc` is the feed." },
        Parameter { name: "after_sequence", values: Values::Integer(0, INTEGER_MAX as u64), doc: "With order=asc: where to go on." },
        INCLUDE,
        PURPOSE,
        PROJECT_ID,
    ],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema::reference("Page"))],
    problems: PROBLEMS,
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

/// The schema of a page.
pub(in super::super) fn page_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "required": ["data", "next_cursor", "indexed_through"],
        "properties": {
            "data": {"type": "array", "items": schema::reference("Record")},
            "next_cursor": {"type": ["string", "null"], "description": "Null on the last page, and in a feed."},
            "next_after_sequence": {"type": ["integer", "null"], "description": "In a feed: where to go on."},
            "indexed_through": {"type": ["integer", "null"], "description": "The project's last sequence that the answer knows of."},
        },
    })
}

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let project = call.project().await?;
    let search = search(&call)?;
    let is_feed = search.feed.is_some();
    let page = call.app.ledger.search(&call.caller, &project, search).await?;
    let next = match (&page.next_cursor, page.next_after_sequence) {
        (Some(cursor), _) => Some(call.query.with("cursor", "cursor", cursor)),
        (None, Some(sequence)) if !page.records.is_empty() => {
            Some(call.query.with("after_sequence", "after_sequence", &sequence.to_string()))
        }
        (None, _) => None,
    };
    let timing = format!("search;dur={:.3}, record;dur={:.3}", page.search_micros as f64 / 1e3, page.record_micros as f64 / 1e3);
    let mut response = call::json(StatusCode::OK, render(page, is_feed));
    if let Ok(timing) = HeaderValue::try_from(timing) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    add_link(&mut response, ROUTE.path, next.as_deref());
    Ok(response)
}

/// Where the next page is (RFC 8288).
pub(super) fn add_link(response: &mut Response<Body>, path: &str, next: Option<&str>) {
    if let Some(Ok(link)) = next.map(|next| HeaderValue::try_from(format!("<{path}?{next}>; rel=\"next\""))) {
        response.headers_mut().insert(LINK, link);
    }
}

fn search(call: &Call) -> Result<Search, Problem> {
    let query = &call.query;
    let after = query.integer("after_sequence");
    let feed = match (query.text("order"), after) {
        (Some("asc"), None) => Some(Feed::Start),
        (Some("asc"), Some(after)) => Some(Feed::After(after)),
        (_, Some(_)) => return Err(Problem::new(Kind::InvalidQuery, "after_sequence needs order=asc")),
        (_, None) => None,
    };
    if feed.is_some() && query.text("cursor").is_some() {
        return Err(Problem::new(Kind::InvalidQuery, "a feed goes on by after_sequence, not by cursor"));
    }
    Ok(Search {
        filter: query.text("filter").filter(|filter| !filter.is_empty()).map(str::to_owned),
        cursor: query.text("cursor").map(str::to_owned),
        limit: Some(query.integer("limit").map_or(PAGE_EVENTS_DEFAULT, |limit| limit as usize)),
        feed,
        opening: call.opening(),
    })
}

/// The records as they are, never parsed again.
pub(super) fn render(page: Page, is_feed: bool) -> Vec<u8> {
    let bytes: usize = page.records.iter().map(|record| record.len() + 1).sum();
    let mut out = Vec::with_capacity(bytes + 512);
    out.extend_from_slice(b"{\"data\":");
    array(&mut out, page.records);
    let document = Document::within(out).maybe_text("next_cursor", page.next_cursor.as_deref());
    let document = if is_feed { document.maybe_number("next_after_sequence", page.next_after_sequence) } else { document };
    document.maybe_number("indexed_through", page.indexed_through).end()
}
