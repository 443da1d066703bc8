//! The parts of a question: subject, action, resource and context, each read once, however many questions share it.

use std::net::IpAddr;
use std::sync::Arc;

use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};
use indelible_core::limits::NAME_BYTES_MAX;

use super::properties::Properties;
use super::question::{Question, fault};

/// A subject or a resource by itself.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) properties: Properties,
}

/// Who asks.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) thing: Thing,
    /// Whose authority it acts with: its property `on_behalf_of`.
    pub(crate) on_behalf_of: Option<String>,
    /// Its properties `groups` and `roles`.
    pub(crate) groups: Vec<String>,
    pub(crate) roles: Vec<String>,
    /// Its properties as they were said.
    pub(super) said: Option<Value<'static>>,
    bytes: usize,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) name: String,
    /// Its properties as they were said.
    pub(super) said: Option<Value<'static>>,
    bytes: usize,
}

/// What it is asked for.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) thing: Thing,
    /// The type and id of what it is part of: its property `parent`.
    pub(crate) parent: Option<(String, String)>,
    /// Its properties as they were said.
    pub(super) said: Option<Value<'static>>,
    bytes: usize,
}

/// What else is known.
#[derive(Debug)]
pub(crate) struct Context {
    properties: Arc<Properties>,
    source_ip: Option<IpAddr>,
    /// As it was said.
    pub(super) said: Value<'static>,
    bytes: usize,
}

/// A part that is there, or what is wrong with it.
type Part<T> = Option<Result<Arc<T>, Fault>>;

/// The parts of one question, or the defaults of many.
pub(super) struct Parts {
    subject: Part<Subject>,
    action: Part<Action>,
    resource: Part<Resource>,
    context: Part<Context>,
}

impl Parts {
    /// Reads the members of an object that are parts.
    pub(super) fn read(object: &Object<'_>) -> Self {
        fn part<T>(object: &Object<'_>, name: &str, read: impl FnOnce(&Value<'_>) -> Result<T, Fault>) -> Part<T> {
            object.get(name).map(|value| read(value).map(Arc::new).map_err(|fault| fault.within(name)))
        }
        Self {
            subject: part(object, "subject", Subject::read),
            action: part(object, "action", Action::read),
            resource: part(object, "resource", Resource::read),
            context: part(object, "context", Context::read),
        }
    }

    /// These, and the defaults for those that are not there.
    pub(super) fn over(self, defaults: &Self) -> Self {
        Self {
            subject: self.subject.or_else(|| defaults.subject.clone()),
            action: self.action.or_else(|| defaults.action.clone()),
            resource: self.resource.or_else(|| defaults.resource.clone()),
            context: self.context.or_else(|| defaults.context.clone()),
        }
    }

    /// What they come to, bytes of JSON; those that are faulty cost nothing more.
    pub(super) fn bytes(&self) -> usize {
        fn of<T>(part: Option<&Result<Arc<T>, Fault>>, bytes: impl FnOnce(&T) -> usize) -> usize {
            part.and_then(|part| part.as_ref().ok()).map_or(0, |part| bytes(part))
        }
        of(self.subject.as_ref(), |subject| subject.bytes)
            + of(self.action.as_ref(), |action| action.bytes)
            + of(self.resource.as_ref(), |resource| resource.bytes)
            + of(self.context.as_ref(), |context| context.bytes)
    }

    /// The question that they make.
    pub(super) fn question(self) -> Result<Question, Fault> {
        fn needed<T>(part: Part<T>, name: &str) -> Result<Arc<T>, Fault> {
            part.unwrap_or_else(|| Err(fault("is required").within(name)))
        }
        let subject = needed(self.subject, "subject")?;
        let resource = needed(self.resource, "resource")?;
        let action = needed(self.action, "action")?;
        let given = self.context.transpose()?;
        let mut context = given.as_ref().map(|given| Arc::clone(&given.properties)).unwrap_or_default();
        if let Some(said) = &action.said {
            let add = members_of(said).and_then(|said| Arc::make_mut(&mut context).add("action.", said));
            add.map_err(|fault| fault.within("properties").within("action"))?;
        }
        let source_ip = given.as_ref().and_then(|given| given.source_ip);
        Ok(Question::of(subject, action, resource, (context, source_ip, given)))
    }
}

