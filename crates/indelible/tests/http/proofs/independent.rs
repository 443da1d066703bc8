//! A verifier written for these tests alone, from the documents: signed notes, checkpoints, tlog-proof texts, RFC 6962 by recursion. It uses
//! plain SHA-256 and an Ed25519 verification, and nothing of this program.

use std::fmt::Write as _;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

pub(super) type Hash = [u8; 32];

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a string takes it");
    }
    out
}

pub(super) fn base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn hash(text: &str) -> Hash {
    base64(text).try_into().expect("32 bytes")
}

pub(super) fn leaf(data: &[u8]) -> Hash {
    sha256(&[&[0], data].concat())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

fn split(size: u64) -> u64 {
    let mut k = 1;
    while k * 2 < size {
        k *= 2;
    }
    k
}

/// RFC 6962, section 2.1.
pub(super) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            node(&root(left), &root(right))
        }
    }
}

/// The root that a path leads to, by the recursion of section 2.1.1 read backwards.
fn climb(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Hash {
    assert!(index < size);
    if size == 1 {
        assert!(path.is_empty(), "a path that is too long");
        return leaf;
    }
    let (sibling, inner) = path.split_last().expect("a path that is long enough");
    let k = split(size);
    if index < k { node(&climb(leaf, index, k, inner), sibling) } else { node(sibling, &climb(leaf, index - k, size - k, inner)) }
}

/// Both roots that a consistency proof leads to, by the recursion of section 2.1.2.
fn grow(old: u64, new: u64, whole: bool, old_root: Hash, proof: &[Hash]) -> (Hash, Hash) {
    if old == new {
        if whole {
            assert!(proof.is_empty(), "a proof that is too long");
            return (old_root, old_root);
        }
        let [one] = proof else { panic!("a proof of another length") };
        return (*one, *one);
    }
    let (last, inner) = proof.split_last().expect("a proof that is long enough");
    let k = split(new);
    if old <= k {
        let (from, to) = grow(old, k, whole, old_root, inner);
        (from, node(&to, last))
    } else {
        let (from, to) = grow(old - k, new - k, false, old_root, inner);
        (node(last, &from), node(last, &to))
    }
}

/// Whether the text `<old>\n<new>\n<hashes>` proves that one tree began as the other.
pub(super) fn consistent(text: &str, old_root: &Hash, new_root: &Hash) -> bool {
    let mut lines = text.strip_suffix('\n').expect("ends in a newline").split('\n');
    let mut number = || lines.next().expect("a line").parse::<u64>().expect("a number");
    let (old, new) = (number(), number());
    let hashes: Vec<Hash> = lines.map(hash).collect();
    if old == 0 {
        return hashes.is_empty() && *old_root == sha256(b"");
    }
    grow(old, new, true, *old_root, &hashes) == (*old_root, *new_root)
}

/// The text of a signed note, once one of the keys is found to have signed it.
pub(super) fn open(note: &str, keys: &[String]) -> String {
    let (text, signatures) = note.split_once("\n\n").expect("a blank line");
    let text = format!("{text}\n");
    let holds = keys.iter().any(|key| {
        let mut parts = key.splitn(3, '+');
        let (name, id, key) = (parts.next().expect("a name"), parts.next().expect("an id"), base64(parts.next().expect("a key")));
        assert_eq!((key.len(), key[0], id), (33, 1, &*hex(&sha256(&[name.as_bytes(), b"\n", &key].concat())[..4])));
        let lines = signatures.lines().filter_map(|line| line.strip_prefix(&format!("\u{2014} {name} ")));
        lines
            .map(base64)
            .any(|line| hex(&line[..4]) == id && UnparsedPublicKey::new(&ED25519, &key[1..]).verify(text.as_bytes(), &line[4..]).is_ok())
    });
    assert!(holds, "nobody known signed {note}");
    text
}

/// Origin, size and root of a checkpoint that one of the keys signed.
pub(super) fn checkpoint(note: &str, keys: &[String]) -> (String, u64, Hash) {
    let text = open(note, keys);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    (lines[0].to_owned(), lines[1].parse().expect("a size"), hash(lines[2]))
}

/// Index and checkpoint of a tlog-proof, once its path is found to lead from `data` to the checkpoint's root.
pub(super) fn included(proof: &str, data: &[u8], keys: &[String]) -> (u64, (String, u64, Hash)) {
    let (head, note) = proof.split_once("\n\n").expect("a blank line");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    let index = lines.next().and_then(|line| line.strip_prefix("index ")).expect("an index").parse().expect("a number");
    let path: Vec<Hash> = lines.map(hash).collect();
    let (origin, size, root) = checkpoint(note, keys);
    assert_eq!(climb(leaf(data), index, size, &path), root, "{proof}");
    (index, (origin, size, root))
}
