//! With [`sqlx`]: events and the actor, in a transaction of it.
//!
//! A [`Transaction`] is asked for, not any connection: outside of one, each statement is a transaction of its own, and what the event tells
//! of would be kept where the event is refused. Statements have no name on the server, so they are right behind a pooler.
//!
//! ```no_run
//! use indelible_postgres::{Actor, Event, Outcome, sqlx as audit};
//! use sqlx::{Connection as _, PgConnection};
//!
//! /// Closes the account, and records it.
//! async fn close(connection: &mut PgConnection, who: &str) -> Result<(), audit::Error> {
//!     let mut transaction = connection.begin().await?;
//!     sqlx::query("DELETE FROM accounts WHERE id = 7").execute(&mut *transaction).await?;
//!     let event = Event::new("account.close", Actor::human(who), Outcome::Allow).resource("account", "7");
//!     audit::append(&mut transaction, &event).await?;
//!     Ok(transaction.commit().await?)
//! }
//! ```

use sqlx::postgres::PgDatabaseError;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::event::Event;
use crate::parts::Actor;
use crate::refusal;
use crate::statement::{APPEND, Parameter, SET_ACTOR};

/// Why an event is not recorded.
pub type Error = refusal::Error<sqlx::Error>;

/// Records an event, if the transaction commits. Gives its id. After an error the transaction can only be rolled back.
pub async fn append(transaction: &mut Transaction<'_, Postgres>, event: &Event) -> Result<Uuid, Error> {
    let parameter = Parameter::new(event);
    match sqlx::query(APPEND).bind(&parameter.json).persistent(false).execute(&mut **transaction).await {
        Ok(_) => Ok(event.id()),
        Err(error) => Err(parameter.explain(error.into())),
    }
}

/// Says who is at work until the transaction ends, for the rows that row capture (`audit.watch`) records.
pub async fn set_actor(transaction: &mut Transaction<'_, Postgres>, actor: &Actor) -> Result<(), Error> {
    let [kind, id, display, on_behalf_of] = actor.arguments();
    let query = sqlx::query(SET_ACTOR).bind(kind).bind(id).bind(display).bind(on_behalf_of);
    query.persistent(false).execute(&mut **transaction).await?;
    Ok(())
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let said = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        let refused = said.and_then(|said| Self::of_database(said.code(), || (said.message(), said.detail(), said.hint())));
        refused.unwrap_or(Self::Database(error))
    }
}
