//! What a stream is at this moment: its document as delivery goes by it, with its secrets opened. Made anew before each delivery, so that what
//! was changed, paused or revoked holds from then on. Secrets are held for no longer.

use std::sync::Arc;

use indelible_core::filter::{Filter, FilterError};
use indelible_core::form::Format;
use indelible_core::frame::Destination;
use indelible_core::time::Timestamp;
use indelible_core::webhook;
use uuid::Uuid;

use super::transport::Route;
use crate::access::Owner;
use crate::ledger::Ledger;
use crate::resource::kinds::audit_streams::{self, AuditStream, Start, State};
use crate::resource::kinds::webhook_signing_keys::{self, WebhookSigningKey};
use crate::resource::{Kept, Project, sealed};

/// A stream that delivers.
pub(super) struct Target {
    pub(super) id: Uuid,
    pub(super) version: u64,
    /// The chain that tells of the stream.
    pub(super) home: Arc<Project>,
    pub(super) route: Arc<Route>,
    pub(super) destination: Destination,
    pub(super) format: Format,
    /// Categories and filter in one.
    pub(super) filter: Option<Filter>,
    /// Events in one delivery.
    pub(super) batch_events: usize,
    pub(super) purpose: Option<String>,
    pub(super) dead_letter_after: Option<u32>,
    headers: Vec<(String, String)>,
    /// Whether deliveries are signed, and with what.
    secrets: Option<Vec<String>>,
}

/// What a stream follows, whether it delivers now or not.
pub(super) struct Followed {
    pub(super) version: u64,
    /// When the stream was last changed.
    pub(super) changed_at: Timestamp,
    owner: Owner,
    /// What was recorded before is not sent; `None` where everything is.
    pub(super) since: Option<Timestamp>,
}

/// Why a stream delivers nothing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Idle {
    /// There is no such stream any more.
    Ended,
    /// Somebody paused it.
    Paused,
    /// Something is missing; one sentence.
    Unready(&'static str),
}

impl Followed {
    /// By the stream of this id.
    pub(super) fn of(ledger: &Ledger, id: Uuid) -> Result<Self, Idle> {
        let kept = kept(ledger, id)?;
        let stream: AuditStream = kept.typed().ok_or(Idle::Unready("its document cannot be read"))?;
        let since = (stream.start == Start::Now).then_some(kept.created_at);
        Ok(Self { version: kept.version, changed_at: kept.updated_at, owner: kept.owner, since })
    }

    /// The projects whose events it sends, each with its number.
    pub(super) fn projects(&self, ledger: &Ledger) -> Vec<(i64, Uuid)> {
        let registry = &ledger.inner.registry;
        match self.owner {
            Owner::Project(id) => registry.number_of(id).map(|number| (number, id)).into_iter().collect(),
            owner => {
                let all = registry.projects();
                all.iter()
                    .filter(|known| registry.is_within(Owner::Project(known.project.id), owner))
                    .map(|known| (known.number, known.project.id))
                    .collect()
            }
        }
    }
}

fn kept(ledger: &Ledger, id: Uuid) -> Result<Arc<Kept>, Idle> {
    ledger.inner.registry.kept(&audit_streams::KIND, id).filter(|kept| kept.ended_at.is_none()).ok_or(Idle::Ended)
}

impl Target {
    /// The stream of this id.
    pub(super) fn of(ledger: &Ledger, id: Uuid) -> Result<Self, Idle> {
        let kept = kept(ledger, id)?;
        let stream: AuditStream = kept.typed().ok_or(Idle::Unready("its document cannot be read"))?;
        if stream.state == State::Paused {
            return Err(Idle::Paused);
        }
        Self::read(ledger, &kept, &stream)
    }

    /// The same for a test: it may be paused, and takes any event, without its content.
    pub(super) fn for_test(ledger: &Ledger, kept: &Kept) -> Result<Self, Idle> {
        let stream: AuditStream = kept.typed().ok_or(Idle::Unready("its document cannot be read"))?;
        Ok(Self { filter: None, purpose: None, ..Self::read(ledger, kept, &stream)? })
    }

    fn read(ledger: &Ledger, kept: &Kept, stream: &AuditStream) -> Result<Self, Idle> {
        let home = ledger.home_of(kept.owner).map_err(|_| Idle::Unready("there is no chain that tells of it"))?;
        let route = stream.route().map_err(|_| Idle::Unready("its url is none of its destination"))?;
        let mut headers: Vec<_> = stream.headers.clone().into_iter().collect();
        for name in stream.secret_headers.keys() {
            let value = opened(ledger, &home, (&audit_streams::KIND, kept), &["secret_headers", name]);
            headers.push((name.clone(), value.ok_or(Idle::Unready("its secret headers cannot be opened"))?));
        }
        let is_signed = stream.destination == audit_streams::Destination::Webhook;
        let secrets = is_signed.then(|| signing_secrets(ledger, &home, kept.owner, stream)).transpose()?;
        Ok(Self {
            id: kept.id,
            version: kept.version,
            route: Arc::new(route),
            destination: stream.destination.framed(),
            format: stream.format.written(),
            filter: filter_of(stream).map_err(|_| Idle::Unready("its filter is not valid"))?,
            batch_events: usize::try_from(stream.batch_events()).unwrap_or(usize::MAX),
            purpose: stream.content_purpose.clone(),
            dead_letter_after: stream.dead_letter_after,
            home,
            headers,
            secrets,
        })
    }

