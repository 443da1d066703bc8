//! Binding roles of the database to projects: whose events they are that a host application appends in its own transactions, and whose
//! events somebody reads with SQL. The row and the event that tells of it are one transaction.
//!
//! The role also needs to be a member of `audit_host` or `audit_reader`, which only the owner of the tables may make it
//! ([`crate::database::bind::bind`]). The order is: the binding here, then the membership; and the end of the binding here, then that of
//! the membership. Whatever stops in between, a role that may append or read is bound by an event, and one that is not bound does neither.

use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::Value;
use uuid::Uuid;

use super::accept::{NO_DATABASE, unreadable};
use crate::access::{Caller, Owner, Scope};
use crate::append::texts;
use crate::ledger::Ledger;
use crate::resource::{MutateError, Mutation, Project};
use crate::store::StoreError;
use crate::store::postgres::bind::Purpose;
use crate::store::sql::{OptionalExtension as _, Param};
use crate::write::Change;

/// Why nobody is held back by being bound, where that is so.
const UNBOUNDED: &str = "SELECT rolsuper OR rolbypassrls
    OR pg_has_role(oid, (SELECT relowner FROM pg_class WHERE oid = 'audit.events'::regclass), 'MEMBER') FROM pg_roles WHERE rolname = ?1";

const fn create(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Host => "database_binding.create",
        Purpose::Reader => "database_reader.create",
    }
}

const fn delete(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Host => "database_binding.delete",
        Purpose::Reader => "database_reader.delete",
    }
}

/// What the database says of a role.
struct Role {
    /// The projects that it is bound to.
    bound: Vec<String>,
    /// Whether bindings hold it back; `None` where there is no such role.
    is_unbounded: Option<bool>,
}

/// A binding that is asked for, or its end.
#[derive(Clone, Copy)]
struct Asked<'a> {
    purpose: Purpose,
    role: &'a str,
    project_id: Uuid,
    ends: bool,
}

impl Ledger {
    /// Binds a role to a project: from then on what it appends is the project's, or it reads what is the project's. Whether it was not bound
    /// to it before. A host has one project, and no system project or deleted one; a reader has any number, of all of them. For keys of the
    /// instance or of the project's organization with `control:write`.
    pub async fn bind_role(&self, caller: &Caller, purpose: Purpose, role: &str, project_id: Uuid) -> Result<bool, MutateError> {
        self.rebind(caller, Asked { purpose, role, project_id, ends: false }).await
    }

    /// Ends a binding. Whether it was there.
    pub async fn unbind_role(&self, caller: &Caller, purpose: Purpose, role: &str, project_id: Uuid) -> Result<bool, MutateError> {
        self.rebind(caller, Asked { purpose, role, project_id, ends: true }).await
    }

    async fn rebind(&self, caller: &Caller, asked: Asked<'_>) -> Result<bool, MutateError> {
        let Asked { purpose, role, ends, .. } = asked;
        let action = if ends { delete(purpose) } else { create(purpose) };
        let subject = || (action, purpose.noun(), role.to_owned());
        let _control = self.control().await?;
        let caller = &self.caller_now(caller, subject()).await?;
        let (project, is_due) = match self.check_binding(caller, asked) {
            Ok(checked) => checked,
            Err(error) => return Err(self.refuse(caller, None, subject(), error).await),
        };
        if !is_due {
            return Ok(false);
        }
        let key = match purpose {
            Purpose::Host if !ends => self.first_inbox_key(caller, project.organization_id).await?,
            Purpose::Host | Purpose::Reader => None,
        };
        let state = Some(state(role, project.id));
        let (role, project_id, organization_id) = (role.to_owned(), project.id, project.organization_id);
        let (before, after, change) = if ends {
            (state, None, Change::Unbinding { purpose, role, project_id })
        } else {
            (None, state, Change::Binding { purpose, role, project_id, organization_id })
        };
        // The chain of a deleted project takes nothing more.
        let is_deleted = self.inner.registry.is_deleted(Owner::Project(project_id));
        let home = if is_deleted { self.home_of(Owner::Organization(organization_id))? } else { project };
        let (action, kind, id) = subject();
        let own = Mutation { caller, home, action, kind, id, before, after, changes: vec![change], root: None };
        self.mutate_all(key.into_iter().chain([own]).collect(), None).await?;
        Ok(true)
    }