impl Subject {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let (thing, said) = thing(value)?;
        let listed = |of: &str| -> Result<Vec<String>, Fault> {
            let list = said.and_then(|said| said.get(of)).map_or(Ok(Vec::new()), names);
            list.map_err(|fault| fault.within(of).within("properties"))
        };
        let (groups, roles) = (listed("groups")?, listed("roles")?);
        let on_behalf_of = said.and_then(|said| said.get("on_behalf_of")).map(|of| {
            let text = of.as_str().map(str::to_owned);
            text.ok_or_else(|| fault("must be a string").within("on_behalf_of").within("properties"))
        });
        let on_behalf_of = on_behalf_of.transpose()?;
        Ok(Self { thing, on_behalf_of, groups, roles, said: said.map(|said| said.clone().into_owned()), bytes: bytes(value) })
    }
}

impl Action {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let object = members(value, &["name", "properties"])?;
        let name = word(object, "name")?;
        let said = object.get("properties");
        if let Some(said) = said {
            members_of(said).map_err(|fault| fault.within("properties"))?;
        }
        Ok(Self { name, said: said.map(|said| said.clone().into_owned()), bytes: bytes(value) })
    }
}

impl Resource {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let (thing, said) = thing(value)?;
        let parent = said.and_then(|said| said.get("parent")).map(parent).transpose();
        let parent = parent.map_err(|fault| fault.within("parent").within("properties"))?;
        Ok(Self { thing, parent, said: said.map(|said| said.clone().into_owned()), bytes: bytes(value) })
    }
}

impl Context {
    fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let given = members_of(value)?;
        let mut properties = Properties::default();
        properties.add("", given)?;
        // What decides must not be overlooked because it came as a number.
        for name in ["agent", "model", "run_id", "source_ip"] {
            if given.get(name).is_some_and(|given| given.as_str().is_none()) {
                return Err(fault("must be a string").within(name));
            }
        }
        let source_ip = properties.string("source_ip").map(str::parse).transpose();
        let source_ip = source_ip.map_err(|_| fault("must be an address of IPv4 or IPv6").within("source_ip"))?;
        Ok(Self { properties: Arc::new(properties), source_ip, said: value.clone().into_owned(), bytes: bytes(value) })
    }
}

fn bytes(value: &Value<'_>) -> usize {
    value.to_canonical().len()
}

pub(super) fn members_of<'v, 'a>(value: &'v Value<'a>) -> Result<&'v Object<'a>, Fault> {
    value.as_object().ok_or_else(|| fault(format!("must be an object, not {}", value.kind())))
}

pub(super) fn members<'v, 'a>(value: &'v Value<'a>, known: &[&str]) -> Result<&'v Object<'a>, Fault> {
    let object = members_of(value)?;
    match object.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(fault(format!("an unknown member; known are: {}", known.join(", "))).within(name)),
        None => Ok(object),
    }
}

fn check_word(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(fault(format!("has 1 to {NAME_BYTES_MAX} bytes and no control characters")));
    }
    Ok(())
}

fn word(object: &Object<'_>, name: &str) -> Result<String, Fault> {
    let value = object.get(name).ok_or_else(|| fault("is required").within(name))?;
    let text = value.as_str().ok_or_else(|| fault(format!("must be a string, not {}", value.kind())).within(name))?;
    check_word(text).map_err(|fault| fault.within(name))?;
    Ok(text.to_owned())
}

/// A type stands before a slash in the names that policies use, so it holds none.
fn kind_of(object: &Object<'_>) -> Result<String, Fault> {
    let kind = word(object, "type")?;
    if kind.contains('/') { Err(fault("holds no `/`").within("type")) } else { Ok(kind) }
}

fn thing<'v, 'a>(value: &'v Value<'a>) -> Result<(Thing, Option<&'v Value<'a>>), Fault> {
    let object = members(value, &["type", "id", "properties"])?;
    let (kind, id) = (kind_of(object)?, word(object, "id")?);
    let said = object.get("properties");
    let mut properties = Properties::default();
    if let Some(given) = said {
        members_of(given).and_then(|given| properties.add("", given)).map_err(|fault| fault.within("properties"))?;
    }
    Ok((Thing { kind, id, properties }, said))
}

fn names(value: &Value<'_>) -> Result<Vec<String>, Fault> {
    let items = value.as_array().ok_or_else(|| fault(format!("must be an array, not {}", value.kind())))?;
    let name = |(n, item): (usize, &Value<'_>)| {
        let text = item.as_str().ok_or_else(|| fault(format!("must be a string, not {}", item.kind())));
        let checked = text.and_then(|text| check_word(text).map(|()| text.to_owned()));
        checked.map_err(|fault| fault.within(&n.to_string()))
    };
    items.iter().enumerate().map(name).collect()
}

fn parent(value: &Value<'_>) -> Result<(String, String), Fault> {
    let object = members(value, &["type", "id"])?;
    Ok((kind_of(object)?, word(object, "id")?))
}
