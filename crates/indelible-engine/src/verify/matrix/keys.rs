//! What is done to the key store of a ledger whose ring and whose signing key were rotated: what needs a key that is not there is
//! unverifiable, its file is named, and everything else is verified as ever.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use indelible_core::event::{Source, Submission};
use indelible_core::verify::Verdict::{Altered, Intact, Unverifiable};
use indelible_core::verify::{Report, Verdict};
use uuid::Uuid;

use super::How::{self, Do, Sql};
use super::forge::{A, B, Forge, ORGANIZATION, SYSTEM};
use super::{Case, run_on};
use crate::access::Caller;
use crate::keystore::Rotation;
use crate::ledger::{Ledger, Options};
use crate::resource::Project;

/// Rows of the default project under each of the two keys of the ring.
const UNDER_EACH: u64 = 20;

static ROTATED: LazyLock<tempfile::TempDir> = LazyLock::new(make);

fn append(ledger: &Ledger, caller: &Caller, project: &Project) {
    let prepare = |_| {
        let text = br#"{"action":"test.step","outcome":"allow","actor":{"type":"human","id":"alice"},"content":{"arguments":{"a":1}}}"#;
        let submission = Submission::parse(text, Source::Caller, ledger.new_id()).expect("a good event");
        ledger.prepare(caller, project, "test", submission).expect("prepared")
    };
    ledger.append_blocking((0..UNDER_EACH).map(prepare).collect()).expect("appended");
}

fn make() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::new(folder.path().join("data"));
    options.disk_reserve_bytes = 0;
    options.instance_name = Some("log".to_owned());
    options.anchor_interval = Duration::from_hours(1);
    let ledger = Ledger::open(options).expect("it opens").ledger;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let caller = ledger.operator();
    let default = ledger.project_of(&caller, Some(ledger.default_project_id())).expect("the default project");
    let second = runtime.block_on(ledger.create_project(&caller, None, "second")).expect("a second project").id;
    let second = ledger.project_of(&caller, Some(second)).expect("the second project");
    append(&ledger, &caller, &default);
    runtime.block_on(ledger.seal(&caller, &default)).expect("sealed");
    for rotation in [Rotation::Hmac, Rotation::Signing { kms_key: None, retire_old: false }] {
        runtime.block_on(ledger.rotate_key(&caller, rotation)).expect("rotated");
    }
    append(&ledger, &caller, &default);
    append(&ledger, &caller, &second);
    ledger.close();
    folder
}

fn rotated() -> Forge {
    let folder = ROTATED.path();
    Forge::copy_of(&folder.join("data"), &folder.join("data.checkpoints"))
}

fn key(forge: &Forge, name: &str) -> PathBuf {
    forge.data().join("keys").join(format!("{name}.key"))
}

fn remove(forge: &Forge, name: &str) {
    std::fs::remove_file(key(forge, name)).expect("removed");
}

/// Hex, and wrapped under nothing.
fn spoil(forge: &Forge, name: &str) {
    std::fs::write(key(forge, name), format!("{}\n", "5a".repeat(40))).expect("written");
}

fn organization(forge: &Forge) -> String {
    let sql = "SELECT json_extract(entry, '$.organization_id') FROM events WHERE project = 3 LIMIT 1";
    let id: String = forge.db.query_row(sql, [], |row| row.get(0)).expect("named");
    format!("organization-{id}")
}

type Expected = &'static [(i64, Verdict, Option<u64>)];

/// The first row of each project that is under the first key of the ring; of the second project none is.
const UNDER_THE_OLDER: Expected = &[(A, Unverifiable, Some(0)), (SYSTEM, Unverifiable, Some(0)), (ORGANIZATION, Unverifiable, Some(0))];
/// Under the second; the organization has had no event since.
const UNDER_THE_NEWER: Expected = &[(A, Unverifiable, Some(UNDER_EACH + 2)), (B, Unverifiable, Some(0)), (SYSTEM, Unverifiable, Some(5))];
/// A data key that does not open is told of the store itself, too.
const SHUT: Expected = &[(A, Altered, Some(0)), (B, Altered, Some(0)), (ORGANIZATION, Altered, Some(0)), (SYSTEM, Altered, None)];
/// With a content of the organization that owns all but the instance.
const UNREADABLE: Expected = &[(A, Altered, Some(0)), (B, Altered, Some(0)), (ORGANIZATION, Altered, Some(0))];
const UNTRIED: Expected =
    &[(A, Unverifiable, Some(0)), (B, Unverifiable, Some(0)), (ORGANIZATION, Unverifiable, Some(0)), (SYSTEM, Unverifiable, None)];
const NO_KEY: Expected =
    &[(A, Unverifiable, Some(0)), (B, Unverifiable, Some(0)), (SYSTEM, Unverifiable, Some(0)), (ORGANIZATION, Unverifiable, Some(0))];

