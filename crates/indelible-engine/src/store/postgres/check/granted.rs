//! Privileges and row-level security: what roles may do beyond what was granted to them, and what they lack.

use std::collections::BTreeSet;

use tokio_postgres::Transaction;

use super::defence::PARTITIONS;
use super::{Finding, Kind};
use crate::store::postgres::expected::{Expected, Grant};

/// Whatever somebody else than the owner has on the schema, or on anything in it; a function that was never granted or revoked is PUBLIC's.
const GRANTS: &str = "
WITH schema AS (
    SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = 'audit'
), granted AS (
    SELECT 'schema audit' AS object, nspowner AS owner, acl.* FROM schema, aclexplode(nspacl) AS acl
    UNION ALL SELECT 'table ' || relname, relowner, acl.* FROM schema JOIN pg_class ON relnamespace = schema.oid, aclexplode(relacl) AS acl
    UNION ALL SELECT 'column ' || relname || '.' || attname, relowner, acl.* FROM schema JOIN pg_class ON relnamespace = schema.oid
        JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl) AS acl
    UNION ALL SELECT 'function ' || proname, proowner, acl.* FROM schema JOIN pg_proc ON pronamespace = schema.oid,
        aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
)
SELECT DISTINCT object, coalesce(rolname::text, 'PUBLIC'), privilege_type, is_grantable FROM granted
LEFT JOIN pg_roles ON pg_roles.oid = grantee WHERE grantee <> owner";

pub(super) async fn grants(
    transaction: &Transaction<'_>,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let mut wanted: BTreeSet<Grant> = expected.grants.clone();
    for row in transaction.query(PARTITIONS, &[]).await? {
        wanted.insert(("audit_server".to_owned(), format!("table {}", row.try_get::<_, String>(0)?), "INSERT".to_owned()));
    }
    let mut there: BTreeSet<Grant> = BTreeSet::new();
    for row in transaction.query(GRANTS, &[]).await? {
        let (object, role, privilege): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if row.try_get::<_, bool>(3)? {
            let sentence = format!(
                "{role} may hand on {privilege} on {object}: REVOKE GRANT OPTION FOR {privilege} ON {} FROM {role}",
                named(&object, &privilege).1
            );
            findings.push(Finding::fault(Kind::Grant, format!("{role} on {object}"), sentence));
        }
        there.insert((role, object, privilege));
    }
    for (role, object, privilege) in there.difference(&wanted) {
        let (privilege_, on) = named(object, privilege);
        let sentence =
            format!("{role} has {privilege} on {object}, which was not granted by installing: REVOKE {privilege_} ON {on} FROM {role}");
        findings.push(Finding::fault(Kind::Grant, format!("{role} on {object}"), sentence));
    }
    for (role, object, privilege) in wanted.difference(&there) {
        let (privilege_, on) = named(object, privilege);
        let sentence = format!("{role} lacks {privilege} on {object}: GRANT {privilege_} ON {on} TO {role}");
        findings.push(Finding::fault(Kind::Grant, format!("{role} on {object}"), sentence));
    }
    Ok(())
}

/// A privilege and what it is on, as GRANT and REVOKE have them.
fn named(object: &str, privilege: &str) -> (String, String) {
    match object.split_once(' ') {
        Some(("table", name)) => (privilege.to_owned(), format!("audit.{name}")),
        Some(("column", name)) => {
            let (table, column) = name.split_once('.').unwrap_or((name, ""));
            (format!("{privilege} ({column})"), format!("audit.{table}"))
        }
        Some(("function", name)) => (privilege.to_owned(), format!("FUNCTION audit.{name}")),
        _ => (privilege.to_owned(), "SCHEMA audit".to_owned()),
    }
}

pub(super) async fn row_security(
    transaction: &Transaction<'_>,
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let secured = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'audit' AND relrowsecurity";
    let mut there = BTreeSet::new();
    for row in transaction.query(secured, &[]).await? {
        there.insert(row.try_get::<_, String>(0)?);
    }
    for table in expected.secured.difference(&there) {
        let sentence = format!(
            "audit.{table} has no row-level security, so readers see every project: ALTER TABLE audit.{table} ENABLE ROW LEVEL SECURITY"
        );
        findings.push(Finding::fault(Kind::RowSecurity, table.clone(), sentence));
    }
    let policies = "SELECT relname::text, polname::text FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
                    JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'audit'";
    for row in transaction.query(policies, &[]).await? {
        let (table, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if !expected.policies.iter().any(|made| made.table == table && made.name == name) {
            let sentence =
                format!("audit.{table} has a policy {name} that is not ours and may show more: DROP POLICY {name} ON audit.{table}");
            findings.push(Finding::fault(Kind::RowSecurity, format!("{table}.{name}"), sentence));
        }
    }
    Ok(())
}
