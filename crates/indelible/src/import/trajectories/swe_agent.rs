//! SWE-agent runs: `trajectory[]` of thought, action, observation, response and state, `history[]` of chat messages, and
//! `info`. No times; tokens and cost for the run as a whole.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};

use super::super::compose::{at, count, micros, name, opened, text_at, text_of, told, word};
use super::super::invalid;
use super::steps::{Steps, ended};

pub(super) fn map<'a>(record: Value<'a>, agent: &str) -> Result<Vec<Value<'a>>, Fault> {
    let digest = derived_id("swe-agent run", &[&record.to_canonical()]).simple().to_string();
    let Value::Object(mut record) = record else { return Err(invalid("", "a run is an object")) };
    let Some(Value::Array(trajectory)) = record.remove("trajectory") else {
        return Err(invalid("/trajectory", "a list of steps was expected"));
    };
    let instance = told(text_of(record.get("instance_id")).unwrap_or("run")).into_owned();
    let mut steps = Steps::new("swe_agent", format!("{instance}-{}", &digest[..8]), agent.to_owned());
    steps.thread_id = Some(steps.run_id.clone());
    steps.procedure_version = text_of(record.get("environment")).map(str::to_owned);
    // `20240825_SWE-agent_gpt-4o-2024-05-13`: what follows the agent's name is the model.
    let label = text_of(record.get("run")).map(|label| told(label).into_owned());
    steps.model = label.as_deref().and_then(|label| label.split_once("SWE-agent_")).map(|(_, model)| model.to_owned());
    steps.procedure_id = Some(instance);

    let mut events = Vec::with_capacity(trajectory.len() * 3 + 2);
    let mut start = steps.event("run.start");
    start.put("outcome", word("allow")).label("run", label.as_deref());
    start.content("messages", opening(&mut record).map(Value::Array));
    events.push(start.finish());
    for step in trajectory {
        turn(&mut steps, step, &mut events);
    }
    events.push(finish(&mut steps, record));
    Ok(events)
}

/// The messages before the model's first own answer. The rest of `history` repeats the trajectory.
fn opening<'a>(record: &mut Object<'a>) -> Option<Vec<Value<'a>>> {
    let Some(Value::Array(history)) = record.remove("history") else { return None };
    let is_answer = |message: &Value<'_>| {
        message.get("role").and_then(Value::as_str) == Some("assistant") && !matches!(message.get("is_demo"), Some(Value::Bool(true)))
    };
    Some(history.into_iter().take_while(|message| !is_answer(message)).collect())
}

/// One step of the trajectory: an answer of the model, and the command in it with what came of it.
fn turn<'a>(steps: &mut Steps, step: Value<'a>, events: &mut Vec<Value<'a>>) {
    let Value::Object(mut step) = step else { return };
    let state = step.remove("state").map(opened);
    let working_dir = state.as_ref().and_then(|state| text_at(state, &["working_dir"])).map(str::to_owned);
    if let Some(state) = state {
        step.insert("state", state);
    }
    let mut invoke = steps.invoke();
    ended(&mut invoke, None);
    invoke.content("output", step.remove("response"));
    let Some(tool) = tool(&step) else {
        // Nothing was called: what else the step says stands with the answer.
        invoke.label("working_dir", working_dir.as_deref()).content("extra", Some(Value::Object(step)));
        events.push(invoke.finish());
        return;
    };
    invoke.content("extra", step.remove("thought").map(|thought| single("thought", thought)));
    events.push(invoke.finish());
    let mut call = steps.call(None, &tool);
    call.content("arguments", step.remove("action").map(|action| single("command", action)));
    events.push(call.finish());
    let mut result = steps.result(None, &tool, None);
    result.content("result", step.remove("observation"));
    result.label("working_dir", working_dir.as_deref()).content("extra", Some(Value::Object(step)));
    events.push(result.finish());
}

/// The first word of a step's command.
fn tool(step: &Object<'_>) -> Option<String> {
    let command = told(step.get("action").and_then(Value::as_str)?);
    command.split_whitespace().next().map(str::to_owned)
}

/// `submitted` is success; submitted because of a limit is partial; any other exit is an error.
fn finish<'a>(steps: &mut Steps, mut record: Object<'a>) -> Value<'a> {
    let mut info = record.remove("info").unwrap_or(Value::Null);
    let mut event = steps.event("run.finish");
    let exit = text_at(&info, &["exit_status"]).map(str::to_owned);
    match exit.as_deref() {
        Some("submitted") => ended(&mut event, None),
        Some(exit) if exit.starts_with("submitted") => {
            event.put("outcome", word("partial")).put("reason", name(Some(exit)));
        }
        Some(exit) => ended(&mut event, Some(exit)),
        None => {
            event.put("outcome", word("partial"));
        }
    }
    event.label("exit_status", exit.as_deref());
    let tokens = |name: &str| at(&info, &["model_stats", name]).and_then(Value::as_integer);
    let cost = micros(at(&info, &["model_stats", "instance_cost"]));
    event
        .put_in("usage", "input_tokens", count(tokens("tokens_sent")))
        .put_in("usage", "output_tokens", count(tokens("tokens_received")))
        .put_in("usage", "cost_micros", count(cost))
        .put_in("usage", "currency", cost.and_then(|_| word("USD")))
        .label("api_calls", text_at(&info, &["model_stats", "api_calls"]));
    if let Value::Object(info) = &mut info {
        event.content("output", info.remove("submission"));
    }
    record.insert("info", info);
    event.content("extra", Some(Value::Object(record)));
    event.finish()
}

/// An object of one member.
fn single<'a>(name: &'static str, value: Value<'a>) -> Value<'a> {
    let mut object = Object::new();
    object.insert(name, value);
    Value::Object(object)
}
