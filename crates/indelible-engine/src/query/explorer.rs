//! The events of an organization, over all of its projects: newest first, one page like those of one project.
//!
//! Each project gives the best of its own, and the best of those are the page. The read is recorded once, in the organization's own
//! chain; contents are opened one by one, in their projects, where each is an event.

use std::cmp::Reverse;
use std::sync::Arc;

use indelible_core::cursor::Cursor;
use indelible_core::filter::Filter;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::newest::{Bounds, newest};
use super::open::Opened;
use super::reading::{Account, Lane, Reading};
use super::search::{Asked, Room};
use super::{Opening, Page, ReadError, Search};
use crate::access::{Caller, Owner};
use crate::ledger::Ledger;
use crate::resource::Project;
use crate::resource::registry::Known;

impl Ledger {
    /// A page of the events of an organization. `search` is no feed and opens nothing.
    pub async fn explore(&self, caller: &Caller, organization_id: Uuid, search: Search) -> Result<Page, ReadError> {
        let registry = &self.inner.registry;
        let home =
            registry.system_project(organization_id).filter(|_| registry.is_within(Owner::Organization(organization_id), caller.owner));
        let Some(home) = home.filter(|home| !home.organization_id.is_nil()) else {
            return Err(self.unseen(caller, "audit.read", ReadError::NotFound("organization")).await);
        };
        let opening = Opening { content: false, purpose: search.opening.purpose.clone() };
        let mut reading = Reading::new(caller, &home, "organization", organization_id.to_string(), &opening).by_candidates();
        let rules = self.inner.desk.rules.for_question(&home);
        reading.filter = search.filter.as_ref().map(|filter| rules.question(filter).replace(char::is_control, " "));
        let mut projects = registry.projects();
        projects.retain(|known| known.project.organization_id == organization_id);
        self.read(reading, move |lane, account| explore(lane, &projects, (organization_id, &search), account)).await
    }
}

fn explore(
    lane: &Lane<'_>,
    projects: &[Known],
    (organization_id, search): (Uuid, &Search),
    account: &mut Account,
) -> Result<Page, ReadError> {
    let asked = Asked::read(search, organization_id)?;
    let (from, to) = asked.filter.as_ref().map_or((None, None), Filter::occurred_at_bounds);
    let mut bounds = Bounds { below: asked.below, from: from.map(Timestamp::as_micros), to: to.map(Timestamp::as_micros) };
    let mut best = Vec::new();
    for known in projects {
        best.extend(of_project(lane, known, &asked, bounds)?);
        best.sort_unstable_by_key(|found: &super::scan::Found| Reverse(found.key));
        best.truncate(asked.limit);
        // What is not newer than the last of a full page is not looked for in the projects after this.
        if let Some(last) = best.last().filter(|_| best.len() == asked.limit) {
            bounds.from = bounds.from.max(Some(last.key.occurred_at));
        }
    }
    let (mut records, mut room) = (Vec::with_capacity(best.len()), Room::default());
    for found in &best {
        let record = lane.record(found, &Opened::None);
        if !room.takes(record.len()) {
            break;
        }
        records.push(record);
    }
    account.returned = records.len() as u64;
    let full = best.len() == asked.limit || records.len() < best.len();
    let next_cursor = best[..records.len()].last().filter(|_| full).and_then(|last| {
        let occurred_at = Timestamp::from_micros(last.key.occurred_at)?;
        Some(Cursor { id: last.id(), occurred_at, project_id: organization_id }.encode(asked.filter.as_ref()))
    });
    Ok(Page { records, next_cursor, ..Page::default() })
}

fn of_project(lane: &Lane<'_>, known: &Known, asked: &Asked, bounds: Bounds) -> Result<Vec<super::scan::Found>, ReadError> {
    let reading = Reading { project: Arc::<Project>::clone(&known.project), ..Reading::clone(lane.reading) };
    let lane = Lane { ledger: lane.ledger, reading: &Arc::new(reading), number: known.number, deadline: lane.deadline };
    let head = lane.head()?;
    lane.scan(head, asked.filter.as_ref(), |scan| newest(scan, bounds, asked.limit))
}
