//! A witness (c2sp.org/tlog-witness): remembers the largest tree that it cosigned of each log that it knows, and cosigns what grew
//! out of it, and nothing else.
//!
//! A folder of its own, apart from any ledger: `witness.key` (an Ed25519 seed in hex, 0600) and `witness.db` (what was cosigned
//! last). A cosignature leaves this module after the tree that it speaks of is durable, never before. A key without its
//! memory cosigns nothing: it could be made to vouch for two histories.

mod memory;

use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indelible_core::hex;
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, SignError, Signer, VerifierKey, cosign};
use indelible_core::witness::{AddCheckpoint, Answer, RequestError};

use crate::clock::Clock;
use crate::keystore::{random_secret, read_private};
use crate::store::{FileLock, private_folder, write_private};
use memory::Memory;

/// A request, bytes: 63 hashes and a checkpoint with a hundred signatures of a kilobyte.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024;

/// What a witness is opened with.
pub struct Options {
    /// Its folder; made where it is not there.
    pub store: PathBuf,
    /// The name of its key: a URL without a scheme, by the document. Needed at first start, fixed from then on.
    pub name: Option<String>,
    /// The keys of the logs that it knows: type Ed25519, the name is the origin. A log may have several.
    pub log_keys: Vec<VerifierKey>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Why a witness cannot start, or cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Another process is this witness.
    #[error("another process holds {0}")]
    Locked(PathBuf),
    /// The name of its key: none at first start, not a name, or another one.
    #[error("{0}")]
    Name(String),
    /// The key file: others can read it, it is missing, or it is not a key.
    #[error("{0}")]
    Key(String),
    /// The key is there, and what was cosigned with it is not.
    #[error(
        "{0}/witness.key is there, and {0}/witness.db is not: without it, this witness could cosign two histories. Put it back as it was last; \
         where it is lost, retire the key and begin a new witness in another folder"
    )]
    Forgotten(PathBuf),
    /// A key that is not a log's.
    #[error("{0} is not the key of a log: type 0x01 (Ed25519)")]
    NotALogs(VerifierKey),
    /// The folder or its database cannot be used.
    #[error("{0}: {1}")]
    Store(PathBuf, String),
    /// There is no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What is answered to `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 200: these signature lines.
    Cosigned(String),
    /// What [`Answer::status`] says. Never [`Answer::Cosign`].
    Refused(Answer),
    /// 400.
    Malformed(RequestError),
}

/// A running witness.
pub struct Witness {
    signer: LocalSigner,
    logs: BTreeMap<Name, Vec<VerifierKey>>,
    memory: Mutex<Memory>,
    clock: Arc<dyn Clock>,
    _lock: FileLock,
}

impl Witness {
    /// Takes the folder; makes key and memory at first start.
    pub fn open(options: Options) -> Result<Self, WitnessError> {
        let Options { store, name, log_keys, clock } = options;
        let mut logs: BTreeMap<Name, Vec<VerifierKey>> = BTreeMap::new();
        for key in log_keys {
            if key.algorithm() != Algorithm::Ed25519 {
                return Err(WitnessError::NotALogs(key));
            }
            let keys = logs.entry(key.name().clone()).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        private_folder(&store).map_err(|error| WitnessError::Store(store.clone(), error.to_string()))?;
        let lock = lock(&store)?;
        let key_file = store.join("witness.key");
        let database = store.join("witness.db");
        let has_key = key_file.try_exists().map_err(|error| WitnessError::Store(key_file.clone(), error.to_string()))?;
        if has_key && !database.exists() {
            return Err(WitnessError::Forgotten(store));
        }
        let asked = name.map(|name| Name::new(name).map_err(|error| WitnessError::Name(error.to_string()))).transpose()?;
        let mut memory = Memory::open(&database)?;
        let name = match (memory.name()?, asked) {
            (None, _) if has_key => return Err(WitnessError::Forgotten(store)),
            (Some(known), None) => known,
            (Some(known), Some(asked)) if known == asked => known,
            (Some(known), Some(asked)) => {
                return Err(WitnessError::Name(format!("this witness is {known}, and not {asked}: its name is part of its key")));
            }
            (None, Some(asked)) => {
                memory.set_name(&asked)?;
                asked
            }
            (None, None) => return Err(WitnessError::Name("a first start needs a name for the key: --name".to_owned())),
        };
        if !has_key && !memory.is_empty()? {
            return Err(WitnessError::Key(format!("{} is missing: put it back", key_file.display())));
        }
        // The memory is durable before there is a key: a crash here leaves a memory that nothing was cosigned by.
        let seed = seed(&key_file, has_key)?;
        let signer = LocalSigner::from_seed(name, Algorithm::CosignatureV1, &seed)?;
        Ok(Self { signer, logs, memory: Mutex::new(memory), clock, _lock: lock })
    }

    /// The key that verifies its cosignatures.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.signer.verifier_key()
    }

