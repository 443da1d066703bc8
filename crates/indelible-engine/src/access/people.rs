//! People: members by their own keys and by their sessions, and whoever was invited.

use std::sync::Arc;

use indelible_core::time::Timestamp;
use uuid::Uuid;

use super::recognise::{actor, parts};
use super::{Caller, Envelope, Membership, Owner, Proof, Refused};
use crate::append::EngineEvent;
use crate::ledger::Ledger;
use crate::resource::kinds::invitations::{self, Invitation};
use crate::resource::kinds::members::{self, Member};
use crate::resource::kinds::sessions::{self, Session};
use crate::resource::{Kept, Project};

/// The event of a sign-in that came to nothing.
const SIGN_IN: &str = "sign_in.attempt";

/// A credential of a person's that is there, and what it opens; without a secret, whether it is there.
fn opened(kept: Option<Arc<Kept>>, secret: Option<&str>, now: Timestamp) -> Result<Arc<Kept>, Refused> {
    let kept = kept.ok_or(Refused::Unknown)?;
    if kept.ended_at.is_some() {
        return Err(Refused::Revoked);
    }
    let opens = |secret| kept.credentials.iter().any(|credential| credential.opens(secret, now));
    if secret.is_none_or(opens) { Ok(kept) } else { Err(Refused::Unknown) }
}

impl Ledger {
    /// Recognises a member, a session or an invitation by the id of its credential.
    pub(super) fn known_person(&self, id: Uuid, secret: Option<&str>, envelope: Envelope) -> Result<Caller, Refused> {
        let (registry, now) = (&self.inner.registry, self.inner.clock.now());
        if let Some(member) = registry.kept(&members::KIND, id) {
            return Self::as_member(&*opened(Some(member), secret, now)?, Proof::Member(id), envelope);
        }
        if let Some(session) = registry.kept(&sessions::KIND, id) {
            let session = opened(Some(session), secret, now)?.typed::<Session>().ok_or(Refused::Unknown)?;
            if Timestamp::parse(&session.expires_at).is_none_or(|end| end <= now) {
                return Err(Refused::Expired);
            }
            let member = Uuid::try_parse(&session.member_id).ok().and_then(|id| registry.kept(&members::KIND, id));
            let member = member.filter(|member| member.ended_at.is_none()).ok_or(Refused::Revoked)?;
            return Self::as_member(&member, Proof::Session(id), envelope);
        }
        let kept = opened(registry.kept(&invitations::KIND, id), secret, now)?;
        let invitation = kept.typed::<Invitation>().filter(|invitation| invitation.is_good(&kept, now)).ok_or(Refused::Expired)?;
        // Not yet the person of whom the invitation speaks: whoever has the token.
        let actor = actor("human", Some(&id.to_string()), Some(&invitation.name));
        Ok(Caller { actor, proof: Proof::Invitation(id), owner: kept.owner, envelope, ..Caller::engine() })
    }

    fn as_member(kept: &Kept, proof: Proof, envelope: Envelope) -> Result<Caller, Refused> {
        let member: Member = kept.typed().ok_or(Refused::Unknown)?;
        Ok(Caller {
            actor: actor("human", Some(&kept.id.to_string()), Some(&member.name)),
            proof,
            owner: kept.owner,
            scopes: member.role.scopes(),
            member: Some(Membership { id: kept.id, user_id: member.user_id, role: member.role }),
            envelope,
            ..Caller::engine()
        })
    }

    /// The chain of the organization, and the event, of a sign-in that failed; nothing where the credential is not even in the name of a
    /// member, a session or an invitation.
    pub(super) fn failed_sign_in(&self, credential: Option<&str>, refused: Refused, envelope: &Envelope) -> Option<(Uuid, EngineEvent)> {
        let (id, _) = parts(credential?)?;
        let kinds = [&members::KIND, &sessions::KIND, &invitations::KIND];
        let (kind, kept) = kinds.into_iter().find_map(|kind| Some((kind, self.inner.registry.kept(kind, id)?)))?;
        let home: Arc<Project> = self.home_of(kept.owner).ok()?;
        let mut event = EngineEvent::new(&Caller::stranger(envelope.clone()), &home, SIGN_IN, "deny").because(refused.to_string());
        event.resource = Some(crate::append::ResourceMembers { kind: kind.noun, id: id.to_string(), parent: None });
        Some((id, event))
    }

    /// Whether somebody is a member who sees no more than what is its own or shared with it.
    pub(crate) fn sees_apart(caller: &Caller) -> bool {
        caller.member.as_ref().is_some_and(|member| member.role.scopes().is_empty() && matches!(caller.owner, Owner::Organization(_)))
    }
}
