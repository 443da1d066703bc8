//! What is asked of a decision: subject, action, resource and context, as the Authorization API 1.0 of OpenID AuthZEN has them
//! (section "Information Model"), and many of them in one request (section "Access Evaluations API").
//!
//! Read strictly: an unknown member is a fault, so that a misspelt one is never a condition that silently does not hold.

use std::net::IpAddr;
use std::sync::Arc;

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value};
use indelible_core::limits::QUESTIONS_BYTES_MAX;

use super::parts::{Action, Context, Parts, Resource, Subject, members, members_of};
use super::properties::Properties;

/// Questions in one request.
pub const QUESTIONS_MAX: usize = 1_000;

/// Members of one question.
const MEMBERS: &[&str] = &["subject", "action", "resource", "context"];

/// One question. What many questions of a request share is read and kept once.
#[derive(Debug, Clone)]
pub struct Question {
    pub(crate) subject: Arc<Subject>,
    pub(crate) action: Arc<Action>,
    pub(crate) resource: Arc<Resource>,
    /// The context, and the properties of the action as `action.NAME`.
    pub(crate) context: Arc<Properties>,
    /// Where the request that it is about comes from: `source_ip` of the context.
    pub(crate) source_ip: Option<IpAddr>,
    /// The context as it was said.
    context_said: Option<Arc<Context>>,
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
    /// What they come to, bytes of JSON, what they share counted with each.
    pub(crate) bytes: usize,
}

impl Question {
    pub(super) fn of(
        subject: Arc<Subject>,
        action: Arc<Action>,
        resource: Arc<Resource>,
        (context, source_ip, context_said): (Arc<Properties>, Option<IpAddr>, Option<Arc<Context>>),
    ) -> Self {
        Self { subject, action, resource, context, source_ip, context_said }
    }

    /// What was said beyond types, ids and the name, as it was said.
    pub(crate) fn said(&self) -> Option<Value<'static>> {
        let context = self.context_said.as_ref().map(|context| &context.said);
        let parts = [
            ("action", self.action.said.as_ref()),
            ("context", context),
            ("resource", self.resource.said.as_ref()),
            ("subject", self.subject.said.as_ref()),
        ];
        let mut all = Object::new();
        for (part, value) in parts {
            if let Some(value) = value.filter(|value| value.as_object().is_some_and(|object| !object.is_empty())) {
                all.insert(part, value.clone());
            }
        }
        (!all.is_empty()).then_some(Value::Object(all))
    }

    /// The agent that it is about: the subject, or `context.agent`.
    pub(crate) fn agent(&self) -> Option<&str> {
        if sort(&self.subject.thing.kind) == "agent" { Some(&self.subject.thing.id) } else { self.context.string("agent") }
    }

    /// The run that it is part of.
    pub(crate) fn run(&self) -> Option<&str> {
        self.context.string("run_id")
    }

    /// The model that it would use: the resource, or `context.model`.
    pub(crate) fn model(&self) -> Option<&str> {
        if sort(&self.resource.thing.kind) == "model" { Some(&self.resource.thing.id) } else { self.context.string("model") }
    }
}

impl Questions {
    /// Reads one question.
    pub fn one(value: &Value<'_>) -> Result<Self, Fault> {
        let parts = members(value, MEMBERS).map(Parts::read)?;
        Self::single(parts, Semantic::default())
    }

    fn single(parts: Parts, semantic: Semantic) -> Result<Self, Fault> {
        let bytes = parts.bytes();
        parts.question().map(|one| Self { asked: vec![Ok(one)], semantic, single: true, bytes })
    }

