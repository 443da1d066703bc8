//! The index against what a look at every row says.

use indelible_core::filter::Filter;
use indelible_core::time::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use uuid::Uuid;

use super::fixture::{Event, Fixture, project_id};
use super::{Direction, IndexError, Postings};
use crate::query::feed::ascending;
use crate::query::newest::{Bounds, newest};

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (1_i64..3, any::<u128>(), 0_i64..2_000, 0_usize..4, 0_usize..3, any::<bool>(), proptest::option::of(0_usize..3));
    proptest::collection::vec(event, 0..400).prop_map(|events| {
        let make = |(project, id, time, action, actor, allowed, tool): (i64, u128, i64, usize, usize, bool, Option<usize>)| Event {
            project,
            id,
            occurred_at: 1_700_000_000_000_000 + time,
            action: ["policy.create", "policy.delete", "tool.call", "run.start"][action].to_owned(),
            actor: ["alice", "bob", "carol"][actor].to_owned(),
            outcome: if allowed { "allow" } else { "deny" }.to_owned(),
            tool: tool.map(|tool| ["shell", "browser", "mail"][tool].to_owned()),
        };
        events.into_iter().map(make).collect()
    })
}

const FILTERS: &[&str] = &[
    "",
    r#"actor.id eq "alice""#,
    r#"actor.id eq "alice" and outcome eq "deny""#,
    r#"actor.id eq "alice" or context.tool eq "mail""#,
    r#"not (actor.id eq "alice")"#,
    r#"action sw "policy.""#,
    r#"reason co "nothing has one""#,
    r#"occurred_at ge "2023-11-14T22:13:20.000500Z" and occurred_at lt "2023-11-14T22:13:20.001500Z""#,
    r#"(action eq "tool.call" or action eq "run.start") and actor.id ne "bob""#,
    "context.tool pr and sequence gt 10",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Pages and the feed are what a look at every row gives, whatever the order of times.
    #[test]
    fn pages_and_feed_agree_with_a_look_at_every_row(
        events in events(), limit in 1_usize..40, first in 0_u64..100, indexed in 0_usize..300
    ) {
        let mut fixture = Fixture::new();
        let (indexed, tail) = events.split_at(indexed.min(events.len()));
        fixture.append(indexed);
        let index = fixture.open();
        fixture.index_all(&index);
        // The index is not told of these.
        fixture.append(tail);
        for text in FILTERS {
            let filter = (!text.is_empty()).then(|| Filter::parse(text).expect(text));
            for project in [1, 2] {
                let mut wanted = fixture.naive(project, filter.as_ref());
                let feed = fixture.scan(&index, project, filter.as_ref(), |scan| ascending(scan, first, limit)).expect("a feed");
                let wanted_feed: Vec<u64> = wanted.iter().map(|found| found.2).filter(|sequence| *sequence >= first).take(limit).collect();
                prop_assert_eq!(feed.iter().map(|found| found.sequence).collect::<Vec<_>>(), wanted_feed, "feed {}", text);
                wanted.sort_unstable_by(|a, b| b.cmp(a));
                prop_assert_eq!(all_pages(&fixture, &index, project, filter.as_ref(), limit), wanted, "{}", text);
            }
        }
    }
}

fn all_pages(fixture: &Fixture, index: &super::Index, project: i64, filter: Option<&Filter>, limit: usize) -> Vec<(i64, Uuid, u64)> {
    let (from, to) = filter.map_or((None, None), Filter::occurred_at_bounds);
    let mut bounds = Bounds { below: None, from: from.map(Timestamp::as_micros), to: to.map(Timestamp::as_micros) };
    let mut all = Vec::new();
    loop {
        let page = fixture.scan(index, project, filter, |scan| newest(scan, bounds, limit)).expect("a page");
        all.extend(page.iter().map(|found| (found.key.occurred_at, found.id(), found.sequence)));
        match page.last() {
            Some(last) if page.len() == limit => bounds.below = Some(last.key),
            _ => return all,
        }
    }
}