    /// Whether an event is a delivery of its own.
    pub(super) const fn is_single(&self) -> bool {
        self.batch_events == 1
    }

    /// The headers of a delivery: those of the stream, and those by which the receiver knows it (Standard Webhooks), signed at this time.
    pub(super) fn headers(&self, message_id: &str, content_type: &str, now: Timestamp, body: &[u8]) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        headers.push(("content-type".to_owned(), content_type.to_owned()));
        if let Some(secrets) = &self.secrets {
            let seconds = now.as_micros().div_euclid(1_000_000);
            let signature = webhook::signatures(secrets.iter().map(String::as_str), message_id, seconds, body);
            headers.push(("webhook-id".to_owned(), message_id.to_owned()));
            headers.push(("webhook-timestamp".to_owned(), seconds.to_string()));
            headers.extend(signature.map(|signature| ("webhook-signature".to_owned(), signature)));
        }
        headers
    }

    /// A text in which no secret of the stream stands, though its receiver may repeat what it was sent.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let values = self.headers.iter().map(|(_, value)| value.as_str()).chain(self.secrets.iter().flatten().map(String::as_str));
        // A receiver may repeat a token without the word before it. The whole of a value comes first, for its parts lie in it.
        let wholes = values.clone().filter(|value| value.len() >= SECRET_BYTES_MIN);
        let parts = values.flat_map(str::split_ascii_whitespace).filter(|part| part.len() >= SECRET_PART_BYTES_MIN);
        wholes.chain(parts).fold(text.to_owned(), |text, value| text.replace(value, "[REDACTED]"))
    }
}

/// Shorter values of headers are looked for in no answer.
const SECRET_BYTES_MIN: usize = 4;
/// Nor are shorter words of them.
const SECRET_PART_BYTES_MIN: usize = 8;

fn opened(ledger: &Ledger, home: &Project, (kind, kept): (&'static crate::resource::Kind, &Kept), path: &[&str]) -> Option<String> {
    let mut pointer = String::new();
    for name in path {
        indelible_core::json::push_pointer(&mut pointer, name);
    }
    sealed::open(&ledger.inner.keystore, home.organization_id, (kind, kept.id), &pointer, kept.sealed.get(&pointer)?)
}

/// The secrets that sign: of the keys that the stream names; else of the primary keys of its project, or where that has none, of its
/// organization.
fn signing_secrets(ledger: &Ledger, home: &Project, owner: Owner, stream: &AuditStream) -> Result<Vec<String>, Idle> {
    let (registry, kind) = (&ledger.inner.registry, &webhook_signing_keys::KIND);
    let is_named = stream.signing_key_id.is_some();
    let named = stream.signing_keys().filter_map(|(_, id)| registry.kept(kind, Uuid::try_parse(id).ok()?));
    let primary = |owner: Owner| {
        let keys = registry.kept_of(kind, owner).into_iter().filter(|key| key.ended_at.is_none());
        keys.filter(|key| key.typed::<WebhookSigningKey>().is_some_and(|key| key.primary)).collect::<Vec<_>>()
    };
    let keys: Vec<_> = if is_named {
        named.filter(|key| key.ended_at.is_none()).collect()
    } else {
        match primary(owner) {
            own if own.is_empty() && owner != Owner::Organization(home.organization_id) => {
                primary(Owner::Organization(home.organization_id))
            }
            own => own,
        }
    };
    if keys.is_empty() {
        return Err(Idle::Unready("there is no webhook signing key: make one that is primary, or name one"));
    }
    let secrets: Option<Vec<String>> = keys.iter().map(|key| opened(ledger, home, (kind, key), &["secret"])).collect();
    secrets.ok_or(Idle::Unready("its signing key cannot be opened"))
}

/// Categories and filter as one filter.
fn filter_of(stream: &AuditStream) -> Result<Option<Filter>, FilterError> {
    let category = |category: &String| Filter::parse(&format!("action_category eq \"{category}\""));
    let categories = stream.categories.iter().map(category).collect::<Result<Vec<_>, _>>()?;
    let said = stream.filter.as_deref().filter(|text| !text.trim().is_empty()).map(Filter::parse).transpose()?;
    let any = (!categories.is_empty()).then(|| Filter::any_of(categories));
    let all: Vec<Filter> = any.into_iter().chain(said).collect();
    Ok((!all.is_empty()).then(|| Filter::all_of(all)))
}
