//! Members, invitations, sessions and shares: who is who, what each role sees, and what of it is in the record.

use std::sync::Arc;

use indelible_core::event::{Source, Submission};
use indelible_engine::access::{Caller, Envelope, KeyKind, Owner, Refused, Scope};
use indelible_engine::query::{Feed, Opening, ReadError, Search};
use indelible_engine::resource::{Kept, Kind, MutateError, NewApiKey, Project, kind};
use serde_json::Value;
use uuid::Uuid;

use crate::bench::{Bench, wait};
use crate::clock::Turned;

fn of(noun: &str) -> &'static Kind {
    kind(noun).expect("a kind")
}

fn organization(bench: &Bench) -> Owner {
    Owner::Organization(bench.project().organization_id)
}

fn make(bench: &Bench, caller: &Caller, noun: &str, owner: Owner, document: &str) -> Result<(Arc<Kept>, Option<String>), MutateError> {
    let done = wait(bench.ledger.create_resource(caller, of(noun), Some(owner), document, None))?;
    Ok((done.kept, done.shown.into_iter().next().map(|shown| shown.text)))
}

fn known(bench: &Bench, text: &str) -> Result<Caller, Refused> {
    bench.ledger.authenticate(Some(text), Envelope::default())
}

/// A member by invitation, and its key.
fn join(bench: &Bench, user: &str, role: &str) -> (Uuid, String) {
    let document = format!(r#"{{"name":"{user}","user_id":"{user}","role":"{role}"}}"#);
    let (_, token) = make(bench, &bench.instance(), "invitation", organization(bench), &document).expect("invited");
    let guest = known(bench, &token.expect("a token")).expect("a guest");
    let done = wait(bench.ledger.accept_invitation(&guest)).expect("accepted");
    (done.kept.id, done.shown[0].text.clone())
}

fn own_chain(bench: &Bench) -> Arc<Project> {
    bench.projects().into_iter().find(|project| project.system && !project.organization_id.is_nil()).expect("the organization's own")
}

fn found(bench: &Bench, caller: &Caller, project: &Arc<Project>, filter: &str) -> Result<Vec<Value>, ReadError> {
    let search = Search { filter: Some(filter.to_owned()).filter(|text| !text.is_empty()), limit: Some(1_000), ..Search::default() };
    let page = wait(bench.ledger.search(caller, project, search))?;
    Ok(page.records.iter().map(|record| serde_json::from_slice(record).expect("JSON")).collect())
}

/// Appends an event of somebody, that belongs to a thing.
fn said(bench: &Bench, project: &Arc<Project>, n: u64, user: &str, thing: &str) -> Uuid {
    let id = crate::bench::id(n);
    let text = format!(
        r#"{{"id":"{id}","action":"chat.say","outcome":"allow","actor":{{"type":"human","id":"{user}"}},
            "run":{{"id":"run-{thing}","thread_id":"{thing}"}},"scope":{{"type":"conversation","id":"{thing}"}},
            "content":{{"messages":[{{"role":"user","content":"hello"}}]}}}}"#
    );
    let submission = Submission::parse(text.as_bytes(), Source::Caller, id).expect("an event");
    let event = bench.ledger.prepare(&bench.ledger.operator(), project, "http", submission).expect("prepared");
    bench.ledger.append_blocking(vec![event]).expect("appended");
    id
}

