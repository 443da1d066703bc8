//! A question as Cedar takes it: a request, the few entities that it speaks of, and what each of its three parts lies in.

use std::sync::LazyLock;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};
use indelible_core::event::action;
use indelible_core::fault::{Fault, FaultKind};
use indelible_core::time::Timestamp;

use super::parts::Thing;
use super::properties::Properties;
use super::question::{Question, sort};

/// A question as Cedar takes it.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) entities: Entities,
    pub(crate) reach: Reach,
}

/// What each part is, and then everything that it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) principal: Vec<EntityUid>,
    pub(crate) action: Vec<EntityUid>,
    pub(crate) resource: Vec<EntityUid>,
}

/// Strings of the context that are attributes of it.
const ATTRIBUTES: &[&str] = &["agent", "model", "purpose", "run_id", "thread_id", "tool"];

type Pairs = Vec<(String, RestrictedExpression)>;

macro_rules! types {
    ($($name:ident = $text:literal;)+) => {
        $(static $name: LazyLock<EntityTypeName> = LazyLock::new(|| $text.parse().expect("a word of the schema"));)+
    };
}

types! {
    ACTION = "Action";
    AGENT = "Agent";
    GROUP = "Group";
    LISTS = "Lists";
    NUMBERS = "Numbers";
    RESOURCE = "Resource";
    RESOURCE_TYPE = "ResourceType";
    ROLE = "Role";
    SERVICE_ACCOUNT = "ServiceAccount";
    SUBJECT = "Subject";
    SYSTEM = "System";
    TEXT = "Text";
    USER = "User";
}

