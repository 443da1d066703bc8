//! Requests and answers against a table from another implementation, the document's example, and what is no request.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::hex;
use crate::key::Secret;
use crate::note::{LocalSigner, cosign};
use crate::tree::{Edge, Range, inclusion, leaf_hash};

/// The example of c2sp.org/tlog-witness.
const EXAMPLE: &str = "old 20852014\n\
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
    5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
    /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n\
    example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

fn text(value: &Json) -> &str {
    value.as_str().expect("a string")
}

/// `testdata/witness.json` is made by `testdata/witness.py`.
#[test]
fn answers_agree_with_another_implementation() {
    let vectors: Json = serde_json::from_str(include_str!("../../testdata/witness.json")).expect("JSON");
    let keys: [VerifierKey; 1] = [text(&vectors["log"]).parse().expect("a key")];
    let cases = vectors["cases"].as_array().expect("cases");
    assert!(cases.len() >= 17);
    for case in cases {
        let name = text(&case["name"]);
        let request = AddCheckpoint::parse(text(&case["body"]).as_bytes()).expect(name);
        assert_eq!(request.to_string(), text(&case["body"]), "{name}");
        let last = case["last"].as_array().map(|last| LastCosigned {
            size: last[0].as_u64().expect("a number"),
            root: hex::decode_array(text(&last[1])).expect("32 bytes"),
        });
        let known = case["known"].as_bool().expect("a boolean");
        let answer = request.decide(known.then_some(&keys[..]), last.as_ref());
        assert_eq!(Some(u64::from(answer.status())), case["status"].as_u64(), "{name}: {answer:?}");
        let size = if let Answer::OtherSize(size) = answer { Some(size) } else { None };
        assert_eq!(size, case["size"].as_u64(), "{name}");
        // The witness's key is not the log's, and its word not the log's word.
        let witness: [VerifierKey; 1] = [text(&vectors["witness"]).parse().expect("a key")];
        assert_eq!(request.decide(Some(&witness), last.as_ref()), Answer::Unsigned, "{name}");
        let seed = Secret::new(hex::decode_array(text(&vectors["witness_seed"])).expect("32 bytes"));
        let signer = LocalSigner::from_seed(witness[0].name().clone(), Algorithm::CosignatureV1, &seed).expect("a seed");
        let line = cosign(request.note().text(), &signer, vectors["time"].as_u64().expect("a number")).expect("it cosigns");
        if request.checkpoint().size == 40 && name == "grown" {
            assert_eq!(line.to_string(), text(&vectors["cosigned"]));
        }
        let mut sent_back = request.note().clone();
        sent_back.add(line).expect("few");
        let sent_back = AddCheckpoint::new(request.old, request.proof.clone(), sent_back).expect("a request");
        assert_eq!(sent_back.decide(Some(&witness), last.as_ref()), Answer::Unsigned, "{name}");
    }
}

#[test]
fn a_changed_signature_is_no_signature() {
    let request = AddCheckpoint::parse(EXAMPLE.as_bytes()).expect("a request");
    assert_eq!((request.to_string().as_str(), request.old, request.proof.len()), (EXAMPLE, 20_852_014, 4));
    assert_eq!(request.checkpoint().size, 20_852_163);
    let vectors: Json = serde_json::from_str(include_str!("../../testdata/witness.json")).expect("JSON");
    let keys: [VerifierKey; 1] = [text(&vectors["log"]).parse().expect("a key")];
    let body = text(&vectors["cases"][0]["body"]);
    assert_eq!(AddCheckpoint::parse(body.as_bytes()).expect("a request").decide(Some(&keys), None), Answer::Cosign);
    let changed = body.replacen("\n5\n", "\n6\n", 1);
    assert_eq!(AddCheckpoint::parse(changed.as_bytes()).expect("a request").decide(Some(&keys), None), Answer::Unsigned);
}

