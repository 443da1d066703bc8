//! Data keys: under which the content keys of an organization are wrapped, a new one every 30 days.
//!
//! They lie in the database, wrapped under their organization's key. A new one is made in memory, beside the first
//! caller that needs it, and written by the writer in the transaction that first uses it: so no wrap is ever
//! stored without its data key.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use indelible_core::key::Secret;
use indelible_core::seal::Wrapped;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::{KeyError, KeyStore, random_secret};
use crate::store::StoreError;
use crate::store::sql::{Connection, Rows};

/// A data key is used for new records this long, microseconds.
const CURRENT_MICROS: i64 = 30 * 24 * 3_600 * 1_000_000;

/// One data key.
pub(crate) struct DataKey {
    /// `data_keys.id`
    pub(crate) id: i64,
    /// Whose it is.
    pub(crate) organization_id: Uuid,
    /// The key; `None` where the organization's own key is gone.
    pub(crate) secret: Option<Secret>,
    /// As it is stored.
    pub(crate) wrapped: Vec<u8>,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// Whether its organization had one before.
    pub(crate) replaces: bool,
    stored: AtomicBool,
}

impl DataKey {
    /// Whether its row is committed.
    pub(crate) fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }

    /// Its row is committed.
    pub(crate) fn mark_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).field("organization_id", &self.organization_id).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    by_id: HashMap<i64, Arc<DataKey>>,
    current: HashMap<Uuid, Arc<DataKey>>,
    /// Organizations that have one, stored or not.
    owners: HashSet<Uuid>,
    /// The greatest number that was seen.
    last: i64,
}

impl State {
    fn put(&mut self, key: &Arc<DataKey>) {
        self.by_id.insert(key.id, Arc::clone(key));
        self.owners.insert(key.organization_id);
        self.last = self.last.max(key.id);
    }

    /// A number is another key's. One that was drawn here and never stored serves no more: whichever organization it was for.
    fn let_go(&mut self, id: i64) {
        self.last = self.last.max(id);
        let owner = self.by_id.get(&id).map(|known| known.organization_id);
        if let Some(owner) = owner
            && self.current.get(&owner).is_some_and(|current| current.id == id && !current.is_stored())
        {
            self.current.remove(&owner);
        }
    }

    /// Takes in a key that is stored.
    fn take_in(&mut self, key: &Arc<DataKey>) {
        // The same, whether it was known to be stored or not: a COMMIT that failed may have persisted it.
        let same = self.by_id.get(&key.id).filter(|known| known.wrapped == key.wrapped).map(Arc::clone);
        if same.is_none() {
            self.let_go(key.id);
        }
        let known = same.unwrap_or_else(|| Arc::clone(key));
        known.mark_stored();
        self.put(&known);
        let newest = self.current.entry(known.organization_id).or_insert_with(|| Arc::clone(&known));
        if newest.id <= known.id {
            *newest = known;
        }
    }
}

/// All data keys of the ledger.
pub(crate) struct DataKeys {
    keystore: Arc<KeyStore>,
    state: RwLock<State>,
}

impl DataKeys {
    /// Reads them from the store.
    pub(crate) fn load(keystore: Arc<KeyStore>, connection: &Connection) -> Result<Self, StoreError> {
        Self::read(keystore, connection, |id| Err(StoreError::Corrupt(format!("data key {id} cannot be read: run `indelible verify`"))))
    }

    /// Reads those that can be read; verification names the others.
    pub(crate) fn load_readable(keystore: Arc<KeyStore>, connection: &Connection) -> Result<Self, StoreError> {
        Self::read(keystore, connection, |_| Ok(()))
    }

    fn read(
        keystore: Arc<KeyStore>,
        connection: &Connection,
        unreadable: impl Fn(i64) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut statement = connection.prepare("SELECT id, organization_id, wrapped, created_at FROM data_keys ORDER BY id")?;
        let keys = Self { keystore, state: RwLock::default() };
        keys.take_in(statement.query([])?, &unreadable)?;
        Ok(keys)
    }

