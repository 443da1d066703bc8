//! The checkpoint store in an object store: whatever that does, the ledger verifies, appends go on, and there are never two roots for
//! one size.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::Note;
use indelible_engine::Ledger;
use indelible_engine::anchor::{CheckpointStore, SealingFailure};

use crate::bench::{Bench, event, wait};
use crate::moto::{Place, request};
use crate::proxy::{Deed, Proxy, Request, answer};

/// How long the client waits here for a store that hangs.
const WAIT_MAX: Duration = Duration::from_secs(6);

/// The path of a segment.
fn segment(place: &Place, ledger: &Ledger, number: u64) -> String {
    format!("/{}/some/prefix/{}/{:012}.json", place.bucket, ledger.instance_name(), 999_999_999_999 - number)
}

/// Every segment there is, oldest first, as the store itself says.
fn segments(place: &Place, ledger: &Ledger) -> Vec<Vec<u8>> {
    let read = |number| Some(request("GET", &segment(place, ledger, number), b"")).filter(|(status, _)| *status == 200);
    (0..10_000).map_while(read).map(|(_, body)| body).collect()
}

/// Of everything that was ever swapped: each size of each tree has one root. The number of segments.
fn roots_are_one(place: &Place, ledger: &Ledger) -> usize {
    let mut roots = BTreeMap::new();
    let segments = segments(place, ledger);
    assert!(!segments.is_empty());
    for segment in &segments {
        let segment: serde_json::Value = serde_json::from_slice(segment).expect("a segment");
        for (origin, note) in segment["checkpoints"].as_object().expect("checkpoints") {
            let note = Note::parse(note.as_str().expect("a note").as_bytes()).expect("a note");
            let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
            assert_eq!(checkpoint.origin.as_str(), origin);
            let root = *roots.entry((origin.clone(), checkpoint.size)).or_insert(checkpoint.root);
            assert_eq!(root, checkpoint.root, "two roots for {origin} of {}", checkpoint.size);
        }
    }
    segments.len()
}

fn bench(store: CheckpointStore) -> Bench {
    Bench::with(|options| options.checkpoints = store)
}

/// Seals; whether sealing came to its end.
fn seal(bench: &Bench) -> bool {
    let status = wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("recorded");
    assert_eq!(status.refused, None);
    let failing = bench.ledger.status().sealing.failing;
    assert_eq!(failing, status.failing);
    assert!(matches!(failing, None | Some(SealingFailure::CheckpointStore)), "{failing:?}");
    status.failing.is_none()
}

/// What is done to requests, by name; whether sealing works meanwhile, with a store that is open, and with one that is to be opened.
type Case = (&'static str, fn() -> Box<dyn FnMut(&Request) -> Deed + Send>, bool, bool);

fn is_put(request: &Request) -> bool {
    request.method == "PUT"
}

fn same(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn cut_short(answer: &[u8]) -> Vec<u8> {
    answer[..answer.len() - 10].to_vec()
}

fn with_another_etag(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let (head, body) = answer.split_at(end);
    let head = String::from_utf8(head.to_vec()).expect("text");
    let lines: Vec<String> = head
        .split("\r\n")
        .map(|line| if line.to_ascii_lowercase().starts_with("etag:") { "ETag: \"another\"".to_owned() } else { line.to_owned() })
        .collect();
    [lines.join("\r\n").as_bytes(), body].concat()
}

fn without_its_condition(request: &[u8]) -> Vec<u8> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let (head, body) = request.split_at(end);
    let head = String::from_utf8(head.to_vec()).expect("text");
    let lines: Vec<&str> = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("if-none-match:")).collect();
    [lines.join("\r\n").as_bytes(), body].concat()
}

const CASES: &[Case] = &[
    ("answers to puts are lost", || Box::new(|request| if is_put(request) { Deed::Lose } else { Deed::Forward }), true, false),
    (
        "every put is refused",
        || Box::new(|request| if is_put(request) { answer("412 Precondition Failed", "") } else { Deed::Forward }),
        false,
        false,
    ),
    ("every put conflicts", || Box::new(|request| if is_put(request) { answer("409 Conflict", "") } else { Deed::Forward }), false, false),
    (
        "unavailable twice",
        || {
            let mut left = 2;
            Box::new(move |_| {
                left -= i32::from(left > 0);
                if left > 0 { answer("503 Slow Down", "<Error><Code>SlowDown</Code></Error>") } else { Deed::Forward }
            })
        },
        true,
        true,
    ),
    ("unavailable", || Box::new(|_| answer("503 Slow Down", "<Error><Code>SlowDown</Code></Error>")), false, false),
    ("it hangs", || Box::new(|_| Deed::Hang), false, false),
    ("puts hang", || Box::new(|request| if is_put(request) { Deed::Hang } else { Deed::Forward }), false, false),
    ("nobody may", || Box::new(|_| answer("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>")), false, false),
    ("garbage", || Box::new(|_| answer("200 OK", "what is this")), false, false),
    (
        "it says that it made what it did not",
        || Box::new(|request| if is_put(request) { answer("200 OK", "") } else { Deed::Forward }),
        false,
        false,
    ),
    (
        "reads are cut short",
        || Box::new(|request| if is_put(request) { Deed::Forward } else { Deed::Change(same, cut_short) }),
        false,
        false,
    ),
    ("another tag", || Box::new(|_| Deed::Change(same, with_another_etag)), true, true),
    ("it forgets conditions", || Box::new(|_| Deed::Change(without_its_condition, same)), true, false),
];

