//! `indelible keys`: make, list and revoke API keys; rotate the ledger's own keys, hand out chain keys. A new key is shown once, on standard output, or written to a file that
//! its owner alone can read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indelible_core::time::Timestamp;
use indelible_engine::access::{KeyKind, Owner, Scope};
use indelible_engine::resource::{self, Kind};
use indelible_engine::{KeyArn, Rotation};
use serde_json::{Value, json};
use uuid::Uuid;

use super::output;
use super::secret::{Safe, put_away};
use super::target::{Folder, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key
    Create(Create),
    /// List keys, without their secrets
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Let a new key serve: of chains (hmac), of anchors and checkpoints (signing), of contents (data)
    Rotate {
        /// Which
        #[arg(value_parser = ["hmac", "signing", "data"])]
        kind: String,
        /// For `data`: the organization; by default the default one
        #[arg(long, value_name = "ID")]
        organization: Option<Uuid>,
        /// For `signing`: an Ed25519 key in AWS KMS that signs from now on
        #[arg(long, value_name = "ARN")]
        kms: Option<KeyArn>,
        /// For `signing`: the keys before it sign no more from now on, rather than beside it for 30 days; for one that is lost, or
        /// that somebody else has
        #[arg(long)]
        retire_old: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Wrap the content keys of an organization anew, under its current data key
    Rewrap {
        /// The organization; by default the default one
        #[arg(long, value_name = "ID")]
        organization: Option<Uuid>,
        #[command(flatten)]
        target: Target,
    },
    /// Hand an auditor the chain keys of the project, as JSON; recorded
    ExportChain {
        /// Write them to this new file (mode 0600) instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
    /// Revoke a key
    Revoke {
        /// The key's id
        id: Uuid,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Name, to know it by
    name: String,
    /// What it allows: audit:read, audit:write, audit:admin, events:append, content:decrypt, control:write
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Scope>,
    /// What it is for
    #[arg(long, default_value = KeyKind::Application.as_str(), value_parser = kinds())]
    kind: KeyKind,
    /// What it belongs to: instance, organization:ID or project:ID; by default the project
    #[arg(long, value_parser = owner)]
    owner: Option<Owner>,
    /// When it ends, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<Timestamp>,
    /// Write the key to this new file (mode 0600) instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

impl Create {
    /// The document of the key.
    fn document(&self) -> Value {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let mut document = json!({"name": self.name, "kind": self.kind.as_str(), "scopes": scopes});
        if let Some(time) = self.expires_at {
            document["expires_at"] = json!(time.to_string());
        }
        document
    }
}

/// Keys are a kind of resource.
fn api_keys() -> anyhow::Result<&'static Kind> {
    resource::kind("api_key").context("keys are no kind of resource here")
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Create(create) => make(create)?,
        Command::List { target } => list(target)?,
        Command::Rotate { kind, organization, kms, retire_old, target } => {
            let rotation = match (kind.as_str(), organization, kms, *retire_old) {
                ("hmac", None, None, false) => Rotation::Hmac,
                ("signing", None, kms, retire_old) => Rotation::Signing { kms_key: kms.clone(), retire_old },
                ("data", organization, None, false) => Rotation::Data(*organization),
                (_, Some(_), _, _) => bail!("only data keys belong to an organization: leave --organization away"),
                (_, _, Some(_), _) => bail!("only keys that sign are in AWS KMS: leave --kms away"),
                (_, _, _, _) => bail!("only keys that sign go on beside the new one: leave --retire-old away"),
            };
            let rotated = target.connect(Folder::MustExist)?.rotate_key(&rotation)?;
            if target.json {
                output::line(&rotated)?;
            } else {
                let rotated: Value = serde_json::from_slice(&rotated)?;
                output::line(format!("{} {} serves", output::cell(&rotated["kind"]), output::cell(&rotated["id"])).as_bytes())?;
            }
        }
        Command::Rewrap { organization, target } => {
            let rewrapped = target.connect(Folder::MustExist)?.rewrap(*organization)?;
            if target.json {
                output::line(&rewrapped)?;
            } else {
                let rewrapped: Value = serde_json::from_slice(&rewrapped)?;
                let [renewed, unopened] = ["renewed", "unopened"].map(|name| output::cell(&rewrapped[name]));
                output::line(format!("renewed {renewed} wraps, {unopened} did not open").as_bytes())?;
            }
        }
        Command::ExportChain { out, target } => {
            let safe = Safe::maybe(out.as_ref())?;
            let keys = target.connect(Folder::MustExist)?.export_chain_keys()?;
            match safe {
                Some(safe) => {
                    let said = format!("the chain keys are in {}", safe.path().display());
                    safe.keep(&keys)?;
                    output::note(&said);
                }
                None => output::line(&keys)?,
            }
        }
        Command::Revoke { id, target } => {
            let connection = target.connect(Folder::MustExist)?;
            connection.delete_resource(api_keys()?, *id, None)?;
            if target.json {
                output::line(&connection.resource(api_keys()?, *id)?)?;
            } else {
                output::line(format!("revoked {id}").as_bytes())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn make(create: &Create) -> anyhow::Result<()> {
    let safe = Safe::maybe(create.out.as_ref())?;
    let made = create.target.connect(Folder::MayBeMade)?.create_resource(api_keys()?, create.owner, &create.document())?;
    let mut key: Value = serde_json::from_slice(&made)?;
    put_away(&mut key, "key", safe)?;
    if create.target.json {
        return Ok(output::line(key.to_string().as_bytes())?);
    }
    let id = output::cell(&key["id"]);
    if let Some(path) = &create.out {
        return Ok(output::line(format!("made key {id}; it is in {}", path.display()).as_bytes())?);
    }
    output::note(&format!("made key {id}; it is shown this once:"));
    Ok(output::line(key["key"].as_str().unwrap_or_default().as_bytes())?)
}

fn list(target: &Target) -> anyhow::Result<()> {
    let keys = target.connect(Folder::MustExist)?.resources(api_keys()?)?;
    if target.json {
        for key in &keys {
            output::line(key)?;
        }
        return Ok(());
    }
    let mut rows = Vec::new();
    for key in &keys {
        let key: Value = serde_json::from_slice(key)?;
        let scopes: Vec<&str> = key["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let owner = [output::cell(&key["owner"]["type"]), output::cell(&key["owner"]["id"])].join(" ");
        let state = if key["revoked_at"].is_null() { output::cell(&key["expires_at"]) } else { "revoked".to_owned() };
        rows.push(vec![output::cell(&key["id"]), output::cell(&key["name"]), output::cell(&key["kind"]), owner, scopes.join(","), state]);
    }
    Ok(output::table(&["ID", "NAME", "KIND", "OWNER", "SCOPES", "ENDS"], rows)?)
}

/// The words for kinds, which the help lists.
fn kinds() -> impl TypedValueParser<Value = KeyKind> {
    PossibleValuesParser::new(KeyKind::ALL.map(KeyKind::as_str)).try_map(|word| KeyKind::parse(&word).ok_or("no such kind"))
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word).ok_or_else(|| format!("one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

pub(super) fn owner(text: &str) -> Result<Owner, String> {
    let id = |id: &str| id.parse().map_err(|_| "the id must be a UUID".to_owned());
    match text.split_once(':') {
        None if text == "instance" => Ok(Owner::Instance),
        Some(("organization", organization)) => id(organization).map(Owner::Organization),
        Some(("project", project)) => id(project).map(Owner::Project),
        _ => Err("instance, organization:ID or project:ID".to_owned()),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time such as 2030-01-01T00:00:00Z".to_owned())
}
