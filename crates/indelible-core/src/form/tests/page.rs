//! The page of formats says of each action which class, activity and category it becomes: `docs/stream-formats.md` is held to the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::ocsf::class;
use super::{Format, made, seen};
use crate::event::action;

/// The rows of the page: a noun and a class each.
fn rows() -> String {
    let mut rows: BTreeMap<(String, i64), (&str, Vec<String>, String)> = BTreeMap::new();
    for name in action::catalogue() {
        let (noun, verb) = name.split_once('.').expect("noun.verb");
        let activity = class::activity(&name);
        let said = match (activity.class.uid(), activity.id) {
            (4002, _) => format!("`{verb}` by its method"),
            (_, class::OTHER) => format!("`{verb}` 99"),
            (_, id) => format!("`{verb}` {id} {}", activity.name),
        };
        let document = seen(Format::Ecs, &made::record(&made::least(&name), 0));
        let categories: Vec<&str> = document["event"]["category"].as_array().into_iter().flatten().filter_map(|c| c.as_str()).collect();
        let row = rows
            .entry((noun.to_owned(), activity.class.uid()))
            .or_insert_with(|| (activity.class.caption(), Vec::new(), categories.join(", ")));
        row.1.push(said);
    }
    let mut page = String::new();
    for ((noun, uid), (caption, activities, categories)) in rows {
        writeln!(page, "| `{noun}` | {caption} ({uid}) | {} | {categories} |", activities.join(", ")).expect("a text");
    }
    page
}

#[test]
fn the_page_of_formats_is_the_table_of_classes() {
    let page = include_str!("../../../../../docs/stream-formats.md");
    let after = page.split_once("| noun | class | activities | ECS category |\n|---|---|---|---|\n").expect("the table").1;
    let table: String = after.lines().take_while(|line| line.starts_with('|')).map(|line| line.to_owned() + "\n").collect();
    let rows = rows();
    assert!(table == rows, "the table in docs/stream-formats.md should be\n{rows}");
}

/// Versions are told where they are written.
#[test]
fn the_page_tells_the_versions() {
    let page = include_str!("../../../../../docs/stream-formats.md");
    for version in [format!("OCSF {}", super::super::ocsf::VERSION), format!("ECS {}", super::super::ecs::VERSION)] {
        assert!(page.contains(&version), "{version}");
    }
}
