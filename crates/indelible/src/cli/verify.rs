//! `indelible verify`: offline it needs neither server nor lock, so it runs beside a server as well.
//!
//! Exit code 0: nothing is wrong (rows that no anchor covers yet included); 1: something was altered, removed or reordered; 2: it
//! could not be told.

use std::process::ExitCode;

use indelible_engine::verify::verify_folder;
use serde_json::{Value, json};

use super::connection::{Connection, Verification};
use super::output;
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

const COULD_NOT: u8 = 2;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match verify(&args.target) {
        Ok(projects) => {
            print(&projects, args.target.json)?;
            Ok(ExitCode::from(code(&projects)))
        }
        Err(error) => {
            output::note(&format!("indelible: could not verify: {error:#}"));
            Ok(ExitCode::from(COULD_NOT))
        }
    }
}

fn verify(target: &Target) -> anyhow::Result<Vec<Verification>> {
    if target.is_online() {
        let Connection::Online(online) = target.connect(Folder::MustExist)? else { anyhow::bail!("--server was expected") };
        return online.verify();
    }
    target.check_folder(Folder::MustExist)?;
    let bar = output::bar(0, false);
    let checkpoints = target.checkpoints.store(&target.data)?;
    let reports = verify_folder(&target.data, &checkpoints, target.master_key_file.as_deref(), target.project, &mut |progress| {
        bar.set_length(progress.rows_total);
        bar.set_position(progress.rows);
    })?;
    bar.finish_and_clear();
    Ok(reports.into_iter().map(Verification::of).collect())
}

/// The gravest of all projects decides.
fn code(projects: &[Verification]) -> u8 {
    let codes = projects.iter().map(|project| match project.verdict.as_str() {
        "intact" | "unanchored" => 0,
        "unverifiable" => COULD_NOT,
        _ => 1,
    });
    let codes: Vec<u8> = codes.collect();
    if codes.contains(&1) { 1 } else { codes.into_iter().max().unwrap_or(COULD_NOT) }
}

fn print(projects: &[Verification], json: bool) -> std::io::Result<()> {
    if json {
        let projects: Vec<Value> = projects.iter().map(document).collect();
        return output::line(json!({"projects": projects}).to_string().as_bytes());
    }
    let rows = projects.iter().map(|project| {
        vec![project.project_id.to_string(), project.events.to_string(), project.unanchored.to_string(), project.verdict.clone()]
    });
    output::table(&["PROJECT", "EVENTS", "UNANCHORED", "VERDICT"], rows)?;
    let findings = projects.iter().flat_map(|project| project.findings.iter().map(move |finding| (project.project_id, finding)));
    let rows: Vec<Vec<String>> = findings
        .map(|(project, (kind, sequence, detail))| {
            vec![project.to_string(), kind.clone(), sequence.map(|n| n.to_string()).unwrap_or_default(), detail.clone()]
        })
        .collect();
    if !rows.is_empty() {
        output::line(b"")?;
        output::table(&["PROJECT", "FINDING", "SEQUENCE", "DETAIL"], rows)?;
    }
    for project in projects {
        let more = project.findings_total.saturating_sub(project.findings.len() as u64);
        if more > 0 {
            output::line(format!("{}: and {more} more findings", project.project_id).as_bytes())?;
        }
    }
    Ok(())
}

fn document(project: &Verification) -> Value {
    let findings: Vec<Value> =
        project.findings.iter().map(|(kind, sequence, detail)| json!({"kind": kind, "sequence": sequence, "detail": detail})).collect();
    let mut object = json!({
        "project_id": project.project_id.to_string(),
        "events": project.events,
        "unanchored": project.unanchored,
        "verdict": project.verdict,
        "findings": findings,
    });
    // Only where some are not listed: a script that counts the list must not be misled.
    if project.findings_total > project.findings.len() as u64 {
        object["findings_total"] = project.findings_total.into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_project_decides_the_exit_code() {
        let cases: &[(&[&str], u8)] = &[
            (&["intact"], 0),
            (&["intact", "unanchored"], 0),
            (&["intact", "altered"], 1),
            (&["unverifiable", "truncated"], 1),
            (&["unverifiable", "intact"], 2),
            (&[], 2),
        ];
        for (verdicts, expected) in cases {
            let project = |verdict: &&str| Verification {
                project_id: uuid::Uuid::nil(),
                events: 1,
                unanchored: 0,
                verdict: (*verdict).to_owned(),
                findings: Vec::new(),
                findings_total: 0,
            };
            assert_eq!(code(&verdicts.iter().map(project).collect::<Vec<_>>()), *expected, "{verdicts:?}");
        }
    }
}
