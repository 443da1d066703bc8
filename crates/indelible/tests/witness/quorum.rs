//! Two of three: what one witness does, or does not, keeps nobody from the others' word, and shows.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Note, Signer as _};
use indelible_engine::cosigning::FailureKind;

use crate::fake::{Fake, forged, signer};
use crate::house::{House, kinds, log_key};
use crate::process::Witness;

fn policy(witnesses: &[(&str, &str)]) -> String {
    let lines: Vec<String> = (1..).zip(witnesses).map(|(n, (key, url))| format!("witness w{n} {key} {url}")).collect();
    format!("{}\ngroup two 2 w1 w2 w3\nquorum two\n", lines.join("\n"))
}

#[test]
fn two_of_three_are_enough_and_the_third_comes_when_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let key = log_key(&data);
    let start = |name: &str| Witness::start(&folder.path().join(name), &[&key]);
    let (one, two, three) = (start("one"), start("two"), start("three"));
    let policy = policy(&[(&one.key, &one.url), (&two.key, &two.url), (&three.key, &three.url)]);
    let address = three.address();
    three.kill();
    let house = House::open(&data, Some(&policy));
    house.grow("alice");
    let status = house.until("two cosign", |status| status.is_fulfilled && status.witnesses[2].failing.is_some());
    assert_eq!(kinds(&status), [None, None, Some(FailureKind::Unreachable)]);
    assert!(status.cosigned_at.is_some() && status.cosigned_age_micros.is_some());
    let shown = house.checkpoints();
    let newest = shown.newest.clone().expect("one");
    assert_eq!((newest.cosigned_by.len(), shown.cosigned.as_ref()), (2, Some(&newest)));
    let keys = [&key, &one.key, &two.key].map(|key| key.parse().expect("a key"));
    let opened = Checkpoint::open(&Note::parse(newest.note.as_bytes()).expect("a note"), &keys).expect("the log's");
    assert_eq!((opened.checkpoint.size, opened.witnesses.len()), (newest.size, 2));

    let three = Witness::start_on(&folder.path().join("three"), &address, &[&key]);
    house.until("the third comes", |status| status.witnesses[2].size == Some(newest.size));
    assert_eq!(house.checkpoints().newest.expect("one").cosigned_by.len(), 3);
    // One alone is not enough: the newest is shown, and the one before it is what the quorum said.
    two.kill();
    three.kill();
    house.grow("bob");
    let status =
        house.until("one is left", |status| status.witnesses[0].size == Some(status.size) && status.witnesses[1].failing.is_some());
    assert!(!status.is_fulfilled && status.cosigned_size < Some(status.size), "{status:?}");
    let shown = house.checkpoints();
    assert_eq!((shown.newest.expect("one").size, shown.cosigned.expect("one").size), (status.size, status.cosigned_size.expect("one")));
    // What was said is there after a restart.
    house.ledger.close();
    let again = House::open(&data, Some(&policy)).status();
    assert!(again.cosigned_size >= status.cosigned_size && again.witnesses[1].size == status.cosigned_size, "{again:?}");
}

/// Status, media type and body that are answered to a request's body.
type Answers = Box<dyn Fn(&str) -> Option<(u16, String, String)> + Send + Sync>;

/// What a witness may do, and what is said of it; of one that has not answered yet, nothing.
fn misbehaviours() -> Vec<(&'static str, Answers, Option<FailureKind>)> {
    let plain = || "text/plain".to_owned();
    let size = || "text/x.tlog.size".to_owned();
    vec![
        ("slow", Box::new(|_| None), None),
        ("garbage", Box::new(move |_| Some((200, plain(), "hello\n".to_owned()))), Some(FailureKind::BadAnswer)),
        ("empty", Box::new(move |_| Some((200, plain(), String::new()))), Some(FailureKind::BadAnswer)),
        ("endless", Box::new(move |_| Some((200, plain(), "— x AAAAAAA=\n".repeat(9_000)))), Some(FailureKind::BadAnswer)),
        ("a broken one", Box::new(move |_| Some((500, plain(), "oh\n".to_owned()))), Some(FailureKind::BadAnswer)),
        (
            "never the size",
            Box::new(move |body| {
                let old: u64 = body.lines().next()?.strip_prefix("old ")?.parse().ok()?;
                Some((409, size(), format!("{}\n", u64::from(old == 0))))
            }),
            Some(FailureKind::BadAnswer),
        ),
        (
            "the same size",
            Box::new(move |body| Some((409, size(), format!("{}\n", body.lines().next()?.strip_prefix("old ")?)))),
            Some(FailureKind::BadAnswer),
        ),
        ("no size", Box::new(move |_| Some((409, size(), "1".to_owned()))), Some(FailureKind::BadAnswer)),
        ("a larger size", Box::new(move |_| Some((409, size(), "1000000\n".to_owned()))), Some(FailureKind::RolledBack)),
        ("another root", Box::new(move |_| Some((409, plain(), "no\n".to_owned()))), Some(FailureKind::Forked)),
        ("inconsistent", Box::new(move |_| Some((422, plain(), "no\n".to_owned()))), Some(FailureKind::Forked)),
        ("unknown key", Box::new(move |_| Some((403, plain(), "no\n".to_owned()))), Some(FailureKind::UnknownKey)),
        ("unknown log", Box::new(move |_| Some((404, plain(), "no\n".to_owned()))), Some(FailureKind::UnknownLog)),
        (
            "another's key",
            Box::new(move |body| {
                let other = signer("fake.example", 9);
                Some((200, plain(), forged(body, &other, &other)))
            }),
            Some(FailureKind::BadAnswer),
        ),
        (
            "a forged key id",
            Box::new(move |body| Some((200, plain(), forged(body, &signer("fake.example", 9), &signer("fake.example", 8))))),
            Some(FailureKind::BadAnswer),
        ),
        ("a redirect", Box::new(move |_| Some((307, plain(), String::new()))), Some(FailureKind::BadAnswer)),
    ]
}

