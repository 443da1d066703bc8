//! Every limit of the ledger, in one place, with the relations between them asserted when it compiles.
//!
//! Units come last in a name. A limit is inclusive: a value of exactly the limit is accepted.

/// Canonical entry, bytes. The length prefix of a C2SP tlog-tiles entry bundle is a u16.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Content as JSON after redaction, before compression, bytes.
pub const CONTENT_PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A request or response body is kept up to here, bytes; a longer one is cut at a character boundary.
pub const BODY_KEPT_BYTES: usize = 10 * 1024;
/// A whole request, before and after decompression, bytes.
pub const REQUEST_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Events in one request, accepted or refused together.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Arrays and objects inside each other. The parser recurses, so this also bounds its stack.
pub const JSON_DEPTH_MAX: usize = 128;
/// Values in one JSON text, the arrays and objects among them: a tree takes some 30 to 60 bytes for each, however short its text.
pub const JSON_VALUES_MAX: usize = 1_000_000;
/// Largest integer of an entry: every JSON implementation reads it exactly (RFC 8785, section 3.2.2.3).
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// Ids and names: `actor.id`, `resource.id`, `run.id`, bytes.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Texts that people write: `reason`, `actor.display`, bytes.
pub const TEXT_BYTES_MAX: usize = 8_192;
/// `http.url`, bytes.
pub const URL_BYTES_MAX: usize = 8_192;
/// An action such as `policy.create`, bytes.
pub const ACTION_BYTES_MAX: usize = 128;
/// `actor.chain`, links.
pub const CHAIN_LINKS_MAX: usize = 32;
/// `subjects`, `pii_classes`, `decision.rules`, items each.
pub const LIST_ITEMS_MAX: usize = 256;

/// `context`: keys, bytes a key, bytes a value, bytes in all (keys and values).
pub const CONTEXT_KEYS_MAX: usize = 20;
/// See [`CONTEXT_KEYS_MAX`].
pub const CONTEXT_KEY_BYTES_MAX: usize = 64;
/// See [`CONTEXT_KEYS_MAX`].
pub const CONTEXT_VALUE_BYTES_MAX: usize = 512;
/// See [`CONTEXT_KEYS_MAX`].
pub const CONTEXT_BYTES_MAX: usize = 4_096;

/// `changes`: JSON Pointers listed, and their bytes in all. `changes_total` counts the rest.
pub const CHANGES_MAX: usize = 256;
/// See [`CHANGES_MAX`].
pub const CHANGES_BYTES_MAX: usize = 16 * 1024;

/// Questions of one request for decisions, bytes of JSON in all. What they share counts with each, for each is weighed and
/// recorded with it.
pub const QUESTIONS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Steps of checking an event against an event schema: its subschemas and listed values, references followed, for each value of the
/// event, and a step more for each 4 bytes and pattern.
pub const SCHEMA_STEPS_MAX: usize = 20_000_000;

/// A filter, bytes.
pub const FILTER_BYTES_MAX: usize = 10_000;
/// Parentheses and `not` inside each other in a filter.
pub const FILTER_DEPTH_MAX: usize = 64;
/// Comparisons in one filter.
pub const FILTER_TERMS_MAX: usize = 512;
/// Events in one page.
pub const PAGE_EVENTS_MAX: usize = 1_000;
/// Events in one page when the caller names no limit.
pub const PAGE_EVENTS_DEFAULT: usize = 100;
/// A `purpose`, bytes.
pub const PURPOSE_BYTES_MAX: usize = 1_024;

/// A caller's clock may be this far ahead before the server's own time is used, seconds.
pub const CLOCK_AHEAD_SECONDS_MAX: i64 = 600;

/// Hashes in a full tile (C2SP tlog-tiles).
pub const TILE_HASHES: usize = 256;

