//! What is asked of a decision: subject, action, resource and context, as the Authorization API 1.0 of OpenID AuthZEN has them
//! (section "Information Model"), and many of them in one request (section "Access Evaluations API").
//!
//! Read strictly: an unknown member is a fault, so that a misspelt one is never a condition that silently does not hold.

use std::net::IpAddr;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value};
use indelible_core::limits::NAME_BYTES_MAX;

use super::properties::Properties;

/// Questions in one request.
pub const QUESTIONS_MAX: usize = 1_000;

/// Members of one question.
const MEMBERS: &[&str] = &["subject", "action", "resource", "context"];

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    pub(crate) subject: Thing,
    /// Whose authority the subject acts with: its property `on_behalf_of`.
    pub(crate) on_behalf_of: Option<String>,
    /// Its properties `groups` and `roles`.
    pub(crate) groups: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) action: String,
    pub(crate) resource: Thing,
    /// The type and id of what the resource is part of: its property `parent`.
    pub(crate) parent: Option<(String, String)>,
    /// The context, and the properties of the action as `action.NAME`.
    pub(crate) context: Properties,
    /// Where the request that it is about comes from: `source_ip` of the context.
    pub(crate) source_ip: Option<IpAddr>,
    /// What was said beyond types, ids and the name, as it was said.
    pub(crate) said: Option<Value<'static>>,
}

/// A subject or a resource.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) properties: Properties,
}

/// Which of many questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantic {
    /// All.
    #[default]
    ExecuteAll,
    /// Up to the first that is denied.
    DenyOnFirstDeny,
    /// Up to the first that is permitted.
    PermitOnFirstPermit,
}

impl Semantic {
    /// The word of `options.evaluations_semantic`.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::ExecuteAll, "execute_all"),
        (Self::DenyOnFirstDeny, "deny_on_first_deny"),
        (Self::PermitOnFirstPermit, "permit_on_first_permit"),
    ];

    /// Whether this answer is the last.
    pub(crate) const fn ends_at(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }
}

/// The questions of one request.
#[derive(Debug, Clone)]
pub struct Questions {
    /// In the order of the request; what cannot be asked stands as its fault, at its place.
    pub asked: Vec<Result<Question, Fault>>,
    /// Which are answered.
    pub semantic: Semantic,
    /// Whether it is the one question of a request without `evaluations`.
    pub single: bool,
}

impl Question {
    /// Reads one question.
    pub fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let object = members(value, MEMBERS)?;
        Self::from_members(|name| object.get(name))
    }

    fn from_members<'v, 'a: 'v>(get: impl Fn(&str) -> Option<&'v Value<'a>>) -> Result<Self, Fault> {
        let needed = |name: &'static str| get(name).ok_or_else(|| fault("is required").within(name));
        let (subject, subject_said) = thing(needed("subject")?).map_err(|fault| fault.within("subject"))?;
        let (resource, resource_said) = thing(needed("resource")?).map_err(|fault| fault.within("resource"))?;
        let action = members(needed("action")?, &["name", "properties"]).map_err(|fault| fault.within("action"))?;
        let name = word(action, "name").map_err(|fault| fault.within("action"))?;
        let mut context = Properties::default();
        if let Some(given) = get("context") {
            context.add("", members_of(given).map_err(|fault| fault.within("context"))?).map_err(|fault| fault.within("context"))?;
        }
        // What decides must not be overlooked because it came as a number.
        for name in ["agent", "model", "run_id", "source_ip"] {
            if get("context").and_then(Value::as_object).and_then(|given| given.get(name)).is_some_and(|given| given.as_str().is_none()) {
                return Err(fault("must be a string").within(name).within("context"));
            }
        }
        let source_ip = context.string("source_ip").map(str::parse).transpose();
        let source_ip = source_ip.map_err(|_| fault("must be an address of IPv4 or IPv6").within("source_ip").within("context"))?;
        let action_said = action.get("properties");
        if let Some(given) = action_said {
            let add = members_of(given).and_then(|given| context.add("action.", given));
            add.map_err(|fault| fault.within("properties").within("action"))?;
        }
        let listed = |of: &str| -> Result<Vec<String>, Fault> {
            let list = subject_said.and_then(|said| said.get(of)).map_or(Ok(Vec::new()), names);
            list.map_err(|fault| fault.within(of).within("properties").within("subject"))
        };
        let (groups, roles) = (listed("groups")?, listed("roles")?);
        let on_behalf_of = subject_said.and_then(|said| said.get("on_behalf_of")).map(|of| {
            let text = of.as_str().map(str::to_owned);
            text.ok_or_else(|| fault("must be a string").within("on_behalf_of").within("properties").within("subject"))
        });
        let on_behalf_of = on_behalf_of.transpose()?;
        let parent = resource_said.and_then(|said| said.get("parent")).map(parent).transpose();
        let parent = parent.map_err(|fault| fault.within("parent").within("properties").within("resource"))?;
        let parts = [("action", action_said), ("context", get("context")), ("resource", resource_said), ("subject", subject_said)];
        let mut all = Object::new();
        for (part, value) in parts {
            if let Some(value) = value.filter(|value| value.as_object().is_some_and(|object| !object.is_empty())) {
                all.insert(part, value.clone().into_owned());
            }
        }
        let said = (!all.is_empty()).then_some(Value::Object(all));
        Ok(Self { subject, on_behalf_of, groups, roles, action: name, resource, parent, context, source_ip, said })
    }

    /// The agent that it is about: the subject, or `context.agent`.
    pub(crate) fn agent(&self) -> Option<&str> {
        if sort(&self.subject.kind) == "agent" { Some(&self.subject.id) } else { self.context.string("agent") }
    }

    /// The run that it is part of.
    pub(crate) fn run(&self) -> Option<&str> {
        self.context.string("run_id")
    }

    /// The model that it would use: the resource, or `context.model`.
    pub(crate) fn model(&self) -> Option<&str> {
        if sort(&self.resource.kind) == "model" { Some(&self.resource.id) } else { self.context.string("model") }
    }
}

