//! The catalogue of actions that Indelible itself knows: which the engine alone may write, and which chain
//! an event of the engine belongs to.
//!
//! An application's own actions (any `noun.verb`) need no entry here. A noun that is listed with
//! `Writer::Engine` is the engine's with every verb, listed or not, so that a later version can add verbs.

/// The chain to which the engine's own event of an action belongs. A key belongs to the instance, an organization or a
/// project, and its events go where it belongs; the catalogue names the usual place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Home {
    /// The system project of the instance.
    Instance,
    /// The system project of the organization.
    Organization,
    /// The project that it is about.
    Project,
}

/// Who writes the actions of a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// Callers and the engine.
    Anyone,
    /// The engine alone, whatever the verb.
    Engine,
    /// The engine alone where the verb is listed; other verbs are open.
    EngineListed,
}

struct Noun {
    name: &'static str,
    verbs: &'static [&'static str],
    writer: Writer,
    home: Home,
}

const fn open(name: &'static str, home: Home, verbs: &'static [&'static str]) -> Noun {
    Noun { name, verbs, writer: Writer::Anyone, home }
}

const fn own(name: &'static str, home: Home, verbs: &'static [&'static str]) -> Noun {
    Noun { name, verbs, writer: Writer::Engine, home }
}

/// Sorted by name, each once.
static NOUNS: &[Noun] = &[
    open("agent", Home::Project, &["create", "revoke", "update"]),
    own("api_key", Home::Project, &["create", "revoke", "rotate", "update"]),
    open("approval", Home::Project, &["decide", "request"]),
    own(
        "audit",
        Home::Project,
        &["anchor", "append_rejected", "export", "rate_limited", "read", "start", "stop", "unauthenticated", "verify"],
    ),
    own("audit_stream", Home::Project, &["create", "delete", "pause", "resume", "test", "update"]),
    open("budget", Home::Project, &["create", "delete", "update"]),
    own("checkpoint", Home::Instance, &["adopt"]),
    own("clock", Home::Instance, &["confirm"]),
    Noun { name: "content", verbs: &["decrypt"], writer: Writer::EngineListed, home: Home::Project },
    open("credential", Home::Project, &["access"]),
    own("database_binding", Home::Project, &["create", "delete"]),
    own("database_reader", Home::Project, &["create", "delete"]),
    own("event_schema", Home::Project, &["create", "delete", "update", "violation"]),
    open("grant", Home::Project, &["create", "delete", "policy_violation", "revoke", "scope_drift"]),
    open("group", Home::Organization, &["deprovision", "provision", "update"]),
    open("group_member", Home::Organization, &["remove", "restore"]),
    open("halt", Home::Project, &["clear", "issue"]),
    open("http", Home::Project, &["request"]),
    open("identity_provider", Home::Organization, &["create", "delete", "update"]),
    own("integrity", Home::Project, &["clear", "finding"]),
    own("invitation", Home::Organization, &["accept", "create", "revoke"]),
    own("key", Home::Organization, &["create", "export", "rewrap", "rotate", "shred"]),
    own("legal_hold", Home::Project, &["create", "delete", "update"]),
    open("member", Home::Organization, &["add", "remove", "update"]),
    open("mfa", Home::Organization, &["prompt"]),
    open("model", Home::Project, &["invoke"]),
    open("model_price", Home::Project, &["delete", "set"]),
    own("organization", Home::Instance, &["create", "delete", "update"]),
    open("ownership", Home::Project, &["transfer"]),
    own("plaintext_inbox", Home::Instance, &["accept"]),
    open("policy", Home::Project, &["create", "decision", "delete", "update"]),
    own("project", Home::Organization, &["create", "delete", "update"]),
    own("project_settings", Home::Project, &["update"]),
    open("provider", Home::Project, &["create", "delete", "update"]),
    own("redaction_rule", Home::Project, &["create", "delete", "update"]),
    own("retention_policy", Home::Project, &["create", "delete", "update"]),
    own("row_capture", Home::Project, &["start", "stop"]),
    open("run", Home::Project, &["finish", "start"]),
    open("session", Home::Organization, &["create", "end"]),
    open("share", Home::Project, &["grant", "revoke"]),
    open("sign_in", Home::Organization, &["attempt"]),
    open("subagent", Home::Project, &["finish", "start"]),
    open("tool", Home::Project, &["call", "result"]),
    open("user", Home::Organization, &["deprovision", "provision", "update"]),
    own("webhook_delivery", Home::Project, &["replay"]),
    own("webhook_signing_key", Home::Project, &["create", "revoke"]),
];

/// Single actions whose home is not that of their noun.
static HOMES: &[(&str, Home)] =
    &[("audit.start", Home::Instance), ("audit.stop", Home::Instance), ("audit.unauthenticated", Home::Instance)];

fn split(action: &str) -> (&str, &str) {
    action.split_once('.').unwrap_or((action, ""))
}

fn noun(name: &str) -> Option<&'static Noun> {
    NOUNS.binary_search_by(|noun| noun.name.cmp(name)).ok().map(|at| &NOUNS[at])
}

/// Whether only the engine may write this action: `audit.read`, `content.decrypt`, `key.*`, `integrity.*` and the
/// actions of its own resources.
pub fn is_engine_only(action: &str) -> bool {
    let (name, verb) = split(action);
    noun(name).is_some_and(|noun| match noun.writer {
        Writer::Anyone => false,
        Writer::Engine => true,
        Writer::EngineListed => noun.verbs.contains(&verb),
    })
}

/// The category of an action: up to its first dot. No action of the catalogue departs from that rule.
pub fn category(action: &str) -> &str {
    split(action).0
}

/// Where the engine writes its own event of this action. A caller's event goes to the project it is submitted to,
/// whatever this says.
pub fn home(action: &str) -> Home {
    HOMES
        .iter()
        .find(|(name, _)| *name == action)
        .map(|(_, home)| *home)
        .or_else(|| noun(split(action).0).map(|noun| noun.home))
        .unwrap_or(Home::Project)
}

/// A noun of the catalogue with its actions.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The noun, which is the category.
    pub noun: &'static str,
    /// Its verbs.
    pub verbs: &'static [&'static str],
    /// Whether the engine alone writes its actions: those that are listed.
    pub engine_only: bool,
    /// Whether verbs that are not listed are the engine's too.
    pub every_verb: bool,
    /// Where the engine's own events of it go.
    pub home: Home,
}

