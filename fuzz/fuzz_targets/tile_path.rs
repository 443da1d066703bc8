//! What is read as the path of a tile, or as an entry bundle, is written as the same bytes.

#![no_main]

use indelible_core::tree::{TilePath, entry_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(path) = std::str::from_utf8(bytes)
        && let Some(tile) = TilePath::parse(path)
    {
        assert_eq!(tile.to_string(), path);
        assert_eq!(TilePath::new(tile.kind(), tile.index(), tile.width()), Some(tile));
    }
    if let Some(entries) = entry_bundle::parse(bytes) {
        let mut written = Vec::new();
        assert!(entries.iter().all(|entry| entry_bundle::push(entry, &mut written)));
        assert_eq!(written, bytes);
    }
});
