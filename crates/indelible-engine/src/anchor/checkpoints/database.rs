//! The checkpoint store in a PostgreSQL database, which should be on another machine than the ledger, with a backup of its own.
//!
//! A swap is one transaction: the rows are locked in the order of their origins, and either each still holds the note that was read, or
//! nothing is changed. It is durable once COMMIT has answered: `synchronous_commit` is `on` in it, and a server that runs with
//! `fsync=off` is refused. What is there is read once, when the store is opened, and known from then on: what somebody else changes
//! after that is found by the swap, which is refused. A role that may only SELECT, INSERT and UPDATE on the two tables is enough once they are there.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::closing::{Closing, closing};
use super::lane::Lane;
use super::{CheckpointsError, Swap};
use crate::store::{Database, told};

/// Made by whoever may; nothing is done where they are there.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS indelible_checkpoint_stores (
    instance text PRIMARY KEY,
    made_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS indelible_checkpoints (
    instance   text NOT NULL,
    origin     text NOT NULL,
    checkpoint text NOT NULL, -- the signed note
    swapped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance, origin)
);";

/// Two servers that make the tables at once wait for each other: \"indelcks\".
const MAKING: i64 = 0x696e_6465_6c63_6b73;

const LOCK: &str = "SELECT 1 FROM indelible_checkpoints WHERE instance = $1 AND origin = ANY($2) ORDER BY origin FOR UPDATE";

const SWAP: &str = "
WITH wanted AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (origin, old, new)
), changed AS (
    UPDATE indelible_checkpoints AS kept SET checkpoint = wanted.new, swapped_at = now() FROM wanted
    WHERE kept.instance = $1 AND kept.origin = wanted.origin AND kept.checkpoint = wanted.old
    RETURNING kept.origin
), made AS (
    INSERT INTO indelible_checkpoints (instance, origin, checkpoint)
    SELECT $1, origin, new FROM wanted WHERE old IS NULL ORDER BY origin
    ON CONFLICT DO NOTHING RETURNING origin
)
SELECT origin FROM changed UNION ALL SELECT origin FROM made";

/// The open store of an instance.
pub(crate) struct DatabaseStore {
    lane: Lane,
    client: Client,
    database: Database,
    instance: String,
    /// Note by origin, as it was read or swapped.
    known: BTreeMap<String, String>,
}

/// Everything in the store of an instance. Makes nothing.
pub(super) fn read_all(database: &Database, instance: &str) -> Result<Option<BTreeMap<String, String>>, CheckpointsError> {
    let lane = Lane::new(database.to_string(), database.wait_max, closing().1)?;
    lane.run(async {
        let client = connect(database).await?;
        let found = client.query_opt("SELECT 1 FROM indelible_checkpoint_stores WHERE instance = $1", &[&instance]).await;
        match found {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(None),
            Err(error) => return Err(unusable(database, &error)),
        }
        all(&client, instance).await.map(Some).map_err(|error| unusable(database, &error))
    })
}

/// Every checkpoint of an instance, in one round trip.
async fn all(client: &Client, instance: &str) -> Result<BTreeMap<String, String>, tokio_postgres::Error> {
    let rows = client.query("SELECT origin, checkpoint FROM indelible_checkpoints WHERE instance = $1", &[&instance]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

impl DatabaseStore {
    pub(super) fn open(database: &Database, instance: &str, closing: &Closing) -> Result<Self, CheckpointsError> {
        let lane = Lane::new(database.to_string(), database.wait_max, closing.clone())?;
        let (client, known) = lane.run(async {
            let mut client = connect(database).await?;
            begin(&mut client, instance).await.map_err(|error| unusable(database, &error))?;
            let known = all(&client, instance).await.map_err(|error| unusable(database, &error))?;
            Ok((client, known))
        })?;
        Ok(Self { lane, client, database: database.clone(), instance: instance.to_owned(), known })
    }

    /// The note of a tree, as it was when the store was opened or this one swapped it.
    pub(super) fn read(&self, origin: &str) -> Option<String> {
        self.known.get(origin).cloned()
    }

    pub(super) fn swap(&mut self, swaps: &[Swap]) -> Result<(), CheckpointsError> {
        let (client, database, instance) = (&mut self.client, &self.database, &self.instance);
        self.lane.run(async {
            let failed = |error: tokio_postgres::Error| unusable(database, &error);
            let origins: Vec<&str> = swaps.iter().map(|swap| swap.origin.as_str()).collect();
            let old: Vec<Option<&str>> = swaps.iter().map(|swap| swap.old.as_deref()).collect();
            let new: Vec<&str> = swaps.iter().map(|swap| swap.new.as_str()).collect();
            // A server, or what lies between, may have closed a connection on which nothing was asked for a while. This changes nothing, so
            // it may be asked for again; what fails after it may have persisted, and is left to a store that is opened anew.
            if client.simple_query("").await.is_err() {
                *client = connect(database).await?;
            }
            let transaction = client.transaction().await.map_err(failed)?;
            transaction.batch_execute("SET LOCAL synchronous_commit TO on").await.map_err(failed)?;
            transaction.query(LOCK, &[instance, &origins]).await.map_err(failed)?;
            let done = transaction.query(SWAP, &[instance, &origins, &old, &new]).await.map_err(failed)?;
            let done: HashSet<String> = done.iter().map(|row| row.get(0)).collect();
            if let Some(moved) = swaps.iter().find(|swap| !done.contains(&swap.origin)) {
                transaction.rollback().await.map_err(failed)?;
                return Err(CheckpointsError::Moved(moved.origin.clone()));
            }
            transaction.commit().await.map_err(failed)
        })?;
        self.known.extend(swaps.iter().map(|swap| (swap.origin.clone(), swap.new.clone())));
        Ok(())
    }
}

/// Makes tables and store where they are not there.
async fn begin(client: &mut Client, instance: &str) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&MAKING]).await?;
    let there = transaction.query_one("SELECT to_regclass('indelible_checkpoints') IS NOT NULL", &[]).await?;
    if !there.get::<_, bool>(0) {
        transaction.batch_execute(TABLES).await?;
    }
    let make = "INSERT INTO indelible_checkpoint_stores (instance) VALUES ($1) ON CONFLICT DO NOTHING";
    transaction.execute(make, &[&instance]).await?;
    transaction.commit().await
}

/// A connection on which COMMIT means what it says.
async fn connect(database: &Database) -> Result<Client, CheckpointsError> {
    crate::store::connect(database).await.map_err(|why| CheckpointsError::Unusable(database.to_string(), why))
}

/// Why a database cannot be used, with what caused it.
fn unusable(database: &Database, error: &tokio_postgres::Error) -> CheckpointsError {
    CheckpointsError::Unusable(database.to_string(), told(error))
}
