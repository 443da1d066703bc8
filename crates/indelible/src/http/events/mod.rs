//! `/v1/audit/events`: handing events in, asking for them, and for proofs of them.

pub(super) mod check;
pub(super) mod explore;
pub(super) mod list;
mod prepare;
pub(super) mod proof;
pub(super) mod show;
pub(super) mod stream;
pub(super) mod submit;
pub(super) mod verify;

pub(crate) use proof::render_proof;
