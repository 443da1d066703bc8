//! The key store: the HMAC ring, the signing keys and each organization's key-encryption key, wrapped under the master key.
//!
//! Files of `keys/`, mode 0600: `master.key` (only where none comes from outside), `ring-<id>.key`,
//! `signing-<id>.key`, `organization-<uuid>.key`, and where the ledger is in PostgreSQL `inbox-<uuid>.key`. A wrapped key is the hex of its RFC 3394 wrap; a key in KMS is named there. Refused: files that group or world
//! can read, files that are not keys, and a wrong master key. Symbolic links are followed (mounted secrets are
//! links); what counts is the mode of the file they lead to.
//!
//! Rotation only ever adds a ring id; nothing here assumes that there is one. Whoever writes needs all of them; whoever verifies
//! goes on with what opens ([`lenient`]).

mod chain_keys;
mod data_keys;
mod files;
mod inbox;
mod kms_file;
mod lenient;
mod organizations;
mod rewrap;
mod rotation;
mod signing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use indelible_core::event::timed_id;
use indelible_core::key::{ProjectKeys, Secret};
use indelible_core::{hex, seal};
use uuid::Uuid;

use crate::inbox::InboxKey;
use crate::kms::{KeyArn, Kms, KmsError};
use crate::ledger::Mode;
use crate::store::sql::{Connection, SqlError};
use crate::store::{private_folder, write_new_private, write_private};

pub use chain_keys::ChainKey;
pub(crate) use data_keys::{DataKey, DataKeys};
use files::Master;
pub(crate) use files::read_private;
pub use rewrap::Rewrapped;
pub(crate) use rotation::{DATA_KEY, ENDED, ENDED_SINCE, ROTATE, ended, signing_state};
pub use rotation::{Rotated, Rotation};
use signing::SigningKey;

/// The file of a master key that was generated.
const MASTER: &str = "master.key";
/// Derived keys kept; past it the cache is emptied.
const PROJECT_KEYS_MAX: usize = 16_384;

/// Why the key store cannot be used. Each message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Others can read it.
    #[error("{path} can be read by others (mode {mode:o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not there.
    #[error("{0} is missing: put it back from where your keys are kept, for without it the ledger can be neither written nor verified")]
    Missing(PathBuf),
    /// It is something else.
    #[error("{0} is not a key file: {1}")]
    NotAKey(PathBuf, &'static str),
    /// It does not open under the master key.
    #[error("{0} does not open under this master key: the master key is another, or the file was changed")]
    WrongMaster(PathBuf),
    /// Server mode wants a master key from outside.
    #[error("in server mode the master key comes from outside (--master-key-file): {0} was generated beside the data it protects")]
    Generated(PathBuf),
    /// It cannot be read or written.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The ledger names another under its number.
    #[error("{0} is not the key that the ledger names: put back the one that it was made with")]
    NotTheLedgers(PathBuf),
    /// It names a KMS key, and the program knows no KMS.
    #[error("{0} names a key in AWS KMS, and this program was built without it: build it with `--features aws`")]
    NotBuilt(PathBuf),
    /// KMS has another key under that name.
    #[error("KMS key {0} has another public key than when it was taken to sign: nothing is signed with it")]
    OtherKmsKey(KeyArn),
    /// It signs, or signed, already.
    #[error("KMS key {0} is among the keys that sign, or signed, already: make another")]
    Known(KeyArn),
    /// KMS does not do what it is asked.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// KMS does not open the key of an organization.
    #[error(
        "without the key of organization {organization_id} its contents cannot be opened, nor new ones sealed: {error} (the key is in {path})"
    )]
    Closed {
        /// The file.
        path: PathBuf,
        /// Whose key it is.
        organization_id: Uuid,
        /// Why not.
        error: Box<KmsError>,
    },
    /// No key of an organization; its contents are unreadable.
    #[error("the key of organization {0} is gone")]
    NoOrganizationKey(Uuid),
}

/// The open key store.
pub(crate) struct KeyStore {
    folder: PathBuf,
    /// `None` where a verification goes on without.
    master: Option<Secret>,
    ring: RwLock<BTreeMap<u64, Secret>>,
    /// The ring id that new events are made under.
    serving: AtomicU64,
    signing: RwLock<BTreeMap<u64, SigningKey>>,
    /// Keys in KMS that were seen, by this process, to be what they were.
    recognised: Mutex<BTreeSet<KeyArn>>,
    kms: Arc<Kms>,
    organizations: RwLock<HashMap<Uuid, Secret>>,
    /// Those of inboxes that were asked for.
    inbox_keys: RwLock<HashMap<Uuid, Arc<InboxKey>>>,
    /// Organizations whose key is there and does not open: in a verification alone.
    closed: BTreeSet<Uuid>,
    project_keys: RwLock<HashMap<(Uuid, u64), Arc<ProjectKeys>>>,
}

/// 32 random bytes.
pub(crate) fn random_secret() -> Result<Secret, KeyError> {
    random_bytes().map(Secret::new)
}

