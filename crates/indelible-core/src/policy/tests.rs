//! A table of what is a policy and what is not, the example of the document, and the law of quorums.

use proptest::prelude::*;

use super::*;
use crate::key::Secret;
use crate::note::{LocalSigner, Name, Signer};

fn key(name: &str, algorithm: Algorithm, seed: u8) -> String {
    let signer = LocalSigner::from_seed(Name::new(name).expect("a name"), algorithm, &Secret::new([seed; 32])).expect("a seed");
    signer.verifier_key().to_string()
}

fn log(seed: u8) -> String {
    key("log.example", Algorithm::Ed25519, seed)
}

fn witness(seed: u8) -> String {
    key(&format!("w{seed}.example"), Algorithm::CosignatureV1, seed)
}

/// `<L1>` and `<W1>` stand for keys.
fn filled(text: &str) -> Vec<u8> {
    let mut text = text.to_owned();
    for seed in 1..8 {
        text = text.replace(&format!("<L{seed}>"), &log(seed)).replace(&format!("<W{seed}>"), &witness(seed));
    }
    text.into_bytes()
}

fn read(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&filled(text))
}

/// The example of c2sp.org/tlog-policy, with keys.
const EXAMPLE: &str = "log <L1>\n\n\
    witness X1 <W1>\nwitness X2 <W2>\nwitness X3 <W3>\ngroup X-witnesses 2 X1 X2 X3\n\n\
    witness Y1 <W4>\nwitness Y2 <W5>\nwitness Y3 <W6>\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
    group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n";

#[test]
fn the_example_asks_for_two_of_one_kind_and_one_of_the_other() {
    let policy = read(EXAMPLE).expect("a policy");
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    for (cosigned, enough) in [
        ("", false),
        ("X1 X2", false),
        ("X1 Y1", false),
        ("X1 X3 Y2", true),
        ("X1 X2 X3", false),
        ("Y1 Y2 Y3 X2", false),
        ("X1 X2 X3 Y1 Y2 Y3", true),
    ] {
        let names: Vec<&str> = cosigned.split(' ').collect();
        assert_eq!(policy.is_fulfilled(|witness| names.contains(&witness.name.as_str())), enough, "{cosigned}");
    }
}

#[test]
fn what_is_a_policy_is_read() {
    for (text, witnesses) in [
        ("quorum none\n", 0),
        ("#nothing\n \t\n  # more\nquorum\tnone \n", 0),
        ("witness a <W1>\nquorum a\n", 1),
        ("quorum none\nlog <L1> https://log.example\nwitness a <W1> https://w.example/\nlog <L2>\n", 1),
        ("witness K <W1>\nwitness \u{212a} <W2>\ngroup all any K \u{212a}\nquorum all\n", 2),
        ("witness a <W1>\ngroup g 1 a\ngroup h all g\nquorum h\n", 1),
        ("witness #a <W1>\nquorum #a\n", 1),
    ] {
        assert_eq!(read(text).map(|policy| policy.witnesses().len()), Ok(witnesses), "{text}");
    }
    let policy = read("log <L1> https://log.example/x\nwitness a <W1> http://w.example\nquorum none\n").expect("a policy");
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example/x"));
    assert_eq!((policy.witnesses()[0].url.as_deref(), policy.witnesses()[0].key.to_string()), (Some("http://w.example"), witness(1)));
    assert!(policy.is_fulfilled(|_| false), "none is enough");
    // Octets with the high bit say nothing, also where they are not UTF-8.
    let mut odd = filled("witness a <W1>\nquorum a\n# ");
    odd.extend(b"\xff\x80\n");
    assert!(Policy::parse(&odd).is_ok());
}

