//! `/v1/audit/consistency`: between any two sizes.

use indelible_core::proof::ConsistencyProof;
use serde_json::Value;

use super::{ANCHORS, append, independent, keys, seal, start, text};

const PATH: &str = "/v1/audit/consistency";

#[test]
fn any_two_checkpoints_are_proved_to_be_of_one_log() {
    let house = start();
    let keys = keys(&house);
    for count in [1, 3, 60, 61, 130, 1] {
        append(&house, count);
        seal(&house);
    }
    let page = house.get(ANCHORS).send().is(200);
    let anchors = page["anchors"].as_array().expect("anchors");
    let mut sizes = vec![(0, independent::root(&[]))];
    for anchor in anchors {
        let (_, size, root) = independent::checkpoint(text(anchor, "checkpoint"), &keys[..1]);
        sizes.push((size, root));
    }
    assert!(sizes.len() > 6 && sizes.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let newest = sizes.last().expect("some").0;
    for (n, (old, old_root)) in sizes.iter().enumerate() {
        for (new, new_root) in &sizes[n..] {
            let answer = house.get(&format!("{PATH}?from={old}&to={new}")).send();
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
            assert!(answer.text().starts_with(&format!("{old}\n{new}\n")));
            assert!(independent::consistent(answer.text(), old_root, new_root), "{old} to {new}");
            let own = ConsistencyProof::parse(answer.text().as_bytes()).expect("a proof");
            assert!(own.holds(old_root, new_root));
            assert!(*old == 0 || !independent::consistent(answer.text(), &[7; 32], new_root));
        }
        // Without `to` it is the newest, and JSON has its checkpoint beside.
        let answer = house.get(&format!("{PATH}?from={old}")).header("accept", "application/json").send();
        answer.left(&house, (&house.project, "audit.read", "allow"));
        let proof = answer.is(200);
        assert_eq!((proof["from"].as_u64(), proof["to"].as_u64()), (Some(*old), Some(newest)));
        let (_, size, root) = independent::checkpoint(text(&proof, "checkpoint"), &keys[..1]);
        assert!(size == newest && independent::consistent(text(&proof, "proof"), old_root, &root));
        let hashes = proof["hashes"].as_array().expect("hashes").iter();
        let lines = text(&proof, "proof").lines().skip(2).map(|line| independent::hex(&independent::base64(line)));
        assert!(hashes.map(|hash| hash.as_str().expect("text").to_owned()).eq(lines));
    }
    // Sizes between two checkpoints as well; what is not the newest has no checkpoint beside.
    let between = house.get(&format!("{PATH}?from=2&to={}", newest - 1)).header("accept", "application/json").send().is(200);
    assert_eq!(between["checkpoint"], Value::Null);
}

#[test]
fn wrong_questions_are_refused_and_recorded() {
    let house = start();
    let read = |outcome| (&*house.project, "audit.read", outcome);
    let early = house.get(&format!("{PATH}?from=0")).refused(409, "not-anchored", read("error"));
    assert!(text(&early, "detail").starts_with("nothing of the project was signed yet; "), "{early}");
    append(&house, 5);
    let size = seal(&house)["anchor"]["tree_size"].as_u64().expect("a size");
    append(&house, 5);
    let cases = [
        (String::new(), 400, "invalid-query", "from must be given"),
        ("?from=-1".to_owned(), 400, "invalid-query", "from must be an integer"),
        ("?from=3&to=2".to_owned(), 400, "invalid-query", "from must not be larger than to"),
        ("?from=1&to=2&at=3".to_owned(), 400, "invalid-query", "an unknown parameter"),
        ("?from=9007199254740992".to_owned(), 400, "invalid-query", "from must be an integer"),
        (format!("?from=1&to={}", size + 1), 409, "not-anchored", "the newest checkpoint covers "),
        (format!("?from={}", size + 1), 409, "not-anchored", "the newest checkpoint covers "),
    ];
    for (query, status, kind, detail) in cases {
        let problem = house.get(&format!("{PATH}{query}")).refused(status, kind, read("error"));
        assert!(text(&problem, "detail").starts_with(detail), "{query}: {problem}");
    }
    let writer = house.make_key(&house.project, "application", &["events:append"]);
    house.get(&format!("{PATH}?from=0")).key(&writer).refused(403, "forbidden", read("deny"));
    let other = format!("{PATH}?from=0&project_id={}", super::NOBODY);
    house.get(&other).refused(404, "not-found", read("deny"));
}
