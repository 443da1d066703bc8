//! One ledger in both stores: a ledger that began in a file is carried over into a database, row by row, and from then on the same is
//! submitted to both, at the same time by the clock. Every byte that is hashed, signed or proved is then the same: entries, row hashes and
//! MACs, leaf hashes and tiles, heads and roots, anchors and notes, inclusion proofs and evidence bundles.
//!
//! What differs between any two ledgers is left out of what is submitted: contents, whose keys are random, and what the ledger records of
//! its own, whose ids are. The records of reading come after the last comparison of rows, and no checkpoint that is compared covers them.

mod carrying;

use std::sync::Arc;

use indelible_core::checkpoint::Checkpoint;
use indelible_core::hex;
use indelible_core::note::Note;
use indelible_core::tree::leaf_hash;
use indelible_engine::Ledger;
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::anchor::CheckpointStore;
use indelible_engine::append::Receipt;
use indelible_engine::export::ExportRequest;
use indelible_engine::resource::NewApiKey;

use crate::bench::{self, Bench, Folder, event, id, wait};
use crate::clock::Turned;
use crate::shell::Shell;

/// Each table with the columns that both stores have.
const TABLES: [(&str, &str); 20] = [
    ("instance", "key, value"),
    ("ledgers", "project, project_id, organization_id"),
    ("contents", "row, stored"),
    ("wraps", "row, data_key_id, wrap"),
    ("tiles", "project, level, position, hashes"),
    ("partial_tiles", "project, level, hashes"),
    ("heads", "project, size, row_hash, tree_root, hmac_key_id, mac, compact_range, recorded_at, last_row"),
    ("data_keys", "id, organization_id, wrapped, created_at"),
    ("resources", "project_id, type, id, version, body"),
    ("api_key_uses", "used_at"),
    ("stream_cursors", "stream, lane, project, next_sequence, last_sequence, pending_last"),
    ("webhook_deliveries", "stream, id, state, message_id, first_sequence, last_sequence"),
    ("anchors", "project, number, tree_size, last_row, anchor, note, checkpoint"),
    ("instance_leaves", "position, project, number, leaf"),
    ("instance_tiles", "level, position, hashes"),
    ("instance_edge", "level, hashes"),
    ("instance_checkpoints", "size, checkpoint"),
    ("ring_keys", "id, since"),
    ("signing_keys", "id, public_key, since"),
    ("retired_signing_keys", "id, since"),
];

/// The two, and their clock.
struct Twins {
    clock: Arc<Turned>,
    open: Option<[Ledger; 2]>,
    folders: [Folder; 2],
}

impl Twins {
    /// A ledger with some history of all sorts, and its copy in a database. With the key of a reader who has nothing sealed.
    fn new() -> (Self, String) {
        let (clock, folders) = (Turned::new(), [(); 2].map(|()| Folder::new()));
        let mut options = bench::options(folders[0].path());
        options.clock = Arc::<Turned>::clone(&clock);
        let store = options.checkpoints.clone();
        let opened = Ledger::open(options).expect("it opens");
        let [folder, second] = folders;
        let bench = Bench { folder, ledger: opened.ledger, first: opened.first_start, store };
        let reader = NewApiKey {
            name: "reader".to_owned(),
            owner: Owner::Project(bench.ledger.default_project_id()),
            kind: KeyKind::Application,
            scopes: vec![Scope::AuditRead, Scope::ContentDecrypt],
            expires_at: None,
        };
        let (_, reader) = wait(bench.ledger.create_api_key(&bench.instance(), reader)).expect("made");
        bench.append(&(0..300).map(|n| event(n, "before")).collect::<Vec<_>>()).expect("appended");
        wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
        let Bench { folder, ledger, .. } = bench;
        ledger.close();
        carrying::carry(folder.path(), second.path());
        (Self { clock, folders: [folder, second], open: None }, reader)
    }

    fn open(&mut self) {
        self.open = Some([0, 1].map(|at| {
            let mut options = bench::options(self.folders[at].path());
            options.clock = Arc::<Turned>::clone(&self.clock);
            Ledger::open(options).expect("it opens").ledger
        }));
    }

