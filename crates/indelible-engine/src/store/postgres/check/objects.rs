//! Tables, partitions, indexes, functions and views: whether they are there and as they were made.

use std::collections::{BTreeMap, BTreeSet};

use indelible_core::time::Timestamp;
use tokio_postgres::Transaction;

use super::{Finding, Kind};
use crate::store::postgres::expected::{Expected, Function, guarding_functions};

/// Months ahead of this one that should have a partition.
const MONTHS_AHEAD: i32 = 3;

const TABLES: &str = "
SELECT relname::text, relkind::text, relpersistence = 'p', pg_class.relowner = nspowner,
       EXISTS (SELECT FROM pg_inherits JOIN pg_class AS parent ON parent.oid = inhparent
               WHERE pg_class.oid IN (inhrelid, inhparent) AND parent.relkind = 'r'),
       EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary AND indisvalid)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'audit' AND relkind IN ('r', 'p')";

pub(super) async fn tables(
    transaction: &Transaction<'_>,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let mut there = BTreeSet::new();
    for row in transaction.query(TABLES, &[]).await? {
        let name: String = row.try_get(0)?;
        let wrong: [(usize, bool, Kind, &str); 4] = [
            (2, true, Kind::Table, "is UNLOGGED, and is empty after a crash: ALTER TABLE … SET LOGGED"),
            (3, true, Kind::Table, "does not belong to the owner of the schema audit: ALTER TABLE … OWNER TO the one who has the schema"),
            (
                4,
                false,
                Kind::Table,
                "inherits from a table or is inherited from, so rows of another table count as its own: ALTER TABLE … NO INHERIT",
            ),
            (5, true, Kind::Index, "has no primary key, so the same row may be there twice: restore it"),
        ];
        for (column, right, kind, sentence) in wrong {
            if row.try_get::<_, bool>(column)? != right {
                findings.push(Finding::fault(kind, name.clone(), format!("audit.{name} {sentence}")));
            }
        }
        there.insert(name);
    }
    for name in expected.tables.difference(&there) {
        let sentence = format!("the table audit.{name} is gone: restore it from a backup, then verify the ledger");
        findings.push(Finding::fault(Kind::Table, name.clone(), sentence));
    }
    Ok(())
}

/// Whatever looks like a partition of events, whether it is there for rows of its month, and attached to stay.
const PARTITIONS: &str = "
WITH wanted AS (
    SELECT 'events_' || to_char(month, 'YYYY_MM') AS name FROM generate_series(
        date_trunc('month', to_timestamp($1) AT TIME ZONE 'UTC'),
        date_trunc('month', to_timestamp($1) AT TIME ZONE 'UTC') + make_interval(months => $2), interval '1 month') AS month
), there AS (
    SELECT pg_class.oid, relname::text AS name, nspname, relpartbound FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE (nspname = 'audit' AND relname ~ '^events_\\d{4}_\\d\\d$' AND relkind IN ('r', 'p', 'f')) OR relispartition AND relkind <> 'i' AND relkind <> 'I'
), events AS (
    SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'audit' AND relname = 'events'
), attached AS (
    SELECT there.*, inhdetachpending, pg_get_expr(relpartbound, there.oid) AS bound FROM there
    JOIN pg_inherits ON inhrelid = there.oid JOIN events ON events.oid = inhparent
)
SELECT name, 'missing' FROM wanted WHERE name NOT IN (SELECT name FROM attached) AND name NOT IN (SELECT name FROM there WHERE nspname = 'audit')
UNION ALL SELECT name, 'detached' FROM there WHERE nspname = 'audit' AND oid NOT IN (SELECT oid FROM attached)
UNION ALL SELECT name, 'detaching' FROM attached WHERE inhdetachpending
UNION ALL SELECT name, 'default' FROM attached WHERE bound = 'DEFAULT'
UNION ALL SELECT nspname || '.' || name, 'stray' FROM attached WHERE bound <> 'DEFAULT' AND (nspname <> 'audit' OR name !~ '^events_\\d{4}_\\d\\d$')";

