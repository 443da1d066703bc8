//! Carries a ledger from a file over into a database: every row as it is, and what only a database has computed by SQL from the entries.

use std::path::Path;

use indelible_core::hex;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::bench;
use crate::databases::{self, Session};

/// The typed columns of an event, from its entry.
const TYPED: [(&str, &str); 33] = [
    ("recorded_at", "(entry ->> 'recorded_at')::timestamptz"),
    ("occurred_at", "(entry ->> 'occurred_at')::timestamptz"),
    ("project_id", "(entry ->> 'project_id')::uuid"),
    ("organization_id", "(entry ->> 'organization_id')::uuid"),
    ("hmac_key_id", "(entry ->> 'hmac_key_id')::bigint"),
    ("schema_version", "(entry ->> 'schema_version')::bigint"),
    ("action", "entry ->> 'action'"),
    ("action_category", "entry ->> 'action_category'"),
    ("outcome", "entry ->> 'outcome'"),
    ("outcome_detail", "entry ->> 'outcome_detail'"),
    ("reason", "entry ->> 'reason'"),
    ("actor_type", "entry #>> '{actor,type}'"),
    ("actor_id", "entry #>> '{actor,id}'"),
    ("actor_display", "entry #>> '{actor,display}'"),
    ("actor_on_behalf_of", "entry #>> '{actor,on_behalf_of}'"),
    ("principal_type", "entry #>> '{principal,type}'"),
    ("principal_id", "entry #>> '{principal,id}'"),
    ("resource_type", "entry #>> '{resource,type}'"),
    ("resource_id", "entry #>> '{resource,id}'"),
    ("resource_parent", "entry #>> '{resource,parent}'"),
    ("cascade_root_id", "entry ->> 'cascade_root_id'"),
    ("operation_id", "entry ->> 'operation_id'"),
    ("phase", "entry ->> 'phase'"),
    ("request_id", "entry #>> '{request,request_id}'"),
    ("source_ip", "entry #>> '{request,source_ip}'"),
    ("user_agent", "entry #>> '{request,user_agent}'"),
    ("api_key_id", "entry #>> '{request,api_key_id}'"),
    ("auth_method", "entry #>> '{request,auth_method}'"),
    ("run_id", "entry #>> '{run,id}'"),
    ("thread_id", "entry #>> '{run,thread_id}'"),
    ("tool", "entry #>> '{context,tool}'"),
    ("assurance", "entry ->> 'assurance'"),
    (
        "pii_classes",
        "CASE WHEN entry -> 'pii_classes' IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(entry -> 'pii_classes')) END",
    ),
];

/// Copies the ledger that lies in a file of `from`, and that nobody has open, into a database of its own at `to`, with its keys and its
/// checkpoint store.
pub(super) fn carry(from: &Path, to: &Path) {
    bench::copy(from, to);
    std::fs::remove_file(to.join("data/ledger.db")).expect("removed");
    bench::copy_folder(&from.join("data.checkpoints"), &to.join("data.checkpoints"));
    let address = databases::installed();
    let (file, database) = (Connection::open(from.join("data/ledger.db")).expect("it opens"), Session::with(&address));
    database.run("SELECT make_partitions('2026-03-01T00:00:00Z')").expect("made");
    for table in tables(&file) {
        let rows = rows(&file, &table);
        match table.as_str() {
            "events" => events(&database, &rows),
            _ => insert(&database, &table, &rows),
        }
    }
    // The trigger said of every resource that it was changed once.
    let newest = "SELECT row, recorded_at FROM events ORDER BY row DESC LIMIT 1";
    let turn = format!(
        "UPDATE turn SET control_epoch = 1, (last_row, recorded_at) = (SELECT row, (extract(epoch FROM recorded_at) * 1000000)::bigint FROM ({newest}) AS newest)"
    );
    assert_eq!(database.run(&turn).expect("set"), 1);
    std::fs::write(to.join("database"), address).expect("written");
}

fn tables(file: &Connection) -> Vec<String> {
    let find = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut tables = file.prepare(find).expect("a statement");
    tables.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("names")
}

/// A row by the names of its columns, as literals that PostgreSQL takes for any type.
type Row = Vec<(String, String)>;

fn rows(file: &Connection, table: &str) -> Vec<Row> {
    let mut select = file.prepare(&format!("SELECT * FROM {table}")).expect("a statement");
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let rows = select.query_map([], |row| {
        names.iter().enumerate().map(|(at, name)| Ok((name.clone(), literal(table, name, row.get_ref(at)?)))).collect()
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn literal(table: &str, column: &str, value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("'{}'", std::str::from_utf8(text).expect("UTF-8").replace('\'', "''")),
        ValueRef::Blob(bytes) => {
            let is_id = matches!((table, column), ("events" | "answers" | "api_key_uses", "id") | ("answers", "caller"));
            format!("'{}{}'", if is_id { "" } else { "\\x" }, hex::encode(bytes))
        }
    }
}

fn insert(database: &Session, table: &str, rows: &[Row]) {
    for row in rows {
        let (names, values): (Vec<&str>, Vec<&str>) = row.iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
        let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
        assert_eq!(database.run(&insert).unwrap_or_else(|error| panic!("{insert}: {error}")), 1);
    }
}

/// What says of a literal that is selected what it is.
fn of_type(name: &str) -> &'static str {
    match name {
        "id" => "::uuid",
        "prev_hash" | "row_hash" => "::bytea",
        _ => "",
    }
}

fn events(database: &Session, rows: &[Row]) {
    let (names, typed): (Vec<&str>, Vec<&str>) = TYPED.iter().copied().unzip();
    for row in rows {
        let value = |name: &str| row.iter().find(|(other, _)| other == name).expect(name).1.as_str();
        let own = ["row", "project", "sequence", "id", "prev_hash", "row_hash", "entry"];
        let statement = format!(
            "INSERT INTO events ({}, {}) SELECT {}, {} FROM (SELECT {}::jsonb AS entry) AS read",
            own.join(", "),
            names.join(", "),
            own.map(|name| format!("{}{}", value(name), of_type(name))).join(", "),
            typed.join(", "),
            value("entry"),
        );
        assert_eq!(database.run(&statement).unwrap_or_else(|error| panic!("{statement}: {error}")), 1);
        let of_retry = ["project", "id", "row", "submission_key_id", "submission_mac", "retry_mac"];
        let of_retry = of_retry.map(|name| (name.to_owned(), value(name).to_owned()));
        insert(database, "ids", &[of_retry.to_vec()]);
    }
}
