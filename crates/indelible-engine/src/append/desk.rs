//! The desk at which events are made ready: MAC, redaction, sealing, draft. It works on the caller's own thread, on
//! as many at once as there are callers, and hands the writer nothing that is left to be redacted.

use std::cell::RefCell;
use std::sync::Arc;

use indelible_core::entry::{Draft, Provenance, Stamp};
use indelible_core::event::Submission;
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json;
use indelible_core::limits::ENTRY_BYTES_MAX;
use indelible_core::redact::Rules;
use indelible_core::seal::{Address, Sealed, Sealer, wrap_key};
use uuid::Uuid;

use super::{Prepared, PreparedContent};
use crate::access::{Caller, Owner};
use crate::clock::Clock;
use crate::keystore::{DataKeys, KeyError, KeyStore, new_id, random_secret};
use crate::resource::kinds::{event_schemas, redaction_rules};
use crate::resource::registry::Registry;
use crate::resource::rulebook::Rulebook;
use crate::resource::schemabook::Schemabook;
use crate::resource::{DOCUMENT, Kind, Project};

/// Bytes of a prepared event beside its content and its draft, roughly.
const OVERHEAD_BYTES: usize = 512;

thread_local! {
    /// The compressor is costly to make and cannot be shared.
    static SEALER: RefCell<Sealer> = RefCell::new(Sealer::new());
}

/// Who hands an event in, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorder<'a> {
    /// See [`Provenance::assurance`].
    pub(crate) assurance: &'static str,
    /// The key.
    pub(crate) api_key_id: Option<Uuid>,
    /// `http`, `import`, `append`, `engine`
    pub(crate) path: &'a str,
}

/// What would be stored of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// Its entry, JSON, without what only its place in the chain gives.
    pub entry: Vec<u8>,
    /// Its content, JSON, as it would be sealed.
    pub content: Option<Vec<u8>>,
}

/// Members of an entry that only its place in the chain gives.
const PLACED: [&str; 3] = ["hmac_key_id", "recorded_at", "sequence"];

/// Everything that making an event ready needs.
pub(crate) struct Desk {
    pub(crate) keystore: Arc<KeyStore>,
    pub(crate) data_keys: Arc<DataKeys>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Rulebook,
    pub(crate) schemas: Schemabook,
}

impl Desk {
    /// Over what is known now, its rules and schemas among it.
    pub(crate) fn new((keystore, data_keys): (&Arc<KeyStore>, &Arc<DataKeys>), registry: &Arc<Registry>, clock: &Arc<dyn Clock>) -> Self {
        let desk = Self {
            keystore: Arc::clone(keystore),
            data_keys: Arc::clone(data_keys),
            registry: Arc::clone(registry),
            clock: Arc::clone(clock),
            rules: Rulebook::new(),
            schemas: Schemabook::new(),
        };
        desk.settle_all();
        desk
    }

    /// A UUIDv7 of now.
    pub(crate) fn new_id(&self) -> Result<Uuid, KeyError> {
        new_id(self.clock.now())
    }

    /// Takes in what is committed of redaction rules and event schemas.
    pub(crate) fn settle_all(&self) {
        self.rules.settle_all(&self.registry);
        self.schemas.settle_all(&self.registry);
    }

    /// Takes in a change of one of these.
    pub(crate) fn settle(&self, kind: &'static Kind, owner: Owner) {
        if kind.noun == redaction_rules::KIND.noun {
            self.rules.settle(&self.registry, owner);
        } else if kind.noun == event_schemas::KIND.noun {
            self.schemas.settle(&self.registry, owner);
        }
    }

