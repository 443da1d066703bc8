//! `audit.append`: it refuses what the ledger refuses, at the same place; host roles can do that and nothing else; an event is there exactly
//! if its transaction committed; and transactions do not wait for each other.

use indelible_core::limits::{CONTENT_PLAIN_BYTES_MAX, CONTEXT_KEYS_MAX, ENTRY_BYTES_MAX, LIST_ITEMS_MAX, NAME_BYTES_MAX};
use serde_json::Value;
use uuid::Uuid;

use super::server::{Database, append, connect, refusal};

/// The least event, open at its end for more members.
const LEAST: &str = r#"{"action":"a.b","actor":{"type":"human","id":"u"},"outcome":"allow""#;

fn least_with(members: &str) -> String {
    if members.is_empty() { format!("{LEAST}}}") } else { format!("{LEAST},{members}}}") }
}

/// What jsonb has dropped by then, or refuses itself: names that came twice, how a number was written, half of a surrogate pair.
const UNSEEN: &[&str] = &[
    r#"+"duration_ms":1e3"#,
    r#"+"duration_ms":-0"#,
    r#"+"reason":"a","reason":"b""#,
    r#"+"reason":"\ud800""#,
    r#"+"content":{"extra":{"a":1,"a":2}}"#,
];

#[tokio::test]
async fn what_the_ledger_refuses_is_refused_at_the_same_place() {
    let database = Database::new(None).await;
    let host = database.host().await;
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../indelible-core/testdata/faults.json")).expect("there");
    let rows: Vec<[String; 3]> = serde_json::from_slice(&file).expect("rows");
    assert!(UNSEEN.iter().all(|unseen| rows.iter().any(|[.., text]| text == unseen)));
    let mut tried = 0;
    for [kind, pointer, text] in rows.iter().filter(|[kind, _, text]| kind != "Malformed" && !UNSEEN.contains(&text.as_str())) {
        let event = text.strip_prefix('+').map_or_else(|| text.clone(), least_with);
        let (code, at, message) = append(&host, &event).await.expect_err(&event);
        let expected = match kind.as_str() {
            "Invalid" => "IN001",
            "ServerOwned" => "IN002",
            "EngineOnly" => "IN003",
            other => panic!("{other}"),
        };
        assert_eq!((code.as_str(), &at), (expected, pointer), "{event}: {message}");
        tried += 1;
    }
    assert!(tried > 65, "{tried}");
    let (code, ..) = refusal(&host.query_one("SELECT audit.append(NULL)", &[]).await.expect_err("nothing"));
    assert_eq!(code, "IN001");
    assert_eq!(database.events().await, Vec::<Value>::new());
}

