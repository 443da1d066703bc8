//! What the ledger tells of earlier findings: the engine's own events `integrity.finding` and `integrity.clear`, as they are met.
//!
//! So nothing beside the ledger has to remember what was told. No client can append these actions, and one that somebody puts
//! there by another way is a finding itself.

use std::collections::BTreeMap;

use indelible_core::json::{self, Object, Value};
use uuid::Uuid;

/// The action of an event that tells of a finding.
pub(crate) const FINDING: &str = "integrity.finding";
/// The action of one that tells that it is there no more.
pub(crate) const CLEAR: &str = "integrity.clear";
/// The member of `context` by which both are known.
pub(crate) const FINGERPRINT: &str = "fingerprint";
/// The member of `context` that names the project concerned.
pub(crate) const CONCERNS: &str = "project_id";
/// How the entries of both begin.
const BEGINNING: &[u8] = b"{\"action\":\"integrity.";

/// A finding that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// The project that it concerns.
    pub(crate) project_id: Uuid,
    /// The project in whose chain it was told.
    pub(crate) told_in: Uuid,
    /// `resource.type` and `resource.id` of the event.
    pub(crate) place: (String, String),
}

/// Findings that were told and are not told to be gone, by fingerprint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) open: BTreeMap<String, Open>,
}

impl Told {
    /// Takes note of the entry of a row of `project_id`; rows come in the order in which they were written.
    pub(crate) fn entry(&mut self, project_id: Uuid, entry: &[u8]) {
        if !entry.starts_with(BEGINNING) {
            return;
        }
        let Ok(Value::Object(members)) = json::parse(entry) else { return };
        let Some(fingerprint) = within(&members, "context", FINGERPRINT) else { return };
        match members.get("action").and_then(Value::as_str) {
            Some(FINDING) => {
                let place = |name| within(&members, "resource", name).unwrap_or_default().to_owned();
                let concerned = within(&members, "context", CONCERNS).and_then(|id| Uuid::try_parse(id).ok());
                let open = Open { project_id: concerned.unwrap_or(project_id), told_in: project_id, place: (place("type"), place("id")) };
                self.open.insert(fingerprint.to_owned(), open);
            }
            Some(CLEAR) => {
                self.open.remove(fingerprint);
            }
            _ => {}
        }
    }
}

fn within<'v>(object: &'v Object<'_>, name: &str, member: &str) -> Option<&'v str> {
    object.get(name)?.as_object()?.get(member)?.as_str()
}
