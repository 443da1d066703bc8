//! OpenTelemetry traces with the GenAI attribute names, in the JSON form of any-agent: `{"spans":[…],"final_output":…}`,
//! ids as decimal integers, times as integer nanoseconds. `invoke_agent` is a run (inside another, a sub-agent), `call_llm`
//! (and `chat`) an answer of the model, `execute_tool` a call and its result.

use indelible_core::event::derived_id;
use indelible_core::fault::Fault;
use indelible_core::json::{Object, Value};
use indelible_core::time::Timestamp;

use super::super::compose::{Composer, at, count, micros, name, opened, text_at, told, word};
use super::super::invalid;
use super::steps::{Steps, ended};

/// One moment of a span: its beginning or its end.
struct Moment<'a> {
    at: i64,
    /// Order among moments of one instant: ends before the beginnings that follow them, but never before their own.
    rank: (u8, usize),
    begins: bool,
    span: Value<'a>,
}

pub(super) fn map<'a>(record: Value<'a>, agent: Option<&str>) -> Result<Vec<Value<'a>>, Fault> {
    let digest = derived_id("trace", &[&record.to_canonical()]);
    let Value::Object(mut record) = record else { return Err(invalid("", "a trace is an object")) };
    let Some(Value::Array(spans)) = record.remove("spans") else { return Err(invalid("/spans", "a list of spans was expected")) };
    let root = spans.iter().find(|span| operation(span) == Some("invoke_agent") && parent(span).is_none());
    let first = root.or(spans.first());
    let trace_id = first.and_then(|span| text_at(span, &["context", "trace_id"])).and_then(hex16);
    let named = root.and_then(|span| text_at(span, &["attributes", "gen_ai.agent.name"])).map(str::to_owned);
    let agent = agent.map(str::to_owned).or(named).unwrap_or_else(|| "agent".to_owned());
    let mut steps = Steps::new("genai_spans", trace_id.clone().unwrap_or_else(|| digest.to_string()), agent);
    steps.thread_id = Some(steps.run_id.clone());
    let moments = moments(spans)?;
    let mut events = Vec::with_capacity(moments.len());
    for Moment { at, begins, span, .. } in moments {
        let event = match operation(&span) {
            Some("invoke_agent") => {
                invoke_agent(&mut steps, &span, begins, if parent(&span).is_none() { record.remove("final_output") } else { None })
            }
            Some("call_llm" | "chat" | "text_completion" | "generate_content") => model(&mut steps, &span),
            Some("execute_tool") => tool(&mut steps, &span, begins),
            _ => other(&mut steps, &span),
        };
        let mut event = event;
        event
            .put("occurred_at", Timestamp::from_micros(at).map(|time| Value::string(time.to_string())))
            .put_in("request", "trace_id", trace_id.clone().map(Value::string))
            .put_in("request", "span_id", text_at(&span, &["context", "span_id"]).and_then(hex8).map(Value::string));
        if !begins {
            let micros = micros_of(&span, "end_time").zip(micros_of(&span, "start_time")).map(|(end, start)| (end - start) / 1_000);
            event.put("duration_ms", count(micros));
        }
        if !begins || operation(&span) == Some("invoke_agent") {
            event.content("extra", Some(rest(span)));
        }
        events.push(event.finish());
    }
    Ok(events)
}

