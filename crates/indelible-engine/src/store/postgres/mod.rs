//! A ledger in PostgreSQL: the SQL files that make it, and what installs and checks them.

pub mod bind;
pub mod check;
mod expected;
pub mod install;
#[cfg(test)]
mod views;
