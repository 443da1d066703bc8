//! The end of a walk: what is compared once every row was there, and the reports.

use std::collections::BTreeSet;
use std::sync::Arc;

use indelible_core::verify::{FINDINGS_MAX, Finding, Report, Verdict};
use uuid::Uuid;

use super::super::VerifyError;
use super::super::cosigned::Cosigned;
use super::super::heads::Stored;
use super::super::index::Misplaced;
use super::super::instance::InstanceFinding;
use super::super::repeats::Repeats;
use super::super::since::Base;
use super::{Chains, Walked, unreadable};

use crate::store::sql::SqlError;

/// The report of a project that is not there.
fn gone(project_id: Uuid, finding: Finding) -> Report {
    Report { project_id, events: 0, not_read: 0, unanchored: 0, verdict: finding.kind, findings: vec![finding], findings_total: 1 }
}

/// Puts a report to the others; beside what is said of the same project already.
fn put(reports: &mut Vec<Report>, report: Report) {
    let Some(known) = reports.iter_mut().find(|known| known.project_id == report.project_id) else { return reports.push(report) };
    known.verdict = known.verdict.max(report.verdict);
    known.findings_total += report.findings_total;
    known.findings.extend(report.findings);
    known.findings.truncate(FINDINGS_MAX);
}

