//! `/v1/audit/export_jobs`: made in the background, fetched in parts, gone with their project; and what the log says of each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use indelible::http::{HttpOptions, Server};
use indelible_core::extract::{Check, Format, Lines, Manifest};
use indelible_core::hex;
use indelible_core::verify::Verdict;
use indelible_engine::faults::{Faults, When, Write};
use indelible_engine::{Ledger, Options};
use serde_json::{Value, json};

use crate::server::{Answer, EVENTS, House, event};

const JOBS: &str = "/v1/audit/export_jobs";

fn fill(house: &House, key: &str, count: usize) {
    let batch: Vec<Value> = (0..count)
        .map(|n| {
            let mut event = event("job.fill");
            event["content"] = json!({"output": format!("said {n}")});
            event["reason"] = json!("r".repeat(500));
            event
        })
        .collect();
    house.post(EVENTS, &json!(batch)).key(key).send().is(201);
}

/// Asks for one; the path of the job.
fn create(house: &House, key: &str, body: &Value) -> String {
    let answer = house.post(JOBS, body).key(key).send();
    let job = answer.is(202);
    let path = format!("{JOBS}/{}", job["id"].as_str().expect("an id"));
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert!(["queued", "running"].contains(&job["state"].as_str().expect("a state")), "{job}");
    path
}

/// Once it is over.
fn over(house: &House, key: &str, path: &str) -> Value {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let job = house.get(path).key(key).send().is(200);
        if ["done", "failed"].contains(&job["state"].as_str().expect("a state")) || Instant::now() > until {
            return job;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn done(house: &House, key: &str, path: &str) -> Value {
    let job = over(house, key, path);
    assert_eq!(job["state"], "done", "{job}");
    job
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    let mut lines = Lines::new(Format::Ndjson);
    lines.again(bytes);
    hex::encode(&lines.sha256())
}

fn part(house: &House, path: &str, range: &str, tag: &str) -> Answer {
    house.get(&format!("{path}/file")).header("range", range).header("if-range", tag).send()
}

#[test]
fn a_job_tells_how_far_it_is_and_its_file_is_fetched_in_parts() {
    let house = House::start();
    fill(&house, &house.admin, 1_000);
    let path = create(&house, &house.admin, &json!({"format": "ndjson", "from_sequence": 5, "to_sequence": 904}));
    let job = done(&house, &house.admin, &path);
    assert_eq!((&job["rows"], &job["rows_all"], &job["entries"]), (&json!(900), &json!(900), &json!(900)));
    let whole = house.get(&format!("{path}/file")).send();
    assert_eq!(
        (whole.status, whole.header("content-type"), whole.header("accept-ranges")),
        (200, Some("application/x-ndjson"), Some("bytes"))
    );
    let bytes = whole.body.len();
    assert_eq!((job["bytes"].as_u64(), whole.header("content-length")), (Some(bytes as u64), Some(bytes.to_string().as_str())));
    let tag = whole.header("etag").expect("a tag").to_owned();
    assert_eq!(tag, format!("\"{}\"", job["manifest"]["sha256"].as_str().expect("a digest")));
    let manifest = Manifest::parse(job["manifest"].to_string().as_bytes()).expect("a manifest");
    let mut check = Check::new(&manifest);
    check.piece(&whole.body);
    let checked = check.finish();
    assert_eq!((checked.findings, checked.proved), (Vec::new(), true));
    // Broken off and gone on with, three times.
    let mut pieces = Vec::new();
    for _ in 0..3 {
        let range = format!("bytes={}-{}", pieces.len(), pieces.len() + bytes / 3);
        let answer = part(&house, &path, &range, &tag);
        let last = (pieces.len() + bytes / 3).min(bytes - 1);
        let said = format!("bytes {}-{last}/{bytes}", pieces.len());
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(said.as_str())));
        pieces.extend_from_slice(&answer.body);
    }
    assert!(pieces == whole.body, "the parts are the whole");
    assert_eq!(part(&house, &path, "bytes=10-", "\"other\"").body.len(), bytes, "of another file everything is sent");
    let project = house.project.clone();
    let asked = house.get(&format!("{path}/file")).header("range", &format!("bytes={bytes}-"));
    asked.refused(416, "no-such-range", (&project, "audit.export", "error"));
    let list = house.get(JOBS).send().is(200);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    let told = house.log("action eq \"audit.export\" and phase eq \"outcome\"");
    let of = |form: &str| told.iter().filter(|event| event["context"]["form"] == form).cloned().collect::<Vec<_>>();
    assert_eq!((of("job").len(), &of("job")[0]["context"]["sha256"]), (1, &job["manifest"]["sha256"]));
    assert_eq!((&of("job")[0]["read"]["returned"], &of("job")[0]["operation_id"]), (&json!(900), &job["operation_id"]));
    let fetched = of("job_file");
    assert_eq!((fetched.len(), &fetched[0]["read"]["returned"], &fetched[1]["context"]["first_byte"]), (5, &json!(900), &json!("0")));
    // Its owner's alone, and gone when it is removed.
    let folder = house.data().join("exports");
    // What is being written anew has another name meanwhile.
    let is_kept =
        |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|entry| entry.path().extension().is_none_or(|end| end != "new"));
    let files = || std::fs::read_dir(&folder).map_or(0, |all| all.filter_map(|entry| is_kept(entry).then_some(())).count());
    assert_eq!(files(), 2);
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.expect("a file").metadata().expect("about it").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(house.ask("DELETE", &path).send().status, 204);
    assert_eq!(files(), 0);
    house.get(&path).refused(404, "not-found", (&project, "audit.read", "deny"));
}

