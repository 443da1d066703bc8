//! Secret members of resources ([`Rare::secrets`](super::kind::Rare::secrets)): sealed in the stored row, and `[SEALED]` in the
//! document that everything else sees. From the reading of a request on no document holds a secret, so no event, answer, list or
//! log can show one.
//!
//! Each is sealed under a key of its own, which is wrapped under the key of the organization (of the instance, for what belongs to
//! that), and bound to organization, kind, id and member. Data keys do not matter to it: they may be rotated without sealing it anew,
//! and when the organization's key is destroyed it is gone. What is given again with a change is sealed anew.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::push_pointer;
use indelible_core::{hex, seal};
use serde_json::Value;
use uuid::Uuid;

use super::MutateError;
use super::kept::Kept;
use super::kind::Kind;
use crate::append::AppendError;
use crate::keystore::{KeyError, KeyStore, random_bytes, random_secret};

/// What stands in a document in the place of a secret.
pub const SEALED: &str = "[SEALED]";
/// Bytes of a secret at most.
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a wrap, with which a sealed member begins.
const WRAP_BYTES: usize = 40;

/// Sealed members by their pointers: base64 of wrap and sealed secret.
pub(crate) type Sealed = BTreeMap<String, String>;

/// A secret that was made here, to be shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// The member of the document.
    pub member: &'static str,
    /// The secret.
    pub text: String,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({})", self.member)
    }
}

/// A document without its secrets, and the secrets by their pointers; one that stays as it is is [`SEALED`].
pub(super) struct Parted {
    pub(super) document: String,
    pub(super) secrets: Vec<(String, String)>,
}

/// Takes the secrets out of a document that was read.
pub(super) fn part(kind: &Kind, document: String) -> Result<Parted, Fault> {
    if kind.rare.secrets.is_empty() {
        return Ok(Parted { document, secrets: Vec::new() });
    }
    let mut value: Value = serde_json::from_str(&document).map_err(|error| Fault::new(FaultKind::Invalid, "", error.to_string()))?;
    let mut secrets = Vec::new();
    for pattern in kind.rare.secrets {
        let path: Vec<&str> = pattern.split('/').skip(1).collect();
        take(&mut value, &path, &mut String::new(), &mut secrets);
    }
    if let Some((pointer, _)) = secrets.iter().find(|(_, secret)| secret.is_empty() || secret.len() > SECRET_BYTES_MAX) {
        return Err(Fault::new(FaultKind::Invalid, pointer.clone(), format!("has 1 to {SECRET_BYTES_MAX} bytes")));
    }
    Ok(Parted { document: value.to_string(), secrets })
}

fn take(value: &mut Value, path: &[&str], pointer: &mut String, secrets: &mut Vec<(String, String)>) {
    let Some((first, rest)) = path.split_first() else {
        if let Value::String(text) = value {
            secrets.push((pointer.clone(), std::mem::replace(text, SEALED.to_owned())));
        }
        return;
    };
    let Value::Object(members) = value else { return };
    for (name, value) in members.iter_mut().filter(|(name, _)| *first == "*" || name == first) {
        let length = pointer.len();
        push_pointer(pointer, name);
        take(value, rest, pointer, secrets);
        pointer.truncate(length);
    }
}

/// Draws the secret members that are made here: the document with them, and what is shown of them.
pub(super) fn draw(kind: &Kind, document: String) -> Result<(String, Vec<Shown>), MutateError> {
    if kind.rare.drawn.is_empty() {
        return Ok((document, Vec::new()));
    }
    let mut value: Value = serde_json::from_str(&document).map_err(|error| Fault::new(FaultKind::Invalid, "", error.to_string()))?;
    let mut shown = Vec::new();
    for drawn in kind.rare.drawn {
        let text = (drawn.make)(&random_bytes::<32>().map_err(|error| unavailable(&error))?);
        if value.get(drawn.member).is_some() {
            return Err(Fault::new(FaultKind::Invalid, format!("/{}", drawn.member), "is made by Indelible, and not given").into());
        }
        if let Value::Object(members) = &mut value {
            members.insert(drawn.member.to_owned(), Value::String(text.clone()));
        }
        shown.push(Shown { member: drawn.member, text });
    }
    value.sort_all_objects();
    Ok((value.to_string(), shown))
}

/// Whose a sealed member is: nobody can move it to another.
fn about(organization_id: Uuid, kind: &Kind, id: Uuid, pointer: &str) -> Vec<u8> {
    [organization_id.as_bytes(), kind.noun.as_bytes(), &[0], id.as_bytes(), pointer.as_bytes()].concat()
}

/// Seals the secrets of a resource of `organization_id`; those that stay as they are are taken from `before`.
pub(super) fn seal_all(
    keystore: &KeyStore,
    organization_id: Uuid,
    (kind, id): (&Kind, Uuid),
    secrets: Vec<(String, String)>,
    before: Option<&Kept>,
) -> Result<Sealed, MutateError> {
    let mut sealed = Sealed::new();
    for (pointer, secret) in secrets {
        let drawn = before.is_some() && kind.rare.drawn.iter().any(|drawn| pointer[1..] == *drawn.member);
        let text = if secret == SEALED {
            let stays = before.and_then(|before| before.sealed.get(&pointer)).cloned();
            stays.ok_or_else(|| Fault::new(FaultKind::Invalid, pointer.clone(), "is not sealed yet: give the secret itself"))?
        } else if drawn {
            return Err(Fault::new(FaultKind::Invalid, pointer, "is made by Indelible, and not given").into());
        } else {
            let key = random_secret().map_err(|error| unavailable(&error))?;
            let wrap = keystore.wrap_data_key(organization_id, &key).map_err(|error| unavailable(&error))?;
            let bytes = seal::seal_secret(secret.as_bytes(), &about(organization_id, kind, id, &pointer), &key);
            let text = STANDARD.encode([wrap.as_slice(), &bytes].concat());
            // None is taken that could not be used.
            if open(keystore, organization_id, (kind, id), &pointer, &text).as_ref() != Some(&secret) {
                return Err(unavailable(&KeyError::NoOrganizationKey(organization_id)));
            }
            text
        };
        sealed.insert(pointer, text);
    }
    Ok(sealed)
}

