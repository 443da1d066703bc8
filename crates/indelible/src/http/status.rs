//! `GET /v1/audit/status`: how the ledger stands, as far as the caller may see.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indelible_engine::cosigning::{CosigningStatus, WitnessStatus};
use indelible_engine::query::status::{InstanceStatus, LedgerStatus, PROJECTS_MAX, ProjectStatus, ProjectVerification};
use serde_json::{Value, json};

use super::call::{self, Call, PROJECT_ID};
use super::json::{Document, array};
use super::problem::{Kind, Problem};
use super::route::{Audit, Handler, Route, Verb, bodiless};
use super::verify::{findings, findings_schema};

pub(super) static ROUTE: Route = Route {
    name: "show_status",
    verb: Verb::Get,
    path: "/v1/audit/status",
    summary: "Show how the ledger stands",
    description: "Of each project that the key may see: its events, those that no anchor covers, when the last anchor was made, why its tree is \
                  not signed if it is not, how far the index is, and what verification in the background last found. A key of the \
                  instance is told of the whole as well. Appends `audit.read`. Needs `audit:read`.",
    variables: &[],
    parameters: &[PROJECT_ID],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/json", schema())],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let asked = call.query.uuid(PROJECT_ID.name);
    let project = if asked.is_some() { Some(call.project().await?) } else { None };
    let status = call.app.ledger.ledger_status(&call.caller, project.as_deref()).await?;
    Ok(call::json(StatusCode::OK, render(&status)))
}

/// The whole as JSON.
pub(crate) fn render(status: &LedgerStatus) -> Vec<u8> {
    let mut projects = Vec::new();
    array(&mut projects, status.projects.iter().map(project));
    let round = status.verification.as_ref();
    let round = round.map(|round| Document::new().maybe_time("begun_at", round.begun_at).flag("failing", round.failing).end());
    Document::new()
        .json("projects", &projects)
        .number("projects_total", status.projects_total)
        .json("sealing", &Document::new().flag("failing", status.sealing_failing).end())
        .json("verification", round.as_deref().unwrap_or(b"null"))
        .json("instance", status.instance.as_ref().map(instance).as_deref().unwrap_or(b"null"))
        .end()
}

fn project(project: &ProjectStatus) -> Vec<u8> {
    let refusal = project.refused.as_ref();
    let refusal = refusal.map(|refusal| Document::new().text("kind", refusal.kind.as_str()).text("detail", &refusal.detail).end());
    Document::new()
        .uuid("project_id", project.project_id)
        .text("name", &project.name)
        .number("events", project.events)
        .number("unanchored", project.unanchored)
        .maybe_time("anchored_at", project.anchored_at)
        .json("refusal", refusal.as_deref().unwrap_or(b"null"))
        .maybe_number("unindexed", project.unindexed)
        .json("verification", project.verification.as_ref().map(verification).as_deref().unwrap_or(b"null"))
        .end()
}

fn verification(found: &ProjectVerification) -> Vec<u8> {
    Document::new()
        .text("verdict", found.verdict.as_str())
        .maybe_number("through_sequence", found.through_sequence)
        .json("findings", &findings(&found.findings))
        .number("findings_total", found.findings_total)
        .end()
}

fn instance(status: &InstanceStatus) -> Vec<u8> {
    let running = status.running.map(|(begun_at, events, events_total)| {
        Document::new().time("begun_at", begun_at).number("events", events).number("events_total", events_total).end()
    });
    Document::new()
        .number("events", status.events)
        .number("unanchored", status.unanchored)
        .number("unindexed", status.unindexed)
        .number("trees_refused", status.trees_refused)
        .maybe_time("verified_at", status.verified_at)
        .number("events_verified", status.events_verified)
        .number("findings", status.findings)
        .json("running", running.as_deref().unwrap_or(b"null"))
        .json("cosigning", status.cosigning.as_ref().map(cosigning).as_deref().unwrap_or(b"null"))
        .end()
}

fn cosigning(status: &CosigningStatus) -> Vec<u8> {
    let mut witnesses = Vec::new();
    array(&mut witnesses, status.witnesses.iter().map(|one| witness(one, status.size)));
    Document::new()
        .number("size", status.size)
        .maybe_number("cosigned_size", status.cosigned_size)
        .maybe_time("cosigned_at", status.cosigned_at)
        .flag("quorum", status.is_fulfilled)
        .json("witnesses", &witnesses)
        .end()
}

