//! The HTTP API (`docs/http.md`): one route table, one file per endpoint, one shape of error.
//!
//! A request goes: `server` (connection, timeouts) -> `exchange` (request id, origin, log line) -> `routes`
//! (table) -> `enter` (key, rate) -> the endpoint (one engine call) -> bytes.
//!
//! Refused here: what is not a known URL, parameter, media type or size. What a key may do is the engine's to say.
//! Invariant: nothing under `/v1` is reached without `enter`, because a keyed handler takes the caller it makes.

mod accept;
mod actions;
mod anchors;
mod app;
mod body;
mod call;
mod chain_keys;
mod checkpoints;
mod clock;
mod consistency;
mod conversations;
mod decisions;
mod decode;
mod document;
mod enter;
mod events;
mod exchange;
mod export_jobs;
mod exports;
mod ids;
mod invitations;
mod json;
mod keys;
mod metrics;
mod openapi;
mod owner;
mod patience;
mod problem;
mod process;
mod query;
mod rate;
mod redaction;
mod refusal;
mod resources;
mod rewrap;
mod rotation;
mod route;
mod routes;
mod runs;
mod schema;
mod server;
mod spending;
mod status;
mod streams;
mod tlog;
mod verify;
mod witness;

pub use actions::reference as action_reference;
pub(crate) use anchors::{render_page as render_anchors, render_status as render_anchor_status};
pub use app::HttpOptions;
pub(crate) use chain_keys::render as render_chain_keys;
pub(crate) use checkpoints::render as render_adopted;
pub(crate) use decisions::render_all as render_decisions;
pub(crate) use events::render_proof;
pub(crate) use ids::Ids;
pub(crate) use owner::render as render_owner;
pub use problem::{Kind as ProblemKind, reference as problem_reference};
pub(crate) use redaction::render as render_rehearsed;
pub use resources::reference as resource_reference;
pub(crate) use resources::render as render_resource;
pub(crate) use rewrap::render as render_rewrapped;
pub(crate) use rotation::render as render_rotated;
pub use routes::{Listed, list as routes};
pub use server::Server;
pub(crate) use spending::render as render_spending;
pub(crate) use status::render as render_status;
pub(crate) use streams::deliveries::render as render_deliveries;
pub(crate) use streams::replay::render as render_replayed;
pub(crate) use streams::status::render as render_stream_status;
pub use witness::WitnessServer;