#[test]
fn a_bundle_that_was_fetched_in_parts_proves_what_it_holds() {
    let house = House::start();
    fill(&house, &house.admin, 300);
    let body = json!({"format": "bundle", "filter": "action eq \"job.fill\"", "content": true, "purpose": "an audit"});
    let path = create(&house, &house.admin, &body);
    let job = done(&house, &house.admin, &path);
    assert_eq!((&job["entries"], &job["events_after"], &job["manifest"]["content_included"]), (&json!(300), &json!(0), &json!(true)));
    assert!(job["rows"] == job["rows_all"] && job["rows"].as_u64() >= Some(300), "{job}");
    assert_eq!(house.log("action eq \"content.decrypt\" and decrypt.purpose eq \"an audit\"").len(), 300);
    let whole = house.get(&format!("{path}/file")).send();
    let tag = whole.header("etag").expect("a tag").to_owned();
    assert_eq!((whole.header("content-type"), job["bytes"].as_u64()), (Some("application/x-tar"), Some(whole.body.len() as u64)));
    let named = whole.header("content-disposition").expect("a name");
    assert!(named.ends_with(".tar\""), "{named}");
    assert_eq!(tag, format!("\"{}\"", job["sha256"].as_str().expect("a digest")));
    assert_eq!(job["sha256"], digest(&whole.body));
    let half = whole.body.len() / 2;
    let (first, second) =
        (part(&house, &path, &format!("bytes=0-{}", half - 1), &tag), part(&house, &path, &format!("bytes={half}-"), &tag));
    assert_eq!((first.status, second.status), (206, 206));
    assert!([first.body, second.body].concat() == whole.body, "the parts are the whole");
    let report = crate::exports::verify(&whole.body).report;
    assert_eq!((report.verdict, report.events), (Verdict::Intact, 300), "{report:?}");
    let told = house.log("action eq \"audit.export\" and context.form eq \"job\"");
    assert_eq!(told.iter().map(|event| &event["resource"]["type"]).collect::<Vec<_>>(), ["audit_bundle", "audit_bundle"]);
    let outcome = told.iter().find(|event| event["phase"] == "outcome").expect("an outcome");
    assert_eq!(outcome["context"]["sha256"], job["sha256"]);
    assert_eq!(outcome["context"]["manifest_sha256"], digest(job["manifest"].to_string().as_bytes()));
    // Another key does not get it, as it holds keys of contents.
    let other = house.make_key(&house.project.clone(), "application", &["audit:read", "content:decrypt"]);
    house.get(&format!("{path}/file")).key(&other).refused(403, "forbidden", (house.project.as_str(), "audit.export", "deny"));
    let since = json!({"format": "bundle", "since": "not a checkpoint"});
    house.post(JOBS, &since).send().problem(422, "invalid-resource");
}