fn misbehave(&(name, behaviour, seals, opens): &Case, is_open: bool) {
    let (place, proxy) = (Place::new(), Proxy::new());
    let through = Place { reached_at: proxy.address.clone(), wait_max: WAIT_MAX, ..place.clone() };
    let mut bench = bench(through.store());
    bench.append(&[event(0, "one")]).expect("appended");
    assert!(seal(&bench), "{name}");
    if !is_open {
        bench = bench.reopen();
    }
    proxy.behaves(behaviour());
    bench.append(&[event(1, "two")]).expect("appends go on");
    assert_eq!(seal(&bench), if is_open { seals } else { opens }, "{name}, open: {is_open}");
    bench.append(&[event(2, "three")]).expect("appends go on");
    // Beside the store itself, as an auditor would.
    bench.store = place.store();
    bench.verify();
    roots_are_one(&place, &bench.ledger);
    proxy.behaves(|_| Deed::Forward);
    seal(&bench);
    assert!(seal(&bench), "{name}: it works again");
    assert!(bench.verify().iter().all(|report| report.unanchored == 0), "{name}");
    roots_are_one(&place, &bench.ledger);
    let bench = bench.reopen();
    assert!(seal(&bench), "{name}: after a restart");
    roots_are_one(&place, &bench.ledger);
}

/// Each of them while the store is open, and while it is opened.
#[test]
fn a_store_that_misbehaves_leaves_a_ledger_that_verifies() {
    for some in CASES.chunks(3) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| misbehave(case, true));
                scope.spawn(|| misbehave(case, false));
            }
        });
    }
}

#[test]
fn a_swap_whose_answer_was_lost_counts_once() {
    let (place, proxy) = (Place::new(), Proxy::new());
    let bench = bench(Place { reached_at: proxy.address.clone(), ..place.clone() }.store());
    assert!(seal(&bench));
    let before = segments(&place, &bench.ledger).len();
    proxy.behaves(|request| if is_put(request) { Deed::Lose } else { Deed::Forward });
    bench.append(&[event(0, "one")]).expect("appended");
    assert!(seal(&bench), "it looked, and found its own");
    assert_eq!(segments(&place, &bench.ledger).len(), before + 2, "the projects' and the instance's");
}

/// A put that arrives after the sealer gave up, at every moment until the next pass has ended.
#[test]
fn a_swap_that_arrives_late_is_gone_on_from() {
    for passes_before in 0..3 {
        let (place, proxy) = (Place::new(), Proxy::new());
        let bench = bench(Place { reached_at: proxy.address.clone(), wait_max: WAIT_MAX, ..place.clone() }.store());
        assert!(seal(&bench));
        let held = std::sync::Arc::new(std::sync::Mutex::new(None));
        let holds = std::sync::Arc::clone(&held);
        proxy.behaves(move |request| {
            if is_put(request) && !request.target.ends_with("/999999999999.json") {
                holds.lock().expect("held").get_or_insert_with(|| request.bytes.clone());
                answer("500 Internal Error", "")
            } else {
                Deed::Forward
            }
        });
        bench.append(&[event(0, "one")]).expect("appended");
        assert!(!seal(&bench));
        proxy.behaves(|_| Deed::Forward);
        for n in 0..passes_before {
            bench.append(&[event(10 + n, "two")]).expect("appended");
            seal(&bench);
        }
        let late = held.lock().expect("held").take().expect("a put");
        crate::moto::exchange(&crate::proxy::closing(&late));
        let bench_store = place.store();
        bench.append(&[event(1, "three")]).expect("appended");
        seal(&bench);
        assert!(seal(&bench), "{passes_before}");
        assert_eq!(wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("sealed").refused, None);
        roots_are_one(&place, &bench.ledger);
        Bench { store: bench_store, ..bench }.verify();
    }
}

#[test]
fn a_store_that_hangs_keeps_nobody_waiting() {
    let (place, proxy) = (Place::new(), Proxy::new());
    // As long as in production.
    let through = Place { reached_at: proxy.address.clone(), ..place };
    let bench = bench(through.store());
    assert!(seal(&bench));
    proxy.behaves(|_| Deed::Hang);
    bench.append(&[event(0, "one")]).expect("appended");
    let (ledger, admin, project) = (bench.ledger.clone(), bench.admin(), bench.project());
    let sealing = std::thread::spawn(move || wait(ledger.seal(&admin, &project)));
    std::thread::sleep(Duration::from_millis(300));
    for n in 1..20 {
        bench.append(&[event(n, "one")]).expect("appended");
        bench.ledger.status();
    }
    assert!(!sealing.is_finished());
    let begun = Instant::now();
    let Bench { folder, ledger, .. } = bench;
    let closing = std::thread::spawn(move || ledger.close());
    // The clone that seals goes when it has been told.
    sealing.join().expect("it ends").expect("recorded");
    closing.join().expect("it ends");
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    drop(folder);
}

