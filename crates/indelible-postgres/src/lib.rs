//! Events in the PostgreSQL transactions of a host application: `audit.append` and `audit.set_actor` with types.
//!
//! For an application that keeps its data in the database of Indelible. What it does and the event that tells of it are one transaction: if
//! that commits, the event is recorded; if it rolls back, there is none; if the event is refused, the transaction fails. No server of
//! Indelible is asked. The login role must be bound to a project (`indelible database bind ROLE --project P`).
//!
//! Features: `tokio-postgres` and `sqlx`, each with a module of that name; without either there are only the types. Not here: connections,
//! pools, events over HTTP, and reading.
//!
//! ```no_run
//! # #[cfg(feature = "tokio-postgres")]
//! # mod example {
//! use indelible_postgres::{Actor, Error, Event, Outcome, tokio_postgres as audit};
//!
//! /// Gives the account to another owner, and records it.
//! async fn transfer(client: &mut tokio_postgres::Client, from: &str, to: &str) -> Result<(), Error<tokio_postgres::Error>> {
//!     let transaction = client.transaction().await?;
//!     transaction.execute("UPDATE accounts SET owner = $1 WHERE id = 7", &[&to]).await?;
//!     let event = Event::new("account.transfer", Actor::human(from), Outcome::Allow)
//!         .resource("account", "7")
//!         .before(serde_json::json!({"owner": from}))
//!         .after(serde_json::json!({"owner": to}));
//!     audit::append(&transaction, &event).await?;
//!     Ok(transaction.commit().await?)
//! }
//! # }
//! ```

mod choice;
mod event;
mod object;
mod parts;
mod refusal;
#[cfg(feature = "sqlx")]
pub mod sqlx;
#[cfg(any(feature = "sqlx", feature = "tokio-postgres"))]
mod statement;
mod time;
#[cfg(feature = "tokio-postgres")]
pub mod tokio_postgres;

#[cfg(test)]
mod tests;

pub use choice::{ActorType, Outcome, OutcomeDetail, Phase, PrincipalType, ProvisioningPath};
pub use event::Event;
pub use parts::{Actor, Body, Content, Decision, Grant, Http, Link, Model, Principal, Provisioning, Request, Resource, Run, Scope, Usage};
pub use refusal::{Error, Refusal, RefusalKind};
