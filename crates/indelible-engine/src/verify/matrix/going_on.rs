//! Going on from what was verified before: what is read, what is seen, what is not seen, and what is refused.

use indelible_core::event::{Source, Submission};
use indelible_core::verify::{Report, Verdict};

use super::forge::{A, B, Forge, SYSTEM};
use crate::ledger::{Ledger, Options};
use crate::verify::{FolderReport, Request, Since, VerifyError, verify_folder};

/// Of each project its number and report, and how many rows were read.
struct Told(FolderReport);

impl Told {
    fn of<'t>(&'t self, forge: &Forge, project: i64) -> &'t Report {
        let id = forge.project_id(project);
        self.0.projects.iter().find(|report| report.project_id == id).expect("a report")
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.0.projects.iter().map(|report| report.verdict).collect()
    }
}

fn verify(forge: &Forge, since: Option<&Since>) -> Result<Told, VerifyError> {
    let (data, checkpoints) = (forge.data(), forge.checkpoints().into());
    verify_folder(&Request { since, ..Request::new(&data, &checkpoints) }, &mut |_| {}).map(Told)
}

fn going_on(forge: &Forge) -> Told {
    verify(forge, Some(&Since::Last)).expect("it goes on")
}

/// Appends events to the default project, and seals them.
fn grow(forge: &Forge, events: usize) {
    let mut options = Options::new(forge.data());
    options.disk_reserve_bytes = 0;
    options.anchor_interval = std::time::Duration::from_hours(1);
    let ledger = Ledger::open(options).expect("it opens").ledger;
    let caller = ledger.operator();
    let project = ledger.project_of(&caller, Some(forge.project_id(A))).expect("the project");
    let prepare = |_| {
        let text = br#"{"action":"test.step","outcome":"allow","actor":{"type":"human","id":"alice"},"content":{"arguments":{"a":1}}}"#;
        let submission = Submission::parse(text, Source::Caller, ledger.new_id()).expect("a good event");
        ledger.prepare(&caller, &project, "test", submission).expect("prepared")
    };
    ledger.append_blocking((0..events).map(prepare).collect()).expect("appended");
    ledger.close();
}

fn note(forge: &Forge) -> std::path::PathBuf {
    forge.checkpoints().join("log.verified")
}

/// That of a verification that went on.
fn second_note(forge: &Forge) -> std::path::PathBuf {
    forge.checkpoints().join("log.verified-partial")
}

/// A copy that was verified whole, and its note.
fn verified() -> Forge {
    let forge = Forge::new();
    assert!(!note(&forge).exists());
    let told = verify(&forge, None).expect("verified");
    assert_eq!((told.verdicts(), &told.0.note_failed, told.0.since), (vec![Verdict::Intact; 4], &None, None));
    assert!(note(&forge).exists());
    forge
}

#[test]
fn what_was_verified_is_not_read_again_and_the_verdict_says_so() {
    let forge = verified();
    let before: Vec<u64> = verify(&forge, None).expect("verified").0.projects.iter().map(|report| report.events).collect();
    let told = going_on(&forge);
    assert_eq!(told.verdicts(), [Verdict::Partial; 4]);
    assert_eq!(
        told.0.projects.iter().map(|report| (report.events, report.not_read)).collect::<Vec<_>>(),
        before.iter().map(|n| (0, *n)).collect::<Vec<_>>()
    );
    grow(&forge, 700);
    let told = going_on(&forge);
    assert_eq!(told.verdicts(), [Verdict::Partial; 4]);
    let (a, b) = (told.of(&forge, A), told.of(&forge, B));
    assert_eq!((a.events, a.not_read, a.unanchored), (700, before[2], 0));
    assert_eq!((b.events, b.not_read), (0, before[3]));
    // The next goes on from there.
    grow(&forge, 1);
    let told = going_on(&forge);
    let a = told.of(&forge, A);
    assert_eq!((told.verdicts(), a.events, a.not_read), (vec![Verdict::Partial; 4], 1, before[2] + 700));
    verify(&forge, None).expect("verified");
    assert!(note(&forge).exists() && !second_note(&forge).exists());
    grow(&forge, 1);
    assert_eq!(going_on(&forge).of(&forge, A).events, 1);
}