    /// Reads a request: one question, or `evaluations` with defaults for them.
    pub fn read(value: &Value<'_>) -> Result<Self, Fault> {
        let object = members(value, &["subject", "action", "resource", "context", "evaluations", "options"])?;
        let semantic = object.get("options").map_or(Ok(Semantic::default()), semantic).map_err(|fault| fault.within("options"))?;
        let defaults = Parts::read(object);
        let list = match object.get("evaluations") {
            None => &[][..],
            Some(list) => list.as_array().ok_or_else(|| fault(format!("must be an array, not {}", list.kind())).within("evaluations"))?,
        };
        if list.is_empty() {
            return Self::single(defaults, semantic);
        }
        if list.len() > QUESTIONS_MAX {
            return Err(fault(format!("holds more than {QUESTIONS_MAX}")).within("evaluations"));
        }
        let (mut asked, mut bytes) = (Vec::with_capacity(list.len()), 0_usize);
        for (n, item) in list.iter().enumerate() {
            let parts = members(item, MEMBERS).map(|own| Parts::read(own).over(&defaults));
            // Each is weighed and recorded with what it shares.
            bytes = bytes.saturating_add(parts.as_ref().map_or(0, Parts::bytes));
            if bytes > QUESTIONS_BYTES_MAX {
                let message = format!(
                    "come to more than {QUESTIONS_BYTES_MAX} bytes, what they share counted with each: share less, or ask in several requests"
                );
                return Err(fault(message).within("evaluations"));
            }
            let question = parts.and_then(Parts::question);
            asked.push(question.map_err(|fault| fault.within(&n.to_string()).within("evaluations")));
        }
        Ok(Self { asked, semantic, single: false, bytes })
    }
}

/// A type in one spelling: `Service-Account` is `service_account`.
pub(crate) fn sort(kind: &str) -> String {
    kind.to_ascii_lowercase().replace('-', "_")
}

pub(super) fn fault(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, "", message)
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
                (question.subject.thing.id.as_str(), question.action.name.as_str(), question.resource.thing.kind.as_str()),
                ("alice", "read", "record")
            );
            assert_eq!(question.said(), None);
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
        assert_eq!((first.subject.groups.as_slice(), first.run(), first.agent()), (&["ops".to_owned()][..], Some("r"), Some("a")));
        let second = second.as_ref().expect("whole");
        assert_eq!((second.action.name.as_str(), second.run()), ("edit", None));
        assert_eq!(third.as_ref().expect_err("no id").pointer, "/evaluations/2/resource/id");
        let fourth = fourth.as_ref().expect("whole");
        assert!(fourth.subject.groups.is_empty() && fourth.agent().is_none());
    }

    #[test]
    fn what_is_shared_is_kept_once_and_counted_with_each() {
        let ask = |bytes: usize, evaluations: usize| {
            let filler = "x".repeat(bytes);
            let items = vec![r#"{"resource":{"type":"d","id":"1"}}"#; evaluations].join(",");
            let text = format!(
                r#"{{"subject":{{"type":"user","id":"u","properties":{{"p":"{filler}"}}}},"action":{{"name":"read","properties":{{"q":1}}}},
                "context":{{"c":"{filler}"}},"evaluations":[{items}]}}"#
            );
            read(&text)
        };
        let questions = ask(1_000, 900).expect("it reads");
        let of = |n: usize| questions.asked[n].as_ref().expect("whole");
        assert!(Arc::ptr_eq(&of(0).subject, &of(899).subject) && Arc::ptr_eq(&of(0).action, &of(899).action));
        assert!((900 * 2_000..900 * 2_500).contains(&questions.bytes), "{}", questions.bytes);
        assert_eq!((of(899).context.texts["c"].len(), of(899).context.texts["action.q"].as_str()), (1_000, "1"));
        assert!(of(7).said().expect("said").to_canonical().len() > 2_000);
        let fault = ask(QUESTIONS_BYTES_MAX / 1_000, 1_000).expect_err("too much in all");
        assert_eq!(fault.pointer, "/evaluations");
        assert!(fault.message.contains(&QUESTIONS_BYTES_MAX.to_string()), "{fault}");
        ask(QUESTIONS_BYTES_MAX / 1_000, 100).expect("fewer");
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
