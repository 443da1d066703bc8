//! Row capture: what is recorded of a table, who may have it recorded, and what happens where it cannot be.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::server::{Database, connect, refusal};

/// The events of rows in the inbox, those of watching aside, which are told by `row_capture`.
async fn captured(database: &Database) -> Vec<Value> {
    database.events().await.into_iter().filter(|event| !event["action"].as_str().expect("text").starts_with("row_capture.")).collect()
}

/// Action, resource id and states of each.
fn told(events: &[Value]) -> Vec<Value> {
    let tell = |event: &Value| {
        json!([event["action"], event["resource"]["id"], event["content"]["before_state"], event["content"]["after_state"]])
    };
    events.iter().map(tell).collect()
}

async fn refused(client: &Client, statement: &str) -> (String, String, String) {
    let refused = refusal(&client.batch_execute(statement).await.expect_err(statement));
    // Outside of a transaction this is a warning.
    client.batch_execute("ROLLBACK").await.expect("ended");
    refused
}

#[tokio::test]
async fn rows_are_captured_with_before_and_after_and_who_did_it() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute(
        "CREATE TABLE policies (id integer PRIMARY KEY, name text, password text, ssn text);
         SELECT audit.watch('public.policies', leave_out => '{ssn}', noun => 'policy');
         INSERT INTO policies VALUES (1, 'a', 'pl4nted', '078');
         BEGIN; SELECT audit.set_actor('human', 'alice', 'Alice', 'bob');
         UPDATE policies SET name = 'b', password = 'pl4nted2', ssn = '079';
         UPDATE policies SET name = name;
         DELETE FROM policies;
         COMMIT;
         BEGIN; INSERT INTO policies VALUES (2); ROLLBACK;
         TRUNCATE policies",
    )
    .await
    .expect("done");
    let events = captured(&database).await;
    assert_eq!(
        told(&events),
        [
            json!(["policy.create", "1", null, {"id": 1, "name": "a", "password": "[REDACTED]"}]),
            json!(["policy.update", "1", {"id": 1, "name": "a", "password": "[REDACTED]"}, {"id": 1, "name": "b", "password": "[REDACTED]"}]),
            json!(["policy.delete", "1", {"id": 1, "name": "b", "password": "[REDACTED]"}, null]),
            json!(["policy.truncate", "public.policies", null, null]),
        ]
    );
    assert_eq!(events[1]["actor"], json!({"type": "human", "id": "alice", "display": "Alice", "on_behalf_of": "bob"}));
    assert_eq!(events[1]["context"]["also_changed"], "password, ssn");
    assert_eq!(events[1]["resource"], json!({"type": "policy", "id": "1", "parent": "public.policies"}));
    assert_eq!(events[1]["context"]["transaction"], events[2]["context"]["transaction"]);
    for at in [0, 3] {
        assert_eq!(events[at]["actor"], json!({"type": "system", "id": database.host}), "the actor ends with the transaction");
    }
    assert_eq!(events[3]["resource"], json!({"type": "table", "id": "public.policies"}));
}

#[tokio::test]
async fn values_of_every_type_are_captured() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute(
        "CREATE TYPE mood AS ENUM ('glad');
         CREATE TABLE \"Odd Table\" (id bigint PRIMARY KEY, n numeric, f float8, b bytea, a integer[], j json, k jsonb, m mood, r int4range,
            t timestamptz, \"Odd, \"\"Col\" text, twice bigint GENERATED ALWAYS AS (id * 2) STORED, big text);
         SELECT audit.watch('\"Odd Table\"');
         INSERT INTO \"Odd Table\" VALUES (1152921504606846977, 'NaN', '-Infinity', '\\x00ff', '{1,NULL}', '{\"a\":\"\\u0000\",\"a\":\"\\\\u0000\"}',
            'null', 'glad', '[1,3)', '2026-01-01 00:00:00+00', 'x', DEFAULT, repeat('0123456789', 100000));
         ALTER TABLE \"Odd Table\" ALTER COLUMN big SET STORAGE EXTERNAL;
         UPDATE \"Odd Table\" SET k = '1'",
    )
    .await
    .expect("done");
    let events = captured(&database).await;
    assert_eq!(events.iter().map(|event| &event["action"]).collect::<Vec<_>>(), ["odd_table.create", "odd_table.update"]);
    let after = &events[1]["content"]["after_state"];
    let expected = json!({"id": 1_152_921_504_606_846_977_i64, "n": "NaN", "f": "-Infinity", "b": "\\x00ff", "a": [1, null], "j": {"a": "\\u0000"},
        "k": 1, "m": "glad", "r": "[1,3)", "Odd, \"Col": "x", "twice": 2_305_843_009_213_693_954_i64});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&after[name], value, "{name}");
    }
    // A value that was not touched and lies apart is there in both states.
    for state in ["before_state", "after_state"] {
        assert_eq!(events[1]["content"][state]["big"].as_str().map(str::len), Some(1_000_000));
    }
    assert_eq!(events[0]["content"]["after_state"]["k"], Value::Null);
}

