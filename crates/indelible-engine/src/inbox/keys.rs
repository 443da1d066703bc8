//! The inbox keys of all organizations: made where there is none, and held against what the database says of them.
//!
//! The file wins over the row, for only what it opens can be chained. But while rows wait, another public half is left where it is: its
//! private half may be put back and open them. And where there is a row and no file, none is made: the file is elsewhere, or lost, and
//! whoever runs the ledger decides, by putting it back or by deleting the row.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::InboxKey;
use crate::access::Owner;
use crate::keystore::KeyStore;
use crate::resource::registry::Registry;
use crate::sharing::CONTROL_LOCK;
use crate::store::StoreError;
use crate::store::postgres::Session;
use crate::store::sql::Param;

/// How often all of them are held against the database.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// How often those are looked for that are not here.
const SEEK_EVERY: Duration = Duration::from_secs(5);

const PUBLIC: &str = "SELECT public_key FROM inbox_keys WHERE organization_id = ?1";
const WAITS: &str = "SELECT 1 FROM inbox WHERE organization_id = ?1 AND sealed LIMIT 1";
const PUT: &str = "INSERT INTO inbox_keys (organization_id, public_key) VALUES (?1, ?2)
                   ON CONFLICT (organization_id) DO UPDATE SET public_key = excluded.public_key";

/// What is here of the key of an organization.
#[derive(Clone)]
pub(super) enum Held {
    /// The key to which hosts encrypt.
    Ready(Arc<InboxKey>),
    /// A key, and hosts encrypt to another.
    Differs(Arc<InboxKey>),
    /// None.
    Away,
}

/// All of them.
pub(super) struct Keys {
    keystore: Arc<KeyStore>,
    registry: Arc<Registry>,
    held: HashMap<Uuid, Held>,
    /// Projects that were known when they were looked over last, which tell of new organizations.
    known: i64,
    due: Option<Instant>,
}

impl Keys {
    pub(super) fn new(keystore: Arc<KeyStore>, registry: Arc<Registry>) -> Self {
        Self { keystore, registry, held: HashMap::new(), known: 0, due: None }
    }

    /// That of an organization.
    pub(super) fn of(&self, organization_id: Uuid) -> Held {
        self.held.get(&organization_id).cloned().unwrap_or(Held::Away)
    }

    /// Organizations whose rows wait for a key that is not here.
    pub(super) fn away(&self) -> Vec<Uuid> {
        let away =
            |(id, held): (&Uuid, &Held)| (matches!(held, Held::Away) && !self.registry.is_deleted(Owner::Organization(*id))).then_some(*id);
        self.held.iter().filter_map(away).collect()
    }

    /// Makes what is not there, and looks over what is, where that is due.
    pub(super) fn look_over(&mut self, session: &Session) -> Result<(), StoreError> {
        let known = self.registry.next_number();
        if self.known == known && self.due.is_some_and(|due| Instant::now() < due) {
            return Ok(());
        }
        // The instance itself has no project that a role could be bound to.
        let all: BTreeSet<Uuid> = self.registry.projects().iter().map(|known| known.project.organization_id).collect();
        let mut all_are_ready = true;
        for organization_id in all.into_iter().filter(|id| !id.is_nil()) {
            let held = self.settle(session, organization_id)?;
            all_are_ready &= matches!(held, Held::Ready(_)) || self.registry.is_deleted(Owner::Organization(organization_id));
            self.held.insert(organization_id, held);
        }
        self.known = known;
        self.due = Some(Instant::now() + if all_are_ready { CHECK_EVERY } else { SEEK_EVERY });
        Ok(())
    }

    /// Looks them all over at the next chance: somebody may have changed what they are held against.
    pub(super) fn forget_check(&mut self) {
        self.due = None;
    }

    fn settle(&self, session: &Session, organization_id: Uuid) -> Result<Held, StoreError> {
        let there = public(session, organization_id)?;
        let own = match self.keystore.inbox_key(organization_id) {
            Ok(own) => own,
            Err(error) => {
                if !self.registry.is_deleted(Owner::Organization(organization_id)) {
                    tracing::error!(%organization_id, %error, "rows in the inbox of the organization wait");
                }
                return Ok(Held::Away);
            }
        };
        match (own, there) {
            (Some(own), Some(there)) if own.public().is_ok_and(|own| own == there) => Ok(Held::Ready(own)),
            (None, _) if self.registry.is_deleted(Owner::Organization(organization_id)) => Ok(Held::Away),
            (None, Some(_)) => {
                tracing::error!(
                    %organization_id,
                    "the inbox key of the organization is in the database and its private half is not in the key store: put the file back, or delete the row of \
                     audit.inbox_keys, and what waits is rejected"
                );
                Ok(Held::Away)
            }
            (own, _) => {
                // It takes a while, and nobody is kept waiting for it.
                let new = if own.is_none() { Some(InboxKey::generate().map_err(|error| unmade(&error))?) } else { None };
                session.begin("BEGIN")?;
                session.batch(&format!("SELECT pg_advisory_xact_lock({CONTROL_LOCK})"))?;
                let held = self.agree(session, organization_id, new)?;
                session.end("COMMIT")?;
                Ok(held)
            }
        }
    }

    /// Makes file and row the same, where that is safe. Nobody else does meanwhile.
    fn agree(&self, session: &Session, organization_id: Uuid, new: Option<InboxKey>) -> Result<Held, StoreError> {
        let unreadable = |error: crate::keystore::KeyError| StoreError::Corrupt(error.to_string());
        let there = public(session, organization_id)?;
        let own = match (self.keystore.inbox_key(organization_id).map_err(unreadable)?, &there, new) {
            (Some(own), ..) => own,
            (None, None, Some(new)) => {
                // The file first: a row without it would be a key that nobody has.
                self.keystore.keep_inbox_key(organization_id, &new).map_err(unreadable)?;
                self.keystore.inbox_key(organization_id).map_err(unreadable)?.ok_or_else(|| unmade(&super::InboxError::NotRead))?
            }
            (None, ..) => return Ok(Held::Away),
        };
        let public = own.public().map_err(|error| unmade(&error))?;
        if there.as_ref() == Some(&public) {
            return Ok(Held::Ready(own));
        }
        let organization = Param::Blob(organization_id.as_bytes());
        if there.is_some() {
            if !session.query(&session.prepare(WAITS)?, &[organization])?.is_empty() {
                tracing::error!(
                    %organization_id,
                    "hosts encrypt to another key than that of the key store, and rows wait: put back the file of that key, or delete them"
                );
                return Ok(Held::Differs(own));
            }
            tracing::warn!(%organization_id, "the inbox key of the organization was another than that of the key store, and is that again");
        }
        session.execute(&session.prepare(PUT)?, &[organization, Param::Blob(&public)])?;
        Ok(Held::Ready(own))
    }
}

fn public(session: &Session, organization_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    let rows = session.query(&session.prepare(PUBLIC)?, &[Param::Blob(organization_id.as_bytes())])?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose().map_err(crate::store::sql::SqlError::from)?)
}

fn unmade(error: &super::InboxError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
