//! `anchors` and `proof`, offline and through a server; and the walkthroughs of `docs/proofs.md` and `docs/verification.md`, run as they
//! stand there.

use std::process::{Command, Output};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Note, VerifierKey};
use indelible_core::proof::InclusionProof;
use indelible_core::tree::leaf_hash;
use serde_json::{Value, json};

use super::program::{Folder, Ran, Server, run_with};

const EVENT: &str = r#"{"action":"proof.item","outcome":"allow","actor":{"type":"human","id":"alice"},"reason":"é \u0000 \n"}"#;

struct On(Vec<String>);

impl On {
    fn run(&self, arguments: &[&str]) -> Ran {
        let all: Vec<&str> = arguments.iter().copied().chain(self.0.iter().map(String::as_str)).collect();
        run_with(&all, EVENT.as_bytes())
    }

    /// Appends an event; its id.
    fn append(&self) -> String {
        self.run(&["append", "--json"]).ok().json()[0]["id"].as_str().expect("an id").to_owned()
    }
}

#[test]
fn what_was_signed_is_listed_and_proved_offline() {
    lists_and_proves(&On(Folder::new().target()), "seal with `indelible anchors --seal`");
}

#[test]
fn what_was_signed_is_listed_and_proved_through_a_server() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    lists_and_proves(&On(server.target()), "the next sealing is due in ");
}

fn lists_and_proves(on: &On, told: &str) {
    let id = on.append();
    // Offline each command seals when it closes the ledger, so that there the event is covered already.
    let early = on.run(&["proof", &id]);
    assert!(early.code == 0 || early.code == 1 && early.err.contains(told), "{}", early.err);
    let sealed = on.run(&["anchors", "--seal", "--json"]).ok().json();
    assert_eq!((&sealed[0]["unanchored"], &sealed[0]["refusal"]), (&json!(0), &Value::Null));
    let table = on.run(&["anchors", "--seal"]).ok();
    assert!(table.out.trim_start().starts_with("NUMBER") && table.out.lines().count() == 2, "{}", table.out);

    let text = on.run(&["proof", &id]).ok().out;
    let document = on.run(&["proof", &id, "--json"]).ok().json().remove(0);
    let entry = document["entry"].as_str().expect("an entry");
    assert_eq!(serde_json::from_str::<Value>(entry).expect("JSON")["id"], json!(id));
    let proof = InclusionProof::parse(text.as_bytes()).expect("a proof, byte for byte");
    let checkpoint = Checkpoint::parse(proof.checkpoint.text()).expect("a checkpoint");
    let root = indelible_core::tree::inclusion::root(&leaf_hash(entry.as_bytes()), proof.index, checkpoint.size, &proof.path);
    assert_eq!(root, Some(checkpoint.root));

    let all = on.run(&["anchors", "--all", "--json"]).ok().json();
    assert!(all.len() >= 2 && all.iter().enumerate().all(|(n, anchor)| anchor["number"] == json!(n)));
    for anchor in &all {
        let checkpoint = Note::parse(anchor["checkpoint"].as_str().expect("text").as_bytes()).expect("a note");
        assert_eq!(Checkpoint::parse(checkpoint.text()).map(|c| Some(c.size)), Ok(anchor["anchor"]["tree_size"].as_u64()));
    }
    let page = on.run(&["anchors", "--since", "1", "-n", "1"]).ok();
    assert!(page.out.lines().count() == 2 && page.out.contains(all[1]["anchor"]["tree_root"].as_str().expect("hex")), "{}", page.out);
    assert_eq!(page.err.contains("--since 2"), all.len() > 2, "{}", page.err);

    let nowhere = on.run(&["proof", "00000000-0000-4000-8000-00000000dead"]);
    assert!(nowhere.code == 1 && nowhere.err.contains("there is no such event"), "{}", nowhere.err);
    assert_eq!(on.run(&["anchors", "--seal", "--all"]).code, 2);
}

