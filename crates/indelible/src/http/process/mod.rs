//! What a load balancer and a reader of the API ask of the process, without a key.

pub(super) mod healthz;
pub(super) mod openapi;
pub(super) mod readyz;