impl Questions {
    /// Reads a request: one question, or `evaluations` with defaults for them.
    pub fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let object = members(value, &["subject", "action", "resource", "context", "evaluations", "options"])?;
        let semantic = object.get("options").map_or(Ok(Semantic::default()), semantic).map_err(|fault| fault.within("options"))?;
        let Some(list) = object.get("evaluations") else {
            return Question::from_members(|name| object.get(name)).map(|one| Self { asked: vec![Ok(one)], semantic, single: true });
        };
        let Some(list) = list.as_array() else {
            return Err(fault(format!("must be an array, not {}", list.kind())).within("evaluations"));
        };
        if list.is_empty() {
            return Question::from_members(|name| object.get(name)).map(|one| Self { asked: vec![Ok(one)], semantic, single: true });
        }
        if list.len() > QUESTIONS_MAX {
            return Err(fault(format!("holds more than {QUESTIONS_MAX}")).within("evaluations"));
        }
        let read = |(n, item): (usize, &Value<'_>)| {
            let question = members(item, MEMBERS).and_then(|own| Question::from_members(|name| own.get(name).or_else(|| object.get(name))));
            question.map_err(|fault| fault.within(&n.to_string()).within("evaluations"))
        };
        Ok(Self { asked: list.iter().enumerate().map(read).collect(), semantic, single: false })
    }
}

/// A type in one spelling: `Service-Account` is `service_account`.
pub(crate) fn sort(kind: &str) -> String {
    kind.to_ascii_lowercase().replace('-', "_")
}

fn fault(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, "", message)
}

fn members_of<'v, 'a>(value: &'v Value<'a>) -> Result<&'v Object<'a>, Fault> {
    value.as_object().ok_or_else(|| fault(format!("must be an object, not {}", value.kind())))
}

