//! Sealing because somebody asked: `audit:admin`, and an event that the anchor then covers.

use crate::access::{Caller, Scope};
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::ledger::Ledger;
use crate::query::anchors::{AnchorStatus, status};
use crate::resource::{MutateError, Project};

/// The event that tells of it.
const ACTION: &str = "audit.anchor";
/// `resource.type` of that event.
const KIND: &str = "audit_anchor";

impl Ledger {
    /// Seals now, and tells how far it came. Recorded first, so that the record is among what is sealed.
    pub async fn seal(&self, caller: &Caller, project: &Project) -> Result<AnchorStatus, MutateError> {
        let home = self.inner.registry.project(project.id);
        let subject = (ACTION, KIND, "*".to_owned());
        if !caller.has(Scope::AuditAdmin) {
            let error = MutateError::Forbidden(Scope::AuditAdmin.as_str().to_owned());
            return Err(self.refuse(caller, home, subject, error).await);
        }
        let Some(home) = home.filter(|_| self.sees(caller, project)) else {
            return Err(self.refuse(caller, None, subject, MutateError::NotFound("project")).await);
        };
        let mut event = EngineEvent::new(caller, &home, ACTION, "allow");
        event.resource = Some(ResourceMembers { kind: KIND, id: "*".to_owned(), parent: None });
        self.record(vec![event]).await?;
        self.inner.anchoring.seal().await;
        let number = self.inner.registry.number_of(project.id).ok_or(MutateError::NotFound("project"))?;
        let (ledger, project) = (self.clone(), project.clone());
        let status = tokio::task::spawn_blocking(move || status(&ledger, &project, number)).await;
        let unavailable = |reason: String| AppendError::Unavailable { reason, outcome_unknown: false };
        Ok(status.map_err(|error| unavailable(error.to_string()))?.map_err(|error| unavailable(error.to_string()))?)
    }

    /// Why the last sealing did not come to its end, as a sentence for whoever holds the data folder.
    pub fn sealing_error(&self) -> Option<String> {
        self.inner.anchoring.report().failing.map(|(_, error)| error)
    }
}