fn uid(kind: &LazyLock<EntityTypeName>, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id((*kind).clone(), EntityId::new(id))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// What stands for a subject in policies.
pub(crate) fn principal(subject: &Thing) -> EntityUid {
    let kind = match sort(&subject.kind).as_str() {
        "agent" => &AGENT,
        "user" | "human" => &USER,
        "service_account" => &SERVICE_ACCOUNT,
        "system" => &SYSTEM,
        _ => return uid(&SUBJECT, &format!("{}/{}", subject.kind, subject.id)),
    };
    uid(kind, &subject.id)
}

fn resource_uid(kind: &str, id: &str) -> EntityUid {
    uid(&RESOURCE, &format!("{kind}/{id}"))
}

/// The scope of a statement about exactly what is asked.
pub(crate) fn scope(question: &Question) -> String {
    format!(
        "(principal == {}, action == {}, resource == {})",
        principal(&question.subject.thing),
        uid(&ACTION, &question.action.name),
        resource_uid(&question.resource.thing.kind, &question.resource.thing.id)
    )
}

impl Asked {
    /// What is asked at `now`.
    pub(crate) fn of(question: &Question, now: Timestamp) -> Result<Self, Fault> {
        let mut entities = Vec::with_capacity(6);
        let (subject, object, name) = (&*question.subject, &*question.resource, &question.action.name);
        let principal = principal(&subject.thing);
        let within = subject.groups.iter().map(|group| uid(&GROUP, group)).chain(subject.roles.iter().map(|role| uid(&ROLE, role)));
        let within: Vec<EntityUid> = within.collect();
        let mut attributes = attributes(&subject.thing, "principal", &mut entities)?;
        attributes.extend(subject.on_behalf_of.iter().map(|whose| ("on_behalf_of".to_owned(), text(whose))));
        entities.push(entity(principal.clone(), attributes, within.clone(), tags(&subject.thing.properties))?);
        let action = uid(&ACTION, name);
        let noun = action::category(name);
        let nouns: Vec<EntityUid> = (noun != name).then(|| uid(&ACTION, noun)).into_iter().collect();
        entities.push(entity(action.clone(), Vec::new(), nouns.clone(), Vec::new())?);
        let resource = resource_uid(&object.thing.kind, &object.thing.id);
        let mut holders = vec![uid(&RESOURCE_TYPE, &object.thing.kind)];
        // Nothing lies in itself.
        holders.extend(object.parent.iter().map(|(kind, id)| resource_uid(kind, id)).filter(|parent| *parent != resource));
        let attributes = self::attributes(&object.thing, "resource", &mut entities)?;
        entities.push(entity(resource.clone(), attributes, holders.clone(), tags(&object.thing.properties))?);
        let context = context(question, now, &mut entities)?;
        let entities = Entities::from_entities(entities, None).map_err(|error| unfit("", &error))?;
        let request =
            Request::new(principal.clone(), action.clone(), resource.clone(), context, None).map_err(|error| unfit("", &error))?;
        let reach = |own: EntityUid, within: Vec<EntityUid>| std::iter::once(own).chain(within).collect();
        let reach = Reach { principal: reach(principal, within), action: reach(action, nouns), resource: reach(resource, holders) };
        Ok(Self { request, entities, reach })
    }
}

fn unfit(pointer: &str, error: &dyn std::fmt::Display) -> Fault {
    tracing::debug!(%error, "a question is not one for Cedar");
    Fault::new(FaultKind::Invalid, pointer, "is nothing that a policy can be asked about")
}

fn entity(own: EntityUid, attributes: Pairs, within: Vec<EntityUid>, tags: Pairs) -> Result<Entity, Fault> {
    Entity::new_with_tags(own, attributes, within, tags).map_err(|error| unfit("", &error))
}

fn tags(properties: &Properties) -> Pairs {
    properties.texts.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// What holds the numbers and the lists of a part: entities that are there where it has any.
fn holders(properties: &Properties, part: &str, entities: &mut Vec<Entity>) -> Result<Pairs, Fault> {
    let numbers: Pairs = properties.numbers.iter().map(|(name, number)| (name.clone(), RestrictedExpression::new_long(*number))).collect();
    let list = |items: &Vec<String>| RestrictedExpression::new_set(items.iter().map(|item| text(item)));
    let lists: Pairs = properties.lists.iter().map(|(name, items)| (name.clone(), list(items))).collect();
    let mut held = Vec::with_capacity(8);
    for (name, kind, tags) in [("numbers", &NUMBERS, numbers), ("lists", &LISTS, lists)] {
        let own = uid(kind, part);
        held.push((name.to_owned(), RestrictedExpression::new_entity_uid(own.clone())));
        if !tags.is_empty() {
            entities.push(entity(own, Vec::new(), Vec::new(), tags)?);
        }
    }
    Ok(held)
}

fn attributes(thing: &Thing, part: &str, entities: &mut Vec<Entity>) -> Result<Pairs, Fault> {
    let mut attributes = holders(&thing.properties, part, entities)?;
    attributes.push(("id".to_owned(), text(&thing.id)));
    attributes.push(("type".to_owned(), text(&thing.kind)));
    Ok(attributes)
}

fn context(question: &Question, now: Timestamp, entities: &mut Vec<Entity>) -> Result<Context, Fault> {
    let properties = &*question.context;
    let mut attributes = holders(properties, "context", entities)?;
    let own = uid(&TEXT, "context");
    attributes.push(("text".to_owned(), RestrictedExpression::new_entity_uid(own.clone())));
    if !properties.texts.is_empty() {
        entities.push(entity(own, Vec::new(), Vec::new(), tags(properties))?);
    }
    let written = now.written();
    // Cedar knows milliseconds: `2026-11-29T02:33:44.123Z`.
    let at = std::str::from_utf8(&written[..23]).unwrap_or("1970-01-01T00:00:00.000");
    attributes.push(("time".to_owned(), RestrictedExpression::new_datetime(format!("{at}Z"))));
    for name in ATTRIBUTES {
        attributes.extend(properties.string(name).map(|value| ((*name).to_owned(), text(value))));
    }
    attributes.extend(question.source_ip.map(|address| ("source_ip".to_owned(), RestrictedExpression::new_ip(address.to_string()))));
    Context::from_pairs(attributes).map_err(|error| unfit("/context", &error))
}
