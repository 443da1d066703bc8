//! Every member of an entry, once: its name, its shape and who sets it. In canonical order at each level.

use crate::json::word;
use crate::limits::{
    CHAIN_LINKS_MAX, CHANGES_MAX, FILTER_BYTES_MAX, INTEGER_MAX, LIST_ITEMS_MAX, NAME_BYTES_MAX, PURPOSE_BYTES_MAX, TEXT_BYTES_MAX,
    URL_BYTES_MAX,
};

/// A member of an entry.
#[derive(Debug)]
pub struct Member {
    /// Its name in JSON.
    pub name: &'static str,
    /// The first bytes of its name, by which it is found.
    word: u64,
    /// Its shape.
    pub shape: Shape,
    /// Who sets it.
    pub owner: Owner,
    /// Whether the object that holds it must have it.
    pub required: bool,
    /// One line for the documentation.
    pub doc: &'static str,
}

/// Who may set a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whoever submits the event.
    Caller,
    /// The engine, in the events that it submits itself; from a caller it is refused.
    Engine,
    /// Redaction, the draft and the stamp; in a submission it is refused, whoever hands it in.
    Server,
}

/// The shape of a member.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string of 1 to so many bytes.
    Text(usize),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `noun.verb`: lower-case letters, digits and `_`, each part beginning with a letter, at least two parts joined by dots.
    Action,
    /// The noun of an action, of the same letters.
    Category,
    /// A UUID in any case; kept in lower case.
    Uuid,
    /// RFC 3339; kept in UTC with six fractional digits.
    Time,
    /// An integer within these bounds.
    Integer(i64, i64),
    /// `true` or `false`.
    Bool,
    /// Lower-case hex of so many bytes.
    Hex(usize),
    /// At most so many strings, each of 1 to so many bytes.
    Texts(usize, usize),
    /// An object of these members.
    Object(&'static [Member]),
    /// At most so many objects of these members.
    Objects(usize, &'static [Member]),
    /// The application's own string keys (`context`).
    Labels,
}

const NAME: Shape = Shape::Text(NAME_BYTES_MAX);
const TEXT: Shape = Shape::Text(TEXT_BYTES_MAX);
const COUNT: Shape = Shape::Integer(0, INTEGER_MAX);

/// Sorts of actors.
pub const ACTOR_TYPES: &[&str] = &["human", "service_account", "agent", "system", "anonymous"];
/// Sorts of principals.
pub const PRINCIPAL_TYPES: &[&str] = &["user", "group", "system", "agent"];
/// Outcomes.
pub const OUTCOMES: &[&str] = &["allow", "deny", "error", "partial"];
/// Finer outcomes.
pub const OUTCOME_DETAILS: &[&str] = &["success", "policy_denial", "provider_error", "network_error", "timeout", "no_op", "skipped"];
/// Assurances, strongest first.
pub const ASSURANCES: &[&str] = &["transactional", "gateway", "hook", "telemetry", "self_reported"];

const fn member(name: &'static str, shape: Shape, owner: Owner, required: bool, doc: &'static str) -> Member {
    Member { name, word: word(name), shape, owner, required, doc }
}

const fn caller(name: &'static str, shape: Shape, doc: &'static str) -> Member {
    member(name, shape, Owner::Caller, false, doc)
}

/// A member without which the object that holds it means nothing.
const fn needed(name: &'static str, shape: Shape, doc: &'static str) -> Member {
    member(name, shape, Owner::Caller, true, doc)
}

const fn engine(name: &'static str, shape: Shape, doc: &'static str) -> Member {
    member(name, shape, Owner::Engine, false, doc)
}

const fn server(name: &'static str, shape: Shape, doc: &'static str) -> Member {
    member(name, shape, Owner::Server, false, doc)
}

/// The members of an entry, in canonical order.
pub static ENTRY: &[Member] = &[
    needed("action", Shape::Action, "What was done, as noun.verb. Required."),
    caller("action_category", Shape::Category, "The action up to its first dot unless the catalogue says otherwise."),
    needed("actor", Shape::Object(ACTOR), "Who did it. Required."),
    server("assurance", Shape::Choice(ASSURANCES), "How the record came to be."),
    caller("cascade_root_id", NAME, "Groups the events of a bulk operation."),
    server("changes", Shape::Texts(CHANGES_MAX, TEXT_BYTES_MAX), "JSON Pointers of what changed between before_state and after_state."),
    server("changes_total", COUNT, "How many pointers changed, listed or not."),
    caller("channel", NAME, "The way in: api, cli, web, slack and the like."),
    server("claimed_at", Shape::Time, "The caller's time where it was more than ten minutes ahead."),
    caller("context", Shape::Labels, "The application's own string keys: tool, tool_call_id, parent_agent, framework and others."),
    caller("decision", Shape::Object(DECISION), "Why it was allowed or denied."),
    engine("decrypt", Shape::Object(DECRYPT), "What content was opened, for what."),
    caller("duration_ms", COUNT, "How long it took, milliseconds."),
    caller("grant", Shape::Object(GRANT), "The grant under which it was done."),
    server("hmac_key_id", Shape::Integer(1, INTEGER_MAX), "The ring key of the chain."),
    caller("http", Shape::Object(HTTP), "The brokered request."),
    caller("id", Shape::Uuid, "The event's id; a UUIDv7 is made if absent."),
    caller("model", Shape::Object(MODEL), "The model that was invoked."),
    caller("occurred_at", Shape::Time, "When, by the caller's clock; recorded_at if absent."),
    caller("operation_id", NAME, "Joins an intent with its outcome. Required where phase is given."),
    server("organization_id", Shape::Uuid, "The organization of the project."),
    caller("outcome", Shape::Choice(OUTCOMES), "How it ended. Required, except for an intent."),
    caller("outcome_detail", Shape::Choice(OUTCOME_DETAILS), "How it ended, more finely."),
    caller("phase", Shape::Choice(&["intent", "outcome"]), "Before or after the effect."),
    caller("pii_classes", Shape::Texts(LIST_ITEMS_MAX, NAME_BYTES_MAX), "Classes of personal data in the event."),
    caller("principal", Shape::Object(PRINCIPAL), "Whose data or authority was used."),
    server("project_id", Shape::Uuid, "The project, one chain each."),
    caller("provisioning", Shape::Object(PROVISIONING), "How a user or group came to be provisioned."),
    engine("read", Shape::Object(READ), "What was asked of the log."),
    caller("reason", TEXT, "Why, in words."),
    server("recorded_at", Shape::Time, "When, by the server's clock; never goes back within a ledger."),
    server("recorder", Shape::Object(RECORDER), "Who handed the event in, beside whom it speaks of."),
    caller("request", Shape::Object(REQUEST), "The request envelope."),
    caller("resource", Shape::Object(RESOURCE), "What it was done to."),
    caller("run", Shape::Object(RUN), "The agent run it belongs to."),
    server("schema_version", Shape::Integer(1, INTEGER_MAX), "Version of this list of members."),
    caller("scope", Shape::Object(SCOPE), "What the record belongs to, for visibility."),
    server("sealed", Shape::Object(SEALED), "Commitment to the sealed content."),
    server("sealed_personal", Shape::Object(SEALED), "Commitment to the sealed personal data."),
    server("sequence", COUNT, "Position in the project's chain, dense from 0."),
    caller("subjects", Shape::Texts(LIST_ITEMS_MAX, NAME_BYTES_MAX), "Data subjects the event is about."),
    caller("usage", Shape::Object(USAGE), "Tokens and cost."),
];

static ACTOR: &[Member] = &[
    caller("chain", Shape::Objects(CHAIN_LINKS_MAX, CHAIN_LINK), "Delegation chain, outermost first."),
    caller("display", TEXT, "Name for people."),
    caller("id", NAME, "Stable id. Required, except for an anonymous actor."),
    caller("on_behalf_of", NAME, "Id of the one it acted for."),
    needed("type", Shape::Choice(ACTOR_TYPES), "Sort of actor. Required."),
];

static CHAIN_LINK: &[Member] = &[
    caller("display", TEXT, "Name for people."),
    needed("id", NAME, "Stable id."),
    needed("type", Shape::Choice(ACTOR_TYPES), "Sort of actor."),
];

static DECISION: &[Member] = &[
    needed("decision", NAME, "What was decided."),
    caller("engine", NAME, "What decided."),
    caller("policy_id", NAME, "The policy."),
    caller("policy_version", NAME, "Its version."),
    caller("rules", Shape::Texts(LIST_ITEMS_MAX, NAME_BYTES_MAX), "The determining rules."),
];

static DECRYPT: &[Member] = &[
    engine("purpose", Shape::Text(PURPOSE_BYTES_MAX), "Why it was opened."),
    engine("record_id", NAME, "The event whose content was opened."),
    engine("record_type", NAME, "What was opened."),
    engine("user_id", NAME, "Who opened it."),
];

static GRANT: &[Member] =
    &[needed("id", NAME, "The grant."), caller("kind", NAME, "Sort of grant."), caller("provider", NAME, "Whose credential it holds.")];

static HTTP: &[Member] = &[
    caller("attempts", COUNT, "Tries, the last included."),
    caller("latency_ms", COUNT, "Milliseconds until the answer."),
    caller("method", Shape::Text(32), "Method."),
    caller("request_bytes", COUNT, "Size of the request body as received."),
    caller("request_truncated", Shape::Bool, "Whether the kept request body was cut."),
    caller("response_bytes", COUNT, "Size of the response body as received."),
    caller("response_truncated", Shape::Bool, "Whether the kept response body was cut."),
    caller("status", Shape::Integer(0, 999), "Status code."),
    caller("url", Shape::Text(URL_BYTES_MAX), "URL, its secrets stripped."),
];

static MODEL: &[Member] = &[needed("id", NAME, "Model."), caller("provider", NAME, "Provider of the model.")];

static PRINCIPAL: &[Member] = &[needed("id", NAME, "Stable id."), needed("type", Shape::Choice(PRINCIPAL_TYPES), "Sort of principal.")];

static PROVISIONING: &[Member] = &[
    needed("path", Shape::Choice(&["idp_webhook", "directory_sync", "scim", "first_sign_in"]), "The originating path."),
    caller("sync_run_id", NAME, "The directory sync run."),
];

static READ: &[Member] = &[
    engine("filter", Shape::Text(FILTER_BYTES_MAX), "The filter as asked."),
    engine("purpose", Shape::Text(PURPOSE_BYTES_MAX), "Why."),
    engine("returned", COUNT, "Events returned."),
];

static RECORDER: &[Member] = &[
    server("api_key_id", NAME, "The key that handed the event in."),
    server("path", NAME, "The way it came: http, import, append, engine and the like."),
];

static REQUEST: &[Member] = &[
    caller("api_key_id", NAME, "The key used towards the application."),
    caller("auth_method", NAME, "How the caller was authenticated."),
    caller("request_id", NAME, "Request id."),
    caller("source_ip", NAME, "Source address."),
    caller("span_id", Shape::Hex(8), "W3C span id."),
    caller("trace_id", Shape::Hex(16), "W3C trace id."),
    caller("user_agent", TEXT, "User agent."),
];

static RESOURCE: &[Member] =
    &[needed("id", NAME, "Stable id."), caller("parent", NAME, "What it is part of."), needed("type", NAME, "Sort of resource.")];

static RUN: &[Member] = &[
    caller("id", NAME, "The run."),
    caller("parent_id", NAME, "The run that started it."),
    caller("procedure_id", NAME, "What was run."),
    caller("procedure_version", NAME, "Its version."),
    caller("step", COUNT, "Position within the run."),
    caller("thread_id", NAME, "The conversation."),
    caller("verdict", NAME, "Verdict against the success criteria."),
];

static SCOPE: &[Member] = &[needed("id", NAME, "Id."), needed("type", NAME, "Sort of thing.")];

static SEALED: &[Member] = &[
    server("bytes", COUNT, "Size of the stored bytes."),
    server("plain_bytes", COUNT, "Size of the JSON before compression."),
    server("sha256", Shape::Hex(32), "SHA-256 of the stored bytes."),
];

static USAGE: &[Member] = &[
    caller("cache_read_tokens", COUNT, "Tokens read from a cache."),
    caller("cost_micros", COUNT, "Cost in millionths of the currency."),
    caller("currency", Shape::Text(3), "ISO 4217 code."),
    caller("input_tokens", COUNT, "Tokens in."),
    caller("output_tokens", COUNT, "Tokens out."),
    caller("reasoning_tokens", COUNT, "Tokens spent on reasoning."),
];

/// The members of `content` that a caller may send.
pub static CONTENT: &[&str] =
    &["after_state", "arguments", "before_state", "error", "extra", "messages", "output", "request", "response", "result"];

/// The member of `members` called `name`.
pub fn find(members: &'static [Member], name: &str) -> Option<&'static Member> {
    let word = word(name);
    members.binary_search_by(|member| member.word.cmp(&word).then_with(|| member.name.cmp(name))).ok().map(|at| &members[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_in_canonical_order() {
        fn check(members: &'static [Member]) {
            assert!(members.is_sorted_by(|a, b| a.name < b.name), "{:?}", members.iter().map(|m| m.name).collect::<Vec<_>>());
            for member in members {
                if let Shape::Object(inner) | Shape::Objects(_, inner) = member.shape {
                    check(inner);
                }
            }
        }
        check(ENTRY);
        assert!(CONTENT.is_sorted());
    }
}