/// So many random bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(bytes)
}

/// A UUIDv7 of this instant.
pub(crate) fn new_id(now: indelible_core::time::Timestamp) -> Result<Uuid, KeyError> {
    Ok(timed_id(now, &random_bytes()?))
}

impl KeyStore {
    /// Opens the key store of a ledger. `fresh` (a ledger without rows) allows making what is missing.
    pub(crate) fn open(folder: &Path, master_key_file: Option<&Path>, mode: Mode, fresh: bool) -> Result<Self, KeyError> {
        let folder = folder.to_owned();
        if fresh {
            private_folder(&folder).map_err(|error| KeyError::Io(folder.clone(), error))?;
        }
        let beside = folder.join(MASTER);
        let (path, master) = match master_key_file {
            Some(path) => (path.to_owned(), Master::read(path)?),
            None if mode == Mode::Server => return Err(KeyError::Generated(beside)),
            None if fresh && !beside.exists() => {
                let master = Master { key: random_secret()?, generated: true };
                write_private(&beside, master.text().as_bytes()).map_err(|error| KeyError::Io(beside.clone(), error))?;
                (beside, master)
            }
            None => (beside.clone(), Master::read(&beside)?),
        };
        if mode == Mode::Server && master.generated {
            return Err(KeyError::Generated(path));
        }
        let store = Self::empty(folder, Some(master.key));
        store.load(fresh)?;
        Ok(store)
    }

    fn empty(folder: PathBuf, master: Option<Secret>) -> Self {
        Self {
            folder,
            master,
            ring: RwLock::default(),
            serving: AtomicU64::new(1),
            signing: RwLock::default(),
            recognised: Mutex::default(),
            kms: Arc::default(),
            organizations: RwLock::default(),
            inbox_keys: RwLock::default(),
            closed: BTreeSet::new(),
            project_keys: RwLock::default(),
        }
    }

