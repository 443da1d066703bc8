//! The checkpoint store: the last signed checkpoint of each tree, outside of the data folder, so that an older copy of the
//! ledger put in its place is seen.
//!
//! Whatever kind it is of: a swap is durable once it returns, takes all of its checkpoints or none, and is refused where a
//! checkpoint is no longer the one that was read. Nothing is ever deleted. A swap whose outcome is not known is an error, and the
//! store is opened anew before it is used again.

mod address;
#[cfg(feature = "aws")]
mod bucket;
mod closing;
mod database;
mod folder;
mod lane;
#[cfg(feature = "aws")]
mod objects;
#[cfg(feature = "aws")]
mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

#[cfg(feature = "aws")]
pub use address::Bucket;
pub use address::{AddressError, CheckpointStore};
pub(crate) use closing::{Closer, Closing, closing};
pub(crate) use folder::beside;

/// Why the checkpoint store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointsError {
    /// It cannot be read or written: where it is, and why.
    #[error("the checkpoint store {0}: {1}")]
    Unusable(String, String),
    /// Somebody else signed meanwhile.
    #[error("the checkpoint of {0} was changed by somebody else meanwhile")]
    Moved(String),
}

/// One checkpoint to be put in the place of another.
#[derive(Debug, Clone)]
pub(crate) struct Swap {
    /// Which tree.
    pub(crate) origin: String,
    /// The note that was read; `None` where there was none.
    pub(crate) old: Option<String>,
    /// The note to be kept.
    pub(crate) new: String,
}

/// The open checkpoint store of one instance. A kind that comes is a variant here, one of [`CheckpointStore`], and a line in each
/// function below; `tests.rs` runs over all of them.
pub(crate) enum Checkpoints {
    Folder(folder::FolderStore),
    Database(Box<database::DatabaseStore>),
    #[cfg(feature = "aws")]
    Bucket(Box<bucket::BucketStore>),
}

impl Checkpoints {
    /// Opens the store of an instance; makes it where it is not there. Whoever waits for it waits no longer than `closing` says.
    pub(crate) fn open(store: &CheckpointStore, instance: &str, closing: &Closing) -> Result<Self, CheckpointsError> {
        match store {
            CheckpointStore::Folder(root) => folder::FolderStore::open(root, instance).map(Self::Folder),
            CheckpointStore::Database(database) => {
                database::DatabaseStore::open(database, instance, closing).map(|store| Self::Database(Box::new(store)))
            }
            #[cfg(feature = "aws")]
            CheckpointStore::Bucket(bucket) => {
                bucket::BucketStore::open(bucket, instance, closing).map(|store| Self::Bucket(Box::new(store)))
            }
        }
    }

    /// Reads everything in the store of an instance, as origin and note; `None` where there is no such store. Makes nothing.
    pub(crate) fn read_all(store: &CheckpointStore, instance: &str) -> Result<Option<BTreeMap<String, String>>, CheckpointsError> {
        match store {
            CheckpointStore::Folder(root) => folder::read_all(root, instance),
            CheckpointStore::Database(database) => database::read_all(database, instance),
            #[cfg(feature = "aws")]
            CheckpointStore::Bucket(bucket) => bucket::read_all(bucket, instance),
        }
    }

    /// The last signed checkpoint of a tree, as it was when the store was opened or this one swapped it, if not later.
    pub(crate) fn read(&self, origin: &str) -> Result<Option<String>, CheckpointsError> {
        match self {
            Self::Folder(store) => store.read(origin),
            Self::Database(store) => Ok(store.read(origin)),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => Ok(store.read(origin)),
        }
    }

    /// Puts each new checkpoint in the place of the one that was read: all, or none.
    pub(crate) fn swap(&mut self, swaps: &[Swap]) -> Result<(), CheckpointsError> {
        match self {
            Self::Folder(store) => store.swap(swaps),
            Self::Database(store) => store.swap(swaps),
            #[cfg(feature = "aws")]
            Self::Bucket(store) => store.swap(swaps),
        }
    }
}

/// The name of an instance, which may hold `/`, as a name that a file or an object can have.
fn escaped(instance: &str) -> String {
    let mut name = String::new();
    for byte in instance.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte == b'.' && !name.is_empty() {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&indelible_core::hex::encode(&[byte]));
        }
    }
    name
}
