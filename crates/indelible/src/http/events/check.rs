//! `POST /v1/audit/events/check`: what would become of events, of which nothing is written. For imports, which ask before the
//! first batch of a file goes in.
//!
//! Refused, and recorded, as handing the same events in would be; so it tells nobody of an id what appending would not.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_core::fault::Fault;
use indelible_engine::append::{Foreseen, Prepared, other_event};
use indelible_engine::resource::Project;
use serde_json::json;

use super::super::call::{self, Call, PROJECT_ID};
use super::super::json::{Document, listing};
use super::super::problem::Problem;
use super::super::refusal::Faults;
use super::super::route::{Audit, Handler, Route, Verb};
use super::submit::{self, Wish, bodies, conflict, refuse};

pub(in super::super) static ROUTE: Route = Route {
    name: "check_events",
    verb: Verb::Post,
    path: "/v1/audit/events/check",
    summary: "Check events without appending them",
    description: "Takes what `POST /v1/audit/events` takes and appends none of it. Answers with each event's id and whether it is there \
                  already; what would be refused is refused, every conflict of ids included, and recorded like any refusal. The answer holds \
                  for now: what others append meanwhile is not in it. Needs `events:append`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodies,
    status: 200,
    answers: |_| {
        let properties = json!({
            "id": {"type": "string", "format": "uuid"},
            "duplicate": {"type": "boolean", "description": "True where it is there already; else absent."},
        });
        let event = json!({"type": "object", "required": ["id"], "properties": properties});
        let events = json!({"type": "object", "required": ["events"], "properties": {"events": {"type": "array", "items": event}}});
        vec![("application/json", events)]
    },
    problems: submit::ROUTE.problems,
    audit: Audit::Refusal("audit.append_rejected", "nothing is appended, and no more is told than a retry is told"),
    handler: Handler::Keyed(|call, unread| Box::pin(submit::handle(call, unread, Wish::Check))),
};

/// What would become of events that are ready. Pointers into a single object have no index.
pub(super) async fn answer(call: &Call, project: &Project, events: &[Prepared], single: bool) -> Result<Response<Body>, Problem> {
    let foreseen = tokio::task::block_in_place(|| call.app.ledger.foresee_blocking(events, 0))?;
    let (mut conflicts, mut faults) = (Faults::default(), Faults::default());
    for (n, foreseen) in foreseen.iter().enumerate() {
        let at = |fault: Fault| if single { fault } else { fault.within(&n.to_string()) };
        match foreseen {
            Foreseen::New | Foreseen::Duplicate => {}
            Foreseen::Conflict => conflicts.push(at(other_event())),
            Foreseen::Fault(fault) => faults.push(at(fault.clone())),
        }
    }
    if faults.total > 0 {
        return Err(refuse(call, project, &faults).await);
    }
    if conflicts.total > 0 {
        return Err(conflict(call, project, &conflicts).await);
    }
    let rendered = events.iter().zip(&foreseen).map(|(event, foreseen)| {
        let document = Document::new().uuid("id", event.id());
        if *foreseen == Foreseen::Duplicate { document.flag("duplicate", true).end() } else { document.end() }
    });
    Ok(call::json(StatusCode::OK, listing("events", rendered)))
}