    /// The logs that it knows.
    pub fn logs(&self) -> impl Iterator<Item = &Name> {
        self.logs.keys()
    }

    /// Answers one request. What is cosigned is durable before this returns; two requests at once are answered one after the
    /// other. After an error nothing was cosigned, though the tree may be remembered.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<Reply, WitnessError> {
        if body.len() > REQUEST_BYTES_MAX {
            return Ok(Reply::Malformed(RequestError::Bytes("too long")));
        }
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Ok(Reply::Malformed(error)),
        };
        let checkpoint = request.checkpoint();
        let keys = self.logs.get(&checkpoint.origin).map(Vec::as_slice);
        if keys.is_none() {
            return Ok(Reply::Refused(Answer::UnknownLog));
        }
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_micros().div_euclid(1_000_000)).unwrap_or(0);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, line) = memory.compare_and_swap(checkpoint, |last| match request.decide(keys, last) {
            Answer::Cosign => Ok((Answer::Cosign, Some(cosign(request.note().text(), &self.signer, seconds)?))),
            answer => Ok((answer, None)),
        })?;
        if matches!(answer, Answer::OtherRoot | Answer::Inconsistent) {
            let (origin, size) = (&checkpoint.origin, checkpoint.size);
            tracing::error!(%origin, size, ?answer, "a log asked for a cosignature of what did not grow out of what was cosigned");
            if let Err(error) = memory.suspect(checkpoint, answer, now, body) {
                tracing::error!(%error, "the request could not be kept");
            }
        }
        Ok(line.map_or(Reply::Refused(answer), |line| Reply::Cosigned(line.to_string())))
    }
}

fn lock(store: &Path) -> Result<FileLock, WitnessError> {
    let path = store.join("lock");
    FileLock::take(&path).map_err(|error| match error {
        TryLockError::WouldBlock => WitnessError::Locked(store.to_owned()),
        TryLockError::Error(error) => WitnessError::Store(path, error.to_string()),
    })
}

/// Reads the seed, or makes one that is durable before this returns.
fn seed(path: &Path, there: bool) -> Result<Secret, WitnessError> {
    let key = |error: &dyn std::fmt::Display| WitnessError::Key(error.to_string());
    if there {
        let text = read_private(path).map_err(|error| key(&error))?;
        let seed = text.strip_suffix('\n').and_then(hex::decode_array);
        return seed
            .map(Secret::new)
            .ok_or_else(|| WitnessError::Key(format!("{} is not a key: 64 hex digits and a newline", path.display())));
    }
    let seed = random_secret().map_err(|error| key(&error))?;
    match write_private(path, format!("{}\n", hex::encode(seed.bytes())).as_bytes()) {
        Ok(()) => Ok(seed),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(WitnessError::Store(path.to_owned(), "its folder is gone".to_owned())),
        Err(error) => Err(WitnessError::Store(path.to_owned(), error.to_string())),
    }
}

#[cfg(test)]
mod tests;