/// The second note is believed as far as its MAC goes, is not taken for the first, and rests on it.
#[test]
fn the_note_of_one_that_went_on_is_taken_for_what_it_is() {
    let forge = verified();
    let first = std::fs::read(note(&forge)).expect("a note");
    grow(&forge, 5);
    going_on(&forge);
    let second = std::fs::read_to_string(second_note(&forge)).expect("a second note");
    assert_eq!(std::fs::read(note(&forge)).expect("a note"), first);
    let refused = |words: &str| match verify(&forge, Some(&Since::Last)) {
        Err(VerifyError::Since(why)) => assert!(why.contains(words) && why.contains("--since"), "{why}"),
        other => panic!("{words}: {:?}", other.map(|told| told.0)),
    };
    let lines: Vec<&str> = second.lines().collect();
    for (line, other) in [(1, lines[3]), (3, lines[1]), (5, "7")] {
        let mut changed = lines.clone();
        changed[line] = other;
        std::fs::write(second_note(&forge), changed.join("\n") + "\n").expect("written");
        refused("last verification that went on was not made with the keys of this ledger");
    }
    // Neither in the other's place, nor with the other's first line.
    std::fs::write(second_note(&forge), &first).expect("written");
    refused("last verification that went on is none");
    std::fs::write(note(&forge), &second).expect("written");
    refused("last complete verification is none");
    std::fs::write(note(&forge), second.replacen("-partial", "", 1)).expect("written");
    refused("last complete verification was not made with the keys");
    std::fs::write(second_note(&forge), &second).expect("put back");
    std::fs::remove_file(note(&forge)).expect("removed");
    refused("there is no note");
    std::fs::write(note(&forge), &first).expect("put back");
    assert_eq!(going_on(&forge).of(&forge, A).events, 0);
    // Removed, more is read; and where something is wrong, it is not moved on.
    std::fs::remove_file(second_note(&forge)).expect("removed");
    forge.sql(&format!("UPDATE events SET entry = replace(entry, 'alice', 'bobby') WHERE project = 3 AND sequence = {}", super::SIZE + 2));
    let told = going_on(&forge);
    assert_eq!((told.of(&forge, A).events, told.of(&forge, A).verdict), (5, Verdict::Altered));
    assert!(!second_note(&forge).exists());
}

/// A resource that was put there is seen however many verifications went on between.
#[test]
fn resources_of_then_are_remembered_from_one_to_the_next() {
    let forge = verified();
    for _ in 0..2 {
        grow(&forge, 3);
        assert_eq!(going_on(&forge).verdicts(), [Verdict::Partial; 4]);
    }
    forge.sql("INSERT INTO resources SELECT project_id, type, id || 'x', version, body FROM resources WHERE type = 'api_key' LIMIT 1");
    assert_eq!(going_on(&forge).of(&forge, SYSTEM).verdict, Verdict::Altered);
}

