//! What holds across all URLs: no secret is stored, no tenant sees another, no caller claims an assurance.

mod assurance;
mod secrets;
mod tenants;
