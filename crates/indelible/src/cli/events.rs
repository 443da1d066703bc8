//! `indelible events`: finds events, newest first, or as a feed by sequence; follows pages as far as asked.

use std::process::ExitCode;

use indelible_core::limits::{PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};
use indelible_engine::query::{Feed, Page, Search};
use serde_json::Value;
use uuid::Uuid;

use super::output;
use super::target::{Folder, Opening, Target};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// SCIM filter, such as 'actor.id eq "alice" and outcome eq "deny"'
    #[arg(long, short)]
    filter: Option<String>,
    /// At most so many events
    #[arg(long, short = 'n', value_name = "N", default_value_t = PAGE_EVENTS_DEFAULT, value_parser = limit, conflicts_with = "all")]
    limit: usize,
    /// All events that match
    #[arg(long)]
    all: bool,
    /// desc: newest first; asc: by sequence, oldest first
    #[arg(long, value_enum, default_value = "desc")]
    order: Order,
    /// With --order asc: go on after this sequence
    #[arg(long, value_name = "N")]
    after_sequence: Option<u64>,
    /// Those of all projects of this organization, newest first
    #[arg(long, value_name = "ID", conflicts_with_all = ["project", "order", "after_sequence", "content"])]
    organization: Option<Uuid>,
    /// Go on where a page ended
    #[arg(long, conflicts_with = "after_sequence")]
    cursor: Option<String>,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    Desc,
    Asc,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let feed = match (args.order, args.after_sequence) {
        (Order::Desc, None) => None,
        (Order::Asc, None) => Some(Feed::Start),
        (Order::Asc, Some(sequence)) => Some(Feed::After(sequence)),
        (Order::Desc, Some(_)) => anyhow::bail!("--after-sequence goes with --order asc"),
    };
    let connection = args.target.connect(Folder::MustExist)?;
    let mut search = Search { filter: args.filter.clone(), cursor: args.cursor.clone(), limit: None, feed, opening: args.opening.engine() };
    let mut wanted = if args.all { usize::MAX } else { args.limit };
    let mut rows = Vec::new();
    // The feed would never end: each page of it is itself an event.
    let mut until = None;
    let next = loop {
        search.limit = Some(wanted.min(PAGE_EVENTS_MAX));
        let page = match args.organization {
            Some(id) => connection.explore(id, &search)?,
            None => connection.search(&search)?,
        };
        until = until.or(page.indexed_through);
        let got = page.records.len();
        for record in &page.records {
            if args.target.json { output::line(record)? } else { rows.push(row(record)?) }
        }
        wanted = wanted.saturating_sub(got);
        let next = next(&page, got, until);
        if wanted == 0 || next.is_none() {
            break next;
        }
        match next {
            Some(Next::Cursor(cursor)) => search.cursor = Some(cursor),
            Some(Next::Sequence(sequence)) => search.feed = Some(Feed::After(sequence)),
            None => {}
        }
    };
    if !args.target.json {
        output::table(&["TIME", "ACTOR", "ACTION", "OUTCOME", "RESOURCE", "ON BEHALF OF", "ID"], rows)?;
    }
    match next {
        Some(Next::Cursor(cursor)) => output::note(&format!("there may be more: --cursor {cursor}")),
        Some(Next::Sequence(sequence)) => output::note(&format!("go on with: --order asc --after-sequence {sequence}")),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

enum Next {
    Cursor(String),
    Sequence(u64),
}

fn next(page: &Page, got: usize, until: Option<u64>) -> Option<Next> {
    if let Some(cursor) = &page.next_cursor {
        return Some(Next::Cursor(cursor.clone()));
    }
    let sequence = page.next_after_sequence?;
    (got > 0 && until.is_none_or(|until| sequence < until)).then_some(Next::Sequence(sequence))
}

fn row(record: &[u8]) -> anyhow::Result<Vec<String>> {
    Ok(cells(&serde_json::from_slice(record)?).to_vec())
}

/// Time, actor, action, outcome, resource, on behalf of whom, id.
pub(super) fn cells(event: &Value) -> [String; 7] {
    let get = |pointer: &str| event.pointer(pointer).map(output::cell).unwrap_or_default();
    let actor = match get("/actor/display") {
        display if display.is_empty() => get("/actor/id"),
        display => display,
    };
    let resource = [get("/resource/type"), get("/resource/id")].join(" ");
    let outcome = match get("/outcome") {
        outcome if outcome.is_empty() => get("/phase"),
        outcome => outcome,
    };
    [get("/occurred_at"), actor, get("/action"), outcome, resource.trim().to_owned(), get("/actor/on_behalf_of"), get("/id")]
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "a number from 1".to_owned())
}