#[test]
fn contents_are_fetched_by_the_key_that_asked_for_them_alone() {
    let house = House::start();
    fill(&house, &house.admin, 30);
    let project = house.project.clone();
    let key = house.make_key(&project, "application", &["audit:read", "content:decrypt"]);
    let other = house.make_key(&project, "application", &["audit:read", "content:decrypt"]);
    let narrow = house.make_key(&project, "application", &["audit:read"]);
    house.ask("POST", "/v1/audit/anchors").send().is(200);
    let body = json!({"format": "csv", "filter": "action eq \"job.fill\"", "columns": ["sequence", "content"], "content": true, "purpose": "an audit"});
    let path = create(&house, &key, &body);
    let job = done(&house, &key, &path);
    assert_eq!((&job["entries"], &job["made_by"], &job["content"]), (&json!(30), &json!(&key[4..40]), &json!(true)));
    assert_eq!(house.log("action eq \"content.decrypt\" and decrypt.purpose eq \"an audit\"").len(), 30);
    let file = format!("{path}/file");
    let text = house.get(&file).key(&key).send();
    assert!(text.text().starts_with("sequence,content\r\n") && text.text().contains("said 29"), "{}", text.text());
    let denied = (project.as_str(), "audit.export", "deny");
    for key in [&other, &narrow, &house.admin, &house.instance] {
        house.get(&file).key(key).refused(403, "forbidden", denied);
    }
    for (key, body, status, kind, outcome) in [
        (&narrow, json!({"format": "ndjson", "content": true, "purpose": "p"}), 403, "forbidden", "deny"),
        (&key, json!({"format": "ndjson", "content": true}), 400, "invalid-purpose", "error"),
        (&key, json!({"format": "xml"}), 422, "invalid-resource", "error"),
        (&key, json!({"format": "csv", "columns": ["colour"]}), 422, "invalid-resource", "error"),
        (&key, json!({"format": "ndjson", "filter": "nothing eq 1"}), 400, "invalid-filter", "error"),
    ] {
        house.post(JOBS, &body).key(key).refused(status, kind, (&project, "audit.export", outcome));
    }
    house.ask("DELETE", &path).key(&other).refused(403, "forbidden", denied);
    assert_eq!(house.ask("DELETE", &path).key(&key).send().status, 204);
    assert_eq!(house.log("action eq \"content.decrypt\"").len(), 30);
}

#[test]
fn a_job_is_its_projects_and_goes_with_it() {
    let house = House::start();
    let (one, key) = house.tenant("north");
    let (other, other_key) = house.tenant("south");
    fill(&house, &key, 5);
    let seal = |project: &str| house.ask("POST", &format!("/v1/audit/anchors?project_id={project}")).key(&house.instance).send().is(200);
    seal(&one);
    let path = create(&house, &key, &json!({"format": "ndjson"}));
    assert!(done(&house, &key, &path)["entries"].as_u64() > Some(5));
    for (method, path, action) in
        [("GET", path.clone(), "audit.read"), ("GET", format!("{path}/file"), "audit.export"), ("DELETE", path.clone(), "audit.export")]
    {
        house.ask(method, &path).key(&other_key).refused(404, "not-found", (&other, action, "deny"));
    }
    assert_eq!(house.get(JOBS).key(&other_key).send().is(200)["data"], json!([]));
    house.ask("DELETE", &format!("/v1/projects/{one}")).key(&house.instance).send();
    house.get(&format!("{path}/file")).key(&house.instance).send();
    let (folder, until) = (house.data().join("exports"), Instant::now() + Duration::from_mins(1));
    while std::fs::read_dir(&folder).map_or(0, Iterator::count) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(std::fs::read_dir(&folder).map_or(0, Iterator::count), 0);
    house.post(&format!("{JOBS}?project_id={one}"), &json!({"format": "ndjson"})).key(&house.instance).refused(
        410,
        "deleted",
        (&one, "audit.export", "error"),
    );
}

#[test]
fn jobs_are_bounded_and_one_that_is_removed_stops() {
    let house = House::start();
    fill(&house, &house.admin, 5);
    let project = house.project.clone();
    // However many ask at once.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..30).map(|_| scope.spawn(|| house.post(JOBS, &json!({"format": "csv"})).send())).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let taken: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert!(taken.len() == 20 && answers.iter().filter(|answer| answer.status == 409).count() == 10, "{}", taken.len());
    let paths: Vec<&str> = taken.iter().filter_map(|answer| answer.header("location")).collect();
    house.post(JOBS, &json!({"format": "csv"})).refused(409, "conflict", (&project, "audit.export", "error"));
    // Some are done by now, some wait; each intent has its end.
    for path in paths {
        assert_eq!(house.ask("DELETE", path).send().status, 204);
    }
    let until = Instant::now() + Duration::from_mins(1);
    let ends = || house.log("action eq \"audit.export\" and phase eq \"outcome\" and context.form eq \"job\"").len();
    while ends() < 20 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ends(), 20);
    // Of those that are gone and whose end is on record nothing is left.
    let left = || std::fs::read_dir(house.data().join("exports")).expect("a folder").count();
    while left() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((left(), house.get(JOBS).send().is(200)["data"].as_array().map(Vec::len)), (0, Some(0)));
    create(&house, &house.admin, &json!({"format": "csv"}));
}

