//! Exports in the background beside those that somebody waits for: how many there may be at once, and that neither holds up the other.

use std::time::{Duration, Instant};

use indelible_core::extract::Format;
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Scope};
use indelible_engine::export::ExportRequest;
use indelible_engine::export::jobs::{Form, Job, JobError, Jobs, State};
use indelible_engine::query::ReadError;
use indelible_engine::resource::{NewApiKey, Project, kind};
use uuid::Uuid;

use crate::bench::{Bench, event, wait};

/// A key of a project.
fn key(bench: &Bench, project: Uuid) -> Caller {
    let new = NewApiKey {
        name: "k".to_owned(),
        owner: Owner::Project(project),
        kind: KeyKind::Application,
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let (_, secret) = wait(bench.ledger.create_api_key(&bench.instance(), new)).expect("made");
    bench.ledger.authenticate(Some(&secret), Envelope::default()).expect("recognised")
}

/// A project in an organization of its own, and a key of it.
fn stranger(bench: &Bench) -> (Caller, Project) {
    let (ledger, instance) = (&bench.ledger, bench.instance());
    let create = |noun: &str, owner: Option<Owner>| -> Uuid {
        wait(ledger.create_resource(&instance, kind(noun).expect("a kind"), owner, r#"{"name":"other"}"#, None)).expect("made").kept.id
    };
    let organization = create("organization", None);
    let project = create("project", Some(Owner::Organization(organization)));
    let caller = key(bench, project);
    let project = ledger.project_of(&caller, None).expect("a project");
    (caller, project.as_ref().clone())
}

#[test]
fn no_organization_has_all_places_and_what_is_made_in_the_background_waits_for_none_of_them() {
    let bench = Bench::new();
    bench.append(&(0..50).map(|n| event(n, "said")).collect::<Vec<_>>()).expect("appended");
    let (ledger, admin, project) = (&bench.ledger, bench.admin(), bench.project());
    let extract = |caller: &Caller, project: &Project| wait(ledger.extract(caller, project, ExportRequest::default(), "ndjson"));
    let other_key = key(&bench, project.id);
    let mut held: Vec<_> = [&admin, &admin, &other_key].map(|caller| extract(caller, &project).expect("a place")).into();
    assert!(matches!(extract(&other_key, &project), Err(ReadError::Unavailable(_))), "the organization has three");
    let (caller, other) = stranger(&bench);
    held.push(extract(&caller, &other).expect("one is left for another organization"));

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let jobs = runtime.block_on(async { Jobs::start(ledger) });
    let job = runtime.block_on(jobs.create(&admin, &project, ExportRequest::default(), Form::Lines(Format::Ndjson))).expect("taken");
    let until = Instant::now() + Duration::from_mins(1);
    let shown = loop {
        let shown = runtime.block_on(jobs.show(&admin, job.id)).expect("shown");
        if shown.state.is_over() || Instant::now() > until {
            break shown;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(shown.state == State::Done && shown.entries > 50, "{shown:?}");

    let fetch = |caller: &Caller| runtime.block_on(jobs.fetch(caller, job.id, &|job: &Job| Some(0..job.bytes)));
    let mut fetched: Vec<_> = (0..8).map(|_| fetch(&admin).expect("a place").expect("bytes")).collect();
    let refused = fetch(&admin).err();
    assert!(matches!(refused, Some(JobError::Read(ReadError::Unavailable(_)))), "{refused:?}");
    drop(fetched.pop());
    let mut sent = Vec::new();
    fetch(&admin).expect("a place").expect("bytes").send(&mut sent).expect("sent");
    assert_eq!(sent.len() as u64, shown.bytes);
    drop((fetched, held));
    runtime.block_on(jobs.close());
}
