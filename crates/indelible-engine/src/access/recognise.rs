//! From a credential to a [`Caller`], and from a caller to the projects it may see.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use indelible_core::json::{Object, Value};
use uuid::Uuid;

use super::{Caller, Envelope, KeyKind, Owner, Proof, Refused, Scope};
use crate::append::{AppendError, EngineEvent};
use crate::ledger::Ledger;
use crate::query::ReadError;
use crate::resource::{ApiKey, Project};
use crate::write::{Privilege, Work};

/// Every key begins so; secret scanners look for it.
const PREFIX: &str = "ind_";
/// How often it is written down that a key is used, microseconds.
const USE_MICROS: i64 = 60 * 1_000_000;
/// Characters of a hyphenated UUID.
const ID_CHARACTERS: usize = 36;
/// Characters of 32 bytes in base64url without padding.
const SECRET_CHARACTERS: usize = 43;

/// The key id and the secret of `ind_<key id>_<43 characters>`.
pub(super) fn parts(credential: &str) -> Option<(Uuid, &str)> {
    let rest = credential.strip_prefix(PREFIX)?;
    if rest.len() != ID_CHARACTERS + 1 + SECRET_CHARACTERS || !rest.is_ascii() {
        return None;
    }
    let (id, secret) = rest.split_at(ID_CHARACTERS);
    let secret = secret.strip_prefix('_')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    Some((Uuid::try_parse(id).ok()?, secret)).filter(|_| secret.bytes().all(plain))
}

/// The credential of a key.
pub(crate) fn credential(id: Uuid, secret: &str) -> String {
    format!("{PREFIX}{}_{secret}", id.hyphenated())
}

/// What is stored of a secret.
pub(crate) fn secret_digest(secret: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    out
}

pub(super) fn actor(kind: &'static str, id: Option<&str>, display: Option<&str>) -> Object<'static> {
    let mut actor = Object::new();
    for (name, text) in [("display", display), ("id", id), ("type", Some(kind))] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            actor.insert(name, Value::string(text.to_owned()));
        }
    }
    actor
}

impl Caller {
    /// The engine itself.
    pub(crate) fn engine() -> Self {
        Self {
            actor: actor("system", Some("indelible"), None),
            proof: Proof::None,
            member: None,
            expires_at: None,
            kind: KeyKind::Application,
            owner: Owner::Instance,
            scopes: Vec::new(),
            envelope: Envelope::default(),
        }
    }

    /// Whoever has a key of the API.
    pub(super) fn of_key(key: &ApiKey, envelope: Envelope) -> Self {
        Self {
            actor: actor("service_account", Some(&key.id.to_string()), Some(&key.name)),
            proof: Proof::ApiKey(key.id),
            expires_at: key.expires_at,
            kind: key.kind,
            owner: key.owner,
            scopes: key.scopes.clone(),
            envelope,
            ..Self::engine()
        }
    }

    /// Someone who was not recognised; may do nothing, and is only ever recorded.
    pub(crate) fn stranger(envelope: Envelope) -> Self {
        Self { actor: actor("anonymous", None, None), envelope, ..Self::engine() }
    }
}

impl Ledger {
    /// Recognises a bearer credential (`ind_<key id>_<43 characters>`) by what every server has acknowledged before now.
    pub async fn recognise(&self, credential: Option<&str>, envelope: Envelope) -> Result<Caller, Refused> {
        self.inner.sharing.look().await.map_err(|_| Refused::Blind)?;
        self.known_by(credential, envelope)
    }

    /// [`Self::recognise`] for threads outside the runtime.
    pub fn authenticate(&self, credential: Option<&str>, envelope: Envelope) -> Result<Caller, Refused> {
        self.inner.sharing.look_blocking().map_err(|_| Refused::Blind)?;
        self.known_by(credential, envelope)
    }

    fn known_by(&self, credential: Option<&str>, envelope: Envelope) -> Result<Caller, Refused> {
        let (id, secret) = parts(credential.ok_or(Refused::Missing)?).ok_or(Refused::Malformed)?;
        let (registry, now) = (&self.inner.registry, self.inner.clock.now());
        let Some(key) = registry.key(id) else { return self.known_person(id, Some(secret), envelope) };
        // What opened with it is stored no more.
        if key.revoked_at.is_some() {
            return Err(Refused::Revoked);
        }
        if !key.credentials.iter().any(|credential| credential.opens(secret, now)) {
            return Err(Refused::Unknown);
        }
        if key.expires_at.is_some_and(|end| end <= now) {
            return Err(Refused::Expired);
        }
        registry.used(id, now, USE_MICROS);
        Ok(Caller::of_key(&key, envelope))
    }

    /// The caller as it is now: what a credential allows may have changed, and the credential may have ended, since the request came. Asked
    /// while nothing else changes resources.
    pub(crate) fn again(&self, caller: &Caller) -> Result<Caller, Refused> {
        let (registry, now, envelope) = (&self.inner.registry, self.inner.clock.now(), caller.envelope.clone());
        match caller.proof {
            Proof::None => Ok(caller.clone()),
            Proof::ApiKey(id) => {
                let key = registry.key(id).ok_or(Refused::Unknown)?;
                match (key.revoked_at, key.expires_at) {
                    (Some(_), _) => Err(Refused::Revoked),
                    (None, Some(end)) if end <= now => Err(Refused::Expired),
                    (None, _) => Ok(Caller::of_key(&key, envelope)),
                }
            }
            Proof::Member(id) | Proof::Session(id) | Proof::Invitation(id) => self.known_person(id, None, envelope),
        }
    }