/// Opens a sealed member; `None` where it is another's, or the organization's key is gone.
pub(crate) fn open(keystore: &KeyStore, organization_id: Uuid, (kind, id): (&Kind, Uuid), pointer: &str, sealed: &str) -> Option<String> {
    let stored = STANDARD.decode(sealed).ok()?;
    let (wrap, bytes) = stored.split_at_checked(WRAP_BYTES)?;
    let key = keystore.unwrap_data_key(organization_id, wrap)?;
    let secret = seal::open_secret(bytes, &about(organization_id, kind, id, pointer), &key).ok()?;
    String::from_utf8(secret).ok()
}

/// What an event is told in the place of a sealed member, so that its change shows among what changed.
pub(super) fn mark(sealed: &str) -> String {
    format!("[SEALED:{}]", hex::encode(&digest(&SHA256, sealed.as_bytes()).as_ref()[..8]))
}

/// Without keys or random bytes nothing is sealed.
pub(super) fn unavailable(error: &KeyError) -> MutateError {
    AppendError::Unavailable { reason: error.to_string(), outcome_unknown: false }.into()
}

#[cfg(test)]
mod tests {
    use super::super::kinds::{audit_streams, webhook_signing_keys};
    use super::super::{Done, Kept};
    use super::*;
    use crate::access::{Caller, Envelope};
    use crate::{Ledger, Options};

    fn wait<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    fn open_at(data: &std::path::Path) -> (Ledger, Caller) {
        let ledger = Ledger::open(Options { disk_reserve_bytes: 0, ..Options::new(data) }).expect("it opens").ledger;
        let key = std::fs::read_to_string(data.join("admin.key")).expect("a key file");
        let caller = ledger.authenticate(Some(key.trim()), Envelope::default()).expect("a key");
        (ledger, caller)
    }

    fn opened(ledger: &Ledger, kind: &Kind, kept: &Kept, pointer: &str, from: &Kept) -> Option<String> {
        let organization = ledger.inner.instance.organization_id;
        open(&ledger.inner.keystore, organization, (kind, kept.id), pointer, from.sealed.get(pointer)?)
    }

    #[test]
    fn secrets_open_after_a_restart_for_what_they_were_sealed_and_change_only_when_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let (ledger, admin) = open_at(&data);
        let keys = &webhook_signing_keys::KIND;
        let make = || wait(ledger.create_resource(&admin, keys, None, keys.example, None)).expect("made");
        let (Done { kept: key, shown, .. }, other) = (make(), make());
        assert!(shown[0].text.starts_with("whsec_") && shown[0].text.len() == 6 + 44 && shown[0].text != other.shown[0].text);
        assert_eq!(format!("{:?}", shown[0]), "Shown(secret)");
        assert_eq!(opened(&ledger, keys, &key, "/secret", &key), Some(shown[0].text.clone()));
        assert_eq!(opened(&ledger, keys, &key, "/secret", &other.kept), None, "another's does not open here");

        let streams = &audit_streams::KIND;
        let stream = wait(ledger.create_resource(&admin, streams, None, streams.example, None)).expect("made").kept;
        let place = "/secret_headers/Authorization";
        let update = |patch: &str| wait(ledger.update_resource(&admin, streams, stream.id, None, patch));
        let renamed = update(r#"{"name":"n","secret_headers":{"Authorization":"[SEALED]","X-Second":"hunter2"}}"#).expect("changed").kept;
        assert_eq!(renamed.sealed[place], stream.sealed[place], "it stays as it is");
        let moved = update(r#"{"url":"https://elsewhere.example/"}"#).expect_err("sealed headers do not go elsewhere");
        assert!(matches!(moved, MutateError::Fault(fault) if fault.pointer == "/secret_headers"));
        let never = update(r#"{"secret_headers":{"X-Third":"[SEALED]"}}"#).expect_err("it was never sealed");
        assert!(matches!(never, MutateError::Fault(fault) if fault.pointer == "/secret_headers/X-Third"));
        let given = r#"{"url":"https://elsewhere.example/","secret_headers":{"Authorization":"new","X-Second":null}}"#;
        let given = update(given).expect("changed").kept;
        assert_eq!(opened(&ledger, streams, &given, place, &given).as_deref(), Some("new"));
        ledger.close();

        let (ledger, admin) = open_at(&data);
        let found = wait(ledger.resource(&admin, streams, stream.id)).expect("kept");
        assert_eq!((found.sealed.len(), opened(&ledger, streams, &found, place, &found).as_deref()), (1, Some("new")));
        let found = wait(ledger.resource(&admin, keys, key.id)).expect("kept");
        assert_eq!(opened(&ledger, keys, &found, "/secret", &found), Some(shown[0].text.clone()));
    }
}
