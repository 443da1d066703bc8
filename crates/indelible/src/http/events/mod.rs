//! `/v1/audit/events`: handing events in, and asking for them.

pub(super) mod check;
pub(super) mod list;
mod prepare;
pub(super) mod show;
pub(super) mod submit;
pub(super) mod verify;