#[tokio::test]
async fn a_row_is_told_by_its_primary_key() {
    let database = Database::new(None).await;
    let host = database.host().await;
    for (columns, values, id) in [
        ("a text, b integer, PRIMARY KEY (b, a)", "'x,\\y', 7", json!("7,x\\,\\\\y")),
        ("a text PRIMARY KEY", "'x,y'", json!("x,y")),
        ("a text PRIMARY KEY", "repeat('x', 1025)", json!("sha256:c6d8e990")),
        ("token text PRIMARY KEY", "'pl4nted'", json!("[REDACTED]")),
        ("key text, b integer, PRIMARY KEY (key, b)", "'pl4nted', 1", json!("[REDACTED],1")),
        ("a text PRIMARY KEY", "'https://u:pl4nted@h/'", json!("https://u@h/")),
        ("a text PRIMARY KEY", "''", json!("public.t")),
        ("a text UNIQUE", "'x'", json!("public.t")),
    ] {
        let statements = format!("CREATE TABLE t ({columns}); SELECT audit.watch('t'); INSERT INTO t VALUES ({values}); DROP TABLE t");
        host.batch_execute(&statements).await.expect(columns);
        let event = captured(&database).await.pop().expect("an event");
        assert!(!event.to_string().contains("pl4nted"), "{event}");
        let told = event["resource"]["id"].as_str().expect("text").to_owned();
        let told = if told.starts_with("sha256:") { told[..15].to_owned() } else { told };
        assert_eq!(json!(told), id, "{columns}");
    }
}

#[tokio::test]
async fn partitions_are_captured_as_their_table() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute(
        "CREATE TABLE t (id integer, day integer, dropped integer, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
         CREATE TABLE t1 (day integer NOT NULL, id integer NOT NULL, dropped integer); ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (10);
         SELECT audit.watch('t', leave_out => '{dropped}');
         CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20);
         INSERT INTO t VALUES (1, 1, 1), (2, 11, 1);
         INSERT INTO t2 VALUES (3, 12, 1)",
    )
    .await
    .expect("done");
    // What switches off other triggers does not switch off these, on the table as on partitions.
    database.owner.batch_execute("SET session_replication_role = replica").await.expect("set");
    database.owner.batch_execute("DELETE FROM t WHERE id = 3").await.expect_err("no binding of this role");
    let bound = format!("INSERT INTO audit.bindings VALUES ('tests', '{}', '{}')", database.project, database.organization);
    database
        .owner
        .batch_execute(&format!("{bound}; DELETE FROM t2 WHERE id = 3; SET session_replication_role = origin"))
        .await
        .expect("deleted");
    host.batch_execute("UPDATE t SET day = 13 WHERE id = 1; TRUNCATE t1").await.expect("done");
    let events = captured(&database).await;
    let after = |event: &Value| json!([event["action"], event["resource"]["id"], event["resource"]["parent"]]);
    assert_eq!(
        events.iter().map(after).collect::<Vec<_>>(),
        [
            json!(["t.create", "1,1", "public.t"]),
            json!(["t.create", "11,2", "public.t"]),
            json!(["t.create", "12,3", "public.t"]),
            json!(["t.delete", "12,3", "public.t"]),
            json!(["t.delete", "1,1", "public.t"]),
            json!(["t.create", "13,1", "public.t"]),
            json!(["t.truncate", "public.t1", "public.t"]),
        ]
    );
    // A partition that came later gets its trigger for TRUNCATE when the table is watched anew.
    host.batch_execute("SELECT audit.watch('t', leave_out => '{dropped}'); TRUNCATE t2; SELECT audit.unwatch('t'); TRUNCATE t1, t2")
        .await
        .expect("done");
    assert_eq!(captured(&database).await.len(), events.len() + 1);
    let left = database.owner.query("SELECT FROM pg_trigger WHERE tgfoid = 'audit.capture()'::regprocedure", &[]).await.expect("rows");
    assert!(left.is_empty());
}

