//! What is not ours and still decides what the log is worth: settings of the server, and roles that nothing holds back.

use tokio_postgres::Transaction;

use super::{Finding, Kind};

/// Settings, as (name, the value that is wrong, what it means and what to do).
const SETTINGS: &[(&str, &str, &str)] = &[
    ("fsync", "off", "nothing that the server keeps is durable: set fsync = on and restart it"),
    ("full_page_writes", "off", "a crash can tear pages that were acknowledged: set full_page_writes = on"),
    ("zero_damaged_pages", "on", "damaged pages are taken for empty ones, and rows are lost in silence: set zero_damaged_pages = off"),
    ("ignore_system_indexes", "on", "it is for repairing a database: start the server without it"),
    ("allow_system_table_mods", "on", "a superuser can then change the system's own tables by hand: set allow_system_table_mods = off"),
];

pub(super) async fn settings(transaction: &Transaction<'_>, findings: &mut Vec<Finding>) -> Result<(), tokio_postgres::Error> {
    for (name, wrong, sentence) in SETTINGS {
        let found: Option<String> = transaction.query_one("SELECT current_setting($1, true)", &[name]).await?.try_get(0)?;
        if found.as_deref() == Some(*wrong) {
            findings.push(Finding::fault(Kind::Setting, *name, format!("{name} = {wrong}: {sentence}")));
        }
    }
    Ok(())
}

/// Logins that could do more than their group may. Superusers who are members of nothing are not listed: every server has one.
const MEMBERS: &str = "
SELECT member.rolname::text, audit.rolname::text, member.rolsuper, member.rolbypassrls, member.rolcreaterole, member.rolreplication,
       coalesce(pg_has_role(member.oid, owner.relowner, 'MEMBER'), false)
FROM pg_roles AS member
JOIN pg_roles AS audit ON audit.rolname IN ('audit_server', 'audit_host', 'audit_reader') AND member.oid <> audit.oid
LEFT JOIN (SELECT relowner FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
           WHERE nspname = 'audit' AND relname = 'events') AS owner ON true
-- A superuser is a member of everything in the eyes of pg_has_role, so that is asked of the memberships themselves.
WHERE member.oid IN (
    WITH RECURSIVE members (oid) AS (
        SELECT pg_auth_members.member FROM pg_auth_members WHERE roleid = audit.oid
        UNION SELECT pg_auth_members.member FROM pg_auth_members JOIN members ON members.oid = roleid
    ) SELECT oid FROM members
)";

/// Roles of PostgreSQL's own whose members get by what is granted here.
const PREDEFINED: &str = "
SELECT member.rolname::text, granted.rolname::text FROM pg_auth_members
JOIN pg_roles AS granted ON granted.oid = roleid JOIN pg_roles AS member ON member.oid = pg_auth_members.member
WHERE granted.rolname IN ('pg_write_all_data', 'pg_read_all_data', 'pg_write_server_files', 'pg_execute_server_program')";

pub(super) async fn roles(
    transaction: &Transaction<'_>,
    installed: bool,
    findings: &mut Vec<Finding>,
) -> Result<(), tokio_postgres::Error> {
    let session = "SELECT rolname::text, rolsuper FROM pg_roles WHERE rolname = current_user";
    let row = transaction.query_one(session, &[]).await?;
    if row.try_get::<_, bool>(1)? {
        let name: String = row.try_get(0)?;
        let sentence = format!("{name}, with which this was looked at, is a superuser: let servers connect as a member of audit_server");
        findings.push(Finding::warning(Kind::Role, name, sentence));
    }
    if !installed {
        return Ok(());
    }
    for role in ["audit_server", "audit_host", "audit_reader"] {
        if transaction.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role]).await?.is_none() {
            findings.push(Finding::fault(
                Kind::Role,
                role,
                format!("there is no role {role}: CREATE ROLE {role} NOLOGIN, then restore its grants"),
            ));
        }
    }
    for row in transaction.query(MEMBERS, &[]).await? {
        let (member, group): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let more = [
            (2, "is a superuser"),
            (3, "bypasses row-level security"),
            (4, "may make roles"),
            (5, "may replicate"),
            (6, "owns the tables"),
        ];
        for (column, what) in more {
            // A superuser has all the rest.
            if row.try_get::<_, bool>(column)? && (column == 2 || !row.try_get::<_, bool>(2)?) {
                let sentence = format!("{member} is a member of {group} and {what}, so {group} does not hold it back: use a plain role");
                findings.push(Finding::warning(Kind::Role, member.clone(), sentence));
            }
        }
    }
    for row in transaction.query(PREDEFINED, &[]).await? {
        let (member, group): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let sentence = format!("{member} is a member of {group}, which passes by what is granted here: REVOKE {group} FROM {member}");
        findings.push(Finding::warning(Kind::Role, format!("{member} in {group}"), sentence));
    }
    Ok(())
}
