//! The inbox keys of all organizations: made with the first binding of a host, or by the drain where a host is bound and there is none, and
//! held against what the database says of them. Each row that is written of one is an event, in the same transaction.
//!
//! The file wins over the row, for only what it opens can be chained. But while rows wait, another public half is left where it is: its
//! private half may be put back and open them. And where there is a row and no file, none is made: the file is elsewhere, or lost, and
//! whoever runs the ledger decides, by putting it back or by deleting the row.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use indelible_core::hex;
use indelible_core::json::Value;
use uuid::Uuid;

use super::InboxKey;
use crate::access::{Caller, Owner};
use crate::append::{AppendError, Desk, EngineEvent, ResourceMembers, texts};
use crate::keystore::{KeyError, ROTATE};
use crate::ledger::Ledger;
use crate::resource::{MutateError, Mutation};
use crate::sharing::CONTROL_LOCK;
use crate::store::StoreError;
use crate::store::postgres::Session;
use crate::store::sql::{OptionalExtension as _, Param, SqlError};
use crate::write::{Change, Privilege, Work, Writer};

/// A key for an organization that has none, or one that the database has again.
const CREATE: &str = "key.create";
/// The type of the resource; its id is that of the organization.
const INBOX_KEY: &str = "inbox_key";

/// How often all of them are held against the database.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// How often those are looked for that are not here.
const SEEK_EVERY: Duration = Duration::from_secs(5);

const PUBLIC: &str = "SELECT public_key FROM inbox_keys WHERE organization_id = ?1";
const WAITS: &str = "SELECT 1 FROM inbox WHERE organization_id = ?1 AND sealed LIMIT 1";
const BOUND: &str = "SELECT coalesce(string_agg(DISTINCT organization_id::text, ',' ORDER BY organization_id::text), '') FROM bindings";

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
    desk: Arc<Desk>,
    writer: Arc<Writer>,
    held: HashMap<Uuid, Held>,
    /// Projects that were known when they were looked over last, which tell of new organizations.
    known: i64,
    /// Organizations to whose projects hosts were bound then.
    bound: String,
    due: Option<Instant>,
}

impl Keys {
    pub(super) fn new(desk: Arc<Desk>, writer: Arc<Writer>) -> Self {
        Self { desk, writer, held: HashMap::new(), known: 0, bound: String::new(), due: None }
    }

    fn is_deleted(&self, organization_id: Uuid) -> bool {
        self.desk.registry.is_deleted(Owner::Organization(organization_id))
    }

    /// That of an organization.
    pub(super) fn of(&self, organization_id: Uuid) -> Held {
        self.held.get(&organization_id).cloned().unwrap_or(Held::Away)
    }

    /// Organizations whose rows wait for a key that is not here.
    pub(super) fn away(&self) -> Vec<Uuid> {
        let away = |(id, held): (&Uuid, &Held)| (matches!(held, Held::Away) && !self.is_deleted(*id)).then_some(*id);
        self.held.iter().filter_map(away).collect()
    }

    /// Makes what is not there, and looks over what is, where that is due.
    pub(super) fn look_over(&mut self, session: &Session) -> Result<(), StoreError> {
        let known = self.desk.registry.next_number();
        let bound = session.query(&session.prepare(BOUND)?, &[])?;
        let bound: String = bound.first().map(|row| row.try_get(0)).transpose().map_err(SqlError::from)?.unwrap_or_default();
        if self.known == known && self.bound == bound && self.due.is_some_and(|due| Instant::now() < due) {
            return Ok(());
        }
        // The instance itself has no project that a role could be bound to.
        let all: BTreeSet<Uuid> = self.desk.registry.projects().iter().map(|known| known.project.organization_id).collect();
        let mut all_are_ready = true;
        for organization_id in all.into_iter().filter(|id| !id.is_nil()) {
            let is_bound = bound.contains(&organization_id.to_string());
            let Some(held) = self.settle(session, organization_id, is_bound)? else {
                self.held.remove(&organization_id);
                continue;
            };
            all_are_ready &= matches!(held, Held::Ready(_)) || self.is_deleted(organization_id);
            self.held.insert(organization_id, held);
        }
        (self.known, self.bound) = (known, bound);
        self.due = Some(Instant::now() + if all_are_ready { CHECK_EVERY } else { SEEK_EVERY });
        Ok(())
    }

