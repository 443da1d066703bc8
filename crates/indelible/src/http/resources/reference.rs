//! The page about resources, `docs/resources.md`, made from the kinds.

use std::fmt::Write as _;

use indelible_engine::resource::{KINDS, Kind, Number, PREVIOUS_UNTIL, Verb};
use serde_json::Value;

const BEGINNING: &str = "# Resources

What is configured in Indelible: organizations, projects, keys, policies, budgets, halts, holds and the rest. They are kept and recorded here, and count from their
acknowledgement on: policies, halts and budgets in [decisions](policy.md), redaction rules and event schemas for every event. Streams
[deliver](streams.md); purging is not built yet. Every kind has the same URLs, and each change is in the record in the
transaction that makes it: before, after and what differs, or why it was refused.

| request | does | headers |
|---|---|---|
| `POST /v1/KIND` | makes one, from its document and `owner` | `Idempotency-Key`: the same key with the same body has its effect once, for a day; a repeated answer has `Idempotent-Replayed: true` and shows the resource as it is now |
| `GET /v1/KIND?project_id=&organization_id=&limit=&cursor=` | a page of them, oldest first: `{\"data\":[…],\"next_cursor\":…}` | |
| `GET /v1/KIND/{id}` | one, with its version as `ETag` | |
| `PATCH /v1/KIND/{id}` | changes it by a merge patch (RFC 7396) | `If-Match`: the `ETag` that the change is made of, required; another version is 412, none is 428 |
| `POST /v1/KIND/{id}/VERB` | what else can be done to one, where its kind says so | `If-Match`: if given, as above; `Idempotency-Key` |
| `DELETE /v1/KIND/{id}` | ends it; its events stay | `If-Match`: if given, as above |

A resource is its document with the members that Indelible sets: `id` (UUIDv7), `owner` (`{\"type\":\"project\",\"id\":…}`), `version` (counted from 1),
`created_at`, `updated_at`. Who may read the log (`audit:read`), or has the scope below, may look at it; changing it needs the scope below. A key of a project sees the
resources of the project; one of an organization, those of the organization and of its projects; one of the instance, all. What a key may not see is
answered as if it were not there. Documents lie in the ledger readable, so one that holds a credential is refused.

A project that is deleted takes nothing more (410 `deleted`), and everything that belongs to it ends in the same transaction, up to 10,000 resources and 16 MiB of documents (409 beyond), each with an event of its own:
`cascade_root_id` of all of them is the id of the project, and `resource.parent` too. Its chain stays, is read and verified as before, and what says how long
events are kept goes on: retention policies and legal holds. They can be made and changed after that. While a hold covers anything of it, neither project nor organization is deleted (409), and no retention policy is shortened. An
organization is deleted when its projects are. The keys under which its contents are sealed are not destroyed by that yet.

