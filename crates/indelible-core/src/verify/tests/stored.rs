//! A chain as a store would hold it, made as the writer makes it, and the ways to write into it without the key.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::chain::Hash;
use crate::entry::Outline;
use crate::hex;
use crate::key::{ProjectKeys, Secret};
use crate::seal::{self, Address, Sealer, Wrapped};
use crate::tree::{Edge, Tile};
use crate::verify::{Hashed, Head, Report, Retry, Row, Verifier, Wrap};

pub(super) const PROJECT: Uuid = Uuid::from_u128(0x018f_4b2a_0000_7000_8000_0000_0000_0001);
pub(super) const ORGANIZATION: Uuid = Uuid::from_u128(0x0a);
/// One full tile, and a partial one.
pub(super) const ROWS: u64 = 300;
/// From here on, rows are under the second key of the ring.
pub(super) const ROTATED_AT: u64 = 200;

pub(super) fn data_key() -> Secret {
    Secret::new([0xda; 32])
}

pub(super) fn keys(ring_id: u64) -> Option<ProjectKeys> {
    (1..=2).contains(&ring_id).then(|| ProjectKeys::derive(ring_id, &Secret::new([ring_id as u8; 32]), PROJECT))
}

#[derive(Clone)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) entry: Vec<u8>,
    pub(super) prev_hash: Vec<u8>,
    pub(super) row_hash: Vec<u8>,
    pub(super) submission_key_id: u64,
    pub(super) submission_mac: Vec<u8>,
    pub(super) retry_mac: Vec<u8>,
    pub(super) content: Option<Vec<u8>>,
    pub(super) wrap: Option<Wrapped>,
}

#[derive(Clone)]
pub(super) struct Chain {
    pub(super) rows: Vec<Stored>,
    pub(super) tiles: BTreeMap<(u8, u64), Vec<u8>>,
    pub(super) head: Option<Head>,
}

pub(super) fn entry(n: u64, ring_id: u64, project: Uuid, version: u64, sealed: &str) -> Vec<u8> {
    let id = Uuid::from_u128(u128::from(n) + 1);
    format!(
        r#"{{"action":"policy.update","actor":{{"id":"u-{n}","type":"human"}},"hmac_key_id":{ring_id},"id":"{id}","occurred_at":"2026-01-02T03:04:05.000006Z","organization_id":"{ORGANIZATION}","project_id":"{project}","recorded_at":"2026-01-02T03:04:05.000006Z","schema_version":{version}{sealed},"sequence":{n}}}"#
    )
    .into_bytes()
}

/// A chain as the writer makes it: every third row has a content.
pub(super) fn chain(rows: u64) -> Chain {
    chain_of(rows, |n| if n < ROTATED_AT { 1 } else { 2 })
}