    /// Looks them all over at the next chance: somebody may have changed what they are held against.
    pub(super) fn forget_check(&mut self) {
        self.due = None;
    }

    /// `None` where there is none and nobody needs one.
    fn settle(&self, session: &Session, organization_id: Uuid, is_bound: bool) -> Result<Option<Held>, StoreError> {
        let there = public(session, organization_id)?;
        let own = match self.desk.keystore.inbox_key(organization_id) {
            Ok(own) => own,
            Err(error) => {
                if !self.is_deleted(organization_id) {
                    tracing::error!(%organization_id, %error, "rows in the inbox of the organization wait");
                }
                return Ok(Some(Held::Away));
            }
        };
        match (own, there) {
            (Some(own), Some(there)) if own.public().is_ok_and(|own| own == there) => Ok(Some(Held::Ready(own))),
            (own, _) if self.is_deleted(organization_id) => Ok(Some(own.map_or(Held::Away, Held::Ready))),
            (None, None) if !is_bound && !waits(session, organization_id)? => Ok(None),
            (None, Some(_)) => {
                tracing::error!(
                    %organization_id,
                    "the inbox key of the organization is in the database and its private half is not in the key store: put the file back, or delete the row of \
                     audit.inbox_keys, and what waits is rejected"
                );
                Ok(Some(Held::Away))
            }
            (own, _) => {
                // It takes a while, and nobody is kept waiting for it.
                let new = if own.is_none() { Some(InboxKey::generate().map_err(|error| unmade(&error))?) } else { None };
                session.begin("BEGIN")?;
                session.batch(&format!("SELECT pg_advisory_xact_lock({CONTROL_LOCK})"))?;
                let held = self.agree(session, organization_id, new)?;
                session.end("COMMIT")?;
                Ok(Some(held))
            }
        }
    }

    /// Makes file and row the same, where that is safe. Nobody else does meanwhile.
    fn agree(&self, session: &Session, organization_id: Uuid, new: Option<InboxKey>) -> Result<Held, StoreError> {
        let (unreadable, keystore) = (|error: KeyError| StoreError::Corrupt(error.to_string()), &self.desk.keystore);
        let there = public(session, organization_id)?;
        let (own, is_new) = match (keystore.inbox_key(organization_id).map_err(unreadable)?, &there, new) {
            (Some(own), ..) => (own, false),
            (None, None, Some(new)) => {
                // The file first: a row without it would be a key that nobody has.
                keystore.keep_inbox_key(organization_id, &new).map_err(unreadable)?;
                let own = keystore.inbox_key(organization_id).map_err(unreadable)?;
                (own.ok_or_else(|| unmade(&super::InboxError::NotRead))?, true)
            }
            (None, ..) => return Ok(Held::Away),
        };
        let public = own.public().map_err(|error| unmade(&error))?;
        if there.as_ref() == Some(&public) {
            return Ok(Held::Ready(own));
        }
        if there.is_some() {
            if waits(session, organization_id)? {
                tracing::error!(
                    %organization_id,
                    "hosts encrypt to another key than that of the key store, and rows wait: put back the file of that key, or delete them"
                );
                return Ok(Held::Differs(own));
            }
            tracing::warn!(%organization_id, "the inbox key of the organization was another than that of the key store, and is that again");
        }
        let (action, reason) = match (&there, is_new) {
            (None, true) => (CREATE, None),
            // Also where it was made, and something stopped before its row was there.
            (None, false) => (CREATE, Some("its public half was not in the database")),
            (Some(_), _) => (ROTATE, Some("hosts encrypted to another key than that of the key store")),
        };
        self.put(organization_id, public, action, reason)?;
        Ok(Held::Ready(own))
    }