    /// The ends of all bindings of hosts to a project, or to any of an organization, with which they end. Readers stay: what was recorded
    /// is still read.
    pub(crate) fn unbound<'a>(
        &self,
        caller: &'a Caller,
        owner: Owner,
        home: &Arc<Project>,
        root: Uuid,
    ) -> Result<Vec<Mutation<'a>>, MutateError> {
        let bound = self.bound_to(owner).map_err(|error| unreadable(&error))?;
        let (purpose, kind) = (Purpose::Host, Purpose::Host.noun());
        let end = |(role, project_id): (String, Uuid)| Mutation {
            caller,
            home: Arc::clone(home),
            action: delete(purpose),
            kind,
            id: role.clone(),
            before: Some(state(&role, project_id)),
            after: None,
            changes: vec![Change::Unbinding { purpose, role, project_id }],
            root: Some(root),
        };
        Ok(bound.into_iter().map(end).collect())
    }

    /// Roles that append, and the project of each. None where the ledger is in a file.
    fn bound_to(&self, owner: Owner) -> Result<Vec<(String, Uuid)>, StoreError> {
        let reader = self.inner.readers.get()?;
        let (id, select) = match owner {
            Owner::Project(id) => (id, "SELECT role::text, project_id FROM bindings WHERE project_id = ?1 ORDER BY role"),
            Owner::Organization(id) => (id, "SELECT role::text, project_id FROM bindings WHERE organization_id = ?1 ORDER BY role"),
            Owner::Instance => return Ok(Vec::new()),
        };
        if reader.postgres().is_none() {
            return Ok(Vec::new());
        }
        let mut select = reader.prepare(select)?;
        let rows = select.query_map([Param::Blob(id.as_bytes())].as_slice(), |row| Ok((row.get(0)?, Uuid::from_bytes(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The project, and whether there is anything to do.
    fn check_binding(&self, caller: &Caller, asked: Asked<'_>) -> Result<(Arc<Project>, bool), MutateError> {
        let Asked { purpose, role, project_id, ends } = asked;
        if !caller.has(Scope::ControlWrite) {
            return Err(MutateError::Forbidden(Scope::ControlWrite.as_str().to_owned()));
        }
        let project = self.inner.registry.project(project_id).filter(|project| self.sees(caller, project));
        let project = project.ok_or(MutateError::NotFound("project"))?;
        if matches!(caller.owner, Owner::Project(_)) {
            return Err(MutateError::Forbidden("the organization".to_owned()));
        }
        let Some(found) = self.role(purpose, role).map_err(|error| unreadable(&error))? else { return Err(NO_DATABASE) };
        let is_bound = found.bound.contains(&project.id.hyphenated().to_string());
        if ends {
            return Ok((project, is_bound));
        }
        let fault = |message: &str| Err(Fault::new(FaultKind::Invalid, "/role", message).into());
        match found.is_unbounded {
            None => return fault("there is no such role in the database: make it first, with CREATE ROLE … LOGIN"),
            Some(true) => return fault("is a superuser, bypasses row-level security, or owns the tables: a binding does not hold it back"),
            Some(false) if is_bound => return Ok((project, false)),
            Some(false) => {}
        }
        if purpose == Purpose::Reader {
            return Ok((project, true));
        }
        if !found.bound.is_empty() {
            return Err(MutateError::Conflict("the role is bound to another project: unbind it first, or use another role"));
        }
        if project.system {
            return Err(Fault::new(FaultKind::Invalid, "/project_id", "a system project takes the engine's own events alone").into());
        }
        if self.inner.registry.is_deleted(Owner::Project(project.id)) {
            return Err(MutateError::Gone("project"));
        }
        Ok((project, true))
    }

    /// `None` where the ledger is in a file.
    fn role(&self, purpose: Purpose, role: &str) -> Result<Option<Role>, StoreError> {
        let reader = self.inner.readers.get()?;
        if reader.postgres().is_none() {
            return Ok(None);
        }
        let mut select = reader.prepare(&format!("SELECT project_id::text FROM {} WHERE role = ?1", purpose.table()))?;
        let bound = select.query_map([role], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let is_unbounded = reader.query_row(UNBOUNDED, [role], |row| row.get::<_, i64>(0)).optional()?;
        Ok(Some(Role { bound, is_unbounded: is_unbounded.map(|unbounded| unbounded != 0) }))
    }
}

/// What the event says of a binding.
fn state(role: &str, project_id: Uuid) -> Value<'static> {
    texts(&[("project_id", &project_id.hyphenated().to_string()), ("role", role)], usize::MAX)
}
