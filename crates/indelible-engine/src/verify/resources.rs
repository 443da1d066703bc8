//! Stored resources and signing keys against the events about them: a key that no event tells of was put there by a hand other than the
//! ledger's.
//!
//! Looked for is the event of its making, by action, resource and chain, which no client can append. The states
//! themselves are not compared: they lie in sealed contents, and the digest of a key's secret in none of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_lc_rs::digest::{Context, SHA256};
use indelible_core::chain::Hash;
use indelible_core::json::{self, Object, Value};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

/// What comes after the name of the first member of an entry, its action.
const BEGINNING: &[u8] = b"{\"action\":\"";
/// `resource.type` of a key that signs, whose action is `key.create`.
const SIGNING_KEY: &str = "signing_key";
/// The verb of the events looked for.
const MADE: &[u8] = b".create";

/// Resources, by whether their event was met so far.
#[derive(Default)]
pub(super) struct Resources {
    untold: BTreeSet<Name>,
    /// Those whose event was met, and its sequence.
    told: BTreeMap<Name, u64>,
}

/// Project, type, id, as they are stored.
type Name = (String, String, String);

impl Resources {
    /// Reads which there are.
    pub(super) fn load(ledger: &Connection) -> Result<Self, rusqlite::Error> {
        let mut statement = ledger.prepare("SELECT project_id, type, id FROM resources")?;
        let mut untold: BTreeSet<_> =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
        let system = ledger.query_row("SELECT value FROM instance WHERE key = 'system_project_id'", [], |row| row.get(0)).optional()?;
        let system: String = system.unwrap_or_default();
        let mut statement = ledger.prepare("SELECT id FROM signing_keys")?;
        for id in statement.query_map([], |row| row.get::<_, i64>(0))? {
            untold.insert((system.clone(), SIGNING_KEY.to_owned(), id?.to_string()));
        }
        Ok(Self { untold, told: BTreeMap::new() })
    }

    /// Takes note of the entry of a row of `project_id`.
    pub(super) fn entry(&mut self, project_id: Uuid, sequence: u64, entry: &[u8]) {
        let Some(noun) = made(entry).filter(|_| !self.untold.is_empty()) else { return };
        let Ok(Value::Object(members)) = json::parse(entry) else { return };
        let Some(Value::Object(resource)) = members.get("resource") else { return };
        let (kind, id) = (text(resource, "type"), text(resource, "id"));
        let of_its_kind = kind == Some(noun) || (noun, kind) == ("key", Some(SIGNING_KEY));
        if let (Some("allow"), true, Some(kind), Some(id)) = (text(&members, "outcome"), of_its_kind, kind, id) {
            let name = (project_id.to_string(), kind.to_owned(), id.to_owned());
            if self.untold.remove(&name) {
                self.told.insert(name, sequence);
            }
        }
    }

    /// Digest of those of which no event told.
    pub(super) fn digest_untold(&self) -> Hash {
        digest(self.untold.iter())
    }

    /// Digest of those whose event lies within the first rows of its project, so many.
    pub(super) fn digest_within(&self, sizes: &HashMap<Uuid, u64>) -> Hash {
        let size = |name: &Name| Uuid::try_parse(&name.0).ok().and_then(|id| sizes.get(&id).copied()).unwrap_or(0);
        digest(self.told.iter().filter(|(name, sequence)| **sequence < size(name)).map(|(name, _)| name))
    }

    /// Those of which no event told: the project they name, and one sentence.
    pub(super) fn untold(self) -> impl Iterator<Item = (Option<Uuid>, String)> {
        self.untold.into_iter().map(|(project_id, kind, id)| {
            let detail = format!("no event tells of the making of the stored resource {kind} {id}");
            (Uuid::try_parse(&project_id).ok(), detail)
        })
    }
}

fn digest<'n>(names: impl Iterator<Item = &'n Name>) -> Hash {
    let mut context = Context::new(&SHA256);
    for (project_id, kind, id) in names {
        for part in [project_id, kind, id] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The noun of an action that makes something.
fn made(entry: &[u8]) -> Option<&str> {
    let rest = entry.strip_prefix(BEGINNING)?;
    let action = &rest[..rest.iter().position(|byte| *byte == b'"')?];
    std::str::from_utf8(action.strip_suffix(MADE)?).ok()
}

fn text<'v>(object: &'v Object<'_>, name: &str) -> Option<&'v str> {
    match object.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