#[test]
fn closing_waits_five_seconds_for_a_store_that_hangs() {
    let (place, proxy) = (Place::new(), Proxy::new());
    let bench = bench(Place { reached_at: proxy.address.clone(), ..place }.store());
    assert!(seal(&bench));
    bench.append(&[event(0, "one")]).expect("appended");
    proxy.behaves(|_| Deed::Hang);
    let begun = Instant::now();
    bench.ledger.close();
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(15), "{took:?}");
}

/// The event says that it was to be, the answer that it is not.
#[test]
fn an_adoption_that_the_store_does_not_take_is_told() {
    let (place, proxy) = (Place::new(), Proxy::new());
    let first = bench(Place::new().store());
    assert!(seal(&first));
    let Bench { folder, ledger, .. } = first;
    ledger.close();
    // Another store, in which there is nothing of it.
    let bench = Bench::over(folder, Place { reached_at: proxy.address.clone(), wait_max: WAIT_MAX, ..place.clone() }.store());
    wait(bench.ledger.seal(&bench.admin(), &bench.project())).expect("recorded");
    proxy.behaves(|request| if is_put(request) { answer("403 Forbidden", "") } else { Deed::Forward });
    let told = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect_err("not taken").to_string();
    assert!(told.contains("adopt again"), "{told}");
    proxy.behaves(|_| Deed::Forward);
    let adopted = wait(bench.ledger.adopt_checkpoints(&bench.instance())).expect("adopted").adopted;
    assert!(adopted.len() >= 4, "{adopted:?}");
    assert!(seal(&bench));
    bench.verify();
    // All at once.
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&segments(&place, &bench.ledger)[1]).expect("a segment")["checkpoints"]
            .as_object()
            .map(serde_json::Map::len),
        Some(adopted.len())
    );
}

/// A store that lists what was there a while ago.
#[test]
fn numbers_decide_and_not_a_listing_that_is_behind() {
    let (place, proxy) = (Place::new(), Proxy::new());
    let through = Place { reached_at: proxy.address.clone(), ..place.clone() };
    let bench = bench(through.store());
    assert!(seal(&bench));
    let last = segments(&place, &bench.ledger).len();
    let older = std::sync::Mutex::new(None);
    proxy.behaves(move |request| {
        if !request.target.contains("list-type=2") {
            return Deed::Forward;
        }
        let mut older = older.lock().expect("held");
        Deed::Answer(older.get_or_insert_with(|| crate::moto::exchange(&crate::proxy::closing(&request.bytes))).clone())
    });
    for n in 0..5 {
        bench.append(&[event(n, "one")]).expect("appended");
        assert!(seal(&bench));
        if n == 0 {
            // The listing is taken here.
            crate::bench::verify(bench.folder.path(), &through.store());
        }
    }
    let bench = bench.reopen();
    assert!(seal(&bench));
    bench.verify();
    assert!(roots_are_one(&place, &bench.ledger) > last + 10);
}

#[test]
fn segments_that_are_gone_or_spoilt_are_told() {
    let place = Place::new();
    let bench = bench(place.store());
    // Until the newest does not hold every tree.
    let (all, base) = (0..100)
        .find_map(|n| {
            bench.append(&[event(n, "one")]).expect("appended");
            assert!(seal(&bench));
            let all = segments(&place, &bench.ledger);
            let newest: serde_json::Value = serde_json::from_slice(all.last().expect("one")).expect("a segment");
            let (base, number) = (newest["base"].as_u64().expect("a number"), newest["number"].as_u64().expect("a number"));
            assert_eq!(number, all.len() as u64 - 1);
            (base > 0 && base < number).then_some((all, base))
        })
        .expect("not every segment is whole");
    let why = |bench: &Bench| bench.reports().into_iter().flat_map(|report| report.findings).next().map(|finding| finding.detail);
    assert_eq!(why(&bench), None);
    let path = segment(&place, &bench.ledger, base);
    request("DELETE", &path, b"");
    assert!(why(&bench).expect("told").contains("is not there"), "{:?}", why(&bench));
    request("PUT", &path, b"what is this");
    assert!(why(&bench).expect("told").contains("cannot be read"), "{:?}", why(&bench));
    request("PUT", &path, &all[0]);
    assert!(why(&bench).expect("told").contains("another number"), "{:?}", why(&bench));
    request("PUT", &path, &all[usize::try_from(base).expect("small")]);
    assert_eq!(why(&bench), None);
}
