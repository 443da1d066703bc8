//! An event, as `audit.append` and `POST /v1/audit/events` take it. What the server alone sets cannot be said here.

use std::time::SystemTime;

use serde_json::Value;
use uuid::Uuid;

use crate::choice::{Outcome, OutcomeDetail, Phase};
use crate::object::object;
use crate::parts::{Actor, Content, Decision, Grant, Http, Link, Model, Principal, Provisioning, Request, Resource, Run, Scope, Usage};
use crate::time::rfc3339;

object! {
    /// An event of the application.
    ///
    /// Its id is made with it, a UUIDv7. To record one event once, however often the transaction is tried, make it before the first try and
    /// hand the same one in each time.
    ///
    /// Names are at most 1,024 bytes, texts 8,192, lists 256 items; what else must hold is checked by the database
    /// ([`RefusalKind::Invalid`](crate::RefusalKind::Invalid)), not here.
    Event, pub(crate) with;
    needs {
        id [uuid],
        action [text],
        actor [object Actor],
    }
    takes {
        /// The action up to its first dot, unless this says otherwise.
        action_category [text],
        /// Groups the events of a bulk operation.
        cascade_root_id [text],
        /// The way in: api, cli, web, slack and the like.
        channel [text],
        /// What was said and done, in place of what was set of it before.
        content [object Content],
        /// Why it was allowed or denied.
        decision [object Decision],
        /// How long it took, milliseconds.
        duration_ms [count],
        /// The grant under which it was done.
        grant [object Grant],
        /// The brokered request.
        http [object Http],
        /// The model that was invoked.
        model [object Model],
        /// Joins an intent with its outcome. Needed where there is a phase.
        operation_id [text],
        /// How it ended, more finely.
        outcome_detail [choice OutcomeDetail],
        /// Before or after the effect.
        phase [choice Phase],
        /// Classes of personal data in the event.
        pii_classes [texts],
        /// Whose data or authority was used.
        principal [object Principal],
        /// How a user or group came to be provisioned.
        provisioning [object Provisioning],
        /// Why, in words.
        reason [text],
        /// The envelope of the request that the application served.
        request [object Request],
        /// The agent run it belongs to.
        run [object Run],
        /// What the record belongs to, for visibility.
        scope [object Scope],
        /// Data subjects the event is about.
        subjects [texts],
        /// Tokens and cost.
        usage [object Usage],
    }
    own {
        context [labels],
        occurred_at [time],
        outcome [choice Outcome],
        resource [object Resource],
    }
}

impl Event {
    /// What was done (`noun.verb`, lower-case letters, digits and `_`), by whom, and how it ended.
    pub fn new(action: impl Into<String>, actor: Actor, outcome: Outcome) -> Self {
        let mut event = Self::with(Uuid::now_v7(), action, actor);
        event.outcome = Some(outcome);
        event
    }

    /// What is about to be tried. `operation_id` joins it with the event of its outcome, which has the phase
    /// [`Outcome`](Phase::Outcome) and the same `operation_id`.
    pub fn intent(action: impl Into<String>, actor: Actor, operation_id: impl Into<String>) -> Self {
        Self::with(Uuid::now_v7(), action, actor).phase(Phase::Intent).operation_id(operation_id)
    }

    /// Its id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// With an id of the application's own, for a retry by another process.
    pub const fn with_id(mut self, id: Uuid) -> Self {
        self.id = id;
        self
    }

    /// The delegation chain of the actor, outermost first, at most 32.
    pub fn chain(mut self, chain: impl IntoIterator<Item = Link>) -> Self {
        self.actor.set_chain(chain.into_iter().collect());
        self
    }

    /// What it was done to: sort of resource, and stable id.
    pub fn resource(self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.on(Resource::new(kind, id))
    }

    /// What it was done to, where there is more to say of it.
    pub fn on(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The state before.
    pub fn before(mut self, state: impl Into<Value>) -> Self {
        self.content = Some(self.content.unwrap_or_default().before_state(state));
        self
    }

    /// The state after.
    pub fn after(mut self, state: impl Into<Value>) -> Self {
        self.content = Some(self.content.unwrap_or_default().after_state(state));
        self
    }

    /// One more key of the application's own: at most 20, of 64 bytes each, with values of 512 bytes, 4 KiB in all. They are in the entry.
    pub fn context(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.context.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// When, by the caller's clock, to the microsecond. Without it, it is when `append` was called, by the clock of the database.
    pub fn occurred_at(mut self, at: impl Into<SystemTime>) -> Self {
        self.occurred_at = Some(rfc3339(at.into()));
        self
    }
}