pub(super) async fn partitions(
    transaction: &Transaction<'_>,
    at: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let seconds = at.as_micros() as f64 / 1e6;
    for row in transaction.query(PARTITIONS, &[&seconds, &MONTHS_AHEAD]).await? {
        let (name, what): (String, &str) = (row.try_get(0)?, row.try_get(1)?);
        let sentence = match what {
            "missing" => {
                "is missing, so rows of that month wait until it is made: SELECT audit.make_partitions() as the owner of the tables"
            }
            "detached" => {
                "was detached from audit.events, so its rows are not found: ALTER TABLE audit.events ATTACH PARTITION … again, then verify the ledger"
            }
            "detaching" => {
                "is being detached from audit.events: ALTER TABLE audit.events DETACH PARTITION … FINALIZE, attach it again, then verify the ledger"
            }
            "default" => {
                "is a DEFAULT partition, which takes rows in silence and stands in the way of new partitions: move its rows and drop it"
            }
            _ => "is a partition of audit.events and not one that was made for it: look at who did it",
        };
        findings.push(Finding::fault(Kind::Partition, name.clone(), format!("the partition {name} {sentence}")));
    }
    Ok(())
}

const INDEXES: &str = "
SELECT index.relname::text, pg_class.relname::text, indisvalid AND indisready, pg_class.relkind = 'p' AND (
           SELECT count(*) FROM pg_inherits WHERE inhparent = pg_class.oid
       ) <> (SELECT count(*) FROM pg_inherits WHERE inhparent = index.oid), pg_class.relispartition
FROM pg_index JOIN pg_class ON pg_class.oid = indrelid JOIN pg_class AS index ON index.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace WHERE nspname = 'audit'";

pub(super) async fn indexes(
    transaction: &Transaction<'_>,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let mut there = BTreeSet::new();
    for row in transaction.query(INDEXES, &[]).await? {
        let (name, table): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if !row.try_get::<_, bool>(2)? || row.try_get::<_, bool>(3)? {
            let sentence =
                format!("the index {name} of audit.{table} is not valid, or some partition has none: REINDEX INDEX audit.{name}");
            findings.push(Finding::fault(Kind::Index, name.clone(), sentence));
        }
        there.insert(name);
    }
    for made in expected.indexes.iter().filter(|made| !there.contains(&made.name)) {
        let sentence =
            format!("the index {} of audit.{} is gone, so what it served is slow: {}", made.name, made.table, one_line(&made.statement));
        findings.push(Finding::fault(Kind::Index, made.name.clone(), sentence));
    }
    Ok(())
}

fn one_line(statement: &str) -> String {
    statement.split_whitespace().collect::<Vec<_>>().join(" ")
}

const FUNCTIONS: &str = "
SELECT proname::text, prosrc, prosecdef,
       (SELECT substr(setting, 13) FROM unnest(proconfig) AS setting WHERE starts_with(setting, 'search_path=')),
       proowner = nspowner OR (SELECT rolsuper FROM pg_roles WHERE pg_roles.oid = proowner),
       -- What seals the inbox is made by a function, with pgcrypto from whatever schema it is in: as one of two texts.
       coalesce(proname = 'inbox_seal' AND NOT prosecdef AND prosrc IN ('SELECT NULL::bytea', (
           SELECT format('SELECT %I.pgp_pub_encrypt_bytea(plain, key, ''cipher-algo=aes256, compress-algo=0'')', place.nspname)
           FROM pg_extension JOIN pg_namespace AS place ON place.oid = extnamespace WHERE extname = 'pgcrypto')), false)
FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = 'audit'";

pub(super) async fn functions(
    transaction: &Transaction<'_>,
    expected: &Expected,
    guarded: bool,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let guarding = guarding_functions();
    let mut wanted: BTreeMap<&str, Vec<&Function>> = BTreeMap::new();
    for function in expected.functions.iter().chain(guarding.iter().filter(|_| guarded)) {
        wanted.entry(&function.name).or_default().push(function);
    }
    for row in transaction.query(FUNCTIONS, &[]).await? {
        let search_path: Option<String> = row.try_get(3)?;
        let found = Function {
            name: row.try_get(0)?,
            body: row.try_get(1)?,
            security_definer: row.try_get(2)?,
            search_path: search_path.as_deref().map(bare),
        };
        let name = found.name.clone();
        if !row.try_get::<_, bool>(4)? {
            let sentence =
                format!("audit.{name} belongs neither to the owner of the schema nor to a superuser: ALTER FUNCTION … OWNER TO the owner");
            findings.push(Finding::fault(Kind::Function, name.clone(), sentence));
        }
        if row.try_get::<_, bool>(5)? {
            continue;
        }
        let Some(same_name) = wanted.get_mut(name.as_str()) else {
            let sentence = format!("audit.{name} is not ours: look at who made it, and DROP FUNCTION audit.{name}");
            findings.push(Finding::fault(Kind::Function, name, sentence));
            continue;
        };
        if let Some(at) = same_name.iter().position(|wanted| same(wanted, &found)) {
            same_name.swap_remove(at);
        }
    }
    for (name, left) in wanted.into_iter().filter(|(_, left)| !left.is_empty()) {
        let definer = if left.iter().any(|function| function.security_definer) { " (it runs with its owner's rights)" } else { "" };
        let sentence = format!("audit.{name}{definer} is gone or is not as this program installs it: look at who did it, and put it back");
        findings.push(Finding::fault(Kind::Function, name, sentence));
    }
    Ok(())
}

