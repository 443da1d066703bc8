//! Each organization's key for the inbox, `inbox-<uuid>.key`: its private half, sealed under a key of its own that is wrapped under the
//! organization's key. So it goes with that, and what was encrypted to it with it.
//!
//! Refuses a file that was sealed for another organization. A file that is there is never written over. Servers that share a database
//! share this folder, so what is not in memory is looked for there.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::seal;
use uuid::Uuid;

use super::{KeyError, KeyStore, random_secret, read_private};
use crate::inbox::InboxKey;
use crate::store::write_new_private;

/// Bytes of a wrap, with which what is in the file begins.
const WRAP_BYTES: usize = 40;

impl KeyStore {
    fn inbox_key_file(&self, organization_id: Uuid) -> PathBuf {
        self.folder.join(format!("inbox-{organization_id}.key"))
    }

    /// The inbox key of an organization; `None` where there is no file of it.
    pub(crate) fn inbox_key(&self, organization_id: Uuid) -> Result<Option<Arc<InboxKey>>, KeyError> {
        if !self.has_organization_key(organization_id) {
            return Err(KeyError::NoOrganizationKey(organization_id));
        }
        if let Some(key) = self.inbox_keys.read().unwrap_or_else(PoisonError::into_inner).get(&organization_id) {
            return Ok(Some(Arc::clone(key)));
        }
        let path = self.inbox_key_file(organization_id);
        let text = match read_private(&path) {
            Err(KeyError::Missing(_)) => return Ok(None),
            read => read?,
        };
        let key = self.open_inbox_key(organization_id, text.trim_end());
        let key = Arc::new(key.ok_or(KeyError::NotAKey(path, "it does not open under the key of its organization"))?);
        self.inbox_keys.write().unwrap_or_else(PoisonError::into_inner).insert(organization_id, Arc::clone(&key));
        Ok(Some(key))
    }

    fn open_inbox_key(&self, organization_id: Uuid, text: &str) -> Option<InboxKey> {
        let stored = STANDARD.decode(text).ok()?;
        let (wrap, sealed) = stored.split_at_checked(WRAP_BYTES)?;
        let key = self.unwrap_data_key(organization_id, wrap)?;
        let private = seal::open_secret(sealed, &about(organization_id), &key).ok()?;
        InboxKey::read(&private).ok()
    }

    /// Keeps a new one, durable before this returns. The caller holds the lock under which such are made, and has looked that there is none.
    pub(crate) fn keep_inbox_key(&self, organization_id: Uuid, key: &InboxKey) -> Result<(), KeyError> {
        let path = self.inbox_key_file(organization_id);
        let private = key.private().map_err(|_| KeyError::NoRandomness)?;
        let content_key = random_secret()?;
        let wrap = self.wrap_data_key(organization_id, &content_key)?;
        let sealed = seal::seal_secret(&private, &about(organization_id), &content_key);
        let text = format!("{}\n", STANDARD.encode([wrap.as_slice(), &sealed].concat()));
        match write_new_private(&path, text.as_bytes()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(KeyError::NotAKey(path, "it is there already")),
            Err(error) => Err(KeyError::Io(path, error)),
        }
    }
}

/// Whose it is: nobody can put it in the place of another's.
fn about(organization_id: Uuid) -> Vec<u8> {
    [b"inbox".as_slice(), organization_id.as_bytes()].concat()
}
