//! Findings as events: `integrity.finding` for one that was not told yet, `integrity.clear` for one that was and is there no more.
//!
//! Each goes into the chain of the project that it concerns; into that of the instance's system project where the project is gone, or
//! its chain takes nothing. What could not be appended is tried again, by whoever calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_core::verify::{Finding, Report, Verdict};
use uuid::Uuid;

use super::fingerprint::fingerprint;
use super::{Parts, Round};
use crate::access::Caller;
use crate::append::{AppendError, EngineEvent, ResourceMembers};
use crate::resource::Project;
use crate::verify::told::{CLEAR, CONCERNS, FINDING, FINGERPRINT, Open, Told};
use crate::write::{Privilege, Work};

/// Events in one batch.
const BATCH_EVENTS: usize = 500;
/// Findings told one by one in a round; of a ledger with more, a thousand say enough.
const FINDINGS_MAX: usize = 1_000;
/// `resource.type` of a place in a chain; its id is the sequence.
const PLACE: &str = "sequence";
/// `resource.type` where there is no place in it; its id is the project.
const WHOLE: &str = "project";

/// An event to be appended, and what is known once it is.
struct Telling {
    fingerprint: String,
    open: Open,
    /// The finding; `None` where it is there no more.
    finding: Option<(Finding, u64)>,
}

impl Parts {
    /// Tells what is new in a round, and what is gone. `told` is kept up with what was appended, so that after a failure the rest
    /// can be tried again.
    pub(super) fn tell(&self, round: &Round, told: &mut Told) -> Result<(), AppendError> {
        let mut chains: BTreeMap<Uuid, Vec<Telling>> = BTreeMap::new();
        for telling in self.tellings(round, told) {
            chains.entry(telling.open.told_in).or_default().push(telling);
        }
        for (chain, mut tellings) in chains {
            while !tellings.is_empty() {
                let rest = tellings.split_off(tellings.len().min(BATCH_EVENTS));
                self.append(chain, std::mem::replace(&mut tellings, rest), told)?;
            }
        }
        Ok(())
    }

    fn tellings(&self, round: &Round, told: &Told) -> Vec<Telling> {
        let mut found: BTreeMap<String, (&Report, &Finding)> = BTreeMap::new();
        for report in round.reports.values() {
            found.extend(report.findings.iter().map(|finding| (fingerprint(report.project_id, finding), (report, finding))));
        }
        let new = found.iter().filter(|(fingerprint, _)| !told.open.contains_key(*fingerprint)).take(FINDINGS_MAX);
        let new = new.map(|(fingerprint, (report, finding))| {
            let (kind, id) = finding.sequence.map_or((WHOLE, report.project_id.to_string()), |place| (PLACE, place.to_string()));
            let open = Open { project_id: report.project_id, told_in: self.home(report), place: (kind.to_owned(), id) };
            Telling { fingerprint: fingerprint.clone(), open, finding: Some(((*finding).clone(), report.findings_total)) }
        });
        // Of a project with more findings than are listed it cannot be said that one is gone.
        let listed =
            |project_id: &Uuid| round.reports.get(project_id).is_none_or(|report| report.findings_total == report.findings.len() as u64);
        let gone = told.open.iter().filter(|(fingerprint, open)| !found.contains_key(*fingerprint) && listed(&open.project_id));
        let gone = gone.map(|(fingerprint, open)| Telling { fingerprint: fingerprint.clone(), open: open.clone(), finding: None });
        new.chain(gone).collect()
    }

    /// The chain that tells of a finding of a project.
    fn home(&self, report: &Report) -> Uuid {
        let removed = report.events == 0 && report.verdict == Verdict::Missing;
        let known = self.desk.registry.number_of(report.project_id).is_some() && !removed;
        if known { report.project_id } else { self.system_project_id }
    }

    fn append(&self, chain: Uuid, mut tellings: Vec<Telling>, told: &mut Told) -> Result<(), AppendError> {
        let mut answer = self.append_to(chain, &tellings);
        if let Err(error) = &answer
            && chain != self.system_project_id
        {
            tracing::error!(project = %chain, %error, "a finding cannot be told in the chain of its project");
            for telling in &mut tellings {
                telling.open.told_in = self.system_project_id;
            }
            answer = self.append_to(self.system_project_id, &tellings);
        }
        answer?;
        for Telling { fingerprint, open, finding } in tellings {
            let project = open.project_id;
            if let Some((Finding { kind, sequence, detail }, _)) = finding {
                tracing::error!(%project, kind = kind.as_str(), sequence, detail, "verification found something");
                told.open.insert(fingerprint, open);
            } else {
                tracing::info!(%project, fingerprint, "a finding is there no more");
                told.open.remove(&fingerprint);
            }
        }
        Ok(())
    }

    fn append_to(&self, chain: Uuid, tellings: &[Telling]) -> Result<(), AppendError> {
        let unavailable = |reason: String| AppendError::Unavailable { reason, outcome_unknown: false };
        let project = self.desk.registry.project(chain).ok_or_else(|| unavailable("there is no such project".to_owned()))?;
        let mut batch = Vec::with_capacity(tellings.len());
        for (index, telling) in tellings.iter().enumerate() {
            let prepared = self.desk.prepare_own(telling.event(&project)).map_err(|fault| AppendError::Fault { index, fault })?;
            batch.push(prepared);
        }
        let work = Work::new(batch, Privilege::Engine);
        self.writer.submit_blocking(if let Some(term) = self.term { work.under(term) } else { work }).map(drop)
    }
}

impl Telling {
    fn event(&self, project: &Arc<Project>) -> EngineEvent {
        let (action, outcome, reason) = match &self.finding {
            Some((finding, _)) => (FINDING, "error", finding.detail.clone()),
            None => (CLEAR, "allow", "a complete verification did not find it again".to_owned()),
        };
        let mut event = EngineEvent::new(&Caller::engine(), project, action, outcome).because(reason);
        let (kind, id) = &self.open.place;
        let kind = if kind == PLACE { PLACE } else { WHOLE };
        event.resource = Some(ResourceMembers { kind, id: id.clone(), parent: None });
        event.context = vec![(FINGERPRINT, self.fingerprint.clone()), (CONCERNS, self.open.project_id.to_string())];
        if let Some((finding, total)) = &self.finding {
            event.context.extend([("verdict", finding.kind.as_str().to_owned()), ("findings_total", total.to_string())]);
        }
        event
    }
}