    /// Whether keys of a ledger are there: those that are made with it. A master key alone may have been put there before.
    pub(crate) fn is_begun(folder: &Path) -> bool {
        let Ok(entries) = std::fs::read_dir(folder) else { return false };
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".key"));
            stem.is_some_and(|stem| stem.starts_with("ring-") || stem.starts_with("organization-"))
        })
    }

    fn load(&self, fresh: bool) -> Result<(), KeyError> {
        let first = self.folder.join(ring_file(1));
        if fresh && !first.exists() {
            self.write_wrapped(&first, &random_secret()?)?;
        }
        self.take_unknown(&Err)?;
        let newest = self.ring_ids().last().map_or(1, |id| *id);
        self.absent_ring_keys(newest).next().map_or(Ok(()), Err)
    }

    /// Opens what other servers have put into the folder since. The key of an organization that does not open is told of, and its contents
    /// can be neither opened nor sealed here: it stops nobody else's.
    pub(crate) fn load_newer(&self) -> Result<(), KeyError> {
        self.take_unknown(&|error| {
            tracing::error!(%error, "the key of an organization cannot be used");
            Ok(())
        })
    }

    /// Opens the files of the folder that are not known yet. `closed` says what becomes of the key of an organization that does not open.
    fn take_unknown(&self, closed: &dyn Fn(KeyError) -> Result<(), KeyError>) -> Result<(), KeyError> {
        let entries = std::fs::read_dir(&self.folder).map_err(|error| KeyError::Io(self.folder.clone(), error))?;
        for entry in entries {
            let path = entry.map_err(|error| KeyError::Io(self.folder.clone(), error))?.path();
            let Some(name) = KeyName::of(&path).filter(|name| !self.is_known(*name)) else { continue };
            match (name, self.take(name, &path)) {
                (_, Ok(())) => {}
                (KeyName::Organization(_), Err(error)) => closed(error)?,
                (_, Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_known(&self, name: KeyName) -> bool {
        match name {
            KeyName::Ring(id) => self.ring.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id),
            KeyName::Signing(id) => self.signing.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id),
            KeyName::Organization(id) => self.organizations.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id),
        }
    }

    /// Opens one file of the folder.
    fn take(&self, name: KeyName, path: &Path) -> Result<(), KeyError> {
        match name {
            KeyName::Ring(id) => {
                let key = self.read_wrapped(path)?;
                self.ring.write().unwrap_or_else(PoisonError::into_inner).insert(id, key);
            }
            KeyName::Signing(id) => {
                let key = self.read_signing(path)?;
                self.signing.write().unwrap_or_else(PoisonError::into_inner).insert(id, key);
            }
            KeyName::Organization(id) => {
                let key = self.read_organization(path, id)?;
                self.organizations.write().unwrap_or_else(PoisonError::into_inner).insert(id, key);
            }
        }
        Ok(())
    }

    /// Keys of the ring that are not there, of those up to `newest`.
    fn absent_ring_keys(&self, newest: u64) -> impl Iterator<Item = KeyError> {
        let there = self.ring_ids();
        let absent = (1..=newest).filter(move |id| there.binary_search(id).is_err());
        absent.map(|id| KeyError::Missing(self.folder.join(ring_file(id))))
    }

    /// The ids of the ring, oldest first.
    pub(crate) fn ring_ids(&self) -> Vec<u64> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The ring id that new events are made under.
    pub(crate) fn newest_ring_id(&self) -> u64 {
        self.serving.load(Ordering::Acquire)
    }

    /// Makes a ring key, durable before this returns. Keeps the one that is there, whoever made it.
    pub(crate) fn make_ring_key(&self, id: u64) -> Result<(), KeyError> {
        if self.ring.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id) {
            return Ok(());
        }
        let path = self.folder.join(ring_file(id));
        self.write_new_wrapped(&path, &random_secret()?)?;
        // As it is read by everybody else.
        let key = self.read_wrapped(&path)?;
        self.ring.write().unwrap_or_else(PoisonError::into_inner).insert(id, key);
        Ok(())
    }

    /// New events are made under this ring key from now on.
    pub(crate) fn serve_ring_key(&self, id: u64) {
        self.serving.fetch_max(id, Ordering::AcqRel);
    }

    /// Learns from the ledger which ring key serves, and that it is there.
    pub(crate) fn load_serving(&self, ledger: &Connection) -> Result<(), KeyError> {
        let unreadable = |error: SqlError| KeyError::Io(self.folder.clone(), std::io::Error::other(error));
        let newest = newest_ring_key(ledger).map_err(unreadable)?;
        if !self.ring.read().unwrap_or_else(PoisonError::into_inner).contains_key(&newest) {
            return Err(KeyError::Missing(self.folder.join(ring_file(newest))));
        }
        self.serve_ring_key(newest);
        Ok(())
    }

    /// The keys of a project under a ring id; `None` where there is no such ring key.
    pub(crate) fn project_keys(&self, project_id: Uuid, ring_id: u64) -> Option<Arc<ProjectKeys>> {
        let name = (project_id, ring_id);
        if let Some(keys) = self.project_keys.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Some(Arc::clone(keys));
        }
        let keys = {
            let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
            Arc::new(ProjectKeys::derive(ring_id, ring.get(&ring_id)?, project_id))
        };
        let mut cache = self.project_keys.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= PROJECT_KEYS_MAX {
            cache.clear();
        }
        Some(Arc::clone(cache.entry(name).or_insert(keys)))
    }

    fn master(&self) -> Result<&Secret, KeyError> {
        self.master.as_ref().ok_or_else(|| KeyError::Missing(self.folder.join(MASTER)))
    }

    /// Writes a key where there is none; whether there was none.
    fn write_new_wrapped(&self, path: &Path, key: &Secret) -> Result<bool, KeyError> {
        let text = format!("{}\n", hex::encode(&seal::wrap_key(self.master()?, key)));
        write_new_private(path, text.as_bytes()).map_err(|error| KeyError::Io(path.to_owned(), error))
    }

    fn write_wrapped(&self, path: &Path, key: &Secret) -> Result<(), KeyError> {
        let text = format!("{}\n", hex::encode(&seal::wrap_key(self.master()?, key)));
        write_private(path, text.as_bytes()).map_err(|error| KeyError::Io(path.to_owned(), error))
    }

    fn read_wrapped(&self, path: &Path) -> Result<Secret, KeyError> {
        self.unwrap(path, &read_private(path)?)
    }

    /// The key in the text of a file.
    fn unwrap(&self, path: &Path, text: &str) -> Result<Secret, KeyError> {
        let wrapped = hex::decode(text.trim_end()).ok_or_else(|| KeyError::NotAKey(path.to_owned(), "it is not lower-case hex"))?;
        seal::unwrap_key(self.master()?, &wrapped).ok_or_else(|| KeyError::WrongMaster(path.to_owned()))
    }
}

/// What a file of the folder is, by its name.
#[derive(Debug, Clone, Copy)]
enum KeyName {
    Ring(u64),
    Signing(u64),
    Organization(Uuid),
}

impl KeyName {
    /// `None` where it is none of the three.
    fn of(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".key")?;
        let number = |kind: &str| stem.strip_prefix(kind)?.parse().ok();
        number("ring-").map(Self::Ring).or_else(|| number("signing-").map(Self::Signing)).or_else(|| {
            let id = stem.strip_prefix("organization-")?;
            Uuid::try_parse(id).ok().map(Self::Organization)
        })
    }
}

/// The newest ring key that the ledger knows: the first, as long as none was rotated.
fn newest_ring_key(ledger: &Connection) -> Result<u64, SqlError> {
    let newest: Option<i64> = ledger.query_row("SELECT max(id) FROM ring_keys", [], |row| row.get(0))?;
    Ok(newest.map_or(1, i64::unsigned_abs))
}

fn ring_file(id: u64) -> String {
    format!("ring-{id}.key")
}
