//! Every way of changing a stored ledger, with its name: what verification says of it.

mod workers;

use std::path::Path;
use std::sync::Arc;

use indelible_core::chain::Hash;
use indelible_core::entry::Outline;
use indelible_core::key::{ProjectKeys, Secret};
use indelible_core::seal::{Address, Sealer, wrap_key};
use indelible_core::tree::{Edge, leaf_hash};
use indelible_core::verify::{Finding, Report, Verdict};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::walk::{Ground, Keys, slices, walk};
use super::{Held, VerifyError};
use crate::index::fixture::{Event, Fixture, ORGANIZATION, project_id};
use crate::index::open_reader;
use crate::store::sql;

struct TestKeys {
    ring: Secret,
    data: Secret,
}

impl Keys for TestKeys {
    fn project_keys(&self, project_id: Uuid, ring_id: u64) -> Option<ProjectKeys> {
        (ring_id == 1).then(|| ProjectKeys::derive(1, &self.ring, project_id))
    }

    fn data_key(&self, id: i64) -> Option<(Uuid, Held)> {
        // The third holds the same bytes and is another organization's.
        let organization_id = [(1, ORGANIZATION), (3, Uuid::nil())].into_iter().find_map(|(known, of)| (known == id).then_some(of));
        organization_id.map(|organization_id| (organization_id, Held::Key(self.data.clone())))
    }

    fn opens_data_key(&self, _: Uuid, _: &[u8]) -> Option<bool> {
        None
    }

    fn signing_keys(&self) -> Vec<(u64, [u8; 32])> {
        Vec::new()
    }

    fn verified_mac(&self, _: Option<u64>, _: &str) -> Option<(u64, Hash)> {
        None
    }
}

fn keys() -> TestKeys {
    TestKeys { ring: Secret::new([1; 32]), data: Secret::new([2; 32]) }
}

struct Chain {
    edge: Edge,
    row_hash: Hash,
    size: u64,
    last_row: i64,
}

