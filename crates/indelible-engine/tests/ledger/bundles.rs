//! Evidence bundles of a real ledger: what is exported verifies with the log's key alone, whatever is done to the tar is found, and
//! what was asked, opened and sent is on record.

mod tamper;

use std::io;
use std::sync::Arc;

use indelible_core::bundle::{BundleReport, Kind, Manifest, TarVerifier, Trust};
use indelible_core::checkpoint::Checkpoint;
use indelible_core::event::{Source, Submission};
use indelible_core::note::{Note, VerifierKey};
use indelible_core::verify::Verdict;
use indelible_engine::Rotation;
use indelible_engine::access::Caller;
use indelible_engine::export::{ExportError, ExportRequest};
use indelible_engine::faults::When;
use indelible_engine::query::{Opening, ReadError, Search};
use indelible_engine::resource::Project;
use serde_json::Value;

use crate::bench::{Bench, event, wait};
use crate::faults::OneCommit;

/// Names and bytes, in the order of the tar.
type Files = Vec<(String, Vec<u8>)>;

fn export(bench: &Bench, request: ExportRequest) -> Vec<u8> {
    export_as(bench, &bench.admin(), &bench.project(), request).expect("exported")
}

fn export_as(bench: &Bench, caller: &Caller, project: &Project, request: ExportRequest) -> Result<Vec<u8>, ReadError> {
    let export = wait(bench.ledger.export(caller, project, request))?;
    let (mut tar, bytes, mut told) = (Vec::new(), export.bytes(), 0);
    let sent = export.write(&mut tar, &mut |bytes| told = bytes).expect("written");
    assert_eq!((tar.len() as u64, told, sent.bytes), (bytes, bytes, bytes), "its size was known");
    Ok(tar)
}

/// Reads a tar as any other program would: names, octal sizes, blocks of 512.
fn untar(tar: &[u8]) -> Files {
    let (mut files, mut at) = (Files::new(), 0);
    while tar[at] != 0 {
        let field = |from: usize, to: usize| {
            let bytes = &tar[at + from..at + to];
            std::str::from_utf8(bytes).expect("ASCII").trim_end_matches('\0').to_owned()
        };
        let (name, size) = (field(0, 100), usize::from_str_radix(&field(124, 136), 8).expect("octal"));
        files.push((name, tar[at + 512..at + 512 + size].to_vec()));
        at += 512 + size.div_ceil(512) * 512;
    }
    assert_eq!(tar.len() - at, 1_024);
    files
}

fn file<'f>(files: &'f Files, name: &str) -> &'f [u8] {
    &files.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn keys(files: &Files) -> Vec<VerifierKey> {
    let text = std::str::from_utf8(file(files, "verifier-keys")).expect("text");
    text.lines().map(|line| line.parse().expect("a key")).collect()
}

fn manifest(files: &Files) -> Manifest {
    Manifest::parse(file(files, "manifest.json")).expect("a manifest")
}

fn verify(tar: &[u8], keys: &[VerifierKey], earlier: Option<Checkpoint>) -> BundleReport {
    let mut verifier = TarVerifier::new(Trust { keys: keys.to_vec(), earlier });
    tar.chunks(1_000).for_each(|piece| verifier.piece(piece));
    verifier.finish()
}

fn intact(tar: &[u8], keys: &[VerifierKey]) -> BundleReport {
    let report = verify(tar, keys, None);
    assert_eq!(report.report.verdict, Verdict::Intact, "{:?}", report.report.findings);
    assert!(report.instance.is_some() && !report.signed_by.is_empty());
    report
}

fn selection(filter: &str) -> ExportRequest {
    ExportRequest { filter: Some(filter.to_owned()), ..ExportRequest::default() }
}

fn range(first: u64, last: u64) -> ExportRequest {
    ExportRequest { first_sequence: Some(first), last_sequence: Some(last), ..ExportRequest::default() }
}

fn opened(mut request: ExportRequest) -> ExportRequest {
    request.opening = Opening { content: true, purpose: Some("an audit".to_owned()) };
    request
}