/// Many blocks, two projects between each other, times in order, shuffled and years late.
fn many(rows: u64) -> Vec<Event> {
    let event = |n: u64| {
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let late = n.is_multiple_of(997);
        Event {
            project: if n.is_multiple_of(5) { 2 } else { 1 },
            id: u128::from(n) << 64 | u128::from(noise),
            occurred_at: 1_700_000_000_000_000 + if late { 0 } else { n as i64 * 1_000 + noise as i64 % 3_600_000 },
            // Once in each project, many blocks from the end.
            action: if n == 10_001 || n == 20_000 {
                "halt.issue"
            } else if n.is_multiple_of(50) {
                "policy.create"
            } else {
                "tool.call"
            }
            .to_owned(),
            actor: format!("actor-{}", noise % 400),
            outcome: if noise.is_multiple_of(7) { "deny" } else { "allow" }.to_owned(),
            tool: Some(format!("tool-{}", noise % 3)),
        }
    };
    (0..rows).map(event).collect()
}

#[test]
fn many_blocks_agree_with_a_look_at_every_row() {
    let mut fixture = Fixture::new();
    let events = many(60_000);
    let (indexed, tail) = events.split_at(55_000);
    fixture.append(indexed);
    let index = fixture.open();
    fixture.index_all(&index);
    fixture.append(tail);
    let any: Vec<String> = (0..350).map(|n| format!(r#"actor.id eq "actor-{n}""#)).collect();
    let (any, deep) =
        (any.join(" or "), format!(r#"{}outcome eq "deny"{}"#, r#"(action eq "policy.create" or ("#.repeat(25), "))".repeat(25)));
    let filters = [
        "",
        any.as_str(),
        deep.as_str(),
        r#"actor.id eq "actor-7""#,
        r#"action eq "policy.create" and outcome eq "deny""#,
        r#"actor.id eq "nobody""#,
        r#"action eq "halt.issue""#,
        r#"occurred_at le "2023-11-14T22:13:21Z""#,
        r#"outcome eq "deny" and action sw "policy""#,
    ];
    for text in filters {
        let filter = (!text.is_empty()).then(|| Filter::parse(text).expect(text));
        for project in [1, 2] {
            let mut wanted = fixture.naive(project, filter.as_ref());
            for first in [0, 4_095, 4_096, 9_999, 11_999, 12_000, 47_999, 48_000, 1_000_000] {
                let feed = fixture.scan(&index, project, filter.as_ref(), |scan| ascending(scan, first, 50)).expect("a feed");
                let expected: Vec<u64> = wanted.iter().map(|found| found.2).filter(|sequence| *sequence >= first).take(50).collect();
                assert_eq!(feed.iter().map(|found| found.sequence).collect::<Vec<_>>(), expected, "{text} after {first}");
            }
            wanted.sort_unstable_by(|a, b| b.cmp(a));
            let limit = if wanted.len() > 5_000 { 1_000 } else { 50 };
            let pages = all_pages(&fixture, &index, project, filter.as_ref(), limit);
            assert_eq!(pages.len(), wanted.len(), "{text}");
            assert!(pages == wanted, "{text}");
        }
    }
}

#[test]
fn a_question_is_no_reason_to_build_the_index_anew() {
    let fixture = Fixture::new();
    let index = fixture.open();
    fixture.index_all(&index);
    let view = index.view().expect("open");
    let error = view
        .reader()
        .expect("a reader")
        .query_row("SELECT 1 FROM terms WHERE terms MATCH 'a AND ('", [], |_| Ok(()))
        .expect_err("no expression");
    assert!(matches!(index.distrust(error), IndexError::Refused(_)));
    let error = view.reader().expect("a reader").query_row("SELECT 1 FROM nothing", [], |_| Ok(())).expect_err("no table");
    assert!(matches!(index.distrust(error), IndexError::Unreadable(_)));
}

fn some(fixture: &mut Fixture, rows: u64) {
    fixture.append(&many(rows));
}

fn found_by(fixture: &Fixture, index: &super::Index, project: i64, text: &str) -> usize {
    let filter = Filter::parse(text).expect(text);
    fixture.scan(index, project, Some(&filter), |scan| newest(scan, Bounds::default(), 1_000)).expect("a page").len()
}

#[test]
fn ids_are_found_before_and_after_they_are_indexed_and_after_reopening() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 3_000);
    let check = |fixture: &Fixture, index: &super::Index| {
        let mut statement = fixture.ledger.prepare("SELECT project, id, row FROM events").expect("sql");
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let (project, id, number): (i64, [u8; 16], i64) =
                (row.get(0).expect("project"), row.get(1).expect("id"), row.get(2).expect("row"));
            let id = Uuid::from_bytes(id);
            assert!(index.find(project, id).expect("ids").contains(&number), "{id}");
            assert!(!index.find(3 - project, id).expect("ids").contains(&number), "{id} in another project");
        }
        assert_eq!(index.find(1, Uuid::from_u128(u128::MAX)).expect("ids"), Vec::<i64>::new());
    };
    let index = fixture.open();
    fixture.index_all(&index);
    check(&fixture, &index);
    // Noted and not indexed: the follower has not been told that it is committed.
    let event = Event { id: 77, ..many(2).remove(1) };
    fixture.append(std::slice::from_ref(&event));
    index.note(event.project, Uuid::from_u128(77), fixture.rows());
    assert_eq!(index.find(event.project, Uuid::from_u128(77)).expect("ids"), vec![fixture.rows()]);
    fixture.index_all(&index);
    check(&fixture, &index);
    index.close();
    let index = fixture.open();
    check(&fixture, &index);
}

#[test]
fn an_index_is_gone_on_with_after_a_clean_close_and_within_a_boot() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 2_000);
    let key = |fixture: &Fixture| super::read_state(&Connection::open(fixture.index_path()).expect("open")).expect("state").0;
    let index = fixture.open();
    fixture.index_all(&index);
    drop(index);
    let first = key(&fixture);
    some(&mut fixture, 2_000);
    let index = fixture.open();
    fixture.index_all(&index);
    assert_eq!(found_by(&fixture, &index, 2, r#"action eq "policy.create""#), 80);
    drop(index);
    assert_eq!(key(&fixture), first, "a clean close was not trusted");
    let mark = |sql: &str| Connection::open(fixture.index_path()).expect("open").execute_batch(sql).expect("sql");
    mark("UPDATE state SET clean = 0");
    drop(fixture.open());
    assert_eq!(key(&fixture), first, "the same boot was not trusted");
    let cases = [
        "UPDATE state SET clean = 0, boot_id = 'another'",
        "UPDATE state SET row_hash = zeroblob(32)",
        "UPDATE state SET through = through + 1",
        "UPDATE rows SET id = zeroblob(16) WHERE row = (SELECT max(row) FROM rows)",
        "PRAGMA user_version = 99",
        "DROP TABLE rows",
        "DELETE FROM state",
    ];
    for sql in cases {
        let before = key(&fixture);
        mark(sql);
        let index = fixture.open();
        fixture.index_all(&index);
        assert_eq!(found_by(&fixture, &index, 2, r#"action eq "policy.create""#), 80, "{sql}");
        drop(index);
        assert_ne!(key(&fixture), before, "{sql}");
    }
}

#[test]
fn a_file_that_is_no_index_is_replaced_and_deleting_it_is_safe() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 1_000);
    let spoil: &[&dyn Fn()] = &[
        &|| std::fs::write(fixture.index_path(), vec![0x5a; 100_000]).expect("written"),
        &|| std::fs::remove_file(fixture.index_path()).expect("removed"),
        &|| std::fs::write(fixture.index_path(), b"").expect("written"),
        &|| {
            let bytes = std::fs::read(fixture.index_path()).expect("read");
            std::fs::write(fixture.index_path(), &bytes[..bytes.len() / 2]).expect("cut");
        },
    ];
    drop(fixture.open());
    for (n, spoil) in spoil.iter().enumerate() {
        spoil();
        let index = fixture.open();
        fixture.index_all(&index);
        assert_eq!(
            found_by(&fixture, &index, 1, r#"outcome eq "deny""#),
            found_by(&fixture, &index, 1, r#"not (outcome ne "deny")"#),
            "{n}"
        );
        assert_eq!(found_by(&fixture, &index, 2, r#"action eq "policy.create""#), 20, "{n}");
    }
}

#[test]
fn a_forged_index_adds_no_row() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 5_000);
    let index = fixture.open();
    fixture.index_all(&index);
    let (key, ..) = super::read_state(&Connection::open(fixture.index_path()).expect("open")).expect("state");
    let filter = r#"actor.id eq "mallory""#;
    let before = found_by(&fixture, &index, 1, r#"actor.id eq "actor-7""#);
    let forger = Connection::open(fixture.index_path()).expect("open");
    let mut text = String::new();
    for token in [key.token(1, "actor.id", "mallory"), key.token(1, "actor.id", "actor-7"), key.every_row(1)] {
        token.write(&mut text);
        text.push(' ');
    }
    // Every row, those of project 2 and rows that do not exist too, is put on lists of project 1.
    for row in 1..=6_000 {
        forger.prepare_cached("INSERT INTO terms (rowid, tokens) VALUES (?1, ?2)").expect("sql").execute((row, &text)).expect("forged");
    }
    forger.execute_batch("UPDATE rows SET project = 1").expect("forged");
    assert_eq!(found_by(&fixture, &index, 1, filter), 0);
    assert_eq!(found_by(&fixture, &index, 1, r#"actor.id eq "actor-7""#), before);
    fixture.scan(&index, 1, None, |scan| {
        for found in ascending(scan, 0, 10_000).expect("a feed") {
            assert!(String::from_utf8_lossy(&found.entry).contains(&project_id(1).to_string()));
        }
    });
}

#[test]
fn an_index_that_is_anew_says_that_it_does_not_know_ids_yet() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 200);
    let index = fixture.open();
    let asked = index.find(1, Uuid::from_u128(5));
    assert!(matches!(asked, Ok(ref rows) if rows.is_empty()) || matches!(asked, Err(IndexError::Behind(_))), "{asked:?}");
}

/// A file that is built anew has another token key: under the old one nothing would be found in it, and a retry would be taken
/// for a new event.
#[test]
fn a_view_never_reads_the_file_that_came_after_its_own() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 2_000);
    let index = fixture.open();
    fixture.index_all(&index);
    let old = index.view().expect("open");
    let held = old.reader().expect("a reader");
    index.rebuild();
    fixture.index_all(&index);
    assert!(!std::sync::Arc::ptr_eq(&old, &index.view().expect("open")));
    let mut rows = 0;
    let every = Postings::token(old.key().every_row(1));
    let read = every.read(&held, (1, i64::MAX), Direction::Ascending, |_| {
        rows += 1;
        Ok::<_, rusqlite::Error>(true)
    });
    assert_eq!((read.is_ok(), rows), (true, 1_600), "whoever reads the old file finishes on it");
    drop(held);
    let error = old.reader().err().expect("the file of this view is gone");
    assert!(matches!(index.distrust(error), IndexError::Refused(_)), "no reason to build it anew again");
}

#[test]
fn a_rebuild_hides_nothing_from_those_who_ask_meanwhile() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 2_000);
    let event = many(2).remove(1);
    let index = fixture.open();
    fixture.index_all(&index);
    let (id, wanted, rows) = (Uuid::from_u128(event.id), fixture.naive(1, None).len(), fixture.rows());
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = || {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(found) = index.find(event.project, id) {
                    assert!(found.contains(&2), "a retry would be written twice");
                }
            }
        };
        let reading = || {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let Some(view) = index.view_at(rows, &|| !over.load(std::sync::atomic::Ordering::Relaxed)) else { continue };
                let Ok(reader) = view.reader() else { continue };
                let mut count = 0;
                let every = Postings::token(view.key().every_row(1));
                let read = every.read(&reader, (1, i64::MAX), Direction::Ascending, |_| {
                    count += 1;
                    Ok::<_, rusqlite::Error>(true)
                });
                assert!(read.is_err() || count == wanted, "{count} of {wanted}");
            }
        };
        scope.spawn(asking);
        scope.spawn(reading);
        for _ in 0..12 {
            index.rebuild();
            fixture.index_all(&index);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn what_callers_are_told_counts_no_rows_of_others() {
    assert!(!IndexError::Behind(4_711).to_string().contains(|letter: char| letter.is_ascii_digit()));
}

fn indexed(fixture: &Fixture) -> super::Index {
    let index = fixture.open();
    fixture.index_all(&index);
    index
}

/// Blocks, rows and the row that the index has come to, forged while it was closed: what is answered is what a look at every
/// row says, or an error.
#[test]
fn forged_blocks_rows_and_heads_add_and_repeat_nothing() {
    let mut fixture = Fixture::new();
    some(&mut fixture, 6_000);
    drop(indexed(&fixture));
    let sound = std::fs::read(fixture.index_path()).expect("a sound index");
    let forgeries = [
        "UPDATE blocks SET first_row = 1",
        "UPDATE blocks SET first_row = 1, last_row = 6000",
        "UPDATE blocks SET last_row = 9223372036854775807",
        "UPDATE blocks SET first_row = -9223372036854775808, last_row = 9223372036854775807",
        "UPDATE blocks SET first_row = last_row, last_row = first_row",
        "UPDATE blocks SET rows = 9223372036854775807",
        "UPDATE blocks SET rows = -1",
        "UPDATE blocks SET rows = 0",
        "UPDATE blocks SET rows = last_row - first_row + 1",
        "UPDATE blocks SET rows = 1",
        "UPDATE blocks SET min_at = max_at, max_at = min_at",
        "UPDATE blocks SET min_id = x'00'",
        "UPDATE blocks SET block = block + 1000",
        "INSERT INTO blocks SELECT project, block + 100, first_row, last_row, rows, min_at, min_id, max_at, max_id FROM blocks",
        "INSERT OR REPLACE INTO blocks SELECT project, block + 1, first_row, last_row, rows, min_at, min_id, max_at, max_id FROM blocks",
        "UPDATE rows SET occurred_at = -9223372036854775808 WHERE row % 7 = 0",
        "UPDATE rows SET project = 3 - project WHERE row < 5900",
        "UPDATE rows SET id = x'00' WHERE row < 5900",
        "DELETE FROM rows WHERE row < 5900",
        "UPDATE state SET through = 9223372036854775807",
        "UPDATE state SET through = -9223372036854775808",
        "UPDATE state SET through = 1",
        "UPDATE state SET through = 0, row_hash = x''",
    ];
    for sql in forgeries {
        std::fs::write(fixture.index_path(), &sound).expect("written");
        Connection::open(fixture.index_path()).expect("open").execute_batch(sql).expect("forged");
        let index = indexed(&fixture);
        for project in [1, 2] {
            let mut wanted = fixture.naive(project, None);
            let feed = fixture.scan(&index, project, None, |scan| ascending(scan, 0, 30_000));
            let hides = sql.starts_with("UPDATE rows SET occurred_at");
            if let Ok(feed) = feed {
                let feed: Vec<u64> = feed.iter().map(|found| found.sequence).collect();
                assert_eq!(feed, wanted.iter().map(|found| found.2).collect::<Vec<_>>(), "{sql}");
            }
            wanted.sort_unstable_by(|a, b| b.cmp(a));
            let page = fixture.scan(&index, project, None, |scan| newest(scan, Bounds::default(), 1_000));
            let Ok(page) = page else { continue };
            let page: Vec<_> = page.iter().map(|found| (found.key.occurred_at, found.id(), found.sequence)).collect();
            assert!(page.windows(2).all(|two| two[0] > two[1]), "{sql}: a row twice, or out of order");
            assert!(page.iter().all(|found| wanted.contains(found)), "{sql}: a row that is not there");
            assert!(hides || page == wanted[..1_000], "{sql}: a row is not shown");
        }
    }
}
