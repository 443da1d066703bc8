//! The data folder: modes, the lock, keys that others can read, the wrong master key.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::{Ledger, Mode, OpenError};

use crate::bench::{self, Bench, Folder, begin, event, options};

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

fn every_file(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        each(&entry);
        if entry.is_dir() {
            every_file(&entry, each);
        }
    }
}

#[test]
fn everything_in_the_data_folder_is_its_owners_alone() {
    let bench = Bench::new();
    bench.append(&[event(1, "a")]).unwrap();
    let mut names = Vec::new();
    every_file(&bench.data(), &mut |path| {
        assert_eq!(mode(path) & 0o077, 0, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    });
    for wanted in ["index.db", "admin.key", "instance.key", "master.key", "ring-1.key", "lock"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} in {names:?}");
    }
    assert!(bench.first.as_ref().is_some_and(|first| first.admin_key_file == bench.data().join("admin.key")));
}

#[test]
fn key_files_that_others_can_read_are_refused_with_the_command_that_mends_it() {
    let Bench { folder, ledger, .. } = Bench::new();
    let data = folder.path().join("data");
    ledger.close();
    let mut files = Vec::new();
    every_file(&data.join("keys"), &mut |path| files.push(path.to_owned()));
    let name_of = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    let names: Vec<_> = files.iter().map(|file| name_of(file)).collect();
    for sort in ["master", "ring-", "signing-", "organization-"] {
        assert!(names.iter().any(|name| name.starts_with(sort)), "{sort} in {names:?}");
    }
    for (file, name) in files.iter().zip(&names) {
        for exposed in [0o640, 0o604, 0o660] {
            set_mode(file, exposed);
            match Ledger::open(options(folder.path())).map(|_| ()) {
                Err(OpenError::Key(text)) => assert!(text.contains("chmod 600") && text.contains(name), "{text}"),
                other => panic!("{name} {exposed:o}: {other:?}"),
            }
            set_mode(file, 0o600);
            Ledger::open(options(folder.path())).expect("mended").ledger.close();
        }
    }
}

#[test]
fn server_mode_refuses_a_generated_master_key() {
    let Bench { folder, ledger, .. } = Bench::new();
    let data = folder.path().join("data");
    ledger.close();
    let mut options = options(folder.path());
    options.mode = Mode::Server;
    assert!(matches!(Ledger::open(options.clone()).map(|_| ()), Err(OpenError::Key(_))));
    // The generated one, moved outside, is still a generated one.
    let moved = folder.path().join("moved.key");
    std::fs::copy(data.join("keys/master.key"), &moved).unwrap();
    set_mode(&moved, 0o600);
    options.master_key_file = Some(moved.clone());
    assert!(matches!(Ledger::open(options.clone()).map(|_| ()), Err(OpenError::Key(_))));
    // One from outside opens a folder of its own, and no other master key does.
    std::fs::write(&moved, format!("{}\n", "5a".repeat(32))).unwrap();
    let server = tempfile::tempdir().expect("a folder");
    let mut options = begin(server.path());
    (options.mode, options.master_key_file) = (Mode::Server, Some(moved.clone()));
    Ledger::open(options.clone()).expect("a master key from outside").ledger.close();
    std::fs::write(&moved, format!("{}\n", "5b".repeat(32))).unwrap();
    match Ledger::open(options).map(|_| ()) {
        Err(OpenError::Key(text)) => assert!(text.contains("master key"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_process_holds_the_folder() {
    let bench = Bench::new();
    assert!(matches!(Ledger::open(options(bench.folder.path())).map(|_| ()), Err(OpenError::Locked(_))));
    let bench = bench.reopen();
    bench.append(&[event(1, "a")]).expect("released and taken again");
}

/// Fails the n-th write, before or after it was done.
struct Nth {
    when: When,
    left: AtomicI64,
}

impl Faults for Nth {
    fn strikes(&self, _: Write, when: When) -> bool {
        when == self.when && self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }
}

#[test]
fn the_first_start_can_be_cut_off_anywhere() {
    for when in [When::Before, When::After] {
        let mut writes = 0;
        loop {
            let folder = Folder::new();
            let mut options = begin(folder.path());
            let faults = Arc::new(Nth { when, left: AtomicI64::new(writes) });
            options.faults = Some(Arc::<Nth>::clone(&faults));
            let opened = Ledger::open(options.clone());
            let cut_off = opened.is_err();
            assert_eq!(cut_off, faults.left.load(Ordering::SeqCst) < 0, "{when:?} {writes}");
            // What closing writes is not of the first start.
            faults.left.store(i64::MAX, Ordering::SeqCst);
            drop(opened);
            options.faults = None;
            let opened = Ledger::open(options.clone()).unwrap_or_else(|error| panic!("{when:?} {writes}: {error}"));
            let text = std::fs::read_to_string(options.data.join("admin.key")).expect("a key");
            opened.ledger.authenticate(Some(text.trim()), indelible_engine::access::Envelope::default()).expect("the key works");
            if !cut_off {
                break;
            }
            writes += i64::try_from(bench::stride()).expect("few");
        }
        assert!(writes > 10, "{writes}");
    }
}

#[test]
fn a_disk_reserve_larger_than_the_disk_refuses_callers_and_takes_records() {
    let bench = Bench::with(|options| options.disk_reserve_bytes = u64::MAX / 4);
    let refused = bench.append(&[event(1, "a")]).expect_err("no room beside the reserve");
    assert_eq!(refused.to_string(), "the disk is nearly full");
    assert_eq!(bench.ledger.status().refusing, Some("the disk is nearly full"));
    assert!(bench.projects().len() >= 3, "a read is recorded in the reserve");
}
