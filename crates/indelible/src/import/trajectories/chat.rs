//! Chat runs: messages in the OpenAI form, one run a record, as tau-bench writes them
//! (`task_id`, `trial`, `reward`, `info`, `traj`). No times and no token counts.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};

use super::super::compose::{Composer, at, opened, text_at, text_of, told, word};
use super::super::invalid;
use super::steps::{Steps, ended};

pub(super) fn map<'a>(record: Value<'a>, agent: &str) -> Result<Vec<Value<'a>>, Fault> {
    let digest = derived_id("chat run", &[&record.to_canonical()]).simple().to_string();
    let Value::Object(mut record) = record else { return Err(invalid("", "a run is an object")) };
    let Some(Value::Array(messages)) = record.remove("traj") else { return Err(invalid("/traj", "a list of messages was expected")) };
    let [task_id, trial] =
        [("task_id", "unknown"), ("trial", "0")].map(|(name, otherwise)| told(text_of(record.get(name)).unwrap_or(otherwise)).into_owned());
    let mut steps = Steps::new("chat", format!("task-{task_id}-trial-{trial}-{}", &digest[..8]), agent.to_owned());
    steps.thread_id = Some(steps.run_id.clone());
    steps.procedure_id = Some(format!("task-{task_id}"));
    let info = record.get("info").cloned();
    steps.on_behalf_of = info.as_ref().and_then(|info| text_at(info, &["task", "user_id"])).map(str::to_owned);

    let mut events = Vec::with_capacity(messages.len() + 2);
    let mut start = steps.event("run.start");
    start.put("outcome", word("allow")).label("trial", Some(&trial)).label("task_id", Some(&task_id));
    start.content("arguments", info.as_ref().and_then(|info| info.get("task")).cloned());
    events.push(start.finish());

    let mut waiting = Vec::new();
    for message in messages {
        match message.get("role").and_then(Value::as_str) {
            Some("assistant") => events.extend(assistant(&mut steps, message, std::mem::take(&mut waiting))),
            Some("tool") => {
                events.push(tool(&mut steps, &message));
                waiting.push(message);
            }
            _ => waiting.push(message),
        }
    }
    events.push(finish(&mut steps, record, waiting));
    Ok(events)
}

/// A turn of the model, with the messages it had not seen before; then the calls that it makes.
fn assistant<'a>(steps: &mut Steps, message: Value<'a>, seen: Vec<Value<'a>>) -> Vec<Value<'a>> {
    let calls: Vec<Value<'a>> = at(&message, &["tool_calls"]).and_then(Value::as_array).map(<[_]>::to_vec).unwrap_or_default();
    let mut invoke = steps.invoke();
    ended(&mut invoke, None);
    invoke.content("messages", Some(Value::Array(seen))).content("output", Some(message));
    let mut events = vec![invoke.finish()];
    for call in calls {
        let tool = text_at(&call, &["function", "name"]).unwrap_or("unknown").to_owned();
        let mut event: Composer<'a> = steps.call(text_at(&call, &["id"]), &tool);
        event.content("arguments", at(&call, &["function", "arguments"]).cloned().map(opened));
        events.push(event.finish());
    }
    events
}

fn tool<'a>(steps: &mut Steps, message: &Value<'a>) -> Value<'a> {
    let content = at(message, &["content"]);
    let failure = content.and_then(Value::as_str).filter(|text| text.starts_with("Error")).map(|text| text.lines().next().unwrap_or(text));
    let name = text_at(message, &["name"]).unwrap_or("unknown");
    let mut event = steps.result(text_at(message, &["tool_call_id"]), name, failure);
    event.content("result", content.cloned().map(opened));
    event.finish()
}

/// The end of the run, with its verdict: a reward of 1 or more is a pass.
fn finish<'a>(steps: &mut Steps, record: Object<'a>, unanswered: Vec<Value<'a>>) -> Value<'a> {
    let mut event = steps.event("run.finish");
    let reward = text_of(record.get("reward")).map(str::to_owned);
    let verdict = reward.as_deref().and_then(|reward| reward.parse::<f64>().ok()).map(|reward| if reward >= 1.0 { "pass" } else { "fail" });
    event.put_in("run", "verdict", verdict.and_then(word)).label("reward", reward.as_deref());
    ended(&mut event, None);
    event.content("messages", Some(Value::Array(unanswered))).content("extra", Some(Value::Object(record)));
    event.finish()
}
