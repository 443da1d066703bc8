//! Rotation: a new key serves from the event that tells of it, and what was made under the old ones verifies and opens under them.
//!
//! The key is durable in its file before the event commits, and serves only after: a crash in between leaves a key that
//! nothing uses, and the next rotation takes it up. Which key serves is in the ledger, in the transaction of the event.

use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::hex;
use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::{DataKey, KeyError};
use crate::access::{Caller, Owner, Scope};
use crate::anchor::SigningKeys;
use crate::append::AppendError;
use crate::kms::KeyArn;
use crate::ledger::Ledger;
use crate::resource::{MutateError, Mutation, Project};
use crate::store::StoreError;
use crate::write::{Change, KEYS_CHANGED, STALE};

/// The event that tells of it.
pub(crate) const ROTATE: &str = "key.rotate";
/// `resource.type` of a data key.
pub(crate) const DATA_KEY: &str = "data_key";

/// How often a data key is drawn anew where another server's came first.
pub(super) const TRIES: usize = 5;

/// What is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The ring key, under which chains and submissions are authenticated.
    Hmac,
    /// The key that signs anchors and checkpoints.
    Signing {
        /// A key in KMS; a new one here where none is named.
        kms_key: Option<KeyArn>,
        /// Whether the keys before it sign no more from now on, rather than beside it for a while: one is lost, or somebody else has it.
        retire_old: bool,
    },
    /// The data key of an organization (the default one if not named), under which new contents are sealed.
    Data(Option<Uuid>),
}

impl Rotation {
    /// The kind by its word.
    pub fn parse(kind: &str, organization_id: Option<Uuid>) -> Option<Self> {
        match kind {
            "hmac" => Some(Self::Hmac),
            "signing" => Some(Self::Signing { kms_key: None, retire_old: false }),
            "data" => Some(Self::Data(organization_id)),
            _ => None,
        }
    }

    /// `resource.type` of the event.
    const fn resource(&self) -> &'static str {
        match self {
            Self::Hmac => "hmac_key",
            Self::Signing { .. } => "signing_key",
            Self::Data(_) => DATA_KEY,
        }
    }
}

/// A key that serves now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// `hmac_key`, `signing_key` or `data_key`.
    pub kind: &'static str,
    /// Its number.
    pub id: u64,
    /// Since when.
    pub since: Timestamp,
}

/// A key that is made and does not serve yet.
struct Made {
    id: u64,
    state: Object<'static>,
    changes: Vec<Change>,
    data: Option<Arc<DataKey>>,
}

/// Why there is none.
enum NotMade {
    /// KMS refuses that key, and will again.
    Refused(String),
    /// Another time it may work.
    Unavailable(String),
}

impl From<KeyError> for NotMade {
    fn from(error: KeyError) -> Self {
        let reason = error.to_string();
        match error {
            KeyError::Kms(error) if !error.may_pass() => Self::Refused(reason),
            KeyError::Known(_) => Self::Refused(reason),
            _ => Self::Unavailable(reason),
        }
    }
}

/// What the event about a signing key says of it.
pub(crate) fn signing_state(public_key: &[u8; 32], kms_key: Option<&KeyArn>) -> Object<'static> {
    let mut state = Object::new();
    state.insert("algorithm", Value::string("ed25519"));
    state.insert("public_key", Value::string(hex::encode(public_key)));
    if let Some(arn) = kms_key {
        state.insert("kms_key", Value::string(arn.as_str().to_owned()));
    }
    state
}

/// The member of `context` that names the signing keys that a rotation ended, with spaces between.
pub(crate) const ENDED: &str = "retired";
/// That which says since when they sign no more.
pub(crate) const ENDED_SINCE: &str = "retired_since";

/// What the event about a rotation says of the keys that it ended where no key is needed to read it, so that a verification can.
pub(crate) fn ended(changes: &[Change]) -> Vec<(&'static str, String)> {
    let ended = changes.iter().filter_map(|change| match change {
        Change::RetiredSigningKey { id, since } => Some((id.to_string(), since)),
        _ => None,
    });
    let (ids, since): (Vec<String>, Vec<&Timestamp>) = ended.unzip();
    since.first().map_or_else(Vec::new, |since| vec![(ENDED, ids.join(" ")), (ENDED_SINCE, since.to_string())])
}

impl Ledger {
    /// Makes a new key and lets it serve. For keys with `audit:admin`: of the instance, or of the organization for its data key.
    pub async fn rotate_key(&self, caller: &Caller, rotation: Rotation) -> Result<Rotated, MutateError> {
        let _control = self.control().await?;
        let caller = &self.caller_now(caller, (ROTATE, rotation.resource(), String::new())).await?;
        let home = match self.check_rotation(caller, &rotation) {
            Ok(home) => home,
            Err(error) => return Err(self.refuse(caller, None, (ROTATE, rotation.resource(), String::new()), error).await),
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.rotate(caller, &home, &rotation).await {
                // Another server stored a data key meanwhile, for which nobody needs the lock for changes: it may have the number that this one
                // was to have. What it stored is known then.
                Err(MutateError::Append(AppendError::Unavailable { reason, outcome_unknown: false }))
                    if tries < TRIES && matches!(rotation, Rotation::Data(_)) && [KEYS_CHANGED, STALE].contains(&reason.as_str()) =>
                {
                    self.inner.sharing.look().await?;
                }
                rotated => return rotated,
            }
        }
    }

