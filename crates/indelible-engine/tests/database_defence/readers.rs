//! People who read with SQL: one SELECT answers, rows of other projects are not there, and what PostgreSQL still tells of them is known.

use indelible_engine::database::bind::{Purpose, bind};

use crate::event;
use crate::server::{Database, role, wait};

const A: &str = "00000000-0000-0000-0000-00000000000a";
const B: &str = "00000000-0000-0000-0000-00000000000b";

/// A database with three events of A and two hundred of B, and a reader of each.
fn two_projects() -> (Database, String, String) {
    let database = Database::installed();
    for (number, project) in [(1, A), (2, B)] {
        database.does("tests", &format!("INSERT INTO audit.ledgers VALUES ({number}, '{project}', 'o')"));
    }
    for (row, principal) in [(1, "alice"), (2, "alice"), (3, "carol")] {
        database.does("tests", &event(row, A, principal, "{}"));
    }
    let many = event(4, B, "alice", "{}").replacen("VALUES (4, 1, 4,", "SELECT n, 2, n,", 1);
    let many = format!("{} FROM generate_series(4, 203) AS n", many.trim_end().trim_end_matches(')'));
    database.does("tests", &many);
    let readers = [(A, role("reader", "")), (B, role("reader", ""))];
    wait(async {
        let mut client = database.connect("tests").await;
        for (project, reader) in &readers {
            bind(&mut client, Purpose::Reader, reader, project.parse().expect("a uuid")).await.expect("binds");
        }
    });
    let [(_, a), (_, b)] = readers;
    (database, a, b)
}

#[test]
fn a_reader_sees_the_rows_of_his_projects_alone() {
    let (database, a, b) = two_projects();
    for (sql, of_a, of_b) in [
        ("SELECT count(*) FROM audit.audit_events", "3", "200"),
        ("SELECT count(*) FROM audit.audit_events WHERE principal_id = 'alice'", "2", "200"),
        ("SELECT count(*) FROM audit.audit_events WHERE actor_id = 'x'", "3", "200"),
        ("SELECT count(*) FROM audit.events", "3", "200"),
        ("SELECT count(*) FROM audit.events WHERE entry LIKE '%'", "3", "200"),
        ("SELECT max(sequence) FROM audit.events", "3", "203"),
        ("SELECT count(DISTINCT project_id) FROM audit.events", "1", "1"),
        ("SELECT count(*) FROM audit.readers", "1", "1"),
    ] {
        assert_eq!(database.does(&a, sql), [of_a], "{sql}");
        assert_eq!(database.does(&b, sql), [of_b], "{sql}");
        assert_eq!(database.does("tests", "SELECT count(*) FROM audit.audit_events"), ["203"]);
    }
    // Somebody who is in the group and bound to nothing.
    let c = role("reader", "");
    database.does("tests", &format!("GRANT audit_reader TO {c}"));
    assert_eq!(database.does(&c, "SELECT count(*) FROM audit.events"), ["0"]);
    // A role is read as itself, and not as one that it is a member of.
    database.does("tests", &format!("GRANT {a} TO {c}"));
    assert_eq!(database.does(&c, "SELECT count(*) FROM audit.events"), ["0"]);
    assert_eq!(database.does(&c, &format!("SET ROLE {a}; SELECT count(*) FROM audit.events")), ["3"]);
}