/// Events of the default project that match, oldest first.
fn log(bench: &Bench, filter: &str) -> Vec<Value> {
    let search = Search { filter: Some(filter.to_owned()), limit: Some(1_000), ..Search::default() };
    let page = wait(bench.ledger.search(&bench.admin(), &bench.project(), search)).expect("a page");
    page.records.iter().rev().map(|record| serde_json::from_slice(record).expect("JSON")).collect()
}

fn filled(events: u64) -> Bench {
    let bench = Bench::new();
    fill(&bench, events);
    bench
}

fn fill(bench: &Bench, events: u64) {
    bench.append(&(0..events).map(|n| event(n, &format!("said {n}"))).collect::<Vec<_>>()).expect("appended");
}

#[test]
fn a_range_proves_that_nothing_in_it_is_missing() {
    let bench = filled(700);
    let whole = export(&bench, ExportRequest::default());
    let files = untar(&whole);
    let report = intact(&whole, &keys(&files));
    let of = manifest(&files);
    assert_eq!((of.kind, of.first_sequence, of.entries_left_out(), of.filter.clone()), (Kind::Range, 0, 0, None));
    assert_eq!((report.report.events, of.tree_size), (of.entries_included, of.last_sequence + 1));
    assert!(of.tree_size > 700, "the first start, the events, and the intent of the export itself");
    for (first, last) in [(0, 0), (3, 3), (255, 256), (1, 511), (600, 699)] {
        let part = export(&bench, range(first, last));
        let report = intact(&part, &keys(&files));
        let of = report.manifest.expect("a manifest");
        assert_eq!((of.first_sequence, of.last_sequence, report.report.events), (first, last, last - first + 1));
    }
    // One that goes on past what is signed ends there.
    let part = export(&bench, range(690, u64::MAX));
    assert_eq!(intact(&part, &keys(&files)).manifest.map(|of| of.last_sequence + 1 == of.tree_size), Some(true));
}

#[test]
fn a_selection_proves_each_entry_and_counts_the_rest() {
    let bench = filled(600);
    let files = untar(&export(&bench, range(0, 0)));
    for (request, expected) in [
        (selection("action eq \"test.step\""), 600),
        (selection("action eq \"test.step\" and sequence lt 300"), 0),
        (selection("action eq \"no.such\""), 0),
        (ExportRequest { from: indelible_core::time::Timestamp::parse("2020-01-01T00:00:00Z"), ..range(10, 20) }, 11),
        (ExportRequest { to: indelible_core::time::Timestamp::parse("2020-01-01T00:00:00Z"), ..range(10, 20) }, 0),
        (ExportRequest { filter: Some("action eq \"test.step\" or actor.type eq \"x\"".to_owned()), ..range(500, 520) }, 21),
    ] {
        let asked = request.clone();
        let tar = export(&bench, request);
        let report = intact(&tar, &keys(&files));
        let of = report.manifest.expect("a manifest");
        if asked.filter.as_deref().is_none_or(|filter| !filter.contains("sequence")) {
            assert_eq!(of.entries_included, expected, "{asked:?}");
        } else {
            assert!((280..300).contains(&of.entries_included), "{asked:?}");
        }
        assert_eq!((of.kind, of.entries_included), (Kind::Selection, report.report.events));
        assert_eq!(of.entries_left_out(), of.last_sequence - of.first_sequence + 1 - of.entries_included);
        assert!(of.filter.is_some());
    }
}