    /// Makes one event of a project ready. `number` stands for the project in the store; `own` is for an event of the engine, whose
    /// id was drawn here.
    pub(crate) fn prepare(
        &self,
        project: &Project,
        number: i64,
        recorder: Recorder<'_>,
        submission: Submission<'_>,
        own: bool,
    ) -> Result<Prepared, Fault> {
        let id = submission.id();
        // Asked before anything of them is used: what changes after this shows.
        let rulings = (!own).then(|| self.registry.rulings(project));
        let ring_id = self.keystore.newest_ring_id();
        let keys = self.keystore.project_keys(project.id, ring_id).ok_or_else(|| no_key(&KeyError::NoRandomness))?;
        let submission_mac = keys.submission_mac(&submission);
        let older_macs = (1..ring_id)
            .filter_map(|older| Some((older, self.keystore.project_keys(project.id, older)?.submission_mac(&submission))))
            .collect();
        let draft_bytes = submission.canonical().len().min(ENTRY_BYTES_MAX);
        let breaches = if own { None } else { self.schemas.check(project, &submission) };
        let rules = self.rules.for_event(project, &submission);
        // What changed in a resource is told by the standard rules alone: else the rules of a tenant would blank what is to be replayed.
        let redacted =
            if own { rules.redact_own(submission, &keys, DOCUMENT, self.rules.standard())? } else { rules.redact(submission, &keys)? };
        let sealed = redacted.content().map(|json| self.seal(project, id, json)).transpose().map_err(|error| no_key(&error))?;
        let api_key_id = recorder.api_key_id.map(|id| id.hyphenated().to_string());
        let provenance = Provenance {
            organization_id: project.organization_id,
            project_id: project.id,
            assurance: recorder.assurance,
            api_key_id: api_key_id.as_deref(),
            path: recorder.path,
        };
        let draft = Draft::new(&redacted, sealed.as_ref().map(|(sealed, ..)| sealed), &provenance);
        let content = sealed.map(|(sealed, wrap, data_key)| PreparedContent { stored: sealed.stored, wrap, data_key });
        let bytes = OVERHEAD_BYTES + draft_bytes + content.as_ref().map_or(0, |content| content.stored.len());
        Ok(Prepared {
            project: number,
            project_id: project.id,
            id,
            draft,
            keys,
            submission_mac,
            older_macs,
            content,
            breaches,
            rulings,
            fresh_id: own,
            bytes,
        })
    }

    /// What would be stored of an event that a caller hands in, under these rules. Nothing is.
    pub(crate) fn rehearse(
        &self,
        project: &Project,
        caller: &Caller,
        submission: Submission<'_>,
        rules: &Rules,
    ) -> Result<Rehearsed, Fault> {
        let ring_id = self.keystore.newest_ring_id();
        let keys = self.keystore.project_keys(project.id, ring_id).ok_or_else(|| no_key(&KeyError::NoRandomness))?;
        let redacted = rules.redact(submission, &keys)?;
        let api_key_id = caller.known_by().map(|id| id.hyphenated().to_string());
        let provenance = Provenance {
            organization_id: project.organization_id,
            project_id: project.id,
            assurance: caller.kind.assurance(),
            api_key_id: api_key_id.as_deref(),
            path: "http",
        };
        let stamp = Stamp { sequence: 0, recorded_at: self.clock.now(), hmac_key_id: ring_id };
        let entry = Draft::new(&redacted, None, &provenance).stamp(&stamp)?;
        let mut entry = json::parse(entry.bytes())?.into_owned();
        if let json::Value::Object(members) = &mut entry {
            for name in PLACED {
                members.remove(name);
            }
        }
        Ok(Rehearsed { entry: entry.to_canonical(), content: redacted.content().map(<[u8]>::to_vec) })
    }

    fn seal(
        &self,
        project: &Project,
        event_id: Uuid,
        json: &[u8],
    ) -> Result<(Sealed, indelible_core::seal::Wrapped, Arc<crate::keystore::DataKey>), KeyError> {
        let data_key = self.data_keys.current(project.organization_id, self.clock.now())?;
        let wrapping = data_key.secret.as_ref().ok_or(KeyError::NoOrganizationKey(project.organization_id))?;
        let content_key = random_secret()?;
        let address = Address { organization_id: project.organization_id, project_id: project.id, event_id };
        let sealed = SEALER.with_borrow_mut(|sealer| sealer.seal(json, &address, &content_key));
        let wrap = wrap_key(wrapping, &content_key);
        Ok((sealed, wrap, data_key))
    }
}

/// Content that cannot be sealed is not taken: it would be stored readable, or not at all.
pub(super) fn no_key(error: &KeyError) -> Fault {
    Fault::new(FaultKind::Invalid, "/content", format!("it cannot be sealed: {error}"))
}
