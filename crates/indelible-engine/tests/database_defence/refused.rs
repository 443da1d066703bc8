//! Triggers: nobody changes, deletes or truncates what is only ever added to, by whatever way.

use crate::server::Database;
use crate::{ADDED_ONLY, EMPTIED, KEPT, fill};

/// Every way of changing one row of a table, as (what, words of the refusal).
fn ways(table: &str, row: &str, column: &str) -> Vec<(String, &'static str)> {
    let columns = if table == "migrations" { "(version, name) " } else { "" };
    let insert = format!("INSERT INTO audit.{table} {columns}VALUES ({row})");
    vec![
        (format!("UPDATE audit.{table} SET {column} = {column}"), "rows are never changed"),
        (format!("UPDATE audit.{table} SET {column} = {column} WHERE false"), "rows are never changed"),
        (format!("UPDATE ONLY audit.{table} SET {column} = {column}"), "rows are never changed"),
        (format!("WITH gone AS (DELETE FROM audit.{table} RETURNING 1) SELECT * FROM gone"), "rows are never deleted"),
        (format!("DELETE FROM audit.{table}"), "rows are never deleted"),
        (format!("DELETE FROM ONLY audit.{table}"), "rows are never deleted"),
        (format!("TRUNCATE audit.{table}"), "rows are never truncated"),
        (format!("TRUNCATE audit.{table} CASCADE"), "rows are never truncated"),
        (format!("MERGE INTO audit.{table} USING (VALUES (1)) AS v ON true WHEN MATCHED THEN DELETE"), "rows are never deleted"),
        (
            format!("MERGE INTO audit.{table} USING (VALUES (1)) AS v ON true WHEN MATCHED THEN UPDATE SET {column} = {column}"),
            "rows are never changed",
        ),
        (format!("DO $$ BEGIN EXECUTE 'DELETE FROM audit.{table}'; END $$"), "rows are never deleted"),
        (format!("BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM audit.{table}; COMMIT"), "rows are never deleted"),
        (
            format!("BEGIN; SET LOCAL session_replication_role = replica; UPDATE audit.{table} SET {column} = {column}; COMMIT"),
            "rows are never changed",
        ),
        (format!("BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE audit.{table}; COMMIT"), "rows are never truncated"),
        (format!("{insert} ON CONFLICT ON CONSTRAINT {table}_pkey DO UPDATE SET {column} = excluded.{column}"), "rows are never changed"),
    ]
}

#[test]
fn what_is_added_is_never_changed_by_anybody() {
    let (database, owner) = Database::installed_by_its_owner();
    fill(&database);
    for (table, row) in ADDED_ONLY {
        let sql = format!("SELECT attname FROM pg_attribute WHERE attrelid = 'audit.{table}'::regclass AND attnum = 1");
        let column = database.does("tests", &sql).remove(0);
        for (way, words) in ways(table, row, &column) {
            database.refuses("tests", &way, words);
            if !way.contains("session_replication_role") {
                database.refuses(&owner, &way, words);
            }
        }
        assert_eq!(database.does("tests", &format!("SELECT count(*) >= 1 FROM audit.{table}")), ["t"], "{table}");
    }
}

#[test]
fn events_are_never_changed_in_their_partitions_either() {
    let (database, owner) = Database::installed_by_its_owner();
    fill(&database);
    let part = database.does("tests", "SELECT tableoid::regclass FROM audit.events").remove(0);
    let parent = part.as_str().replace(&part, "audit.events");
    for table in [parent.as_str(), part.as_str()] {
        for (way, words) in [
            ("UPDATE {} SET entry = ''", "rows are never changed"),
            ("UPDATE {} SET entry = '' WHERE false", "rows are never changed"),
            ("UPDATE {} SET recorded_at = recorded_at + interval '1 month'", "rows are never changed"),
            ("DELETE FROM {}", "rows are never deleted"),
            ("DELETE FROM {} WHERE false", "rows are never deleted"),
            ("TRUNCATE {}", "rows are never truncated"),
            ("MERGE INTO {} AS e USING (VALUES (1)) AS v (row) ON e.row = v.row WHEN MATCHED THEN DELETE", "rows are never deleted"),
            (
                "MERGE INTO {} AS e USING (VALUES (1)) AS v (row) ON e.row = v.row WHEN MATCHED THEN UPDATE SET entry = ''",
                "rows are never changed",
            ),
            ("INSERT INTO {} SELECT * FROM audit.events ON CONFLICT (row, recorded_at) DO UPDATE SET entry = ''", "rows are never changed"),
        ] {
            let way = way.replace("{}", table);
            database.refuses("tests", &way, words);
            database.refuses(&owner, &way, words);
            database.refuses("tests", &format!("SET session_replication_role = replica; {way}"), words);
        }
    }
    // Emptied together with another table, or by way of one that events follow.
    database.does(&owner, "CREATE TABLE audit.other (id int PRIMARY KEY)");
    database.refuses(&owner, "TRUNCATE audit.other, audit.events", "rows are never truncated");
    assert_eq!(database.does("tests", "SELECT count(*) FROM audit.events"), ["1"]);
}