impl Chains<'_> {
    /// What all of it comes to, once every row was walked. `rest` is called now and then, and says whether to go on.
    pub(super) fn end(
        mut self,
        (of_instance, cosigned): (Vec<InstanceFinding>, Cosigned),
        misplaced: Vec<Misplaced>,
        removed: Vec<(Uuid, Finding)>,
        rest: &mut dyn FnMut() -> bool,
    ) -> Result<Walked, VerifyError> {
        self.tell_causes();
        for detail in Arc::clone(&self.keys).unusable() {
            self.find(0, Verdict::Unverifiable, None, detail.clone());
        }
        self.tell_instance(of_instance);
        let (ground, told, rows) = (self.ground, std::mem::take(&mut self.told), self.rows);
        let since = self.base.as_ref().map(Base::size);
        let settled = self.settled().map_err(|error| unreadable(&error))?;
        let mut reports = self.finish(misplaced, rest).map_err(|error| unreadable(&error))?;
        if ground.is_stopped() {
            return Err(VerifyError::Stopped);
        }
        for (project_id, finding) in removed {
            put(&mut reports, gone(project_id, finding));
        }
        let settled = settled.filter(|_| reports.iter().all(|report| report.findings_total == 0));
        Ok(Walked { reports, told, rows, settled, since, cosigned })
    }

    /// What is wrong with the instance tree. Who asked for one project hears of that one; of the rest, that something is.
    fn tell_instance(&mut self, findings: Vec<InstanceFinding>) {
        let mut rest: Option<Verdict> = None;
        for (project, finding) in findings {
            match project {
                Some(project) if self.verifiers.contains_key(&project) => {
                    self.find(project, finding.kind, finding.sequence, finding.detail);
                }
                _ if self.ground.only.is_none() => self.find(0, finding.kind, finding.sequence, finding.detail),
                _ => rest = rest.max(Some(finding.kind)),
            }
        }
        if let Some(kind) = rest {
            let detail = "the instance tree, which commits to the anchors of all projects, does not hold: verify the whole ledger";
            self.find(0, kind, None, detail.to_owned());
        }
    }

    fn finish(mut self, misplaced: Vec<Misplaced>, rest: &mut dyn FnMut() -> bool) -> Result<Vec<Report>, SqlError> {
        let repeats = std::mem::replace(&mut self.repeats, Repeats::new());
        for (number, sequence, detail) in repeats.find(self.ledger, self.ground.data, rest)? {
            self.find(number, Verdict::Altered, Some(sequence), detail);
        }
        for found in misplaced {
            self.find(found.project, Verdict::Altered, found.sequence, found.detail);
        }
        self.compare_numbers();
        let untold = self.untold();
        for (project_id, detail) in untold {
            // The rows of a project that is not asked for were not read; a resource of no project is told in any case.
            let number = self.verifiers.iter().find_map(|(number, (id, _))| (Some(*id) == project_id).then_some(*number));
            self.find(number.unwrap_or_default(), Verdict::Altered, None, detail);
        }
        let mut reports = Vec::new();
        let mut numbers: Vec<i64> = self.verifiers.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some((_, verifier)) = self.verifiers.get_mut(&number) {
                verifier.rows_ended();
            }
            if self.is_asked(number) {
                self.feed(number)?;
            }
            let stored = self.stored.remove(&number).unwrap_or_default();
            self.compare_tiles(number, &stored);
            if stored.head_unreadable {
                self.find(number, Verdict::Altered, None, "the head cannot be read".to_owned());
            }
            let Some((project_id, verifier)) = self.verifiers.remove(&number) else { continue };
            if self.ground.only.is_none_or(|only| only == project_id) {
                reports.push(verifier.finish(stored.head.as_ref()));
            }
        }
        if let Some(of_none) = self.of_none.take() {
            put(&mut reports, of_none.finish(None));
        }
        Ok(reports)
    }

    /// Resources of which no event tells. Where rows were not read again, they are compared with those of then, as far as that is known.
    fn untold(&mut self) -> Vec<(Option<Uuid>, String)> {
        let resources = std::mem::take(&mut self.resources);
        // Where no project could go on, everything was read after all.
        let Some(base) = self.base.as_ref().filter(|_| !self.plan.starts.is_empty()) else {
            return resources.unexplained(self.keys.as_ref(), self.ground.only);
        };
        let known = match base {
            Base::Instance { resources, .. } => resources.filter(|_| self.ground.only.is_none()),
            Base::Project { .. } => None,
        };
        let other = known.is_some_and(|known| known != resources.digest_unmade());
        let detail = "the stored resources that no later event made are not those of then: verify without --since";
        let mut found = resources.otherwise(self.keys.as_ref(), self.ground.only);
        found.extend(other.then(|| (None, detail.to_owned())));
        found
    }

    /// Row numbers, ends of heads, and what is stored of projects that have no rows.
    fn compare_numbers(&mut self) {
        let (mut accounted, mut found) = (0_u64, Vec::new());
        // Of one project that goes on, the rows of others were not counted.
        let all = self.ground.since.is_none() || self.ground.only.is_none();
        let uncounted: BTreeSet<i64> = self.stored.keys().copied().filter(|number| !all && !self.is_asked(*number)).collect();
        for (number, stored) in self.stored.iter().filter(|(number, _)| !uncounted.contains(number)) {
            let rows = self.counts.get(number).copied().unwrap_or_default();
            if let Some(head) = &stored.head {
                accounted = accounted.saturating_add(head.size.saturating_sub(rows));
                match self.ends.get(number) {
                    Some(end) if *end != stored.head_end => {
                        let detail = "the head: its recorded_at or last_row is not that of the last row".to_owned();
                        found.push((*number, head.size.checked_sub(1), detail));
                    }
                    Some(_) => {}
                    None => self.gaps.reach(stored.head_end.1.saturating_add(1)),
                }
            }
            if !self.verifiers.contains_key(number) {
                found.push((*number, None, format!("there are a head, tiles or a name of project number {number}, which has no rows")));
            } else if rows == 0 && stored.head.is_none() && !(stored.tiles.is_empty() && stored.partial.is_empty()) {
                found.push((*number, None, "there are tiles, and neither a head nor rows".to_owned()));
            }
        }
        for (number, _) in self.organizations.iter().filter(|(_, any)| !**any) {
            found.push((*number, None, "the ledger names another organization for this project than its entries".to_owned()));
        }
        for (number, sequence, detail) in found {
            self.find(number, Verdict::Altered, sequence, detail);
        }
        if let Some(detail) = self.gaps.beyond(accounted).filter(|_| all) {
            // Whose they were cannot be told: had a head been left, its chain would account for them.
            self.find(0, Verdict::Missing, None, detail);
        }
    }

    /// Tiles beyond those that the head's size calls for: no row fills them.
    fn compare_tiles(&mut self, number: i64, stored: &Stored) {
        let Some(size) = stored.head.as_ref().map(|head| head.size) else { return };
        let mut levels: Vec<_> = stored.tiles.iter().collect();
        levels.sort_unstable();
        for (level, (count, end)) in levels {
            let shift = u32::try_from(*level).unwrap_or(u32::MAX).saturating_add(1).saturating_mul(8);
            let wanted = size.checked_shr(shift).unwrap_or(0);
            if *count > wanted || *end > wanted {
                let detail = format!("there are {count} tiles of level {level} up to position {end}, where {wanted} are full");
                self.find(number, Verdict::Altered, None, detail);
            }
        }
    }
}
