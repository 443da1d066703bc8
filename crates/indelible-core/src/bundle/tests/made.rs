//! A small log, the bundles that its keeper would make of it, and what somebody with the keeper's keys could make of them.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::Files;
use crate::anchor::{Anchor, Interval};
use crate::bundle::{AnchorLine, FileName, FolderDigest, Kind, Manifest, Trust};
use crate::chain::Hash;
use crate::checkpoint::Checkpoint;
use crate::hex;
use crate::key::Secret;
use crate::note::{Algorithm, LocalSigner, Name, Signer, cosign};
use crate::proof::{ConsistencyProof, InclusionProof, RangeProof};
use crate::seal::{Address, Sealer};
use crate::time::Timestamp;
use crate::tree::{Range, inclusion, leaf_hash};

pub(super) const PROJECT: Uuid = Uuid::from_u128(0x0001_8f4b_2a00_0070_0080_0000_0000_0001);
pub(super) const ORGANIZATION: Uuid = Uuid::from_u128(0xff);
pub(super) const CONTENT_KEY: [u8; 32] = [0x5a; 32];

pub(super) fn signer(name: &str, algorithm: Algorithm, byte: u8) -> LocalSigner {
    LocalSigner::from_seed(Name::new(name).expect("a name"), algorithm, &Secret::new([byte; 32])).expect("a seed")
}

/// A log of so many entries; each fifth has a content.
pub(super) struct Made {
    pub(super) log: LocalSigner,
    pub(super) instance: LocalSigner,
    pub(super) witness: LocalSigner,
    pub(super) entries: Vec<Vec<u8>>,
    contents: BTreeMap<u64, Vec<u8>>,
}

fn root(leaves: &[Hash]) -> Hash {
    let mut range = Range::new(0);
    for leaf in leaves {
        range.push(*leaf);
    }
    range.root().expect("it begins at 0")
}