/// Signatures on a note. C2SP signed-note asks verifiers to accept 16; Go's `sumdb/note` accepts 100.
pub const NOTE_SIGNATURES_MAX: usize = 100;
/// A signed note, bytes: room for 100 post-quantum signatures of 5 kB in base64.
pub const NOTE_BYTES_MAX: usize = 1024 * 1024;
/// The text of a note that is signed here, bytes: no more than what AWS KMS takes as a RAW message.
pub const SIGNED_TEXT_BYTES_MAX: usize = 4_096;
/// A proof with its checkpoint, bytes: the hashes and what an application adds, before the note.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 * 1024;
/// Hashes in one inclusion or consistency proof: as many as a tree of [`TREE_SIZE_MAX`] leaves has levels.
pub const PROOF_HASHES_MAX: usize = 63;
/// A witness policy, bytes.
pub const POLICY_BYTES_MAX: usize = 256 * 1024;
/// Logs, witnesses and groups of a witness policy, of each so many; with a log's own signatures they fit into a note.
pub const POLICY_LINES_OF_A_KIND_MAX: usize = 64;
/// `manifest.json` of an evidence bundle, bytes; also any of its small files but notes and proofs.
pub const BUNDLE_FILE_BYTES_MAX: usize = 64 * 1024;
/// A line of a bundle's `entries.ndjson` or `anchors.ndjson` without its newline, bytes.
pub const BUNDLE_LINE_BYTES_MAX: usize = ENTRY_BYTES_MAX;
/// Entries in a bundle whose verifier must remember each: a selection (40 bytes an entry, 40 MiB), or one with contents
/// (72 bytes more). A range without contents has no bound.
pub const BUNDLE_REMEMBERED_MAX: u64 = 1 << 20;
/// Anchors in a bundle that are held against its entries (48 bytes each).
pub const BUNDLE_ANCHORS_MAX: usize = 1 << 20;
/// Sealed content, bytes: what [`CONTENT_PLAIN_BYTES_MAX`] may become where it does not compress.
pub const CONTENT_STORED_BYTES_MAX: usize = CONTENT_PLAIN_BYTES_MAX + CONTENT_PLAIN_BYTES_MAX / 128 + 1024;
/// Leaves of a tree that a text may name: what an i64 holds, as in other implementations.
pub const TREE_SIZE_MAX: u64 = i64::MAX as u64;

const _: () = assert!(ENTRY_BYTES_MAX == u16::MAX as usize);
const _: () = assert!(NOTE_SIGNATURES_MAX >= 16 && NOTE_SIGNATURES_MAX * 7_000 <= NOTE_BYTES_MAX);
// An origin, and at most: `indelible-anchor/v1`, a number of 19 digits, a hash in base64, four newlines.
const _: () = assert!(NAME_BYTES_MAX + 19 + 19 + 44 + 4 <= SIGNED_TEXT_BYTES_MAX && SIGNED_TEXT_BYTES_MAX <= 4_096);
const _: () = assert!(POLICY_LINES_OF_A_KIND_MAX >= 32 && POLICY_LINES_OF_A_KIND_MAX < NOTE_SIGNATURES_MAX);
const _: () = assert!(TREE_SIZE_MAX.ilog2() as usize + 1 == PROOF_HASHES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX < JSON_VALUES_MAX);
const _: () = assert!(FILTER_BYTES_MAX * 6 < BUNDLE_FILE_BYTES_MAX);
const _: () = assert!(CONTENT_PLAIN_BYTES_MAX < REQUEST_BYTES_MAX);
const _: () = assert!(BODY_KEPT_BYTES * 2 < CONTENT_PLAIN_BYTES_MAX);
const _: () = assert!(CONTEXT_KEYS_MAX * CONTEXT_KEY_BYTES_MAX < CONTEXT_BYTES_MAX);
const _: () = assert!(CONTEXT_BYTES_MAX + CHANGES_BYTES_MAX + FILTER_BYTES_MAX + URL_BYTES_MAX < ENTRY_BYTES_MAX);
