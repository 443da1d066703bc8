//! Bundles as the tars that they come in: read however they are cut, and whatever is done to the tar is found.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::made::Made;
use super::{Files, verify};
use crate::bundle::tar::{BLOCK_BYTES, END, bytes_of, header, padding};
use crate::bundle::{BundleReport, FileName, TarVerifier, Trust};
use crate::verify::Verdict;

fn tar(files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files {
        let begin = out.len();
        out.extend(header(FileName::parse(name).expect(name), bytes.len() as u64));
        out.extend_from_slice(bytes);
        out.resize(out.len() + padding(bytes.len() as u64), 0);
        assert_eq!((out.len() - begin) as u64, bytes_of(bytes.len() as u64));
    }
    out.extend_from_slice(&END);
    out
}

fn read(tar: &[u8], trust: &Trust, size: usize) -> BundleReport {
    let mut verifier = TarVerifier::new(trust.clone());
    tar.chunks(size).for_each(|piece| verifier.piece(piece));
    verifier.finish()
}

#[test]
fn a_tar_is_the_same_bundle_however_it_is_cut() {
    let made = Made::new(23);
    for chosen in [None, Some(&[3, 5, 9][..])] {
        let files = made.bundle(2, 20, chosen);
        let (tar, expected) = (tar(&files), verify(&files, &made.trust()));
        assert_eq!(expected.report.verdict, Verdict::Intact);
        for size in [1, 7, 511, 512, 513, 100_000] {
            assert_eq!(read(&tar, &made.trust(), size), expected, "in pieces of {size}");
        }
        let padded = [&tar[..], &[0; 10_240]].concat();
        assert_eq!(read(&padded, &made.trust(), 4_096), expected, "more zeros at the end");
    }
}

/// No byte of the tar can be changed, and it cannot be cut anywhere, without a finding: but for a change within the parts of a
/// header that its checksum covers, which is one as well.
#[test]
fn no_byte_of_a_tar_can_be_changed_or_left_away() {
    let made = Made::new(9);
    let tar = tar(&made.bundle(1, 7, None));
    for at in (0..tar.len()).step_by(3) {
        let mut changed = tar.clone();
        changed[at] ^= 1;
        let report = read(&changed, &made.trust(), 4_096);
        assert_ne!(report.report.verdict, Verdict::Intact, "byte {at}");
        if at.is_multiple_of(129) {
            assert_ne!(read(&tar[..at], &made.trust(), 4_096).report.verdict, Verdict::Intact, "cut at {at}");
        }
    }
    for more in [&b"x"[..], &[0, 0, 1]] {
        assert_ne!(read(&[&tar[..], more].concat(), &made.trust(), 4_096).report.verdict, Verdict::Intact);
    }
}

#[test]
fn links_folders_and_headers_that_do_not_hold_are_named() {
    let made = Made::new(9);
    let tar = tar(&made.bundle(1, 7, None));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = tar.clone();
        change(&mut changed);
        let sum: u64 = changed[..512].iter().map(|byte| u64::from(*byte)).sum::<u64>()
            - changed[148..156].iter().map(|byte| u64::from(*byte)).sum::<u64>()
            + 256;
        changed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        changed
    };
    let cases: [(Vec<u8>, &str); 5] = [
        (with(&|tar| tar[156] = b'2'), "is not a regular file"),
        (with(&|tar| tar[156] = b'5'), "is not a regular file"),
        (with(&|tar| tar[257] = b'v'), "a header of the tar does not hold"),
        (with(&|tar| tar[124] = b'9'), "a header of the tar does not hold"),
        (with(&|tar| tar[0] = b'M'), "is no file of a bundle"),
    ];
    for (changed, words) in cases {
        let report = read(&changed, &made.trust(), 4_096);
        assert!(report.report.findings.iter().any(|finding| finding.detail.contains(words)), "{words}: {:?}", report.report.findings);
    }
}

#[test]
fn more_than_octal_digits_hold_is_said_in_an_extended_header() {
    let bytes = 1 << 33;
    let long = header(FileName::Entries, bytes);
    assert_eq!(long.len(), 3 * BLOCK_BYTES);
    assert!(long[BLOCK_BYTES..].starts_with(b"19 size=8589934592\n"));
    assert_eq!(bytes_of(bytes), bytes + 3 * BLOCK_BYTES as u64);
    assert_eq!(header(FileName::Entries, bytes - 1).len(), BLOCK_BYTES);
    let mut verifier = TarVerifier::new(Trust::default());
    verifier.piece(&header(FileName::Manifest, bytes));
    let report = verifier.finish().report;
    assert!(report.findings.iter().any(|finding| finding.detail.contains("0 bytes of 8589934592")), "{:?}", report.findings);
}

/// Reads a tar in pieces that end at `cuts`, each a length, and what is left in one.
fn cut(tar: &[u8], trust: &Trust, cuts: &[usize]) -> BundleReport {
    let mut verifier = TarVerifier::new(trust.clone());
    let mut rest = tar;
    for length in cuts {
        let (piece, after) = rest.split_at(*length.min(&rest.len()));
        verifier.piece(piece);
        rest = after;
    }
    verifier.piece(rest);
    verifier.finish()
}

static WHOLE: LazyLock<(Vec<u8>, Trust)> = LazyLock::new(|| {
    let made = Made::new(9);
    (tar(&made.bundle(1, 7, Some(&[2, 5]))), made.trust())
});

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    // Mostly short ones, and such as end at the edges of blocks.
    proptest::collection::vec(prop_oneof![0_usize..8, 500_usize..520, 0_usize..4_096], 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// As the fuzz target `bundle` does, which is not run here.
    #[test]
    fn any_tar_is_judged_alike_however_it_is_cut(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..4),
        cuts in cuts(),
    ) {
        let (whole, trust) = &*WHOLE;
        let mut tar = whole.clone();
        for (at, byte, mend) in changes {
            let at = at.index(tar.len());
            tar[at] = byte;
            let block = &mut tar[at / BLOCK_BYTES * BLOCK_BYTES..][..BLOCK_BYTES];
            if mend && &block[257..262] == b"ustar" {
                block[148..156].fill(b' ');
                let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let report = cut(&tar, trust, &[]);
        prop_assert_eq!(&cut(&tar, trust, &cuts), &report);
        prop_assert_eq!(&read(&tar, trust, 1), &report);
        prop_assert!(tar != *whole || report.report.verdict == Verdict::Intact);
        // Nobody whose key is pinned signed it.
        let unsigned = cut(&tar, &Trust::default(), &cuts);
        prop_assert!(unsigned.signed_by.is_empty() && unsigned.report.verdict > Verdict::Unanchored);
    }

    #[test]
    fn bytes_that_are_no_tar_are_judged_alike_and_never_believed(
        bytes in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..3_000),
        after_files in any::<bool>(),
        cuts in cuts(),
    ) {
        let (whole, trust) = &*WHOLE;
        let tar = if after_files { [&whole[..whole.len() - END.len()], &bytes].concat() } else { bytes };
        let report = cut(&tar, trust, &[]);
        prop_assert_eq!(&cut(&tar, trust, &cuts), &report);
        prop_assert_eq!(&read(&tar, trust, 1), &report);
        prop_assert!(report.report.verdict > Verdict::Unanchored || (after_files && tar[whole.len() - END.len()..].iter().all(|byte| *byte == 0)));
    }
}
