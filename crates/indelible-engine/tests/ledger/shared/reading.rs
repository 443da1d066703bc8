//! What a server reads of what another wrote, in whichever month.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible_engine::access::{Caller, Owner};
use indelible_engine::query::follow::{Ended, FollowRequest};
use indelible_engine::query::{Feed, Page, Search};
use indelible_engine::resource::kind;

use crate::bench::{event, id, wait};
use crate::clock::Turned;
use crate::house::House;

fn search(house: &House, server: usize, caller: &Caller, search: Search) -> Page {
    let ledger = &house.servers[server];
    let project = ledger.project_of(caller, None).expect("the default project");
    wait(ledger.search(caller, &project, search)).expect("read")
}

/// The sequences of a page.
fn sequences(page: &Page) -> Vec<u64> {
    let read =
        |record: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(record).expect("JSON")["sequence"].as_u64().expect("a number");
    page.records.iter().map(read).collect()
}

#[test]
fn a_hint_is_enough_to_hear_of_what_another_server_committed() {
    // Nobody asks, and nobody looks by himself while the test lasts.
    let house = House::of(2, |_, options| options.look_every = Duration::from_hours(1));
    house.append(0, &[event(0, "told of")]).expect("appended");
    let rows = house.servers[0].status().rows;
    let until = Instant::now() + Duration::from_mins(1);
    while house.servers[1].status().rows_indexed < rows {
        assert!(Instant::now() < until, "the hint did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_both_servers_record_as_spent_counts_once_on_each() {
    let house = House::of(2, |_, _| {});
    let own = Owner::Project(house.servers[0].default_project_id());
    let make = |noun: &str, document: &str| {
        let kind = kind(noun).expect("a kind");
        wait(house.servers[0].create_resource(&house.instance(0), kind, Some(own), document, None)).expect("made").kept.id
    };
    // A token is a millionth.
    make(
        "model_price",
        r#"{"provider":"p","model":"m","currency":"USD","input_micros_per_million":1000000,"output_micros_per_million":1}"#,
    );
    let budget = make(
        "budget",
        r#"{"name":"b","subject":{"type":"project"},"period":"total","limit_micros":1,"currency":"USD","on_exceed":"warn"}"#,
    );
    let used = |n: u64| {
        format!(
            r#"{{"id":"{}","action":"model.invoke","outcome":"allow","actor":{{"type":"agent","id":"a"}},"model":{{"provider":"p","id":"m"}},"usage":{{"input_tokens":1}}}}"#,
            id(n)
        )
    };
    // Each commit is seen by both before the one that made it has counted it.
    std::thread::scope(|scope| {
        for server in [0, 1] {
            let (house, used) = (&house, &used);
            scope.spawn(move || (0..200).for_each(|n| drop(house.append_again(server, &[used(1_000 * server as u64 + n)]))));
        }
    });
    for server in [0, 1] {
        let told = wait(house.servers[server].budget_spending(&house.admin(server), budget)).expect("told");
        assert_eq!(told.spent_micros, 400, "server {server}");
    }
}

#[test]
fn rows_of_every_month_are_found_by_servers_that_opened_before_and_after_it_began() {
    let clocks = [Turned::new(), Turned::new()];
    let mut house = House::of(1, |_, options| options.clock = Arc::<Turned>::clone(&clocks[0]));
    let mut expected = Vec::new();
    let mut n = 0;
    for month in 0..6_u64 {
        for clock in &clocks {
            clock.step(31 * 86_400, 31 * 86_400);
        }
        if month == 3 {
            let second = house.open(1, &|_, options| options.clock = Arc::<Turned>::clone(&clocks[1]));
            house.servers.push(second);
        }
        // Some of one actor's own lie between those of another, and each month has more than are read at once.
        let events: Vec<String> =
            (n..n + 90).map(|n| event(n, "a month").replace("alice", if n % 7 == 0 { "seventh" } else { "alice" })).collect();
        let server = month as usize % house.servers.len();
        let receipts = house.append_again(server, &events);
        expected.extend(receipts.iter().map(|receipt| receipt.sequence));
        n += 90;
        // Whoever read before the month began reads on.
        for server in 0..house.servers.len() {
            let admin = house.admin(server);
            let last = expected.last().copied().expect("appended");
            let newest = Search { filter: Some("action eq \"test.step\"".to_owned()), limit: Some(1), ..Search::default() };
            assert_eq!(sequences(&search(&house, server, &admin, newest)), [last], "month {month}, server {server}");
        }
    }
    let sevenths: Vec<u64> = expected.iter().copied().zip(0_u64..).filter(|(_, n)| n % 7 == 0).map(|(sequence, _)| sequence).collect();
    for server in [0, 1] {
        let admin = house.admin(server);
        for (filter, expected) in [
            ("action eq \"test.step\"", &expected),
            ("actor.id eq \"seventh\"", &sevenths),
            // A scan of everything, since no index has it.
            ("actor.id co \"event\" and action eq \"test.step\"", &sevenths),
        ] {
            let asked = |feed| Search { filter: Some(filter.to_owned()), limit: Some(1_000), feed, ..Search::default() };
            assert_eq!(&sequences(&search(&house, server, &admin, asked(Some(Feed::Start)))), expected, "{filter}, the feed of {server}");
            let after = expected[expected.len() / 2];
            let rest = sequences(&search(&house, server, &admin, asked(Some(Feed::After(after)))));
            assert_eq!(rest, expected[expected.len() / 2 + 1..], "{filter}, the rest of the feed of {server}");
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = search(&house, server, &admin, Search { cursor, limit: Some(70), ..asked(None) });
                found.extend(sequences(&page));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            // Newest first is by the caller's clock and then by id: within a batch, by id.
            found.sort_unstable();
            assert_eq!(&found, expected, "{filter}, newest first on {server}");
        }
    }
    house.verify();
}

#[test]
fn whoever_follows_on_one_server_sees_what_the_other_appends_in_order_and_once() {
    let house = House::of(2, |_, _| {});
    let (ledger, caller) = (&house.servers[1], house.admin(1));
    let project = ledger.project_of(&caller, None).expect("the default project");
    let filter = Some("action eq \"test.step\"".to_owned());
    let request = FollowRequest { filter, after: None, purpose: None };
    let seen: Vec<u64> = wait(async {
        let mut following = ledger.follow(&caller, &project, request).await.expect("it follows");
        let mut seen = Vec::new();
        for round in 0..4 {
            std::thread::scope(|scope| {
                for server in 0..2 {
                    let (house, from) = (&house, 100 * server as u64 + 5 * round);
                    scope.spawn(move || (from..from + 5).for_each(|n| drop(house.append_again(server, &[event(n, "said")]))));
                }
            });
            while seen.len() < 10 * (round as usize + 1) {
                let batch = tokio::time::timeout(Duration::from_mins(1), following.next()).await.expect("in time").expect("it goes on");
                seen.extend(batch.events.into_iter().map(|(sequence, _)| sequence));
            }
        }
        following.close(&Ended::Gone).await;
        seen
    });
    assert!(seen.len() == 40 && seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    house.verify();
}
