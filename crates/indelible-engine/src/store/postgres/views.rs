//! `views.sql` is made from the members of an entry, so that the view `audit.audit_events` has the columns that `indelible sql` has, with
//! the types that the members have. Here it is made, and compared with the file.

use std::fmt::Write as _;

use indelible_core::event::members::{ENTRY, Member, Shape};

/// Columns of the table `audit.events`, as (path, column): the view takes these from the table, whose indexes then serve it.
const TYPED: &[(&str, &str)] = &[
    ("action", "action"),
    ("action_category", "action_category"),
    ("actor,display", "actor_display"),
    ("actor,id", "actor_id"),
    ("actor,on_behalf_of", "actor_on_behalf_of"),
    ("actor,type", "actor_type"),
    ("assurance", "assurance"),
    ("cascade_root_id", "cascade_root_id"),
    ("hmac_key_id", "hmac_key_id"),
    ("id", "id"),
    ("occurred_at", "occurred_at"),
    ("operation_id", "operation_id"),
    ("organization_id", "organization_id"),
    ("outcome", "outcome"),
    ("outcome_detail", "outcome_detail"),
    ("phase", "phase"),
    ("pii_classes", "pii_classes"),
    ("principal,id", "principal_id"),
    ("principal,type", "principal_type"),
    ("project_id", "project_id"),
    ("reason", "reason"),
    ("recorded_at", "recorded_at"),
    ("request,auth_method", "auth_method"),
    ("request,request_id", "request_id"),
    ("request,source_ip", "source_ip"),
    ("request,user_agent", "user_agent"),
    ("resource,id", "resource_id"),
    ("resource,parent", "resource_parent"),
    ("resource,type", "resource_type"),
    ("run,id", "run_id"),
    ("run,thread_id", "thread_id"),
    ("schema_version", "schema_version"),
    ("context,tool", "tool"),
];

/// Shorter names that `indelible sql` has as well, as (column, path).
const ALIASES: &[(&str, &str, Shape)] = &[
    ("request_id", "request,request_id", Shape::Text(1)),
    ("input_tokens", "usage,input_tokens", Shape::Integer(0, 1)),
    ("output_tokens", "usage,output_tokens", Shape::Integer(0, 1)),
    ("cost_micros", "usage,cost_micros", Shape::Integer(0, 1)),
    ("decision", "decision,decision", Shape::Text(1)),
    ("tool", "context,tool", Shape::Text(1)),
];

const HEAD: &str = r"-- Made from the members of an entry by store/postgres/views.rs; `UPDATE_DOCS=1 cargo test -p indelible-engine --lib views` writes it anew.
--
-- Every event with its members as columns, so that one SELECT from one view answers whose data was used and what an agent did:
-- SELECT … FROM audit.audit_events WHERE principal_id = 'alice'. Columns are named as in `indelible sql`; those that audit.events has
-- are taken from there, and the others from the entry, which is only read where such a column is asked for.
--
-- The entry is the truth, and is given as it is. jsonb cannot hold U+0000, which an entry may have: for the columns that are read from
-- it, and for those alone, it is read as U+FFFD, as in the columns of the table.
--
-- The view reads with the rights of whoever asks, so that row-level security of audit.events holds for it. It needs no
-- security_barrier: it filters nothing itself.
CREATE VIEW audit.audit_events WITH (security_invoker = true) AS
SELECT
    events.sequence,
";

const TAIL: &str = r"    encode(events.prev_hash, 'hex') AS prev_hash,
    encode(events.row_hash, 'hex') AS row_hash,
    events.entry
FROM audit.events
CROSS JOIN LATERAL (
    -- A backslash before it that is itself escaped leaves the letters u0000. OFFSET 0 has it read once a row, whatever is asked for.
    SELECT CASE
        WHEN strpos(events.entry, '\u0000') = 0 THEN events.entry
        ELSE regexp_replace(events.entry, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')
    END::jsonb AS members
    OFFSET 0
) AS parsed;
";

/// The whole file.
fn file() -> String {
    let mut text = HEAD.to_owned();
    members(ENTRY, "", "", &mut text);
    for (column, path, shape) in ALIASES {
        text += &line(column, path, *shape);
    }
    text + TAIL
}

fn members(members_: &[Member], prefix: &str, before: &str, text: &mut String) {
    for member in members_ {
        let (column, path) = (format!("{prefix}{}", member.name), format!("{before}{}", member.name));
        match member.shape {
            Shape::Object(inner) => members(inner, &format!("{column}_"), &format!("{path},"), text),
            _ if path == "sequence" => {}
            shape => *text += &line(&column, &path, shape),
        }
    }
}

/// One column of the view.
fn line(column: &str, path: &str, shape: Shape) -> String {
    let value = match TYPED.iter().find(|(typed, _)| *typed == path) {
        Some((_, typed)) if *typed == column => return format!("    events.{typed},\n"),
        Some((_, typed)) => format!("events.{typed}"),
        None => extracted(path, shape),
    };
    let mut text = String::new();
    writeln!(text, "    {value} AS {column},").expect("text");
    text
}

fn extracted(path: &str, shape: Shape) -> String {
    let (json, text) = if path.contains(',') {
        (format!("parsed.members #> '{{{path}}}'"), format!("parsed.members #>> '{{{path}}}'"))
    } else {
        (format!("parsed.members -> '{path}'"), format!("parsed.members ->> '{path}'"))
    };
    match shape {
        Shape::Integer(..) => format!("({text})::bigint"),
        Shape::Bool => format!("({text})::boolean"),
        Shape::Time => format!("({text})::timestamptz"),
        Shape::Uuid => format!("({text})::uuid"),
        Shape::Texts(..) | Shape::Objects(..) | Shape::Object(_) | Shape::Labels => json,
        _ => text,
    }
}

#[test]
fn the_view_has_the_columns_of_sql() {
    let file_ = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/postgres/views.sql");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file_, file()).expect("written");
    }
    let written = std::fs::read_to_string(file_).expect("readable");
    assert!(written == file(), "run with UPDATE_DOCS=1");
    let named: Vec<&str> = written
        .lines()
        .skip_while(|line| *line != "SELECT")
        .skip(2)
        .take_while(|line| !line.contains(" AS prev_hash"))
        .map(|line| line.trim_end_matches(',').rsplit([' ', '.']).next().expect("a word"))
        .collect();
    let asked: Vec<String> = crate::query::sql::columns().into_iter().map(|(column, _)| column).collect();
    assert_eq!(named, asked);
}
