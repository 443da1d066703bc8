//! What would be stored of a sample event under the redaction rules in force, and under one that is not there yet. Nothing is stored
//! of the sample: the read is recorded, without it.

use std::sync::Arc;

use indelible_core::event::{Source, Submission};
use indelible_core::fault::{Fault, FaultKind};

use super::kind::typed;
use super::kinds::redaction_rules::{KIND, RedactionRule};
use super::rulebook::InForce;
use super::{MutateError, Project};
use crate::access::{Caller, Scope};
use crate::append::{EngineEvent, ReadMembers, Rehearsed, ResourceMembers};
use crate::ledger::Ledger;

/// What of `resource.id` the record of such a read has.
const TEST: &str = "test";

impl Ledger {
    /// What would be stored of a sample of an event of a project, with `candidate` as one more rule. Needs `audit:admin`.
    pub async fn rehearse_redaction(
        &self,
        caller: &Caller,
        project: &Arc<Project>,
        sample: &str,
        candidate: Option<&str>,
    ) -> Result<Rehearsed, MutateError> {
        match self.rehearsed(caller, project, sample, candidate) {
            Ok(rehearsed) => {
                let mut event = EngineEvent::new(caller, project, "audit.read", "allow");
                event.resource = Some(ResourceMembers { kind: KIND.noun, id: TEST.to_owned(), parent: None });
                event.read = Some(ReadMembers::default());
                self.record(vec![event]).await?;
                Ok(rehearsed)
            }
            Err(error) => {
                let home = Some(Arc::clone(project));
                Err(self.refuse(caller, home, ("audit.read", KIND.noun, TEST.to_owned()), error).await)
            }
        }
    }

    fn rehearsed(&self, caller: &Caller, project: &Project, sample: &str, candidate: Option<&str>) -> Result<Rehearsed, MutateError> {
        if !caller.has(Scope::AuditAdmin) {
            return Err(MutateError::Forbidden(Scope::AuditAdmin.as_str().to_owned()));
        }
        let of_rule = |fault: Fault| fault.within("rule");
        let candidate =
            candidate.map(|rule| (KIND.read)(rule).and_then(|rule| typed::<RedactionRule>(&rule))).transpose().map_err(of_rule)?;
        let of_sample = |fault: Fault| fault.within("sample");
        let submission = Submission::parse(sample.as_bytes(), Source::Caller, self.new_id()).map_err(of_sample)?;
        let desk = &self.inner.desk;
        let rules = match candidate {
            None => desk.rules.for_event(project, &submission),
            Some(rule) => {
                let rules = desk.rules.with_candidate(&self.inner.registry, project, &submission, rule);
                InForce::Own(rules.map_err(|error| of_rule(Fault::new(FaultKind::Invalid, "", error.to_string())))?)
            }
        };
        Ok(desk.rehearse(project, caller, submission, &rules).map_err(of_sample)?)
    }
}