/// What comes after is compared as ever, and boundary, instance tree, head and resources as well.
#[test]
fn what_was_done_since_is_found() {
    let sequence = |at: u64| format!("(SELECT row FROM events WHERE project = 3 AND sequence = {at})");
    let size = super::SIZE;
    let cases: Vec<(&str, String, i64, Verdict)> = vec![
        (
            "an entry",
            format!("UPDATE events SET entry = replace(entry, 'alice', 'bobby') WHERE row = {}", sequence(size + 3)),
            A,
            Verdict::Altered,
        ),
        (
            "the last row that was verified",
            format!("UPDATE events SET entry = replace(entry, '\"outcome\"', '\"outcomf\"') WHERE row = {}", sequence(size - 1)),
            A,
            Verdict::Altered,
        ),
        (
            "a content",
            format!("UPDATE contents SET stored = zeroblob(length(stored)) WHERE row = {}", sequence(size + 300)),
            A,
            Verdict::Altered,
        ),
        ("rows gone", format!("DELETE FROM events WHERE project = 3 AND sequence > {}", size + 9), A, Verdict::Truncated),
        ("a row gone", format!("DELETE FROM events WHERE project = 3 AND sequence = {}", size + 9), A, Verdict::Missing),
        ("the first row since gone", format!("DELETE FROM events WHERE project = 3 AND sequence = {size}"), A, Verdict::Missing),
        (
            "a tile",
            "UPDATE tiles SET hashes = zeroblob(8192) WHERE project = 3 AND level = 0 AND position = 3".to_owned(),
            A,
            Verdict::Altered,
        ),
        ("a head", "UPDATE heads SET size = size - 1 WHERE project = 4".to_owned(), B, Verdict::Altered),
        ("a leaf", "UPDATE instance_leaves SET leaf = leaf || ' ' WHERE position = 7".to_owned(), SYSTEM, Verdict::Forked),
        (
            "a key that no event tells of",
            "INSERT INTO resources SELECT project_id, type, id || 'x', version, body FROM resources WHERE type = 'api_key' LIMIT 1"
                .to_owned(),
            SYSTEM,
            Verdict::Altered,
        ),
        ("a resource that is gone", "DELETE FROM resources WHERE type = 'api_key'".to_owned(), SYSTEM, Verdict::Altered),
    ];
    let forge = verified();
    grow(&forge, 900);
    let (data, checkpoints) = (forge.data(), forge.checkpoints());
    for (what, sql, project, verdict) in cases {
        let forge = Forge::copy_of(&data, &checkpoints);
        forge.sql(&sql);
        let told = going_on(&forge);
        // The leaf of an anchor is told with that one's project.
        let gravest = told.verdicts().into_iter().max();
        let found = if what == "a leaf" { gravest >= Some(Verdict::Altered) } else { told.of(&forge, project).verdict == verdict };
        assert!(found, "{what}: {:?}", told.0.projects);
    }
}

/// The price, and it is written in the documentation.
#[test]
fn what_was_done_before_is_not_seen_by_going_on_and_by_everything_it_is() {
    let forge = verified();
    grow(&forge, 10);
    forge.sql("UPDATE events SET entry = replace(entry, 'alice', 'bobby') WHERE row = {A}");
    assert_eq!(going_on(&forge).of(&forge, A).verdict, Verdict::Partial);
    assert_eq!(verify(&forge, None).expect("verified").of(&forge, A).verdict, Verdict::Altered);
    // Nor does a verification that found something leave a note.
    std::fs::remove_file(second_note(&forge)).expect("removed");
    assert_eq!(going_on(&forge).of(&forge, A).events, 10);
}

#[test]
fn an_older_copy_and_another_history_are_seen_and_everything_is_read() {
    let forge = verified();
    forge.put_back();
    let told = going_on(&forge);
    assert_eq!(told.of(&forge, SYSTEM).verdict, Verdict::RolledBack, "{:?}", told.0.projects);
    assert!(told.0.projects.iter().all(|report| report.not_read == 0));
    let forge = verified();
    super::rewrite_all(&forge);
    forge.rewrite_store();
    // Which nothing here can show to who verifies everything: somebody had all keys, and the checkpoint store. The note is older.
    let told = going_on(&forge);
    assert_eq!(told.of(&forge, SYSTEM).verdict, Verdict::Forked, "{:?}", told.0.projects);
}

