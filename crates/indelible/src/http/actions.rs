//! The page about actions, `docs/actions.md`, made from the catalogue and the kinds of resources.

use std::fmt::Write as _;

use indelible_core::event::action::{self, Home, Listed};
use indelible_engine::resource;

const BEGINNING: &str = "# Actions

Every action that Indelible knows by itself. An application's own events may have any other action, `noun.verb` in lower case, and the
open ones of this list. The part before the first dot is the category of an event that names none.

Written by: *anyone* is every key with `events:append`, and the engine where it does such a thing itself; *the engine* means that a caller's
event of that action is refused (403), also with a verb that is not listed here, unless it says *listed verbs*. Home is the chain to which the engine writes its own
event: that of the project it is about, or the system project of the organization or of the instance; an event about something that belongs to an organization or
to the instance goes to the system project of that. A kind is what [resources](resources.md) tells of.

| noun | verbs | written by | home | kind of resource |
|---|---|---|---|---|
";

const END: &str = "
This page is made from `crates/indelible-core/src/event/action.rs` and `crates/indelible-engine/src/resource/kinds/`.
";

/// The text of `docs/actions.md`.
pub fn reference() -> String {
    let mut text = String::from(BEGINNING);
    for noun in action::nouns() {
        write_noun(noun, &mut text);
    }
    text.push_str(END);
    text
}

fn write_noun(noun: Listed, text: &mut String) {
    let verbs: Vec<String> = noun.verbs.iter().map(|verb| format!("`{verb}`")).collect();
    let writer = match (noun.engine_only, noun.every_verb) {
        (false, _) => "anyone",
        (true, true) => "the engine",
        (true, false) => "the engine: listed verbs",
    };
    let elsewhere = noun.verbs.iter().filter(|verb| action::home(&format!("{}.{verb}", noun.noun)) != noun.home);
    let mut home = word(noun.home).to_owned();
    for verb in elsewhere {
        let _ = write!(home, "; `{verb}`: {}", word(action::home(&format!("{}.{verb}", noun.noun))));
    }
    let kind = resource::kind(noun.noun).map_or_else(String::new, |kind| format!("[{}](resources.md#{})", kind.noun, kind.noun));
    let _ = writeln!(text, "| `{}` | {} | {writer} | {home} | {kind} |", noun.noun, verbs.join(", "));
}

const fn word(home: Home) -> &'static str {
    match home {
        Home::Instance => "instance",
        Home::Organization => "organization",
        Home::Project => "project",
    }
}