#[test]
fn a_tree_that_is_not_signed_ends_sealing_with_an_error() {
    let folder = Folder::new();
    let state = tempfile::tempdir().expect("a folder");
    let store = state.path().join("store").display().to_string();
    let run = |arguments: &[&str]| folder.run(&[arguments, &["--checkpoints", &store]].concat());
    let file = folder.file("event.json", EVENT);
    run(&["append", &file]).ok();
    std::fs::remove_dir_all(&store).expect("removed");
    let refused = run(&["anchors", "--seal"]);
    assert!(refused.code == 1 && refused.err.contains("(no_checkpoint)"), "{}{}", refused.out, refused.err);
}

/// The blocks of this kind in the page, as they stand.
pub(super) fn blocks(page: &str, kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for part in page.split(&format!("```{kind}\n")).skip(1) {
        blocks.push(part.split_once("```").expect("the block ends").0.to_owned());
    }
    blocks
}

pub(super) fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../../docs/{name}.md", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

#[test]
fn the_examples_of_the_page_are_golden() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../indelible-core/testdata/proofs.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).expect("vectors")).expect("JSON");
    let known = ["inclusion", "consistency"].iter().flat_map(|kind| golden[kind].as_array().expect("vectors"));
    let known: Vec<_> = known.map(|vector| vector["text"].as_str().expect("text")).collect();
    let examples = blocks(&page("proofs"), "text");
    assert!(examples.len() == 2 && examples.iter().all(|example| known.contains(&example.as_str())), "{examples:?}");
    // Which no proof of ours has, and the walkthrough below does not read.
    assert!(!examples[0].contains("\nextra"), "{}", examples[0]);
}

#[test]
fn the_walkthrough_proves_an_event_and_nothing_else() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    let on = On(server.target());
    let id = on.append();
    on.run(&["anchors", "--seal"]).ok();
    let key = std::fs::read_to_string(folder.path().join("admin.key")).expect("a key");
    let url = on.0[1].clone();
    let listed = Command::new("curl")
        .args(["-sSf", &format!("{url}/v1/audit/keys"), "-H", &format!("Authorization: Bearer {}", key.trim())])
        .output()
        .expect("curl is installed");
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let keys: Vec<&str> = listed["keys"].as_array().expect("keys").iter().filter_map(|key| key["verifier_key"].as_str()).collect();
    assert!(keys.len() == 2 && keys.iter().all(|key| key.parse::<VerifierKey>().is_ok()), "{listed}");

    let page = page("proofs");
    let (shell, python) = (blocks(&page, "sh").remove(0), blocks(&page, "python").remove(0));
    assert!(python.lines().count() <= 40, "an auditor is to read it");
    let work = tempfile::tempdir().expect("a folder");
    std::fs::write(work.path().join("verify.py"), python).expect("written");
    let ran = Command::new("sh")
        .args(["-eu", "-c", &shell])
        .current_dir(work.path())
        .envs([("URL", url.as_str()), ("EVENT", &id), ("PROJECT_KEY", keys[0]), ("INSTANCE_KEY", keys[1])])
        .env("KEY", format!("Authorization: Bearer {}", key.trim()))
        .output()
        .expect("a shell");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && out.starts_with("proved: {") && out.contains(&id), "{out}{}", String::from_utf8_lossy(&ran.stderr));

    // Whatever is changed of the answer, or another's keys: nothing is proved.
    let file = work.path().join("proof.json");
    let proof: Value = serde_json::from_slice(&std::fs::read(&file).expect("the answer")).expect("JSON");
    let verify = |proof: &Value, keys: [&str; 2]| -> Output {
        std::fs::write(&file, proof.to_string()).expect("written");
        Command::new("python3").args(["verify.py", &id, "proof.json", keys[0], keys[1]]).current_dir(work.path()).output().expect("python3")
    };
    let replace = |pointer: &str, from: &str, to: &str| {
        let mut changed = proof.clone();
        let text = changed.pointer_mut(pointer).expect(pointer);
        let other = text.as_str().expect("text").replacen(from, to, 1);
        assert_ne!(*text, json!(other), "{pointer} {from}");
        *text = json!(other);
        changed
    };
    let index = proof["proof"].as_str().and_then(|proof| proof.lines().nth(1)).expect("an index");
    let leaf: Value = serde_json::from_str(proof["instance"]["leaf"].as_str().expect("a leaf")).expect("JSON");
    let cases = [
        (replace("/entry", "alice", "mallory"), "not in the tree"),
        (replace("/entry", &id, "0199f0c1-7a3e-7c55-b0f4-3a1d2e4f5a6b"), "another event"),
        (replace("/proof", index, "index 0"), "not in the tree"),
        (replace("/proof", index, "index 99"), "not in the tree"),
        (replace("/proof", &format!("\n{}\n", leaf["size"]), "\n99\n"), "a signature does not hold"),
        (replace("/instance/leaf", "\"size\":", "\"size\":1"), "not in the tree"),
        (replace("/instance/proof", "\u{2014} ", "\u{2014} x"), "another log or key signed"),
    ];
    for (changed, why) in cases {
        let ran = verify(&changed, [keys[0], keys[1]]);
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && told.trim_end() == format!("not proved: {why}"), "{why}: {told}");
    }
    assert!(verify(&proof, [keys[0], keys[1]]).status.success());
    assert!(!verify(&proof, [keys[1], keys[0]]).status.success());
}

