//! What is a manifest, and what is none.

use proptest::prelude::*;
use uuid::Uuid;

use super::made::Made;
use super::*;
use crate::limits::{BUNDLE_REMEMBERED_MAX, INTEGER_MAX};
use crate::note::Name;

#[test]
fn bytes_that_are_no_manifest_are_refused() {
    let log = Made::new(20);
    let range = String::from_utf8(log.bundle(3, 12, None)[0].1.clone()).expect("UTF-8");
    let selection = String::from_utf8(log.bundle(3, 12, Some(&[4, 9]))[0].1.clone()).expect("UTF-8");
    let whole = Manifest::parse(range.as_bytes()).expect("a manifest");
    assert_eq!((whole.entries_left_out(), whole.to_bytes()), (0, range.clone().into_bytes()));
    assert_eq!(Manifest::parse(selection.as_bytes()).expect("a manifest").entries_left_out(), 8);
    for (bytes, why) in [
        (range[1..].to_owned(), "JSON"),
        (range.replace("\"version\":1", "\"version\":2"), "version 2 is not known"),
        (range.replace("\"version\":1", "\"version\":\"1\""), "no version"),
        (range.replace("\"kind\":\"range\"", "\"kind\":\"ranges\""), "a member"),
        (range.replace("\"tree_size\":20", "\"tree_size\":-20"), "a member"),
        (range.replace("\"content_included\":true", "\"content_included\":1"), "a member"),
        (range.replace("\"origin\":\"log", "\"origin\":\"a log"), "a member"),
        (range.replacen("\"checkpoint\":\"", "\"checkpoint\":\"0", 1), "a member"),
        (range.replace("\"last_sequence\":12", "\"last_sequence\":2"), "no range"),
        (range.replace("\"tree_size\":20", "\"tree_size\":12"), "no range"),
        (range.replace("\"entries_included\":10", "\"entries_included\":9"), "its entries"),
        (range.replace("\"first_sequence\"", "\"filter\":\"a\",\"first_sequence\""), "its entries"),
        (selection.replace("\"entries_included\":2", "\"entries_included\":11"), "its entries"),
        (selection.replace("\"entries_left_out\":8", "\"entries_left_out\":7"), "canonical"),
        (range.replace("\"kind\"", " \"kind\""), "canonical"),
        (range.replace("\"kind\"", "\"kind2\":1,\"kind\""), "canonical"),
        (format!("{range}\n"), "canonical"),
        (range.replace("\"range-proof\"", "\"range-proofs\""), "its files"),
        (range.replace("\"contents/\"", "\"proofs/\""), "its files"),
        (range.replace("\"content_included\":true", "\"content_included\":false"), "its files"),
        (range.replace("\"instance/leaf\"", "\"instance/leaves\""), "its files"),
        (range.replace("\"verifier-keys\"", "\"verifier-key\""), "its files"),
        (range.replace("\"consistency\"", "\"manifest.json\""), "its files"),
        (format!("\"{}\"", "x".repeat(crate::limits::BUNDLE_FILE_BYTES_MAX)), "too long"),
    ] {
        assert_ne!(bytes, range, "{why}");
        let error = Manifest::parse(bytes.as_bytes()).expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    let many = Manifest {
        first_sequence: 0,
        last_sequence: BUNDLE_REMEMBERED_MAX,
        tree_size: 1 << 40,
        entries_included: BUNDLE_REMEMBERED_MAX + 1,
        ..whole
    };
    let flat = |content_included: bool| {
        let mut manifest = Manifest { content_included, ..many.clone() };
        if !content_included {
            manifest.files.remove("contents/");
        }
        Manifest::parse(&manifest.to_bytes()).map(|_| ())
    };
    assert_eq!(flat(true), Err(ManifestError::TooMany(BUNDLE_REMEMBERED_MAX + 1)));
    assert_eq!(flat(false), Ok(()));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        ids in any::<(u128, u128)>(),
        (first, more, after) in (0_u64..1 << 50, 0_u64..1 << 20, 1_u64..1 << 20),
        filter in proptest::option::of(".{0,40}"),
        range in any::<bool>(),
        (origin, chosen) in ("[!-*,-~]{1,20}", 0_u64..1 << 20),
    ) {
        let mut names = vec!["verifier-keys", "checkpoint", "anchors.ndjson", "entries.ndjson"];
        names.push(if range { "range-proof" } else { "proofs/" });
        let manifest = Manifest {
            kind: if range { Kind::Range } else { Kind::Selection },
            organization_id: Uuid::from_u128(ids.0),
            project_id: Uuid::from_u128(ids.1),
            origin: Name::new(origin).expect("a name"),
            filter: filter.filter(|_| !range),
            first_sequence: first,
            last_sequence: first + more,
            tree_size: first + more + after,
            entries_included: if range { more + 1 } else { chosen.min(more + 1) },
            content_included: false,
            files: names.into_iter().map(|name| (name.to_owned(), [7; 32])).collect(),
        };
        prop_assert!(manifest.tree_size <= INTEGER_MAX as u64);
        prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
    }
}
