//! The members of an event that are objects: who, on what, why, in which run, and what was said and done.

use crate::choice::{ActorType, PrincipalType, ProvisioningPath};
use crate::object::object;

object! {
    /// Who did it.
    Actor, new;
    needs {
        kind = "type" [choice ActorType],
    }
    takes {
        /// Name for people, at most 8,192 bytes.
        display [text],
        /// Id of the one it acted for.
        on_behalf_of [text],
    }
    own {
        id [text],
        chain [objects Link],
    }
}

impl Actor {
    fn identified(kind: ActorType, id: impl Into<String>) -> Self {
        let mut actor = Self::new(kind);
        actor.id = Some(id.into());
        actor
    }

    /// A person, by a stable id.
    pub fn human(id: impl Into<String>) -> Self {
        Self::identified(ActorType::Human, id)
    }

    /// An account of a program, by a stable id.
    pub fn service_account(id: impl Into<String>) -> Self {
        Self::identified(ActorType::ServiceAccount, id)
    }

    /// An agent, by a stable id.
    pub fn agent(id: impl Into<String>) -> Self {
        Self::identified(ActorType::Agent, id)
    }

    /// The system, or a part of it that has this id.
    pub fn system(id: impl Into<String>) -> Self {
        Self::identified(ActorType::System, id)
    }

    /// Nobody known.
    pub fn anonymous() -> Self {
        Self::new(ActorType::Anonymous)
    }

    /// The delegation chain. Set with the event ([`crate::Event::chain`]), for `audit.set_actor` takes none.
    pub(crate) fn set_chain(&mut self, chain: Vec<Link>) {
        self.chain = Some(chain);
    }

    /// The arguments of `audit.set_actor`: type, id, display, on_behalf_of.
    #[cfg(any(feature = "sqlx", feature = "tokio-postgres"))]
    pub(crate) fn arguments(&self) -> [Option<&str>; 4] {
        [Some(self.kind.as_str()), self.id.as_deref(), self.display.as_deref(), self.on_behalf_of.as_deref()]
    }
}

object! {
    /// One of a delegation chain.
    Link, pub new;
    needs {
        kind = "type" [choice ActorType],
        id [text],
    }
    takes {
        /// Name for people.
        display [text],
    }
    own {}
}

object! {
    /// Whose data or authority was used.
    Principal, pub new;
    needs {
        kind = "type" [choice PrincipalType],
        id [text],
    }
    takes {}
    own {}
}

object! {
    /// What it was done to.
    Resource, pub new;
    needs {
        kind = "type" [text],
        id [text],
    }
    takes {
        /// What it is part of.
        parent [text],
    }
    own {}
}

object! {
    /// What the record belongs to, for visibility.
    Scope, pub new;
    needs {
        kind = "type" [text],
        id [text],
    }
    takes {}
    own {}
}

object! {
    /// Why it was allowed or denied.
    #[expect(clippy::struct_field_names, reason = "the names of the ledger")]
    Decision, pub new;
    needs {
        decision [text],
    }
    takes {
        /// What decided.
        engine [text],
        /// The policy.
        policy_id [text],
        /// Its version.
        policy_version [text],
        /// The determining rules, at most 256.
        rules [texts],
    }
    own {}
}

object! {
    /// The grant under which it was done.
    Grant, pub new;
    needs {
        id [text],
    }
    takes {
        /// Sort of grant.
        kind [text],
        /// Whose credential it holds.
        provider [text],
    }
    own {}
}

object! {
    /// The brokered request.
    Http, pub new;
    needs {}
    takes {
        /// Tries, the last included.
        attempts [count],
        /// Milliseconds until the answer.
        latency_ms [count],
        /// Method.
        method [text],
        /// Size of the request body as received, bytes.
        request_bytes [count],
        /// Whether the kept request body was cut.
        request_truncated [bool],
        /// Size of the response body as received, bytes.
        response_bytes [count],
        /// Whether the kept response body was cut.
        response_truncated [bool],
        /// Status code, 0 to 999.
        status [count],
        /// URL; its secrets are taken out in the database.
        url [text],
    }
    own {}
}

object! {
    /// The model that was invoked.
    Model, pub new;
    needs {
        id [text],
    }
    takes {
        /// Its provider.
        provider [text],
    }
    own {}
}

object! {
    /// How a user or group came to be provisioned.
    Provisioning, pub new;
    needs {
        path [choice ProvisioningPath],
    }
    takes {
        /// The run of directory synchronisation.
        sync_run_id [text],
    }
    own {}
}

object! {
    /// The envelope of the request that the application served.
    #[expect(clippy::struct_field_names, reason = "the names of the ledger")]
    Request, pub new;
    needs {}
    takes {
        /// The key that was used towards the application: its id, never the key.
        api_key_id [text],
        /// How the caller was authenticated.
        auth_method [text],
        /// Request id.
        request_id [text],
        /// Source address.
        source_ip [text],
        /// W3C span id: 16 lower-case hex digits.
        span_id [text],
        /// W3C trace id: 32 lower-case hex digits.
        trace_id [text],
        /// User agent.
        user_agent [text],
    }
    own {}
}

object! {
    /// The agent run it belongs to. It has an `id` or a `thread_id`.
    Run, pub new;
    needs {}
    takes {
        /// The run.
        id [text],
        /// The run that started it.
        parent_id [text],
        /// What was run.
        procedure_id [text],
        /// Its version.
        procedure_version [text],
        /// Position within the run.
        step [count],
        /// The conversation.
        thread_id [text],
        /// Verdict against the success criteria.
        verdict [text],
    }
    own {}
}

object! {
    /// Tokens and cost.
    Usage, pub new;
    needs {}
    takes {
        /// Tokens read from a cache.
        cache_read_tokens [count],
        /// Cost in millionths of the currency.
        cost_micros [count],
        /// ISO 4217 code.
        currency [text],
        /// Tokens in.
        input_tokens [count],
        /// Tokens out.
        output_tokens [count],
        /// Tokens spent on reasoning.
        reasoning_tokens [count],
    }
    own {}
}

object! {
    /// What people said and did. It is encrypted in the ledger, under a key of its own for each record, and is not part of the entry.
    Content, pub new;
    needs {}
    takes {
        /// The state before; the ledger makes the difference of both.
        before_state [json],
        /// The state after.
        after_state [json],
        /// Arguments, of a tool call for one.
        arguments [json],
        /// What it gave.
        result [json],
        /// What was put out.
        output [json],
        /// What went wrong.
        error [json],
        /// Messages of a conversation.
        messages [items],
        /// The brokered request.
        request [object Body],
        /// Its response.
        response [object Body],
        /// Anything else.
        extra [json],
    }
    own {}
}

object! {
    /// Headers and body of a request or response.
    Body, pub new;
    needs {}
    takes {
        /// The body: a text, or JSON.
        body [json],
    }
    own {
        headers [headers],
    }
}

impl Body {
    /// One more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.get_or_insert_default().entry(name.into()).or_default().push(value.into());
        self
    }
}
