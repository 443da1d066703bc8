//! What is made of each row by itself: its outline, its hashes, whether its wrap opens, and the sum of what the index should hold of it.
//!
//! Nearly all that a verification computes is here, and no row has a part in another's: batches are examined on any thread and in any
//! order. What depends on the rows before comes after, on one thread, in stored order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indelible_core::entry::Outline;
use indelible_core::key::ProjectKeys;
use indelible_core::verify::{Hashed, Retry, Row, Wrap};
use uuid::Uuid;

use super::batch::{Batch, StoredRow};
use super::index::Terms;
use super::walk::Keys;
use super::wrap::{self, DataKey};

/// Keys kept by one thread; past it they are looked up again. A ledger may have many thousands of projects.
const KEYS_MAX: usize = 1_024;

/// Which rows are hashed, by project number. Of the others the outline alone is read.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Projects that are not asked for.
    pub(super) others: HashSet<i64>,
    /// Rows up to this one were verified before.
    pub(super) after: HashMap<i64, i64>,
}

impl Wanted {
    fn is_hashed(&self, row: &StoredRow) -> bool {
        !self.others.contains(&row.project) && self.after.get(&row.project).is_none_or(|last| row.row > *last)
    }
}

/// Examines batches, on one thread.
pub(super) struct Examiner {
    keys: Arc<dyn Keys>,
    wanted: Arc<Wanted>,
    terms: Option<Terms>,
    project_keys: HashMap<(Uuid, u64), Option<ProjectKeys>>,
    data_keys: HashMap<i64, Option<DataKey>>,
    /// Where contents are decrypted, one after another.
    decrypted: Vec<u8>,
}

impl Examiner {
    /// `terms` where rows are compared with the index.
    pub(super) fn new(keys: Arc<dyn Keys>, wanted: Arc<Wanted>, terms: Option<Terms>) -> Self {
        Self { keys, wanted, terms, project_keys: HashMap::new(), data_keys: HashMap::new(), decrypted: Vec::new() }
    }

    /// Puts beside each row what is to be said of it.
    pub(super) fn batch(&mut self, batch: &mut Batch) {
        let (bytes, rows) = batch.parts();
        for stored in rows {
            stored.outline = Outline::read(&bytes[stored.entry.clone()]);
            stored.examined = self.wanted.is_hashed(stored).then(|| self.row(bytes, stored));
            stored.terms = self.terms.as_mut().map_or(0, |terms| terms.sum(bytes, stored));
        }
    }

    fn row(&mut self, bytes: &[u8], stored: &StoredRow) -> (Hashed, Wrap) {
        let outline = stored.outline.as_ref();
        let content = stored.content.as_ref().map(|content| &bytes[content.clone()]);
        let wrap = stored.wrap.as_ref().map_or(Wrap::Absent, |(key, wrap)| self.look(*key, outline, content, &bytes[wrap.clone()]));
        let row = Row {
            sequence: stored.sequence as u64,
            entry: &bytes[stored.entry.clone()],
            outline,
            prev_hash: &bytes[stored.prev_hash.clone()],
            row_hash: &bytes[stored.row_hash.clone()],
            retry: Retry {
                submission_key_id: stored.submission_key_id as u64,
                submission_mac: &bytes[stored.submission_mac.clone()],
                retry_mac: &bytes[stored.retry_mac.clone()],
            },
            content,
            wrap,
        };
        (Hashed::of(&row, |project_id, ring_id| self.project_keys(project_id, ring_id)), wrap)
    }

    fn project_keys(&mut self, project_id: Uuid, ring_id: u64) -> Option<&ProjectKeys> {
        let name = (project_id, ring_id);
        if self.project_keys.len() >= KEYS_MAX && !self.project_keys.contains_key(&name) {
            self.project_keys.clear();
        }
        self.project_keys.entry(name).or_insert_with(|| self.keys.project_keys(project_id, ring_id)).as_ref()
    }

    fn look(&mut self, key: i64, outline: Option<&Outline>, content: Option<&[u8]>, wrap: &[u8]) -> Wrap {
        if self.data_keys.len() >= KEYS_MAX && !self.data_keys.contains_key(&key) {
            self.data_keys.clear();
        }
        let data_key = self.data_keys.entry(key).or_insert_with(|| self.keys.data_key(key));
        wrap::look(data_key.as_ref(), outline, content, wrap, &mut self.decrypted)
    }
}

#[cfg(test)]
mod tests {
    use indelible_core::chain::Hash;

    use super::*;

    /// Every data key is there, and does not open.
    struct Shut;

    impl Keys for Shut {
        fn project_keys(&self, _: Uuid, _: u64) -> Option<ProjectKeys> {
            None
        }

        fn data_key(&self, id: i64) -> Option<DataKey> {
            Some((Uuid::from_u128(u128::from(id.unsigned_abs())), wrap::Held::Gone))
        }

        fn opens_data_key(&self, _: Uuid, _: &[u8]) -> Option<bool> {
            None
        }

        fn signing_keys(&self) -> Vec<(u64, [u8; 32])> {
            Vec::new()
        }

        fn verified_mac(&self, _: Option<u64>, _: &str) -> Option<(u64, Hash)> {
            None
        }
    }

    #[test]
    fn of_many_data_keys_a_bounded_number_is_kept() {
        let mut examiner = Examiner::new(Arc::new(Shut), Arc::default(), None);
        for id in (0..3 * KEYS_MAX as i64).chain(0..10) {
            assert_eq!(examiner.look(id, None, None, &[]), Wrap::Shut);
            assert!(examiner.data_keys.contains_key(&id) && examiner.data_keys.len() <= KEYS_MAX, "{id}");
        }
    }
}
