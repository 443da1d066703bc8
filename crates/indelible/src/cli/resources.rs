//! `indelible KIND …`: a command for every kind of resource, made from the kind: list, show, and what can be done to one in
//! the words of its actions (`halt issue`, `halt clear`).

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Args as _, Command, Error, FromArgMatches, Subcommand};
use indelible_engine::access::Owner;
use indelible_engine::resource::{ENVELOPE, KINDS, Kind, SEALED, Verb};
use serde_json::Value;
use uuid::Uuid;

use super::keys;
use super::output;
use super::secret::{Safe, put_away};
use super::target::{Folder, Target};

/// A document is never longer, bytes.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;

/// One command on one kind.
#[derive(Debug, Clone)]
pub struct Args {
    kind: &'static Kind,
    what: What,
    target: Target,
}

#[derive(Debug, Clone)]
enum What {
    List,
    Show(Uuid),
    Create { document: Vec<String>, owner: Option<Owner>, out: Option<PathBuf> },
    Update { id: Uuid, patch: Vec<String>, version: Option<u64> },
    Act { id: Uuid, verb: &'static Verb, said: Vec<String>, version: Option<u64>, out: Option<PathBuf> },
    Delete { id: Uuid, version: Option<u64> },
}

/// The name of a kind on the command line.
fn name(kind: &Kind) -> String {
    kind.noun.replace('_', "-")
}

/// What is done, by the verb of its action.
fn verb(action: Option<&'static str>) -> Option<&'static str> {
    action.and_then(|action| action.split_once('.')).map(|(_, verb)| verb)
}

/// Making and changing may have one verb (`model_price.set`); then the change is `update`.
fn verbs(kind: &Kind) -> (Option<&'static str>, Option<&'static str>, Option<&'static str>) {
    let (create, update, delete) = (verb(kind.actions.create), verb(kind.actions.update), verb(kind.actions.delete));
    (create, if create == update { update.map(|_| "update") } else { update }, delete)
}

fn id_argument() -> Arg {
    Arg::new("id").required(true).value_name("ID").value_parser(clap::value_parser!(Uuid)).help("Its id")
}

fn version_argument() -> Arg {
    let help = "Only if it is still at this version; by default at whatever it is";
    Arg::new("version").long("if-version").value_name("N").value_parser(clap::value_parser!(u64)).help(help)
}

fn document_argument(help: &'static str) -> Arg {
    Arg::new("document").required(true).num_args(1..).value_name("DOCUMENT").help(help)
}

/// For what is shown once.
fn out_argument(command: Command, kind: &Kind) -> Command {
    if kind.rare.shown_once().is_none() {
        return command;
    }
    let help = "Write what is shown once to this new file (mode 0600) instead of showing it";
    command.arg(Arg::new("out").long("out").value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(help))
}

fn command(kind: &'static Kind) -> Command {
    let (create, update, delete) = verbs(kind);
    let mut command = Command::new(name(kind)).about(kind.doc).subcommand_required(true).arg_required_else_help(true);
    let add = |name: &'static str, about: &'static str| Target::augment_args(Command::new(name).about(about));
    command = command.subcommand(add("list", "List them")).subcommand(add("show", "Show one").arg(id_argument()));
    if let Some(create) = create {
        let owner = Arg::new("owner").long("owner").value_name("OWNER").value_parser(keys::owner);
        let owner = owner.help("What it belongs to: organization:ID or project:ID; by default the project");
        let document = document_argument("Its document: NAME=VALUE for each member, JSON, @FILE, or - for standard input");
        let create = add(create, "Make one").arg(document).arg(owner).after_help(format!("Example:\n  {}", kind.example));
        command = command.subcommand(out_argument(create, kind));
    }
    if let Some(update) = update {
        let patch = document_argument("What changes, as NAME=VALUE, or a merge patch (RFC 7396): JSON, @FILE, or - for standard input");
        command = command.subcommand(add(update, "Change one").arg(id_argument()).arg(patch).arg(version_argument()));
    }
    for verb in kind.rare.verbs {
        let said = document_argument("What is said with it: NAME=VALUE, JSON, @FILE, or - for standard input");
        let said = said.required(false).default_value("{}");
        let act = add(verb.name, verb.doc.trim_end_matches('.')).arg(id_argument()).arg(said).arg(version_argument());
        command = command.subcommand(out_argument(act, kind));
    }
    if let Some(delete) = delete {
        command = command.subcommand(add(delete, "End one").arg(id_argument()).arg(version_argument()));
    }
    command
}

impl Subcommand for Args {
    fn augment_subcommands(command_line: Command) -> Command {
        command_line.subcommands(KINDS.iter().map(|kind| command(kind)))
    }

    fn augment_subcommands_for_update(command_line: Command) -> Command {
        Self::augment_subcommands(command_line)
    }

    fn has_subcommand(name: &str) -> bool {
        KINDS.iter().any(|kind| self::name(kind) == name)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let missing = || Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, of_kind) = matches.subcommand().ok_or_else(missing)?;
        let kind = KINDS.iter().copied().find(|kind| self::name(kind) == name).ok_or_else(missing)?;
        let (what, given) = of_kind.subcommand().ok_or_else(missing)?;
        let id = || given.get_one::<Uuid>("id").copied().ok_or_else(missing);
        let document = || given.get_many::<String>("document").map(|parts| parts.cloned().collect::<Vec<_>>()).ok_or_else(missing);
        let version = || given.get_one::<u64>("version").copied();
        let (create, update, delete) = verbs(kind);
        let out = || kind.rare.shown_once().and_then(|_| given.get_one::<PathBuf>("out").cloned());
        let what = match what {
            "list" => What::List,
            "show" => What::Show(id()?),
            verb if Some(verb) == create => {
                What::Create { document: document()?, owner: given.get_one::<Owner>("owner").copied(), out: out() }
            }
            verb if Some(verb) == update => What::Update { id: id()?, patch: document()?, version: version() },
            verb if Some(verb) == delete => What::Delete { id: id()?, version: version() },
            verb => What::Act { id: id()?, verb: kind.verb(verb).ok_or_else(missing)?, said: document()?, version: version(), out: out() },
        };
        Ok(Self { kind, what, target: Target::from_arg_matches(given)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (kind, target) = (args.kind, &args.target);
    match &args.what {
        What::List => print(&target.connect(Folder::MustExist)?.resources(kind)?, target.json)?,
        What::Show(id) => print(&[target.connect(Folder::MustExist)?.resource(kind, *id)?], target.json)?,
        What::Create { document, owner, out } => {
            let (document, safe) = (read(&(kind.schema)(), document)?, Safe::maybe(out.as_ref())?);
            let made = target.connect(Folder::MayBeMade)?.create_resource(kind, *owner, &document)?;
            print_made(kind, kept_apart(kind, made, safe)?, target.json)?;
        }
        What::Update { id, patch, version } => {
            let patch = read(&(kind.schema)(), patch)?;
            let connection = target.connect(Folder::MustExist)?;
            let version = match version {
                Some(version) => *version,
                None => version_of(&connection.resource(kind, *id)?)?,
            };
            print(&[connection.update_resource(kind, *id, version, &patch)?], target.json)?;
        }
        What::Act { id, verb, said, version, out } => {
            let (said, safe) = (read(&(verb.schema)(), said)?, Safe::maybe(out.as_ref())?);
            let done = target.connect(Folder::MustExist)?.act_on_resource(kind, verb, *id, *version, &said)?;
            print_made(kind, kept_apart(kind, done, safe)?, target.json)?;
        }
        What::Delete { id, version } => target.connect(Folder::MustExist)?.delete_resource(kind, *id, *version)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A resource without the credential that went to the file.
fn kept_apart(kind: &Kind, resource: Vec<u8>, safe: Option<Safe>) -> anyhow::Result<Vec<u8>> {
    let Some(member) = kind.rare.shown_once().filter(|_| safe.is_some()) else { return Ok(resource) };
    let mut resource: Value = serde_json::from_slice(&resource)?;
    put_away(&mut resource, member, safe)?;
    Ok(resource.to_string().into_bytes())
}

/// What is shown once stands on a line of its own: a table is cut to the width of the terminal.
fn print_made(kind: &Kind, resource: Vec<u8>, json: bool) -> anyhow::Result<()> {
    let mut shown: Value = serde_json::from_slice(&resource)?;
    let once = kind.rare.shown_once().filter(|_| !json);
    let once = once.and_then(|member| shown.as_object_mut()?.remove(member)).and_then(|secret| secret.as_str().map(str::to_owned));
    // What is kept sealed is shown as that by every later answer.
    let Some(secret) = once.filter(|secret| secret != SEALED) else { return print(&[resource], json) };
    print(&[shown.to_string().into_bytes()], json)?;
    output::note("it is shown this once:");
    Ok(output::line(secret.as_bytes())?)
}

fn version_of(resource: &[u8]) -> anyhow::Result<u64> {
    let resource: Value = serde_json::from_slice(resource)?;
    resource["version"].as_u64().context("the resource has no version")
}

/// A JSON object from the command line, whole or by its members (`NAME=VALUE`), from a file (`@FILE`), or from standard input (`-`).
fn read(schema: &Value, given: &[String]) -> anyhow::Result<Value> {
    let [given] = given else { return members(schema, given) };
    if given.contains('=') && !given.starts_with(['{', '@']) {
        return members(schema, std::slice::from_ref(given));
    }
    read_document(given)
}

/// A JSON object from the command line, from a file (`@FILE`), or from standard input (`-`).
pub(super) fn read_document(given: &str) -> anyhow::Result<Value> {
    let mut text = String::new();
    match given.strip_prefix('@') {
        Some(file) => {
            let file = std::fs::File::open(file).with_context(|| format!("opening {file}"))?;
            file.take(DOCUMENT_BYTES_MAX).read_to_string(&mut text)?;
        }
        None if given == "-" => {
            std::io::stdin().take(DOCUMENT_BYTES_MAX).read_to_string(&mut text)?;
        }
        None => given.clone_into(&mut text),
    }
    // As strict as the server: what it would refuse is refused here.
    indelible_core::json::parse(text.as_bytes()).map_err(|fault| anyhow::anyhow!("the document is not JSON: {}", fault.message))?;
    let value: Value = serde_json::from_str(&text)?;
    if !value.is_object() {
        bail!("the document is a JSON object, such as the example of --help");
    }
    Ok(value)
}

/// An object of `NAME=VALUE`. The value of a member that is a string is what stands there; of another, JSON where it reads as such.
fn members(schema: &Value, given: &[String]) -> anyhow::Result<Value> {
    let mut object = serde_json::Map::new();
    for part in given {
        let Some((name, value)) = part.split_once('=') else { bail!("{part} is not NAME=VALUE") };
        let text = || Value::String(value.to_owned());
        let is_text = schema["properties"][name]["type"] == "string";
        let value = if is_text { text() } else { serde_json::from_str(value).unwrap_or_else(|_| text()) };
        if object.insert(name.to_owned(), value).is_some() {
            bail!("{name} is given twice");
        }
    }
    Ok(Value::Object(object))
}

fn print(resources: &[Vec<u8>], json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for resource in resources {
        if json {
            output::line(resource)?;
            continue;
        }
        let resource: Value = serde_json::from_slice(resource)?;
        let own = resource.as_object().into_iter().flatten().filter(|(name, _)| !ENVELOPE.contains(&name.as_str()));
        let own: Vec<String> = own.map(|(name, value)| format!("{name}={}", output::cell(value))).collect();
        let owner = [output::cell(&resource["owner"]["type"]), output::cell(&resource["owner"]["id"])].join(" ");
        let [id, version, changed] = ["id", "version", "updated_at"].map(|member| output::cell(&resource[member]));
        rows.push(vec![id, version, own.join(" "), owner, changed]);
    }
    if !json {
        output::table(&["ID", "VERSION", "DOCUMENT", "OWNER", "CHANGED"], rows)?;
    }
    Ok(())
}
