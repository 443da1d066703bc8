//! What a group does to the inbox in PostgreSQL and to what host transactions go by: rows that are drained go in the transaction that chains
//! their events, and names that are redacted change in the one that changes the rule, so that they count from its acknowledgement on.
//!
//! Whoever writes has the turn, so a row that is there when a group begins stays there until it ends, unless somebody takes it by hand:
//! then the whole group fails. Invariant: a row of the inbox goes with its event, and neither without the other.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use super::insert::{Inserter, faulty};
use super::{Change, Work};
use crate::access::Owner;
use crate::faults::{Faults, Write};
use crate::resource::document::OwnerDocument;
use crate::resource::kinds::redaction_rules;
use crate::store::StoreError;
use crate::store::postgres::Session;
use crate::store::postgres::bind::Purpose;

const WAITING: &str = "SELECT n FROM inbox WHERE n = ANY ($1)";
const DRAIN: &str = "DELETE FROM inbox WHERE n = ANY ($1)";

/// What a group has to do with the inbox.
#[derive(Default)]
pub(super) struct Inbox {
    /// Rows that the group means to drain and that are there.
    waiting: HashSet<i64>,
    drained: Vec<i64>,
    /// Projects and organizations whose names change.
    renamed: BTreeSet<String>,
}

/// Of the body of a resource, whose it is.
#[derive(Deserialize)]
struct Owned {
    owner: OwnerDocument,
}

impl Inbox {
    /// Takes note of what is done at the end of the group.
    pub(super) fn note(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Drained { n } => {
                self.waiting.remove(n);
                self.drained.push(*n);
            }
            // A project of an organization that has rules has them from its first event on.
            Change::Ledger { project_id, .. } => drop(self.renamed.insert(project_id.to_string())),
            Change::Resource { kind, body, id, .. } if *kind == redaction_rules::KIND.noun => {
                let owned: Owned = serde_json::from_str(body).map_err(|error| StoreError::Corrupt(format!("the {kind} {id}: {error}")))?;
                match owned.owner.into() {
                    Owner::Project(id) | Owner::Organization(id) => drop(self.renamed.insert(id.to_string())),
                    Owner::Instance => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn send(&mut self, session: &Session, faults: Option<&Arc<dyn Faults>>) -> Result<(), StoreError> {
        let (drained, renamed) = (std::mem::take(&mut self.drained), std::mem::take(&mut self.renamed));
        if !drained.is_empty() {
            faulty(faults, Write::Drained, || {
                let delete = session.prepare(DRAIN)?;
                let gone = session.wait(session.client().execute(delete.statement(), &[&drained]))?;
                if gone == drained.len() as u64 {
                    Ok(())
                } else {
                    Err(StoreError::Corrupt(format!("{gone} of {} rows were in the inbox", drained.len())))
                }
            })?;
        }
        if !renamed.is_empty() {
            let renamed: Vec<String> = renamed.into_iter().collect();
            for sql in [include_str!("../store/postgres/forget_names.sql"), include_str!("../store/postgres/learn_names.sql")] {
                let statement = session.prepare(sql)?;
                session.wait(session.client().execute(statement.statement(), &[&renamed]))?;
            }
        }
        Ok(())
    }
}

impl Inserter<'_> {
    /// Finds out which of the rows that a group means to drain are there.
    pub(super) fn look_into_inbox(&mut self, works: &[Work]) -> Result<(), StoreError> {
        let Some(session) = self.connection.postgres() else { return Ok(()) };
        let wanted: Vec<i64> = works.iter().flat_map(|work| &work.changes).filter_map(drained).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let select = session.prepare(WAITING)?;
        for row in session.wait(session.client().query(select.statement(), &[&wanted]))? {
            self.inbox.waiting.insert(row.try_get(0).map_err(crate::store::sql::SqlError::from)?);
        }
        Ok(())
    }

    /// Whether a row that a work drains is not there any more: another server was first.
    pub(super) fn is_drained(&self, changes: &[Change]) -> bool {
        changes.iter().filter_map(drained).any(|n| !self.inbox.waiting.contains(&n))
    }

    pub(super) fn inbox_key(&self, organization_id: Uuid, public_key: &[u8]) -> Result<(), StoreError> {
        let put = "INSERT INTO inbox_keys (organization_id, public_key) VALUES (?1, ?2)
                   ON CONFLICT (organization_id) DO UPDATE SET public_key = excluded.public_key";
        self.connection.execute(put, (organization_id, public_key))?;
        Ok(())
    }

    pub(super) fn bind(&self, purpose: Purpose, role: &str, project_id: Uuid, organization_id: Uuid) -> Result<(), StoreError> {
        match purpose {
            Purpose::Host => {
                let insert = "INSERT INTO bindings (role, project_id, organization_id) VALUES (?1, ?2, ?3)";
                self.connection.execute(insert, (role, project_id, organization_id))?;
            }
            Purpose::Reader => {
                self.connection.execute("INSERT INTO readers (role, project_id) VALUES (?1, ?2)", (role, project_id))?;
            }
        }
        Ok(())
    }

    pub(super) fn unbind(&self, purpose: Purpose, role: &str, project_id: Uuid) -> Result<(), StoreError> {
        let delete = match purpose {
            Purpose::Host => "DELETE FROM bindings WHERE role = ?1 AND project_id = ?2",
            Purpose::Reader => "DELETE FROM readers WHERE role = ?1 AND project_id = ?2",
        };
        let gone = self.connection.execute(delete, (role, project_id))?;
        if gone == 1 { Ok(()) } else { Err(StoreError::Corrupt(format!("the role {role} is not bound to {project_id}"))) }
    }
}

const fn drained(change: &Change) -> Option<i64> {
    if let Change::Drained { n } = change { Some(*n) } else { None }
}
