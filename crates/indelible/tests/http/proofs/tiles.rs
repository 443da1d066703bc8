//! `/tlog/…`: a log as third-party auditors read it, and who may.

use indelible_core::tree::{Range, TileKind, TilePath, entry_bundle};
use serde_json::{Value, json};

use super::independent::{self, Hash};
use super::{ANCHORS, NOBODY, append, keys, own, seal, start, text};
use crate::server::{Answer, House, event};

const KEPT: &str = "public, max-age=31536000, immutable";
const NOT_KEPT: &str = "private, no-store";

/// One auditor, of one log.
struct Auditor<'a> {
    house: &'a House,
    key: &'a str,
    log: String,
}

impl Auditor<'_> {
    fn read(&self, path: &str, cache: &'static str) -> Answer {
        let answer = self.house.get(&format!("/tlog/{}{path}", self.log)).key(self.key).cached(cache).send();
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("vary"), (cache == KEPT).then_some("authorization"), "{path}");
        answer
    }

    fn tile(&self, kind: TileKind, index: u64, width: u16) -> Vec<u8> {
        let path = TilePath::new(kind, index, width).expect("a tile");
        let kept = path.kind() != TileKind::Entries;
        let answer = self.read(&path.to_string(), if kept { KEPT } else { NOT_KEPT });
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        answer.body
    }

    fn hashes(&self, level: u8, index: u64, width: u16) -> Vec<Hash> {
        let bytes = self.tile(TileKind::Hashes(level), index, width);
        assert_eq!(bytes.len(), usize::from(width) * 32);
        bytes.as_chunks::<32>().0.to_vec()
    }

    /// Everything under a size; each level agrees with the one below, and the entries with their hashes.
    fn mirror(&self, size: u64) -> (Vec<Vec<u8>>, Vec<Hash>) {
        let (mut entries, mut leaves): (Vec<Vec<u8>>, Vec<Hash>) = Default::default();
        let mut above = Vec::new();
        for index in 0.. {
            let Some(there) = TilePath::in_tree(TileKind::Hashes(0), index, size) else { break };
            let hashes = self.hashes(0, index, there.width());
            let bundle = self.tile(TileKind::Entries, index, there.width());
            let bundle = entry_bundle::parse(&bundle).expect("a bundle");
            assert!(bundle.iter().map(|entry| independent::leaf(entry)).eq(hashes.iter().copied()));
            entries.extend(bundle.into_iter().map(<[u8]>::to_vec));
            if hashes.len() == 256 {
                above.push(independent::root(&hashes));
            }
            leaves.extend(hashes);
        }
        if let Some(there) = TilePath::in_tree(TileKind::Hashes(1), 0, size) {
            assert_eq!(self.hashes(1, 0, there.width()), above);
        }
        (entries, leaves)
    }
}

#[test]
fn tiles_reassemble_to_the_root_that_was_signed() {
    let house = start();
    let keys = keys(&house);
    let auditor = Auditor { house: &house, key: &house.admin, log: house.project.clone() };
    append(&house, 40);
    let mut before: Option<(u64, Hash)> = None;
    for count in [3, 200, 400] {
        append(&house, count);
        seal(&house);
        // Each read is an event, and covered by no checkpoint yet: the auditor's own traces do not move the tree.
        let (origin, size, root) = independent::checkpoint(auditor.read("/checkpoint", "no-store").text(), &keys[..1]);
        assert_eq!(origin.split_once('/').map(|(_, id)| id), Some(&*house.project));
        let (entries, leaves) = auditor.mirror(size);
        assert_eq!((leaves.len() as u64, independent::root(&leaves)), (size, root));
        let sequences = entries.iter().map(|entry| serde_json::from_slice::<Value>(entry).expect("JSON")["sequence"].as_u64());
        assert!(sequences.eq((0..size).map(Some)));
        if let Some((old, old_root)) = before {
            assert_eq!(independent::root(&leaves[..old as usize]), old_root);
        }
        before = Some((size, root));
    }
    let (size, root) = before.expect("a checkpoint");
    assert!(size > 512, "two full tiles at least");
    // A full tile by parts too, as it was when it was not full.
    let full = auditor.hashes(0, 1, 256);
    for width in [1, 17, 255] {
        assert_eq!(auditor.hashes(0, 1, width), full[..usize::from(width)]);
    }
    // And with this program's own arithmetic, from the tiles alone.
    let level = auditor.hashes(1, 0, (size >> 8) as u16);
    let mut range = Range::new(0);
    for hash in level {
        range.push_subtree(8, hash, |_, _| ());
    }
    for hash in auditor.hashes(0, size >> 8, (size & 255) as u16) {
        range.push(hash);
    }
    assert_eq!(range.root(), Some(root));
    assert_eq!(own(&keys).len(), 2);
}