    async fn rotate(&self, caller: &Caller, home: &Arc<Project>, rotation: &Rotation) -> Result<Rotated, MutateError> {
        let since = self.inner.clock.now();
        let (ledger, wanted, whose) = (self.clone(), rotation.clone(), Arc::clone(home));
        let made = tokio::task::spawn_blocking(move || ledger.make(&wanted, &whose, since)).await;
        let unavailable = |reason: String| AppendError::Unavailable { reason, outcome_unknown: false };
        let Made { id, state, changes, data } = match made.map_err(|error| unavailable(error.to_string()))? {
            Ok(made) => made,
            Err(NotMade::Refused(reason)) => {
                let (home, fault) = (Arc::clone(home), Fault::new(FaultKind::Invalid, "/kms_key", reason));
                return Err(self.refuse(caller, Some(home), (ROTATE, rotation.resource(), String::new()), fault.into()).await);
            }
            Err(NotMade::Unavailable(reason)) => return Err(unavailable(reason).into()),
        };
        // A key that persists although this fails serves from the next start or rotation on; until then the one before it does.
        self.mutate(Mutation {
            caller,
            home: Arc::clone(home),
            action: ROTATE,
            kind: rotation.resource(),
            id: id.to_string(),
            before: None,
            after: Some(Value::Object(state)),
            changes,
            root: None,
        })
        .await?;
        self.serve(rotation, id, data.as_ref());
        Ok(Rotated { kind: rotation.resource(), id, since })
    }

    pub(super) fn check_rotation(&self, caller: &Caller, rotation: &Rotation) -> Result<Arc<Project>, MutateError> {
        if !caller.has(Scope::AuditAdmin) {
            return Err(MutateError::Forbidden(Scope::AuditAdmin.as_str().to_owned()));
        }
        let registry = &self.inner.registry;
        match rotation {
            Rotation::Hmac | Rotation::Signing { .. } if caller.owner != Owner::Instance => {
                Err(MutateError::Forbidden("the instance".to_owned()))
            }
            Rotation::Hmac | Rotation::Signing { .. } => Ok(self.home_of(Owner::Instance)?),
            Rotation::Data(organization_id) => {
                let id = organization_id.unwrap_or(match caller.owner {
                    Owner::Organization(id) => id,
                    Owner::Instance | Owner::Project(_) => self.inner.instance.organization_id,
                });
                if matches!(caller.owner, Owner::Project(_)) {
                    return Err(MutateError::Forbidden("the organization".to_owned()));
                }
                let seen = registry.is_within(Owner::Organization(id), caller.owner);
                registry.system_project(id).filter(|_| seen).ok_or(MutateError::NotFound("organization"))
            }
        }
    }

    fn make(&self, rotation: &Rotation, home: &Project, since: Timestamp) -> Result<Made, NotMade> {
        let inner = &self.inner;
        let key_error = NotMade::from;
        let unreadable = |error: StoreError| NotMade::Unavailable(error.to_string());
        let state = Object::new();
        // What another server made is known: also where its rotation failed, so that nothing in the ledger tells of it.
        inner.keystore.load_newer().map_err(key_error)?;
        match rotation {
            Rotation::Hmac => {
                // A rotation that failed may have persisted after all: its id is taken, and serves.
                let reader = inner.readers.get().map_err(unreadable)?;
                inner.keystore.load_serving(&reader).map_err(key_error)?;
                let id = inner.keystore.newest_ring_id() + 1;
                inner.keystore.make_ring_key(id).map_err(key_error)?;
                Ok(Made { id, state, changes: vec![Change::RingKey { id, since }], data: None })
            }
            Rotation::Signing { kms_key, retire_old } => {
                let known = inner.readers.get().and_then(|reader| SigningKeys::load(&reader)).map_err(unreadable)?;
                let (id, public_key) =
                    inner.keystore.make_signing_key(known.newest() + 1, kms_key.as_ref(), &known.public_keys()).map_err(key_error)?;
                let mut state = signing_state(&public_key, kms_key.as_ref());
                let mut changes = vec![Change::SigningKey { id, public_key, since }];
                if *retire_old {
                    let retired = known.signing(since);
                    state.insert("retired", Value::Array(retired.iter().map(|id| Value::integer(id.cast_signed())).collect()));
                    changes.extend(retired.into_iter().map(|id| Change::RetiredSigningKey { id, since }));
                }
                Ok(Made { id, state, changes, data: None })
            }
            Rotation::Data(_) => {
                let key = inner.data_keys.draw(home.organization_id, since).map_err(key_error)?;
                let id = key.id.unsigned_abs();
                Ok(Made { id, state, changes: vec![Change::DataKey(Arc::clone(&key))], data: Some(key) })
            }
        }
    }

    fn serve(&self, rotation: &Rotation, id: u64, data: Option<&Arc<DataKey>>) {
        match (rotation, data) {
            (Rotation::Hmac, _) => self.inner.keystore.serve_ring_key(id),
            (Rotation::Data(_), Some(key)) => self.inner.data_keys.serve(key),
            // The next pass of sealing reads which keys sign.
            _ => {}
        }
    }
}
