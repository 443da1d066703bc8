//! Accepting an invitation: it ends, and a member begins, in one transaction. The member's key is shown to whoever accepted, this once.

use std::sync::Arc;

use super::credential::Credential;
use super::kept::Kept;
use super::kinds::invitations::{self, Invitation};
use super::kinds::members::{self, Member};
use super::mutate::Mutation;
use super::sealed::{self, Shown};
use super::{Done, MutateError};
use crate::access::{Caller, Proof};
use crate::ledger::Ledger;

const ACCEPT: &str = "invitation.accept";

impl Ledger {
    /// Makes a member of whoever comes with the token of an invitation. The answer has the member, and its key.
    pub async fn accept_invitation(&self, caller: &Caller) -> Result<Done, MutateError> {
        let _control = self.control().await?;
        let caller = &self.caller_now(caller, (ACCEPT, invitations::KIND.noun, String::new())).await?;
        let Proof::Invitation(id) = caller.proof else {
            let subject = (ACCEPT, invitations::KIND.noun, String::new());
            return Err(self.refuse(caller, None, subject, MutateError::Forbidden("the token of an invitation".to_owned())).await);
        };
        match self.accepted(caller, id) {
            Ok((invitation, member, shown)) => self.join(caller, invitation, member, shown).await,
            Err(error) => Err(self.refuse(caller, None, (ACCEPT, invitations::KIND.noun, id.to_string()), error).await),
        }
    }

    fn accepted(&self, caller: &Caller, id: uuid::Uuid) -> Result<(Arc<Kept>, Kept, Shown), MutateError> {
        let (registry, now) = (&self.inner.registry, self.inner.clock.now());
        // Somebody else with the same token may have been faster.
        let kept = registry.kept(&invitations::KIND, id).ok_or(MutateError::Conflict("it has ended already"))?;
        let invitation: Invitation = kept.typed().ok_or(MutateError::NotFound(invitations::KIND.noun))?;
        if !invitation.is_good(&kept, now) {
            return Err(MutateError::Conflict("it has ended already"));
        }
        members::check_new(registry, kept.owner, &invitation.user_id, None)?;
        let Invitation { name, user_id, role, .. } = invitation;
        let document = serde_json::to_value(Member { name, user_id, role }).expect("a document has string keys").to_string();
        let mut member = Kept::first(self.new_id(), caller.owner, now, document);
        let (credential, text) = Credential::draw(member.id).map_err(|error| sealed::unavailable(&error))?;
        member.credentials.push(credential);
        Ok((kept, member, Shown { member: "key", text }))
    }

    async fn join(&self, caller: &Caller, invitation: Arc<Kept>, member: Kept, shown: Shown) -> Result<Done, MutateError> {
        let home = self.home_of(invitation.owner)?;
        let (version, now) = (invitation.version + 1, member.created_at);
        let ended = Kept { version, updated_at: now, ended_at: Some(now), credentials: Vec::new(), ..Kept::clone(&invitation) };
        let root = Some(invitation.id);
        let accept = Mutation {
            caller,
            home: Arc::clone(&home),
            action: ACCEPT,
            kind: invitations::KIND.noun,
            id: invitation.id.to_string(),
            before: Some(invitation.told(&invitations::KIND)),
            after: None,
            changes: vec![ended.row(&invitations::KIND, home.id)],
            root,
        };
        let add = Mutation {
            caller,
            action: "member.add",
            kind: members::KIND.noun,
            id: member.id.to_string(),
            before: None,
            after: Some(member.told(&members::KIND)),
            changes: vec![member.row(&members::KIND, home.id)],
            home,
            root,
        };
        self.mutate_all(vec![accept, add], None).await?;
        let member = Arc::new(member);
        self.take_in(&[(&invitations::KIND, Arc::new(ended)), (&members::KIND, Arc::clone(&member))]);
        Ok(Done { kept: member, replayed: false, shown: vec![shown] })
    }
}