/// Writes a ledger as the store does: two projects between each other, every third event with content.
fn write(fixture: &Fixture, rows: i64) {
    let keys = keys();
    let mut closing = Sealer::new();
    let mut chains: Vec<Chain> = (0..2).map(|_| Chain { edge: Edge::new(), row_hash: [0; 32], size: 0, last_row: 0 }).collect();
    let db = &fixture.ledger;
    db.execute_batch("BEGIN; INSERT INTO instance VALUES ('name', 'log')").expect("begin");
    for row in 1..=rows {
        let project = if row % 7 == 0 { 2 } else { 1 };
        let project_keys = keys.project_keys(project_id(project), 1).expect("keys");
        let chain = &mut chains[project as usize - 1];
        let event = Event {
            project,
            id: row as u128,
            occurred_at: 1_700_000_000_000_000 + row * 1_000,
            action: "tool.call".to_owned(),
            actor: format!("actor-{}", row % 5),
            outcome: "allow".to_owned(),
            tool: Some(format!("tool-{}", row % 3)),
        };
        let mut entry = event.entry(chain.size);
        if row % 3 == 0 {
            let content_key = Secret::new([row as u8; 32]);
            let address = Address { organization_id: ORGANIZATION, project_id: project_id(project), event_id: Uuid::from_u128(event.id) };
            let sealed = closing.seal(format!(r#"{{"output":"what was said {row}"}}"#).as_bytes(), &address, &content_key);
            let member = format!(
                r#""schema_version":1,"sealed":{{"bytes":{},"plain_bytes":{},"sha256":"{}"}},"#,
                sealed.stored.len(),
                sealed.plain_bytes,
                indelible_core::hex::encode(&sealed.sha256)
            );
            entry = entry.replace(r#""schema_version":1,"#, &member);
            db.execute("INSERT INTO contents VALUES (?1, ?2)", params![row, sealed.stored]).expect("content");
            db.execute("INSERT INTO wraps VALUES (?1, 1, ?2)", params![row, wrap_key(&keys.data, &content_key)]).expect("wrap");
        }
        let row_hash = project_keys.row_hash(entry.as_bytes(), &chain.row_hash);
        db.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, 1, zeroblob(32), ?8, ?5, ?6, ?7)")
            .and_then(|mut insert| {
                let id = Uuid::from_u128(event.id).into_bytes();
                let retry_mac = project_keys.retry_mac(chain.size, 1, &[0; 32]);
                insert.execute(params![row, project, chain.size as i64, id, chain.row_hash, row_hash, entry, retry_mac])
            })
            .expect("event");
        let mut full = Vec::new();
        chain.edge.append(leaf_hash(entry.as_bytes()), &mut full);
        for tile in full {
            db.execute("INSERT INTO tiles VALUES (?1, ?2, ?3, ?4)", params![project, tile.level, tile.index as i64, tile.hashes])
                .expect("tile");
        }
        (chain.row_hash, chain.size, chain.last_row) = (row_hash, chain.size + 1, row);
    }
    for (at, chain) in chains.iter().enumerate() {
        write_head(db, &keys, at as i64 + 1, chain);
    }
    db.execute_batch("COMMIT").expect("commit");
}

fn write_head(db: &Connection, keys: &TestKeys, project: i64, chain: &Chain) {
    db.execute("INSERT INTO ledgers VALUES (?1, ?2, ?3)", params![project, project_id(project).to_string(), ORGANIZATION.to_string()])
        .expect("name");
    let root = chain.edge.root();
    let mac = keys.project_keys(project_id(project), 1).expect("keys").head_mac(chain.size, &chain.row_hash, &root);
    let head = params![project, chain.size as i64, chain.row_hash, root, mac, chain.edge.compact_range().concat(), chain.last_row];
    db.execute("INSERT INTO heads VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, 1767225600000000, ?7)", head).expect("head");
    for (level, hashes) in chain.edge.partial_tiles().iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
        db.execute("INSERT INTO partial_tiles VALUES (?1, ?2, ?3)", params![project, level as i64, hashes.concat()]).expect("partial");
    }
}

fn verify(data: &Path, only: Option<Uuid>) -> Result<Vec<Report>, VerifyError> {
    verify_by(data, only, 1)
}

fn verify_by(data: &Path, only: Option<Uuid>, workers: usize) -> Result<Vec<Report>, VerifyError> {
    let ledger = data.join("ledger.db");
    let open = || open_reader(&ledger).map(sql::Connection::from).map_err(|error| error.to_string());
    let keys = |snapshot: &sql::Connection| -> Result<Arc<dyn Keys>, String> {
        assert!(!snapshot.is_idle(), "keys are read in the transaction that is walked");
        Ok(Arc::new(keys()))
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let checkpoints = data.join("none").into();
    let ground =
        Ground { data, checkpoints: &checkpoints, open: &open, keys: &keys, only, since: None, policy: None, workers, stop: &stop };
    let reports = walk(&ground, &mut |_| {}).map(|walked| walked.reports);
    // The patrol says the same of whatever somebody did.
    let slowly = slices::walk(&ground, &mut |_| true).map(|walked| walked.reports);
    assert_eq!(format!("{slowly:?}"), format!("{reports:?}"));
    reports
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a folder");
    for name in ["ledger.db", "index.db"] {
        std::fs::copy(from.join(name), to.path().join(name)).expect("copied");
    }
    to
}

/// A ledger of 1,200 rows and its index, both closed.
fn template() -> tempfile::TempDir {
    template_of(1_200)
}

fn template_of(rows: i64) -> tempfile::TempDir {
    let fixture = Fixture::new();
    write(&fixture, rows);
    let index = fixture.open();
    index.committed(rows);
    assert!(index.reached_blocking(rows, &mut |_| true));
    drop(index);
    let Fixture { folder, ledger, .. } = fixture;
    ledger.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = delete").expect("closed");
    folder
}

#[test]
fn an_untouched_ledger_is_intact_whole_or_in_part() {
    let folder = template();
    let reports = verify(folder.path(), None).expect("verified");
    let summary: Vec<_> = reports.iter().map(|report| (report.project_id, report.events, report.verdict)).collect();
    assert_eq!(summary, [(project_id(1), 1_029, Verdict::Unanchored), (project_id(2), 171, Verdict::Unanchored)], "{reports:?}");
    let one = verify(folder.path(), Some(project_id(2))).expect("verified");
    assert_eq!(one, reports[1..]);
    assert!(matches!(verify(folder.path(), Some(Uuid::nil())), Err(VerifyError::NoProject(_))));
}

/// Of a ledger that names no project and has no rows there is still something to say.
#[test]
fn what_is_wrong_where_there_is_no_project_is_told() {
    let folder = template_of(10);
    let empty = "DELETE FROM events; DELETE FROM contents; DELETE FROM wraps; DELETE FROM ledgers; DELETE FROM heads;
                 DELETE FROM partial_tiles; INSERT INTO data_keys VALUES (9, 'nobody', x'00', 1)";
    Connection::open(folder.path().join("ledger.db")).and_then(|db| db.execute_batch(empty)).expect("emptied");
    std::fs::remove_file(folder.path().join("index.db")).expect("removed");
    let reports = verify(folder.path(), None).expect("verified");
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((report.project_id, report.verdict, report.findings_total), (Uuid::nil(), Verdict::Altered, 1), "{report:?}");
    assert_eq!(report.findings[0].detail, "data key 9 cannot be read: its organization_id is none");
}

/// (what is done, by which SQL, whether to the index, the kind, the sequence of project 1 or `None` for any).
type Case = (&'static str, &'static str, Verdict, Option<u64>);

// Row 500 is sequence 428 of project 1 (71 rows before it are of project 2), and has no content; row 501 is 429, and has.
const LEDGER_CASES: &[Case] = &[
    ("a byte of an entry", "UPDATE events SET entry = replace(entry, 'actor-0', 'actor-9') WHERE row = 500", Verdict::Altered, Some(428)),
    ("an entry that is none", "UPDATE events SET entry = 'nothing' WHERE row = 500", Verdict::Altered, Some(428)),
    ("a row hash", "UPDATE events SET row_hash = zeroblob(32) WHERE row = 500", Verdict::Altered, Some(428)),
    ("a prev hash", "UPDATE events SET prev_hash = zeroblob(32) WHERE row = 500", Verdict::Altered, Some(428)),
    ("an id column", "UPDATE events SET id = zeroblob(16) WHERE row = 500", Verdict::Altered, Some(428)),
    ("a retry's MAC", "UPDATE events SET submission_mac = randomblob(32) WHERE row = 500", Verdict::Altered, Some(428)),
    ("a retry's key", "UPDATE events SET submission_key_id = 99 WHERE row = 500", Verdict::Altered, Some(428)),
    ("the MAC over both", "UPDATE events SET retry_mac = zeroblob(32) WHERE row = 500", Verdict::Altered, Some(428)),
    (
        "both of another row",
        "UPDATE events SET retry_mac = (SELECT retry_mac FROM events WHERE row = 502) WHERE row = 500",
        Verdict::Altered,
        Some(428),
    ),
    ("a sequence column", "UPDATE events SET sequence = 9999 WHERE row = 500", Verdict::Altered, None),
    (
        "a content",
        "UPDATE contents SET stored = CAST(substr(stored, 1, length(stored) - 1) || x'00' AS BLOB) WHERE row = 501",
        Verdict::Altered,
        Some(429),
    ),
    ("a content cut", "UPDATE contents SET stored = substr(stored, 1, 10) WHERE row = 501", Verdict::Altered, Some(429)),
    ("a content gone", "DELETE FROM contents WHERE row = 501", Verdict::Altered, Some(429)),
    ("a content added", "INSERT INTO contents VALUES (500, x'0102')", Verdict::Altered, Some(428)),
    ("a content of no event", "INSERT INTO contents VALUES (5000, x'0102')", Verdict::Altered, None),
    ("a wrap", "UPDATE wraps SET wrap = zeroblob(40) WHERE row = 501", Verdict::Altered, Some(429)),
    ("a wrap gone", "DELETE FROM wraps WHERE row = 501", Verdict::Altered, Some(429)),
    ("a wrap of another data key", "UPDATE wraps SET data_key_id = 2 WHERE row = 501", Verdict::Altered, Some(429)),
    (
        "two wraps exchanged",
        "UPDATE wraps SET wrap = CASE row WHEN 501 THEN (SELECT wrap FROM wraps WHERE row = 510) ELSE (SELECT wrap FROM wraps WHERE row = 501) END WHERE row IN (501, 510)",
        Verdict::Altered,
        Some(429),
    ),
    ("a wrap of no event", "INSERT INTO wraps VALUES (5000, 1, zeroblob(40))", Verdict::Altered, None),
    ("a row gone", "DELETE FROM events WHERE row = 500; DELETE FROM contents WHERE row = 500", Verdict::Missing, Some(428)),
    (
        "a row twice",
        "INSERT INTO events SELECT 1201, project, 1029, id, 1, submission_mac, retry_mac, prev_hash, row_hash, entry FROM events WHERE row = 500",
        Verdict::Altered,
        None,
    ),
    (
        "a row made up",
        "INSERT INTO events SELECT 1201, 1, 1029, zeroblob(16), 1, zeroblob(32), zeroblob(32), row_hash, zeroblob(32), replace(entry, '\"sequence\":1027', '\"sequence\":1029') FROM events WHERE row = 1199",
        Verdict::Altered,
        Some(1029),
    ),
    (
        "two rows swapped",
        "UPDATE events SET row = -1 WHERE row = 500; UPDATE events SET row = 500, sequence = 428 WHERE row = 502; UPDATE events SET row = 502, sequence = 430 WHERE row = -1",
        Verdict::Reordered,
        Some(428),
    ),
    (
        "the tail cut",
        "DELETE FROM events WHERE row > 1190; DELETE FROM contents WHERE row > 1190; DELETE FROM wraps WHERE row > 1190",
        Verdict::Truncated,
        Some(1020),
    ),
    (
        "the tail cut and the head set back",
        "DELETE FROM events WHERE row > 1190; DELETE FROM contents WHERE row > 1190; DELETE FROM wraps WHERE row > 1190; UPDATE heads SET size = 1020, row_hash = (SELECT row_hash FROM events WHERE row = 1190) WHERE project = 1",
        Verdict::Altered,
        Some(1019),
    ),
    ("a head's size", "UPDATE heads SET size = size + 1 WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head's row hash", "UPDATE heads SET row_hash = zeroblob(32) WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head's root", "UPDATE heads SET tree_root = zeroblob(32) WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head's mac", "UPDATE heads SET mac = zeroblob(32) WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head's range", "UPDATE heads SET compact_range = zeroblob(64) WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head gone", "DELETE FROM heads WHERE project = 1", Verdict::Altered, Some(1028)),
    (
        "a tile",
        "UPDATE tiles SET hashes = CAST(substr(hashes, 1, 32 * 17) || zeroblob(32) || substr(hashes, 32 * 18 + 1) AS BLOB) WHERE project = 1 AND level = 0 AND position = 2",
        Verdict::Altered,
        Some(512),
    ),
    ("a tile gone", "DELETE FROM tiles WHERE project = 1 AND level = 0 AND position = 2", Verdict::Altered, Some(512)),
    ("a tile too many", "INSERT INTO tiles VALUES (1, 0, 4, zeroblob(8192))", Verdict::Altered, None),
    ("a partial tile", "UPDATE partial_tiles SET hashes = zeroblob(160) WHERE project = 1 AND level = 0", Verdict::Altered, Some(1024)),
    ("a partial tile gone", "DELETE FROM partial_tiles WHERE project = 1 AND level = 0", Verdict::Altered, Some(1024)),
    ("a head's time", "UPDATE heads SET recorded_at = recorded_at + 1 WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head's last row", "UPDATE heads SET last_row = last_row - 1 WHERE project = 1", Verdict::Altered, Some(1028)),
    ("a head's last row beyond the end", "UPDATE heads SET last_row = 5000 WHERE project = 1", Verdict::Altered, Some(1028)),
    (
        "a head of no project",
        "INSERT INTO heads SELECT 9, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, 1 FROM heads WHERE project = 1",
        Verdict::Altered,
        None,
    ),
    ("a tile of no project", "INSERT INTO tiles VALUES (9, 0, 0, zeroblob(8192))", Verdict::Altered, None),
    ("a partial tile of no project", "INSERT INTO partial_tiles VALUES (9, 0, zeroblob(32))", Verdict::Altered, None),
    (
        "a partial tile of a project without rows",
        "INSERT INTO ledgers VALUES (9, '00000000-0000-0000-0000-000000000009', ''); INSERT INTO partial_tiles VALUES (9, 0, zeroblob(32))",
        Verdict::Altered,
        None,
    ),
    (
        "row numbers moved up",
        "UPDATE heads SET last_row = last_row + 100; UPDATE contents SET row = -row; UPDATE wraps SET row = -row; UPDATE events SET row = -row; UPDATE contents SET row = 100 - row; UPDATE wraps SET row = 100 - row; UPDATE events SET row = 100 - row",
        Verdict::Missing,
        None,
    ),
    (
        "a key that no event tells of",
        "INSERT INTO resources VALUES ('00000000-0000-0000-0000-00000000b001', 'api_key', '00000000-0000-0000-0000-0000000000ee', 1, '{}')",
        Verdict::Altered,
        None,
    ),
    (
        "a resource of no project",
        "INSERT INTO resources VALUES ('', 'api_key', '00000000-0000-0000-0000-0000000000ee', 1, '{}')",
        Verdict::Altered,
        None,
    ),
    (
        "the organization of the project",
        "UPDATE ledgers SET organization_id = '00000000-0000-0000-0000-0000000000ee' WHERE project = 1",
        Verdict::Altered,
        None,
    ),
    ("the name of the project", "DELETE FROM ledgers WHERE project = 1", Verdict::Altered, None),
];

#[test]
fn every_change_of_the_ledger_is_named() {
    let whole = template();
    for (what, sql, kind, sequence) in LEDGER_CASES {
        let folder = copy(whole.path());
        Connection::open(folder.path().join("ledger.db")).and_then(|db| db.execute_batch(sql)).expect(what);
        let reports = verify(folder.path(), None).expect("verified");
        let report = reports.iter().find(|report| report.project_id == project_id(1)).expect("a report");
        let named = report.findings.iter().any(|finding| finding.kind == *kind && (sequence.is_none() || finding.sequence == *sequence));
        let elsewhere = reports.iter().flat_map(|report| &report.findings).any(|finding| finding.kind == *kind && sequence.is_none());
        assert!(named || elsewhere, "{what}: {report:?}");
        assert!(reports.iter().any(|report| report.verdict > Verdict::Unanchored), "{what}");
        let other = reports.iter().find(|report| report.project_id == project_id(2)).expect("a report");
        let blamed = what.contains("of no event") || what.contains("the tail cut");
        assert!(blamed || other.verdict == Verdict::Unanchored, "{what} is blamed on the other project: {other:?}");
    }
}

#[test]
fn a_project_of_which_nothing_is_left_leaves_holes() {
    let whole = template();
    let folder = copy(whole.path());
    let sql = "DELETE FROM contents WHERE row % 7 = 0; DELETE FROM wraps WHERE row % 7 = 0; DELETE FROM events WHERE project = 2;
               DELETE FROM heads WHERE project = 2; DELETE FROM tiles WHERE project = 2; DELETE FROM partial_tiles WHERE project = 2;
               DELETE FROM ledgers WHERE project = 2";
    Connection::open(folder.path().join("ledger.db")).and_then(|db| db.execute_batch(sql)).expect("sql");
    std::fs::remove_file(folder.path().join("index.db")).expect("removed");
    let reports = verify(folder.path(), None).expect("verified");
    assert_eq!((reports.len(), reports[0].verdict), (1, Verdict::Missing), "{reports:?}");
    assert!(reports[0].findings[0].detail.starts_with("171 rows are gone, of which the chains account for 0: row 7, 14,"), "{reports:?}");
}

/// Row 500, which has no content, and row 501, which has.
fn check_one(data: &Path, row: i64) -> Vec<Finding> {
    let ledger = sql::Connection::from(open_reader(&data.join("ledger.db")).expect("open"));
    let origin = indelible_core::note::Name::new("log/1").expect("a name");
    super::event::check(&ledger, &keys(), (1, project_id(1)), &origin, row, Some(row - 1)).expect("checked").findings
}

#[test]
fn one_event_is_verified_against_its_neighbour_its_content_and_the_tree() {
    let whole = template();
    for row in [1, 2, 255, 300, 500, 501, 1_199, 1_200] {
        assert_eq!(check_one(whole.path(), row), [], "{row}");
    }
    let cases: &[(&str, &str, i64)] = &[
        ("its entry", "UPDATE events SET entry = replace(entry, 'actor-0', 'actor-9') WHERE row = 500", 500),
        ("what a retry is compared with", "UPDATE events SET submission_mac = randomblob(32) WHERE row = 500", 500),
        ("the key of a retry", "UPDATE events SET submission_key_id = 99 WHERE row = 500", 500),
        ("its row hash", "UPDATE events SET row_hash = zeroblob(32) WHERE row = 500", 500),
        ("its prev hash", "UPDATE events SET prev_hash = zeroblob(32) WHERE row = 500", 500),
        ("the row hash before it", "UPDATE events SET row_hash = zeroblob(32) WHERE row = 499", 500),
        ("the row before it", "DELETE FROM events WHERE row = 499", 500),
        ("its content", "DELETE FROM contents WHERE row = 501", 501),
        ("its wrap", "DELETE FROM wraps WHERE row = 501", 501),
        ("a wrap of another row", "UPDATE wraps SET wrap = (SELECT wrap FROM wraps WHERE row = 510) WHERE row = 501", 501),
        ("a data key of another organization", "UPDATE wraps SET data_key_id = 3 WHERE row = 501", 501),
        ("a tile on its path", "UPDATE tiles SET hashes = zeroblob(8192) WHERE project = 1 AND level = 0 AND position = 1", 500),
        ("the partial tile on its path", "UPDATE partial_tiles SET hashes = zeroblob(160) WHERE project = 1 AND level = 0", 1_200),
        ("the head's mac", "UPDATE heads SET mac = zeroblob(32)", 500),
        ("the head's root", "UPDATE heads SET tree_root = zeroblob(32)", 500),
        ("the head", "DELETE FROM heads", 500),
    ];
    for (what, sql, row) in cases {
        let folder = copy(whole.path());
        Connection::open(folder.path().join("ledger.db")).and_then(|db| db.execute_batch(sql)).expect(what);
        assert!(!check_one(folder.path(), *row).is_empty(), "{what}");
    }
}

#[test]
fn an_index_that_hides_a_row_is_found_out() {
    let whole = template();
    let (key, ..) = crate::index::read_state(&open_reader(&whole.path().join("index.db")).expect("open")).expect("state");
    let hide = |row: i64, keep: &[&str]| {
        let mut all = String::new();
        let db = open_reader(&whole.path().join("ledger.db")).expect("open");
        let (entry, id): (String, [u8; 16]) =
            db.query_row("SELECT entry, id FROM events WHERE row = ?1", [row], |found| Ok((found.get(0)?, found.get(1)?))).expect("a row");
        let (id, entry) = (Uuid::from_bytes(id), entry.as_bytes());
        let occurred_at = Outline::read(entry).map(|outline| outline.occurred_at);
        let stored = crate::index::Stored { row, project: 1, sequence: 428, id, entry, occurred_at, row_hash: &[] };
        crate::index::tokens(key, &stored, &mut |token| {
            all.push(' ');
            token.write(&mut all);
        });
        format!(
            "INSERT INTO terms (terms, rowid, tokens) VALUES ('delete', {row}, '{all}'); INSERT INTO terms (rowid, tokens) VALUES ({row}, '{}')",
            keep.join(" ")
        )
    };
    let cases: &[(&str, String, Option<u64>)] = &[
        ("the terms of a row", hide(500, &[]), Some(428)),
        ("a term that is not the row's", "INSERT INTO terms (rowid, tokens) VALUES (500, 'aaaaaaaaaa')".to_owned(), None),
        ("a place gone", "DELETE FROM rows WHERE row = 500".to_owned(), Some(428)),
        ("a time", "UPDATE rows SET occurred_at = 0 WHERE row = 500".to_owned(), Some(428)),
        ("another project", "UPDATE rows SET project = 2 WHERE row = 500".to_owned(), Some(428)),
        ("an id", "UPDATE rows SET id = zeroblob(16) WHERE row = 500".to_owned(), Some(428)),
        ("the summary of a block", "UPDATE blocks SET max_at = min_at WHERE project = 1".to_owned(), Some(0)),
        ("a summary gone", "DELETE FROM blocks WHERE project = 1".to_owned(), Some(0)),
        ("a summary of more rows", "UPDATE blocks SET rows = rows + 1 WHERE project = 1".to_owned(), None),
        ("all terms", "INSERT INTO terms (terms) VALUES ('delete-all')".to_owned(), Some(0)),
    ];
    for (what, sql, sequence) in cases {
        let folder = copy(whole.path());
        Connection::open(folder.path().join("index.db")).and_then(|db| db.execute_batch(sql)).expect(what);
        let reports = verify(folder.path(), None).expect("verified");
        let named = reports[0].findings.iter().any(|finding| {
            finding.kind == Verdict::Altered && finding.detail.contains("index") && (sequence.is_none() || finding.sequence == *sequence)
        });
        assert!(named, "{what}: {:?}", reports[0]);
    }
    for (what, spoil) in [("gone", None), ("no index", Some(vec![0x5a; 5_000]))] {
        let folder = copy(whole.path());
        std::fs::remove_file(folder.path().join("index.db")).expect("removed");
        if let Some(bytes) = spoil {
            std::fs::write(folder.path().join("index.db"), bytes).expect("written");
        }
        let reports = verify(folder.path(), None).expect("verified");
        assert!(reports.iter().all(|report| report.verdict == Verdict::Unanchored), "{what}: {reports:?}");
    }
}

/// What is wrong with the ledger is not said of the index, and before what is.
#[test]
fn a_row_that_is_no_entry_or_gone_is_not_blamed_on_the_index() {
    let whole = template();
    for (sql, expected) in [
        ("UPDATE events SET entry = 'nothing' WHERE row = 500", &["the entry cannot be read"][..]),
        (
            "DELETE FROM events WHERE row = 500",
            &["the row is gone", "the index summarises 1029 rows of the project, where the ledger has 1028 of them"],
        ),
    ] {
        let folder = copy(whole.path());
        Connection::open(folder.path().join("ledger.db")).and_then(|db| db.execute_batch(sql)).expect(sql);
        let reports = verify(folder.path(), None).expect("verified");
        let found: Vec<_> = reports[0].findings.iter().map(|finding| finding.detail.as_str()).collect();
        assert_eq!((found.as_slice(), reports[0].findings[0].sequence), (expected, Some(428)), "{sql}");
    }
}

#[test]
fn an_id_that_stands_twice_is_named() {
    let whole = template();
    for with_index in [true, false] {
        let folder = copy(whole.path());
        let db = Connection::open(folder.path().join("ledger.db")).expect("open");
        db.execute_batch("UPDATE events SET id = (SELECT id FROM events WHERE row = 500) WHERE row = 600").expect("sql");
        drop(db);
        if !with_index {
            std::fs::remove_file(folder.path().join("index.db")).expect("removed");
        }
        let reports = verify(folder.path(), None).expect("verified");
        let sequence = Some(600 - 1 - 600 / 7);
        assert!(reports[0].findings.iter().any(|finding| finding.sequence == sequence), "{:?}", reports[0]);
        assert!(reports[0].findings.iter().any(|finding| finding.detail.contains("has the same id")), "{:?}", reports[0]);
    }
}
