//! Data keys: under which the content keys of an organization are wrapped, a new one every 30 days.
//!
//! They lie in the database, wrapped under their organization's key. A new one is made in memory, beside the first
//! caller that needs it, and written by the writer in the transaction that first uses it: so no wrap is ever
//! stored without its data key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use indelible_core::key::Secret;
use indelible_core::seal::Wrapped;
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::{KeyError, KeyStore, random_secret};
use crate::store::StoreError;
use crate::store::sql::Connection;

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
        let mut state = State::default();
        let mut statement = connection.prepare("SELECT id, organization_id, wrapped, created_at FROM data_keys ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let organization_id = Uuid::try_parse_ascii(row.get_ref(1)?.as_bytes().unwrap_or_default()).ok();
            let Some((organization_id, created_at)) = organization_id.zip(Timestamp::from_micros(row.get(3)?)) else {
                unreadable(id)?;
                continue;
            };
            let wrapped: Vec<u8> = row.get(2)?;
            let key = Arc::new(DataKey {
                id,
                organization_id,
                secret: keystore.unwrap_data_key(organization_id, &wrapped),
                wrapped,
                created_at,
                replaces: state.by_id.values().any(|known| known.organization_id == organization_id),
                stored: AtomicBool::new(true),
            });
            state.by_id.insert(id, Arc::clone(&key));
            state.current.insert(organization_id, key);
        }
        Ok(Self { keystore, state: RwLock::new(state) })
    }

    /// Takes in those that others have stored since. One that was drawn here and whose number another has now is let go of.
    pub(crate) fn load_newer(&self, connection: &Connection) -> Result<(), StoreError> {
        let read = Self::load(Arc::clone(&self.keystore), connection)?;
        let read = read.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // One that was drawn here and never stored serves no more where its number is another's: whichever organization it was for.
        state.current.retain(|_, key| key.is_stored() || read.by_id.get(&key.id).is_none_or(|other| other.wrapped == key.wrapped));
        for (id, key) in read.by_id {
            if state.by_id.get(&id).is_some_and(|known| known.is_stored() && known.wrapped == key.wrapped) {
                continue;
            }
            state.by_id.insert(id, key);
        }
        for (organization_id, newest) in read.current {
            let known = state.current.get(&organization_id);
            if known.is_none_or(|known| known.id <= newest.id && known.wrapped != newest.wrapped) {
                state.current.insert(organization_id, newest);
            }
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
            id: state.by_id.keys().max().map_or(1, |last| last + 1),
            organization_id,
            secret: Some(secret),
            wrapped: wrapped.to_vec(),
            created_at: now,
            replaces: state.by_id.values().any(|known| known.organization_id == organization_id),
            stored: AtomicBool::new(false),
        });
        // Known from now on, whether it is ever stored or not: no second key gets its number.
        state.by_id.insert(key.id, Arc::clone(&key));
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
