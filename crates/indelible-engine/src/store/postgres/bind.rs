//! Binding roles to projects: a host application's role, whose events are then the project's, and a reader's, who then sees the project's
//! rows. Made and taken back by whoever owns the tables, over the maintenance connection.
//!
//! A role is a login that is there already: none is made here, and no password is ever seen. It gets membership of `audit_host` or
//! `audit_reader`, which is for the whole cluster, and a row, which is for this database.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// Why a role was not bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The database refuses, or is gone.
    #[error("binding failed: {}", .0.as_db_error().map_or_else(|| .0.to_string(), |error| error.message().to_owned()))]
    Database(#[from] tokio_postgres::Error),
    /// There is no such role.
    #[error("there is no role {0}: make it first, with CREATE ROLE … LOGIN")]
    NoRole(String),
    /// There is no such project.
    #[error("there is no project {0} in this database")]
    NoProject(Uuid),
    /// Another project has the role.
    #[error("the role {0} is bound to the project {1}: unbind it first, or use another role")]
    Bound(String, String),
    /// Nobody is held back by being bound.
    #[error("the role {0} {1}: what it is bound to does not hold it back, so use another role")]
    Unbounded(String, &'static str),
}

/// What a role is bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Appending within its own transactions, to one project.
    Host,
    /// Reading with SQL, from any number of projects.
    Reader,
}

impl Purpose {
    /// The noun of the events that tell of it.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Host => "database_binding",
            Self::Reader => "database_reader",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Host => "audit_host",
            Self::Reader => "audit_reader",
        }
    }

    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Host => "audit.bindings",
            Self::Reader => "audit.readers",
        }
    }
}

/// A role that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: String,
    /// The project.
    pub project_id: String,
}

/// Binds a role to a project. Bound again to the same one, nothing is changed.
pub async fn bind(client: &mut Client, purpose: Purpose, role: &str, project_id: Uuid) -> Result<(), BindError> {
    let transaction = client.transaction().await?;
    let find = "SELECT CASE WHEN rolsuper THEN 'is a superuser' WHEN rolbypassrls THEN 'bypasses row-level security'
                            WHEN pg_has_role(rolname, (SELECT relowner FROM pg_class WHERE oid = 'audit.events'::regclass), 'MEMBER')
                            THEN 'owns the tables' END,
                       quote_ident(rolname) FROM pg_roles WHERE rolname = $1";
    let found = transaction.query_opt(find, &[&role]).await?.ok_or_else(|| BindError::NoRole(role.to_owned()))?;
    if let Some(why) = found.try_get::<_, Option<String>>(0)? {
        let known = ["is a superuser", "bypasses row-level security"].into_iter().find(|known| *known == why);
        return Err(BindError::Unbounded(role.to_owned(), known.unwrap_or("owns the tables")));
    }
    let project = project_id.to_string();
    if transaction.query_opt("SELECT FROM audit.ledgers WHERE project_id = $1", &[&project]).await?.is_none() {
        return Err(BindError::NoProject(project_id));
    }
    let quoted: String = found.try_get(1)?;
    transaction.batch_execute(&format!("GRANT {} TO {quoted}", purpose.group())).await?;
    let insert = match purpose {
        Purpose::Host => {
            "INSERT INTO audit.bindings (role, project_id, organization_id)
             SELECT $1::text::name, project_id::uuid, organization_id::uuid FROM audit.ledgers WHERE project_id = $2 ON CONFLICT DO NOTHING"
        }
        Purpose::Reader => "INSERT INTO audit.readers (role, project_id) VALUES ($1::text::name, $2::text::uuid) ON CONFLICT DO NOTHING",
    };
    if transaction.execute(insert, &[&role, &project]).await? == 0 {
        let select =
            format!("SELECT project_id::text FROM {} WHERE role = $1 ORDER BY project_id::text = $2 DESC LIMIT 1", purpose.table());
        let there: String = transaction.query_one(&select, &[&role, &project]).await?.try_get(0)?;
        if there != project {
            return Err(BindError::Bound(role.to_owned(), there));
        }
    }
    Ok(transaction.commit().await?)
}

/// Takes a binding back. Whether it was there. A role with none left leaves the group, unless it is bound in another database too, which
/// cannot be seen from here: then it is a member that may do nothing.
pub async fn unbind(client: &mut Client, purpose: Purpose, role: &str, project_id: Uuid) -> Result<bool, BindError> {
    let delete = format!("DELETE FROM {} WHERE role = $1 AND project_id = $2::text::uuid", purpose.table());
    Ok(client.execute(&delete, &[&role, &project_id.to_string()]).await? == 1)
}

/// Every binding, by role. Also where the table is not there.
pub async fn bindings(client: &Client, purpose: Purpose) -> Result<Vec<Binding>, BindError> {
    let select = format!("SELECT role::text, project_id::text FROM {} ORDER BY 1, 2", purpose.table());
    match client.query(&select, &[]).await {
        Ok(rows) => rows.iter().map(|row| Ok(Binding { role: row.try_get(0)?, project_id: row.try_get(1)? })).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
