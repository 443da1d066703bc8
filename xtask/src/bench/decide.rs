//! Decisions over a thousand policies: Cedar alone, which evaluates every policy and keeps no record; the engine with its record; and
//! HTTP, single questions and a hundred at a time.

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression};
use indelible_core::json;
use indelible_engine::access::Envelope;
use indelible_engine::decide::Questions;
use indelible_engine::{Ledger, Options};

use super::event::mix;
use super::report::{Report, percentile};
use super::server::Server;
use super::together;

/// Questions in a request of many.
const MANY: u64 = 100;
/// What the others are compared with.
const CEDAR: &str = "Cedar alone, one thread, no record";

/// Runs with a thousand policies, or with as many as a small run bears.
pub(crate) fn run(folder: &Path, rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let policies = 1_000.min(rows / 50);
    let texts: Vec<String> = (0..policies).map(|n| policy(n, policies)).collect();
    cedar(&texts, rows, report)?;
    engine(folder, &texts, rows, report)?;
    http(folder, &texts, rows, report)
}

/// Most are about one agent or one group, some about a resource, a few about everybody.
fn policy(n: u64, of: u64) -> String {
    let last = of.saturating_sub(5);
    match n % 10 {
        _ if n >= last => format!(
            "forbid (principal, action, resource) when {{ context.numbers.hasTag(\"risk\") && context.numbers.getTag(\"risk\") > {} }};",
            90 + n % 5
        ),
        0..6 => format!("permit (principal == Agent::\"agent-{n}\", action in Action::\"tool\", resource in ResourceType::\"tool\");"),
        6..8 => {
            format!("permit (principal in Group::\"group-{n}\", action == Action::\"tool.call\", resource == Resource::\"tool/t{n}\");")
        }
        8 => format!(
            "forbid (principal, action == Action::\"tool.call\", resource == Resource::\"tool/t{n}\") when {{ context has run_id && context.run_id == \"run-{n}\" }};"
        ),
        _ => format!(
            "permit (principal is Agent in Group::\"group-{n}\", action, resource) when {{ principal.hasTag(\"team\") && principal.getTag(\"team\") == \"team-{n}\" }};"
        ),
    }
}

/// The parts of a question that differ: agent, group, tool, risk.
fn parts(n: u64, of: u64) -> (u64, u64, u64, u64) {
    (mix(n) % of, mix(n ^ 1) % of, mix(n ^ 2) % of, mix(n ^ 3) % 100)
}

fn write_question(n: u64, of: u64, out: &mut String) {
    let (agent, group, tool, risk) = parts(n, of);
    let _ = write!(
        out,
        r#"{{"subject":{{"type":"agent","id":"agent-{agent}","properties":{{"groups":["group-{group}"],"team":"team-{group}"}}}},"action":{{"name":"tool.call"}},"resource":{{"type":"tool","id":"t{tool}"}},"context":{{"run_id":"run-{tool}","risk":{risk}}}}}"#
    );
}

fn write_many(first: u64, of: u64, out: &mut String) {
    out.push_str("{\"evaluations\":[");
    for n in first..first + MANY {
        if n > first {
            out.push(',');
        }
        write_question(n, of, out);
    }
    out.push_str("]}");
}

fn write_request(size: u64, first: u64, of: u64, out: &mut String) {
    if size == 1 {
        write_question(first, of, out);
    } else {
        write_many(first, of, out);
    }
}

fn cedar(texts: &[String], rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let set = PolicySet::from_str(&texts.join("\n"))?;
    let (authorizer, of) = (Authorizer::new(), texts.len() as u64);
    let text = RestrictedExpression::new_string;
    let uid = |text: String| EntityUid::from_str(&text).map_err(anyhow::Error::new);
    let count = 2_000.min(rows / 10).max(1);
    let begin = Instant::now();
    for n in 0..count {
        let (agent, group, tool, risk) = parts(n, of);
        let principal = uid(format!("Agent::\"agent-{agent}\""))?;
        let action = uid("Action::\"tool.call\"".to_owned())?;
        let resource = uid(format!("Resource::\"tool/t{tool}\""))?;
        let numbers = uid("Numbers::\"context\"".to_owned())?;
        let tags = |name: &str, value: RestrictedExpression| [(name.to_owned(), value)];
        let entities = [
            Entity::new_with_tags(
                principal.clone(),
                [],
                [uid(format!("Group::\"group-{group}\""))?],
                tags("team", text(format!("team-{group}"))),
            )?,
            Entity::new_with_tags(action.clone(), [], [uid("Action::\"tool\"".to_owned())?], [])?,
            Entity::new_with_tags(resource.clone(), [], [uid("ResourceType::\"tool\"".to_owned())?], [])?,
            Entity::new_with_tags(numbers.clone(), [], [], tags("risk", RestrictedExpression::new_long(risk as i64)))?,
        ];
        let entities = Entities::from_entities(entities, None)?;
        let context = Context::from_pairs([
            ("run_id".to_owned(), text(format!("run-{tool}"))),
            ("numbers".to_owned(), RestrictedExpression::new_entity_uid(numbers)),
        ])?;
        let request = Request::new(principal, action, resource, context, None)?;
        std::hint::black_box(authorizer.is_authorized(&request, &set, &entities));
    }
    report.add(CEDAR, count as f64 / begin.elapsed().as_secs_f64(), "decisions/s");
    Ok(())
}