/// Runs one block of a page in a shell that ends where something fails.
fn shell(block: &str, folder: &std::path::Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", block]).current_dir(folder).envs(variables.iter().copied());
    command.output().expect("a shell")
}

#[test]
fn the_walkthrough_with_openssl_and_sha256sum_proves_an_event_and_nothing_else() {
    let folder = Folder::new();
    let server = Server::start(&folder.path());
    let on = On(server.target());
    let ids: Vec<String> = (0..11).map(|_| on.append()).collect();
    on.run(&["anchors", "--seal"]).ok();
    let key = std::fs::read_to_string(folder.path().join("admin.key")).expect("a key");
    let page = page("verification");
    let page = page.split_once("\n## Without this program\n").expect("the part").1;
    let Ok::<[String; 3], _>([keys, fetch, verify]) = blocks(page, "sh").try_into() else { panic!("three blocks") };
    assert!(verify.contains("sha256sum") && verify.contains("openssl") && !verify.contains("python"), "{verify}");
    let work = tempfile::tempdir().expect("a folder");
    let run = |block: &str, event: &str| shell(block, work.path(), &[("URL", on.0[1].as_str()), ("API_KEY", key.trim()), ("EVENT", event)]);
    let said = |ran: &Output| format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let ran = run(&keys, &ids[0]);
    assert!(ran.status.success(), "{}", said(&ran));
    // Leaves to the left, to the right, and at the edge of the tree.
    for id in &ids {
        let ran = run(&format!("{fetch}{verify}"), id);
        let proved = ran.status.success() && said(&ran).lines().any(|line| line.starts_with("proved: {") && line.contains(id));
        assert!(proved, "{}", said(&ran));
    }

    let id = ids.last().expect("an event");
    let files = ["entry", "proof", "project.key"].map(|name| (name, std::fs::read_to_string(work.path().join(name)).expect(name)));
    let index = files[1].1.lines().nth(1).expect("an index").to_owned();
    let size = files[1].1.split("\n\n").nth(1).and_then(|note| note.lines().nth(1)).expect("a size").to_owned();
    let key_id = files[2].1.split('+').nth(1).expect("an id").to_owned();
    let root = files[1].1.split("\n\n").nth(1).and_then(|note| note.lines().nth(2)).expect("a root").to_owned();
    let cases = [
        (0, "alice".to_owned(), "mallory".to_owned()),
        (0, id.clone(), ids[0].clone()),
        (1, index, "index 0".to_owned()),
        (1, format!("\n{size}\n"), "\n99\n".to_owned()),
        (1, root.clone(), if root.starts_with('A') { root.replacen('A', "B", 1) } else { format!("A{}", &root[1..]) }),
        (1, "\u{2014} ".to_owned(), "\u{2014} x".to_owned()),
        (2, key_id, "00000000".to_owned()),
    ];
    for (file, from, to) in cases {
        let (name, text) = &files[file];
        let changed = text.replacen(&from, &to, 1);
        assert_ne!(*text, changed, "{from}");
        std::fs::write(work.path().join(name), changed).expect("written");
        let ran = run(&verify, id);
        assert!(!ran.status.success() && !said(&ran).contains("proved"), "{name}, {from}: {}", said(&ran));
        std::fs::write(work.path().join(name), text).expect("put back");
    }
    assert!(run(&verify, id).status.success());
}
