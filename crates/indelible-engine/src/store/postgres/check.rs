//! Looking over a database for what was weakened: each finding is a kind, an object, and a sentence with the next step. It compares what is
//! there with what this program installs, and changes nothing.
//!
//! What it reads anybody may read, so a server looks at its start with the role that it has. A superuser can make all of it look right: this
//! finds mistakes and hasty hands, and the proofs find what was done to the rows.

mod defence;
mod granted;
mod objects;
mod surroundings;

use std::fmt;

use indelible_core::time::Timestamp;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::expected::expected;
use super::install::VERSION;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The version of the tables.
    Version,
    /// A table that is missing or not as it was made.
    Table,
    /// A trigger.
    Trigger,
    /// An event trigger.
    EventTrigger,
    /// A rewrite rule.
    Rule,
    /// A function.
    Function,
    /// A view.
    View,
    /// An index or a primary key.
    Index,
    /// A partition of events.
    Partition,
    /// Row-level security, or a policy of it.
    RowSecurity,
    /// A privilege.
    Grant,
    /// A role.
    Role,
    /// A setting of the server.
    Setting,
}

impl Kind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Table => "table",
            Self::Trigger => "trigger",
            Self::EventTrigger => "event_trigger",
            Self::Rule => "rule",
            Self::Function => "function",
            Self::View => "view",
            Self::Index => "index",
            Self::Partition => "partition",
            Self::RowSecurity => "row_security",
            Self::Grant => "grant",
            Self::Role => "role",
            Self::Setting => "setting",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Something that was installed is not as it was, or the log is not durable.
    Fault,
    /// Somebody can do more than is good, as far as can be seen on purpose.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What it is about.
    pub kind: Kind,
    /// Which one: `events.refuse_row`, `audit_server on table events`.
    pub object: String,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl Finding {
    fn fault(kind: Kind, object: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { weight: Weight::Fault, kind, object: object.into(), sentence: sentence.into() }
    }

    fn warning(kind: Kind, object: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, kind, object: object.into(), sentence: sentence.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.object, self.sentence)
    }
}

/// Every finding, the faults first. `at` is the server's time: its month and three more should have partitions.
pub async fn check(client: &mut Client, at: Timestamp) -> Result<Vec<Finding>, tokio_postgres::Error> {
    // Tables of the session are made to compare with, and are gone when it is rolled back.
    let mut transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    transaction.batch_execute("SET LOCAL search_path TO pg_catalog; SET LOCAL client_min_messages TO warning").await?;
    let mut findings = Vec::new();
    let found = version(&transaction, &mut findings).await?;
    surroundings::settings(&transaction, &mut findings).await?;
    surroundings::roles(&transaction, found.is_some(), &mut findings).await?;
    if found == Some(VERSION) {
        let expected = expected();
        defence::triggers(&transaction, &expected, &mut findings).await?;
        defence::rules(&transaction, &mut findings).await?;
        let guarded = defence::event_triggers(&transaction, &mut findings).await?;
        objects::tables(&transaction, &expected, &mut findings).await?;
        objects::partitions(&transaction, at, &mut findings).await?;
        objects::indexes(&transaction, &expected, &mut findings).await?;
        objects::functions(&transaction, &expected, guarded, &mut findings).await?;
        granted::grants(&transaction, &expected, &mut findings).await?;
        granted::row_security(&transaction, &expected, &mut findings).await?;
        objects::compared(&mut transaction, &expected, &mut findings).await?;
    }
    transaction.rollback().await?;
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// The version that is there, or a finding.
async fn version(transaction: &Transaction<'_>, findings: &mut Vec<Finding>) -> Result<Option<i32>, tokio_postgres::Error> {
    let readable = "SELECT has_table_privilege(pg_class.oid, 'SELECT') AND has_schema_privilege(relnamespace, 'USAGE') FROM pg_class
                    JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'audit' AND relname = 'migrations'";
    match transaction.query_opt(readable, &[]).await?.map(|row| row.try_get::<_, bool>(0)).transpose()? {
        None => {
            let sentence = "the audit log is not installed here: run `indelible database install`";
            findings.push(Finding::fault(Kind::Version, "audit", sentence));
            return Ok(None);
        }
        Some(false) => {
            let sentence =
                "this role may not read what is installed: make it a member of audit_server, or check with the role that installed";
            findings.push(Finding::fault(Kind::Version, "audit", sentence));
            return Ok(None);
        }
        Some(true) => {}
    }
    let found: i32 = transaction.query_one("SELECT coalesce(max(version), 0) FROM audit.migrations", &[]).await?.try_get(0)?;
    let next = if found < VERSION { "run `indelible database install`" } else { "use the newer program" };
    if found != VERSION {
        let sentence = format!("the database has version {found} of the tables and this program knows {VERSION}: {next}");
        findings.push(Finding::fault(Kind::Version, "audit", sentence));
    }
    Ok(Some(found))
}