const KEYS: &[Case] = &[
    ("nothing", Do(|_| ()), &[]),
    ("the older ring key gone", Do(|f| remove(f, "ring-1")), UNDER_THE_OLDER),
    ("the older ring key spoiled", Do(|f| spoil(f, "ring-1")), UNDER_THE_OLDER),
    ("the newer ring key gone", Do(|f| remove(f, "ring-2")), UNDER_THE_NEWER),
    ("the older signing key gone", Do(|f| remove(f, "signing-1")), &[]),
    ("the newer signing key gone", Do(|f| remove(f, "signing-2")), &[]),
    ("the older signing key spoiled", Do(|f| spoil(f, "signing-1")), &[(SYSTEM, Unverifiable, None)]),
    ("the organization's key gone, and no event tells of it", Do(|f| remove(f, &organization(f))), UNREADABLE),
    ("the organization's key spoiled", Do(|f| spoil(f, &organization(f))), UNTRIED),
    (
        "the organization's key replaced",
        Do(|f| std::fs::copy(key(f, "ring-1"), key(f, &organization(f))).map(drop).expect("replaced")),
        SHUT,
    ),
    (
        "a data key",
        Sql(
            "UPDATE data_keys SET wrapped = zeroblob(40) WHERE organization_id IN (SELECT json_extract(entry, '$.organization_id') FROM events WHERE project = 3)",
        ),
        SHUT,
    ),
    ("the master key gone", Do(|f| remove(f, "master")), NO_KEY),
    (
        "the master key replaced",
        Do(|f| std::fs::write(key(f, "master"), format!("generated {}\n", "5a".repeat(32))).expect("replaced")),
        NO_KEY,
    ),
    ("all keys gone", Do(|f| std::fs::remove_dir_all(f.data().join("keys")).expect("removed")), NO_KEY),
];

#[test]
fn every_change_of_the_key_store_has_its_verdict() {
    run_on(rotated, KEYS);
}

fn report_of(reports: &[Report], id: Uuid) -> &Report {
    reports.iter().find(|report| report.project_id == id).expect("a report")
}

/// Each file that is absent or of no use is named, once.
#[test]
fn the_file_of_a_key_that_is_not_there_is_named() {
    let cases: &[(How, &[&str])] = &[
        (Do(|f| remove(f, "ring-1")), &["ring-1.key is missing"]),
        (Do(|f| remove(f, "ring-2")), &["ring-2.key is missing"]),
        (Do(|f| spoil(f, "signing-2")), &["signing-2.key does not open"]),
        (
            Do(|f| {
                remove(f, "ring-1");
                spoil(f, "ring-2");
                spoil(f, &organization(f));
            }),
            &["ring-1.key is missing", "ring-2.key does not open", "organization-"],
        ),
        (Do(|f| remove(f, "master")), &["master.key is missing"]),
    ];
    for (how, names) in cases {
        let forge = rotated();
        let system = forge.project_id(SYSTEM);
        how.act(&forge);
        let reports = forge.verify();
        let told: Vec<&str> = reports.iter().flat_map(|report| &report.findings).map(|finding| finding.detail.as_str()).collect();
        for name in *names {
            assert_eq!(told.iter().filter(|detail| detail.contains(&format!("keys/{name}"))).count(), 1, "{name}: {told:?}");
        }
        let of_files = report_of(&reports, system).findings.iter().filter(|finding| finding.detail.contains(".key ")).count();
        assert_eq!(of_files, names.len(), "{told:?}");
    }
}

/// One key less hides nothing under the other.
#[test]
fn rows_under_the_key_that_is_there_are_verified() {
    let changed =
        |sequence: u64| format!("UPDATE events SET entry = replace(entry, 'alice', 'bobby') WHERE project = 3 AND sequence = {sequence}");
    for (gone, sequence, found) in [("ring-1", UNDER_EACH + 10, Altered), ("ring-2", 10, Altered), ("ring-1", u64::MAX >> 1, Intact)] {
        let forge = rotated();
        let id = forge.project_id(A);
        forge.sql(&changed(sequence));
        remove(&forge, gone);
        let reports = forge.verify();
        let report = report_of(&reports, id);
        assert!(report.events > 2 * UNDER_EACH, "{report:?}");
        let named = report.findings.iter().any(|finding| finding.kind == Altered && finding.sequence == Some(sequence));
        assert_eq!(
            (named, report.verdict),
            (found == Altered, if found == Altered { Altered } else { Unverifiable }),
            "{gone}: {report:#?}"
        );
    }
}

/// What a command mends is refused as ever, with the command.
#[test]
fn key_files_that_others_can_read_stop_a_verification() {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["ring-1", "master"] {
        let forge = rotated();
        std::fs::set_permissions(key(&forge, name), std::fs::Permissions::from_mode(0o644)).expect("set");
        let (data, checkpoints) = (forge.data(), forge.checkpoints().into());
        let refused = crate::verify::verify_folder(&crate::verify::Request::new(&data, &checkpoints), &mut |_| {});
        let why = refused.expect_err("it is refused").to_string();
        assert!(why.contains("chmod 600") && why.contains(name), "{why}");
    }
}