/// What would tell of rows that are not there for a reader: numbers that run over all projects, and functions that see a row before the policy.
#[test]
fn a_reader_learns_nothing_of_single_rows_of_others() {
    let (database, a, _) = two_projects();
    for column in ["row", "project", "ctid", "xmin", "tableoid"] {
        database.refuses(&a, &format!("SELECT {column} FROM audit.events"), "permission denied");
    }
    database.refuses(&a, "SELECT * FROM audit.events", "permission denied");
    database.refuses(&a, "SET row_security = off; SELECT count(*) FROM audit.events", "affected by row-level security");
    let peeking = "CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
                   'BEGIN RAISE WARNING ''%'', $1; PERFORM set_config(''x.seen'', coalesce(current_setting(''x.seen'', true), '''') || ''+'', false); RETURN true; END'";
    let seen = database.does(
        &a,
        &format!("{peeking}; SELECT count(*) FROM audit.audit_events WHERE pg_temp.peek(entry); SELECT length(current_setting('x.seen'))"),
    );
    assert_eq!(seen, ["3", "3"], "the function of the reader saw rows of others");
    database.refuses(
        &a,
        "SELECT count(*) FROM audit.events WHERE 1 / (CASE principal_id WHEN 'carol' THEN 0 ELSE 1 END) > 0",
        "division by zero",
    );
    let (_, other) =
        (&a, "SELECT count(*) FROM audit.events WHERE project_id = '00000000-0000-0000-0000-00000000000b' AND 1 / (length(entry) - 2) > 0");
    assert_eq!(database.does(&a, other), ["0"], "an error would tell that there is such a row");
    database.does("tests", "ANALYZE audit.events");
    let statistics = "SELECT count(*) FROM pg_stats WHERE schemaname = 'audit' AND tablename LIKE 'events%'";
    assert_eq!(database.does(&a, statistics), ["0"]);
    assert_ne!(database.does("tests", statistics), ["0"]);
}

/// What PostgreSQL tells every role of all projects together. It is in the documentation; where it is too much, people read through the server.
#[test]
fn a_reader_learns_how_much_there_is_altogether() {
    let (database, a, _) = two_projects();
    database.does("tests", "ANALYZE audit.events");
    let known = "SELECT sum(reltuples) FROM pg_class WHERE relname LIKE 'events\\_20%' AND relkind = 'r' AND reltuples > 0";
    assert_eq!(database.does(&a, known), ["203"]);
    let plan = database.does(&a, "EXPLAIN (ANALYZE, TIMING off, SUMMARY off) SELECT count(*) FROM audit.events").join("\n");
    assert!(plan.contains("Rows Removed by Filter: 200"), "PostgreSQL has become more discreet, and the documentation may say so: {plan}");
}

#[test]
fn an_entry_with_a_null_character_is_read() {
    let database = Database::installed();
    let entry = r#"{"channel":"a\u0000b\\u0000c\\\u0000\u0000","context":{"k":"\u0000"},"duration_ms":7,"subjects":["x"],"usage":{"input_tokens":5},"http":{"request_truncated":true},"claimed_at":"2026-01-02T03:04:05.000006Z"}"#;
    database.does("tests", &event(1, A, "alice", entry));
    let columns = "channel, context ->> 'k', duration_ms + 1, subjects ->> 0, input_tokens, http_request_truncated, claimed_at AT TIME ZONE 'UTC', entry, row_hash, prev_hash";
    let row = database.does("tests", &format!("SELECT {columns} FROM audit.audit_events WHERE principal_id = 'alice'"));
    assert_eq!(row, [format!("a\u{fffd}b\\u0000c\\\u{fffd}\u{fffd}|\u{fffd}|8|x|5|t|2026-01-02 03:04:05.000006|{entry}|ab|00")]);
    // Entries that are not asked for are not parsed.
    database.does("tests", &event(2, A, "bob", "none at all"));
    assert_eq!(database.does("tests", "SELECT actor_id, entry FROM audit.audit_events WHERE principal_id = 'bob'"), ["x|none at all"]);
}

/// The questions that people ask, each by an index on its own column, newest first.
#[test]
fn the_two_questions_are_answered_by_their_indexes() {
    let (database, a, _) = two_projects();
    for (column, index) in [("principal_id", "principal_id_occurred_at_idx"), ("actor_id", "actor_id_occurred_at_idx")] {
        let sql = format!(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN SELECT action, channel FROM audit.audit_events WHERE {column} = 'alice' ORDER BY occurred_at DESC"
        );
        for user in ["tests", &a] {
            let plan = database.does(user, &sql).join("\n");
            assert!(plan.contains(index) && !plan.contains("Sort  "), "{user}: {plan}");
        }
    }
    let by_time = "SET enable_seqscan = off; EXPLAIN SELECT count(*) FROM audit.audit_events WHERE occurred_at > now() - interval '1 h'";
    assert!(database.does("tests", by_time).join("\n").contains("recorded_at_occurred_at_idx"));
}
