//! `indelible verify-bundle`: an evidence bundle against public keys that came from elsewhere. Needs no data folder, no server, no
//! secret, and memory that does not grow with the entries of a range.
//!
//! Exit code 0: it holds; 1: something in it was altered, removed or reordered; 2: it could not be told, as without a key that the
//! caller trusts. Keys inside a bundle prove nothing of who made it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indelible_core::bundle::{BundleReport, Kind, Manifest, TarVerifier, Trust};
use indelible_core::checkpoint::Checkpoint;
use indelible_core::note::{Note, VerifierKey};
use indelible_core::verify::{Finding, Verdict};
use serde_json::{Value, json};

use super::output;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle
    file: PathBuf,
    /// A verifier key to trust, as the log's owner published it (of the log, its instance, or a witness); may be repeated
    #[arg(long = "key", value_name = "VERIFIER_KEY", value_parser = key)]
    keys: Vec<VerifierKey>,
    /// File with verifier keys to trust, one a line
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
    /// Believe the keys inside the bundle: proves that it is whole, not who made it
    #[arg(long, conflicts_with_all = ["keys", "keys_file"])]
    trust_bundled_keys: bool,
    /// File with the checkpoint of an earlier bundle, out of which this one's log must have grown
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const COULD_NOT: u8 = 2;
/// Read at once, bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Manifest and keys are within the first bytes of a bundle: two headers, two files of 64 KiB, their padding.
const HEAD_BYTES: u64 = 256 * 1024;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match verify(args) {
        Ok((report, pinned)) => {
            print(args, &report, pinned)?;
            Ok(ExitCode::from(code(report.report.verdict)))
        }
        Err(error) => {
            output::note(&format!("indelible: could not verify: {error:#}"));
            Ok(ExitCode::from(COULD_NOT))
        }
    }
}

const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Intact | Verdict::Unanchored | Verdict::Partial => 0,
        Verdict::Unverifiable => COULD_NOT,
        _ => 1,
    }
}

/// What came of it, and whether any key was pinned.
fn verify(args: &Args) -> anyhow::Result<(BundleReport, bool)> {
    let mut keys = args.keys.clone();
    if let Some(path) = &args.keys_file {
        keys.extend(read_keys(path)?);
    }
    let pinned = !keys.is_empty();
    let mut file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    if args.trust_bundled_keys {
        keys = read(&mut File::open(&args.file)?.take(HEAD_BYTES), HEAD_BYTES, Trust::default())?.keys_offered;
    }
    let earlier = args.since.as_deref().map(read_checkpoint).transpose()?;
    let bytes = file.metadata()?.len();
    Ok((read(&mut file, bytes, Trust { keys, earlier })?, pinned))
}

fn read(file: &mut dyn std::io::Read, bytes: u64, trust: Trust) -> anyhow::Result<BundleReport> {
    let bar = output::bar(bytes, true);
    let mut verifier = TarVerifier::new(trust);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let taken = match file.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            taken => taken.context("cannot read the bundle")?,
        };
        if taken == 0 {
            break;
        }
        verifier.piece(&piece[..taken]);
        bar.inc(taken as u64);
    }
    bar.finish_and_clear();
    Ok(verifier.finish())
}

fn read_keys(path: &Path) -> anyhow::Result<Vec<VerifierKey>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut keys = Vec::new();
    for (n, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(key(line).map_err(|error| anyhow::anyhow!("{}, line {n}: {error}", path.display()))?);
        }
    }
    if keys.is_empty() {
        bail!("{} holds no key", path.display());
    }
    Ok(keys)
}

fn read_checkpoint(path: &Path) -> anyhow::Result<Checkpoint> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let note = Note::parse(&bytes).with_context(|| format!("{} is not a checkpoint", path.display()))?;
    Checkpoint::parse(note.text()).with_context(|| format!("{} is not a checkpoint", path.display()))
}

fn key(text: &str) -> Result<VerifierKey, String> {
    text.parse().map_err(|error| format!("not a verifier key: {error}"))
}

fn print(args: &Args, report: &BundleReport, pinned: bool) -> std::io::Result<()> {
    if args.json {
        output::line(document(args, report, pinned).to_string().as_bytes())?;
    } else {
        output::line(sentence(args, report).as_bytes())?;
        let rows = report.report.findings.iter().map(|finding| {
            let sequence = finding.sequence.map(|n| n.to_string()).unwrap_or_default();
            vec![finding.kind.as_str().to_owned(), sequence, finding.detail.clone()]
        });
        if !report.report.findings.is_empty() {
            output::line(b"")?;
            output::table(&["FINDING", "SEQUENCE", "DETAIL"], rows)?;
        }
        let more = report.report.findings_total.saturating_sub(report.report.findings.len() as u64);
        if more > 0 {
            output::line(format!("and {more} more findings").as_bytes())?;
        }
    }
    if !pinned && !args.trust_bundled_keys {
        output::note(
            "no key was given, and keys inside a bundle prove nothing: compare them with what the log's owner published, then name them with --key",
        );
        report.keys_offered.iter().for_each(|key| output::note(&format!("  {key}")));
    }
    Ok(())
}