/// A range whose anchors two keys signed: it verifies with both, and for thirty days its tree with either of them alone.
#[test]
fn a_bundle_over_a_rotation_of_the_signing_key_verifies() {
    let bench = filled(300);
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");
    let published = |bench: &Bench| -> Vec<VerifierKey> {
        let keys = wait(bench.ledger.verifier_keys(&bench.admin(), &bench.project())).expect("keys");
        keys.into_iter().map(|key| key.verifier_key).collect()
    };
    let old = published(&bench);
    let earlier = untar(&export(&bench, range(0, 9)));
    let since = String::from_utf8(file(&earlier, "checkpoint").to_vec()).expect("text");
    let known = Checkpoint::parse(Note::parse(since.as_bytes()).expect("a note").text()).expect("a checkpoint");
    wait(bench.ledger.rotate_key(&bench.instance(), Rotation::Signing { kms_key: None, retire_old: false })).expect("rotated");
    bench.append(&(300..600).map(|n| event(n, "under the new key")).collect::<Vec<_>>()).expect("appended");
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed");

    let both = published(&bench);
    assert_eq!((old.len(), both.len()), (2, 4), "of the project and of the instance");
    let whole = export(&bench, range(0, 599));
    let report = intact(&whole, &both);
    assert_eq!((report.report.events, report.signed_by.len()), (600, 2), "both signed the newest tree");
    assert_eq!(keys(&untar(&whole)).len(), 4);
    let later = export(&bench, ExportRequest { since: Some(since), ..range(0, 599) });
    assert_eq!(verify(&later, &both, Some(known.clone())).grown_from, Some(known.size));
    // Who pinned one of them alone is told that the other is wanted, and never that anything was altered.
    let new: Vec<VerifierKey> = both.iter().filter(|key| !old.contains(key)).cloned().collect();
    for (pinned, first) in [(&old, Some(true)), (&new, Some(false))] {
        let report = verify(&whole, pinned, None).report;
        assert_eq!((report.verdict, report.findings_total), (Verdict::Unverifiable, 1), "{:?}", report.findings);
        assert_eq!(report.findings[0].sequence.map(|at| at >= 300), first, "the anchors that it did not sign: {:?}", report.findings);
    }
    // A stranger's key in the place of the new one is none of them.
    let strange = VerifierKey::new(new[0].name().clone(), indelible_core::note::Algorithm::Ed25519, [9; 32]);
    assert_eq!(verify(&whole, &[strange], None).report.verdict, Verdict::Unverifiable);
}

#[test]
fn a_later_bundle_grew_out_of_an_earlier_one() {
    let bench = filled(300);
    let earlier = untar(&export(&bench, range(0, 9)));
    let since = String::from_utf8(file(&earlier, "checkpoint").to_vec()).expect("text");
    let known = Checkpoint::parse(Note::parse(since.as_bytes()).expect("a note").text()).expect("a checkpoint");
    bench.append(&[event(1_000, "later")]).expect("appended");
    let later = export(&bench, ExportRequest { since: Some(since.clone()), ..range(0, 9) });
    assert_eq!(verify(&later, &keys(&earlier), Some(known.clone())).grown_from, Some(known.size));
    let without = export(&bench, range(0, 9));
    assert_eq!(verify(&without, &keys(&earlier), Some(known)).report.verdict, Verdict::Unverifiable);
    let other = Bench::new();
    let refused = export_as(&other, &other.admin(), &other.project(), ExportRequest { since: Some(since), ..range(0, 0) });
    assert!(matches!(refused, Err(ReadError::Options(reason)) if reason.contains("another log")));
}

#[test]
fn what_does_not_make_sense_is_refused_and_recorded() {
    let bench = filled(5);
    let time = indelible_core::time::Timestamp::parse("2026-01-01T00:00:00Z");
    let cases = [
        (range(7, 3), "before the first"),
        (range(1_000_000, 2_000_000), "nothing signed covers"),
        (selection("nothing eq 1"), "not valid"),
        (ExportRequest { from: time, to: time, ..ExportRequest::default() }, "not after"),
        (ExportRequest { since: Some("x".to_owned()), ..ExportRequest::default() }, "not a checkpoint"),
        (ExportRequest { opening: Opening { content: true, purpose: None }, ..ExportRequest::default() }, "purpose"),
    ];
    for (request, words) in cases {
        let before = log(&bench, "action eq \"audit.export\" and outcome eq \"error\"").len();
        let error = export_as(&bench, &bench.admin(), &bench.project(), request).expect_err(words);
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(log(&bench, "action eq \"audit.export\" and outcome eq \"error\"").len(), before + 1, "{words}");
    }
}