#[test]
fn what_is_none_is_refused_with_its_line() {
    let no_end = "quorum none";
    for (text, line, words) in [
        ("quorum none\nquorum none\n", 2, "already"),
        ("witness a <W1>\n quorum b\n", 2, "\"b\" is not defined"),
        ("quorum a\nwitness a <W1>\n", 1, "not defined"),
        ("quorum\n", 1, "a quorum is"),
        ("quorum none none\n", 1, "a quorum is"),
        (no_end, 1, "newline"),
        ("quorum none\r\n", 1, "0x0d"),
        ("quorum none\n#\u{7f}\n", 2, "0x7f"),
        ("quorums none\n", 1, "quorums"),
        ("Log <L1>\nquorum none\n", 1, "begins with"),
        ("log\n", 1, "a log is"),
        ("log <L1> u v\n", 1, "a log is"),
        ("log <W1>\n", 1, "0x01"),
        ("log <L1>x\n", 1, "verifier key"),
        ("log x\n", 1, "three parts"),
        ("\nlog <L1>\nlog <L1>\n", 3, "already"),
        ("witness a\n", 1, "a witness is"),
        ("witness a <W1> u v\n", 1, "a witness is"),
        ("witness a <L1>\n", 1, "0x04"),
        ("witness none <W1>\n", 1, "none"),
        ("witness a <W1>\nwitness a <W2>\n", 2, "defined already"),
        ("witness a <W1>\nwitness b <W1>\n", 2, "public key"),
        ("group g any\n", 1, "at least one"),
        ("group g\n", 1, "a group is"),
        ("group none any a\n", 1, "not defined"),
        ("witness a <W1>\ngroup none any a\n", 2, "none"),
        ("witness a <W1>\ngroup a any a\n", 2, "defined already"),
        ("witness a <W1>\ngroup g any g\n", 2, "not defined"),
        ("group g any none\n", 1, "none is no member"),
        ("witness a <W1>\ngroup g all a a\n", 2, "already"),
        ("witness a <W1>\ngroup g all a\ngroup h all a\n", 3, "already"),
        ("witness a <W1>\ngroup g 0 a\n", 2, "from 1 to 1"),
        ("witness a <W1>\ngroup g 2 a\n", 2, "from 1 to 1"),
        ("witness a <W1>\ngroup g 01 a\n", 2, "threshold"),
        ("witness a <W1>\ngroup g +1 a\n", 2, "threshold"),
        ("witness a <W1>\ngroup g ANY a\n", 2, "threshold"),
    ] {
        match read(text) {
            Err(PolicyError::Line { line: at, fault }) => assert!(at == line && fault.contains(words), "{text:?}: {at}: {fault}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert_eq!(read("witness a <W1>\n"), Err(PolicyError::NoQuorum));
    assert_eq!(read(""), Err(PolicyError::NoQuorum));
    assert_eq!(Policy::parse(&vec![b'\n'; POLICY_BYTES_MAX + 1]), Err(PolicyError::TooLong(POLICY_BYTES_MAX + 1)));
    let wrong_name = log(1).replacen("log.example", "log.other", 1);
    assert!(Policy::parse(format!("log {wrong_name}\n").as_bytes()).is_err(), "an id that is not the key's");
}

#[test]
fn as_many_lines_as_may_be() {
    let lines = |count: usize| -> String {
        let one = |n: usize| format!("witness w{n} {}\n", key("w.example", Algorithm::CosignatureV1, n as u8));
        (0..count).map(one).chain(["quorum none\n".to_owned()]).collect()
    };
    assert!(Policy::parse(lines(POLICY_LINES_OF_A_KIND_MAX).as_bytes()).is_ok());
    assert!(Policy::parse(lines(POLICY_LINES_OF_A_KIND_MAX + 1).as_bytes()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A cosignature more never makes a quorum fail, and a flat group counts.
    #[test]
    fn more_cosignatures_are_never_less(threshold in 1_usize..=7, cosigned in any::<u8>(), more in 0_u8..7) {
        let witnesses: Vec<String> = (1..8).map(|n| format!("witness w{n} <W{n}>")).collect();
        let text = format!("{}\ngroup g {threshold} w1 w2 w3 w4 w5 w6 w7\nquorum g\n", witnesses.join("\n"));
        let policy = read(&text).expect("a policy");
        let holds = |set: u8| policy.is_fulfilled(|witness| {
            let n: u8 = witness.name[1..].parse().expect("a number");
            set & (1 << (n - 1)) != 0
        });
        prop_assert_eq!(holds(cosigned), (cosigned & 0x7f).count_ones() as usize >= threshold);
        prop_assert!(!holds(cosigned) || holds(cosigned | 1 << more));
    }
}
