//! `GET /tlog/{project}/tile/…`: hashes and entries of a log, 256 at a time.
//!
//! A tile of hashes never changes, and neither do the first W of one, so caches may keep it; for the same key alone, since nobody else may
//! learn that it is there. What people wrote is not kept.

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, VARY};
use indelible_core::tree::TileKind;
use indelible_engine::query::tlog::LogTile;
use serde_json::json;

use super::super::call::{self, Call};
use super::super::problem::{Kind, Problem};
use super::super::route::{Audit, Handler, Route, Verb, bodiless};
use super::PROJECT;

pub(in super::super) static ROUTE: Route = Route {
    name: "read_tile",
    verb: Verb::Get,
    path: "/tlog/{project}/tile/{*tile}",
    summary: "Read a tile or an entry bundle",
    description: "`<L>/<N>` is a tile of hashes of level L, `entries/<N>` the entries under the tile `0/<N>`, each after its length in two bytes; \
                  `.p/<W>` asks for the first W (c2sp.org/tlog-tiles). There is what the newest checkpoint covers. Appends `audit.read`. Needs \
                  `audit:read`.",
    variables: &[PROJECT, "`<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`; N is written in groups of three digits, as `x001/x234/067`."],
    parameters: &[],
    body: bodiless,
    status: 200,
    answers: |_| vec![("application/octet-stream", json!({"type": "string", "contentMediaType": "application/octet-stream"}))],
    problems: &[Kind::InvalidQuery, Kind::Forbidden, Kind::NotFound, Kind::QueueFull, Kind::Unprovable],
    audit: Audit::Action("audit.read"),
    handler: Handler::Keyed(|call, _| Box::pin(handle(call))),
};

async fn handle(call: Call) -> Result<Response<Body>, Problem> {
    let log = super::log(&call).await?;
    let LogTile { path, bytes } = call.app.ledger.log_tile(&log, &format!("tile/{}", call.variable(1))).await?;
    let mut response = call::of_type("application/octet-stream", bytes);
    let headers = response.headers_mut();
    if path.kind() == TileKind::Entries {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    } else {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert(VARY, HeaderValue::from(AUTHORIZATION));
    }
    Ok(response)
}