/// Every noun, sorted.
pub fn nouns() -> impl Iterator<Item = Listed> {
    NOUNS.iter().map(|noun| Listed {
        noun: noun.name,
        verbs: noun.verbs,
        engine_only: noun.writer != Writer::Anyone,
        every_verb: noun.writer == Writer::Engine,
        home: noun.home,
    })
}

/// Every action of the catalogue, sorted by noun and verb.
pub fn catalogue() -> impl Iterator<Item = String> {
    NOUNS.iter().flat_map(|noun| noun.verbs.iter().map(|verb| format!("{}.{verb}", noun.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sorted_and_its_exceptions_are_in_it() {
        assert!(NOUNS.is_sorted_by(|a, b| a.name < b.name));
        assert!(NOUNS.iter().all(|noun| noun.verbs.is_sorted() && !noun.verbs.is_empty()));
        for (action, home) in HOMES {
            assert!(catalogue().any(|known| known == *action), "{action}");
            assert_eq!(super::home(action), *home);
        }
    }

    /// Those of spec R3.1 to R3.3, as they are written there.
    #[test]
    fn the_actions_that_must_exist_do() {
        let required = "
            policy.create/update/delete halt.issue/clear budget.create/update/delete api_key.create/revoke/rotate project_settings.update
            webhook_signing_key.create/revoke webhook_delivery.replay model_price.set/delete audit_stream.create/update/delete/pause/resume
            audit.read redaction_rule.create/update/delete retention_policy.create/update/delete legal_hold.create/update/delete
            event_schema.create/update/delete
            http.request credential.access policy.decision grant.create/revoke/delete/scope_drift/policy_violation
            provider.create/update/delete agent.create/update/revoke identity_provider.create/update/delete
            user.provision/update/deprovision group.provision/update/deprovision group_member.remove/restore
            run.start/finish model.invoke tool.call/result approval.request/decide subagent.start/finish share.grant/revoke
            ownership.transfer member.add/update/remove session.create sign_in.attempt mfa.prompt content.decrypt key.rotate/shred";
        let known: Vec<String> = catalogue().collect();
        for group in required.split_ascii_whitespace() {
            let (noun, verbs) = group.split_once('.').expect("noun.verb");
            for verb in verbs.split('/') {
                assert!(known.contains(&format!("{noun}.{verb}")), "{noun}.{verb}");
            }
        }
    }

    #[test]
    fn callers_and_the_engine_write_what_is_theirs() {
        let engine = [
            "audit.read",
            "audit.append_rejected",
            "audit.anything",
            "content.decrypt",
            "key.rotate",
            "key.shred",
            "integrity.finding",
            "clock.confirm",
            "checkpoint.adopt",
            "api_key.create",
            "project.create",
            "organization.delete",
            "project_settings.update",
            "redaction_rule.create",
            "retention_policy.update",
            "legal_hold.delete",
            "event_schema.create",
            "audit_stream.pause",
            "webhook_signing_key.revoke",
            "webhook_delivery.replay",
            "row_capture.start",
            "database_binding.create",
            "database_reader.delete",
            "plaintext_inbox.accept",
            "key.a.b",
        ];
        let anyone = [
            "policy.create",
            "policy.decision",
            "halt.issue",
            "budget.delete",
            "model_price.set",
            "member.add",
            "session.create",
            "sign_in.attempt",
            "provider.update",
            "grant.scope_drift",
            "content.publish",
            "invoice.pay",
            "auditor.hire",
            "keys.rotate",
        ];
        for action in engine {
            assert!(is_engine_only(action), "{action}");
        }
        for action in anyone {
            assert!(!is_engine_only(action), "{action}");
        }
    }

    #[test]
    fn events_of_the_engine_have_a_home() {
        let cases = [
            ("audit.read", Home::Project),
            ("audit.start", Home::Instance),
            ("organization.create", Home::Instance),
            ("project.create", Home::Organization),
            ("member.add", Home::Organization),
            ("sign_in.attempt", Home::Organization),
            ("key.rotate", Home::Organization),
            ("clock.confirm", Home::Instance),
            ("checkpoint.adopt", Home::Instance),
            ("policy.create", Home::Project),
            ("invoice.pay", Home::Project),
        ];
        for (action, expected) in cases {
            assert_eq!(home(action), expected, "{action}");
        }
    }

    #[test]
    fn a_category_is_the_noun() {
        for (action, expected) in
            [("webhook_delivery.replay", "webhook_delivery"), ("audit.read", "audit"), ("a.b.c", "a"), ("plain", "plain")]
        {
            assert_eq!(category(action), expected);
        }
    }
}