    /// Writes the row, and the event that tells of it.
    fn put(&self, organization_id: Uuid, public: Vec<u8>, action: &'static str, reason: Option<&str>) -> Result<(), StoreError> {
        let home = self.desk.registry.system_project(organization_id);
        let home = home.ok_or_else(|| StoreError::Corrupt(format!("the organization {organization_id} has no system project")))?;
        let mut event = EngineEvent::new(&Caller::engine(), &home, action, "allow");
        event.reason = reason.map(str::to_owned);
        event.resource = Some(ResourceMembers { kind: INBOX_KEY, id: organization_id.to_string(), parent: None });
        event.after = Some(state(&public));
        let unmade = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("the inbox key of {organization_id}: {error}"));
        let event = self.desk.prepare_own(event).map_err(|fault| unmade(&fault))?;
        let change = Change::InboxKey { organization_id, public_key: public };
        let work = Work::with_changes(vec![event], vec![change], Privilege::Engine);
        self.writer.submit_blocking(work).map(drop).map_err(|error| unmade(&error))
    }
}

impl Ledger {
    /// The making of an organization's key, where it has none: with the first binding, so that what is bound may append from then on, also
    /// while no server runs. Whoever asks holds the lock for changes.
    pub(super) async fn first_inbox_key<'a>(&self, caller: &'a Caller, organization_id: Uuid) -> Result<Option<Mutation<'a>>, MutateError> {
        let ledger = self.clone();
        let made = tokio::task::spawn_blocking(move || ledger.make_inbox_key(organization_id)).await;
        let made = made.map_err(|error| error.to_string()).and_then(|made| made.map_err(|error| error.to_string()));
        let Some(public_key) = made.map_err(|reason| AppendError::Unavailable { reason, outcome_unknown: false })? else { return Ok(None) };
        Ok(Some(Mutation {
            caller,
            home: self.home_of(Owner::Organization(organization_id))?,
            action: CREATE,
            kind: INBOX_KEY,
            id: organization_id.to_string(),
            before: None,
            after: Some(state(&public_key)),
            changes: vec![Change::InboxKey { organization_id, public_key }],
            root: None,
        }))
    }

    /// Makes a key and keeps its file. `None` where there is a file or a row: what to do with it is the drain's.
    fn make_inbox_key(&self, organization_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        let unreadable = |error: KeyError| StoreError::Corrupt(error.to_string());
        let (reader, keystore) = (self.inner.readers.get()?, &self.inner.keystore);
        let there: Option<Vec<u8>> = reader.query_row(PUBLIC, [organization_id], |row| row.get(0)).optional()?;
        if there.is_some() || keystore.inbox_key(organization_id).map_err(unreadable)?.is_some() {
            return Ok(None);
        }
        let new = InboxKey::generate().map_err(|error| unmade(&error))?;
        keystore.keep_inbox_key(organization_id, &new).map_err(unreadable)?;
        new.public().map(Some).map_err(|error| unmade(&error))
    }
}

/// What the event says of a key: which one it is, and nothing of its private half.
fn state(public: &[u8]) -> Value<'static> {
    texts(&[("public_key_sha256", &hex::encode(digest(&SHA256, public).as_ref()))], usize::MAX)
}

/// Whether rows wait that are encrypted to a key of the organization.
fn waits(session: &Session, organization_id: Uuid) -> Result<bool, StoreError> {
    Ok(!session.query(&session.prepare(WAITS)?, &[Param::Blob(organization_id.as_bytes())])?.is_empty())
}

fn public(session: &Session, organization_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    let rows = session.query(&session.prepare(PUBLIC)?, &[Param::Blob(organization_id.as_bytes())])?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose().map_err(crate::store::sql::SqlError::from)?)
}

fn unmade(error: &super::InboxError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