#[test]
fn an_invitation_makes_one_member_whose_key_nobody_else_has_seen() {
    let bench = Bench::new();
    let document = r#"{"name":"Ada","user_id":"ada","role":"auditor"}"#;
    let (invitation, token) = make(&bench, &bench.instance(), "invitation", organization(&bench), document).expect("invited");
    let guest = known(&bench, token.as_deref().expect("a token")).expect("a guest");
    let refused = found(&bench, &guest, &bench.project(), "").expect_err("a guest sees nothing");
    assert!(matches!(refused, ReadError::Forbidden(_)));
    assert!(matches!(make(&bench, &guest, "halt", organization(&bench), of("halt").example), Err(MutateError::Forbidden(_))));
    let other = wait(bench.ledger.accept_invitation(&bench.admin())).expect_err("it takes a token");
    assert!(matches!(other, MutateError::Forbidden(_)));
    let done = wait(bench.ledger.accept_invitation(&guest)).expect("accepted");
    assert_eq!(wait(bench.ledger.accept_invitation(&guest)).map(drop), Err(MutateError::Ended(Refused::Unknown)));
    assert_eq!(known(&bench, token.as_deref().expect("a token")).map(drop), Err(Refused::Unknown));
    let both = found(&bench, &bench.instance(), &own_chain(&bench), &format!("cascade_root_id eq \"{}\"", invitation.id)).expect("a page");
    let mut actions: Vec<&str> = both.iter().map(|event| event["action"].as_str().expect("an action")).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["invitation.accept", "member.add"]);
    let token_of = serde_json::json!(invitation.id.to_string());
    assert!(both.iter().all(|event| event["actor"]["id"] == token_of && event["request"]["auth_method"] == "invitation"));
    assert!(matches!(make(&bench, &bench.instance(), "member", organization(&bench), document), Err(MutateError::Conflict(_))));
    let bench = bench.reopen();
    let ada = known(&bench, &done.shown[0].text).expect("a member, after a restart too");
    assert!(ada.has(Scope::AuditRead) && !ada.has(Scope::ControlWrite));
    found(&bench, &ada, &bench.project(), "").expect("an auditor reads");
    let read = found(&bench, &bench.instance(), &bench.project(), "action eq \"audit.read\" and actor.type eq \"human\"").expect("a page");
    assert_eq!((&read[0]["actor"]["id"], &read[0]["request"]["auth_method"]), (&done.kept.id.to_string().into(), &"member_key".into()));
    bench.verify();
}

#[test]
fn invitations_end_and_are_revoked() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let invite = |user: &str| {
        let document = format!(r#"{{"name":"{user}","user_id":"{user}","role":"member"}}"#);
        let (kept, token) = make(&bench, &bench.instance(), "invitation", organization(&bench), &document).expect("invited");
        (kept.id, token.expect("a token"))
    };
    let (revoked, token) = invite("a");
    wait(bench.ledger.delete_resource(&bench.instance(), of("invitation"), revoked, None)).expect("revoked");
    assert_eq!(known(&bench, &token).map(drop), Err(Refused::Unknown));
    let (_, token) = invite("b");
    let guest = known(&bench, &token).expect("a guest");
    let week = 7 * 86_400_u64;
    clock.step(week.cast_signed(), week);
    assert_eq!(known(&bench, &token).map(drop), Err(Refused::Expired));
    assert_eq!(wait(bench.ledger.accept_invitation(&guest)).map(drop), Err(MutateError::Ended(Refused::Expired)));
    let past = r#"{"name":"c","user_id":"c","role":"member","expires_at":"2020-01-01T00:00:00Z"}"#;
    let late = make(&bench, &bench.instance(), "invitation", organization(&bench), past);
    assert!(matches!(late, Err(MutateError::Fault(fault)) if fault.pointer == "/expires_at"));
}

