//! Which class of OCSF an action is, and which of its activities. `docs/stream-formats.md` has the reasons.
//!
//! What the platform manages is Entity Management, what it does is API Activity; a class that says more is taken where it asks
//! for nothing that an event does not have. An action that nobody listed is API Activity, by its verb.

/// A class of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Something that was found to be wrong.
    DetectionFinding,
    /// A person's account came or went.
    AccountChange,
    /// Somebody signed in or out.
    Authentication,
    /// A managed thing was made, changed or ended.
    EntityManagement,
    /// A group came or went, or who is in it.
    GroupManagement,
    /// A request that was brokered.
    HttpActivity,
    /// The program started or stopped.
    ApplicationLifecycle,
    /// Anything else that was done.
    ApiActivity,
}

impl Class {
    /// `class_uid`; its thousands are the category.
    pub(crate) const fn uid(self) -> i64 {
        match self {
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::GroupManagement => 3006,
            Self::HttpActivity => 4002,
            Self::ApplicationLifecycle => 6002,
            Self::ApiActivity => 6003,
        }
    }

    /// `class_name`.
    pub(crate) const fn caption(self) -> &'static str {
        match self {
            Self::DetectionFinding => "Detection Finding",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement => "Entity Management",
            Self::GroupManagement => "Group Management",
            Self::HttpActivity => "HTTP Activity",
            Self::ApplicationLifecycle => "Application Lifecycle",
            Self::ApiActivity => "API Activity",
        }
    }
}

/// A class and an activity of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activity<'a> {
    /// The class.
    pub(crate) class: Class,
    /// `activity_id`.
    pub(crate) id: i64,
    /// `activity_name`: that of the schema, or the verb where the schema has none.
    pub(crate) name: &'a str,
}

/// The activity that has no number.
pub(crate) const OTHER: i64 = 99;

/// Nouns of what the platform manages.
const ENTITIES: &[&str] = &[
    "agent",
    "api_key",
    "audit_stream",
    "budget",
    "checkpoint",
    "clock",
    "database_binding",
    "database_reader",
    "event_schema",
    "grant",
    "group",
    "halt",
    "identity_provider",
    "invitation",
    "key",
    "legal_hold",
    "member",
    "model_price",
    "organization",
    "ownership",
    "plaintext_inbox",
    "policy",
    "project",
    "project_settings",
    "provider",
    "redaction_rule",
    "retention_policy",
    "row_capture",
    "share",
    "user",
    "webhook_signing_key",
];

/// The activity of an action. Of HTTP Activity it is the method that decides, see [`method`].
pub(crate) fn activity(action: &str) -> Activity<'_> {
    let (noun, verb) = action.split_once('.').unwrap_or((action, ""));
    if let Some(activity) = named(action) {
        return activity;
    }
    if ENTITIES.binary_search(&noun).is_ok()
        && let Some((id, name)) = of_entity(verb)
    {
        return Activity { class: Class::EntityManagement, id, name };
    }
    let last = last(action);
    let (id, name) = of_api(last).unwrap_or((OTHER, last));
    Activity { class: Class::ApiActivity, id, name }
}

/// The last part of an action.
pub(crate) fn last(action: &str) -> &str {
    action.rsplit_once('.').map_or(action, |(_, last)| last)
}

/// Actions for which there is a class of their own, and those that their verb misleads about.
fn named(action: &str) -> Option<Activity<'static>> {
    let (class, id, name) = match action {
        "integrity.finding" | "grant.policy_violation" | "grant.scope_drift" => (Class::DetectionFinding, 1, "Create"),
        "integrity.clear" => (Class::DetectionFinding, 3, "Close"),
        "user.provision" => (Class::AccountChange, 1, "Create"),
        "user.deprovision" => (Class::AccountChange, 6, "Delete"),
        "audit.unauthenticated" | "session.create" | "sign_in.attempt" => (Class::Authentication, 1, "Logon"),
        "session.end" => (Class::Authentication, 2, "Logoff"),
        "mfa.prompt" => (Class::Authentication, OTHER, "prompt"),
        "group.provision" => (Class::GroupManagement, 6, "Create"),
        "group.deprovision" => (Class::GroupManagement, 5, "Delete"),
        "group_member.restore" => (Class::GroupManagement, 3, "Add User"),
        "group_member.remove" => (Class::GroupManagement, 4, "Remove User"),
        "http.request" => (Class::HttpActivity, 0, "Unknown"),
        "audit.start" => (Class::ApplicationLifecycle, 3, "Start"),
        "audit.stop" => (Class::ApplicationLifecycle, 4, "Stop"),
        "audit.anchor" | "audit.append_rejected" | "approval.request" => (Class::ApiActivity, 1, "Create"),
        "audit.export" | "audit.verify" | "content.decrypt" | "credential.access" => (Class::ApiActivity, 2, "Read"),
        "approval.decide" => (Class::ApiActivity, 3, "Update"),
        _ => return None,
    };
    Some(Activity { class, id, name })
}

/// What a verb is to a managed thing.
fn of_entity(verb: &str) -> Option<(i64, &'static str)> {
    Some(match verb {
        "add" | "create" | "grant" | "issue" => (1, "Create"),
        "export" => (2, "Read"),
        "adopt" | "confirm" | "rewrap" | "rotate" | "set" | "transfer" | "update" => (3, "Update"),
        "clear" | "delete" | "remove" | "shred" => (4, "Delete"),
        "start" => (8, "Enable"),
        "stop" => (9, "Disable"),
        "accept" => (10, "Activate"),
        "revoke" => (11, "Deactivate"),
        "pause" => (12, "Suspend"),
        "resume" => (13, "Resume"),
        _ => return None,
    })
}

/// What a verb is to an API.
fn of_api(verb: &str) -> Option<(i64, &'static str)> {
    Some(match verb {
        "add" | "create" | "insert" => (1, "Create"),
        "get" | "list" | "read" | "search" | "view" => (2, "Read"),
        "edit" | "set" | "update" => (3, "Update"),
        "delete" | "remove" => (4, "Delete"),
        _ => return None,
    })
}

/// The activity of a request of this method, where the schema knows it.
pub(crate) fn method(method: &str) -> Option<(i64, &'static str)> {
    Some(match method {
        "CONNECT" => (1, "Connect"),
        "DELETE" => (2, "Delete"),
        "GET" => (3, "Get"),
        "HEAD" => (4, "Head"),
        "OPTIONS" => (5, "Options"),
        "POST" => (6, "Post"),
        "PUT" => (7, "Put"),
        "TRACE" => (8, "Trace"),
        "PATCH" => (9, "Patch"),
        _ => return None,
    })
}