#[tokio::test]
async fn what_cannot_be_recorded_fails_the_statement() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute("CREATE TABLE t (id integer PRIMARY KEY, ssn text); SELECT audit.watch('t', '{ssn}')").await.expect("watched");
    // Renamed, what was left out would be told under its new name.
    host.batch_execute("ALTER TABLE t RENAME ssn TO number").await.expect("renamed");
    let (code, _, message) = refused(&host, "INSERT INTO t VALUES (1, 'pl4nted')").await;
    assert_eq!((code.as_str(), message.as_str()), ("IN007", "a column that is left out of what is captured is not in the table public.t"));
    host.batch_execute("SELECT audit.watch('t', '{number}'); INSERT INTO t VALUES (1, 'pl4nted')").await.expect("watched anew");
    assert_eq!(told(&captured(&database).await), [json!(["t.create", "1", null, {"id": 1}])]);
    // A role that is bound to no project.
    let unbound = format!("{}_unbound", database.host);
    database.owner.batch_execute(&format!("CREATE ROLE {unbound} LOGIN; GRANT ALL ON t TO {unbound}")).await.expect("made");
    let unbound = connect(&database.name, &unbound).await;
    for statement in ["INSERT INTO t VALUES (2)", "TRUNCATE t"] {
        assert_eq!(refused(&unbound, statement).await.0, "IN005", "{statement}");
    }
    // An actor that is none.
    assert_eq!(refused(&host, "SELECT audit.set_actor('robot', 'x')").await.0, "IN001");
    assert_eq!(refused(&host, "SELECT audit.set_actor('human', NULL)").await.1, "/actor/id");
    for setting in ["{", "{\"type\":\"robot\"}", "7"] {
        assert_eq!(refused(&host, &format!("BEGIN; SET LOCAL audit.actor = '{setting}'; DELETE FROM t")).await.0, "IN001", "{setting}");
    }
    // What jsonb does not hold: told as what cannot be read, or refused without a word of it.
    host.batch_execute("CREATE TABLE j (id integer PRIMARY KEY, j json); SELECT audit.watch('j')").await.expect("watched");
    let halves = r#"INSERT INTO j VALUES (1, '["\ud83d\ude00","\ud83d-","-\udE00","\\ud83d"]')"#;
    host.batch_execute(halves).await.expect("recorded");
    let after = captured(&database).await.pop().expect("an event")["content"]["after_state"]["j"].clone();
    assert_eq!(after, json!(["\u{1f600}", "\u{fffd}-", "-\u{fffd}", "\\ufffd"]));
    let error = host.batch_execute(r#"INSERT INTO j VALUES (2, '{"password":"pl4nted","n":1e200000}')"#).await.expect_err("refused");
    assert!(refusal(&error).0 == "IN007" && !format!("{error:?}").contains("pl4nted"), "{error:?}");
    host.batch_execute("DROP TABLE j").await.expect("dropped");
    // More than content may be.
    assert_eq!(
        refused(&host, "INSERT INTO t VALUES (3); ALTER TABLE t ADD big text; UPDATE t SET big = repeat('x', 17000000)").await.0,
        "IN004"
    );
    assert_eq!(captured(&database).await.len(), 2);
}

