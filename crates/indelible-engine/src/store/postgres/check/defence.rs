//! Triggers, event triggers and rules: what refuses a change, and what could come between a statement and a table.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::{Finding, Kind};
use crate::store::postgres::expected::{self, Expected};

const TRIGGERS: &str = "
SELECT relname::text, tgname::text, tgtype::int, tgenabled::text, coalesce(pg_namespace.nspname || '.' || proname, ''),
       tgqual IS NOT NULL OR tgattr <> ''
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
JOIN pg_namespace AS at ON at.oid = relnamespace AND at.nspname = 'audit'
LEFT JOIN pg_proc ON pg_proc.oid = tgfoid LEFT JOIN pg_namespace ON pg_namespace.oid = pronamespace
WHERE NOT tgisinternal";

/// Partitions of events, and tables that bear the name of one, which may have been detached.
pub(super) const PARTITIONS: &str = "
SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = 'audit' AND relkind IN ('r', 'p') AND (relname ~ '^events_\\d{4}_\\d\\d$' OR pg_class.oid IN (
    SELECT inhrelid FROM pg_inherits JOIN pg_class AS parent ON parent.oid = inhparent
    WHERE parent.relname = 'events' AND parent.relnamespace = pg_namespace.oid))";

/// `tgtype` of what `audit.defend` makes: before, then per operation; a trigger per row has the lowest bit.
fn kinds(operations: &str) -> Vec<(&'static str, i32)> {
    let bits = 2 + if operations.contains("DELETE") { 8 } else { 0 } + if operations.contains("UPDATE") { 16 } else { 0 };
    let mut all = vec![("refuse_statement", bits + 32)];
    if !operations.is_empty() {
        all.push(("refuse_row", bits + 1));
    }
    all
}

/// A trigger that is there.
struct Trigger {
    kind: i32,
    enabled: String,
    function: String,
    conditional: bool,
}

pub(super) async fn triggers(
    transaction: &Transaction<'_>,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let mut there: BTreeMap<(String, String), Trigger> = BTreeMap::new();
    for row in transaction.query(TRIGGERS, &[]).await? {
        let trigger = Trigger { kind: row.try_get(2)?, enabled: row.try_get(3)?, function: row.try_get(4)?, conditional: row.try_get(5)? };
        there.insert((row.try_get(0)?, row.try_get(1)?), trigger);
    }
    let mut wanted: Vec<(String, &str)> =
        expected.defended.iter().map(|(table, operations)| (table.clone(), operations.as_str())).collect();
    for row in transaction.query(PARTITIONS, &[]).await? {
        wanted.push((row.try_get(0)?, "UPDATE OR DELETE"));
    }
    for (table, operations) in wanted {
        for (name, kind) in kinds(operations) {
            let found = there.remove(&(table.clone(), name.to_owned()));
            if let Some(why) = weakened(found.as_ref(), kind) {
                let next = format!(
                    "look at who did it, then verify the ledger, and have the owner restore it ({})",
                    restored(&table, name, operations)
                );
                findings.push(Finding::fault(
                    Kind::Trigger,
                    format!("{table}.{name}"),
                    format!("the trigger {name} of audit.{table} {why}: {next}"),
                ));
            }
        }
    }
    let known = |table: &str, name: &str| expected.triggers.iter().any(|made| made.table == table && made.name == name);
    for ((table, name), trigger) in &there {
        if !known(table, name) {
            let sentence = format!(
                "audit.{table} has a trigger {name} that is not ours and can change or drop what is written (it calls {}): DROP TRIGGER {name} ON audit.{table}",
                trigger.function
            );
            findings.push(Finding::fault(Kind::Trigger, format!("{table}.{name}"), sentence));
        }
    }
    for made in &expected.triggers {
        let own = (made.table.clone(), made.name.clone());
        if !made.table.is_empty() && there.get(&own).is_none_or(|trigger| trigger.enabled == "D") {
            let sentence = format!("the trigger {} of audit.{} is gone or disabled: restore it", made.name, made.table);
            findings.push(Finding::fault(Kind::Trigger, format!("{}.{}", made.table, made.name), sentence));
        }
    }
    Ok(())
}

fn weakened(found: Option<&Trigger>, kind: i32) -> Option<&'static str> {
    let Some(found) = found else { return Some("is gone") };
    match found.enabled.as_str() {
        "D" => return Some("is disabled"),
        "O" | "R" => return Some("is not ENABLE ALWAYS"),
        _ => {}
    }
    let same = found.kind == kind && found.function == "audit.refuse_change" && !found.conditional;
    (!same).then_some("is not as it was made")
}

/// What brings a trigger back, whatever became of it.
fn restored(table: &str, name: &str, operations: &str) -> String {
    let (events, each) = match name {
        "refuse_row" => (operations.to_owned(), "ROW"),
        _ if operations.is_empty() => ("TRUNCATE".to_owned(), "STATEMENT"),
        _ => (format!("{operations} OR TRUNCATE"), "STATEMENT"),
    };
    format!(
        "CREATE OR REPLACE TRIGGER {name} BEFORE {events} ON audit.{table} FOR EACH {each} EXECUTE FUNCTION audit.refuse_change(); \
         ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER {name}"
    )
}

pub(super) async fn rules(transaction: &Transaction<'_>, findings: &mut Vec<Finding>) -> Result<(), tokio_postgres::Error> {
    let find = "SELECT relname::text, rulename::text FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class
                JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'audit' AND rulename <> '_RETURN'";
    for row in transaction.query(find, &[]).await? {
        let (table, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let sentence = format!("audit.{table} has a rule {name}, which turns statements into others: DROP RULE {name} ON audit.{table}");
        findings.push(Finding::fault(Kind::Rule, format!("{table}.{name}"), sentence));
    }
    Ok(())
}

/// Whether any is there.
pub(super) async fn event_triggers(transaction: &Transaction<'_>, findings: &mut Vec<Finding>) -> Result<bool, tokio_postgres::Error> {
    let find = "SELECT evtname::text, evtenabled::text, nspname || '.' || proname, coalesce(evttags, '{}')
                FROM pg_event_trigger JOIN pg_proc ON pg_proc.oid = evtfoid JOIN pg_namespace ON pg_namespace.oid = pronamespace";
    let mut there = BTreeMap::new();
    for row in transaction.query(find, &[]).await? {
        let mut tags: Vec<String> = row.try_get(3)?;
        tags.sort();
        there.insert(row.try_get::<_, String>(0)?, (row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?, tags));
    }
    let wanted = expected::event_triggers();
    let guarded = wanted.iter().any(|trigger| there.contains_key(&trigger.name));
    for trigger in wanted {
        let why = match there.get(&trigger.name) {
            None => "is not there",
            Some((enabled, ..)) if enabled != "A" => "is disabled, or not ENABLE ALWAYS",
            Some((_, function, tags)) if *function != format!("audit.{}", trigger.function) || *tags != trigger.tags => {
                "is not as it was made"
            }
            Some(_) => continue,
        };
        let sentence = format!(
            "the event trigger {} {why}, so the owner of the tables can take the defence down: run `indelible database install` as a superuser",
            trigger.name
        );
        // Where none was ever made, whoever installed could not; where some are there, somebody took this one away.
        let make = if guarded { Finding::fault } else { Finding::warning };
        findings.push(make(Kind::EventTrigger, trigger.name, sentence));
    }
    Ok(guarded)
}