#[test]
fn there_is_what_the_checkpoint_covers_and_every_read_is_one_event() {
    let house = start();
    let log = format!("/tlog/{}", house.project);
    let early = house.get(&format!("{log}/checkpoint")).refused(409, "not-anchored", (&house.project, "audit.read", "error"));
    assert!(text(&early, "detail").starts_with("nothing of the log was signed yet; "), "{early}");
    house.get(&format!("{log}/tile/0/000.p/1")).refused(404, "not-found", (&house.project, "audit.read", "error"));
    append(&house, 300);
    let size = seal(&house)["anchor"]["tree_size"].as_u64().expect("a size");
    append(&house, 300);
    let rest = size - 256;
    for (path, cache) in [
        ("checkpoint".to_owned(), "no-store"),
        ("tile/0/000".to_owned(), KEPT),
        ("tile/entries/000".to_owned(), NOT_KEPT),
        (format!("tile/0/001.p/{rest}"), KEPT),
        (format!("tile/entries/001.p/{rest}"), NOT_KEPT),
        ("tile/1/000.p/1".to_owned(), KEPT),
    ] {
        let answer = house.get(&format!("{log}/{path}")).cached(cache).send();
        assert_eq!(answer.status, 200, "{path}");
        answer.left(&house, (&house.project, "audit.read", "allow"));
        let record = &house.log(&format!("request.request_id eq \"{}\"", answer.request_id))[0];
        assert_eq!(record["resource"]["id"], path);
    }
    for path in [
        "tile/0/001".to_owned(),
        format!("tile/0/001.p/{}", rest + 1),
        format!("tile/entries/001.p/{}", rest + 1),
        "tile/entries/001".to_owned(),
        "tile/0/002.p/1".to_owned(),
        "tile/1/000.p/2".to_owned(),
        "tile/1/000".to_owned(),
        "tile/2/000.p/1".to_owned(),
        "tile/63/000.p/1".to_owned(),
        "tile/00/000".to_owned(),
        "tile/0/0".to_owned(),
        "tile/0/000.p/256".to_owned(),
        "tile/0/000.p/0".to_owned(),
        "tile/0/x000/000".to_owned(),
        "tile/entries".to_owned(),
        "tile/0/000/".to_owned(),
        "tile/secret-4711/000".to_owned(),
    ] {
        house.get(&format!("{log}/{path}")).refused(404, "not-found", (&house.project, "audit.read", "error"));
    }
    house.get(&format!("{log}/checkpoint?a=b")).refused(400, "invalid-query", (&house.project, "audit.read", "error"));
    for path in ["", "/", "/tile", "/tile/", "/elsewhere"] {
        house.get(&format!("{log}{path}")).send().problem(404, "not-found");
    }
    house.ask("POST", &format!("{log}/checkpoint")).send().problem(405, "method-not-allowed");
}

#[test]
fn the_instance_tree_has_every_anchor_and_is_the_instances_alone() {
    let house = start();
    let (other, stranger) = house.tenant("north");
    house.post(crate::server::EVENTS, &json!(vec![event("proof.item"); 5])).key(&stranger).send().is(201);
    for _ in 0..3 {
        append(&house, 2);
        seal(&house);
    }
    let keys = keys(&house);
    let auditor = Auditor { house: &house, key: &house.instance, log: "instance".to_owned() };
    let answer = auditor.read("/checkpoint", "no-store");
    answer.left(&house, (&house.system, "audit.read", "allow"));
    let (_, size, root) = independent::checkpoint(answer.text(), &keys[1..]);
    let (leaves, hashes) = auditor.mirror(size);
    assert_eq!((hashes.len() as u64, independent::root(&hashes)), (size, root));
    let leaves: Vec<Value> = leaves.iter().map(|leaf| serde_json::from_slice(leaf).expect("JSON")).collect();
    for project in [&house.project, &other, &house.system] {
        let page = house.get(&format!("{ANCHORS}?project_id={project}")).key(&house.instance).send().is(200);
        let digests = page["anchors"].as_array().expect("anchors").iter().map(|anchor| {
            let text = text(anchor, "anchor_text");
            json!(independent::hex(&independent::sha256(text.as_bytes())))
        });
        let own: Vec<_> = leaves.iter().filter(|leaf| leaf["project_id"] == **project).map(|leaf| leaf["anchor_sha256"].clone()).collect();
        assert!(!own.is_empty() && digests.take(own.len()).eq(own), "{project}");
    }

    // A key of the instance's own project is no key of the instance.
    let insider = house.make_key(&house.system, "application", &["audit:read"]);
    for (key, home) in [(&house.admin, &house.project), (&stranger, &other), (&insider, &house.system)] {
        for path in ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"] {
            let guessed = house.get(&format!("/tlog/{NOBODY}/{path}")).key(key).send();
            let answer = house.get(&format!("/tlog/instance/{path}")).key(key).send();
            assert_eq!((answer.status, answer.text()), (404, guessed.text()), "{path}");
            answer.left(&house, (home, "audit.read", "deny"));
        }
    }
    let unable = json!({"name": "k", "scopes": ["control:write"], "owner": {"type": "instance"}});
    let unable = house.post("/v1/api_keys", &unable).key(&house.instance).send().is(201);
    let ask = house.get("/tlog/instance/checkpoint").key(text(&unable, "key"));
    ask.refused(403, "forbidden", (&house.system, "audit.read", "deny"));
}

#[test]
fn another_projects_log_and_one_that_is_nowhere_are_answered_alike() {
    let house = start();
    let (_, stranger) = house.tenant("north");
    append(&house, 300);
    seal(&house);
    for path in ["checkpoint", "tile/0/000", "tile/0/001.p/1", "tile/entries/000", "tile/9/999", "tile/nonsense"] {
        let ask = |log: &str| house.get(&format!("/tlog/{log}/{path}")).key(&stranger).send();
        let real = ask(&house.project);
        for guessed in [NOBODY, "nonsense", "%20"] {
            let guessed = ask(guessed);
            assert_eq!((real.status, real.text()), (404, guessed.text()), "{path}");
            assert!(real.headers.keys().eq(guessed.headers.keys()), "{path}");
        }
    }
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    let ask = house.get(&format!("/tlog/{}/checkpoint", house.project)).key(&writer);
    ask.refused(403, "forbidden", (&house.project, "audit.read", "deny"));
}
