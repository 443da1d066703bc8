//! `indelible decide`: asks for decisions as an application would, and shows why, and what would turn each. Every one is recorded.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::output;
use super::target::{Folder, Target};

/// A request is never longer, bytes.
const REQUEST_BYTES_MAX: u64 = 1024 * 1024;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A request of the Authorization API 1.0 of OpenID AuthZEN: JSON, @FILE, or - for standard input
    #[arg(value_name = "JSON", required_unless_present = "subject", conflicts_with_all = ["subject", "action", "resource", "context"])]
    request: Option<String>,
    /// Who asks, such as agent:agent-7
    #[arg(long, value_name = "TYPE:ID", requires_all = ["action", "resource"])]
    subject: Option<String>,
    /// What it would do, such as tool.call
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// To what, such as tool:send_email
    #[arg(long, value_name = "TYPE:ID")]
    resource: Option<String>,
    /// The context, a JSON object
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Exit code 0 where everything is allowed, 1 where something is not.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = request(args)?;
    let answer: Value = serde_json::from_slice(&args.target.connect(Folder::MustExist)?.decide(&request)?)?;
    let single = [answer.clone()];
    let decisions = answer["evaluations"].as_array().map_or(&single[..], Vec::as_slice);
    if args.target.json {
        output::line(answer.to_string().as_bytes())?;
    } else {
        output::table(&["DECISION", "BY", "WHY", "WOULD TURN AFTER", "EVENT"], decisions.iter().map(row))?;
    }
    let allowed = decisions.iter().all(|decision| decision["decision"] == Value::Bool(true));
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(decision: &Value) -> Vec<String> {
    let context = &decision["context"];
    let word = match (decision["decision"] == Value::Bool(true), context["would_be"].as_bool()) {
        (true, Some(false)) => "allow (would deny)",
        (true, _) => "allow",
        (false, _) => "deny",
    };
    let changes = context["changes"].as_array().into_iter().flatten().map(|change| output::cell(&change["words"]));
    let changes = changes.collect::<Vec<_>>().join("; ");
    vec![
        word.to_owned(),
        output::cell(&context["engine"]),
        output::cell(&context["reason_admin"]["en"]),
        changes,
        output::cell(&context["id"]),
    ]
}

fn request(args: &Args) -> anyhow::Result<Value> {
    if let Some(given) = &args.request {
        return read(given);
    }
    let thing = |text: &Option<String>| -> anyhow::Result<Value> {
        let text = text.as_deref().unwrap_or_default();
        let (kind, id) = text.split_once(':').with_context(|| format!("{text} is not TYPE:ID"))?;
        Ok(json!({"type": kind, "id": id}))
    };
    let mut request = json!({"subject": thing(&args.subject)?, "action": {"name": args.action}, "resource": thing(&args.resource)?});
    if let Some(context) = &args.context {
        request["context"] = serde_json::from_str(context).context("the context is not JSON")?;
    }
    Ok(request)
}

fn read(given: &str) -> anyhow::Result<Value> {
    let mut text = String::new();
    match given.strip_prefix('@') {
        Some(file) => {
            let file = std::fs::File::open(file).with_context(|| format!("opening {file}"))?;
            file.take(REQUEST_BYTES_MAX).read_to_string(&mut text)?;
        }
        None if given == "-" => {
            std::io::stdin().take(REQUEST_BYTES_MAX).read_to_string(&mut text)?;
        }
        None => given.clone_into(&mut text),
    }
    // As strict as the server: what it would refuse is refused here.
    indelible_core::json::parse(text.as_bytes()).map_err(|fault| anyhow::anyhow!("the request is not JSON: {}", fault.message))?;
    let value: Value = serde_json::from_str(&text)?;
    if !value.is_object() {
        bail!("the request is a JSON object with subject, action and resource");
    }
    Ok(value)
}