/// The log signed them, so they are in what is cosigned, and a change of one is a change of the text.
#[test]
fn extension_lines_are_cosigned_and_not_looked_into() {
    let name = crate::note::Name::new("log").expect("a name");
    let log = LocalSigner::from_seed(name, Algorithm::Ed25519, &Secret::new([1; 32])).expect("a seed");
    let keys = [crate::note::Signer::verifier_key(&log).clone()];
    let root = leaf_hash(b"a");
    let text = format!("log\n1\n{}\nextension 1\n", lines::encode(&root));
    let mut note = Note::new(text.clone()).expect("a text");
    crate::note::sign(&mut note, &log).expect("it signs");
    let body = format!("old 0\n\n{note}");
    let request = AddCheckpoint::parse(body.as_bytes()).expect("a request");
    assert_eq!((request.decide(Some(&keys), None), request.note().text(), request.to_string()), (Answer::Cosign, &*text, body.clone()));
    assert_eq!((request.checkpoint().size, request.checkpoint().root), (1, root));
    let changed = AddCheckpoint::parse(body.replace("extension 1", "extension 2").as_bytes()).expect("a request");
    assert_eq!(changed.decide(Some(&keys), None), Answer::Unsigned);
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=";
    for (body, why) in [
        (EXAMPLE.replacen("old ", "", 1), "line 1"),
        (EXAMPLE.replacen("old ", "old  ", 1), "line 1"),
        (EXAMPLE.replacen("old 2", "old 02", 1), "line 1"),
        (EXAMPLE.replacen("old 20852014", "old 9223372036854775808", 1), "line 1"),
        (EXAMPLE.replacen(hash, &hash[1..], 1), "line 2: not 32"),
        (EXAMPLE.replacen("5+p", " 5+p", 1), "line 4: not 32"),
        (EXAMPLE.replacen(hash, &[hash; 60].join("\n"), 1), ""),
        (EXAMPLE.replacen(hash, &[hash; 61].join("\n"), 1), "line 65: more than 63"),
        (EXAMPLE.replacen("\n\n", "\n", 1), "line 6"),
        (EXAMPLE.replace("\n\n", "\n"), "no blank line"),
        (EXAMPLE.replacen("\n20852163", "\n020852163", 1), "its checkpoint: not a checkpoint"),
        (EXAMPLE.replacen("q2I=\n", "q2I=\nextension\n", 1), ""),
        (EXAMPLE.replacen("q2I=\n", "q2I=\n\nextension\n", 1), "extension line that is empty"),
        (EXAMPLE.replace('—', "-"), "its checkpoint: line"),
        (EXAMPLE[..EXAMPLE.len() - 1].to_owned(), "its checkpoint: line"),
        ("x".repeat(PROOF_BYTES_MAX + 1), "too long"),
    ] {
        match AddCheckpoint::parse(body.as_bytes()) {
            Ok(_) => assert_eq!(why, "", "{body}"),
            Err(error) => assert!(!why.is_empty() && error.to_string().contains(why), "{why}: {error}"),
        }
    }
    assert_eq!(AddCheckpoint::parse(b"old 1\xff"), Err(RequestError::Bytes("not UTF-8")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A witness that follows its own answers never lets a log go back or fork.
    #[test]
    fn what_is_cosigned_only_grows(steps in proptest::collection::vec((0_u64..40, 0_u64..40, any::<bool>()), 1..20)) {
        let name = crate::note::Name::new("log").expect("a name");
        let signer = LocalSigner::from_seed(name.clone(), Algorithm::Ed25519, &Secret::new([1; 32])).expect("a seed");
        let keys = [crate::note::Signer::verifier_key(&signer).clone()];
        let leaves = |other: bool| -> Vec<Hash> { (0..40_u64).map(|n| leaf_hash(&[n as u8, u8::from(other && n == 20)])).collect() };
        let root = |leaves: &[Hash]| {
            let mut edge = Edge::new();
            for leaf in leaves {
                edge.append(*leaf, &mut Vec::new());
            }
            edge.root()
        };
        let mut last: Option<LastCosigned> = None;
        for (old, size, other) in steps {
            let leaves = leaves(other);
            let hash_at = |height: u32, index: u64| leaves.get((index << height) as usize..((index + 1) << height) as usize).map(|leaves| {
                let mut range = Range::new(0);
                for leaf in leaves {
                    range.push(*leaf);
                }
                range.root().expect("it begins at 0")
            });
            prop_assert!(size == 0 || inclusion::path(0, size, hash_at).is_some());
            let checkpoint = Checkpoint { origin: name.clone(), size, root: root(&leaves[..size as usize]) };
            let proof = consistency::proof(old, size, hash_at).unwrap_or_default();
            let request = AddCheckpoint::new(old, proof, checkpoint.sign(&[&signer]).expect("it signs")).expect("a request");
            prop_assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request.clone()));
            let answer = request.decide(Some(&keys), last.as_ref());
            let before = last.map_or(0, |last| last.size);
            let one_history = last.is_none_or(|last| root(&leaves[..last.size as usize]) == last.root);
            let good = old == before && size >= before && one_history;
            prop_assert_eq!(answer == Answer::Cosign, good, "{:?} for {} to {} after {:?}", answer, old, size, last);
            if good {
                last = Some(LastCosigned { size, root: checkpoint.root });
            }
        }
    }
}
