//! The tamper matrix: what somebody does to a ledger, and what verification says of it, project by project. Whoever is not
//! named stays intact. What only a witness can show is in the table as what it is: nothing is seen.

mod columns;
mod forge;
mod going_on;
mod insert;
mod keys;
mod places;

use std::sync::Arc;

use forge::{A, B, FIRST, Forge, MORE, OLDER, ORGANIZATION, SYSTEM};
use indelible_core::note::Signer as _;
use indelible_core::policy::Policy;
use indelible_core::verify::Verdict::{Altered, Forked, Missing, Reordered, RolledBack, Truncated, Unanchored, Unverifiable};
use indelible_core::verify::{Report, Verdict};

use How::{Do, Sql, Store};

use super::{Request, StoredKeys, event, verify_folder};
use crate::keystore::DataKeys;

/// What somebody does.
#[derive(Clone, Copy)]
enum How {
    /// To the ledger; see [`Forge::sql`].
    Sql(&'static str),
    /// To the checkpoint store.
    Store(&'static str),
    Do(fn(&Forge)),
}

impl How {
    fn act(self, forge: &Forge) {
        match self {
            Sql(sql) => forge.sql(sql),
            Store(sql) => forge.store(sql),
            Do(act) => act(forge),
        }
    }
}

/// What is done; how; for each project that is not intact its number, the verdict, and a place where that is found.
type Case = (&'static str, How, &'static [(i64, Verdict, Option<u64>)]);

/// The last sequence of the default project's anchor of this number.
const fn last(number: u64) -> u64 {
    FIRST - 1 + 2 * number
}

const SIZE: u64 = FIRST + 2 * MORE;
const OLDER_SIZE: u64 = FIRST + 2 * OLDER;
const B_SIZE: u64 = 5 + MORE;
/// A project that is not there any more.
const GONE: i64 = 99;

const ROWS: &[Case] = &[
    ("nothing", Do(|_| ()), &[]),
    ("an entry", Sql("UPDATE events SET entry = replace(entry, 'alice', 'bobby') WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a row hash", Sql("UPDATE events SET row_hash = zeroblob(32) WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a retry's MAC", Sql("UPDATE events SET submission_mac = zeroblob(32) WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a retry's key", Sql("UPDATE events SET submission_key_id = 99 WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("the MAC over both", Sql("UPDATE events SET retry_mac = zeroblob(32) WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a content", Sql("UPDATE contents SET stored = zeroblob(length(stored)) WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a wrap", Sql("UPDATE wraps SET wrap = zeroblob(40) WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a head", Sql("UPDATE heads SET size = size - 1 WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("the hash of the row before", Sql("UPDATE events SET prev_hash = zeroblob(32) WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a wrap gone", Sql("DELETE FROM wraps WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("a content gone", Sql("DELETE FROM contents WHERE row = {A}"), &[(A, Altered, Some(100))]),
    ("the row hash of a head", Sql("UPDATE heads SET row_hash = zeroblob(32) WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("the tree root of a head", Sql("UPDATE heads SET tree_root = zeroblob(32) WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("the MAC of a head", Sql("UPDATE heads SET mac = zeroblob(32) WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("the key id of a head", Sql("UPDATE heads SET hmac_key_id = 7 WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    (
        "the compact range of a head",
        Sql("UPDATE heads SET compact_range = zeroblob(length(compact_range)) WHERE project = 3"),
        &[(A, Altered, Some(SIZE - 1))],
    ),
    ("the time of a head", Sql("UPDATE heads SET recorded_at = recorded_at + 1 WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("the last row of a head", Sql("UPDATE heads SET last_row = last_row - 1 WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("a head deleted", Sql("DELETE FROM heads WHERE project = 3"), &[(A, Altered, Some(SIZE - 1))]),
    ("a partial tile", Sql("UPDATE partial_tiles SET hashes = zeroblob(32) WHERE project = 3 AND level = 0"), &[(A, Altered, Some(512))]),
    ("a tile deleted", Sql("DELETE FROM tiles WHERE project = 3 AND position = 0"), &[(A, Altered, Some(0))]),
    ("a tile", Sql("UPDATE tiles SET hashes = zeroblob(8192) WHERE project = 3 AND position = 0"), &[(A, Altered, Some(0))]),
    (
        "the first row deleted",
        Sql(
            "DELETE FROM contents WHERE row = (SELECT row FROM events WHERE project = 3 AND sequence = 0); DELETE FROM wraps WHERE row = (SELECT row FROM events WHERE project = 3 AND sequence = 0); DELETE FROM events WHERE project = 3 AND sequence = 0",
        ),
        &[(A, Missing, Some(0))],
    ),
    (
        "a row in the middle deleted",
        Sql("DELETE FROM contents WHERE row = {A}; DELETE FROM wraps WHERE row = {A}; DELETE FROM events WHERE row = {A}"),
        &[(A, Missing, Some(100))],
    ),
    ("the last row deleted", Sql("DELETE FROM events WHERE project = 3 AND sequence = 561"), &[(A, Truncated, Some(SIZE - 1))]),
    (
        "the last rows and their anchors deleted, without the HMAC ring",
        Do(|f| {
            f.cut(A, 101);
            f.rewrite_head(A, false);
        }),
        &[(A, Truncated, Some(last(100) + 1)), (SYSTEM, Missing, None)],
    ),
    (
        "the last rows and their anchors deleted, with the HMAC ring",
        Do(|f| {
            f.cut(A, 101);
            f.rewrite_head(A, true);
        }),
        &[(A, RolledBack, Some(last(100) + 1)), (SYSTEM, Missing, None)],
    ),
    (
        "the last rows deleted with the HMAC ring, their anchors left",
        Do(|f| {
            f.sql("DELETE FROM contents WHERE row IN (SELECT row FROM events WHERE project = 3 AND sequence > 501); DELETE FROM wraps WHERE row IN (SELECT row FROM events WHERE project = 3 AND sequence > 501); DELETE FROM events WHERE project = 3 AND sequence > 501");
            f.rewrite_head(A, true);
            f.forget_index();
        }),
        &[(A, Truncated, Some(last(100) + 1)), (SYSTEM, Missing, None)],
    ),
    (
        "all rows of a project deleted, and whatever else there is of it but its name",
        Do(|f| {
            f.cut(B, 0);
            f.sql("DELETE FROM heads WHERE project = 4; DELETE FROM tiles WHERE project = 4; DELETE FROM partial_tiles WHERE project = 4");
        }),
        &[(B, RolledBack, Some(0)), (SYSTEM, Truncated, None)],
    ),
    (
        "two rows swapped",
        Sql(
            "UPDATE events SET row = -1 WHERE row = {A}; UPDATE events SET row = row - 1, sequence = 100 WHERE project = 3 AND sequence = 101; UPDATE events SET row = (SELECT row + 1 FROM events WHERE project = 3 AND sequence = 100 AND row > 0), sequence = 101 WHERE row = -1",
        ),
        &[(A, Reordered, Some(100))],
    ),
    (
        "a row twice",
        Sql(
            "INSERT INTO events SELECT (SELECT max(row) + 1 FROM events), project, 562, id, 1, submission_mac, retry_mac, prev_hash, row_hash, entry FROM events WHERE row = {A}",
        ),
        &[(A, Altered, Some(100))],
    ),
    (
        "a row made up",
        Sql(
            "INSERT INTO events SELECT (SELECT max(row) + 1 FROM events), project, 562, zeroblob(16), 1, zeroblob(32), zeroblob(32), row_hash, zeroblob(32), replace(entry, '\"sequence\":100', '\"sequence\":562') FROM events WHERE row = {A}",
        ),
        &[(A, Altered, Some(SIZE))],
    ),
    (
        "a row moved to another project",
        Sql("UPDATE events SET project = 4, sequence = 135 WHERE row = {A}"),
        &[(A, Missing, Some(100)), (B, Altered, Some(B_SIZE))],
    ),
    (
        "other rows from the middle on, with the HMAC ring",
        Do(|f| {
            f.rewrite_rows(A, last(50) - 1);
            f.rewrite_head(A, true);
        }),
        &[(A, Forked, Some(last(50) - 1))],
    ),
    (
        "the index",
        Do(|f| {
            let index = rusqlite::Connection::open(f.data().join("index.db")).expect("the index");
            index.execute("UPDATE rows SET occurred_at = 0 WHERE project = 3 AND sequence = 100", []).expect("changed");
        }),
        &[(A, Altered, Some(100))],
    ),
    (
        "the HMAC ring replaced",
        Do(|f| {
            let keys = f.data().join("keys");
            std::fs::copy(keys.join("signing-1.key"), keys.join("ring-1.key")).map(drop).expect("replaced");
        }),
        &[(A, Altered, Some(0)), (B, Altered, Some(0)), (SYSTEM, Altered, Some(0)), (ORGANIZATION, Altered, Some(0))],
    ),
];

const SIGNED: &[Case] = &[
    (
        "an anchor",
        Sql("UPDATE anchors SET anchor = replace(anchor, '\"anchor_at\":\"2', '\"anchor_at\":\"3') WHERE project = 3 AND number = 5"),
        &[(A, Altered, Some(last(5)))],
    ),
    ("an anchor that is none", Sql("UPDATE anchors SET anchor = '{}' WHERE project = 3 AND number = 5"), &[(A, Altered, Some(last(5)))]),
    (
        "the note of an anchor",
        Sql("UPDATE anchors SET note = (SELECT note FROM anchors WHERE project = 3 AND number = 6) WHERE project = 3 AND number = 5"),
        &[(A, Altered, Some(last(5)))],
    ),
    (
        "the checkpoint of an anchor",
        Sql(
            "UPDATE anchors SET checkpoint = (SELECT checkpoint FROM anchors WHERE project = 3 AND number = 6) WHERE project = 3 AND number = 5",
        ),
        &[(A, Altered, Some(last(5)))],
    ),
    ("the size beside an anchor", Sql("UPDATE anchors SET tree_size = 1 WHERE project = 3 AND number = 5"), &[(A, Altered, Some(last(5)))]),
    ("the row beside an anchor", Sql("UPDATE anchors SET last_row = 1 WHERE project = 3 AND number = 5"), &[(A, Altered, Some(last(5)))]),
    ("an anchor deleted", Sql("DELETE FROM anchors WHERE project = 3 AND number = 5"), &[(A, Missing, Some(last(4) + 1))]),
    (
        "an anchor twice",
        Sql(
            "INSERT INTO anchors SELECT project, 131, tree_size, last_row, anchor, note, checkpoint FROM anchors WHERE project = 3 AND number = 130",
        ),
        &[(A, Altered, Some(SIZE - 1))],
    ),
    ("an anchor signed with another key", Do(|f| f.resign(A, MORE, true)), &[(A, Unverifiable, Some(SIZE - 1)), (SYSTEM, Forked, None)]),
    (
        "a leaf of the instance tree",
        Sql(
            "UPDATE instance_leaves SET leaf = (SELECT leaf FROM instance_leaves WHERE project = 3 AND number = 6) WHERE project = 3 AND number = 5",
        ),
        &[(A, Altered, Some(last(5)))],
    ),
    (
        "a leaf of the instance tree deleted",
        Sql("DELETE FROM instance_leaves WHERE project = 3 AND number = 5"),
        &[(A, Altered, Some(last(5))), (SYSTEM, Missing, None)],
    ),
    (
        "the last leaves of the instance tree deleted",
        Sql("DELETE FROM instance_leaves WHERE number = 130"),
        &[(A, Altered, Some(SIZE - 1)), (B, Altered, Some(B_SIZE - 1)), (SYSTEM, Truncated, None)],
    ),
    ("a tile of the instance tree", Sql("UPDATE instance_tiles SET hashes = zeroblob(8192)"), &[(SYSTEM, Altered, None)]),
    ("a tile of the instance tree deleted", Sql("DELETE FROM instance_tiles"), &[(SYSTEM, Altered, None)]),
    ("the edge of the instance tree", Sql("UPDATE instance_edge SET hashes = zeroblob(32) WHERE level = 0"), &[(SYSTEM, Altered, None)]),
    (
        "a checkpoint of the instance tree",
        Sql(
            "UPDATE instance_checkpoints SET checkpoint = (SELECT checkpoint FROM instance_checkpoints ORDER BY size DESC LIMIT 1) WHERE size = (SELECT min(size) FROM instance_checkpoints)",
        ),
        &[(SYSTEM, Altered, None)],
    ),
    (
        "a cosignature",
        Sql("UPDATE cosignatures SET line = replace(line, substr(line, 40, 1), char(unicode(substr(line, 40, 1)) + 1))"),
        &[(SYSTEM, Altered, None)],
    ),
    (
        "a cosignature moved to another size",
        Sql(
            "UPDATE cosignatures SET size = (SELECT min(size) FROM instance_checkpoints) WHERE size = (SELECT max(size) FROM cosignatures)",
        ),
        &[(SYSTEM, Altered, None)],
    ),
    (
        "a cosignature moved to a size that was not signed",
        Sql("UPDATE cosignatures SET size = size + 1 WHERE size = (SELECT max(size) FROM cosignatures)"),
        &[(SYSTEM, Altered, None)],
    ),
    (
        "a cosignature under another witness's key",
        Sql(
            "DELETE FROM cosignatures WHERE witness LIKE 'w2%'; UPDATE cosignatures SET witness = (SELECT witness || 'x' FROM cosignatures)",
        ),
        &[(SYSTEM, Altered, None)],
    ),
    ("a signing key", Sql("UPDATE signing_keys SET public_key = zeroblob(32)"), &[(SYSTEM, Altered, None)]),
    ("a signing key that no event tells of", Sql("INSERT INTO signing_keys VALUES (2, zeroblob(32), 1)"), &[(SYSTEM, Altered, None)]),
    (
        "the signing key replaced in the key store",
        Do(|f| {
            let keys = f.data().join("keys");
            std::fs::copy(keys.join("ring-1.key"), keys.join("signing-1.key")).map(drop).expect("replaced");
        }),
        &[(A, Unverifiable, Some(FIRST - 1)), (B, Unverifiable, Some(4)), (SYSTEM, Altered, None), (ORGANIZATION, Unverifiable, None)],
    ),
    (
        "the name of the instance",
        Sql("UPDATE instance SET value = 'lag' WHERE key = 'name'"),
        &[(A, Altered, Some(FIRST - 1)), (B, Altered, Some(4)), (SYSTEM, Altered, None), (ORGANIZATION, Altered, None)],
    ),
    (
        "everything that was signed deleted",
        Sql(
            "DELETE FROM anchors; DELETE FROM instance_leaves; DELETE FROM instance_tiles; DELETE FROM instance_edge; DELETE FROM instance_checkpoints; DELETE FROM signing_keys",
        ),
        &[(A, Unanchored, None), (B, Unanchored, None), (SYSTEM, RolledBack, None), (ORGANIZATION, Unanchored, None)],
    ),
];

const STORE: &[Case] = &[
    (
        "the ledger put back as it was an hour ago",
        Do(Forge::put_back),
        &[(A, RolledBack, Some(OLDER_SIZE)), (B, RolledBack, Some(5 + OLDER)), (SYSTEM, RolledBack, None)],
    ),
    (
        "a project removed with its anchors and leaves",
        Do(|f| {
            f.cut(B, 0);
            f.sql("DELETE FROM heads WHERE project = 4; DELETE FROM tiles WHERE project = 4; DELETE FROM partial_tiles WHERE project = 4; DELETE FROM ledgers WHERE project = 4");
        }),
        &[(GONE, Missing, None), (SYSTEM, Truncated, None)],
    ),
    (
        "no checkpoint store",
        Do(|f| std::fs::remove_dir_all(f.checkpoints()).expect("removed")),
        &[(A, Unverifiable, None), (B, Unverifiable, None), (SYSTEM, Unverifiable, None), (ORGANIZATION, Unverifiable, None)],
    ),
    ("nothing of a tree in the checkpoint store", Store("DELETE FROM checkpoints WHERE origin = 'log'"), &[(SYSTEM, Unverifiable, None)]),
    (
        "another tree's checkpoint in the checkpoint store",
        Do(|f| {
            let sql = "UPDATE checkpoints SET checkpoint = (SELECT checkpoint FROM checkpoints WHERE origin = 'log') WHERE origin = 'log/";
            f.store(&format!("{sql}{}'", f.project_id(A)));
        }),
        &[(A, Altered, None)],
    ),
    (
        "everything rewritten by somebody who has the HMAC ring and the signing key",
        Do(rewrite_all),
        &[(A, Forked, Some(SIZE - 1)), (SYSTEM, Forked, None)],
    ),
    (
        "the same by somebody who has the checkpoint store as well, where a witness cosigned what was",
        Do(|f| {
            rewrite_all(f);
            f.rewrite_store();
        }),
        &[(SYSTEM, Altered, None)],
    ),
    (
        "the same, and its word removed, which only the witness can show",
        Do(|f| {
            rewrite_all(f);
            f.rewrite_store();
            f.sql("DELETE FROM cosignatures");
        }),
        &[],
    ),
];

fn rewrite_all(forge: &Forge) {
    forge.rewrite_rows(A, last(100) - 1);
    forge.rewrite_head(A, true);
    forge.resign(A, 100, false);
    forge.rewrite_instance();
    forge.forget_index();
}

fn run(cases: &[Case]) {
    run_on(Forge::new, cases);
}

fn run_on(make: fn() -> Forge, cases: &[Case]) {
    let mut failures = Vec::new();
    for (what, how, expected) in cases {
        let forge = make();
        let numbers = [SYSTEM, ORGANIZATION, A, B].map(|number| (forge.project_id(number), number));
        how.act(&forge);
        let reports = forge.verify();
        let number =
            |report: &Report| numbers.iter().find_map(|(id, number)| (*id == report.project_id).then_some(*number)).expect("known");
        let there = reports.iter().filter(|report| report.events > 0 || report.verdict != Missing);
        let mut said: Vec<(i64, &Report)> = there.map(|report| (number(report), report)).collect();
        said.extend(reports.iter().filter(|report| report.events == 0 && report.verdict == Missing).map(|report| (GONE, report)));
        for (number, report) in said {
            let named = expected.iter().find_map(|(of, verdict, place)| (*of == number).then_some((*verdict, *place)));
            let (verdict, place) = named.unwrap_or((Verdict::Intact, None));
            let found = report.findings.iter().any(|finding| finding.kind == verdict && (place.is_none() || finding.sequence == place));
            let quiet = report.findings.is_empty() && (verdict == Unanchored) == (report.unanchored > 0);
            if report.verdict != verdict || !(if verdict <= Unanchored { quiet } else { found }) {
                let findings: Vec<_> = report.findings.iter().take(8).collect();
                failures.push(format!("{what}: project {number} is {:?}, not {verdict:?} at {place:?}: {findings:#?}", report.verdict));
            }
        }
        let projects = if expected.iter().any(|(number, ..)| *number == GONE) { 4 } else { numbers.len() };
        assert_eq!(reports.len(), projects, "{what}: {reports:#?}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_change_of_the_rows_has_its_verdict() {
    run(ROWS);
}

#[test]
fn every_change_of_what_was_signed_has_its_verdict() {
    run(SIGNED);
}

#[test]
fn checkpoints_that_fulfil_a_policy_are_counted() {
    let forge = Forge::new();
    let (data, checkpoints) = (forge.data(), forge.checkpoints().into());
    let key = |seed| forge::witness(seed).verifier_key().to_string();
    let witnesses = format!("witness a {}\nwitness b {}\nwitness c {}\n", key(1), key(2), key(3));
    let verify = |rest: &str| {
        let policy = Policy::parse(format!("{witnesses}{rest}\n").as_bytes()).expect("a policy");
        let request = Request { policy: Some(&policy), ..Request::new(&data, &checkpoints) };
        verify_folder(&request, &mut |_| {}).expect("verified").cosigned
    };
    let signed = verify("quorum none");
    assert_eq!((signed.cosignatures, signed.fulfilled), (5, Some(signed.checkpoints)));
    for (rest, fulfilled) in [("quorum a", 3), ("quorum b", 2), ("group g all a b\nquorum g", 2), ("group g all a c\nquorum g", 0)] {
        assert_eq!(verify(rest).fulfilled, Some(fulfilled), "{rest}");
    }
    // One that does not hold counts for nothing.
    forge.sql("UPDATE cosignatures SET line = replace(line, substr(line, 40, 1), char(unicode(substr(line, 40, 1)) + 1)) WHERE size = (SELECT max(size) FROM cosignatures)");
    let spoiled = verify("quorum a");
    assert_eq!((spoiled.cosignatures, spoiled.fulfilled), (3, Some(2)));
}

#[test]
fn what_only_the_checkpoint_store_can_tell_is_told() {
    run(STORE);
}

/// What is found of the default project's event of a sequence by itself.
fn one_event(forge: &Forge, sequence: u64) -> (Option<u64>, Vec<(Verdict, String)>) {
    let keystore = Arc::new(forge.keystore());
    let data_keys = Arc::new(DataKeys::load(Arc::clone(&keystore), &forge.reader()).expect("data keys"));
    let row = "SELECT row FROM events WHERE project = 3 AND sequence = ?1";
    let row = forge.db.query_row(row, [sequence as i64], |row| row.get(0)).expect("a row");
    let (project, origin) = ((A, forge.project_id(A)), forge.origin(A));
    let checked = event::check(
        &forge.reader(),
        &StoredKeys { keystore, data_keys, stored_before: Vec::new(), unusable: Vec::new() },
        project,
        &origin,
        row,
        None,
    )
    .expect("checked");
    (checked.anchor, checked.findings.into_iter().map(|finding| (finding.kind, finding.detail)).collect())
}

#[test]
fn one_event_is_verified_under_its_anchor() {
    let forge = Forge::new();
    for (sequence, anchor) in [(0, 0), (100, 0), (FIRST - 1, 0), (FIRST, 1), (last(50), 50), (SIZE - 1, MORE)] {
        assert_eq!(one_event(&forge, sequence), (Some(anchor), Vec::new()), "{sequence}");
    }
    let cases: &[(&str, How, Option<Verdict>)] = &[
        ("no anchor covers it", Sql("DELETE FROM anchors WHERE project = 3 AND number = 130"), None),
        ("its anchor", Sql("UPDATE anchors SET anchor = '{}' WHERE project = 3 AND number = 130"), Some(Altered)),
        (
            "the note of its anchor",
            Sql("UPDATE anchors SET note = (SELECT note FROM anchors WHERE project = 3 AND number = 6) WHERE project = 3 AND number = 130"),
            Some(Altered),
        ),
        (
            "the checkpoint of its anchor",
            Sql(
                "UPDATE anchors SET checkpoint = (SELECT checkpoint FROM anchors WHERE project = 3 AND number = 6) WHERE project = 3 AND number = 130",
            ),
            Some(Altered),
        ),
        ("its anchor signed with another key", Do(|f| f.resign(A, MORE, true)), Some(Unverifiable)),
        (
            "the whole chain, with the HMAC ring",
            Do(|f| {
                f.rewrite_rows(A, SIZE - 2);
                f.rewrite_head(A, true);
            }),
            Some(Altered),
        ),
    ];
    for (what, how, expected) in cases {
        let forge = Forge::new();
        how.act(&forge);
        let (anchor, findings) = one_event(&forge, SIZE - 2);
        assert_eq!((anchor, findings.first().map(|(kind, _)| *kind)), (None, *expected), "{what}: {findings:?}");
        assert!(findings.iter().all(|(_, detail)| detail.starts_with("anchor 130: ")), "{what}: {findings:?}");
    }
}