#[test]
fn intent_comes_first_and_outcome_says_what_was_sent() {
    let bench = filled(40);
    let mut request = selection("action eq \"test.step\"");
    request.opening.purpose = Some("ticket 4711".to_owned());
    let export = wait(bench.ledger.export(&bench.admin(), &bench.project(), request)).expect("ready");
    let intent = log(&bench, "action eq \"audit.export\"");
    assert_eq!((intent.len(), intent[0]["phase"].as_str(), intent[0].get("outcome")), (1, Some("intent"), None));
    assert_eq!(intent[0]["read"]["filter"], "action eq \"test.step\"");
    assert_eq!(intent[0]["read"]["purpose"], "ticket 4711");
    let sent = export.write(&mut io::sink(), &mut |_| {}).expect("written");
    let both = log(&bench, "action eq \"audit.export\"");
    let outcome = both.iter().find(|event| event["phase"] == "outcome").expect("an outcome");
    assert_eq!((both.len(), &outcome["operation_id"]), (2, &intent[0]["operation_id"]));
    assert_eq!((outcome["outcome"].as_str(), outcome["read"]["returned"].as_u64()), (Some("allow"), Some(40)));
    assert_eq!(outcome["context"]["bytes_sent"], sent.bytes.to_string());
}

/// Takes so many bytes, and then no more.
struct Short(usize);

impl io::Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_that_is_broken_off_is_recorded_as_far_as_it_came() {
    let bench = filled(400);
    let ready = || wait(bench.ledger.export(&bench.admin(), &bench.project(), ExportRequest::default())).expect("ready");
    let outcomes = || log(&bench, "action eq \"audit.export\" and phase eq \"outcome\"");
    assert!(matches!(ready().write(&mut Short(60_000), &mut |_| {}), Err(ExportError::Sink(_))));
    let broken = outcomes().pop().expect("an outcome");
    assert_eq!(broken["outcome"], "partial");
    assert!(broken["read"]["returned"].as_u64().is_some_and(|n| n > 10 && n < 200), "{broken}");
    drop(ready());
    // What was dropped is recorded by the way; the next append comes after it.
    bench.append(&[event(9_000, "after")]).expect("appended");
    let dropped = outcomes().into_iter().find(|event| event["outcome"] == "error").expect("an outcome");
    assert_eq!((dropped["read"]["returned"].as_u64(), dropped["reason"].as_str()), (Some(0), Some("whoever asked went away")));
    // No place is lost by those that ended badly.
    (0..6).for_each(|_| drop(ready()));
    intact(&export(&bench, range(0, 5)), &keys(&untar(&export(&bench, range(0, 5)))));
}

#[test]
fn one_whose_end_was_thought_lost_has_one_outcome_all_the_same() {
    // A COMMIT that failed and persisted has said already how it ended.
    for (when, outcome) in [(When::Before, "partial"), (When::After, "allow")] {
        let fault = OneCommit::new(when);
        let bench = Bench::with(|options| options.faults = Some(Arc::<OneCommit>::clone(&fault)));
        fill(&bench, 40);
        let export = wait(bench.ledger.export(&bench.admin(), &bench.project(), ExportRequest::default())).expect("ready");
        fault.arm();
        let error = export.write(&mut io::sink(), &mut |_| {}).expect_err("its end could not be recorded");
        assert!(matches!(error, ExportError::Read(ReadError::Append(_))), "{error}");
        let told = log(&bench, "action eq \"audit.export\" and phase eq \"outcome\"");
        assert_eq!(told.iter().map(|event| event["outcome"].as_str()).collect::<Vec<_>>(), [Some(outcome)], "{when:?}");
    }
}

