//! The end of the chain against the stored head. What is wrong with the head is one finding, at the last row.

use super::{Head, Verdict, Verifier};
use crate::chain::Hash;
use crate::key::ProjectKeys;
use crate::tree::{Range, TILE_HEIGHT};

/// What the head's MAC says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mac {
    Holds,
    Broken,
    KeyAbsent,
}

impl Verifier {
    /// Whether an authentic head counts exactly the rows there are; of no rows none is needed.
    pub(super) fn compare_head(&mut self, head: Option<&Head>) -> bool {
        let last = self.next.checked_sub(1);
        let Some(head) = head else {
            if self.events + self.not_read > 0 {
                self.findings.add(Verdict::Altered, last, "the head is gone");
            }
            return self.events + self.not_read == 0;
        };
        let mut faults = Vec::new();
        let mac = self.compare_mac(head, &mut faults);
        if mac != Mac::Broken {
            self.compare_size(head, mac, &mut faults);
        }
        let root = Range::from_nodes(0, head.size, head.compact_range.clone()).and_then(|range| range.root());
        if root != Some(head.tree_root) {
            faults.push("its compact range does not lead to its tree root");
        }
        if head.size == self.next && !self.tree_lost {
            self.compare_tree(head, &mut faults);
        }
        if !faults.is_empty() {
            self.findings.add(Verdict::Altered, last, format!("the head: {}", faults.join("; ")));
        }
        mac == Mac::Holds && head.size == self.next && faults.is_empty()
    }

    fn compare_mac(&mut self, head: &Head, faults: &mut Vec<&'static str>) -> Mac {
        let holds = |keys: &ProjectKeys| keys.head_mac(head.size, &head.row_hash, &head.tree_root) == head.mac;
        // The key of the last row is tried first: a head whose key id alone was changed is altered, not unverifiable.
        if self.keys.last().is_some_and(|keys| keys.ring_id != head.hmac_key_id && holds(keys)) {
            faults.push("its key id was changed");
            return Mac::Broken;
        }
        match self.keys.get(head.hmac_key_id).map(holds) {
            Some(true) => {
                if head.size == self.next && head.hmac_key_id < self.ring_id_max {
                    faults.push("its key is older than that of the last row");
                }
                Mac::Holds
            }
            Some(false) => {
                faults.push("its MAC does not hold (rows may have been cut off the end)");
                Mac::Broken
            }
            None => {
                let detail = format!("the head: {}", super::row::absent_key(head.hmac_key_id));
                self.findings.add(Verdict::Unverifiable, self.next.checked_sub(1), detail);
                Mac::KeyAbsent
            }
        }
    }

    /// Size and row hash of a head that is authentic, or at least not known to be broken.
    fn compare_size(&mut self, head: &Head, mac: Mac, faults: &mut Vec<&'static str>) {
        if head.size > self.next {
            let rows = head.size - self.next;
            self.findings.add(Verdict::Truncated, Some(self.next), format!("the newest {rows} rows are gone"));
        } else if head.size < self.next {
            // Faulty rows beyond the head are named already, and no reason to think the head old.
            if mac == Mac::Holds && self.credible_end > head.size {
                self.findings.add(Verdict::RolledBack, Some(head.size), "the head is an older one: rows follow it");
            } else if mac == Mac::KeyAbsent {
                faults.push("it counts fewer rows than there are");
            }
        } else if self.last.sound && self.last.row_hash.is_some_and(|hash| hash != head.row_hash) {
            if mac == Mac::Holds && self.last.authentic {
                self.findings.add(Verdict::Forked, self.next.checked_sub(1), "the head was written after another last row");
            } else {
                faults.push("its row hash is not that of the last row");
            }
        }
    }

    /// Root, compact range and partial tiles, where the rows under them are not in doubt.
    fn compare_tree(&mut self, head: &Head, faults: &mut Vec<&'static str>) {
        if self.doubt.is_empty() && head.tree_root != self.edge.root() {
            faults.push("its tree root is not that of the rows");
        }
        let range = self.edge.range();
        for (((height, index), computed), stored) in range.subtrees().zip(range.nodes()).zip(&head.compact_range) {
            let first = index << height;
            if computed != stored && !self.doubt.touches(first, first + (1 << height) - 1) {
                faults.push("its compact range is not that of the rows");
                break;
            }
        }
        let computed = self.edge.partial_tiles();
        for level in 0..computed.len().max(head.partial_tiles.len()) {
            let of = |tiles: &[Vec<Hash>]| tiles.get(level).cloned().unwrap_or_default();
            let (computed, stored) = (of(computed), of(&head.partial_tiles));
            if computed == stored {
                continue;
            }
            let pairs = computed.iter().map(Hash::as_slice).zip(stored.iter().map(Hash::as_slice));
            let height = level as u32 * TILE_HEIGHT;
            let first = self.next.checked_shr(height + TILE_HEIGHT).map_or(0, |tile| tile << (height + TILE_HEIGHT));
            if computed.len() != stored.len() || self.first_difference(first, height, pairs).is_some() {
                let detail = format!("the partial tile of level {level} is not that of the rows");
                self.findings.add(Verdict::Altered, Some(first), detail);
            }
        }
    }
}