fn same(wanted: &Function, found: &Function) -> bool {
    let search_path = wanted.search_path.as_deref().map(bare);
    wanted.body == found.body && wanted.security_definer == found.security_definer && search_path == found.search_path
}

/// A search path without the quotes and spaces that PostgreSQL may add.
fn bare(search_path: &str) -> String {
    search_path.replace(['"', '\'', ' '], "")
}

/// Views and policies, each compared with one that is made of the same text in a table of the session, and rolled back. Where a role may
/// make no such table, or the server is a replica, they are not compared.
pub(super) async fn compared(
    transaction: &mut Transaction<'_>,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let may = "SELECT has_database_privilege(current_database(), 'TEMP') AND NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::bool";
    if !transaction.query_one(may, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(());
    }
    for made in &expected.views {
        let copy = made.statement.replacen(&format!("VIEW audit.{} ", made.name), "TEMP VIEW compared_view ", 1).replacen(
            "CREATE OR REPLACE",
            "CREATE",
            1,
        );
        let definition = "SELECT pg_get_viewdef(pg_class.oid), coalesce(reloptions, '{}') FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                          WHERE relkind = 'v' AND (nspname = 'audit' AND relname = $1 OR pg_class.oid = to_regclass('pg_temp.compared_view'))";
        if let Some(why) = difference(transaction, &copy, definition, &made.name).await? {
            let sentence =
                format!("the view audit.{} {why}, so what it shows is not what is there: look at who did it, and put it back", made.name);
            findings.push(Finding::fault(Kind::View, made.name.clone(), sentence));
        }
    }
    for made in &expected.policies {
        let to = format!(" ON audit.{} ", made.table);
        let copy = format!(
            "CREATE TEMP TABLE compared_table (LIKE audit.{}); {}",
            made.table,
            made.statement.replacen(&to, " ON pg_temp.compared_table ", 1)
        );
        let definition = "SELECT concat_ws(' ', pg_get_expr(polqual, polrelid), '/', pg_get_expr(polwithcheck, polrelid), polcmd, polpermissive), polroles::text[]
                          FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
                          WHERE polname = split_part($1, '.', 2) AND (nspname = 'audit' AND relname = split_part($1, '.', 1)
                                OR pg_class.oid = to_regclass('pg_temp.compared_table'))";
        let name = format!("{}.{}", made.table, made.name);
        if let Some(why) = difference(transaction, &copy, definition, &name).await? {
            let sentence = format!(
                "the policy {} of audit.{} {why}, so roles see other rows than they should: {}",
                made.name,
                made.table,
                one_line(&made.statement)
            );
            findings.push(Finding::fault(Kind::RowSecurity, name, sentence));
        }
    }
    Ok(())
}

/// How what is there differs from a copy that is made for a moment. Columns that are gone make that impossible too.
async fn difference(
    transaction: &mut Transaction<'_>,
    copy: &str,
    definition: &str,
    name: &str,
) -> Result<Option<&'static str>, tokio_postgres::Error> {
    let savepoint = transaction.savepoint("compared").await?;
    if savepoint.batch_execute(copy).await.is_err() {
        savepoint.rollback().await?;
        return Ok(Some("cannot be compared, since what it stands on is not as it was made"));
    }
    let mut found = Vec::new();
    for row in savepoint.query(definition, &[&name]).await? {
        found.push((row.try_get::<_, String>(0)?, row.try_get::<_, Vec<String>>(1)?));
    }
    savepoint.rollback().await?;
    Ok(match found.as_slice() {
        [one, other] if one == other => None,
        [_, _] => Some("is not as it was made"),
        _ => Some("is gone"),
    })
}
