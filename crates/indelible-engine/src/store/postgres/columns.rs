//! The typed columns of `events`: which member of the entry each is, and how it goes over the wire. They are for whoever asks in SQL; the
//! entry is the truth, and verification compares them with it.

use indelible_core::json::{self, Value};
use indelible_core::time::Timestamp;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use super::staged::bytes_of;

/// Microseconds from 1970 to 2000, from which PostgreSQL counts.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// How a column is typed.
#[derive(Clone, Copy)]
enum Kind {
    Time,
    Id,
    Integer,
    Text,
    Texts,
}

/// One column.
pub(super) struct Column {
    name: &'static str,
    path: &'static [&'static str],
    kind: Kind,
}

const fn column(name: &'static str, path: &'static [&'static str], kind: Kind) -> Column {
    Column { name, path, kind }
}

/// The columns in the order in which rows are sent: what is hashed, then [`COLUMNS`].
pub(super) const NAMES: &str = "(row, project, sequence, id, prev_hash, row_hash, entry, recorded_at, occurred_at, project_id, \
     organization_id, hmac_key_id, schema_version, action, action_category, outcome, outcome_detail, reason, actor_type, actor_id, \
     actor_display, actor_on_behalf_of, principal_type, principal_id, resource_type, resource_id, resource_parent, cascade_root_id, \
     operation_id, phase, request_id, source_ip, user_agent, api_key_id, auth_method, run_id, thread_id, tool, assurance, pii_classes)";

/// The columns that are read from the entry, in the order of [`NAMES`].
pub(super) static COLUMNS: &[Column] = &[
    column("recorded_at", &["recorded_at"], Kind::Time),
    column("occurred_at", &["occurred_at"], Kind::Time),
    column("project_id", &["project_id"], Kind::Id),
    column("organization_id", &["organization_id"], Kind::Id),
    column("hmac_key_id", &["hmac_key_id"], Kind::Integer),
    column("schema_version", &["schema_version"], Kind::Integer),
    column("action", &["action"], Kind::Text),
    column("action_category", &["action_category"], Kind::Text),
    column("outcome", &["outcome"], Kind::Text),
    column("outcome_detail", &["outcome_detail"], Kind::Text),
    column("reason", &["reason"], Kind::Text),
    column("actor_type", &["actor", "type"], Kind::Text),
    column("actor_id", &["actor", "id"], Kind::Text),
    column("actor_display", &["actor", "display"], Kind::Text),
    column("actor_on_behalf_of", &["actor", "on_behalf_of"], Kind::Text),
    column("principal_type", &["principal", "type"], Kind::Text),
    column("principal_id", &["principal", "id"], Kind::Text),
    column("resource_type", &["resource", "type"], Kind::Text),
    column("resource_id", &["resource", "id"], Kind::Text),
    column("resource_parent", &["resource", "parent"], Kind::Text),
    column("cascade_root_id", &["cascade_root_id"], Kind::Text),
    column("operation_id", &["operation_id"], Kind::Text),
    column("phase", &["phase"], Kind::Text),
    column("request_id", &["request", "request_id"], Kind::Text),
    column("source_ip", &["request", "source_ip"], Kind::Text),
    column("user_agent", &["request", "user_agent"], Kind::Text),
    column("api_key_id", &["request", "api_key_id"], Kind::Text),
    column("auth_method", &["request", "auth_method"], Kind::Text),
    column("run_id", &["run", "id"], Kind::Text),
    column("thread_id", &["run", "thread_id"], Kind::Text),
    column("tool", &["context", "tool"], Kind::Text),
    column("assurance", &["assurance"], Kind::Text),
    column("pii_classes", &["pii_classes"], Kind::Texts),
];

/// Adds the fields of an entry; `None` where its bytes are no entry.
pub(super) fn write(entry: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let entry = json::parse(entry).ok()?;
    for column in COLUMNS {
        let member = column.path.iter().try_fold(&entry, |value, name| value.get(name));
        match member {
            Some(member) => field(member, column.kind, out)?,
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }
    Some(())
}

/// Names of [`COLUMNS`], joined by commas.
pub(crate) fn names() -> String {
    COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// The first of [`COLUMNS`], which begin at `first` in a row, that is not what the entry says; `None` where its bytes are no entry, of which
/// nothing can be said.
pub(crate) fn differing(row: &tokio_postgres::Row, first: usize, entry: &[u8]) -> Option<&'static str> {
    let mut said = Vec::new();
    write(entry, &mut said)?;
    let mut rest = said.as_slice();
    COLUMNS.iter().enumerate().find_map(|(at, column)| {
        let (length, after) = rest.split_at_checked(4)?;
        let length = usize::try_from(i32::from_be_bytes(length.try_into().ok()?)).ok();
        let (wanted, after) = after.split_at_checked(length.unwrap_or(0))?;
        rest = after;
        let stored = row.try_get::<_, Option<Stored<'_>>>(first + at).ok()?.map(|stored| stored.0);
        (stored != length.map(|_| wanted)).then_some(column.name)
    })
}

/// A value as it came over the wire.
struct Stored<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Stored<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn field(member: &Value<'_>, kind: Kind, out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Time => bytes_of(out, &(Timestamp::parse(member.as_str()?)?.as_micros() - EPOCH_MICROS).to_be_bytes()),
        Kind::Id => bytes_of(out, Uuid::try_parse(member.as_str()?).ok()?.as_bytes()),
        Kind::Integer => bytes_of(out, &member.as_integer()?.to_be_bytes()),
        // No text of PostgreSQL holds U+0000; the entry, in which it is escaped, does.
        Kind::Text => text(out, member.as_str()?),
        Kind::Texts => {
            let Value::Array(items) = member else { return None };
            let mut list = Vec::new();
            for number in [1, 0, TEXT_OID, items.len() as i32, 1] {
                list.extend_from_slice(&number.to_be_bytes());
            }
            for item in items {
                text(&mut list, item.as_str()?);
            }
            bytes_of(out, &list);
        }
    }
    Some(())
}

/// Of the type `text`.
const TEXT_OID: i32 = 25;

fn text(out: &mut Vec<u8>, text: &str) {
    if text.contains('\0') { bytes_of(out, text.replace('\0', "\u{fffd}").as_bytes()) } else { bytes_of(out, text.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_names_the_columns_in_their_order() {
        let names: Vec<&str> = NAMES.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("a list").0.split(", ").collect();
        let of_entry: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names[7..], of_entry);
    }
}
