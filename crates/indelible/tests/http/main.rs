//! The HTTP API over a real socket, with a real data folder: one module for each part of the URLs, and one for those who
//! mean harm.

mod api_keys;
mod client;
mod conversations;
mod enter;
mod events;
mod faults;
mod hostile;
mod limits;
mod process;
mod projects;
mod refusals;
mod server;
mod tenants;
