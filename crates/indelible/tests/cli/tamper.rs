//! `verify` on a copy that somebody changed by hand: what it says, and its exit codes.

use rusqlite::Connection;

use super::program::{Folder, sample};

/// A change by hand, after the triggers were dropped, and the kind that verification is to name.
const CHANGES: &[(&str, &str)] = &[
    ("UPDATE events SET entry = replace(entry, 'cloudtrail', 'cloudtrial') WHERE row = 40", "altered"),
    ("UPDATE events SET row_hash = zeroblob(32) WHERE row = 40", "altered"),
    ("DELETE FROM events WHERE row = 40", "missing"),
    ("DELETE FROM events WHERE row > 100", "truncated"),
    ("UPDATE contents SET stored = zeroblob(length(stored)) WHERE row = 40", "altered"),
];

fn change(folder: &Folder, sql: &str) -> usize {
    let connection = Connection::open(folder.path().join("ledger.db")).expect("opens");
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").expect("a table");
    let names: Vec<String> = names.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("names");
    for name in names {
        connection.execute_batch(&format!("DROP TRIGGER \"{name}\"")).expect("dropped");
    }
    connection.execute(sql, []).expect(sql)
}

#[test]
fn a_changed_copy_is_caught_and_named() {
    for (sql, kind) in CHANGES {
        let folder = Folder::new();
        folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
        assert_eq!(folder.run(&["verify"]).ok().code, 0);
        assert!(change(&folder, sql) > 0, "{sql}");
        let ran = folder.run(&["verify", "--json"]);
        assert_eq!(ran.code, 1, "{sql}: {}{}", ran.out, ran.err);
        let report = &ran.json()[0];
        for project in report["projects"].as_array().expect("a list") {
            let listed = project["findings"].as_array().expect("a list").len() as u64;
            assert!(project["findings_total"].as_u64().is_none_or(|total| listed == 100 && total > listed), "{project}");
        }
        let findings: Vec<_> = report["projects"]
            .as_array()
            .expect("projects")
            .iter()
            .flat_map(|project| project["findings"].as_array().expect("a list").clone())
            .collect();
        assert!(findings.iter().any(|finding| finding["kind"].as_str() == Some(kind)), "{sql}: {findings:?}");
        assert!(folder.run(&["verify"]).out.contains(kind), "{sql}");
    }
}

#[test]
fn what_cannot_be_read_is_neither_intact_nor_altered() {
    let folder = Folder::new();
    folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    std::fs::write(folder.path().join("ledger.db"), b"not a database").expect("written");
    assert_eq!(folder.run(&["verify"]).code, 2);
    let ran = folder.run(&["verify", "--json"]);
    let said = &ran.json()[0];
    assert_eq!((ran.code, &said["projects"]), (2, &serde_json::json!([])));
    assert!(said["error"].as_str().is_some_and(|error| ran.err.contains(error)), "{said} {}", ran.err);
}

/// Neither a table that was dropped nor a byte that spoils a data key hides what else is wrong.
#[test]
fn what_is_gone_is_named_and_the_rest_is_verified() {
    for (sql, kind, detail) in [
        ("DROP TABLE events", "missing", "the table events is gone"),
        ("UPDATE data_keys SET organization_id = 'x' || substr(organization_id, 2) WHERE id = 1", "altered", "data key 1 cannot be read"),
        ("UPDATE data_keys SET wrapped = zeroblob(40) WHERE id = 1", "altered", "data key 1 does not open"),
    ] {
        let folder = Folder::new();
        folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
        change(&folder, sql);
        let ran = folder.run(&["verify", "--json"]);
        assert_eq!(ran.code, 1, "{sql}: {}{}", ran.out, ran.err);
        let report = &ran.json()[0];
        let projects = report["projects"].as_array().expect("a list");
        let findings: Vec<_> = projects.iter().flat_map(|project| project["findings"].as_array().expect("a list")).collect();
        let named = |finding: &&&serde_json::Value| {
            finding["kind"] == kind && finding["detail"].as_str().is_some_and(|text| text.starts_with(detail))
        };
        assert_eq!(findings.iter().filter(named).count(), 1, "{sql}: {findings:?}");
        assert!(findings.len() > 1, "what follows from it is named as well: {findings:?}");
    }
}

