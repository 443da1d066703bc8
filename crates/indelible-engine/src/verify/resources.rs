//! Stored resources and signing keys against the events about them: one that no event tells of was put there by a hand other than the
//! ledger's, and so was one that is not what the last event about it commits to.
//!
//! The event of every change commits to the document that was written with it, by a MAC in its `context` ([`DOCUMENT`]); no
//! client can append such an event, for it would have to have come in by way of the engine. Of a signing key its making is looked for, and
//! its end, if it was ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_lc_rs::digest::{Context, SHA256};
use indelible_core::chain::Hash;
use indelible_core::hex;
use indelible_core::json::{self, Object, Value};
use indelible_core::time::Timestamp;
use memchr::memmem::Finder;
use uuid::Uuid;

use super::walk::Keys;
use crate::keystore::{ENDED, ENDED_SINCE, ROTATE};
use crate::resource::DOCUMENT;
use crate::store::sql::{Connection, OptionalExtension, Row, SqlError};

/// What comes after the name of the first member of an entry, its action.
const BEGINNING: &[u8] = b"{\"action\":\"";
/// The action of the first signing key's making; the others come by [`ROTATE`].
const KEY_MADE: &str = "key.create";
/// `resource.type` of a key that signs.
const SIGNING_KEY: &str = "signing_key";

/// Project, type, id, as they are stored.
type Name = (String, String, String);

/// What is stored, and what was told of it so far.
pub(super) struct Resources {
    /// Version and body.
    stored: BTreeMap<Name, (i64, String)>,
    /// Signing keys.
    keys: BTreeSet<Name>,
    /// Those of whose making an event told, and its sequence.
    made: BTreeMap<Name, u64>,
    /// What the last event about each commits to.
    told: BTreeMap<Name, String>,
    /// The system project of the instance, in whose chain the signing keys are told of.
    system: String,
    /// Since when signing keys sign no more, microseconds: as it is stored, and as events tell.
    ended: BTreeMap<i64, i64>,
    told_ended: BTreeMap<i64, i64>,
    speaks: Finder<'static>,
}

impl Default for Resources {
    fn default() -> Self {
        let speaks = Finder::new(format!("\"{DOCUMENT}\":\"").as_bytes()).into_owned();
        let (stored, keys, made, told) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let (system, ended, told_ended) = (String::new(), BTreeMap::new(), BTreeMap::new());
        Self { stored, keys, made, told, system, ended, told_ended, speaks }
    }
}

/// A text; bytes that are none become another one, which no event commits to.
fn readable(row: &Row<'_>, at: usize) -> Result<String, SqlError> {
    row.get_ref(at).map(|text| String::from_utf8_lossy(text.as_bytes().unwrap_or_default()).into_owned())
}

impl Resources {
    /// Reads which there are.
    pub(super) fn load(ledger: &Connection) -> Result<Self, SqlError> {
        let mut resources = Self::default();
        let mut statement = ledger.prepare("SELECT project_id, type, id, version, body FROM resources")?;
        let rows = statement.query_map([], |row| {
            let name = (readable(row, 0)?, readable(row, 1)?, readable(row, 2)?);
            Ok((name, (row.get(3)?, readable(row, 4)?)))
        })?;
        resources.stored = rows.collect::<Result<_, _>>()?;
        let system = "SELECT value FROM instance WHERE key = 'system_project_id'";
        let system = ledger.query_row(system, [], |row| readable(row, 0)).optional()?.unwrap_or_default();
        let mut statement = ledger.prepare("SELECT id FROM signing_keys")?;
        for id in statement.query_map([], |row| row.get::<_, i64>(0))? {
            resources.keys.insert((system.clone(), SIGNING_KEY.to_owned(), id?.to_string()));
        }
        let mut statement = ledger.prepare("SELECT id, since FROM retired_signing_keys")?;
        resources.ended = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        resources.system = system;
        Ok(resources)
    }

    /// Takes note of the entry of a row of `project_id`.
    pub(super) fn entry(&mut self, project_id: Uuid, sequence: u64, entry: &[u8]) {
        let key = makes_a_key(entry);
        if !key && self.speaks.find(entry).is_none() {
            return;
        }
        let Ok(Value::Object(members)) = json::parse(entry) else { return };
        let (Some(resource), Some(recorder)) = (object(&members, "resource"), object(&members, "recorder")) else { return };
        let (Some(kind), Some(id)) = (text(resource, "type"), text(resource, "id")) else { return };
        if text(recorder, "path") != Some("engine") || text(&members, "outcome") != Some("allow") {
            return;
        }
        let name = (project_id.to_string(), kind.to_owned(), id.to_owned());
        let context = object(&members, "context");
        if key && kind == SIGNING_KEY && name.0 == self.system {
            self.told_ended.extend(context.into_iter().flat_map(ended));
        }
        let document = context.and_then(|context| text(context, DOCUMENT));
        let is_made = key && kind == SIGNING_KEY || document.is_some_and(|document| document.starts_with("1:"));
        if is_made && (self.keys.contains(&name) || self.stored.contains_key(&name)) {
            self.made.entry(name.clone()).or_insert(sequence);
        }
        if let Some(document) = document {
            self.told.insert(name, document.to_owned());
        }
    }

