//! Entry bundles (c2sp.org/tlog-tiles): `u16 big-endian length ‖ entry`, one after the other, at most 256.

use crate::limits::{ENTRY_BYTES_MAX, TILE_HASHES};

/// Appends an entry; `false`, and nothing done, where it is longer than [`ENTRY_BYTES_MAX`].
pub fn push(entry: &[u8], bundle: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle; `None` where the last is cut off, or there are more than 256.
pub fn parse(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = after;
    }
    (entries.len() <= TILE_HASHES).then_some(entries)
}

const _: () = assert!(ENTRY_BYTES_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bundles_are_read_to_the_last_byte() {
        let mut bundle = Vec::new();
        for entry in [b"{}".to_vec(), Vec::new(), vec![7; ENTRY_BYTES_MAX]] {
            assert!(push(&entry, &mut bundle));
        }
        assert_eq!(bundle[..6], [0, 2, b'{', b'}', 0, 0]);
        assert_eq!(parse(&bundle).map(|entries| entries.iter().map(|entry| entry.len()).collect()), Some(vec![2, 0, ENTRY_BYTES_MAX]));
        assert!(!push(&vec![7; ENTRY_BYTES_MAX + 1], &mut bundle));
        assert!(parse(&bundle).is_some(), "nothing was done");
        for cut in [1, 2, ENTRY_BYTES_MAX, ENTRY_BYTES_MAX + 1] {
            assert_eq!(parse(&bundle[..bundle.len() - cut]), None, "{cut}");
        }
        assert_eq!(parse(&[]), Some(vec![]));
        let full = [0, 1, b'x'].repeat(256);
        assert_eq!(parse(&full).map(|entries| entries.len()), Some(256));
        assert_eq!(parse(&[&full[..], &[0, 0]].concat()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..=256)) {
            let mut bundle = Vec::new();
            prop_assert!(entries.iter().all(|entry| push(entry, &mut bundle)));
            prop_assert_eq!(parse(&bundle), Some(entries.iter().map(Vec::as_slice).collect()));
        }
    }
}