/// A copy in a place where nothing can be written, such as a mounted disk. SQLite cannot make its shared memory there; a link that leads
/// nowhere keeps it from that for every user, root too.
#[test]
fn a_copy_that_cannot_be_written_to_is_read_all_the_same() {
    let folder = Folder::new();
    folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    // What the follower had not come to is in no index yet.
    folder.run(&["index", "rebuild"]).ok();
    let beside = |name: &str| folder.path().join(name);
    let unwritable = |name: &str| {
        for file in [format!("{name}-wal"), format!("{name}-shm")].map(|file| beside(&file)) {
            let log = std::fs::metadata(&file).map_or(0, |found| found.len());
            assert!(log == 0 || file.ends_with(format!("{name}-shm")), "it was closed");
            std::fs::remove_file(&file).ok();
        }
        std::os::unix::fs::symlink("/nonexistent/nowhere", beside(&format!("{name}-shm"))).expect("a link");
    };
    unwritable("ledger.db");
    unwritable("index.db");
    let ran = folder.run(&["verify", "--json"]).ok();
    assert!(ran.json()[0]["projects"].as_array().is_some_and(|projects| projects.iter().all(|project| project["verdict"] == "intact")));
    let ran = folder.run(&["sql", "SELECT count(*) FROM audit_events"]).ok();
    assert!(ran.last().trim().parse::<u64>().is_ok_and(|count| count > 100), "{}", ran.out);
    // The index is compared as well: a row that it hides is named.
    std::fs::remove_file(beside("index.db-shm")).expect("removed");
    let db = Connection::open(beside("index.db")).expect("opens");
    db.execute("UPDATE rows SET occurred_at = 0 WHERE row = 40", []).expect("changed");
    drop(db);
    unwritable("index.db");
    let ran = folder.run(&["verify"]);
    assert!(ran.code == 1 && ran.out.contains("the index places it wrongly"), "{}{}", ran.out, ran.err);
    // With a write-ahead log beside it, the file is not all there is.
    std::fs::write(beside("ledger.db-wal"), [0; 64]).expect("written");
    let ran = folder.run(&["verify"]);
    assert_eq!(ran.code, 2, "{}", ran.out);
}

#[test]
fn an_older_copy_is_told_by_the_checkpoint_store_and_without_it_nothing_can_be() {
    let folder = Folder::new();
    folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    let report = &folder.run(&["verify", "--json"]).ok().json()[0];
    for project in report["projects"].as_array().expect("a list") {
        assert_eq!((&project["verdict"], &project["unanchored"]), (&"intact".into(), &0.into()), "closed, so anchored: {project}");
    }
    let none = folder.path().with_file_name("no-store");
    let ran = folder.run(&["verify", "--checkpoints", &none.display().to_string()]);
    assert!(ran.code == 2 && ran.out.contains("unverifiable") && ran.out.contains("--checkpoints"), "{}{}", ran.out, ran.err);
    assert!(!none.exists(), "verify makes no store");

    let ledger = folder.path().join("ledger.db");
    let older = std::fs::read(&ledger).expect("readable");
    folder.run(&["events", "-n", "1"]).ok();
    assert_eq!(folder.run(&["verify"]).ok().code, 0);
    std::fs::write(&ledger, older).expect("put back");
    let ran = folder.run(&["verify"]);
    assert!(ran.code == 1 && ran.out.contains("rolled_back"), "{}{}", ran.out, ran.err);
}

/// The verdict and the exit code say no more than was looked at.
#[test]
fn going_on_reads_what_came_since_and_says_so() {
    let folder = Folder::new();
    folder.run(&["import", "cloudtrail", &sample("cloudtrail.json.gz")]).ok();
    let ran = folder.run(&["verify", "--since", "last"]);
    assert!(ran.code == 2 && ran.err.contains("no note of a complete verification"), "{}", ran.err);
    folder.run(&["verify"]).ok();
    folder.run(&["events", "-n", "1"]).ok();
    let on = |since: &str| folder.run(&["verify", "--since", since, "--json"]);
    let ran = on("last").ok();
    assert!(ran.err.contains("were not read again"), "{}", ran.err);
    let projects = ran.json()[0]["projects"].as_array().expect("projects").clone();
    assert!(projects.iter().all(|project| project["verdict"] == "partial" && project["not_read"].as_u64() > Some(0)), "{projects:?}");
    assert!(projects.iter().any(|project| project["events"].as_u64() > Some(0)), "{projects:?}");
    assert!(folder.run(&["verify", "--since", "last"]).ok().out.contains("NOT READ"));

    // The same from a signed checkpoint; a mistyped name is no reason to say anything.
    let db = Connection::open(folder.path().join("ledger.db")).expect("opens");
    let sql = "SELECT checkpoint FROM instance_checkpoints ORDER BY size LIMIT 1";
    let checkpoint: String = db.query_row(sql, [], |row| row.get(0)).expect("a checkpoint");
    drop(db);
    let file = folder.file("checkpoint", checkpoint);
    assert!(on(&file).ok().out.contains("partial"));
    assert_eq!(on("no such file").code, 2);
    assert_eq!(on(&folder.file("other", "log\n1\nx\n")).code, 2);

    // What somebody does to what was read before is seen by who reads everything.
    assert!(change(&folder, CHANGES[0].0) > 0);
    assert!(on("last").ok().out.contains("partial"));
    let ran = folder.run(&["verify"]);
    assert!(ran.code == 1 && ran.out.contains("altered"), "{}", ran.out);
}
