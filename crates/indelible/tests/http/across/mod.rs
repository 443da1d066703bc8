//! What holds across all URLs: each change and each refusal is one event, no secret is stored, no tenant sees another, no caller claims an
//! assurance.

mod assurance;
mod audited;
mod conformance;
mod foreign;
mod operations;
mod secrets;
mod tenants;