fn members<'v, 'a>(value: &'v Value<'a>, known: &[&str]) -> Result<&'v Object<'a>, Fault> {
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

fn semantic(options: &Value<'_>) -> Result<Semantic, Fault> {
    // Options that are not known are of no effect, as the specification has it.
    let Some(said) = members_of(options)?.get("evaluations_semantic") else { return Ok(Semantic::default()) };
    let found = Semantic::ALL.iter().find(|(_, word)| said.as_str() == Some(word));
    found.map(|(semantic, _)| *semantic).ok_or_else(|| {
        let words = Semantic::ALL.map(|(_, word)| word).join(", ");
        fault(format!("must be one of: {words}")).within("evaluations_semantic")
    })
}

#[cfg(test)]
mod tests {
    use indelible_core::json;

    use super::*;

    fn read(text: &str) -> Result<Questions, Fault> {
        Questions::read(&json::parse(text.as_bytes()).expect("JSON"))
    }

    const WHOLE: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"1"}}"#;

    #[test]
    fn one_question_is_read_with_or_without_an_empty_list() {
        let with_list = WHOLE.replace("{\"subject", "{\"evaluations\":[],\"subject");
        for text in [WHOLE, &with_list] {
            let questions = read(text).expect(text);
            assert!(questions.single && questions.asked.len() == 1 && questions.semantic == Semantic::ExecuteAll);
            let question = questions.asked[0].as_ref().expect("whole");
            assert_eq!(
                (question.subject.id.as_str(), question.action.as_str(), question.resource.kind.as_str()),
                ("alice", "read", "record")
            );
            assert_eq!(question.said, None);
        }
    }

    #[test]
    fn defaults_are_taken_whole_and_a_faulty_one_spoils_only_itself() {
        let text = r#"{"subject":{"type":"agent","id":"a","properties":{"groups":["ops"]}},"action":{"name":"read"},"context":{"run_id":"r"},
            "options":{"evaluations_semantic":"deny_on_first_deny","another":1},
            "evaluations":[{"resource":{"type":"d","id":"1"}},{"resource":{"type":"d","id":"2"},"action":{"name":"edit"},"context":{}},
                           {"resource":{"type":"d"}},{"subject":{"type":"user","id":"u"},"resource":{"type":"d","id":"4"}}]}"#;
        let questions = read(text).expect("it reads");
        assert_eq!(questions.semantic, Semantic::DenyOnFirstDeny);
        let [first, second, third, fourth] = &questions.asked[..] else { panic!("four") };
        let first = first.as_ref().expect("whole");
        assert_eq!((first.groups.as_slice(), first.run(), first.agent()), (&["ops".to_owned()][..], Some("r"), Some("a")));
        let second = second.as_ref().expect("whole");
        assert_eq!((second.action.as_str(), second.run()), ("edit", None));
        assert_eq!(third.as_ref().expect_err("no id").pointer, "/evaluations/2/resource/id");
        let fourth = fourth.as_ref().expect("whole");
        assert!(fourth.groups.is_empty() && fourth.agent().is_none());
    }

    #[test]
    fn faults_have_their_place() {
        let cases = [
            ("[]", ""),
            ("{}", "/subject"),
            (r#"{"subject":{"type":"user"}}"#, "/subject/id"),
            (r#"{"subject":{"type":"u/v","id":"a"}}"#, "/subject/type"),
            (r#"{"subject":{"type":"user","id":""}}"#, "/subject/id"),
            (&WHOLE.replace("\"read\"", "7"), "/action/name"),
            (&WHOLE.replace("{\"subject", "{\"contxt\":{},\"subject"), "/contxt"),
            (&WHOLE.replace("{\"subject", "{\"context\":[],\"subject"), "/context"),
            (&WHOLE.replace("{\"subject", "{\"context\":{\"source_ip\":\"10.0.0\"},\"subject"), "/context/source_ip"),
            (&WHOLE.replace("{\"subject", "{\"context\":{\"run_id\":17},\"subject"), "/context/run_id"),
            (&WHOLE.replace("{\"subject", "{\"context\":{\"agent\":null},\"subject"), "/context/agent"),
            (&WHOLE.replace("\"alice\"", r#""alice","properties":{"groups":["a",1]}"#), "/subject/properties/groups/1"),
            (&WHOLE.replace("\"1\"", r#""1","properties":{"parent":{"type":"p"}}"#), "/resource/properties/parent/id"),
            (&WHOLE.replace("{\"subject", "{\"evaluations\":7,\"subject"), "/evaluations"),
            (&WHOLE.replace("{\"subject", r#"{"options":{"evaluations_semantic":"some"},"subject"#), "/options/evaluations_semantic"),
        ];
        for (text, pointer) in cases {
            assert_eq!(read(text).expect_err(text).pointer, pointer, "{text}");
        }
    }
}