Members that are said to be sealed are the exception: they hold secrets, which are encrypted (AES-256-GCM under a key of their own, wrapped under the
organization's key) inside of the stored document, and shown as `[SEALED]`, in answers and in events alike; `changes` names one that changed. `[SEALED]` in a change leaves one as it
is. What Indelible makes itself is shown in the answer that makes it and never again, not in a repeated answer either. In the stored document they lie under
`sealed`, by their pointers: base64 of the wrap (40 bytes, RFC 3394, under the key of the organization, or of the instance) and `0x01 ‖ AES-256-GCM(key, nonce 0, secret)`,
with the additional data `\"indelible/secret/v1\" ‖ organization id (16) ‖ type ‖ 0x00 ‖ resource id (16) ‖ pointer`. Rotating data keys does not touch them.

The event of every change commits to the stored document: `context.document` is `VERSION:RING:MAC`, where MAC is HMAC-SHA256 under
`HMAC-SHA256(ring key, \"indelible/document/v1\" ‖ project id)` over `type ‖ 0x00 ‖ id ‖ 0x00 ‖ version (u64 BE) ‖ stored body`. `indelible verify` holds
every stored resource against the last event about it, and names one that was put there, changed, put back or removed by another hand.

On the command line: `indelible KIND --help`; for example `indelible halt issue '{\"subject\":{\"type\":\"agent\",\"id\":\"agent-7\"},\"reason\":\"It loops.\"}'`.

This page is made from `crates/indelible-engine/src/resource/kinds/`.
";

/// The text of `docs/resources.md`.
pub fn reference() -> String {
    let mut text = String::from(BEGINNING);
    for kind in KINDS {
        write_kind(kind, &mut text);
    }
    text
}

fn write_kind(kind: &Kind, text: &mut String) {
    let levels: Vec<&str> = kind.levels.iter().map(|level| level.as_str()).collect();
    let actions: Vec<String> = kind.all_actions().into_iter().map(|action| format!("`{action}`")).collect();
    let number = if kind.number == Number::One { " There is always one; it is changed, never made." } else { "" };
    let _ = write!(
        text,
        "\n## {}\n\n{}{number} `/v1/{}`; belongs to: {}; events: {}; changing it needs `{}`.\n\n| member | type | meaning |\n|---|---|---|\n",
        kind.noun,
        kind.doc,
        kind.plural,
        levels.join(", "),
        actions.join(", "),
        kind.scope.as_str()
    );
    write_members("", &(kind.schema)(), text);
    for figure in kind.rare.figures {
        let sort = if figure.is_time { "date-time" } else { "integer" };
        let _ = writeln!(text, "| `{}` | {sort}, shown alone | {} |", figure.name, figure.doc);
    }
    if let Some(member) = kind.rare.credential {
        let _ = writeln!(text, "| `{member}` | string, shown once | The credential: `ind_`, the id, `_` and 43 characters of base64url. |");
    }
    if kind.rare.verbs.iter().any(Verb::renews_credential) {
        let what = "Until when the credential works that this one took the place of.";
        let _ = writeln!(text, "| `{PREVIOUS_UNTIL}` | date-time, shown alone | {what} |");
    }
    if let Some(member) = kind.rare.ended {
        let _ = writeln!(text, "| `{member}` | date-time, shown alone | When it ended. It stays to be seen after that. |");
    }
    for pointer in kind.rare.secrets {
        let _ = write!(text, "\nSealed: `{pointer}`.\n");
    }
    for verb in kind.rare.verbs {
        let _ = write!(text, "\n`POST /v1/{}/{{id}}/{}`: {}", kind.plural, verb.name, verb.doc);
        let members = (verb.schema)();
        let members: Vec<String> = members["properties"].as_object().into_iter().flatten().map(|(name, _)| format!("`{name}`")).collect();
        let _ =
            writeln!(text, "{}", if members.is_empty() { String::new() } else { format!(" With it may be said: {}.", members.join(", ")) });
    }
    let _ = write!(text, "\n```json\n{}\n```\n", kind.example);
}

fn write_members(prefix: &str, schema: &Value, text: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(members) = schema["properties"].as_object() else { return };
    for (name, member) in members {
        let needed = if required.contains(&name.as_str()) { "" } else { ", may be absent" };
        let doc = member["description"].as_str().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(text, "| `{prefix}{name}` | {}{needed} | {doc} |", sort(member));
        write_members(&format!("{prefix}{name}."), member, text);
    }
}

/// The type of a member in words.
fn sort(member: &Value) -> String {
    // Values with a description of their own stand one by one, the others together.
    let parts = std::iter::once(member).chain(member["oneOf"].as_array().into_iter().flatten());
    let words: Vec<String> = parts
        .flat_map(|part| part["enum"].as_array().into_iter().flatten().chain(part.get("const")))
        .filter_map(|word| word.as_str().map(|word| format!("`{word}`")))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let format = member["format"].as_str().filter(|format| *format == "date-time" || *format == "uuid");
    match &member["type"] {
        Value::String(sort) if sort == "array" => format!("array of {}", sort_of_items(&member["items"])),
        Value::String(sort) => format.unwrap_or(sort).to_owned(),
        Value::Array(sorts) => format
            .map(str::to_owned)
            .or_else(|| sorts.iter().find_map(|sort| sort.as_str().filter(|s| *s != "null")).map(str::to_owned))
            .unwrap_or_default(),
        _ => "object".to_owned(),
    }
}

fn sort_of_items(items: &Value) -> String {
    items["type"].as_str().unwrap_or("object").to_owned()
}