/// What was proved, for a person.
fn sentence(args: &Args, report: &BundleReport) -> String {
    let verdict = report.report.verdict;
    let Some(manifest) = &report.manifest else { return format!("{}: not a bundle that can be read", verdict.as_str()) };
    let holds = code(verdict) == 0;
    if !holds {
        return format!("{}: this is not proved: {}", verdict.as_str(), proved(manifest));
    }
    let names: Vec<String> = report.signed_by.iter().map(ToString::to_string).collect();
    let at = report.anchored_at.map(|at| format!(", anchored at {at}")).unwrap_or_default();
    let mut parts = vec![format!("{}: {}", verdict.as_str(), proved(manifest))];
    parts.push(format!("the log's tree of {} was signed by {}{at}", manifest.tree_size, names.join(" and ")));
    parts.extend(report.instance.as_ref().map(|(leaves, witnesses)| {
        format!("the anchor is in the instance's tree of {leaves}, cosigned by {} trusted witnesses", witnesses.len())
    }));
    parts.extend(report.grown_from.map(|size| format!("it grew out of the earlier checkpoint of {size}")));
    if manifest.content_included {
        let (opened, sealed, absent) = (report.contents_opened, report.contents_sealed, report.contents_absent);
        parts.push(format!("{opened} contents open, {} are sealed without a key, {absent} are gone", sealed - opened));
    }
    if args.trust_bundled_keys {
        parts.push("the keys are the bundle's own, so this says nothing of who made it".to_owned());
    }
    parts.join("; ")
}

fn proved(manifest: &Manifest) -> String {
    let Manifest { entries_included, first_sequence, last_sequence, project_id, .. } = manifest;
    match manifest.kind {
        Kind::Range => format!(
            "{entries_included} entries, all from sequence {first_sequence} to {last_sequence} of project {project_id}: none between them is missing"
        ),
        Kind::Selection => format!(
            "{entries_included} entries, each of them in the log of project {project_id}; {} others from sequence {first_sequence} to {last_sequence} are left out",
            manifest.entries_left_out()
        ),
    }
}

fn document(args: &Args, report: &BundleReport, pinned: bool) -> Value {
    let finding = |finding: &Finding| json!({"kind": finding.kind.as_str(), "sequence": finding.sequence, "detail": finding.detail});
    let witness = |cosigned: &indelible_core::checkpoint::Cosigned| json!({"key": cosigned.key.to_string(), "at": cosigned.seconds});
    let manifest = report.manifest.as_ref().map(|manifest| {
        json!({
            "kind": manifest.kind.as_str(),
            "project_id": manifest.project_id.to_string(),
            "organization_id": manifest.organization_id.to_string(),
            "origin": manifest.origin.as_str(),
            "filter": manifest.filter,
            "first_sequence": manifest.first_sequence,
            "last_sequence": manifest.last_sequence,
            "tree_size": manifest.tree_size,
            "entries_included": manifest.entries_included,
            "entries_left_out": manifest.entries_left_out(),
            "content_included": manifest.content_included,
        })
    });
    let instance = report
        .instance
        .as_ref()
        .map(|(leaves, witnesses)| json!({"tree_size": leaves, "witnesses": witnesses.iter().map(witness).collect::<Vec<_>>()}));
    json!({
        "verdict": report.report.verdict.as_str(),
        "entries": report.report.events,
        "manifest": manifest,
        "signed_by": report.signed_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "keys_pinned": pinned,
        "keys_of_the_bundle_trusted": args.trust_bundled_keys,
        "keys_offered": report.keys_offered.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "witnesses": report.witnesses.iter().map(witness).collect::<Vec<_>>(),
        "instance": instance,
        "anchors": report.anchors,
        "anchored_at": report.anchored_at.map(|at| at.to_string()),
        "grown_from": report.grown_from,
        "contents": {"sealed": report.contents_sealed, "opened": report.contents_opened, "absent": report.contents_absent},
        "findings": report.report.findings.iter().map(finding).collect::<Vec<_>>(),
        "findings_total": report.report.findings_total,
    })
}