#[test]
fn owners_alone_make_owners_and_one_stays() {
    let bench = Bench::new();
    let (owner, owner_key) = join(&bench, "olga", "owner");
    let (admin, admin_key) = join(&bench, "adam", "admin");
    let (olga, adam) = (known(&bench, &owner_key).expect("an owner"), known(&bench, &admin_key).expect("an admin"));
    let invite = |caller: &Caller, user: &str, role: &str| {
        let document = format!(r#"{{"name":"{user}","user_id":"{user}","role":"{role}"}}"#);
        make(&bench, caller, "invitation", organization(&bench), &document).map(drop)
    };
    assert!(matches!(invite(&adam, "x", "owner"), Err(MutateError::Forbidden(_))));
    invite(&adam, "y", "member").expect("an admin invites others");
    // Nobody gives a role that allows more than its own, by whatever way.
    assert!(matches!(invite(&adam, "x", "auditor"), Err(MutateError::Forbidden(_))), "an admin opens nothing that was sealed");
    let narrow = NewApiKey {
        name: "k".to_owned(),
        owner: organization(&bench),
        kind: KeyKind::Application,
        scopes: vec![Scope::ControlWrite],
        expires_at: None,
    };
    let (_, text) = wait(bench.ledger.create_api_key(&adam, narrow)).expect("made");
    let narrow = known(&bench, &text).expect("a key");
    for role in ["owner", "admin", "auditor", "member"] {
        assert!(matches!(invite(&narrow, "x", role), Err(MutateError::Forbidden(_))), "{role}");
    }
    let share = make(&bench, &narrow, "share", organization(&bench), of("share").example);
    assert!(matches!(share, Err(MutateError::Forbidden(_))), "nor shows what it may not see");
    let change =
        |caller: &Caller, id: Uuid, patch: &str| wait(bench.ledger.update_resource(caller, of("member"), id, None, patch)).map(drop);
    let remove = |caller: &Caller, id: Uuid| wait(bench.ledger.delete_resource(caller, of("member"), id, None)).map(drop);
    assert!(matches!(change(&adam, owner, r#"{"role":"member"}"#), Err(MutateError::Forbidden(_))));
    assert!(matches!(change(&adam, admin, r#"{"role":"auditor"}"#), Err(MutateError::Forbidden(_))), "not to itself either");
    assert!(matches!(change(&olga, owner, r#"{"role":"member"}"#), Err(MutateError::Conflict(_))), "the last owner stays one");
    assert!(matches!(remove(&olga, owner), Err(MutateError::Conflict(_))));
    invite(&olga, "z", "owner").expect("an owner makes owners");
    let second = make(&bench, &olga, "member", organization(&bench), r#"{"name":"q","user_id":"q","role":"owner"}"#).expect("made").0.id;
    change(&olga, owner, r#"{"role":"member"}"#).expect("another owner is there");
    assert!(!known(&bench, &owner_key).expect("a member").has(Scope::ControlWrite), "the next request has the new role");
    remove(&bench.instance(), owner).expect("removed");
    assert_eq!(known(&bench, &owner_key).map(drop), Err(Refused::Revoked));
    assert!(matches!(remove(&bench.instance(), second), Err(MutateError::Conflict(_))));
    // An admin's keys may what the admin may.
    let key = |scopes: &[Scope]| NewApiKey {
        name: "k".to_owned(),
        owner: organization(&bench),
        kind: KeyKind::Application,
        scopes: scopes.to_vec(),
        expires_at: None,
    };
    wait(bench.ledger.create_api_key(&adam, key(&[Scope::EventsAppend]))).expect("made");
    assert!(matches!(wait(bench.ledger.create_api_key(&adam, key(&[Scope::ContentDecrypt]))), Err(MutateError::Forbidden(_))));
    bench.verify();
}

#[test]
fn a_session_stands_for_its_member_until_it_ends() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let (id, key) = join(&bench, "mia", "member");
    let begin = |text: &str| {
        let caller = known(&bench, text).expect("known");
        make(&bench, &caller, "session", organization(&bench), r#"{"name":"laptop"}"#)
    };
    let (session, token) = begin(&key).expect("signed in");
    let token = token.expect("a token");
    assert!(session.document.contains(&id.to_string()));
    let told = found(&bench, &bench.instance(), &own_chain(&bench), "action eq \"session.create\"").expect("a page");
    assert_eq!((told.len(), &told[0]["actor"]["id"]), (1, &id.to_string().into()));
    assert!(matches!(begin(&token), Err(MutateError::Forbidden(_))), "a session begins none");
    let admin = make(&bench, &bench.instance(), "session", organization(&bench), "{}");
    assert!(matches!(admin, Err(MutateError::Forbidden(_))), "nor does a key of the API");
    let other = known(&bench, &join(&bench, "max", "member").1).expect("another");
    let end = |caller: &Caller, id: Uuid| wait(bench.ledger.delete_resource(caller, of("session"), id, None)).map(drop);
    assert!(matches!(end(&other, session.id), Err(MutateError::Forbidden(_))));
    end(&known(&bench, &token).expect("a session"), session.id).expect("its own");
    assert_eq!(known(&bench, &token).map(drop), Err(Refused::Unknown));
    let (_, token) = begin(&key).expect("signed in");
    let token = token.expect("a token");
    clock.step(8 * 3_600, 8 * 3_600);
    assert_eq!(known(&bench, &token).map(drop), Err(Refused::Expired));
    let (_, token) = begin(&key).expect("signed in");
    wait(bench.ledger.delete_resource(&bench.instance(), of("member"), id, None)).expect("removed");
    assert_eq!(known(&bench, &token.expect("a token")).map(drop), Err(Refused::Revoked), "with its member");
    // Whoever tries in the name of a member is told in its organization, once a minute.
    let guessed = format!("ind_{id}_{}", "A".repeat(43));
    for _ in 0..3 {
        let refused = known(&bench, &guessed).expect_err("refused");
        wait(bench.ledger.stranger(None, Some(&guessed), refused, &Envelope::default())).expect("recorded");
    }
    let told = found(&bench, &bench.instance(), &own_chain(&bench), "action eq \"sign_in.attempt\"").expect("a page");
    assert_eq!((told.len(), &told[0]["outcome"], &told[0]["resource"]["id"]), (1, &"deny".into(), &id.to_string().into()));
}

#[test]
fn a_member_sees_what_is_its_own_or_shared_and_no_more() {
    let bench = Bench::new();
    let project = bench.project();
    let (mia, mia_key) = join(&bench, "mia", "member");
    let (_, max_key) = join(&bench, "max", "member");
    let (_, aud_key) = join(&bench, "aud", "auditor");
    let [mia_caller, max_caller, aud] = [&mia_key, &max_key, &aud_key].map(|key| known(&bench, key).expect("a member"));
    let own = said(&bench, &project, 1, "mia", "t1");
    let theirs = said(&bench, &project, 2, "max", "t2");
    let third = said(&bench, &project, 3, "eve", "t3");
    let seen = |caller: &Caller, filter: &str| {
        let mut ids: Vec<String> = found(&bench, caller, &project, filter)
            .expect("a page")
            .iter()
            .filter(|event| event["action"] == "chat.say")
            .map(|event| event["id"].as_str().expect("an id").to_owned())
            .collect();
        ids.sort_unstable();
        ids
    };
    let ids = |all: &[Uuid]| all.iter().map(Uuid::to_string).collect::<Vec<_>>();
    assert_eq!(seen(&mia_caller, ""), ids(&[own]));
    assert_eq!(seen(&aud, ""), ids(&[own, theirs, third]));
    let document = format!(r#"{{"scope":{{"type":"conversation","id":"t2"}},"member_ids":["{mia}"]}}"#);
    let (share, _) = make(&bench, &bench.admin(), "share", Owner::Project(project.id), &document).expect("shared");
    assert_eq!((seen(&mia_caller, ""), seen(&max_caller, "")), (ids(&[own, theirs]), ids(&[theirs])));
    assert_eq!(seen(&mia_caller, "not (actor.id eq \"mia\")"), ids(&[theirs]), "no filter widens what is seen");
    assert_eq!(seen(&mia_caller, "id pr or actor.id eq \"eve\""), ids(&[own, theirs]));
    let of_all = make(&bench, &bench.admin(), "share", Owner::Project(project.id), r#"{"scope":{"type":"conversation","id":"t3"}}"#);
    assert_eq!(seen(&max_caller, ""), ids(&[theirs, third]));
    wait(bench.ledger.delete_resource(&bench.admin(), of("share"), of_all.expect("shared").0.id, None)).expect("revoked");

    // Nor is anything of the others' told by another way.
    let plain = Opening::default();
    let event = |id: Uuid| wait(bench.ledger.event(&mia_caller, &project, id, plain.clone())).map(drop);
    assert_eq!((event(own), event(theirs), event(third)), (Ok(()), Ok(()), Err(ReadError::NotFound("event"))));
    assert_eq!(event(Uuid::from_u128(77)), event(third), "as if it were not there");
    let conversation = |thread: &str| wait(bench.ledger.conversation(&mia_caller, &project, thread, plain.clone())).map(drop);
    assert_eq!((conversation("t2"), conversation("t3")), (Ok(()), Err(ReadError::NotFound("conversation"))));
    let run = |run: &str| wait(bench.ledger.run(&mia_caller, &project, run, plain.clone())).map(drop);
    assert_eq!((run("run-t2"), run("run-t3")), (Ok(()), Err(ReadError::NotFound("run"))));
    let page = wait(bench.ledger.search(&mia_caller, &project, Search::default())).expect("a page");
    assert_eq!(page.indexed_through, None, "nor how much there is");
    let shown: Value = serde_json::from_slice(&page.records[0]).expect("JSON");
    assert!(["sequence", "prev_hash", "row_hash"].iter().all(|name| shown.get(name).is_none()), "{shown}");
    let refused = |error: ReadError| assert!(matches!(error, ReadError::Forbidden(_)), "{error:?}");
    refused(wait(bench.ledger.search(&mia_caller, &project, Search { feed: Some(Feed::Start), ..Search::default() })).expect_err("a feed"));
    let opened = Opening { content: true, purpose: Some("curious".to_owned()) };
    refused(wait(bench.ledger.event(&mia_caller, &project, own, opened)).expect_err("opening"));
    refused(wait(bench.ledger.event_proof(&mia_caller, &project, own)).expect_err("a proof"));
    refused(wait(bench.ledger.verify_project(&mia_caller, &project)).expect_err("a verification"));
    refused(wait(bench.ledger.resources(&mia_caller, of("share"), &indelible_engine::resource::Listing::default())).expect_err("a list"));
    wait(bench.ledger.delete_resource(&bench.admin(), of("share"), share.id, None)).expect("revoked");
    assert_eq!(seen(&mia_caller, ""), ids(&[own]), "from the next question on");
    assert_eq!(seen(&max_caller, ""), ids(&[theirs]));
    bench.verify();
}

#[test]
fn an_organization_is_explored_over_all_its_projects_and_no_other() {
    let bench = Bench::new();
    let first = bench.project();
    let made = |organization: Option<Uuid>, name: &str| {
        let id = wait(bench.ledger.create_project(&bench.instance(), organization, name)).expect("made").id;
        bench.ledger.project_of(&bench.instance(), Some(id)).expect("a project")
    };
    let second = made(None, "second");
    let elsewhere = make(&bench, &bench.instance(), "organization", Owner::Instance, r#"{"name":"else"}"#).expect("made").0.id;
    let foreign = made(Some(elsewhere), "foreign");
    let mut mine: Vec<String> = Vec::new();
    for n in 0..30_u64 {
        let place = if n % 3 == 0 { &first } else { &second };
        mine.push(said(&bench, place, n + 1, if n % 2 == 0 { "mia" } else { "eve" }, "t").to_string());
    }
    said(&bench, &foreign, 99, "mia", "t");
    mine.reverse();
    let organization_id = first.organization_id;
    let key = NewApiKey {
        name: "k".to_owned(),
        owner: Owner::Organization(organization_id),
        kind: KeyKind::Application,
        scopes: vec![Scope::AuditRead],
        expires_at: None,
    };
    let (_, text) = wait(bench.ledger.create_api_key(&bench.instance(), key)).expect("made");
    let reader = known(&bench, &text).expect("a key");
    let pages = |caller: &Caller, filter: &str, limit: usize| {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let search = Search { filter: Some(filter.to_owned()), limit: Some(limit), cursor, ..Search::default() };
            let page = wait(bench.ledger.explore(caller, organization_id, search)).expect("a page");
            ids.extend(page.records.iter().map(|record| {
                let record: Value = serde_json::from_slice(record).expect("JSON");
                record["id"].as_str().expect("an id").to_owned()
            }));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return ids;
            }
        }
    };
    for limit in [1, 7, 30, 31] {
        assert_eq!(pages(&reader, "action eq \"chat.say\"", limit), mine, "{limit}");
    }
    let own = pages(&known(&bench, &join(&bench, "mia", "member").1).expect("a member"), "action eq \"chat.say\"", 4);
    assert_eq!(own, mine.iter().skip(1).step_by(2).cloned().collect::<Vec<_>>());
    let refused = |caller: &Caller, id: Uuid| wait(bench.ledger.explore(caller, id, Search::default())).map(drop);
    assert_eq!(refused(&reader, elsewhere), Err(ReadError::NotFound("organization")));
    assert_eq!(refused(&reader, Uuid::from_u128(7)), Err(ReadError::NotFound("organization")));
    assert_eq!(refused(&bench.admin(), organization_id), Err(ReadError::NotFound("organization")), "a project's key sees its project");
    assert_eq!(refused(&bench.instance(), Uuid::nil()), Err(ReadError::NotFound("organization")));
    let cursor =
        wait(bench.ledger.explore(&reader, organization_id, Search { limit: Some(1), ..Search::default() })).expect("a page").next_cursor;
    let other = Search { cursor, ..Search::default() };
    assert!(matches!(wait(bench.ledger.search(&bench.instance(), &first, other)), Err(ReadError::Cursor)), "a cursor belongs to its list");
    let told = found(&bench, &bench.instance(), &own_chain(&bench), "resource.type eq \"organization\" and action eq \"audit.read\"");
    assert!(
        told.expect("a page").iter().any(|event| event["read"]["filter"] == "action eq \"chat.say\"" && event["read"]["returned"] == 30)
    );
    bench.verify();
}

#[test]
fn who_ended_since_the_request_came_changes_nothing_more() {
    let bench = Bench::new();
    let (id, key) = join(&bench, "adam", "admin");
    join(&bench, "olga", "owner");
    let adam = known(&bench, &key).expect("an admin");
    let (_, token) = make(&bench, &adam, "session", organization(&bench), "{}").expect("signed in");
    let session = known(&bench, &token.expect("a token")).expect("a session");
    let new = || NewApiKey {
        name: "k".to_owned(),
        owner: organization(&bench),
        kind: KeyKind::Application,
        scopes: vec![Scope::ControlWrite],
        expires_at: None,
    };
    let (key_id, text) = wait(bench.ledger.create_api_key(&adam, new())).expect("made");
    let holder = known(&bench, &text).expect("a key");
    let demoted = wait(bench.ledger.update_resource(&bench.instance(), of("member"), id, None, r#"{"role":"member"}"#));
    demoted.expect("demoted");
    for caller in [&adam, &session] {
        let late = wait(bench.ledger.create_api_key(caller, new()));
        assert!(matches!(late, Err(MutateError::Forbidden(_))), "as it is now: {late:?}");
    }
    wait(bench.ledger.delete_resource(&bench.instance(), of("member"), id, None)).expect("removed");
    wait(bench.ledger.revoke_api_key(&bench.instance(), key_id.id)).expect("revoked");
    for (caller, ended) in [(&adam, Refused::Revoked), (&session, Refused::Revoked), (&holder, Refused::Revoked)] {
        let late = wait(bench.ledger.create_api_key(caller, new())).map(drop);
        assert_eq!(late, Err(MutateError::Ended(ended)));
        let late = wait(bench.ledger.delete_resource(caller, of("member"), id, None)).map(drop);
        assert_eq!(late, Err(MutateError::Ended(ended)));
    }
    let told = found(&bench, &bench.instance(), &own_chain(&bench), "action eq \"api_key.create\" and outcome eq \"deny\"");
    assert_eq!(told.expect("a page").len(), 5, "each of them is told");
}

#[test]
fn sessions_are_so_many_and_those_that_are_past_go_with_the_next() {
    let clock = Turned::new();
    let bench = Bench::with(|options| options.clock = Arc::<Turned>::clone(&clock));
    let (_, key) = join(&bench, "mia", "member");
    let begin = || make(&bench, &known(&bench, &key).expect("a member"), "session", organization(&bench), "{}").map(drop);
    for _ in 0..50 {
        begin().expect("signed in");
    }
    assert!(matches!(begin(), Err(MutateError::Conflict(_))));
    clock.step(8 * 3_600, 8 * 3_600);
    begin().expect("signed in");
    let listing = indelible_engine::resource::Listing::default();
    assert_eq!(wait(bench.ledger.resources(&bench.instance(), of("session"), &listing)).expect("a list").kept.len(), 1);
    let ended = found(&bench, &bench.instance(), &own_chain(&bench), "action eq \"session.end\"").expect("a page");
    assert_eq!(ended.len(), 50, "each of them is told");
    bench.verify();
}