#[test]
fn contents_leave_with_an_event_each_and_not_without_scope_or_purpose() {
    let bench = filled(30);
    let tar = export(&bench, opened(selection("action eq \"test.step\"")));
    let files = untar(&tar);
    let report = intact(&tar, &keys(&files));
    assert_eq!((report.contents_sealed, report.contents_opened, report.contents_absent), (30, 30, 0));
    let decrypted = log(&bench, "action eq \"content.decrypt\"");
    assert_eq!(decrypted.len(), 30);
    assert!(decrypted.iter().all(|event| event["decrypt"]["purpose"] == "an audit" && event["outcome"] == "allow"));
    // Nothing of what was said is in the tar in the clear; the entries name no content.
    assert!(!tar.windows(5).any(|bytes| bytes == b"said "));
    // A range may have contents as well.
    let part = export(&bench, opened(range(0, 20)));
    assert!(intact(&part, &keys(&files)).contents_opened > 10);
    // Broken off among the contents: those of the batch are recorded, though not all arrived.
    let before = log(&bench, "action eq \"content.decrypt\"").len();
    let export = wait(bench.ledger.export(&bench.admin(), &bench.project(), opened(selection("action eq \"test.step\"")))).expect("ready");
    let short = export.bytes() as usize - 4_000;
    export.write(&mut Short(short), &mut |_| {}).expect_err("broken off");
    assert_eq!(log(&bench, "action eq \"content.decrypt\"").len(), before + 30);
}

#[test]
fn contents_that_change_while_it_is_made_break_it_off() {
    let bench = filled(30);
    let ready =
        || wait(bench.ledger.export(&bench.admin(), &bench.project(), opened(selection("action eq \"test.step\"")))).expect("ready");
    let export = ready();
    assert_eq!(bench.shell().force("DELETE FROM contents WHERE row = (SELECT max(row) FROM contents)"), 1);
    let mut tar = Vec::new();
    let broken = export.write(&mut tar, &mut |_| {}).expect_err("broken off");
    assert!(broken.to_string().contains("contents changed"), "{broken}");
    let outcome = log(&bench, "action eq \"audit.export\" and phase eq \"outcome\"").pop().expect("an outcome");
    assert_eq!(outcome["outcome"], "partial");
    assert_ne!(verify(&tar, &keys(&untar(&self::export(&bench, range(0, 5)))), None).report.verdict, Verdict::Intact);
    // Asked for again, it is what there is now.
    ready().write(&mut io::sink(), &mut |_| {}).expect("written");
}

/// An event of another project.
fn add_to(bench: &Bench, project: &Project, n: u64) {
    let text = event(n, "theirs").replace("alice", "mallory");
    let submission = Submission::parse(text.as_bytes(), Source::Caller, bench.ledger.new_id()).expect("an event");
    let event = bench.ledger.prepare(&bench.instance(), project, "http", submission).expect("prepared");
    bench.ledger.append_blocking(vec![event]).expect("appended");
}

#[test]
fn two_projects_export_their_own_entries_and_no_others() {
    let bench = filled(20);
    let instance = bench.instance();
    let second = wait(bench.ledger.create_project(&instance, None, "second")).expect("a project");
    (500..540).for_each(|n| add_to(&bench, &second, n));
    bench.append(&[event(800, "mine")]).expect("appended");
    let mine = export(&bench, ExportRequest::default());
    let theirs = export_as(&bench, &instance, &second, ExportRequest::default()).expect("exported");
    for (tar, project) in [(&mine, bench.project().id), (&theirs, second.id)] {
        let files = untar(tar);
        intact(tar, &keys(&files));
        let text = String::from_utf8(file(&files, "entries.ndjson").to_vec()).expect("UTF-8");
        assert!(text.lines().all(|line| line.contains(&format!("\"project_id\":\"{project}\""))));
        // The second project's key proves nothing of the first.
        let other = if project == second.id { keys(&untar(&mine)) } else { keys(&untar(&theirs)) };
        assert_eq!(verify(tar, &other, None).report.verdict, Verdict::Unverifiable);
    }
    let refused = export_as(&bench, &bench.admin(), &second, ExportRequest::default()).expect_err("not its project");
    assert_eq!(refused, ReadError::NotFound("project"));
}