    fn unmade(&self) -> impl Iterator<Item = &Name> {
        let all: BTreeSet<&Name> = self.keys.iter().chain(self.stored.keys()).collect();
        all.into_iter().filter(|name| !self.made.contains_key(*name))
    }

    /// Digest of those of whose making no event told.
    pub(super) fn digest_unmade(&self) -> Hash {
        digest(self.unmade())
    }

    /// Digest of those that were made within the first rows of their project, so many; and of those of whose making no event told, which
    /// were made in rows that were not read again, if that is nothing to complain of.
    pub(super) fn digest_within(&self, sizes: &HashMap<Uuid, u64>) -> Hash {
        let size = |name: &Name| Uuid::try_parse(&name.0).ok().and_then(|id| sizes.get(&id).copied()).unwrap_or(0);
        let within = self.made.iter().filter(|(name, sequence)| **sequence < size(name)).map(|(name, _)| name);
        digest(self.unmade().chain(within).collect::<BTreeSet<_>>().into_iter())
    }

    /// What the events do not explain: the project it is about, and one sentence. Of `only` one project, where one is given: the rows
    /// of others were not read.
    pub(super) fn unexplained(&self, keys: &dyn Keys, only: Option<Uuid>) -> Vec<(Option<Uuid>, String)> {
        let unmade = self.unmade().map(|name| (name, "no event tells of the making of the stored resource"));
        let unmade = unmade.filter(|(name, _)| is_asked(name, only)).map(sentence);
        let untold = self.ended.keys().filter(|id| !self.told_ended.contains_key(*id));
        let untold = untold.map(|id| self.of_key(*id, "no event tells of the end of"));
        unmade
            .chain(untold.filter(|(name, _)| is_asked(name, only)).map(|(name, what)| sentence((&name, what))))
            .chain(self.otherwise(keys, only))
            .collect()
    }

    fn of_key<'w>(&self, id: i64, what: &'w str) -> (Name, &'w str) {
        ((self.system.clone(), SIGNING_KEY.to_owned(), id.to_string()), what)
    }

    /// Those of which the last event that was read tells otherwise.
    pub(super) fn otherwise(&self, keys: &dyn Keys, only: Option<Uuid>) -> Vec<(Option<Uuid>, String)> {
        let told = self.told.iter().filter(|(name, _)| is_asked(name, only));
        let wrong = told.filter_map(|(name, told)| match self.stored.get(name) {
            None => Some((name, "events tell of a document, and none is stored for the resource")),
            Some((version, body)) if commits(told, name, *version, body, keys) => None,
            Some(_) => Some((name, "the last event about it tells of another document than is stored for the resource")),
        });
        let ended = self.told_ended.iter().filter_map(|(id, since)| match self.ended.get(id) {
            None => Some(self.of_key(*id, "an event tells of an end, and none is stored, of")),
            Some(stored) if stored != since => Some(self.of_key(*id, "an event tells of another time of the end of")),
            Some(_) => None,
        });
        let ended = ended.filter(|(name, _)| is_asked(name, only));
        wrong.map(sentence).chain(ended.map(|(name, what)| sentence((&name, what)))).collect()
    }
}

/// The signing keys that a rotation ended, and since when, by the `context` of its event.
fn ended(context: &Object<'_>) -> Vec<(i64, i64)> {
    let since = text(context, ENDED_SINCE).and_then(Timestamp::parse).map(Timestamp::as_micros);
    let ids = text(context, ENDED).unwrap_or_default().split(' ').filter_map(|id| id.parse().ok());
    since.map_or_else(Vec::new, |since| ids.map(|id| (id, since)).collect())
}

fn is_asked(name: &Name, only: Option<Uuid>) -> bool {
    only.is_none_or(|only| Uuid::try_parse(&name.0).ok().is_none_or(|id| id == only))
}

fn sentence((name, what): (&Name, &str)) -> (Option<Uuid>, String) {
    (Uuid::try_parse(&name.0).ok(), format!("{what} {} {}", name.1, name.2))
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

/// Whether its action is one by which keys that sign come.
fn makes_a_key(entry: &[u8]) -> bool {
    let Some(rest) = entry.strip_prefix(BEGINNING) else { return false };
    [KEY_MADE, ROTATE].iter().any(|action| rest.strip_prefix(action.as_bytes()).is_some_and(|rest| rest.starts_with(b"\"")))
}

/// Whether what an event commits to is this document. A ring key that is not there is told of where rows are verified.
fn commits(told: &str, (project_id, kind, id): &Name, version: i64, body: &str, keys: &dyn Keys) -> bool {
    let mut parts = told.splitn(3, ':');
    let (Some(told_version), Some(ring), Some(mac)) = (parts.next(), parts.next(), parts.next()) else { return false };
    if told_version != version.to_string() {
        return false;
    }
    let (Ok(project_id), Ok(ring)) = (Uuid::try_parse(project_id), ring.parse()) else { return false };
    let Some(keys) = keys.project_keys(project_id, ring) else { return true };
    hex::encode(&keys.document_mac(kind, id, version.unsigned_abs(), body)) == mac
}

fn object<'v, 'a>(object: &'v Object<'a>, name: &str) -> Option<&'v Object<'a>> {
    match object.get(name) {
        Some(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn text<'v>(object: &'v Object<'_>, name: &str) -> Option<&'v str> {
    match object.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