/// A cast to json would run as the owner of the schema.
#[tokio::test]
async fn no_function_of_a_table_s_owner_runs_as_the_owner_of_the_schema() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute(
        "CREATE TYPE inner_type AS (x text); CREATE DOMAIN of_it AS inner_type; CREATE TYPE outer_type AS (y of_it[]);
         CREATE TABLE t (id integer PRIMARY KEY, o outer_type); CREATE TABLE free (id integer PRIMARY KEY); CREATE TABLE called (by text);
         SELECT audit.watch('t'); SELECT audit.watch('free');
         INSERT INTO t VALUES (1, ROW(ARRAY[ROW('a')::inner_type]::of_it[]));
         CREATE FUNCTION told(inner_type) RETURNS json LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.called VALUES (current_user); RETURN ''{}''; END';
         CREATE CAST (inner_type AS json) WITH FUNCTION told(inner_type)",
    )
    .await
    .expect("made");
    assert_eq!(refused(&host, "INSERT INTO t VALUES (2, ROW(ARRAY[ROW('a')::inner_type]::of_it[]))").await.0, "IN007");
    host.batch_execute("INSERT INTO free VALUES (1)").await.expect("other tables are as before");
    assert!(host.query("SELECT FROM called", &[]).await.expect("rows").is_empty());
    assert_eq!(captured(&database).await.len(), 2);
}

#[tokio::test]
async fn watching_is_the_owner_s_and_is_recorded() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute("CREATE TABLE t (id integer); CREATE TABLE project (id integer); CREATE TEMPORARY TABLE passing (id integer)")
        .await
        .expect("made");
    let other = format!("{}_other", database.host);
    let made = format!("CREATE ROLE {other} LOGIN IN ROLE audit_host; GRANT ALL ON t TO {other}");
    database.owner.batch_execute(&made).await.expect("made");
    assert_eq!(refused(&connect(&database.name, &other).await, "SELECT audit.watch('t')").await.0, "42501");
    for (statement, code) in [
        ("SELECT audit.watch('project')", "IN003"),
        ("SELECT audit.watch('t', noun => 'T')", "IN003"),
        ("SELECT audit.watch('t', '{none}')", "IN007"),
        ("SELECT audit.watch('passing')", "IN007"),
        ("SELECT audit.watch('pg_class')", "IN007"),
    ] {
        assert_eq!(refused(&host, statement).await.0, code, "{statement}");
    }
    assert_eq!(refused(&connect(&database.name, "tests").await, "SELECT audit.watch('audit.inbox')").await.0, "IN007");
    assert!(database.events().await.is_empty());
    let watched = || async {
        let rows = database.owner.query("SELECT relation::text, leave_out::text, intact FROM audit.watched", &[]).await.expect("rows");
        rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, bool>(2))).collect::<Vec<_>>()
    };
    host.batch_execute("SELECT audit.watch('t'); SELECT audit.watch('t'); SELECT audit.settle_watch('t')").await.expect("watched");
    assert_eq!(watched().await, [("t".to_owned(), "{}".to_owned(), true)]);
    host.batch_execute("SELECT audit.watch('t', '{id}')").await.expect("otherwise");
    assert_eq!(watched().await, [("t".to_owned(), "{id}".to_owned(), true)]);
    host.batch_execute("ALTER TABLE t DISABLE TRIGGER indelible_row").await.expect("by hand");
    assert_eq!(watched().await, [("t".to_owned(), "{id}".to_owned(), false)]);
    host.batch_execute("SELECT audit.unwatch('t'); SELECT audit.unwatch('t'); INSERT INTO t VALUES (1)").await.expect("ended");
    assert!(watched().await.is_empty());
    let states = |leave_out: Value| json!({"noun": "t", "resource_type": "t", "leave_out": leave_out});
    assert_eq!(
        told(&database.events().await),
        [
            json!(["row_capture.start", "public.t", null, states(json!([]))]),
            json!(["row_capture.start", "public.t", states(json!([])), states(json!(["id"]))]),
            json!(["row_capture.stop", "public.t", states(json!(["id"])), null]),
        ]
    );
}
