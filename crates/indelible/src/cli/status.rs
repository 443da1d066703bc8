//! `indelible status`: how the ledger stands, project by project, and as a whole for who holds the folder or a key of the instance.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let target = &args.target;
    let status = target.connect(Folder::MustExist)?.status(target.project)?;
    if target.json {
        output::line(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let status: Value = serde_json::from_slice(&status).context("the answer is not a status")?;
    let projects = status["projects"].as_array().map(Vec::as_slice).unwrap_or_default();
    output::table(
        &["PROJECT", "NAME", "EVENTS", "UNANCHORED", "ANCHORED", "UNINDEXED", "VERIFIED TO", "VERDICT"],
        projects.iter().map(row),
    )?;
    let rows: Vec<Vec<String>> = projects.iter().flat_map(troubles).collect();
    if !rows.is_empty() {
        output::line(b"")?;
        output::table(&["PROJECT", "FINDING", "SEQUENCE", "DETAIL"], rows)?;
    }
    let lines = whole(&status);
    if !lines.is_empty() {
        output::line(b"")?;
        output::table(&["THE WHOLE", ""], lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(project: &Value) -> Vec<String> {
    let members = ["project_id", "name", "events", "unanchored", "anchored_at", "unindexed"].map(|name| output::cell(&project[name]));
    let verified = ["through_sequence", "verdict"].map(|name| output::cell(&project["verification"][name]));
    members.into_iter().chain(verified).collect()
}

/// What is wrong with a project: why it is not signed, and what was found.
fn troubles(project: &Value) -> Vec<Vec<String>> {
    let id = output::cell(&project["project_id"]);
    let line =
        |kind: &Value, sequence: &Value, detail: &Value| vec![id.clone(), output::cell(kind), output::cell(sequence), output::cell(detail)];
    let findings = project["verification"]["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<_> = findings.iter().map(|found| line(&found["kind"], &found["sequence"], &found["detail"])).collect();
    let refusal = &project["refusal"];
    if refusal.is_object() {
        let detail = Value::from(format!("its tree is not signed: {}", output::cell(&refusal["detail"])));
        lines.push(line(&refusal["kind"], &Value::Null, &detail));
    }
    lines
}

/// What belongs to all projects together, one figure a line.
fn whole(status: &Value) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: String| lines.push(vec![name.to_owned(), value]);
    if status["sealing"]["failing"] == Value::Bool(true) {
        add("sealing", "fails and is tried again: the log says why".to_owned());
    }
    let verification = &status["verification"];
    if verification.is_object() {
        let begun = output::cell(&verification["begun_at"]);
        add("verified in the background as of", if begun.is_empty() { "no round came to its end yet".to_owned() } else { begun });
        if verification["failing"] == Value::Bool(true) {
            add("verification", "fails and is tried again: the log says why".to_owned());
        }
    }
    let instance = &status["instance"];
    if !instance.is_object() {
        return lines;
    }
    for name in ["events", "unanchored", "unindexed", "trees_refused", "findings", "verified_at"] {
        add(&name.replace('_', " "), output::cell(&instance[name]));
    }
    let running = &instance["running"];
    if running.is_object() {
        add("round under way", format!("{} of {} events", output::cell(&running["events"]), output::cell(&running["events_total"])));
    }
    let cosigning = &instance["cosigning"];
    if cosigning.is_object() {
        add("quorum has cosigned", format!("{} of {} leaves", output::cell(&cosigning["cosigned_size"]), output::cell(&cosigning["size"])));
        let witnesses = cosigning["witnesses"].as_array().map(Vec::as_slice).unwrap_or_default();
        for witness in witnesses.iter().filter(|witness| witness["missing"] == Value::Bool(true)) {
            add("cosignature missing", format!("{} {}", output::cell(&witness["name"]), output::cell(&witness["failing"]["detail"])));
        }
    }
    lines
}
