//! Binding roles of the database to projects: whose events they are that a host application appends in its own transactions. The row and the
//! event that tells of it are one transaction.
//!
//! The role also needs to be a member of `audit_host`, which only the owner of the tables may make it
//! ([`crate::database::bind::bind`]). The order is: the binding here, then the membership; and the end of the binding here, then that of
//! the membership. Whatever stops in between, a role that may append is bound by an event, and one that is not bound appends nothing.

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
use crate::store::sql::OptionalExtension as _;
use crate::write::Change;

const CREATE: &str = "database_binding.create";
const DELETE: &str = "database_binding.delete";
const BINDING: &str = "database_binding";

const BOUND: &str = "SELECT project_id::text FROM bindings WHERE role = ?1";
/// Why nobody is held back by being bound, where that is so.
const UNBOUNDED: &str = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = ?1";

/// What the database says of a role.
struct Role {
    /// To which project it is bound.
    bound: Option<String>,
    /// Whether bindings hold it back; `None` where there is no such role.
    is_unbounded: Option<bool>,
}

impl Ledger {
    /// Binds a role to a project: from then on what it appends is the project's. Whether it was not bound to it before. For keys of the
    /// instance or of the project's organization with `control:write`.
    pub async fn bind_host(&self, caller: &Caller, role: &str, project_id: Uuid) -> Result<bool, MutateError> {
        self.rebind(caller, role, project_id, CREATE).await
    }

    /// Ends a binding. Whether it was there.
    pub async fn unbind_host(&self, caller: &Caller, role: &str, project_id: Uuid) -> Result<bool, MutateError> {
        self.rebind(caller, role, project_id, DELETE).await
    }

    async fn rebind(&self, caller: &Caller, role: &str, project_id: Uuid, action: &'static str) -> Result<bool, MutateError> {
        let subject = || (action, BINDING, role.to_owned());
        let _control = self.control().await?;
        let caller = &self.caller_now(caller, subject()).await?;
        let (project, is_due) = match self.check_binding(caller, role, project_id, action) {
            Ok(checked) => checked,
            Err(error) => return Err(self.refuse(caller, None, subject(), error).await),
        };
        if !is_due {
            return Ok(false);
        }
        let id = project.id.hyphenated().to_string();
        let state: Value<'static> = texts(&[("project_id", &id), ("role", role)], usize::MAX);
        let (role, project_id, organization_id) = (role.to_owned(), project.id, project.organization_id);
        let (before, after, change) = if action == CREATE {
            (None, Some(state), Change::Binding { role: role.clone(), project_id, organization_id })
        } else {
            (Some(state), None, Change::Unbinding { role: role.clone(), project_id })
        };
        let mutation =
            Mutation { caller, home: project, action, kind: BINDING, id: role, before, after, changes: vec![change], root: None };
        self.mutate(mutation).await?;
        Ok(true)
    }

    /// The project, and whether there is anything to do.
    fn check_binding(&self, caller: &Caller, role: &str, project_id: Uuid, action: &str) -> Result<(Arc<Project>, bool), MutateError> {
        if !caller.has(Scope::ControlWrite) {
            return Err(MutateError::Forbidden(Scope::ControlWrite.as_str().to_owned()));
        }
        let project = self.inner.registry.project(project_id).filter(|project| self.sees(caller, project));
        let project = project.ok_or(MutateError::NotFound("project"))?;
        if matches!(caller.owner, Owner::Project(_)) {
            return Err(MutateError::Forbidden("the organization".to_owned()));
        }
        let Some(found) = self.role(role).map_err(|error| unreadable(&error))? else { return Err(NO_DATABASE) };
        let id = project.id.hyphenated().to_string();
        if action == DELETE {
            return Ok((project, found.bound == Some(id)));
        }
        let fault = |message: &str| Err(Fault::new(FaultKind::Invalid, "/role", message).into());
        match (found.is_unbounded, &found.bound) {
            (None, _) => return fault("there is no such role in the database: make it first, with CREATE ROLE … LOGIN"),
            (Some(true), _) => return fault("is a superuser, or bypasses row-level security: a binding does not hold it back"),
            (_, Some(bound)) if *bound == id => return Ok((project, false)),
            (_, Some(_)) => {
                return Err(MutateError::Conflict("the role is bound to another project: unbind it first, or use another role"));
            }
            (_, None) => {}
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
    fn role(&self, role: &str) -> Result<Option<Role>, StoreError> {
        let reader = self.inner.readers.get()?;
        if reader.postgres().is_none() {
            return Ok(None);
        }
        let bound = reader.query_row(BOUND, [role], |row| row.get(0)).optional()?;
        let is_unbounded = reader.query_row(UNBOUNDED, [role], |row| row.get::<_, i64>(0)).optional()?;
        Ok(Some(Role { bound, is_unbounded: is_unbounded.map(|unbounded| unbounded != 0) }))
    }
}
