//! With [`tokio_postgres`]: events and the actor, in a transaction of it.
//!
//! A [`Transaction`] is asked for, not any client: outside of one, each statement is a transaction of its own, and what the event tells of
//! would be kept where the event is refused. Statements have no name on the server, so they are right behind a pooler.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::event::Event;
use crate::parts::Actor;
use crate::refusal;
use crate::statement::{APPEND, Parameter, SET_ACTOR};

/// Why an event is not recorded.
pub type Error = refusal::Error<tokio_postgres::Error>;

/// Records an event, if the transaction commits. Gives its id. After an error the transaction can only be rolled back.
pub async fn append(transaction: &Transaction<'_>, event: &Event) -> Result<Uuid, Error> {
    let parameter = Parameter::new(event);
    // Not `execute`: it writes parameters to the log of the application at level debug.
    match transaction.execute_typed(APPEND, &[(&parameter.json, Type::TEXT)]).await {
        Ok(_) => Ok(event.id()),
        Err(error) => Err(parameter.explain(error.into())),
    }
}

/// Says who is at work until the transaction ends, for the rows that row capture (`audit.watch`) records.
pub async fn set_actor(transaction: &Transaction<'_>, actor: &Actor) -> Result<(), Error> {
    let [kind, id, display, on_behalf_of] = actor.arguments();
    let arguments = [(&kind as _, Type::TEXT), (&id as _, Type::TEXT), (&display as _, Type::TEXT), (&on_behalf_of as _, Type::TEXT)];
    transaction.execute_typed(SET_ACTOR, &arguments).await?;
    Ok(())
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let refused =
            error.as_db_error().and_then(|said| Self::of_database(said.code().code(), || (said.message(), said.detail(), said.hint())));
        refused.unwrap_or(Self::Database(error))
    }
}