#[tokio::test]
async fn limits_hold_to_the_byte() {
    let database = Database::new(None).await;
    let host = database.host().await;
    let keys = |count: usize, value: usize| {
        let each: Vec<String> = (0..count).map(|n| format!("\"k{n:02}\":\"{}\"", "v".repeat(value))).collect();
        format!("\"context\":{{{}}}", each.join(","))
    };
    let key = |bytes: usize| format!("\"context\":{{\"{}\":\"v\"}}", "k".repeat(bytes));
    let items = |count: usize| format!("\"subjects\":[{}]", vec!["\"s\""; count].join(","));
    let name = |bytes: usize| format!("\"channel\":\"{}\"", "\u{e9}".repeat(bytes / 2) + &"x".repeat(bytes % 2));
    // 14 subjects of 1,024 bytes leave less than 2 KiB to the limit of an entry; one more leaves too little.
    let entry = |count: usize| format!("\"subjects\":[{}]", vec![format!("\"{}\"", "s".repeat(1_024)); count].join(","));
    let content = |bytes: usize| format!("\"content\":{{\"output\":\"{}\"}}", "x".repeat(bytes - r#"{"output": ""}"#.len()));
    let deep = |levels: usize| format!("\"content\":{{\"extra\":{}{}}}", "[".repeat(levels - 2), "]".repeat(levels - 2));
    let long_key = format!("/context/{}", "k".repeat(65));
    let cases: &[(String, Option<&str>)] = &[
        (keys(CONTEXT_KEYS_MAX, 1), None),
        (keys(CONTEXT_KEYS_MAX + 1, 1), Some("/context")),
        (keys(1, 512), None),
        (keys(1, 513), Some("/context/k00")),
        (keys(8, 509), None),
        (keys(8, 510), Some("/context")),
        (key(64), None),
        (key(65), Some(&long_key)),
        (items(LIST_ITEMS_MAX), None),
        (items(LIST_ITEMS_MAX + 1), Some("/subjects")),
        (name(NAME_BYTES_MAX), None),
        (name(NAME_BYTES_MAX + 1), Some("/channel")),
        (entry((ENTRY_BYTES_MAX - 2_048) / 1_028 - 1), None),
        (entry((ENTRY_BYTES_MAX - 2_048) / 1_028 + 1), Some("")),
        (content(CONTENT_PLAIN_BYTES_MAX), None),
        (content(CONTENT_PLAIN_BYTES_MAX + 1), Some("/content")),
        (deep(128), None),
        (deep(129), Some("")),
    ];
    for (n, (members, pointer)) in cases.iter().enumerate() {
        let refused = append(&host, &least_with(members)).await.err();
        assert_eq!(refused.as_ref().map(|(code, at, _)| (code.as_str(), at.as_str())), pointer.map(|at| ("IN004", at)), "{n}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_accepted_is_there_with_an_id() {
    let database = Database::new(None).await;
    let host = database.host().await;
    let given = append(&host, &least_with(r#""id":"0190A5F0-5B1C-7D3E-8F00-0000000000AB","content":{"extra":[1.50,null]}"#))
        .await
        .expect("accepted");
    assert_eq!(given, Uuid::from_u128(0x0190_a5f0_5b1c_7d3e_8f00_0000_0000_00ab));
    let made = append(&host, &least_with("")).await.expect("accepted");
    append(&host, r#"{"action":"a.b","actor":{"type":"anonymous"},"phase":"intent","operation_id":"o"}"#).await.expect("accepted");
    for time in ["2026-11-21T19:00:00.1+23:59", "0001-01-01t00:00:00Z", "9999-12-31T23:59:59.9999999z"] {
        append(&host, &least_with(&format!(r#""occurred_at":"{time}""#))).await.expect(time);
    }
    for time in
        ["2026-02-29T19:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-01-01T00:00:60Z", "2026-01-01T24:00:00Z"]
    {
        assert_eq!(append(&host, &least_with(&format!(r#""occurred_at":"{time}""#))).await.expect_err(time).1, "/occurred_at");
    }
    let events = database.events().await;
    assert_eq!(events.len(), 6);
    assert_eq!(events[0]["id"], given.to_string());
    assert_eq!(events[0]["content"].to_string(), r#"{"extra":[1.5,null]}"#);
    assert_eq!(events[1]["id"], made.to_string());
    let row = database
        .owner
        .query_one("SELECT id::text, project_id::text, organization_id::text, role::text, source FROM audit.inbox WHERE n = 1", &[]);
    let row = row.await.expect("a row");
    let row: Vec<String> = (0..5).map(|at| row.get(at)).collect();
    assert_eq!(
        row,
        [given.to_string(), database.project.to_string(), database.organization.to_string(), database.host.clone(), "append".to_owned()]
    );
}

#[tokio::test]
async fn the_project_is_that_of_the_role_that_logged_in() {
    let database = Database::new(None).await;
    let (bound, other) = (&database.host, format!("{}_other", database.host));
    let made = format!("CREATE ROLE {other} LOGIN IN ROLE audit_host; GRANT {bound} TO {other}");
    database.owner.batch_execute(&made).await.expect("made");
    let unbound = connect(&database.name, &other).await;
    for statement in ["SELECT 1", &format!("SET ROLE {bound}")] {
        unbound.batch_execute(statement).await.expect("set");
        let error = unbound.query_one("SELECT audit.append($1::text::jsonb)", &[&least_with("")]).await.expect_err("refused");
        let said = error.as_db_error().expect("of the database");
        assert_eq!(said.code().code(), "IN005");
        assert_eq!(said.hint(), Some(format!("Bind it: indelible database bind {other} --project PROJECT").as_str()));
    }
    let host = database.host().await;
    host.batch_execute("SET ROLE audit_host").await.expect("set");
    append(&host, &least_with("")).await.expect("the project of the login");
}

#[tokio::test]
async fn host_roles_execute_what_they_are_given_and_nothing_else() {
    let database = Database::new(None).await;
    let host = database.host().await;
    let functions = "SELECT p.proname::text FROM pg_proc AS p WHERE p.pronamespace = 'audit'::regnamespace
        AND has_function_privilege($1::text, p.oid, 'EXECUTE') ORDER BY 1";
    let may: Vec<String> = database.owner.query(functions, &[&database.host]).await.expect("rows").iter().map(|row| row.get(0)).collect();
    let given =
        ["append", "capture", "drop_watch", "engine_nouns", "noun_of", "set_actor", "settle_watch", "table_name", "unwatch", "watch"];
    assert_eq!(may, given);
    let relations =
        "SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
        AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege($1::text, c.oid, 'USAGE, SELECT, UPDATE')
            ELSE has_table_privilege($1::text, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                OR has_any_column_privilege($1::text, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END";
    assert!(database.owner.query(relations, &[&database.host]).await.expect("rows").is_empty());
    let server = format!("{}_server", database.host);
    database.owner.batch_execute(&format!("CREATE ROLE {server} LOGIN IN ROLE audit_server")).await.expect("made");
    append(&host, &least_with("")).await.expect("accepted");
    let server = connect(&database.name, &server).await;
    assert_eq!(server.execute("DELETE FROM audit.inbox", &[]).await.expect("the server may"), 1);
    let (code, ..) = refusal(&server.query_one("SELECT audit.append('{}')", &[]).await.expect_err("the server may not"));
    assert_eq!(code, "42501");
}

/// What a caller puts before pg_catalog does not come into what runs as the owner.
#[tokio::test]
async fn the_search_path_of_the_caller_changes_nothing() {
    let database = Database::new(None).await;
    let host = database.host().await;
    host.batch_execute(
        "CREATE FUNCTION public.octet_length(text) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END';
         CREATE FUNCTION public.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END';
         CREATE TEMPORARY TABLE bindings (role name, project_id uuid, organization_id uuid);
         SET search_path = public, pg_temp, pg_catalog",
    )
    .await
    .expect("made");
    append(&host, &least_with(r#""reason":"r""#)).await.expect("accepted");
}

#[tokio::test]
async fn an_event_is_there_if_its_transaction_committed_and_no_transaction_waits() {
    let database = Database::new(None).await;
    let (one, other) = (database.host().await, database.host().await);
    let event = least_with(r#""id":"0190a5f0-5b1c-7d3e-8f00-0000000000ab""#);
    one.batch_execute("BEGIN").await.expect("begun");
    append(&one, &event).await.expect("accepted");
    one.batch_execute("SAVEPOINT s").await.expect("set");
    append(&one, &least_with(r#""reason":"rolled back""#)).await.expect("accepted");
    one.batch_execute("ROLLBACK TO s").await.expect("rolled back");
    // The same id, while the first is not decided.
    other.batch_execute("SET lock_timeout = '1s'; SET statement_timeout = '5s'").await.expect("set");
    append(&other, &event).await.expect("no transaction waits for another");
    let channels = one.query(
        "SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode IN ('ExclusiveLock', 'AccessExclusiveLock') AND locktype NOT IN ('virtualxid', 'transactionid')",
        &[],
    );
    assert!(channels.await.expect("rows").is_empty());
    one.batch_execute("COMMIT").await.expect("committed");
    one.batch_execute("BEGIN").await.expect("begun");
    append(&one, &least_with("")).await.expect("accepted");
    one.batch_execute("ROLLBACK").await.expect("rolled back");
    let ids: Vec<Value> = database.events().await.iter().map(|event| event["id"].clone()).collect();
    assert_eq!(ids, ["0190a5f0-5b1c-7d3e-8f00-0000000000ab"; 2]);
    // What is refused fails the transaction.
    one.batch_execute("BEGIN; CREATE TABLE public.t ()").await.expect("begun");
    append(&one, "{}").await.expect_err("refused");
    one.batch_execute("COMMIT").await.expect("ended");
    assert!(one.query_one("SELECT to_regclass('public.t')::text", &[]).await.expect("a row").get::<_, Option<&str>>(0).is_none());
}

#[tokio::test]
async fn a_refusal_never_repeats_a_value() {
    let database = Database::new(None).await;
    let host = database.host().await;
    for members in [
        r#""occurred_at":"hunter2""#,
        r#""id":"hunter2""#,
        r#""phase":"hunter2""#,
        r#""action_category":"hunter2!""#,
        r#""token=hunter2":1"#,
        r#""context":{"https://u:hunter2@h/":1}"#,
        r#""content":{"password=hunter2":1}"#,
        r#""duration_ms":"hunter2""#,
        r#""subjects":["a",{"hunter2":1}]"#,
    ] {
        let error = host.query_one("SELECT audit.append($1::text::jsonb)", &[&least_with(members)]).await.expect_err(members);
        assert!(error.as_db_error().expect("of the database").code().code().starts_with("IN"), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
