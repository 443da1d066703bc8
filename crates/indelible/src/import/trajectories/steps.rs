//! What all shapes of runs share: numbering steps, making ids, and finding the call that a tool's result answers.

use std::collections::{HashMap, VecDeque};

use indelible_core::event::derived_id;
use indelible_core::json::Value;

use super::super::compose::{Composer, count, name, text, word};

/// One run, step by step.
pub(super) struct Steps {
    pub(super) run_id: String,
    pub(super) thread_id: Option<String>,
    pub(super) procedure_id: Option<String>,
    pub(super) procedure_version: Option<String>,
    pub(super) agent: String,
    pub(super) on_behalf_of: Option<String>,
    pub(super) model: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) shape: &'static str,
    step: u64,
    /// Calls without a result yet, by the id that the model gave them. An id may come twice in a run: first come, first answered.
    open: HashMap<String, VecDeque<OpenCall>>,
}

/// A tool call that awaits its result.
#[derive(Clone)]
pub(super) struct OpenCall {
    pub(super) operation_id: String,
    pub(super) tool: String,
}

impl Steps {
    pub(super) fn new(shape: &'static str, run_id: String, agent: String) -> Self {
        Self {
            run_id,
            thread_id: None,
            procedure_id: None,
            procedure_version: None,
            agent,
            on_behalf_of: None,
            model: None,
            provider: None,
            shape,
            step: 0,
            open: HashMap::new(),
        }
    }

    /// The next event of the run. Its id is made of the run's id, the step and the action.
    pub(super) fn event<'a>(&mut self, action: &str) -> Composer<'a> {
        let step = self.step;
        self.step += 1;
        let id = derived_id("run step", &[self.shape.as_bytes(), self.run_id.as_bytes(), &step.to_be_bytes(), action.as_bytes()]);
        let mut event = Composer::new(id, action.to_owned());
        event
            .put_in("actor", "type", word("agent"))
            .put_in("actor", "id", name(Some(&self.agent)))
            .put_in("actor", "on_behalf_of", name(self.on_behalf_of.as_deref()))
            .put_in("run", "id", name(Some(&self.run_id)))
            .put_in("run", "thread_id", name(self.thread_id.as_deref()))
            .put_in("run", "procedure_id", name(self.procedure_id.as_deref()))
            .put_in("run", "procedure_version", name(self.procedure_version.as_deref()))
            .put_in("run", "step", count(Some(step as i64)))
            .label("source", Some(self.shape));
        if let Some(user) = self.on_behalf_of.as_deref() {
            event.put_in("principal", "type", word("user")).put_in("principal", "id", name(Some(user)));
            event.put("subjects", name(Some(user)).map(|user| Value::Array(vec![user])));
        }
        event
    }

    /// An answer of the model.
    pub(super) fn invoke<'a>(&mut self) -> Composer<'a> {
        let mut event = self.event("model.invoke");
        event
            .model(self.model.as_deref(), self.provider.as_deref())
            .put_in("resource", "type", self.model.as_deref().and_then(|_| word("model")))
            .put_in("resource", "id", name(self.model.as_deref()));
        event
    }

    /// A tool call: recorded as the intent, which its result completes.
    pub(super) fn call<'a>(&mut self, call_id: Option<&str>, tool: &str) -> Composer<'a> {
        let operation_id = format!("{}/{}", self.run_id, self.step);
        self.open
            .entry(call_id.unwrap_or_default().to_owned())
            .or_default()
            .push_back(OpenCall { operation_id: operation_id.clone(), tool: tool.to_owned() });
        let mut event = self.event("tool.call");
        tool_of(&mut event, tool, call_id, &operation_id);
        event.put("phase", word("intent"));
        event
    }

    /// The result of a tool call; `tool` is used where no call awaits one.
    pub(super) fn result<'a>(&mut self, call_id: Option<&str>, tool: &str, failure: Option<&str>) -> Composer<'a> {
        let call = self.open.get_mut(call_id.unwrap_or_default()).and_then(VecDeque::pop_front);
        let call = call.unwrap_or_else(|| OpenCall { operation_id: format!("{}/{}", self.run_id, self.step), tool: tool.to_owned() });
        let mut event = self.event("tool.result");
        tool_of(&mut event, &call.tool, call_id, &call.operation_id);
        event.put("phase", word("outcome"));
        ended(&mut event, failure);
        event
    }
}

fn tool_of(event: &mut Composer<'_>, tool: &str, call_id: Option<&str>, operation_id: &str) {
    event
        .put("operation_id", name(Some(operation_id)))
        .put_in("resource", "type", word("tool"))
        .put_in("resource", "id", name(Some(tool)))
        .label("tool", Some(tool))
        .label("tool_call_id", call_id);
}

/// How a step ended: well, or with an error of these words.
pub(super) fn ended(event: &mut Composer<'_>, failure: Option<&str>) {
    match failure {
        None => event.put("outcome", word("allow")).put("outcome_detail", word("success")),
        Some(reason) => event.put("outcome", word("error")).put("outcome_detail", word("provider_error")).put("reason", text(Some(reason))),
    };
}