#[test]
fn a_note_that_somebody_else_made_changed_or_removed_is_refused() {
    let forge = verified();
    let text = std::fs::read_to_string(note(&forge)).expect("a note");
    let refused = |forge: &Forge, words: &str| match verify(forge, Some(&Since::Last)) {
        Err(VerifyError::Since(why)) => assert!(why.contains(words) && why.contains("--since"), "{why}"),
        other => panic!("{words}: {:?}", other.map(|told| told.0)),
    };
    let lines: Vec<&str> = text.lines().collect();
    for (line, other) in [(1, lines[3]), (2, "2"), (3, lines[1]), (5, "7"), (6, lines[3])] {
        let mut changed = lines.clone();
        changed[line] = other;
        std::fs::write(note(&forge), changed.join("\n") + "\n").expect("written");
        refused(&forge, "keys of this ledger");
    }
    std::fs::write(note(&forge), &text[..text.len() - 1]).expect("written");
    refused(&forge, "is none");
    std::fs::remove_file(note(&forge)).expect("removed");
    refused(&forge, "there is no note");
    // One that another ledger's keys made, of an instance of the same name.
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::new(folder.path().join("data"));
    (options.disk_reserve_bytes, options.instance_name) = (0, Some("log".to_owned()));
    Ledger::open(options).expect("it opens").ledger.close();
    let (data, checkpoints) = (folder.path().join("data"), folder.path().join("data.checkpoints"));
    verify_folder(&Request::new(&data, &checkpoints.clone().into()), &mut |_| {}).expect("verified");
    std::fs::copy(checkpoints.join("log.verified"), note(&forge)).expect("copied");
    refused(&forge, "keys of this ledger");
    std::fs::write(note(&forge), &text).expect("put back");
    assert_eq!(going_on(&forge).verdicts(), [Verdict::Partial; 4]);
    // An older one of this ledger is as true as it was: more is read.
    grow(&forge, 3);
    verify(&forge, None).expect("verified");
    assert_eq!(going_on(&forge).of(&forge, A).events, 0);
    std::fs::write(note(&forge), &text).expect("put back");
    assert_eq!(going_on(&forge).of(&forge, A).events, 3);
}

#[test]
fn a_signed_checkpoint_will_do_of_the_instance_or_of_one_project() {
    let forge = Forge::new();
    let text = |sql: &str| -> Vec<u8> { forge.db.query_row(sql, [], |row| row.get::<_, String>(0)).expect("a note").into_bytes() };
    let instance = text("SELECT checkpoint FROM instance_checkpoints ORDER BY size DESC LIMIT 1 OFFSET 20");
    let project = text("SELECT checkpoint FROM anchors WHERE project = 3 AND number = 100");
    let told = verify(&forge, Some(&Since::Checkpoint(instance))).expect("it goes on");
    assert_eq!(told.verdicts(), [Verdict::Partial; 4]);
    assert!(told.0.projects.iter().all(|report| report.not_read > 0) && told.of(&forge, A).events > 0, "{:?}", told.0.projects);
    let told = verify(&forge, Some(&Since::Checkpoint(project.clone()))).expect("it goes on");
    assert_eq!((told.verdicts(), told.of(&forge, A).events), (vec![Verdict::Partial], super::SIZE - 1 - super::last(100)));
    assert!(!note(&forge).exists(), "a part is no reason for a note");

    let refused = |since: Vec<u8>, words: &str| match verify(&forge, Some(&Since::Checkpoint(since))) {
        Err(VerifyError::Since(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{words}: {:?}", other.map(|told| told.0)),
    };
    refused(b"nothing".to_vec(), "no checkpoint of this ledger");
    let mut changed = project.clone();
    let at = changed.len() - 10;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    refused(changed, "no checkpoint of this ledger");
    let (data, checkpoints) = (forge.data(), forge.checkpoints().into());
    let since = Since::Checkpoint(project);
    let other = Request { since: Some(&since), project_id: Some(forge.project_id(B)), ..Request::new(&data, &checkpoints) };
    assert!(matches!(verify_folder(&other, &mut |_| {}), Err(VerifyError::Since(_))));
    // The anchor that it was made with is not there any more.
    forge.sql("UPDATE anchors SET checkpoint = (SELECT checkpoint FROM anchors WHERE project = 3 AND number = 99) WHERE project = 3 AND number = 100");
    assert!(matches!(verify(&forge, Some(&since)), Err(VerifyError::Since(_))));
}

#[test]
fn a_row_number_with_no_next_one_is_told() {
    let forge = verified();
    let last: i64 = forge.db.query_row("SELECT max(row) FROM events", [], |row| row.get(0)).expect("a row");
    for (table, column) in [("events", "row"), ("contents", "row"), ("wraps", "row"), ("heads", "last_row"), ("anchors", "last_row")] {
        forge.sql(&format!("UPDATE {table} SET {column} = {} WHERE {column} = {last}", i64::MAX));
    }
    let told = going_on(&forge);
    assert!(told.verdicts().contains(&Verdict::Missing), "{:?}", told.verdicts());
    let whole = verify(&forge, None).expect("verified");
    assert!(whole.verdicts().contains(&Verdict::Missing), "{:?}", whole.verdicts());
}