pub(super) fn entry(sequence: u64, reason: &str, sealed: Option<(&Hash, usize)>) -> Vec<u8> {
    let sealed =
        sealed.map(|(sha256, bytes)| format!(r#","sealed":{{"bytes":{bytes},"plain_bytes":9,"sha256":"{}"}}"#, hex::encode(sha256)));
    let time = "2026-03-04T05:06:07.000008Z";
    let id = Uuid::from_u128(u128::from(sequence));
    format!(
        r#"{{"hmac_key_id":1,"id":"{id}","occurred_at":"{time}","organization_id":"{ORGANIZATION}","project_id":"{PROJECT}","reason":"{reason}","recorded_at":"{time}"{},"sequence":{sequence}}}"#,
        sealed.unwrap_or_default(),
    )
    .into_bytes()
}

impl Made {
    pub(super) fn new(size: u64) -> Self {
        let (mut entries, mut contents) = (Vec::new(), BTreeMap::new());
        for n in 0..size {
            let address = Address { organization_id: ORGANIZATION, project_id: PROJECT, event_id: Uuid::from_u128(u128::from(n)) };
            let sealed = (n % 5 == 0).then(|| Sealer::new().seal(br#"{"a":"b"}"#, &address, &Secret::new(CONTENT_KEY)));
            entries.push(entry(n, &format!("why {n}"), sealed.as_ref().map(|sealed| (&sealed.sha256, sealed.stored.len()))));
            contents.extend(sealed.map(|sealed| (n, sealed.stored)));
        }
        let log = signer(&format!("log.example/{PROJECT}"), Algorithm::Ed25519, 1);
        let instance = signer("log.example", Algorithm::Ed25519, 2);
        Self { log, instance, witness: signer("witness.example", Algorithm::CosignatureV1, 3), entries, contents }
    }

    pub(super) fn trust(&self) -> Trust {
        let keys = [&self.log, &self.instance, &self.witness].map(|signer| signer.verifier_key().clone());
        Trust { keys: keys.to_vec(), earlier: None }
    }

    fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(|entry| leaf_hash(entry)).collect()
    }

    pub(super) fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint { origin: self.log.verifier_key().name().clone(), size, root: root(&self.leaves()[..size as usize]) }
    }

    /// Anchors of seven entries each, and what is left.
    pub(super) fn anchors(&self) -> Vec<AnchorLine> {
        let (mut lines, mut first) = (Vec::<AnchorLine>::new(), 0);
        while first < self.entries.len() as u64 {
            let last = (first + 6).min(self.entries.len() as u64 - 1);
            let mut interval = Interval::new();
            (first..=last).for_each(|n| interval.push(&[n as u8; 32]));
            let anchor = Anchor {
                anchor_at: Timestamp::from_micros(1_000_000 + last as i64).expect("in range"),
                project_id: PROJECT,
                first_sequence: first,
                last_sequence: last,
                last_row_hash: [last as u8; 32],
                merkle_root: interval.root(),
                tree_root: self.checkpoint(last + 1).root,
                signing_key_id: self.log.verifier_key().id(),
                previous_anchor_sha256: lines.last().map(|line| line.anchor.sha256()),
            };
            let note = anchor.sign(self.log.verifier_key().name(), &self.log).expect("it signs");
            lines.push(AnchorLine { anchor, note });
            first = last + 1;
        }
        lines
    }

    /// A range, or a selection of `chosen`, with everything that may be in it.
    pub(super) fn bundle(&self, first: u64, last: u64, chosen: Option<&[u64]>) -> Files {
        let (size, leaves, anchors) = (self.entries.len() as u64, self.leaves(), self.anchors());
        let hash_at = |height: u32, index: u64| leaves.get((index << height) as usize..((index + 1) << height) as usize).map(root);
        let note = self.checkpoint(size).sign(&[&self.log]).expect("it signs");
        let keys = self.trust().keys;
        let mut files: Files = vec![("manifest.json".to_owned(), Vec::new())];
        let mut put = |name: FileName, bytes: Vec<u8>| files.push((name.to_string(), bytes));
        put(FileName::VerifierKeys, keys.iter().flat_map(|key| format!("{key}\n").into_bytes()).collect());
        put(FileName::Checkpoint, note.to_string().into_bytes());
        put(FileName::Anchors, anchors.iter().flat_map(|line| [line.to_bytes(), b"\n".to_vec()].concat()).collect());
        put(FileName::Consistency, ConsistencyProof::make(3, size, hash_at).expect("in the tree").to_string().into_bytes());
        if chosen.is_none() {
            put(FileName::RangeProof, RangeProof::make(first, last, size, hash_at).expect("in the tree").to_string().into_bytes());
        }
        let leaf = anchors.last().expect("some").anchor.instance_leaf();
        let instance = [leaf_hash(b"other"), leaf.leaf_hash()];
        let checkpoint = Checkpoint { origin: self.instance.verifier_key().name().clone(), size: 2, root: root(&instance) };
        let mut signed = checkpoint.sign(&[&self.instance]).expect("it signs");
        signed.add(cosign(signed.text(), &self.witness, 7).expect("it cosigns")).expect("few");
        put(FileName::InstanceCheckpoint, signed.to_string().into_bytes());
        put(FileName::InstanceLeaf, leaf.to_bytes());
        let proof = InclusionProof { extra: None, index: 1, path: vec![instance[0]], checkpoint: signed };
        put(FileName::InstanceProof, proof.to_string().into_bytes());
        let all: Vec<u64> = (first..=last).collect();
        let rows = chosen.unwrap_or(&all);
        put(FileName::Entries, rows.iter().flat_map(|n| [&self.entries[*n as usize][..], b"\n"].concat()).collect());
        for n in chosen.unwrap_or_default() {
            let path = inclusion::path(*n, size, hash_at).expect("in the tree");
            put(FileName::Proof(*n), InclusionProof { extra: None, index: *n, path, checkpoint: note.clone() }.to_string().into_bytes());
        }
        for (n, stored) in self.contents.iter().filter(|(n, _)| rows.contains(n)) {
            put(FileName::Content(*n, crate::bundle::ContentPart::Sealed), stored.clone());
            put(FileName::Content(*n, crate::bundle::ContentPart::Key), hex::encode(&CONTENT_KEY).into_bytes());
        }
        let manifest = Manifest {
            kind: if chosen.is_none() { Kind::Range } else { Kind::Selection },
            organization_id: ORGANIZATION,
            project_id: PROJECT,
            origin: self.log.verifier_key().name().clone(),
            filter: chosen.map(|_| "outcome eq \"deny\"".to_owned()),
            first_sequence: first,
            last_sequence: last,
            tree_size: size,
            entries_included: rows.len() as u64,
            content_included: true,
            files: BTreeMap::new(),
        };
        files[0].1 = digests(manifest, &files).to_bytes();
        files
    }
}

/// Gives `files` a manifest with their own digests.
pub(super) fn redigest(files: &mut Files) {
    if let Ok(manifest) = Manifest::parse(&files[0].1) {
        files[0].1 = digests(manifest, files).to_bytes();
    }
}

/// The manifest with the digests of `files`, as whoever changed them would have it.
fn digests(mut manifest: Manifest, files: &Files) -> Manifest {
    let mut folders = BTreeMap::from([("contents/", FolderDigest::new())]);
    if manifest.kind == Kind::Selection {
        folders.insert("proofs/", FolderDigest::new());
    }
    manifest.files.clear();
    for (name, bytes) in &files[1..] {
        let Some(file) = FileName::parse(name) else { continue };
        if let Some(folder) = folders.get_mut(file.digest_name()) {
            folder.begin(file, bytes.len() as u64);
            folder.update(bytes);
        } else {
            manifest.files.insert(name.clone(), crate::tree::array(&digest(&SHA256, bytes)));
        }
    }
    manifest.files.extend(folders.into_iter().map(|(name, folder)| (name.to_owned(), folder.finish())));
    manifest
}
