//! A real ledger of two projects and many anchors, made once; copies of it, and what somebody can do to one who has the
//! disk, the HMAC ring, the signing key, or the checkpoint store.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indelible_core::anchor::{Anchor, Interval};
use indelible_core::chain::{GENESIS, Hash};
use indelible_core::checkpoint::Checkpoint;
use indelible_core::event::{Source, Submission};
use indelible_core::key::Secret;
use indelible_core::note::{Algorithm, LocalSigner, Name, Note, Signer};
use indelible_core::tree::{Edge, leaf_hash};
use indelible_core::verify::Report;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::keystore::KeyStore;
use crate::ledger::{Ledger, Mode, Options};
use crate::verify::{Request, on_folder, verify_folder};

/// Rows of the default project that its first anchor covers.
pub(super) const FIRST: u64 = 302;
/// Anchors after the first, each of two rows in the default project and of one in the other.
pub(super) const MORE: u64 = 130;
/// Of them, those that the older copy has.
pub(super) const OLDER: u64 = 120;
/// The instance, its organization, the default project, and the one that was made beside it.
pub(super) const SYSTEM: i64 = 1;
pub(super) const ORGANIZATION: i64 = 2;
pub(super) const A: i64 = 3;
pub(super) const B: i64 = 4;

/// The ledger as it is, and as it was an hour ago.
struct Whole {
    folder: tempfile::TempDir,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(make);

fn make() -> Whole {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut other = None;
    for (first, end) in [(0, OLDER), (OLDER, MORE)] {
        let mut options = Options::new(&data);
        options.disk_reserve_bytes = 0;
        options.instance_name = Some("log".to_owned());
        options.anchor_interval = Duration::from_hours(1);
        let ledger = Ledger::open(options).expect("it opens").ledger;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let caller = ledger.operator();
        let default = ledger.project_of(&caller, Some(ledger.default_project_id())).expect("the default project");
        if first == 0 {
            other = Some(runtime.block_on(ledger.create_project(&caller, None, "second")).expect("a second project").id);
        }
        let second = ledger.project_of(&caller, other).expect("the second project");
        let append = |project, count| {
            let prepare = |_| {
                let text =
                    br#"{"action":"test.step","outcome":"allow","actor":{"type":"human","id":"alice"},"content":{"arguments":{"a":1}}}"#;
                let submission = Submission::parse(text, Source::Caller, ledger.new_id()).expect("a good event");
                ledger.prepare(&caller, project, "test", submission).expect("prepared")
            };
            ledger.append_blocking((0..count).map(prepare).collect()).expect("appended");
        };
        let seal = || {
            let status = runtime.block_on(ledger.seal(&caller, &default)).expect("sealed");
            assert_eq!((status.unanchored, status.refused), (0, None));
        };
        if first == 0 {
            append(&default, 300);
            append(&second, 5);
            seal();
        }
        for _ in first..end {
            append(&default, 1);
            append(&second, 1);
            seal();
        }
        ledger.close();
        if end == OLDER {
            copy(&data, &folder.path().join("older"));
        }
    }
    cosign(&data);
    Whole { folder }
}

/// Two witnesses' word on three checkpoints each, as a server keeps it.
fn cosign(data: &Path) {
    let db = open(&data.join("ledger.db"));
    let newest = "SELECT size, checkpoint FROM instance_checkpoints ORDER BY size DESC LIMIT 3";
    let mut select = db.prepare(newest).expect("sql");
    let newest: Vec<(i64, String)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").collect::<Result<_, _>>().expect("rows");
    for (at, (size, checkpoint)) in newest.iter().enumerate() {
        let note = Note::parse(checkpoint.as_bytes()).expect("a note");
        for signer in [witness(1), witness(2)].iter().take(3 - at) {
            let line = indelible_core::note::cosign(note.text(), signer, 1_700_000_000).expect("signed").to_string();
            let row = params![size, signer.verifier_key().to_string(), line];
            db.execute("INSERT INTO cosignatures VALUES (?1, ?2, ?3, 1)", row).expect("written");
        }
    }
}

/// A witness.
pub(super) fn witness(seed: u8) -> LocalSigner {
    let name = Name::new(format!("w{seed}.example")).expect("a name");
    LocalSigner::from_seed(name, Algorithm::CosignatureV1, &Secret::new([seed; 32])).expect("a seed")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Row, sequence, entry and row hash.
type Found = (i64, i64, String, Hash);

/// A copy to be forged, without triggers.
pub(super) struct Forge {
    folder: tempfile::TempDir,
    pub(super) db: Connection,
}

impl Forge {
    pub(super) fn new() -> Self {
        let whole = WHOLE.folder.path();
        Self::copy_of(&whole.join("data"), &whole.join("data.checkpoints"))
    }

    /// The ledger as verification reads it.
    pub(super) fn reader(&self) -> crate::store::sql::Connection {
        crate::store::sql::Connection::from(open(&self.folder.path().join("data/ledger.db")))
    }

    pub(super) fn copy_of(data: &Path, checkpoints: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(data, &folder.path().join("data"));
        copy(checkpoints, &folder.path().join("data.checkpoints"));
        let db = open(&folder.path().join("data/ledger.db"));
        Self { folder, db }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.folder.path().join("data.checkpoints")
    }

    /// What `indelible verify` says; by project number, with that of a project which is not there last.
    pub(super) fn verify(self) -> Vec<Report> {
        let Self { folder, db } = self;
        drop(db);
        let (data, checkpoints) = (folder.path().join("data"), folder.path().join("data.checkpoints").into());
        let request = Request::new(&data, &checkpoints);
        let reports = verify_folder(&request, &mut |_| {}).expect("verified").projects;
        let slowly = on_folder(&request, &AtomicBool::new(false), |ground, _| crate::verify::walk::slices::walk(ground, &mut |_| true));
        // The patrol says the same of whatever somebody did.
        assert_eq!(slowly.expect("verified").reports, reports);
        reports
    }

    /// Runs SQL in which `{A}` is the row of sequence 100 of the default project.
    pub(super) fn sql(&self, sql: &str) {
        let sql = sql.replace("{A}", "(SELECT row FROM events WHERE project = 3 AND sequence = 100)");
        self.db.execute_batch(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    pub(super) fn store(&self, sql: &str) {
        let file = self.checkpoints().join("log.checkpoints");
        Connection::open(file).and_then(|store| store.execute_batch(sql)).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// The index can always be deleted.
    pub(super) fn forget_index(&self) {
        std::fs::remove_file(self.data().join("index.db")).expect("removed");
    }

    /// Puts the whole data folder back as it was.
    pub(super) fn put_back(&self) {
        std::fs::remove_dir_all(self.data()).expect("removed");
        copy(&WHOLE.folder.path().join("older"), &self.data());
    }

    pub(super) fn keystore(&self) -> KeyStore {
        KeyStore::open(&self.data().join("keys"), None, Mode::Local, false).expect("the key store")
    }

    pub(super) fn project_id(&self, project: i64) -> Uuid {
        let id: String =
            self.db.query_row("SELECT project_id FROM ledgers WHERE project = ?1", [project], |row| row.get(0)).expect("named");
        Uuid::try_parse(&id).expect("a UUID")
    }

    pub(super) fn origin(&self, project: i64) -> Name {
        Name::new(format!("log/{}", self.project_id(project))).expect("a name")
    }

    /// The log's own signer, or a stranger.
    pub(super) fn signer(&self, origin: Name, stranger: bool) -> Box<dyn Signer> {
        if stranger {
            Box::new(LocalSigner::from_seed(origin, Algorithm::Ed25519, &Secret::new([7; 32])).expect("a seed"))
        } else {
            let (id, public_key) = self.keystore().public_signing_keys()[0];
            self.keystore().signer(id, &public_key, origin).expect("a signer")
        }
    }

    /// With the HMAC ring: changes the entries from a sequence on, and chains them anew.
    pub(super) fn rewrite_rows(&self, project: i64, from: u64) {
        let keys = self.keystore().project_keys(self.project_id(project), 1).expect("keys");
        let mut select = self.db.prepare("SELECT row, sequence, entry, row_hash FROM events WHERE project = ?1 ORDER BY row").expect("sql");
        let rows: Vec<Found> = select
            .query_map([project], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .expect("rows")
            .collect::<Result<_, _>>()
            .expect("rows");
        let (mut prev_hash, mut changed) = (GENESIS, false);
        for (row, sequence, entry, row_hash) in rows {
            if sequence.unsigned_abs() < from {
                prev_hash = row_hash;
                continue;
            }
            let entry = if sequence.unsigned_abs() == from { entry.replace("\"alice\"", "\"bobby\"") } else { entry };
            changed |= entry.contains("\"bobby\"");
            let row_hash = keys.row_hash(entry.as_bytes(), &prev_hash);
            let update = "UPDATE events SET entry = ?2, prev_hash = ?3, row_hash = ?4 WHERE row = ?1";
            self.db.execute(update, params![row, entry, prev_hash, row_hash]).expect("written");
            prev_hash = row_hash;
        }
        assert!(changed, "the entry of sequence {from} has nothing to change");
    }

    /// Makes head and tiles fit the rows; with the HMAC ring the head's MAC as well.
    pub(super) fn rewrite_head(&self, project: i64, with_ring: bool) {
        let mut select = self.db.prepare("SELECT entry, row_hash, row FROM events WHERE project = ?1 ORDER BY row").expect("sql");
        let mut rows = select.query([project]).expect("rows");
        let (mut edge, mut tiles, mut last, mut last_row) = (Edge::new(), Vec::new(), GENESIS, 0_i64);
        while let Some(row) = rows.next().expect("a row") {
            edge.append(leaf_hash(row.get_ref(0).expect("entry").as_bytes().expect("text")), &mut tiles);
            (last, last_row) = (row.get(1).expect("a hash"), row.get(2).expect("a row"));
        }
        self.db.execute("DELETE FROM tiles WHERE project = ?1", [project]).expect("deleted");
        self.db.execute("DELETE FROM partial_tiles WHERE project = ?1", [project]).expect("deleted");
        for tile in tiles {
            let tile = params![project, tile.level, tile.index as i64, tile.hashes];
            self.db.execute("INSERT INTO tiles VALUES (?1, ?2, ?3, ?4)", tile).expect("a tile");
        }
        for (level, hashes) in edge.partial_tiles().iter().enumerate() {
            self.db
                .execute("INSERT INTO partial_tiles VALUES (?1, ?2, ?3)", params![project, level as i64, hashes.concat()])
                .expect("partial");
        }
        let recorded: String = self
            .db
            .query_row("SELECT json_extract(entry, '$.recorded_at') FROM events WHERE row = ?1", [last_row], |row| row.get(0))
            .expect("a time");
        let recorded_at = indelible_core::time::Timestamp::parse(&recorded).expect("a time").as_micros();
        let (size, root) = (edge.size(), edge.root());
        let head = params![project, size as i64, last, root, edge.compact_range().concat(), last_row, recorded_at];
        let update = "UPDATE heads SET size = ?2, row_hash = ?3, tree_root = ?4, compact_range = ?5, last_row = ?6, recorded_at = ?7 WHERE project = ?1";
        self.db.execute(update, head).expect("a head");
        if with_ring {
            let mac = self.keystore().project_keys(self.project_id(project), 1).expect("keys").head_mac(size, &last, &root);
            self.db.execute("UPDATE heads SET mac = ?2 WHERE project = ?1", params![project, mac]).expect("a MAC");
        }
    }

    /// Makes the anchors of a project fit its rows from number `from` on, and signs them; their leaves as well.
    pub(super) fn resign(&self, project: i64, from: u64, stranger: bool) {
        let origin = self.origin(project);
        let signer = self.signer(origin.clone(), stranger);
        let mut select = self.db.prepare("SELECT number, anchor FROM anchors WHERE project = ?1 ORDER BY number").expect("sql");
        let anchors: Vec<(i64, String)> =
            select.query_map([project], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").collect::<Result<_, _>>().expect("rows");
        let mut previous: Option<Anchor> = None;
        for (number, text) in anchors {
            let mut anchor = Anchor::parse(text.as_bytes()).expect("an anchor");
            if number.unsigned_abs() >= from {
                let (mut interval, mut edge) = (Interval::new(), Edge::new());
                let mut select = self
                    .db
                    .prepare_cached("SELECT sequence, row_hash, entry FROM events WHERE project = ?1 AND sequence <= ?2 ORDER BY row")
                    .expect("sql");
                let mut rows = select.query(params![project, anchor.last_sequence as i64]).expect("rows");
                while let Some(row) = rows.next().expect("a row") {
                    let hash: Hash = row.get(1).expect("a hash");
                    if row.get::<_, i64>(0).expect("a sequence").unsigned_abs() >= anchor.first_sequence {
                        interval.push(&hash);
                    }
                    anchor.last_row_hash = hash;
                    edge.append(leaf_hash(row.get_ref(2).expect("entry").as_bytes().expect("text")), &mut Vec::new());
                }
                (anchor.merkle_root, anchor.tree_root) = (interval.root(), edge.root());
                anchor.previous_anchor_sha256 = previous.as_ref().map(Anchor::sha256);
                anchor.signing_key_id = signer.verifier_key().id();
                let note = anchor.sign(&origin, signer.as_ref()).expect("signed").to_string();
                let checkpoint = Checkpoint { origin: origin.clone(), size: anchor.tree_size(), root: anchor.tree_root };
                let checkpoint = checkpoint.sign(&[signer.as_ref()]).expect("signed").to_string();
                let bytes = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
                let row = params![project, number, bytes(anchor.to_bytes()), note, checkpoint];
                self.db
                    .execute("UPDATE anchors SET anchor = ?3, note = ?4, checkpoint = ?5 WHERE project = ?1 AND number = ?2", row)
                    .expect("an anchor");
                let leaf = params![project, number, bytes(anchor.instance_leaf().to_bytes())];
                self.db.execute("UPDATE instance_leaves SET leaf = ?3 WHERE project = ?1 AND number = ?2", leaf).expect("a leaf");
            }
            previous = Some(anchor);
        }
    }

    /// Makes tiles, edge and checkpoints of the instance tree fit its leaves, and signs them.
    pub(super) fn rewrite_instance(&self) {
        let origin = Name::new("log").expect("a name");
        let signer = self.signer(origin.clone(), false);
        let (mut edge, mut tiles) = (Edge::new(), Vec::new());
        let mut select = self.db.prepare("SELECT leaf FROM instance_leaves ORDER BY position").expect("sql");
        let leaves: Vec<String> = select.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("rows");
        for leaf in leaves {
            edge.append(leaf_hash(leaf.as_bytes()), &mut tiles);
            let checkpoint = Checkpoint { origin: origin.clone(), size: edge.size(), root: edge.root() };
            let checkpoint = checkpoint.sign(&[signer.as_ref()]).expect("signed").to_string();
            let row = params![edge.size() as i64, checkpoint];
            self.db.execute("UPDATE instance_checkpoints SET checkpoint = ?2 WHERE size = ?1", row).expect("a checkpoint");
        }
        for tile in tiles {
            let tile = params![tile.level, tile.index as i64, tile.hashes];
            self.db.execute("UPDATE instance_tiles SET hashes = ?3 WHERE level = ?1 AND position = ?2", tile).expect("a tile");
        }
        for (level, hashes) in edge.partial_tiles().iter().enumerate() {
            let edge = params![level as i64, hashes.concat()];
            self.db.execute("UPDATE instance_edge SET hashes = ?2 WHERE level = ?1", edge).expect("the edge");
        }
    }

    /// Puts the newest checkpoints of the ledger into the checkpoint store.
    pub(super) fn rewrite_store(&self) {
        let newest = "SELECT checkpoint FROM anchors WHERE project = ?1 ORDER BY number DESC LIMIT 1";
        let store = Connection::open(self.checkpoints().join("log.checkpoints")).expect("the store");
        for project in [SYSTEM, ORGANIZATION, A, B] {
            let checkpoint: String = self.db.query_row(newest, [project], |row| row.get(0)).expect("an anchor");
            let origin = self.origin(project);
            let row = params![origin.as_str(), checkpoint];
            store.execute("UPDATE checkpoints SET checkpoint = ?2 WHERE origin = ?1", row).expect("written");
        }
        let newest = "SELECT checkpoint FROM instance_checkpoints ORDER BY size DESC LIMIT 1";
        let checkpoint: String = self.db.query_row(newest, [], |row| row.get(0)).expect("a checkpoint");
        store.execute("UPDATE checkpoints SET checkpoint = ?1 WHERE origin = 'log'", [checkpoint]).expect("written");
    }

    /// Cuts a project to its first `anchors` anchors: rows, contents, anchors and leaves.
    pub(super) fn cut(&self, project: i64, anchors: u64) {
        let size: i64 = self
            .db
            .query_row("SELECT tree_size FROM anchors WHERE project = ?1 AND number = ?2", params![project, anchors as i64 - 1], |row| {
                row.get(0)
            })
            .unwrap_or(0);
        for table in ["contents", "wraps", "events"] {
            let sql = format!("DELETE FROM {table} WHERE row IN (SELECT row FROM events WHERE project = ?1 AND sequence >= ?2)");
            self.db.execute(&sql, params![project, size]).expect("deleted");
        }
        for table in ["anchors", "instance_leaves"] {
            self.db
                .execute(&format!("DELETE FROM {table} WHERE project = ?1 AND number >= ?2"), params![project, anchors as i64])
                .expect("deleted");
        }
        self.forget_index();
    }
}

fn open(ledger: &Path) -> Connection {
    let db = Connection::open(ledger).expect("it opens");
    let mut drops = db.prepare("SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger'").expect("sql");
    let all: Vec<String> = drops.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("names");
    drop(drops);
    db.execute_batch(&all.join(";")).expect("dropped");
    db
}
