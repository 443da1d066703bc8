//! A chain as a store would hold it, and one line for each way to tamper with it: what is found, and where.

mod stored;

use proptest::prelude::*;
use stored::{Chain, PROJECT, ROWS, Stored, chain, chain_of, entry, head, keys};

use super::*;
use crate::key::{ProjectKeys, Secret};
use crate::limits::TILE_HASHES;
use crate::tree::Edge;
use Verdict::{Altered, Forked, Intact, Missing, Reordered, RolledBack, Truncated, Unverifiable};

fn found(report: &Report) -> Vec<(Verdict, Option<u64>)> {
    report.findings.iter().map(|finding| (finding.kind, finding.sequence)).collect()
}

type RowCase = (usize, fn(&mut Chain), &'static [(Verdict, u64)]);
type Case = (&'static str, fn(&mut Chain), &'static [(Verdict, u64)]);

#[rustfmt::skip]
const TAMPERED: &[Case] = &[
    ("nothing", |_| (), &[]),
    ("entry", |c| c.rows[5].entry[12] ^= 1, &[(Altered, 5)]),
    ("entry is no JSON", |c| c.rows[5].entry.truncate(40), &[(Altered, 5)]),
    ("entry is empty", |c| c.rows[5].entry.clear(), &[(Altered, 5)]),
    ("prev_hash", |c| c.rows[5].prev_hash[0] ^= 1, &[(Altered, 5)]),
    ("prev_hash of the first", |c| c.rows[0].prev_hash[31] ^= 1, &[(Altered, 0)]),
    ("prev_hash cut", |c| c.rows[5].prev_hash.truncate(31), &[(Altered, 5)]),
    ("row_hash", |c| c.rows[5].row_hash[0] ^= 1, &[(Altered, 5)]),
    ("row_hash of the last", |c| c.rows[299].row_hash[0] ^= 1, &[(Altered, 299)]),
    ("row_hash empty", |c| c.rows[5].row_hash.clear(), &[(Altered, 5)]),
    ("entry and row_hash", |c| { c.rows[5].entry[12] ^= 1; c.rows[5].row_hash[0] ^= 1; }, &[(Altered, 5)]),
    ("row_hash and the next prev_hash", |c| { c.rows[5].row_hash = vec![1; 32]; c.rows[6].prev_hash = vec![1; 32]; }, &[(Altered, 5), (Altered, 6)]),
    ("two rows apart", |c| { c.rows[5].entry[12] ^= 1; c.rows[280].entry[12] ^= 1; }, &[(Altered, 5), (Altered, 280)]),
    ("submission_mac", |c| c.rows[5].submission_mac[31] ^= 1, &[(Altered, 5)]),
    ("submission_mac cut", |c| c.rows[5].submission_mac.truncate(31), &[(Altered, 5)]),
    ("submission_key_id", |c| c.rows[5].submission_key_id = 2, &[(Altered, 5)]),
    ("submission_key_id to nowhere", |c| c.rows[299].submission_key_id = 99, &[(Altered, 299)]),
    ("retry_mac", |c| c.rows[5].retry_mac[0] ^= 1, &[(Altered, 5)]),
    ("retry_mac empty", |c| c.rows[5].retry_mac.clear(), &[(Altered, 5)]),
    ("what a retry is compared with, of another row", |c| {
        let other = c.rows[8].clone();
        (c.rows[5].submission_mac, c.rows[5].retry_mac) = (other.submission_mac, other.retry_mac);
    }, &[(Altered, 5)]),
    ("what a retry is compared with, and the content", |c| { c.rows[6].retry_mac[0] ^= 1; c.rows[6].content = None; }, &[(Altered, 6), (Altered, 6)]),
    ("content", |c| c.rows[6].content.as_mut().unwrap()[9] ^= 1, &[(Altered, 6)]),
    ("content longer", |c| c.rows[6].content.as_mut().unwrap().push(0), &[(Altered, 6)]),
    ("content gone", |c| c.rows[6].content = None, &[(Altered, 6)]),
    ("content of another row", |c| c.rows[6].content = c.rows[9].content.clone(), &[(Altered, 6)]),
    ("content without sealed", |c| c.rows[7].content = Some(vec![1]), &[(Altered, 7)]),
    ("wrap", |c| c.rows[6].wrap.as_mut().unwrap()[39] ^= 1, &[(Altered, 6)]),
    ("wraps exchanged", |c| { let wrap = c.rows[9].wrap; c.rows[9].wrap = std::mem::replace(&mut c.rows[6].wrap, wrap); }, &[(Altered, 6), (Altered, 9)]),
    ("wrap gone", |c| c.rows[6].wrap = None, &[(Altered, 6)]),
    ("wrap without sealed", |c| c.rows[7].wrap = c.rows[6].wrap, &[(Altered, 7)]),
    ("column to nowhere", |c| c.rows[5].sequence = 1 << 60, &[(Altered, 5)]),
    ("columns swapped", |c| { c.rows[5].sequence = 6; c.rows[6].sequence = 5; }, &[(Reordered, 5), (Reordered, 6)]),
    ("columns swapped far apart", |c| { c.rows[5].sequence = 90; c.rows[90].sequence = 5; }, &[(Reordered, 5), (Reordered, 90)]),
    ("rows swapped, columns left", |c| { c.rows.swap(5, 6); c.renumber(); }, &[(Reordered, 5), (Reordered, 6)]),
    ("rows swapped", |c| c.rows.swap(5, 6), &[(Reordered, 5)]),
    ("a row moved down", |c| { let row = c.rows.remove(5); c.rows.insert(8, row); }, &[(Reordered, 5)]),
    ("entries swapped", |c| { let e = c.rows[5].entry.clone(); c.rows[5].entry = std::mem::replace(&mut c.rows[7].entry, e); }, &[(Reordered, 5), (Reordered, 7)]),
    ("entries and row hashes swapped", |c| {
        let s = c.rows[4].clone();
        c.rows[4].entry = std::mem::replace(&mut c.rows[5].entry, s.entry);
        c.rows[4].row_hash = std::mem::replace(&mut c.rows[5].row_hash, s.row_hash);
    }, &[(Reordered, 4), (Reordered, 5)]),
    ("entry copied over another", |c| c.rows[5].entry = c.rows[4].entry.clone(), &[(Altered, 5)]),
    ("first deleted", |c| { c.rows.remove(0); }, &[(Missing, 0)]),
    ("middle deleted", |c| { c.rows.remove(150); }, &[(Missing, 150)]),
    ("many deleted", |c| { c.rows.drain(10..280); }, &[(Missing, 10)]),
    ("two gaps", |c| { c.rows.remove(250); c.rows.drain(10..20); }, &[(Missing, 10), (Missing, 250)]),
    ("middle deleted, the rest renumbered", |c| { c.rows.remove(150); c.renumber(); }, &[(Missing, 150), (Altered, 151)]),
    ("deleted, and the next altered", |c| { c.rows.remove(150); c.rows[150].entry[12] ^= 1; }, &[(Missing, 150), (Altered, 151)]),
    ("deleted, and another altered", |c| { c.rows.remove(150); c.rows[200].entry[12] ^= 1; }, &[(Missing, 150), (Altered, 201)]),
    ("last deleted", |c| { c.rows.pop(); }, &[(Truncated, 299)]),
    ("tail deleted", |c| c.rows.truncate(100), &[(Truncated, 100)]),
    ("all deleted", |c| c.rows.clear(), &[(Truncated, 0)]),
    ("tail deleted, head rewritten", |c| { c.rows.truncate(290); c.rewrite_head(); }, &[(Altered, 289)]),
    ("head of an older copy", |c| c.head = chain(250).head, &[(RolledBack, 250)]),
    ("head of size 0", |c| c.head = chain(0).head, &[(RolledBack, 0)]),
    ("head with empty tiles above the top", |c| c.head().partial_tiles.resize(30, Vec::new()), &[]),
    ("head with tiles above the top", |c| c.head().partial_tiles.resize(3, vec![[0; 32]]), &[(Altered, 0)]),
    ("columns at the end of numbers", |c| c.rows.iter_mut().skip(298).for_each(|row| { row.sequence = u64::MAX; row.entry[12] ^= 1; }), &[(Truncated, 298), (Altered, u64::MAX), (Altered, u64::MAX)]),
    ("head gone", |c| c.head = None, &[(Altered, 299)]),
    ("head rewritten", |c| { c.rows[299].entry[12] ^= 1; c.rewrite_head(); }, &[(Altered, 299), (Altered, 299)]),
    ("row duplicated at once", |c| { let row = c.rows[5].clone(); c.rows.insert(6, row); }, &[(Altered, 5)]),
    ("row duplicated later", |c| { let row = c.rows[5].clone(); c.rows.insert(90, row); }, &[(Altered, 5)]),
    ("row duplicated as the newest", |c| { let mut row = c.rows[5].clone(); row.sequence = 300; c.rows.push(row); }, &[(Altered, 5)]),
    ("forged row in front of the true one", |c| c.insert_forged(150, 150), &[(Altered, 150), (Altered, 150)]),
    ("forged row behind the true one", |c| c.insert_forged(151, 150), &[(Altered, 150)]),
    ("forged row out of line", |c| c.insert_forged(150, 1 << 50), &[(Altered, 1 << 50)]),
    ("forged row as the newest", |c| c.insert_forged(300, 300), &[(Altered, 300)]),
    ("forged row, the rest renumbered", |c| { c.insert_forged(150, 150); c.renumber(); }, &[(Altered, 150), (Altered, 150)]),
    ("entry of another project", |c| { let e = entry(5, 1, Uuid::from_u128(9), 1, ""); c.rows[5].write(e, 1); }, &[(Altered, 5)]),
    ("tile", |c| c.tiles.get_mut(&(0, 0)).unwrap()[100] ^= 1, &[(Altered, 0)]),
    ("tile cut", |c| c.tiles.get_mut(&(0, 0)).unwrap().truncate(8_000), &[(Altered, 0)]),
    ("tile gone", |c| c.tiles.clear(), &[(Altered, 0)]),
    ("head size", |c| c.head().size += 1, &[(Altered, 299)]),
    ("head row_hash", |c| c.head().row_hash[3] ^= 1, &[(Altered, 299)]),
    ("head tree_root", |c| c.head().tree_root[3] ^= 1, &[(Altered, 299)]),
    ("head key id", |c| c.head().hmac_key_id = 1, &[(Altered, 299)]),
    ("head key id unknown", |c| c.head().hmac_key_id = 77, &[(Altered, 299)]),
    ("head mac", |c| c.head().mac[31] ^= 1, &[(Altered, 299)]),
    ("head compact range", |c| c.head().compact_range[1][0] ^= 1, &[(Altered, 299)]),
    ("head compact range longer", |c| c.head().compact_range.push([0; 32]), &[(Altered, 299)]),
    ("head partial tile 0", |c| c.head().partial_tiles[0][43][0] ^= 1, &[(Altered, 256)]),
    ("head partial tile 1", |c| c.head().partial_tiles[1][0][0] ^= 1, &[(Altered, 0)]),
    ("head partial tile shorter", |c| { c.head().partial_tiles[0].pop(); }, &[(Altered, 256)]),
    ("head without partial tiles", |c| c.head().partial_tiles.clear(), &[(Altered, 0), (Altered, 256)]),
    ("key id of a row changed to an absent one", |c| {
        c.rows[7].entry = entry(7, 9, PROJECT, 1, "");
    }, &[(Altered, 0), (Altered, 0), (Unverifiable, 7), (Altered, 299)]),
];

#[test]
fn what_was_done_is_found_where_it_was_done() {
    let whole = chain(ROWS);
    for (name, tamper, expected) in TAMPERED {
        let mut tampered = whole.clone();
        tamper(&mut tampered);
        let report = tampered.verify();
        let expected: Vec<_> = expected.iter().map(|(kind, sequence)| (*kind, Some(*sequence))).collect();
        assert_eq!(found(&report), expected, "{name}: {:?}", report.findings);
        assert_eq!(report.verdict, expected.iter().map(|(kind, _)| *kind).max().unwrap_or(Intact), "{name}");
        assert_eq!((report.events, report.findings_total), (tampered.rows.len() as u64, expected.len() as u64), "{name}");
    }
}

#[test]
fn every_size_of_an_untouched_chain_is_intact() {
    for rows in [0, 1, 2, 255, 256, 257, 512, 515] {
        let report = chain(rows).verify();
        assert_eq!((report.verdict, report.events, found(&report)), (Intact, rows, Vec::new()), "{rows} rows");
    }
    let empty = Chain { head: None, ..chain(0) };
    assert_eq!(empty.verify().verdict, Intact, "a project that was never written to has no head");
    // All that is stored taken back to an earlier day: only what lies outside can tell.
    assert_eq!(chain(250).verify().verdict, Intact);
}

#[test]
fn levels_above_the_first_are_compared() {
    let mut chain = chain(256 * 256 + 5);
    assert_eq!(chain.verify().verdict, Intact);
    chain.tiles.get_mut(&(1, 0)).expect("a full tile of level 1")[32 * 7] ^= 1;
    chain.head().partial_tiles[2][0][0] ^= 1;
    let report = chain.verify();
    assert_eq!(found(&report), [(Altered, Some(0)), (Altered, Some(0))]);
    assert!(report.findings[0].detail.contains("tile 1/0") && report.findings[0].detail.contains("1792"), "{report:?}");
    let row = &mut chain.rows[300];
    row.entry[12] ^= 1;
    assert_eq!(found(&chain.verify()).iter().filter(|at| **at == (Altered, Some(300))).count(), 1, "no tile names it again");
}

#[test]
fn absent_keys_are_counted_and_hide_nothing_else() {
    let whole = chain(ROWS);
    let only = |id: u64| move |ring_id| keys(ring_id).filter(|_| ring_id == id);
    let report = whole.verify_with(only(2));
    assert_eq!(found(&report), [(Unverifiable, Some(0))]);
    assert!(report.findings[0].detail.contains("200 rows"), "{report:?}");
    let report = whole.verify_with(only(1));
    assert_eq!(found(&report), [(Unverifiable, Some(200)), (Unverifiable, Some(299))], "rows and head");
    assert_eq!(whole.verify_with(|_| None).verdict, Unverifiable);

    let cases: [Case; 5] = [
        ("entry", |c| c.rows[50].entry[12] ^= 1, &[(Altered, 0), (Unverifiable, 0), (Altered, 0), (Altered, 299)]),
        ("link", |c| c.rows[50].prev_hash[0] ^= 1, &[(Unverifiable, 0), (Altered, 50)]),
        ("content", |c| c.rows[51].content = None, &[(Unverifiable, 0), (Altered, 51)]),
        (
            "deleted",
            |c| {
                c.rows.remove(50);
            },
            &[(Unverifiable, 0), (Missing, 50)],
        ),
        ("column", |c| c.rows[50].sequence = 500, &[(Unverifiable, 0), (Missing, 50), (Altered, 500)]),
    ];
    for (name, tamper, expected) in cases {
        let mut tampered = whole.clone();
        tamper(&mut tampered);
        let expected: Vec<_> = expected.iter().map(|(kind, sequence)| (*kind, Some(*sequence))).collect();
        assert_eq!(found(&tampered.verify_with(only(2))), expected, "{name}");
    }
}

/// What cannot be tried is told once, with its number, and hides nothing that can be seen without.
#[test]
fn wraps_that_cannot_be_tried_are_counted_and_hide_nothing_else() {
    let verify = |chain: &Chain| {
        let mut verifier = Verifier::new(PROJECT, Box::new(keys));
        for stored in &chain.rows {
            let outline = stored.outline();
            let mut row = stored.row(outline.as_ref());
            row.wrap = if row.wrap == Wrap::Absent { Wrap::Absent } else { Wrap::Untried };
            let before = |sequence: u64| chain.rows.get(sequence as usize).map(|row| row.row_hash.as_slice());
            let alone = one_row(PROJECT, &keys, &row, stored.sequence.checked_sub(1).and_then(before));
            let (told, named) = (alone.iter().any(|f| f.kind == Unverifiable), alone.iter().any(|f| f.kind == Altered));
            assert_eq!(told, row.wrap == Wrap::Untried && !named, "{alone:?}");
            verifier.row(&row, &mut Vec::new());
        }
        verifier.finish(chain.head.as_ref())
    };
    let mut chain = chain(30);
    let report = verify(&chain);
    assert_eq!(found(&report), [(Unverifiable, Some(0))]);
    assert!(report.findings[0].detail.contains("10 rows"), "{report:?}");
    chain.rows[6].content.as_mut().expect("a content")[9] ^= 1;
    chain.rows[9].wrap = None;
    let report = verify(&chain);
    assert_eq!(found(&report), [(Unverifiable, Some(0)), (Altered, Some(6)), (Altered, Some(9))]);
    assert!(report.findings[0].detail.contains("8 rows"), "{report:?}");
}

#[test]
fn ring_ids_never_go_down() {
    let chain = chain_of(20, |n| if (5..8).contains(&n) { 2 } else { 1 });
    let report = chain.verify();
    let rows: Vec<_> = (8..20).map(|n| (Altered, Some(n))).chain([(Altered, Some(19))]).collect();
    assert_eq!(found(&report), rows, "each later row, and the head");
}

#[test]
fn two_histories_under_one_key_are_a_fork() {
    let whole = chain(20);
    let mut other = whole.clone();
    other.rows[9].write(entry(9, 1, PROJECT, 2, ""), 1);
    (other.rows[9].content, other.rows[9].wrap) = (None, None);
    let report = other.verify();
    assert!(report.verdict == Forked && found(&report).contains(&(Forked, Some(10))), "row 10 was written after another row 9: {report:?}");

    let mut both = whole.clone();
    both.rows.insert(10, other.rows[9].clone());
    assert_eq!(found(&both.verify()), [(Forked, Some(9))]);
}

#[test]
fn an_unknown_schema_version_verifies() {
    let mut chain = chain(1);
    let entry = entry(0, 1, PROJECT, 99, r#","something_new":{"a":[1,"}"]}"#);
    chain.rows[0].write(entry, 1);
    (chain.rows[0].content, chain.rows[0].wrap) = (None, None);
    let mut edge = Edge::new();
    edge.append(crate::tree::leaf_hash(&chain.rows[0].entry), &mut Vec::new());
    chain.head = Some(head(&edge, chain.rows[0].row_hash.as_slice().try_into().expect("32 bytes"), 1));
    let report = chain.verify();
    assert_eq!((report.verdict, report.findings), (Intact, Vec::new()));
}

#[test]
fn a_project_under_another_key_is_all_altered_and_the_report_stays_small() {
    let chain = chain(ROWS);
    let report = chain.verify_with(|ring_id| Some(ProjectKeys::derive(ring_id, &Secret::new([9; 32]), PROJECT)));
    assert_eq!((report.verdict, report.findings.len(), report.findings_total), (Altered, FINDINGS_MAX, ROWS + 1));
}

#[test]
fn a_gap_too_long_to_fill_ends_the_comparison_of_the_tree_only() {
    let mut chain = chain(10);
    let far = entry(1 << 40, 1, PROJECT, 1, "");
    let prev_hash = chain.rows[9].row_hash.clone();
    let sequence = 1 << 40;
    let mut row =
        Stored { sequence, entry: Vec::new(), prev_hash, row_hash: Vec::new(), content: None, wrap: None, ..chain.rows[0].clone() };
    row.write(far, 1);
    chain.rows.push(row);
    assert_eq!(found(&chain.verify()), [(Missing, Some(10)), (RolledBack, Some(10))]);
}

#[test]
fn findings_of_the_store_join_the_report() {
    let mut verifier = Verifier::new(PROJECT, Box::new(keys));
    verifier.finding(Finding { kind: Altered, sequence: None, detail: "a content without a row".to_owned() });
    let report = verifier.finish(None);
    assert_eq!((report.verdict, found(&report)), (Altered, vec![(Altered, None)]));
}

#[test]
fn one_row_is_checked_by_itself() {
    let whole = chain(ROWS);
    let check = |n: usize, tamper: fn(&mut Chain), previous: fn(&Chain, usize) -> Option<Vec<u8>>| {
        let mut chain = whole.clone();
        tamper(&mut chain);
        let previous = previous(&chain, n);
        let findings = one_row(PROJECT, &keys, &chain.rows[n].row(chain.rows[n].outline().as_ref()), previous.as_deref());
        findings.iter().map(|finding| (finding.kind, finding.sequence.expect("a place"))).collect::<Vec<_>>()
    };
    let before: fn(&Chain, usize) -> Option<Vec<u8>> = |c, n| Some(c.rows[n.checked_sub(1)?].row_hash.clone());
    let cases: &[RowCase] = &[
        (0, |_| (), &[]),
        (6, |_| (), &[]),
        (250, |_| (), &[]),
        (6, |c| c.rows[6].entry[12] ^= 1, &[(Altered, 6)]),
        (6, |c| c.rows[6].prev_hash[0] ^= 1, &[(Altered, 6)]),
        (6, |c| c.rows[5].row_hash[0] ^= 1, &[(Altered, 6)]),
        (6, |c| c.rows[6].content = None, &[(Altered, 6)]),
        (6, |c| c.rows[6].submission_key_id = 2, &[(Altered, 6)]),
        (6, |c| c.rows[6].submission_mac[0] ^= 1, &[(Altered, 6)]),
        (6, |c| c.rows[6].sequence = 8, &[(Reordered, 8)]),
        (6, |c| c.rows[6].entry = entry(6, 5, PROJECT, 1, ""), &[(Unverifiable, 6), (Altered, 6)]),
    ];
    for (n, tamper, expected) in cases {
        assert_eq!(check(*n, *tamper, before), *expected, "row {n}");
    }
    assert_eq!(check(6, |_| (), |_, _| None), [(Missing, 5)]);
}

/// Every byte that is stored, by name: row (what, which) or the rest.
fn byte(chain: &mut Chain, what: usize, which: usize, at: usize) -> (&mut u8, Option<u64>) {
    fn of(bytes: &mut [u8], at: usize) -> &mut u8 {
        let at = at % bytes.len();
        &mut bytes[at]
    }
    let n = which % chain.rows.len();
    let sealed = n - n % 3;
    match what {
        0 => (of(&mut chain.rows[n].entry, at), Some(n as u64)),
        1 => (of(&mut chain.rows[n].prev_hash, at), Some(n as u64)),
        2 => (of(&mut chain.rows[n].row_hash, at), Some(n as u64)),
        3 => (of(chain.rows[sealed].content.as_mut().expect("a content"), at), Some(sealed as u64)),
        4 => (of(chain.rows[sealed].wrap.as_mut().expect("a wrap"), at), Some(sealed as u64)),
        5 => (of(chain.tiles.get_mut(&(0, 0)).expect("a tile"), at), Some(0)),
        6 => (of(&mut chain.head().row_hash, at), Some(ROWS - 1)),
        7 => (of(&mut chain.head().tree_root, at), Some(ROWS - 1)),
        8 => (of(&mut chain.head().mac, at), Some(ROWS - 1)),
        9 => (of(chain.head().compact_range.as_flattened_mut(), at), Some(ROWS - 1)),
        10 => (of(chain.head().partial_tiles[0].as_flattened_mut(), at), Some(TILE_HASHES as u64)),
        11 => (of(&mut chain.rows[n].submission_mac, at), Some(n as u64)),
        12 => (of(&mut chain.rows[n].retry_mac, at), Some(n as u64)),
        _ => (of(chain.head().partial_tiles[1].as_flattened_mut(), at), Some(0)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_byte_that_is_changed_is_found(what in 0_usize..14, which: usize, at: usize, mask in 1_u8..=255) {
        static WHOLE: std::sync::LazyLock<Chain> = std::sync::LazyLock::new(|| chain(ROWS));
        let mut tampered = WHOLE.clone();
        let (place, sequence) = byte(&mut tampered, what, which, at);
        *place ^= mask;
        let report = tampered.verify();
        prop_assert_eq!(report.verdict, Altered, "{:?}", report.findings);
        prop_assert!(report.findings.iter().any(|finding| finding.sequence == sequence), "{:?}", report.findings);
    }

    #[test]
    fn any_rows_in_any_order_are_intact_only_if_they_are_the_chain(picks in proptest::collection::vec(0_usize..12, 0..14)) {
        let whole = chain(12);
        let rows = picks.iter().map(|n| whole.rows[*n].clone()).collect();
        let report = Chain { rows, ..whole.clone() }.verify();
        prop_assert_eq!(report.verdict == Intact, picks == (0..12).collect::<Vec<_>>(), "{:?}", report.findings);
    }
}
