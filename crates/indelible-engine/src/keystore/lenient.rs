//! Opening the keys for a verification, which needs none of them to say something: what does not open is left out and told of, and
//! what it would have shown is unverifiable.
//!
//! Refused as ever: files that others can read, since that is mended by a command, and a master key from outside that is none.

use std::collections::BTreeSet;
use std::path::Path;

use uuid::Uuid;

use super::files::Master;
use super::{KeyError, KeyName, KeyStore, MASTER, newest_ring_key};

use crate::store::sql::{Connection, SqlError};

/// Absent ring keys that are told of one by one: the number of the newest is only what somebody wrote.
const ABSENT_MAX: usize = 100;

impl KeyStore {
    /// Opens what opens, and says what does not.
    pub(crate) fn open_what_opens(folder: &Path, master_key_file: Option<&Path>) -> Result<(Self, Vec<KeyError>), KeyError> {
        let folder = folder.to_owned();
        let mut faults = Vec::new();
        let master = match (master_key_file, Master::read(master_key_file.unwrap_or(&folder.join(MASTER)))) {
            (_, Ok(master)) => Some(master.key),
            (Some(_), Err(error)) | (None, Err(error @ KeyError::Exposed { .. })) => return Err(error),
            (None, Err(error)) => {
                faults.push(error);
                None
            }
        };
        let mut store = Self::empty(folder, master);
        // Without it each of the others would be told of, and none of them is at fault.
        if store.master.is_some() {
            store.take_what_opens(&mut faults)?;
        }
        Ok((store, faults))
    }

    fn take_what_opens(&mut self, faults: &mut Vec<KeyError>) -> Result<(), KeyError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) => {
                faults.push(KeyError::Io(self.folder.clone(), error));
                return Ok(());
            }
        };
        let paths: BTreeSet<_> = entries.flatten().map(|entry| entry.path()).collect();
        for path in paths {
            let Some(name) = KeyName::of(&path) else { continue };
            match self.take(name, &path) {
                Ok(()) => {}
                Err(error @ KeyError::Exposed { .. }) => return Err(error),
                Err(error) => {
                    faults.push(error);
                    if let KeyName::Organization(id) = name {
                        self.closed.insert(id);
                    }
                }
            }
        }
        Ok(())
    }

    /// Keys of the ring that the ledger knows, or that a newer one is there of, and that have no file.
    pub(crate) fn absent_keys(&self, ledger: &Connection) -> Result<Vec<KeyError>, SqlError> {
        if self.master.is_none() {
            return Ok(Vec::new());
        }
        let newest = self.ring_ids().last().copied().unwrap_or(1).max(newest_ring_key(ledger)?);
        let absent = self.absent_ring_keys(newest).filter(|error| !matches!(error, KeyError::Missing(path) if path.exists()));
        Ok(absent.take(ABSENT_MAX).collect())
    }

    /// Whether the key of an organization is there, and nothing can be opened with it here.
    pub(crate) fn is_closed(&self, organization_id: Uuid) -> bool {
        self.master.is_none() || self.closed.contains(&organization_id)
    }
}
