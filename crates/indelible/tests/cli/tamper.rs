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