    /// Takes in those that others have stored since an epoch. One that was drawn here and whose number another has now is let go of. One that
    /// cannot be read concerns what is sealed under it, and stops nobody else's events: it is told of, and verification names it.
    pub(crate) fn load_newer(&self, connection: &Connection, after_epoch: i64) -> Result<(), StoreError> {
        let mut statement =
            connection.prepare("SELECT id, organization_id, wrapped, created_at FROM data_keys WHERE epoch > ?1 ORDER BY id")?;
        self.take_in(statement.query([after_epoch])?, &|id| {
            tracing::error!(id, "a data key that another server stored cannot be read: run `indelible verify`");
            Ok(())
        })
    }

    fn take_in(&self, mut rows: Rows<'_>, unreadable: &dyn Fn(i64) -> Result<(), StoreError>) -> Result<(), StoreError> {
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let organization_id = Uuid::try_parse_ascii(row.get_ref(1)?.as_bytes().unwrap_or_default()).ok();
            let Some((organization_id, created_at)) = organization_id.zip(Timestamp::from_micros(row.get(3)?)) else {
                unreadable(id)?;
                self.state.write().unwrap_or_else(PoisonError::into_inner).let_go(id);
                continue;
            };
            let wrapped: Vec<u8> = row.get(2)?;
            let secret = self.keystore.unwrap_data_key(organization_id, &wrapped);
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let replaces = state.owners.contains(&organization_id);
            let stored = AtomicBool::new(true);
            state.take_in(&Arc::new(DataKey { id, organization_id, secret, wrapped, created_at, replaces, stored }));
        }
        Ok(())
    }

    /// The data key for a new record of an organization.
    pub(crate) fn current(&self, organization_id: Uuid, now: Timestamp) -> Result<Arc<DataKey>, KeyError> {
        let fits = |key: &&Arc<DataKey>| key.secret.is_some() && now.as_micros() - key.created_at.as_micros() < CURRENT_MICROS;
        if let Some(key) = self.state.read().unwrap_or_else(PoisonError::into_inner).current.get(&organization_id).filter(fits) {
            return Ok(Arc::clone(key));
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = state.current.get(&organization_id).filter(fits) {
            return Ok(Arc::clone(key));
        }
        let key = self.make(&mut state, organization_id, now)?;
        state.current.insert(organization_id, Arc::clone(&key));
        Ok(key)
    }

    /// A new data key that does not serve yet.
    pub(crate) fn draw(&self, organization_id: Uuid, now: Timestamp) -> Result<Arc<DataKey>, KeyError> {
        self.make(&mut self.state.write().unwrap_or_else(PoisonError::into_inner), organization_id, now)
    }

    /// New records are made under this key from now on; its row is committed.
    pub(crate) fn serve(&self, key: &Arc<DataKey>) {
        key.mark_stored();
        self.state.write().unwrap_or_else(PoisonError::into_inner).current.insert(key.organization_id, Arc::clone(key));
    }

    fn make(&self, state: &mut State, organization_id: Uuid, now: Timestamp) -> Result<Arc<DataKey>, KeyError> {
        let secret = random_secret()?;
        let wrapped: Wrapped = self.keystore.wrap_data_key(organization_id, &secret)?;
        let key = Arc::new(DataKey {
            id: state.last + 1,
            organization_id,
            secret: Some(secret),
            wrapped: wrapped.to_vec(),
            created_at: now,
            replaces: state.owners.contains(&organization_id),
            stored: AtomicBool::new(false),
        });
        // Known from now on, whether it is ever stored or not: no second key gets its number.
        state.put(&key);
        Ok(key)
    }

    /// The other data keys of its organization.
    pub(crate) fn older_than(&self, current: &DataKey) -> Vec<Arc<DataKey>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let older = |key: &&Arc<DataKey>| key.organization_id == current.organization_id && key.id != current.id;
        state.by_id.values().filter(older).cloned().collect()
    }

    /// Those whose rows are committed, and whose they are.
    pub(crate) fn stored(&self) -> Vec<(i64, Uuid)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.by_id.values().filter(|key| key.is_stored()).map(|key| (key.id, key.organization_id)).collect()
    }

    /// A data key by its id, to open what was wrapped under it.
    pub(crate) fn get(&self, id: i64) -> Option<Arc<DataKey>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }
}
