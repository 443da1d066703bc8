//! Rows that nobody wrote are never found intact, whatever they are; no order and no bytes make the verifier panic.

#![no_main]

use indelible_core::entry::Outline;
use indelible_core::key::{ProjectKeys, Secret};
use indelible_core::verify::{Head, Retry, Row, Verdict, Verifier, Wrap, one_row};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const PROJECT: Uuid = Uuid::from_u128(1);

type Stored<'a> = (u64, u8, &'a [u8], [u8; 32], [u8; 32], Option<&'a [u8]>, Option<bool>);
type Top = (u64, [u8; 32], [u8; 32], u64, [u8; 32], Vec<Vec<[u8; 32]>>, Vec<[u8; 32]>);

/// Free bytes, or an entry that is well formed but for its hashes.
fn entry(sequence: u64, shape: u8, free: &[u8]) -> Vec<u8> {
    if shape == 0 {
        return free.to_vec();
    }
    let time = "2026-01-02T03:04:05.000006Z";
    format!(
        r#"{{"hmac_key_id":{},"id":"{PROJECT}","occurred_at":"{time}","organization_id":"{PROJECT}","project_id":"{PROJECT}","recorded_at":"{time}","sequence":{}}}"#,
        shape % 4,
        sequence.wrapping_add(u64::from(shape / 64)),
    )
    .into_bytes()
}

fuzz_target!(|input: (Vec<Stored<'_>>, Option<Top>)| {
    let (rows, top) = input;
    let keys = |id: u64| (id == 1).then(|| ProjectKeys::derive(id, &Secret::new([9; 32]), PROJECT));
    let mut verifier = Verifier::new(PROJECT, Box::new(keys));
    let mut full = Vec::new();
    for (sequence, shape, free, prev_hash, row_hash, content, wrap_opens) in &rows {
        // Mostly near the beginning, so that rows meet; sometimes anywhere.
        let sequence = if shape % 8 == 7 { *sequence } else { sequence % 8 };
        let entry = entry(sequence, *shape, free);
        let outline = Outline::read(&entry);
        let wrap = wrap_opens.map_or(Wrap::Absent, |opens| if opens { Wrap::Opens } else { Wrap::Shut });
        let retry = Retry { submission_key_id: u64::from(*shape), submission_mac: free, retry_mac: row_hash };
        let row = Row { sequence, entry: &entry, outline: outline.as_ref(), prev_hash, row_hash, retry, content: *content, wrap };
        assert!(!one_row(PROJECT, &keys, &row, None).is_empty());
        verifier.row(&row, &mut full);
        for tile in full.drain(..) {
            verifier.tile(&tile, Some(free));
        }
    }
    let empty = top.as_ref().is_none();
    let head = top.map(|(size, row_hash, tree_root, hmac_key_id, mac, partial_tiles, compact_range)| Head {
        size,
        row_hash,
        tree_root,
        hmac_key_id,
        mac,
        partial_tiles,
        compact_range,
    });
    let report = verifier.finish(head.as_ref());
    assert_eq!(report.events, rows.len() as u64);
    assert_eq!(report.verdict == Verdict::Intact, rows.is_empty() && empty);
});
