//! One transaction of a host application, through either driver.

use indelible_postgres::{Actor, Error, Event, Refusal};
use sqlx::error::DatabaseError;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::place::{Place, wait};

/// The SQLSTATE of each statement in a transaction that has failed.
const FAILED_TRANSACTION: &str = "25P02";

/// A session of a login role.
pub(crate) enum Driver {
    TokioPostgres(Client),
    Sqlx(PgConnection),
}

/// What is done in one transaction, in this order.
#[derive(Default)]
pub(crate) struct Work<'w> {
    pub(crate) actor: Option<&'w Actor>,
    /// The application's own statement.
    pub(crate) own: &'static str,
    pub(crate) event: Option<&'w Event>,
    pub(crate) rolls_back: bool,
}

impl Driver {
    pub(crate) fn both(place: &Place, role: &str) -> [Self; 2] {
        let address = place.address_of(role);
        let (client, connection) = wait(tokio_postgres::connect(&address, NoTls)).expect("the server answers");
        wait(async { drop(tokio::spawn(connection)) });
        [Self::TokioPostgres(client), Self::Sqlx(wait(PgConnection::connect(&address)).expect("the server answers"))]
    }

    /// Carries it out. Where something is refused the application goes on as if nothing were: its next statement fails, and its COMMIT
    /// keeps nothing.
    pub(crate) fn run(&mut self, work: &Work<'_>) -> Result<Option<Uuid>, Refusal> {
        match self {
            Self::TokioPostgres(client) => wait(by_tokio_postgres(client, work)),
            Self::Sqlx(connection) => wait(by_sqlx(connection, work)),
        }
    }
}

async fn by_tokio_postgres(client: &mut Client, work: &Work<'_>) -> Result<Option<Uuid>, Refusal> {
    use indelible_postgres::tokio_postgres as audit;
    let transaction = client.transaction().await.expect("begun");
    let done: Result<_, audit::Error> = async {
        if let Some(actor) = work.actor {
            audit::set_actor(&transaction, actor).await?;
        }
        transaction.batch_execute(work.own).await?;
        Ok(match work.event {
            Some(event) => Some(audit::append(&transaction, event).await?),
            None => None,
        })
    }
    .await;
    if done.is_err() {
        let error = transaction.batch_execute("SELECT 1").await.expect_err("it has failed");
        assert_eq!(error.code().expect("of the database").code(), FAILED_TRANSACTION);
    }
    if work.rolls_back { transaction.rollback().await } else { transaction.commit().await }.expect("ended");
    done.map_err(refusal)
}

async fn by_sqlx(connection: &mut PgConnection, work: &Work<'_>) -> Result<Option<Uuid>, Refusal> {
    use indelible_postgres::sqlx as audit;
    let mut transaction = connection.begin().await.expect("begun");
    let done: Result<_, audit::Error> = async {
        if let Some(actor) = work.actor {
            audit::set_actor(&mut transaction, actor).await?;
        }
        (&mut *transaction).execute(work.own).await?;
        Ok(match work.event {
            Some(event) => Some(audit::append(&mut transaction, event).await?),
            None => None,
        })
    }
    .await;
    if done.is_err() {
        let error = (&mut *transaction).execute("SELECT 1").await.expect_err("it has failed");
        assert_eq!(error.as_database_error().and_then(DatabaseError::code).as_deref(), Some(FAILED_TRANSACTION));
    }
    if work.rolls_back { transaction.rollback().await } else { transaction.commit().await }.expect("ended");
    done.map_err(refusal)
}

fn refusal<D: std::fmt::Debug>(error: Error<D>) -> Refusal {
    match error {
        Error::Refused(refusal) => refusal,
        Error::Database(error) => panic!("{error:?}"),
    }
}