fn engine(folder: &Path, texts: &[String], rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let data = folder.join("decide");
    std::fs::remove_dir_all(&data).ok();
    let mut options = Options::new(&data);
    options.anchor_interval = Duration::from_hours(1);
    let ledger = Ledger::open(options)?.ledger;
    let key = std::fs::read_to_string(data.join("admin.key"))?;
    let caller = Arc::new(ledger.authenticate(Some(key.trim()), Envelope::default())?);
    let project = ledger.project_of(&caller, None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let kind = indelible_engine::resource::kind("policy").context("a kind")?;
    for (n, text) in texts.iter().enumerate() {
        let document = serde_json::json!({"name": format!("p{n}"), "text": text}).to_string();
        runtime.block_on(ledger.create_resource(&caller, kind, None, &document, None))?;
    }
    let of = texts.len() as u64;
    let count = rows.clamp(MANY, 100_000);
    for (size, tasks) in [(1, 64_u64), (MANY, 4)] {
        let next = Arc::new(AtomicU64::new(0));
        let begin = Instant::now();
        runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..tasks {
                let (ledger, caller, project, next) = (ledger.clone(), Arc::clone(&caller), Arc::clone(&project), Arc::clone(&next));
                running.spawn(async move {
                    let mut text = String::new();
                    loop {
                        let first = next.fetch_add(size, Ordering::Relaxed);
                        if first >= count {
                            return anyhow::Ok(());
                        }
                        text.clear();
                        write_request(size, first, of, &mut text);
                        let questions = Questions::read(&json::parse(text.as_bytes())?)?;
                        let decisions = ledger.decide(&caller, &project, &questions).await?;
                        ensure!(decisions.len() as u64 == size, "an answer is missing");
                    }
                });
            }
            while let Some(done) = running.join_next().await {
                done??;
            }
            anyhow::Ok(())
        })?;
        let rate = count as f64 / begin.elapsed().as_secs_f64();
        report.compare(format!("engine, decided and recorded, {size} at a time from {tasks} tasks"), rate, "decisions/s", CEDAR);
    }
    ledger.close();
    remove(&data);
    Ok(())
}

fn http(folder: &Path, texts: &[String], rows: u64, report: &mut Report) -> anyhow::Result<()> {
    let data = folder.join("decide");
    remove(&data);
    let server = Server::start(&data)?;
    let mut client = server.connect()?;
    for (n, text) in texts.iter().enumerate() {
        let document = serde_json::json!({"name": format!("p{n}"), "text": text}).to_string();
        let answer = client.post("/v1/policies", "application/json", document.as_bytes())?;
        ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    let of = texts.len() as u64;
    for size in [1, MANY] {
        for connections in [16_u64, 64] {
            let count = rows.min(if size == 1 { 30_000 } else { 200_000 }).max(connections * size);
            let next = AtomicU64::new(0);
            let begin = Instant::now();
            let mut latencies = together(connections, || ask(&server, &next, (size, count, of)))?.concat();
            let seconds = begin.elapsed().as_secs_f64();
            let name = format!("HTTP evaluations, {size} at a time, {connections} connections");
            report.compare(&name, count as f64 / seconds, "decisions/s", CEDAR);
            report.add(format!("{name}, p50"), percentile(&mut latencies, 50.0), "ms");
            report.add(format!("{name}, p99"), percentile(&mut latencies, 99.0), "ms");
        }
    }
    server.stop()?;
    remove(&data);
    Ok(())
}

fn ask(server: &Server, next: &AtomicU64, (size, count, of): (u64, u64, u64)) -> anyhow::Result<Vec<f64>> {
    let mut client = server.connect()?;
    let (mut body, mut latencies) = (String::new(), Vec::new());
    loop {
        let first = next.fetch_add(size, Ordering::Relaxed);
        if first >= count {
            return Ok(latencies);
        }
        body.clear();
        write_request(size, first, of, &mut body);
        let path = if size == 1 { "/access/v1/evaluation" } else { "/access/v1/evaluations" };
        let begin = Instant::now();
        let answer = client.post(path, "application/json", body.as_bytes())?;
        latencies.push(begin.elapsed().as_secs_f64() * 1_000.0);
        ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
}

/// Removes a data folder and its checkpoint store.
fn remove(data: &Path) {
    for folder in [data.to_owned(), data.with_extension("checkpoints")] {
        std::fs::remove_dir_all(folder).ok();
    }
}