    /// What is committed is sealed by it.
    fn close(&mut self) {
        self.open.take().into_iter().flatten().for_each(Ledger::close);
    }

    /// Does the same with both, which comes to the same.
    fn both<T: PartialEq + std::fmt::Debug>(&self, what: &str, same: impl Fn(&Ledger, &Caller) -> T) -> T {
        let [first, second] = self.open.as_ref().expect("open");
        let [first, second] = [(first, 0), (second, 1)].map(|(ledger, at)| {
            let key = std::fs::read_to_string(self.folders[at].path().join("data/admin.key")).expect("a key");
            same(ledger, &known(ledger, key.trim()))
        });
        assert_eq!(first, second, "{what}");
        first
    }

    fn append(&self, events: &[String]) -> Vec<(u64, String, String, bool)> {
        self.both("receipts", |ledger, admin| {
            let project = ledger.project_of(admin, None).expect("the project");
            let prepared = events.iter().map(|event| {
                let source = indelible_core::event::Source::Caller;
                let submission = indelible_core::event::Submission::parse(event.as_bytes(), source, ledger.new_id()).expect("good");
                ledger.prepare(admin, &project, "http", submission).expect("prepared")
            });
            let receipts = ledger.append_blocking(prepared.collect()).expect("appended");
            let told =
                |receipt: &Receipt| (receipt.sequence, hex::encode(&receipt.row_hash), hex::encode(&receipt.leaf_hash), receipt.duplicate);
            receipts.iter().map(told).collect()
        })
    }

    fn shells(&self) -> [Shell; 2] {
        [0, 1].map(|at| Shell::over(self.folders[at].path()))
    }

    /// Every row of every table is the same, and both verify.
    fn compare(&self, when: &str) {
        let [file, database] = self.shells();
        let columns = "submission_key_id, submission_mac, retry_mac, prev_hash, row_hash, entry";
        let events = file.rows(&format!("SELECT row, project, sequence, id, {columns} FROM events ORDER BY row"));
        let of_database = format!("SELECT row, project, sequence, uuid_send(id), {columns} FROM submissions ORDER BY row");
        assert!(events.len() > 300);
        assert_eq!(events, database.rows(&of_database), "{when}: events");
        for (table, columns) in TABLES {
            let select = format!("SELECT {columns} FROM {table}");
            let [first, second] = [&file, &database].map(|shell| {
                let mut rows = shell.rows(&select);
                rows.sort();
                rows
            });
            assert_eq!(first, second, "{when}: {table}");
        }
        for at in [0, 1] {
            for report in bench::verify(self.folders[at].path(), &self.store(at)) {
                assert!(report.findings.is_empty() && report.unanchored == 0, "{when}: {report:?}");
            }
        }
    }

    fn store(&self, at: usize) -> CheckpointStore {
        bench::options(self.folders[at].path()).checkpoints
    }
}

fn known(ledger: &Ledger, text: &str) -> Caller {
    ledger.authenticate(Some(text), Envelope::default()).expect("known")
}