pub(super) fn chain_of(rows: u64, ring_id: impl Fn(u64) -> u64) -> Chain {
    let (mut edge, mut full, mut contents) = (Edge::new(), Vec::new(), Sealer::new());
    let mut chain = Chain { rows: Vec::new(), tiles: BTreeMap::new(), head: None };
    let mut prev_hash = crate::chain::GENESIS;
    for n in 0..rows {
        let sealed = n.is_multiple_of(3).then(|| {
            let address = Address { organization_id: ORGANIZATION, project_id: PROJECT, event_id: Uuid::from_u128(u128::from(n) + 1) };
            let key = Secret::new([n as u8; 32]);
            (contents.seal(format!(r#"{{"after_state":{{"limit":{n}}}}}"#).as_bytes(), &address, &key), seal::wrap_key(&data_key(), &key))
        });
        let member = sealed.as_ref().map_or(String::new(), |(s, _)| {
            format!(r#","sealed":{{"bytes":{},"plain_bytes":{},"sha256":"{}"}}"#, s.stored.len(), s.plain_bytes, hex::encode(&s.sha256))
        });
        let entry = entry(n, ring_id(n), PROJECT, 1, &member);
        let keys = keys(ring_id(n)).expect("a key of the ring");
        let row_hash = keys.row_hash(&entry, &prev_hash);
        let submission_mac = [n as u8; 32];
        let retry_mac = keys.retry_mac(n, ring_id(n), &submission_mac);
        edge.append(crate::tree::leaf_hash(&entry), &mut full);
        let (content, wrap) = sealed.map(|(s, wrap)| (s.stored, wrap)).unzip();
        chain.rows.push(Stored {
            sequence: n,
            entry,
            prev_hash: prev_hash.to_vec(),
            row_hash: row_hash.to_vec(),
            submission_key_id: ring_id(n),
            submission_mac: submission_mac.to_vec(),
            retry_mac: retry_mac.to_vec(),
            content,
            wrap,
        });
        prev_hash = row_hash;
    }
    chain.tiles = full.into_iter().map(|tile| ((tile.level, tile.index), tile.hashes)).collect();
    let hmac_key_id = ring_id(rows.saturating_sub(1));
    chain.head = Some(head(&edge, prev_hash, hmac_key_id));
    chain
}

pub(super) fn head(edge: &Edge, row_hash: Hash, hmac_key_id: u64) -> Head {
    Head {
        size: edge.size(),
        row_hash,
        tree_root: edge.root(),
        hmac_key_id,
        mac: keys(hmac_key_id).expect("a key of the ring").head_mac(edge.size(), &row_hash, &edge.root()),
        partial_tiles: edge.partial_tiles().to_vec(),
        compact_range: edge.compact_range(),
    }
}

impl Stored {
    pub(super) fn outline(&self) -> Option<Outline> {
        Outline::read(&self.entry)
    }

    /// The row; `outline` is what [`Self::outline`] gives.
    pub(super) fn row<'a>(&'a self, outline: Option<&'a Outline>) -> Row<'a> {
        Row {
            sequence: self.sequence,
            entry: &self.entry,
            outline,
            prev_hash: &self.prev_hash,
            row_hash: &self.row_hash,
            retry: Retry { submission_key_id: self.submission_key_id, submission_mac: &self.submission_mac, retry_mac: &self.retry_mac },
            content: self.content.as_deref(),
            wrap: self.wrap.map_or(Wrap::Absent, |wrap| if self.opens(&wrap) { Wrap::Opens } else { Wrap::Shut }),
        }
    }

    fn opens(&self, wrap: &Wrapped) -> bool {
        let Some(key) = seal::unwrap_key(&data_key(), wrap) else { return false };
        let address = self.outline().map(|outline| Address {
            organization_id: outline.organization_id,
            project_id: outline.project_id,
            event_id: outline.id,
        });
        let content = self.content.as_deref().zip(address);
        content.is_none_or(|(content, address)| seal::authenticates(content, &address, &key, &mut Vec::new()))
    }

    /// Gives the row another entry, and the MACs that go with it.
    pub(super) fn write(&mut self, entry: Vec<u8>, ring_id: u64) {
        let prev_hash = self.prev_hash.as_slice().try_into().expect("32 bytes");
        let keys = keys(ring_id).expect("a key of the ring");
        self.row_hash = keys.row_hash(&entry, &prev_hash).to_vec();
        let sequence = Outline::read(&entry).expect("an entry").sequence;
        let submission_mac = self.submission_mac.as_slice().try_into().expect("32 bytes");
        self.retry_mac = keys.retry_mac(sequence, self.submission_key_id, submission_mac).to_vec();
        self.entry = entry;
    }
}

impl Chain {
    /// What the walk says; the same of rows that were hashed beforehand, the last one first, by somebody who has the keys of all projects.
    pub(super) fn verify_with(&self, keys: impl Fn(u64) -> Option<ProjectKeys> + Send + Copy + 'static) -> Report {
        let report = self.walk(keys, |verifier, row, _, full| verifier.row(row, full));
        let of = |project: Uuid, ring_id: u64| match project {
            PROJECT => keys(ring_id),
            other => Some(ProjectKeys::derive(ring_id, &Secret::new([ring_id as u8; 32]), other)),
        };
        let hash = |stored: &Stored| {
            let outline = stored.outline();
            let keys = outline.as_ref().and_then(|outline| of(outline.project_id, outline.hmac_key_id));
            Hashed::of(&stored.row(outline.as_ref()), |_, _| keys.as_ref())
        };
        let mut hashed: Vec<Hashed> = self.rows.iter().rev().map(hash).collect();
        hashed.reverse();
        assert_eq!(self.walk(keys, |verifier, row, at, full| verifier.hashed_row(row, &hashed[at], full)), report);
        report
    }

    fn walk(
        &self,
        keys: impl Fn(u64) -> Option<ProjectKeys> + Send + 'static,
        take: impl Fn(&mut Verifier, &Row<'_>, usize, &mut Vec<Tile>),
    ) -> Report {
        let mut verifier = Verifier::new(PROJECT, Box::new(keys));
        let mut full = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            take(&mut verifier, &row.row(row.outline().as_ref()), at, &mut full);
            for tile in full.drain(..) {
                verifier.tile(&tile, self.tiles.get(&(tile.level, tile.index)).map(Vec::as_slice));
            }
        }
        verifier.finish(self.head.as_ref())
    }

    pub(super) fn verify(&self) -> Report {
        self.verify_with(keys)
    }

    pub(super) fn head(&mut self) -> &mut Head {
        self.head.as_mut().expect("a head")
    }

    /// What somebody without the key can write after changing rows: everything but the MAC.
    pub(super) fn rewrite_head(&mut self) {
        let mut edge = Edge::new();
        for row in &self.rows {
            edge.append(crate::tree::leaf_hash(&row.entry), &mut Vec::new());
        }
        let row_hash = self.rows.last().expect("a row").row_hash.as_slice().try_into().expect("32 bytes");
        let mac = self.head().mac;
        self.head = Some(Head { mac, ..head(&edge, row_hash, 2) });
    }

    pub(super) fn insert_forged(&mut self, at: usize, sequence: u64) {
        let entry = entry(sequence, 1, PROJECT, 1, "");
        let prev_hash = self.rows[at - 1].row_hash.clone();
        let of_another = self.rows[at - 1].clone();
        self.rows.insert(at, Stored { sequence, entry, prev_hash, row_hash: vec![7; 32], content: None, wrap: None, ..of_another });
    }

    pub(super) fn renumber(&mut self) {
        for (n, row) in self.rows.iter_mut().enumerate() {
            row.sequence = n as u64;
        }
    }
}
