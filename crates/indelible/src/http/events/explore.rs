//! `GET /v1/organizations/{id}/audit/events`: a page of the events of all projects of an organization, newest first.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::limits::PAGE_EVENTS_DEFAULT;
use indelible_engine::query::Search;

use super::super::call::{self, Call, PURPOSE};
use super::super::problem::Problem;
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::super::schema;
use super::list::{CURSOR, FILTER, LIMIT, PROBLEMS, add_link, render};

pub(in super::super) static ROUTE: Route = Route {
    name: "explore_organization",
    verb: Verb::Get,
    path: "/v1/organizations/{id}/audit/events",
    summary: "Search the events of an organization",
    description: "Those of all its projects, its own system project and deleted ones among them, newest first by `occurred_at`; each says in \
                  `project_id` where it belongs. For a key of the organization or of the instance with `audit:read`, and for its members: owners, \
                  admins and auditors see all, a member what is its own or shared with it. Appends `audit.read` to the organization's own \
                  chain before it answers.",
    variables: &["The organization's id."],
    parameters: &[FILTER, CURSOR, LIMIT, PURPOSE],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema::reference("Page"))],
    problems: PROBLEMS,
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let id = call.id("organization")?;
    let query = &call.query;
    let search = Search {
        filter: query.text("filter").filter(|filter| !filter.is_empty()).map(str::to_owned),
        cursor: query.text("cursor").map(str::to_owned),
        limit: Some(query.integer("limit").map_or(PAGE_EVENTS_DEFAULT, |limit| limit as usize)),
        feed: None,
        opening: call.opening(),
    };
    let page = call.app.ledger.explore(&call.caller, id, search).await?;
    let next = page.next_cursor.as_ref().map(|cursor| query.with("cursor", "cursor", cursor));
    let mut response = call::json(StatusCode::OK, render(page, false));
    add_link(&mut response, &ROUTE.path.replace("{id}", &id.to_string()), next.as_deref());
    Ok(response)
}