#[test]
fn a_witness_that_misbehaves_is_named_and_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let key = log_key(&data);
    let start = |name: &str| Witness::start(&folder.path().join(name), &[&key]);
    let (one, two) = (start("one"), start("two"));
    for (name, answer, expected) in misbehaviours() {
        let fake = Fake::start(answer);
        let fake_key = signer("fake.example", 8).verifier_key().to_string();
        let house = House::open(&data, Some(&policy(&[(&one.key, &one.url), (&two.key, &two.url), (&fake_key, &fake.url)])));
        let began = Instant::now();
        house.grow(name);
        assert!(began.elapsed() < Duration::from_secs(10), "{name}: sealing waits for nobody");
        let status = house.until(name, |status| status.is_fulfilled && (expected.is_none() || status.witnesses[2].failing.is_some()));
        assert_eq!(kinds(&status), [None, None, expected], "{name}: {status:?}");
        assert!(fake.asked() >= 1 || expected.is_none(), "{name}");
        assert_eq!(status.witnesses[2].size, None, "{name}");
        assert_eq!(house.checkpoints().newest.expect("one").cosigned_by.len(), 2, "{name}");
        house.ledger.close();
    }
}

#[test]
fn a_policy_of_another_log_does_not_start_and_none_asks_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let key = log_key(&data);
    let other = log_key(&folder.path().join("other"));
    let refused = House::try_open(&data, Some(&format!("log {other}\nquorum none\n"))).err().expect("another log").to_string();
    assert!(refused.contains(&key), "{refused}");
    let refused = House::try_open(&data, Some("witness a x\n")).err().expect("no policy");
    assert!(format!("{refused:#}").contains("line 1"), "{refused:#}");
    let wrong = signer("w.example", 1).verifier_key().to_string();
    let refused = House::try_open(&data, Some(&format!("witness a {wrong} ftp://x\nquorum a\n"))).err().expect("no URL").to_string();
    assert!(refused.contains("policy"), "{refused}");
    let house = House::open(&data, Some(&format!("log {other}\nlog {key} https://log.example\nwitness a {wrong}\nquorum none\n")));
    house.grow("alice");
    let status = house.until("nobody is enough", |status| status.is_fulfilled && status.size > 0);
    assert!(!status.witnesses[0].is_asked && status.cosigned_at.is_none());
    assert_eq!(status.cosigned_size, Some(status.size));
}

#[test]
fn a_server_asks_the_witnesses_of_its_policy_and_shows_it_in_its_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let witness = Witness::start(&folder.path().join("one"), &[&log_key(&data)]);
    let file = folder.path().join("policy");
    std::fs::write(&file, format!("witness w\"1 {} {}\nquorum w\"1\n", witness.key, witness.url)).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_indelible"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--log",
            "off",
            "--anchor-interval-seconds",
            "1",
            "--data",
        ])
        .arg(&data)
        .arg("--checkpoints")
        .arg(folder.path().join("data.checkpoints"))
        .arg("--witness-policy")
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped"))).map_while(Result::ok);
    let metrics = lines.find_map(|line| line.strip_prefix("Metrics on ").map(str::to_owned)).expect("it says so");
    let end = Instant::now() + Duration::from_secs(30);
    let text = loop {
        let text = ureq::get(&metrics).call().expect("figures").body_mut().read_to_string().expect("text");
        if text.lines().any(|line| line == "indelible_quorum_met 1") || Instant::now() > end {
            break text;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    child.kill().ok();
    child.wait().ok();
    for beginning in ["indelible_quorum_met 1", "indelible_cosigned_size ", "indelible_witness_size{witness=\"w\\\"1\"} "] {
        assert!(text.lines().any(|line| line.starts_with(beginning)), "{beginning} in\n{text}");
    }
}
