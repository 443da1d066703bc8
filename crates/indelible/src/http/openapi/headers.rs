//! Header fields in the OpenAPI document: those that requests may have, and those that answers carry.

use utoipa::openapi::header::{Header as Field, HeaderBuilder};

use super::super::route::{Header, Route, Verb};
use super::read;

const fn field(name: &'static str, doc: &'static str) -> Header {
    Header { name, required: false, words: &[], doc }
}

const fn choice(name: &'static str, words: &'static [&'static str], doc: &'static str) -> Header {
    Header { name, required: false, words, doc }
}

const EVERY_REQUEST: &[Header] = &[
    field("X-Request-Id", "Up to 128 letters, digits and `-_.:/+=`; anything else is replaced. Recorded, and in the answer."),
    field("traceparent", "W3C Trace Context; recorded."),
];
const BODIED: &[Header] =
    &[choice("Content-Encoding", &["gzip", "zstd", "identity", ""], "How the body is compressed; empty for not at all.")];
const RESUMING: &[Header] = &[field("Last-Event-ID", "The last `id` that was read: the stream goes on after it.")];
const SUBMISSION: &[Header] = &[choice("X-Indelible-Path", &["import"], "The events come from another log.")];

/// Header fields that every request of a route may have, beside those of [`Route::headers`].
pub(super) fn asked(route: &Route) -> impl Iterator<Item = &'static Header> {
    let bodied = if (route.body)(route).is_empty() { &[][..] } else { BODIED };
    let own = match route.name {
        "submit_events" | "check_events" => SUBMISSION,
        "stream_events" => RESUMING,
        _ => &[],
    };
    EVERY_REQUEST.iter().chain(bodied).chain(own)
}

const EVERY_ANSWER: &[Header] = &[
    field("X-Request-Id", "The request's id."),
    field("Cache-Control", "`no-store`, but on what never changes."),
    field("X-Content-Type-Options", "`nosniff`"),
];
const RATE: &[Header] =
    &[field("RateLimit-Policy", "The key's rate: `q` requests in `w` seconds."), field("RateLimit", "What is left of it: `r`.")];
const NEXT: &[Header] = &[field("Link", "`rel=\"next\"`: the next page, with the filter repeated.")];
const TIMING: &[Header] =
    &[field("Server-Timing", "`search` until the page was ready, `record` until the record of the read was durable, milliseconds.")];
const VERSION: &[Header] = &[field("ETag", "The version, for `If-Match`.")];
const PLACE: &[Header] = &[field("Location", "The URL of what was made.")];
const REPLAY: &[Header] = &[field("Idempotent-Replayed", "`true` where the first answer to the `Idempotency-Key` is repeated.")];
const BUNDLE: &[Header] = &[
    field("Content-Disposition", "A name for the file."),
    field("X-Indelible-Entries", "Events in the bundle."),
    field("X-Indelible-Left-Out", "Events of the range that are not in it."),
    field("X-Indelible-Events-After", "Events after the newest signed checkpoint, which no bundle holds yet."),
];
const FILE: &[Header] = &[
    field("Content-Disposition", "A name for the file."),
    field("ETag", "The SHA-256 of the file, for `If-Range`."),
    field("Accept-Ranges", "`bytes`"),
    field("Content-Range", "On 206: which bytes these are."),
];
const STREAM: &[Header] = &[field("X-Accel-Buffering", "`no`: a proxy is not to gather the answer.")];
const TILE: &[Header] = &[field("Vary", "`Authorization`, on full tiles of hashes.")];

/// Header fields of the answer of success.
fn succeeded(route: &Route) -> Vec<&'static [Header]> {
    let own: &[&'static [Header]] = match (route.kind(), route.verb) {
        (Some(_), Verb::Post) => &[VERSION, PLACE, REPLAY],
        (Some(_), Verb::Patch) => &[VERSION],
        (Some(_), Verb::Get) if route.path.contains('{') => &[VERSION],
        (None, _) => match route.name {
            "list_events" => &[NEXT, TIMING],
            "explore_organization" => &[NEXT],
            "stream_events" => &[STREAM],
            "create_export_job" => &[PLACE],
            "download_export_job" => &[FILE],
            "export_bundle" => &[BUNDLE],
            "read_tile" => &[TILE],
            _ => &[],
        },
        _ => &[],
    };
    own.to_vec()
}

/// Header fields of a problem, by its status.
fn refused(status: u16) -> &'static [Header] {
    const WAIT: &[Header] = &[field("Retry-After", "Seconds to wait.")];
    const CHALLENGE: &[Header] = &[field("WWW-Authenticate", "`Bearer`")];
    const METHODS: &[Header] = &[field("Allow", "The methods that the URL has.")];
    const CODINGS: &[Header] = &[field("Accept-Encoding", "The codings that are taken, where that was the fault.")];
    match status {
        401 => CHALLENGE,
        405 => METHODS,
        // Only `not-anchored` says when to come back.
        409 | 429 | 503 => WAIT,
        415 => CODINGS,
        _ => &[],
    }
}

/// Header fields of the answers of a route with this status, and the document's words for them.
pub(super) fn answered(route: &Route, status: u16) -> impl Iterator<Item = (&'static str, Field)> {
    let own = if status == route.status { succeeded(route) } else { vec![refused(status)] };
    let rate = if route.is_keyed() { RATE } else { &[] };
    let all = EVERY_ANSWER.iter().chain(rate).chain(own.into_iter().flatten());
    all.map(|header| {
        let text = read(serde_json::json!({"type": "string"}));
        (header.name, HeaderBuilder::new().description(Some(header.doc)).schema(Some(text)).build())
    })
}
