//! Installing: the schema `audit` with everything in it, made and brought forward by versions, each a list of SQL files.
//!
//! All of it is one transaction under an advisory lock, so any number of servers may start at once, and a crash leaves what was there. A
//! version that was released is never changed. A database that is newer than this program is refused, and nothing goes back.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, Transaction};

/// Who installs waits for whoever does already: "indelins".
const INSTALLING: i64 = 0x696e_6465_6c69_6e73;
/// PostgreSQL 15, as `server_version_num` has it: views that read with the rights of whoever asks came with it.
const SERVER_VERSION_MIN: i32 = 150_000;

/// A version of what is installed.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) version: i32,
    name: &'static str,
    pub(super) files: &'static [&'static str],
}

/// Every version, oldest first.
pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "ledger",
    files: &[
        include_str!("roles.sql"),
        include_str!("schema.sql"),
        include_str!("partitions.sql"),
        include_str!("defence.sql"),
        include_str!("views.sql"),
        include_str!("redaction.sql"),
        include_str!("redaction_text.sql"),
        include_str!("redaction_scan.sql"),
        include_str!("event_members.sql"),
        include_str!("event_check.sql"),
        include_str!("inbox.sql"),
        include_str!("watch.sql"),
        include_str!("grants.sql"),
    ],
}];

/// The version that this program knows.
pub const VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// What every version stands on.
pub(super) const BEFORE: &str = include_str!("migrations.sql");
/// What is only installed by who may. It is always the newest, whatever version it came with.
pub(super) const EVENT_TRIGGERS: &str = include_str!("event_triggers.sql");

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The database refuses, or is gone.
    #[error("installing failed: {}", said(.0))]
    Database(#[from] tokio_postgres::Error),
    /// A newer program has been here.
    #[error("the database has version {found} of the audit log's tables and this program knows {VERSION}: use the newer program")]
    Newer {
        /// What it has.
        found: i32,
    },
    /// It is older than PostgreSQL 15.
    #[error("the server is PostgreSQL {0}, and 15 or later is needed")]
    TooOld(String),
    /// Event triggers that refuse every change, and cannot be switched off.
    #[error("{0} may not disable the event triggers that guard the audit log: install with the role that owns them, {1}")]
    Guarded(String, String),
}

/// What PostgreSQL said, which the error alone only calls a database error.
fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |error| match error.hint() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_owned(),
        },
    )
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The version that was there; 0 where there was nothing.
    pub before: i32,
    /// The version that is there.
    pub now: i32,
    /// Whether the event triggers are there, for which a superuser has to install.
    pub event_triggers: bool,
}

/// Brings the database to [`VERSION`].
pub async fn install(client: &mut Client) -> Result<Installed, InstallError> {
    install_up_to(client, VERSION).await
}

/// Brings the database to a version, and no further: so that what upgrades it can be tried.
pub async fn install_up_to(client: &mut Client, version: i32) -> Result<Installed, InstallError> {
    let row = client.query_one("SELECT current_setting('server_version_num')::int, current_setting('server_version')", &[]).await?;
    if row.try_get::<_, i32>(0)? < SERVER_VERSION_MIN {
        return Err(InstallError::TooOld(row.try_get(1)?));
    }
    // What the lock was waited for is seen by the statement after it.
    let mut transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&INSTALLING]).await?;
    // Nothing is found by accident in a schema that others may write to.
    transaction.batch_execute("SET LOCAL search_path TO pg_catalog, pg_temp; SET LOCAL client_min_messages TO warning").await?;
    let before = version_there(&transaction).await?;
    if before > VERSION {
        return Err(InstallError::Newer { found: before });
    }
    let wanted: Vec<&Migration> =
        MIGRATIONS.iter().filter(|migration| migration.version > before && migration.version <= version).collect();
    if !wanted.is_empty() {
        disable_event_triggers(&transaction).await?;
        transaction.batch_execute(BEFORE).await?;
    }
    for migration in &wanted {
        for file in migration.files {
            transaction.batch_execute(file).await?;
        }
        let insert = "INSERT INTO audit.migrations (version, name) VALUES ($1, $2)";
        transaction.execute(insert, &[&migration.version, &migration.name]).await?;
    }
    let now = wanted.last().map_or(before, |migration| migration.version);
    let there = wanted.is_empty() && has_event_triggers(&transaction).await?;
    let event_triggers = there || now > 0 && make_event_triggers(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Installed { before, now, event_triggers })
}

/// The version that a database has; 0 where nothing is installed.
pub async fn version(client: &mut Client) -> Result<i32, tokio_postgres::Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    version_there(&transaction).await
}

async fn version_there(transaction: &Transaction<'_>) -> Result<i32, tokio_postgres::Error> {
    let find = "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                               WHERE nspname = 'audit' AND relname = 'migrations')";
    if !transaction.query_one(find, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    transaction.query_one("SELECT coalesce(max(version), 0) FROM audit.migrations", &[]).await?.try_get(0)
}

async fn has_event_triggers(transaction: &Transaction<'_>) -> Result<bool, tokio_postgres::Error> {
    let names: Vec<String> = super::expected::event_triggers().into_iter().map(|trigger| trigger.name).collect();
    let count = "SELECT count(*) FROM pg_event_trigger WHERE evtname = ANY ($1::text[]) AND evtenabled = 'A'";
    Ok(transaction.query_one(count, &[&names]).await?.try_get::<_, i64>(0)? == names.len() as i64)
}

/// Until the end of the transaction, which makes them anew.
async fn disable_event_triggers(transaction: &Transaction<'_>) -> Result<(), InstallError> {
    let find = "SELECT evtname::text, pg_get_userbyid(evtowner)::text, current_user::text, pg_has_role(evtowner, 'USAGE')
                FROM pg_event_trigger WHERE starts_with(evtname, 'indelible_refuse_') AND evtenabled <> 'D'";
    for row in transaction.query(find, &[]).await? {
        if !row.try_get::<_, bool>(3)? {
            return Err(InstallError::Guarded(row.try_get(2)?, row.try_get(1)?));
        }
        transaction.batch_execute(&format!("ALTER EVENT TRIGGER {} DISABLE", row.try_get::<_, String>(0)?)).await?;
    }
    Ok(())
}

/// Whether it may. What is made in vain is undone.
async fn make_event_triggers(transaction: &mut Transaction<'_>) -> Result<bool, InstallError> {
    let savepoint = transaction.savepoint("event_triggers").await?;
    // Those that are left guard their own functions too.
    match disable_event_triggers(&savepoint).await {
        Err(InstallError::Guarded(..)) => return Ok(false),
        other => other?,
    }
    match savepoint.batch_execute(EVENT_TRIGGERS).await {
        Ok(()) => savepoint.commit().await?,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            savepoint.rollback().await?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}