#[test]
fn what_still_waits_when_its_key_ends_is_not_made() {
    let house = House::start();
    fill(&house, &house.admin, 2_000);
    house.ask("POST", "/v1/audit/anchors").send().is(200);
    let key = house.make_key(&house.project, "application", &["audit:read"]);
    // One before them that takes its time.
    create(&house, &house.admin, &json!({"format": "bundle", "content": true, "purpose": "an audit"}));
    let paths: Vec<String> = (0..10).map(|_| create(&house, &key, &json!({"format": "csv"}))).collect();
    assert_eq!(house.ask("DELETE", &format!("/v1/api_keys/{}", &key[4..40])).key(&house.instance).send().status, 204);
    let last = over(&house, &house.admin, paths.last().expect("ten"));
    assert_eq!((&last["state"], &last["reason"]), (&json!("failed"), &json!("the key does not allow it any more")));
    let operation = last["operation_id"].as_str().expect("an id");
    let told = house.log(&format!("operation_id eq \"{operation}\" and phase eq \"outcome\""));
    assert_eq!(told.iter().map(|event| &event["outcome"]).collect::<Vec<_>>(), ["error"]);
}

/// Strikes one COMMIT: the first once the file of a job is there, which is to record that.
struct AtItsEnd {
    when: When,
    folder: OnceLock<PathBuf>,
    struck: AtomicBool,
}

impl AtItsEnd {
    /// Whether a job says so.
    fn says(&self, words: &[&str]) -> bool {
        let Ok(files) = std::fs::read_dir(self.folder.get().expect("it is served")) else { return false };
        let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        texts.into_iter().any(|text| words.iter().all(|word| text.contains(word)))
    }
}

impl Faults for AtItsEnd {
    fn strikes(&self, write: Write, when: When) -> bool {
        (write, when) == (Write::Commit, self.when)
            && !self.struck.load(Ordering::SeqCst)
            && self.folder.get().is_some()
            && self.says(&["\"state\":\"done\"", "\"told\":false"])
            && !self.struck.swap(true, Ordering::SeqCst)
    }
}

#[test]
fn one_whose_end_was_thought_lost_is_done_all_the_same_and_told_once() {
    for when in [When::Before, When::After] {
        let fault = Arc::new(AtItsEnd { when, folder: OnceLock::new(), struck: AtomicBool::new(false) });
        let house = House::with(HttpOptions::default(), |options| options.faults = Some(Arc::<AtItsEnd>::clone(&fault)));
        fill(&house, &house.admin, 20);
        fault.folder.set(house.data().join("exports")).expect("once");
        let path = create(&house, &house.admin, &json!({"format": "csv", "to_sequence": 10}));
        let until = Instant::now() + Duration::from_mins(1);
        while !fault.says(&["\"told\":true"]) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(fault.struck.load(Ordering::SeqCst), "{when:?}");
        let job = house.get(&path).send().is(200);
        assert_eq!((&job["state"], house.get(&format!("{path}/file")).send().status), (&json!("done"), 200), "{when:?}");
        let operation = job["operation_id"].as_str().expect("an id");
        let told = house.log(&format!("operation_id eq \"{operation}\" and phase eq \"outcome\""));
        assert_eq!(told.iter().map(|event| &event["outcome"]).collect::<Vec<_>>(), ["allow"], "{when:?}");
        assert_eq!(told[0]["context"]["sha256"], job["sha256"], "{when:?}");
    }
}

/// Serves a folder that was served before.
fn serve_again(data: &std::path::Path, with: impl FnOnce(std::net::SocketAddr)) {
    let options = Options::new(data);
    let clock = std::sync::Arc::clone(&options.clock);
    let ledger = Ledger::open(options).expect("a ledger").ledger;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    let server = runtime.block_on(Server::bind(ledger.clone(), clock, HttpOptions::default(), anywhere, None)).expect("a socket");
    let address = server.address().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        runtime.block_on(server.run(async {
            stopped.await.ok();
        }));
        runtime.shutdown_timeout(Duration::from_secs(5));
        ledger.close();
    });
    with(address);
    stop.send(()).expect("it runs");
    thread.join().expect("it did not panic");
}