fn witness(witness: &WitnessStatus, newest: u64) -> Vec<u8> {
    let failing = witness.failing.as_ref();
    let failing = failing.map(|failure| Document::new().text("kind", failure.kind.as_str()).text("detail", &failure.detail).end());
    Document::new()
        .text("name", &witness.name)
        .text("key", &witness.key.to_string())
        .maybe_number("size", witness.size)
        .flag("missing", witness.size != Some(newest))
        .json("failing", failing.as_deref().unwrap_or(b"null"))
        .end()
}

fn schema() -> Value {
    let (time, number) = (json!({"type": ["string", "null"], "format": "date-time"}), json!({"type": "integer", "minimum": 0}));
    let trouble = json!({
        "type": ["object", "null"],
        "required": ["kind", "detail"],
        "properties": {"kind": {"type": "string"}, "detail": {"type": "string"}},
    });
    json!({
        "type": "object",
        "required": ["projects", "projects_total", "sealing", "verification", "instance"],
        "properties": {
            "projects": {"type": "array", "items": project_schema(&time, &number, &trouble), "description": format!(
                "At most {PROJECTS_MAX}; where there are more, those with anything wrong come first."
            )},
            "projects_total": number,
            "sealing": {"type": "object", "required": ["failing"], "properties": {"failing": {"type": "boolean"}}},
            "verification": {
                "type": ["object", "null"],
                "description": "Null where nothing verifies in the background.",
                "required": ["begun_at", "failing"],
                "properties": {
                    "begun_at": {"type": ["string", "null"], "format": "date-time", "description":
                        "When the last round that came to its end began: it holds for what was there then."},
                    "failing": {"type": "boolean"},
                },
            },
            "instance": instance_schema(&time, &number, &trouble),
        },
    })
}

fn project_schema(time: &Value, number: &Value, trouble: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["project_id", "name", "events", "unanchored", "anchored_at", "refusal", "unindexed", "verification"],
        "properties": {
            "project_id": {"type": "string", "format": "uuid"},
            "name": {"type": "string"},
            "events": number,
            "unanchored": {"type": "integer", "description": "Events that no anchor covers."},
            "anchored_at": time,
            "refusal": trouble,
            "unindexed": {"type": ["integer", "null"], "description": "Events that queries wait for; null while the index is not open."},
            "verification": {
                "type": ["object", "null"],
                "required": ["verdict", "through_sequence", "findings", "findings_total"],
                "properties": {
                    "verdict": {"type": "string"},
                    "through_sequence": {"type": ["integer", "null"]},
                    "findings": findings_schema(),
                    "findings_total": number,
                },
            },
        },
    })
}

fn instance_schema(time: &Value, number: &Value, trouble: &Value) -> Value {
    json!({
        "type": ["object", "null"],
        "description": "For keys of the instance that name no project.",
        "required": [
            "events", "unanchored", "unindexed", "trees_refused", "verified_at", "events_verified", "findings", "running", "cosigning",
        ],
        "properties": {
            "events": number,
            "unanchored": number,
            "unindexed": number,
            "trees_refused": number,
            "verified_at": time,
            "events_verified": number,
            "findings": number,
            "running": {
                "type": ["object", "null"],
                "required": ["begun_at", "events", "events_total"],
                "properties": {"begun_at": {"type": "string", "format": "date-time"}, "events": number, "events_total": number},
            },
            "cosigning": {
                "type": ["object", "null"],
                "required": ["size", "cosigned_size", "cosigned_at", "quorum", "witnesses"],
                "properties": {
                    "size": {"type": "integer", "description": "Leaves of the newest checkpoint of the instance tree."},
                    "cosigned_size": {"type": ["integer", "null"], "description": "Of the newest that the quorum cosigned."},
                    "cosigned_at": time,
                    "quorum": {"type": "boolean", "description": "Whether it cosigned the newest."},
                    "witnesses": {"type": "array", "items": {
                        "type": "object",
                        "required": ["name", "key", "size", "missing", "failing"],
                        "properties": {
                            "name": {"type": "string"},
                            "key": {"type": "string"},
                            "size": {"type": ["integer", "null"]},
                            "missing": {"type": "boolean", "description": "Whether it has not cosigned the newest checkpoint."},
                            "failing": trouble,
                        },
                    }},
                },
            },
        },
    })
}
