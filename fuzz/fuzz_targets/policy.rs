//! A policy that is read is the same when it is read from its plain form, and its quorum is what somebody says who goes by the words of
//! its lines alone; one more cosignature never makes it less.

#![no_main]

use std::collections::HashMap;

use indelible_core::policy::Policy;
use libfuzzer_sys::fuzz_target;

type Items<'b> = Vec<&'b [u8]>;

fn items(line: &[u8]) -> Items<'_> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|item| !item.is_empty()).collect()
}

/// Whether the quorum of these lines is met by the witnesses, in the order of their lines, whose bit is set.
fn is_met(lines: &[Items<'_>], cosigned: u64) -> bool {
    let (mut held, mut witnesses): (HashMap<&[u8], bool>, u32) = (HashMap::new(), 0);
    let mut quorum = None;
    for line in lines {
        match line.as_slice() {
            [b"witness", name, ..] => {
                held.insert(name, cosigned >> witnesses & 1 == 1);
                witnesses += 1;
            }
            [b"group", name, threshold, members @ ..] => {
                let enough = match *threshold {
                    b"all" => members.len(),
                    b"any" => 1,
                    digits => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a number"),
                };
                let holding = members.iter().filter(|member| held[*member]).count();
                held.insert(name, holding >= enough);
            }
            [b"quorum", name] => quorum = Some(*name == b"none" || held[name]),
            _ => {}
        }
    }
    quorum.expect("a quorum")
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(policy) = Policy::parse(bytes) else { return };
    let lines = bytes.split(|byte| *byte == b'\n').map(items);
    let lines: Vec<Items<'_>> = lines.filter(|line| line.first().is_some_and(|first| !first.starts_with(b"#"))).collect();
    let mut plain = Vec::new();
    for line in &lines {
        plain.extend(line.join(&b' '));
        plain.push(b'\n');
    }
    assert_eq!(Policy::parse(&plain).as_ref(), Ok(&policy));

    let count = policy.witnesses().len();
    assert!(count <= 64);
    let fulfilled = |cosigned: u64| {
        policy.is_fulfilled(|witness| {
            let at = policy.witnesses().iter().position(|other| other == witness).expect("one of them");
            cosigned >> at & 1 == 1
        })
    };
    // Subsets that the input itself names, and all of a small policy.
    let all = if count < 6 { 1 << count } else { 0 };
    let some = bytes.chunks(8).take(16).map(|chunk| chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)));
    for cosigned in (0..all).chain(some).chain([0, u64::MAX]) {
        let enough = fulfilled(cosigned);
        assert_eq!(enough, is_met(&lines, cosigned));
        assert!(!enough || (0..count).all(|more| fulfilled(cosigned | 1 << more)));
    }
});
