//! Projects, and the clock, which belongs to the instance.

use std::sync::Arc;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::document::{Document, ProjectDocument, state};
use super::mutate::{Mutation, check_name, row};
use super::{MutateError, Project};
use crate::access::{Caller, Owner, Scope};
use crate::append::EngineEvent;
use crate::ledger::Ledger;
use crate::write::{Change, Privilege, Work};

const CREATE: &str = "project.create";
const CONFIRM_CLOCK: &str = "clock.confirm";

/// The rows of a new project.
pub(super) fn rows(home: Uuid, project: &Project, number: i64) -> Vec<Change> {
    let ledger = Change::Ledger { project: number, project_id: project.id, organization_id: project.organization_id };
    vec![ledger, row(home, &ProjectDocument::from(project), 1)]
}

impl Ledger {
    /// Makes a project in an organization (the default one if not named), for an instance's or the organization's key with `control:write`.
    pub async fn create_project(&self, caller: &Caller, organization_id: Option<Uuid>, name: &str) -> Result<Project, MutateError> {
        let name = self.clean_name(caller, name)?;
        let _control = self.inner.control.lock().await;
        let organization_id = organization_id.unwrap_or(match caller.owner {
            Owner::Organization(id) => id,
            Owner::Instance | Owner::Project(_) => self.inner.instance.organization_id,
        });
        let home = match self.check_new_project(caller, organization_id, &name) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, (CREATE, ProjectDocument::TYPE, String::new()), error).await),
        };
        let created_at = self.inner.clock.now();
        let project = Project { id: self.new_id(), organization_id, name, system: false, created_at };
        let number = self.inner.registry.next_number();
        self.mutate(Mutation {
            caller,
            action: CREATE,
            kind: ProjectDocument::TYPE,
            id: project.id.to_string(),
            before: None,
            after: Some(state(&ProjectDocument::from(&project))),
            changes: rows(home.id, &project, number),
            home,
        })
        .await?;
        self.inner.registry.put_project(Arc::new(project.clone()), number);
        Ok(project)
    }

    fn check_new_project(&self, caller: &Caller, organization_id: Uuid, name: &str) -> Result<Arc<Project>, MutateError> {
        if !caller.has(Scope::ControlWrite) {
            return Err(MutateError::Forbidden(Scope::ControlWrite.as_str().to_owned()));
        }
        if matches!(caller.owner, Owner::Project(_)) {
            return Err(MutateError::Forbidden("the organization".to_owned()));
        }
        let registry = &self.inner.registry;
        if !registry.has_organization(organization_id) || !registry.is_within(Owner::Organization(organization_id), caller.owner) {
            return Err(MutateError::NotFound("organization"));
        }
        check_name(name)?;
        registry.system_project(organization_id).ok_or(MutateError::NotFound("organization"))
    }

    /// Takes the clock as it is now for right, after a jump stopped appends. Recorded in the instance's system project.
    /// For keys of the instance with `audit:admin`.
    pub async fn confirm_clock(&self, caller: &Caller) -> Result<Timestamp, MutateError> {
        let lacking = if caller.has(Scope::AuditAdmin) { "the instance" } else { Scope::AuditAdmin.as_str() };
        if !caller.has(Scope::AuditAdmin) || caller.owner != Owner::Instance {
            let error = MutateError::Forbidden(lacking.to_owned());
            return Err(self.refuse(caller, None, (CONFIRM_CLOCK, "clock", "system".to_owned()), error).await);
        }
        let home = self.home_of(Owner::Instance)?;
        let events = self.prepare_all(vec![EngineEvent::new(caller, &home, CONFIRM_CLOCK, "allow")])?;
        let receipts = self.inner.writer.submit(Work::new(events, Privilege::ConfirmClock)).await?;
        Ok(receipts.first().map_or_else(|| self.inner.clock.now(), |receipt| receipt.recorded_at))
    }
}
