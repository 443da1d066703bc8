//! Sessions of a coding agent, one step a line: `session`, `message` (user, assistant, toolResult, bashExecution),
//! `model_change`, `thinking_level_change`, `compaction`. Every line has a time, every answer its tokens and cost.
//!
//! A session is one run and one conversation. Its first line names it; without one it is named by the bytes of the first line there
//! is. `run.finish` is what the end of the file says, at the time of the last line.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;

use super::super::compose::{Composer, at, count, instant, micros, name, snake, text_at, word};
use super::super::invalid;
use super::steps::{Steps, ended};

pub(super) struct Session {
    agent: String,
    steps: Option<Steps>,
    /// User messages that no answer has taken up yet.
    waiting: Vec<Value<'static>>,
    last: Option<Timestamp>,
}

impl Session {
    pub(super) fn new(agent: String) -> Self {
        Self { agent, steps: None, waiting: Vec::new(), last: None }
    }

    pub(super) fn line<'a>(&mut self, record: Value<'a>, _number: u64) -> Result<Vec<Value<'a>>, Fault> {
        let time = match text_at(&record, &["timestamp"]) {
            Some(time) => Some(instant(time).ok_or_else(|| invalid("/timestamp", "a time of RFC 3339 was expected"))?),
            None => None,
        };
        let sort = text_at(&record, &["type"]).unwrap_or_default().to_owned();
        if sort == "session" && self.steps.is_some() {
            return Err(invalid("/type", "a second session in one file"));
        }
        let mut events = Vec::new();
        if self.steps.is_none() {
            events.push(self.start(&record, &sort, time));
        }
        let Some(steps) = self.steps.as_mut() else { return Ok(events) };
        self.last = self.last.max(time);
        match sort.as_str() {
            "session" => {}
            "message" => message(steps, &mut self.waiting, record, time, &mut events)?,
            "model_change" => {
                steps.model = text_at(&record, &["modelId"]).map(str::to_owned);
                steps.provider = text_at(&record, &["provider"]).map(str::to_owned);
                events.push(change(steps, "model.change", record, time));
            }
            "thinking_level_change" => events.push(change(steps, "thinking_level.change", record, time)),
            "compaction" => events.push(change(steps, "context.compact", record, time)),
            other => {
                let action = format!("session.{}", snake(other));
                events.push(change(steps, &action, record, time));
            }
        }
        Ok(events)
    }

    fn start<'a>(&mut self, record: &Value<'a>, sort: &str, time: Option<Timestamp>) -> Value<'a> {
        let named = text_at(record, &["id"]).filter(|_| sort == "session").map(str::to_owned);
        let id = named.unwrap_or_else(|| derived_id("session", &[&record.to_canonical()]).to_string());
        let mut steps = Steps::new("session", id.clone(), self.agent.clone());
        steps.thread_id = Some(id);
        if sort == "session" {
            steps.model = text_at(record, &["modelId"]).map(str::to_owned);
            steps.provider = text_at(record, &["provider"]).map(str::to_owned);
        }
        let mut event = steps.event("run.start");
        timed(&mut event, time);
        event.put("outcome", word("allow")).model(steps.model.as_deref(), steps.provider.as_deref());
        if sort == "session" {
            event.label("cwd", text_at(record, &["cwd"])).content("extra", Some(record.clone()));
        }
        self.steps = Some(steps);
        event.finish()
    }

    pub(super) fn finish(self) -> Option<Value<'static>> {
        let mut steps = self.steps?;
        let mut event = steps.event("run.finish");
        timed(&mut event, self.last);
        ended(&mut event, None);
        event.content("messages", Some(Value::Array(self.waiting)));
        Some(event.finish())
    }
}

fn timed(event: &mut Composer<'_>, time: Option<Timestamp>) {
    event.put("occurred_at", time.map(|time| Value::string(time.to_string())));
}

fn change<'a>(steps: &mut Steps, action: &str, record: Value<'a>, time: Option<Timestamp>) -> Value<'a> {
    let mut event = steps.event(action);
    timed(&mut event, time);
    ended(&mut event, None);
    event
        .label("thinking_level", text_at(&record, &["thinkingLevel"]))
        .model(text_at(&record, &["modelId"]), text_at(&record, &["provider"]));
    let Value::Object(mut record) = record else { return event.finish() };
    event.content("output", record.remove("summary")).content("extra", Some(Value::Object(record)));
    event.finish()
}