#[test]
fn what_was_done_is_there_after_a_restart_and_what_was_not_is_failed() {
    let mut house = House::start();
    fill(&house, &house.admin, 50);
    let path = create(&house, &house.admin, &json!({"format": "ndjson", "to_sequence": 40}));
    let job = done(&house, &house.admin, &path);
    let whole = house.get(&format!("{path}/file")).send().body;
    house.close();
    // As a server leaves it that is killed in the midst of a job.
    let folder = house.data().join("exports");
    let id = "00000000-0000-4000-8000-00000000dead";
    let text = std::fs::read_to_string(folder.join(format!("{}.json", job["id"].as_str().expect("an id")))).expect("a file");
    let mut left: Value = serde_json::from_str(&text).expect("JSON");
    let (unmade, untold) = ("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002");
    // One whose file is there, and whose end was not recorded.
    let whole_id = "00000000-0000-4000-8000-00000000beef";
    // What is on record already is not recorded again: the server was killed before it took note of that.
    left["told"] = json!(false);
    std::fs::write(folder.join(format!("{}.json", job["id"].as_str().expect("an id"))), left.to_string()).expect("written");
    (left["id"], left["operation_id"], left["outcome_id"]) = (json!(whole_id), json!(untold), json!(untold));
    std::fs::write(folder.join(format!("{whole_id}.json")), left.to_string()).expect("written");
    std::fs::write(folder.join(format!("{whole_id}.data")), &whole).expect("written");
    (left["id"], left["operation_id"], left["outcome_id"]) = (json!(id), json!(unmade), json!(unmade));
    (left["state"], left["manifest"], left["sha256"]) = (json!("running"), Value::Null, Value::Null);
    std::fs::write(folder.join(format!("{id}.json")), left.to_string()).expect("written");
    std::fs::write(folder.join(format!("{id}.data")), b"half of a li").expect("written");
    std::fs::write(folder.join("stray.data"), b"x").expect("written");
    let admin = house.admin.clone();
    serve_again(&house.data(), |address| {
        let get = |path: &str| {
            let asked = ureq::get(format!("http://{address}{path}")).header("authorization", format!("Bearer {admin}"));
            let mut answer = asked.config().http_status_as_error(false).build().call().expect("an answer");
            (answer.status().as_u16(), answer.body_mut().read_to_vec().expect("a body"))
        };
        for path in [&path, &format!("{JOBS}/{whole_id}")] {
            // It is done once that is on record.
            let until = Instant::now() + Duration::from_mins(1);
            while !get(path).1.windows(14).any(|bytes| bytes == b"\"state\":\"done\"") && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(get(&format!("{path}/file")) == (200, whole.clone()), "the same bytes");
        }
        let failed: Value = serde_json::from_slice(&get(&format!("{JOBS}/{id}")).1).expect("JSON");
        assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("the server stopped before it was done")));
        assert_eq!(get(&format!("{JOBS}/{id}/file")).0, 409);
    });
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 5, "three jobs, two of which have a file");
    // How each ended is recorded, once, however often it is started.
    serve_again(&house.data(), |address| {
        let ends = |operation: &str| {
            let filter = format!("phase%20eq%20%22outcome%22%20and%20operation_id%20eq%20%22{operation}%22");
            let asked = ureq::get(format!("http://{address}{EVENTS}?filter={filter}")).header("authorization", format!("Bearer {admin}"));
            let text = asked.call().expect("an answer").body_mut().read_to_vec().expect("a body");
            let page: Value = serde_json::from_slice(&text).expect("JSON");
            let events = page["data"].as_array().expect("events").clone();
            events.iter().map(|event| (event["outcome"].clone(), event["context"]["sha256"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(ends(untold), [(json!("allow"), job["sha256"].clone())]);
        assert_eq!(ends(unmade), [(json!("error"), Value::Null)]);
        assert_eq!(ends(job["operation_id"].as_str().expect("an id")), [(json!("allow"), job["sha256"].clone())]);
    });
    for known in [whole_id, id, job["id"].as_str().expect("an id")] {
        let text = std::fs::read_to_string(folder.join(format!("{known}.json"))).expect("a file");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["told"], true, "{known}");
    }
}
