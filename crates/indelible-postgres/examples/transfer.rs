//! An application that moves money and records it in the same transaction: where the event is refused, no money moves.
//!
//!     cargo run -p indelible-postgres --features tokio-postgres --example transfer -- 'postgres:///log?host=/run/postgresql&user=app'
//!
//! The role must be bound to a project (`indelible database bind app --project P`), and may make a table in the schema `public`.
#![expect(clippy::print_stdout, reason = "an example shows what happened")]

use std::fmt::Display;
use std::process::ExitCode;

use indelible_postgres::{Actor, Event, Outcome, tokio_postgres as audit};
use serde_json::json;
use tokio_postgres::{Client, NoTls};

/// The application's own data.
const ACCOUNTS: &str = "
    CREATE TABLE IF NOT EXISTS accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
    INSERT INTO accounts VALUES (7, 100), (8, 0) ON CONFLICT DO NOTHING";

/// Moves money from one account to another, and records who did it. Both happen, or neither.
async fn transfer(client: &mut Client, who: &str, from: i64, to: i64, amount: i64) -> Result<Event, audit::Error> {
    let transaction = client.transaction().await?;
    let take = "UPDATE accounts SET balance = balance - $2 WHERE id = $1 RETURNING balance";
    let left: i64 = transaction.query_one(take, &[&from, &amount]).await?.get(0);
    transaction.execute("UPDATE accounts SET balance = balance + $2 WHERE id = $1", &[&to, &amount]).await?;
    let event = Event::new("account.transfer", Actor::human(who), Outcome::Allow)
        .resource("account", from.to_string())
        .context("to", to.to_string())
        .before(json!({ "balance": left + amount }))
        .after(json!({ "balance": left }));
    audit::append(&transaction, &event).await?;
    transaction.commit().await?;
    Ok(event)
}

/// Does it, and tells what came of it.
async fn attempt(client: &mut Client, who: &str, amount: i64) -> Result<(), audit::Error> {
    let (from, to) = (7, 8);
    match transfer(client, who, from, to, amount).await {
        Ok(event) => println!("moved {amount} from {from} to {to}: event {}", event.id()),
        // The transaction was dropped without a commit: what it did is rolled back.
        Err(audit::Error::Refused(refusal)) => println!("did not move {amount}: the event is refused, {refusal}"),
        Err(error) => return Err(error),
    }
    for row in client.query("SELECT id, balance FROM accounts ORDER BY id", &[]).await? {
        println!("  account {} has {}", row.get::<_, i64>(0), row.get::<_, i64>(1));
    }
    Ok(())
}

async fn run(database: &str) -> Result<(), audit::Error> {
    let (mut client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(ACCOUNTS).await?;
    attempt(&mut client, "alice", 30).await?;
    // A fault of the application: it does not know who is asking. An actor without an id is refused, so this leaves no trace in its data.
    attempt(&mut client, "", 20).await
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(database) = std::env::args().nth(1).or_else(|| std::env::var("DATABASE_URL").ok()) else {
        return failed(&"name a database, as an argument or as DATABASE_URL");
    };
    run(&database).await.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(why: &dyn Display) -> ExitCode {
    println!("{why}");
    ExitCode::FAILURE
}