fn message<'a>(
    steps: &mut Steps,
    waiting: &mut Vec<Value<'static>>,
    record: Value<'a>,
    time: Option<Timestamp>,
    events: &mut Vec<Value<'a>>,
) -> Result<(), Fault> {
    let Value::Object(mut record) = record else { return Ok(()) };
    let Some(Value::Object(message)) = record.remove("message") else { return Err(invalid("/message", "an object was expected")) };
    let message = Value::Object(message);
    match text_at(&message, &["role"]) {
        Some("user") => waiting.push(message.into_owned()),
        Some("assistant") => assistant(steps, std::mem::take(waiting), &message, time, events),
        Some("toolResult") => events.push(tool_result(steps, message, time)),
        Some("bashExecution") => bash(steps, message, time, events),
        _ => return Err(invalid("/message/role", "user, assistant, toolResult or bashExecution was expected")),
    }
    Ok(())
}

fn assistant<'a>(steps: &mut Steps, seen: Vec<Value<'static>>, message: &Value<'a>, time: Option<Timestamp>, events: &mut Vec<Value<'a>>) {
    let get = |path: &[&str]| text_at(message, path);
    let mut event = steps.invoke();
    timed(&mut event, time);
    match get(&["stopReason"]) {
        Some("error") => ended(&mut event, Some(get(&["errorMessage"]).unwrap_or("error"))),
        Some("aborted") => {
            event.put("outcome", word("partial")).put("reason", word("aborted"));
        }
        _ => ended(&mut event, None),
    }
    let usage = |name: &str| at(message, &["usage", name]).and_then(Value::as_integer);
    let cost = micros(at(message, &["usage", "cost", "total"]));
    event
        .model(get(&["model"]), get(&["provider"]))
        .put_in("resource", "type", get(&["model"]).and_then(|_| word("model")))
        .put_in("resource", "id", name(get(&["model"])))
        .put_in("usage", "input_tokens", count(usage("input")))
        .put_in("usage", "output_tokens", count(usage("output")))
        .put_in("usage", "cache_read_tokens", count(usage("cacheRead")))
        .put_in("usage", "cost_micros", count(cost))
        .put_in("usage", "currency", cost.and_then(|_| word("USD")))
        .label("stop_reason", get(&["stopReason"]))
        .content("messages", Some(Value::Array(seen)))
        .content("output", Some(message.clone()));
    events.push(event.finish());
    for block in at(message, &["content"]).and_then(Value::as_array).unwrap_or_default() {
        if text_at(block, &["type"]) != Some("toolCall") {
            continue;
        }
        let mut call = steps.call(text_at(block, &["id"]), text_at(block, &["name"]).unwrap_or("unknown"));
        timed(&mut call, time);
        call.content("arguments", block.get("arguments").cloned());
        events.push(call.finish());
    }
}

fn tool_result<'a>(steps: &mut Steps, message: Value<'a>, time: Option<Timestamp>) -> Value<'a> {
    let failed = matches!(message.get("isError"), Some(Value::Bool(true)));
    let said = at(&message, &["content"]).and_then(Value::as_array).and_then(<[_]>::first).and_then(|block| text_at(block, &["text"]));
    let failure = failed.then(|| said.and_then(|said| said.lines().next()).unwrap_or("error").to_owned());
    let tool = text_at(&message, &["toolName"]).unwrap_or("unknown").to_owned();
    let mut event = steps.result(text_at(&message, &["toolCallId"]), &tool, failure.as_deref());
    timed(&mut event, time);
    let Value::Object(mut message) = message else { return event.finish() };
    event.content("result", message.remove("content")).content("extra", message.remove("details"));
    event.finish()
}

/// A command that the person at the keyboard ran: the same call and result, by a human.
fn bash<'a>(steps: &mut Steps, message: Value<'a>, time: Option<Timestamp>, events: &mut Vec<Value<'a>>) {
    let by_human = |event: &mut Composer<'a>| {
        event.put_in("actor", "type", word("human")).put_in("actor", "id", word("user"));
        timed(event, time);
    };
    let code = at(&message, &["exitCode"]).and_then(Value::as_integer).unwrap_or(0);
    let failure = (code != 0).then(|| format!("exit code {code}"));
    let Value::Object(mut message) = message else { return };
    let mut arguments = Object::new();
    if let Some(command) = message.remove("command") {
        arguments.insert("command", command);
    }
    let mut call = steps.call(None, "bash");
    by_human(&mut call);
    call.content("arguments", Some(Value::Object(arguments)));
    events.push(call.finish());
    let mut result = steps.result(None, "bash", failure.as_deref());
    by_human(&mut result);
    result.content("result", message.remove("output")).content("extra", Some(Value::Object(message)));
    events.push(result.finish());
}