/// An event with no content; its neighbours differ in which members they have.
fn bare(n: u64) -> String {
    let more = match n % 4 {
        0 => r#","reason":"because","pii_classes":["email","name"]"#,
        1 => r#","run":{"id":"run-1","thread_id":"t"},"context":{"tool":"sh"}"#,
        2 => r#","occurred_at":"2026-02-28T23:59:59.123456Z","resource":{"type":"doc","id":"d","parent":"p"}"#,
        _ => "",
    };
    format!(r#"{{"id":"{}","action":"test.step","outcome":"allow","actor":{{"type":"human","id":"alice ünï ☃"}}{more}}}"#, id(n))
}

#[test]
fn a_ledger_is_the_same_to_the_byte_in_either_store() {
    let (mut twins, reader) = Twins::new();
    twins.compare("carried over");
    for round in 0..3_u64 {
        twins.open();
        let first = 1_000 + round * 1_000;
        let many: Vec<_> = (first..first + 300).map(bare).collect();
        let receipts = twins.append(&many);
        assert!(receipts.iter().all(|receipt| !receipt.3));
        for n in first + 300..first + 310 {
            twins.append(&[bare(n)]);
        }
        let again = twins.append(&[bare(first), event(7, "before"), bare(first + 310)]);
        assert_eq!(again.iter().map(|receipt| receipt.3).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(again[0].1, receipts[0].1);
        twins.both("a conflict", |ledger, admin| {
            let project = ledger.project_of(admin, None).expect("the project");
            let other = bare(first).replace("test.step", "test.other");
            let source = indelible_core::event::Source::Caller;
            let submission = indelible_core::event::Submission::parse(other.as_bytes(), source, ledger.new_id()).expect("good");
            let prepared = ledger.prepare(admin, &project, "http", submission).expect("prepared");
            ledger.append_blocking(vec![prepared]).map(drop).expect_err("another submission")
        });
        twins.clock.step(61, 61);
        twins.close();
        twins.compare(&format!("round {round}"));
    }
    twins.open();
    compare_proofs(&twins, &reader);
    twins.close();
}

/// What is shown and handed out, against the newest checkpoint of both.
fn compare_proofs(twins: &Twins, reader: &str) {
    let shown = twins.both("anchors", |ledger, admin| {
        let project = ledger.project_of(admin, None).expect("the project");
        wait(ledger.anchors(admin, &project, 0, 1_000)).expect("anchors").anchors
    });
    let note = Note::parse(shown.last().expect("an anchor").checkpoint.as_bytes()).expect("a note");
    let size = Checkpoint::parse(note.text()).expect("a checkpoint").size;
    assert!(size > 1_200, "{size}");
    for n in [0, 299, 1_000, 1_255, 2_300, 3_310] {
        let proof = twins.both("a proof", |ledger, admin| {
            let project = ledger.project_of(admin, None).expect("the project");
            wait(ledger.event_proof(admin, &project, id(n))).expect("a proof")
        });
        assert!(proof.instance.is_some() && leaf_hash(&proof.entry) != [0; 32]);
    }
    for from in [0, 1, 300, 911] {
        twins.both("growth", |ledger, admin| {
            let project = ledger.project_of(admin, None).expect("the project");
            wait(ledger.consistency(admin, &project, from, Some(size))).expect("a proof")
        });
    }
    for (log, path) in [
        ("project", "tile/0/000".to_owned()),
        ("project", "tile/entries/003".to_owned()),
        ("project", format!("tile/0/004.p/{}", size % 256)),
        ("project", format!("tile/1/000.p/{}", size / 256)),
        ("instance", "tile/0/000.p/4".to_owned()),
    ] {
        let bytes = twins.both(&path, |ledger, _| {
            // Their keys are the same too.
            let key = twins.folders[0].path().join(if log == "instance" { "data/instance.key" } else { "data/admin.key" });
            let caller = known(ledger, std::fs::read_to_string(key).expect("a key").trim());
            let name = if log == "instance" { log.to_owned() } else { ledger.default_project_id().to_string() };
            let log = wait(ledger.log_for(&caller, &name, "audit.read")).unwrap_or_else(|error| panic!("{error:?}"));
            wait(ledger.log_tile(&log, &path)).unwrap_or_else(|error| panic!("{path}: {error:?}")).bytes
        });
        assert!(!bytes.is_empty());
    }
    let whole = ExportRequest::default();
    let part = ExportRequest { filter: Some("run.id eq \"run-1\"".to_owned()), ..ExportRequest::default() };
    let mut opened = ExportRequest { first_sequence: Some(0), last_sequence: Some(299), ..ExportRequest::default() };
    opened.opening = indelible_engine::query::Opening { content: true, purpose: Some("an audit".to_owned()) };
    for request in [whole, part, opened] {
        let tar = twins.both("a bundle", |ledger, _| {
            let caller = known(ledger, reader);
            let project = ledger.project_of(&caller, None).expect("the project");
            let export = wait(ledger.export(&caller, &project, request.clone())).expect("exported");
            let mut tar = Vec::new();
            export.write(&mut tar, &mut |_| {}).expect("written");
            tar
        });
        assert!(tar.len() > 10_000 && tar.windows(13).any(|bytes| bytes == b"manifest.json"));
    }
}