#[test]
fn a_table_that_it_was_made_to_inherit_from_is_no_way_in() {
    let (database, owner) = Database::installed_by_its_owner();
    fill(&database);
    database.does(&owner, "CREATE TABLE audit.above (hashes bytea NOT NULL); ALTER TABLE audit.tiles INHERIT audit.above");
    database.refuses(&owner, "DELETE FROM audit.above", "audit.tiles: rows are never deleted");
    database.refuses(&owner, "UPDATE audit.above SET hashes = ''", "audit.tiles: rows are never changed");
    database.refuses("tests", "SET session_replication_role = replica; DELETE FROM audit.above", "audit.tiles: rows are never deleted");
    database.refuses(&owner, "TRUNCATE audit.above", "audit.tiles: rows are never truncated");
}

#[test]
fn a_key_that_cascades_is_no_way_in() {
    let (database, owner) = Database::installed_by_its_owner();
    fill(&database);
    database.does(
        &owner,
        "CREATE TABLE audit.above (row bigint PRIMARY KEY); INSERT INTO audit.above VALUES (1);
         ALTER TABLE audit.ids ADD FOREIGN KEY (row) REFERENCES audit.above ON DELETE CASCADE ON UPDATE CASCADE",
    );
    database.refuses(&owner, "DELETE FROM audit.above", "audit.ids: rows are never deleted");
    database.refuses(&owner, "UPDATE audit.above SET row = 2", "audit.ids: rows are never changed");
    database.refuses(&owner, "TRUNCATE audit.above CASCADE", "audit.ids: rows are never truncated");
}

#[test]
fn what_is_kept_is_never_deleted() {
    let (database, owner) = Database::installed_by_its_owner();
    fill(&database);
    for (table, _) in KEPT.iter().chain(&[("turn", "")]) {
        for user in ["tests", &owner] {
            database.refuses(user, &format!("DELETE FROM audit.{table}"), "rows are never deleted");
            database.refuses(user, &format!("DELETE FROM audit.{table} WHERE false"), "rows are never deleted");
            database.refuses(user, &format!("TRUNCATE audit.{table}"), "rows are never truncated");
        }
        database.refuses("tests", &format!("SET session_replication_role = replica; DELETE FROM audit.{table}"), "rows are never deleted");
    }
    // One row of it there is, and one there stays.
    database.refuses("tests", "INSERT INTO audit.turn VALUES (true, 0, 0, 0)", "duplicate key");
    database.refuses("tests", "INSERT INTO audit.turn VALUES (false, 0, 0, 0)", "check constraint");
}

#[test]
fn what_is_emptied_is_emptied_row_by_row() {
    let (database, owner) = Database::installed_by_its_owner();
    fill(&database);
    for (table, _) in EMPTIED {
        database.refuses(&owner, &format!("TRUNCATE audit.{table}"), "rows are never truncated");
        database.refuses("tests", &format!("SET session_replication_role = replica; TRUNCATE audit.{table}"), "rows are never truncated");
    }
    database.refuses(&owner, "UPDATE audit.contents SET stored = ''", "rows are never changed");
    database.refuses(&owner, "UPDATE audit.answers SET request = ''", "rows are never changed");
    database.does(&owner, "UPDATE audit.wraps SET wrap = '\\x01'");
    for (table, _) in EMPTIED {
        database.does(&owner, &format!("DELETE FROM audit.{table}"));
        assert_eq!(database.does(&owner, &format!("SELECT count(*) FROM audit.{table}")), ["0"]);
    }
}
