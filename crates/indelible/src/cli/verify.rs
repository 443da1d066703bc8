//! `indelible verify`: offline it needs neither server nor lock, so it runs beside a server as well.
//!
//! Exit code 0: nothing is wrong in what was read (rows that no anchor covers yet included); 1: something was altered, removed or
//! reordered; 2: it could not be told. With `--since`, what was verified before is not read again, and the verdict says so.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use indelible_engine::verify::{Cosigned, Request, Since, verify_folder};
use serde_json::{Value, json};

use super::connection::{Connection, Verification};
use super::output;
use super::target::{Folder, Target};
use crate::cosigning::read_policy;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read only what came after `last`, the last complete verification, or after a signed checkpoint in this file, up to which you know
    /// that everything was verified; offline
    #[arg(long, value_name = "last|FILE", conflicts_with = "server")]
    since: Option<PathBuf>,
    /// Count the checkpoints of the instance tree that fulfil this witness policy, by the cosignatures that are stored; offline
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    witness_policy: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

const COULD_NOT: u8 = 2;
/// Of a checkpoint, so much is read: no note is longer.
const CHECKPOINT_BYTES_MAX: u64 = 256 * 1024;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match verify(args) {
        Ok((projects, cosigned)) => {
            print(&projects, cosigned, args.since.is_some(), args.target.json)?;
            Ok(ExitCode::from(code(&projects)))
        }
        Err(error) => {
            output::note(&format!("indelible: could not verify: {error:#}"));
            if args.target.json {
                output::line(json!({"projects": [], "error": format!("{error:#}")}).to_string().as_bytes())?;
            }
            Ok(ExitCode::from(COULD_NOT))
        }
    }
}

/// `last`, or a file.
fn since(named: &Path) -> anyhow::Result<Since> {
    if named == Path::new("last") {
        return Ok(Since::Last);
    }
    let mut bytes = Vec::new();
    let mut read = || std::fs::File::open(named)?.take(CHECKPOINT_BYTES_MAX).read_to_end(&mut bytes);
    read().with_context(|| format!("cannot read the checkpoint {}", named.display()))?;
    Ok(Since::Checkpoint(bytes))
}

fn verify(args: &Args) -> anyhow::Result<(Vec<Verification>, Option<Cosigned>)> {
    let target = &args.target;
    if target.is_online() {
        let Connection::Online(online) = target.connect(Folder::MustExist)? else { anyhow::bail!("--server was expected") };
        return Ok((online.verify()?, None));
    }
    target.check_folder(Folder::MustExist)?;
    let checkpoints = target.checkpoints.store(&target.data)?;
    let since = args.since.as_deref().map(since).transpose()?;
    let policy = args.witness_policy.as_deref().map(read_policy).transpose()?;
    let database = target.database.database()?;
    let request = Request {
        database: database.as_ref(),
        keys: target.database.keys(),
        master_key_file: target.master_key_file.as_deref(),
        project_id: target.project,
        since: since.as_ref(),
        policy: policy.as_ref(),
        ..Request::new(&target.data, &checkpoints)
    };
    let bar = output::bar(0, false);
    let report = verify_folder(&request, &mut |progress| {
        bar.set_length(progress.rows_total);
        bar.set_position(progress.rows);
    })?;
    bar.finish_and_clear();
    if let Some(size) = report.since {
        let rows: u64 = report.projects.iter().map(|project| project.not_read).sum();
        output::note(&format!(
            "went on from a tree of {size} leaves: {rows} events that it covers were not read again, nor compared with the index or with later ids"
        ));
    }
    if let Some(why) = &report.note_failed {
        output::note(&format!("no note was left for --since last: {why}"));
    }
    let cosigned = Some(report.cosigned).filter(|cosigned| policy.is_some() || cosigned.cosignatures > 0);
    Ok((report.projects.into_iter().map(Verification::of).collect(), cosigned))
}

/// The gravest of all projects decides.
fn code(projects: &[Verification]) -> u8 {
    let codes = projects.iter().map(|project| match project.verdict.as_str() {
        "intact" | "unanchored" | "partial" => 0,
        "unverifiable" => COULD_NOT,
        _ => 1,
    });
    let codes: Vec<u8> = codes.collect();
    if codes.contains(&1) { 1 } else { codes.into_iter().max().unwrap_or(COULD_NOT) }
}

fn print(projects: &[Verification], cosigned: Option<Cosigned>, since: bool, json: bool) -> std::io::Result<()> {
    if json {
        let projects: Vec<Value> = projects.iter().map(|project| document(project, since)).collect();
        let mut document = json!({"projects": projects});
        if let Some(Cosigned { checkpoints, cosignatures, fulfilled }) = cosigned {
            document["cosigned"] = json!({"checkpoints": checkpoints, "cosignatures": cosignatures, "fulfilled": fulfilled});
        }
        return output::line(document.to_string().as_bytes());
    }
    let rows = projects.iter().map(|project| {
        let mut row = vec![project.project_id.to_string(), project.events.to_string()];
        row.extend(since.then(|| project.not_read.to_string()));
        row.extend([project.unanchored.to_string(), project.verdict.clone()]);
        row
    });
    let header: &[&str] =
        if since { &["PROJECT", "EVENTS", "NOT READ", "UNANCHORED", "VERDICT"] } else { &["PROJECT", "EVENTS", "UNANCHORED", "VERDICT"] };
    output::table(header, rows)?;
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
    if let Some(Cosigned { checkpoints, cosignatures, fulfilled }) = cosigned {
        let enough = fulfilled.map(|fulfilled| format!("; {fulfilled} of them fulfil the policy")).unwrap_or_default();
        output::line(format!("\n{cosignatures} cosignatures hold over {checkpoints} checkpoints of the instance tree{enough}").as_bytes())?;
    }
    for project in projects {
        let more = project.findings_total.saturating_sub(project.findings.len() as u64);
        if more > 0 {
            output::line(format!("{}: and {more} more findings", project.project_id).as_bytes())?;
        }
    }
    Ok(())
}

fn document(project: &Verification, since: bool) -> Value {
    let findings: Vec<Value> =
        project.findings.iter().map(|(kind, sequence, detail)| json!({"kind": kind, "sequence": sequence, "detail": detail})).collect();
    let mut object = json!({
        "project_id": project.project_id.to_string(),
        "events": project.events,
        "unanchored": project.unanchored,
        "verdict": project.verdict,
        "findings": findings,
    });
    if since {
        object["not_read"] = project.not_read.into();
    }
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
            (&["partial", "unanchored"], 0),
            (&["partial", "forked"], 1),
            (&["intact", "altered"], 1),
            (&["unverifiable", "truncated"], 1),
            (&["unverifiable", "intact"], 2),
            (&[], 2),
        ];
        for (verdicts, expected) in cases {
            let project = |verdict: &&str| Verification {
                project_id: uuid::Uuid::nil(),
                events: 1,
                not_read: 0,
                unanchored: 0,
                verdict: (*verdict).to_owned(),
                findings: Vec::new(),
                findings_total: 0,
            };
            assert_eq!(code(&verdicts.iter().map(project).collect::<Vec<_>>()), *expected, "{verdicts:?}");
        }
    }
}