    /// The operator who holds the data folder: all scopes, actor `human` with the user id that the operating system gives. The
    /// name is what the environment says, which anybody can set: it is shown, and identifies nobody.
    pub fn operator(&self) -> Caller {
        let named = ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty());
        let id = format!("uid-{}", rustix::process::getuid().as_raw());
        Caller {
            actor: actor("human", Some(&id), named.as_deref()),
            scopes: Scope::ALL.to_vec(),
            envelope: Envelope { request_id: self.new_id().to_string(), ..Envelope::default() },
            ..Caller::engine()
        }
    }

    /// Whether what the caller's key belongs to holds this project.
    pub(crate) fn sees(&self, caller: &Caller, project: &Project) -> bool {
        self.inner.registry.is_within(Owner::Project(project.id), caller.owner)
    }

    /// The project a request is for: `asked`, or the key's own; for keys of the instance and of the default organization
    /// that name none, the default project. Not found where the key may not see it, or it is not there.
    pub fn project_of(&self, caller: &Caller, asked: Option<Uuid>) -> Result<Arc<Project>, ReadError> {
        let id = asked.unwrap_or(match caller.owner {
            Owner::Project(id) => id,
            Owner::Instance | Owner::Organization(_) => self.inner.instance.project_id,
        });
        let project = self.inner.registry.project(id).filter(|project| self.sees(caller, project));
        project.ok_or(ReadError::NotFound("project"))
    }

    /// [`Self::project_of`] on behalf of a request: a project that the caller may not see is recorded, in the chain of
    /// what its key belongs to, before it is answered. `action` is what was tried.
    pub async fn project_for(&self, caller: &Caller, asked: Option<Uuid>, action: &'static str) -> Result<Arc<Project>, ReadError> {
        match self.project_of(caller, asked) {
            Ok(project) => Ok(project),
            Err(unseen) => Err(self.unseen(caller, action, unseen).await),
        }
    }

    /// The system project of the instance, for a key of the instance alone: who may read what the instance signs. Everybody else is
    /// answered, and recorded, as for a project that is not there.
    pub(crate) async fn instance_for(&self, caller: &Caller, action: &'static str) -> Result<Arc<Project>, ReadError> {
        match self.inner.registry.system_project(Uuid::nil()).filter(|_| caller.owner == Owner::Instance) {
            Some(project) => Ok(project),
            None => Err(self.unseen(caller, action, ReadError::NotFound("project")).await),
        }
    }

    /// Records that somebody asked for a project that its key does not see, in the chain of what its key belongs to.
    pub(crate) async fn unseen(&self, caller: &Caller, action: &'static str, refused: ReadError) -> ReadError {
        let record = async {
            let home = self.home_of(caller.owner)?;
            let event = EngineEvent::new(caller, &home, action, "deny").because("a project that the key does not see");
            self.record(vec![event]).await
        };
        match record.await {
            Ok(()) => refused,
            Err(unavailable) => unavailable.into(),
        }
    }

    /// Records that a request of a known caller was refused before anything else was asked of the ledger, in the chain of the project
    /// it was for, where it names one that the caller may see and `action` is one on the log; otherwise in that of what its key belongs to.
    pub async fn refused(&self, caller: &Caller, asked: Option<Uuid>, action: &'static str, reason: &str) -> Result<(), AppendError> {
        let about_the_log = matches!(action, "audit.read" | "audit.append_rejected" | "audit.export");
        let named = if about_the_log { self.project_of(caller, asked).ok() } else { None };
        let home = named.map_or_else(|| self.home_of(caller.owner), Ok)?;
        let events = self.prepare_all(vec![EngineEvent::new(caller, &home, action, "error").because(reason)])?;
        // The space that is kept free is for reads.
        let privilege = if matches!(action, "audit.read" | "audit.export") { Privilege::Engine } else { Privilege::Caller };
        self.inner.writer.submit(Work::new(events, privilege)).await.map(|_| ())
    }

    /// The chain in which the doings of a key are recorded that belong to no other.
    pub(crate) fn home_of(&self, owner: Owner) -> Result<Arc<Project>, AppendError> {
        let registry = &self.inner.registry;
        let home = match owner {
            Owner::Project(id) => registry.project(id),
            Owner::Organization(id) => registry.system_project(id),
            Owner::Instance => registry.system_project(Uuid::nil()),
        };
        home.ok_or_else(|| AppendError::Unavailable {
            reason: "the key belongs to nothing that is here".to_owned(),
            outcome_unknown: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_a_credential() {
        let id = Uuid::nil();
        let secret = "A".repeat(SECRET_CHARACTERS);
        assert_eq!(parts(&credential(id, &secret)), Some((id, secret.as_str())));
        let cases = [
            String::new(),
            "ind_".to_owned(),
            credential(id, &secret[1..]),
            credential(id, &format!("{secret}A")),
            credential(id, &format!("{}/", &secret[1..])),
            credential(id, &secret).replace("ind_", "IND_"),
            credential(id, &secret).replace("_A", "-A"),
            credential(id, &secret).replace("0000-", "000g-"),
            credential(id, &format!("é{}", &secret[2..])),
        ];
        for case in cases {
            assert_eq!(parts(&case), None, "{case}");
        }
    }
}