/// Beginnings and ends in the order of time. A model's answer has one moment, its end.
fn moments(spans: Vec<Value<'_>>) -> Result<Vec<Moment<'_>>, Fault> {
    let mut moments = Vec::with_capacity(spans.len() * 2);
    for (n, span) in spans.into_iter().enumerate() {
        let (Some(start), Some(end)) = (micros_of(&span, "start_time"), micros_of(&span, "end_time")) else {
            return Err(invalid(&format!("/spans/{n}"), "a span has start_time and end_time, in nanoseconds"));
        };
        let is_agent = operation(&span) == Some("invoke_agent");
        if is_agent || operation(&span) == Some("execute_tool") {
            moments.push(Moment { at: start, rank: (if is_agent { 0 } else { 2 }, n), begins: true, span: span.clone() });
        }
        let rank = if is_agent { 4 } else { 3 };
        moments.push(Moment { at: end, rank: (rank, n), begins: false, span });
    }
    moments.sort_by_key(|moment| (moment.at, moment.rank));
    Ok(moments)
}

fn invoke_agent<'a>(steps: &mut Steps, span: &Value<'a>, begins: bool, output: Option<Value<'a>>) -> Composer<'a> {
    let action = match (parent(span).is_none(), begins) {
        (true, true) => "run.start",
        (true, false) => "run.finish",
        (false, true) => "subagent.start",
        (false, false) => "subagent.finish",
    };
    if let Some(model) = text_at(span, &["attributes", "gen_ai.request.model"]) {
        model_of(steps, model);
    }
    let mut event = steps.event(action);
    let agent = text_at(span, &["attributes", "gen_ai.agent.name"]);
    if parent(span).is_some() {
        event.put_in("resource", "type", agent.and_then(|_| word("agent"))).put_in("resource", "id", name(agent));
    }
    status(&mut event, span);
    event.label("agent_name", agent).label("framework_version", text_at(span, &["attributes", "any_agent.version"]));
    if !begins {
        event.content("output", output.map(opened));
    }
    event
}

fn model<'a>(steps: &mut Steps, span: &Value<'a>) -> Composer<'a> {
    if let Some(model) = text_at(span, &["attributes", "gen_ai.request.model"]) {
        model_of(steps, model);
    }
    let mut event = steps.invoke();
    status(&mut event, span);
    let attribute = |name: &str| at(span, &["attributes", name]);
    let tokens = |name: &str| attribute(name).and_then(Value::as_integer);
    let cost = [micros(attribute("gen_ai.usage.input_cost")), micros(attribute("gen_ai.usage.output_cost"))];
    let cost = cost.iter().any(Option::is_some).then(|| cost.iter().flatten().sum());
    event
        .put_in("usage", "input_tokens", count(tokens("gen_ai.usage.input_tokens")))
        .put_in("usage", "output_tokens", count(tokens("gen_ai.usage.output_tokens")))
        .put_in("usage", "cost_micros", count(cost))
        .put_in("usage", "currency", cost.and_then(|_| word("USD")))
        .content("messages", attribute("gen_ai.input.messages").cloned().map(opened))
        .content("output", attribute("gen_ai.output").cloned().map(opened));
    event
}

fn tool<'a>(steps: &mut Steps, span: &Value<'a>, begins: bool) -> Composer<'a> {
    let attribute = |name: &str| at(span, &["attributes", name]);
    let tool = text_at(span, &["attributes", "gen_ai.tool.name"]).unwrap_or("unknown");
    // Not every framework hands on the model's call id; the span's own id joins the two ends as well.
    let call_id = text_at(span, &["attributes", "gen_ai.tool.call.id"]).or(text_at(span, &["context", "span_id"]));
    if begins {
        let mut event = steps.call(call_id, tool);
        event.content("arguments", attribute("gen_ai.tool.args").cloned().map(opened));
        return event;
    }
    let failure = failure(span);
    let mut event = steps.result(call_id, tool, failure.as_deref());
    event.content("result", attribute("gen_ai.output").cloned().map(opened));
    event
}

/// Any other span: `span.<its name>`.
fn other<'a>(steps: &mut Steps, span: &Value<'a>) -> Composer<'a> {
    let label = text_at(span, &["name"]).unwrap_or("unnamed");
    let mut event = steps.event(&format!("span.{}", super::super::compose::snake(label)));
    status(&mut event, span);
    event
}

fn operation<'v>(span: &'v Value<'_>) -> Option<&'v str> {
    text_at(span, &["attributes", "gen_ai.operation.name"])
}

fn parent<'v>(span: &'v Value<'_>) -> Option<&'v str> {
    text_at(span, &["parent", "span_id"])
}

fn failure(span: &Value<'_>) -> Option<String> {
    let failed = text_at(span, &["status", "status_code"]).is_some_and(|code| code.eq_ignore_ascii_case("error"));
    failed.then(|| text_at(span, &["status", "description"]).unwrap_or("error").to_owned())
}

fn status(event: &mut Composer<'_>, span: &Value<'_>) {
    ended(event, failure(span).as_deref());
}

/// `mistral/mistral-small-latest` is a model of the provider before the slash.
fn model_of(steps: &mut Steps, model: &str) {
    match told(model).split_once('/') {
        Some((provider, id)) => {
            steps.provider = Some(provider.to_owned());
            steps.model = Some(id.to_owned());
        }
        None => steps.model = Some(model.to_owned()),
    }
}

fn micros_of(span: &Value<'_>, member: &str) -> Option<i64> {
    at(span, &[member]).and_then(Value::as_integer).map(|nanos| nanos / 1_000)
}

fn hex16(decimal: &str) -> Option<String> {
    decimal.parse::<u128>().ok().map(|id| format!("{id:032x}"))
}

fn hex8(decimal: &str) -> Option<String> {
    decimal.parse::<u64>().ok().map(|id| format!("{id:016x}"))
}

/// The span without what has members of its own.
fn rest(span: Value<'_>) -> Value<'_> {
    let Value::Object(mut span) = span else { return span };
    if let Some(Value::Object(attributes)) = span.get_mut("attributes") {
        let kept = ["gen_ai.input.messages", "gen_ai.output", "gen_ai.tool.args"];
        attributes.retain(|name, _| !kept.contains(&name));
    }
    Value::Object(Object::from_distinct(span.into_members()))
}
