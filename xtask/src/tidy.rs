//! The rules of the house that no compiler checks: sizes, names, first lines, who imports what, links that lead
//! somewhere, tests that the architecture names.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::root;

/// Lines of a Rust file, tests included.
const FILE_LINES_MAX: usize = 500;
/// Lines of ARCHITECTURE.md.
const ARCHITECTURE_LINES_MAX: usize = 300;
/// Lines of a decision.
const DECISION_LINES_MAX: usize = 60;
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "types", "misc"];
/// What a crate may depend on, beside what every crate may.
const CRATE_NEVER: &[(&str, &[&str])] = &[
    ("indelible-core", &["std::fs", "std::net", "std::thread", "tokio", "rusqlite", "SystemTime", "Instant::now", "use rand", "getrandom"]),
    ("indelible-engine", &["axum", "clap", "maud", "utoipa"]),
    ("indelible", &["rusqlite", "aws_lc_rs", "postgres::"]),
    ("indelible-postgres", &["indelible_core", "indelible_engine", "aws_lc_rs", "connect(", "std::fs", "std::net"]),
];

type Rule = (&'static str, fn(&[Source]) -> Vec<String>);

const RULES: &[Rule] = &[
    ("files are of a size to be read", sizes),
    ("each file says what it is", first_lines),
    ("names say something", names),
    ("crates import what they may", imports),
    ("nothing is silenced", silenced),
    ("nothing speaks of one machine", machine),
    ("documents are short and their links lead somewhere", documents),
    ("the architecture names tests that exist", invariants),
];

/// A file that git knows.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "rs")
    }

    fn is_document(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "md")
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }

    /// Lines that are not comments, numbered from 1, before any `mod tests`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .take_while(|(_, line)| *line != "mod tests {")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Prints what is wrong.
pub(crate) fn run() -> ExitCode {
    let mut clean = true;
    for (rule, faults) in faults() {
        clean &= faults.is_empty();
        for fault in faults {
            println!("{rule}: {fault}");
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each rule, and where it is broken.
pub(crate) fn faults() -> Vec<(&'static str, Vec<String>)> {
    let sources = sources();
    assert!(!sources.is_empty(), "git lists no files");
    RULES.iter().map(|(name, rule)| (*name, rule(&sources))).collect()
}

fn sources() -> Vec<Source> {
    let listed = Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root()).output();
    let listed = listed.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    listed
        .lines()
        .filter_map(|path| Some(Source { text: std::fs::read_to_string(root().join(path)).ok()?, path: PathBuf::from(path) }))
        .collect()
}

fn sizes(sources: &[Source]) -> Vec<String> {
    let too_long = |source: &&Source| source.is_rust() && source.text.lines().count() > FILE_LINES_MAX;
    sources.iter().filter(too_long).map(|source| source.at(FILE_LINES_MAX, "the file goes on past the limit")).collect()
}

fn first_lines(sources: &[Source]) -> Vec<String> {
    let silent = |source: &&Source| source.is_rust() && !source.text.starts_with("//!") && !source.text.starts_with("#![no_main]");
    sources.iter().filter(silent).map(|source| source.at(1, "a file opens with //! lines")).collect()
}

fn names(sources: &[Source]) -> Vec<String> {
    let empty = |source: &&Source| {
        source.is_rust()
            && source.path.components().any(|part| EMPTY_NAMES.contains(&part.as_os_str().to_string_lossy().trim_end_matches(".rs")))
    };
    sources.iter().filter(empty).map(|source| source.at(1, "a name that says nothing")).collect()
}

fn imports(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, never) in CRATE_NEVER {
        let folder = Path::new("crates").join(name).join("src");
        let of_it = |source: &&Source| source.is_rust() && source.path.starts_with(&folder) && !source.path.ends_with("tests.rs");
        for source in sources.iter().filter(of_it) {
            for (number, line) in source.code() {
                if let Some(word) = never.iter().find(|word| line.contains(**word)) {
                    faults.push(source.at(number, &format!("{name} never has {word}")));
                }
            }
        }
    }
    faults
}

fn silenced(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() && !source.path.starts_with("xtask/src/tidy.rs")) {
        for (number, line) in source.text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
            for word in ["#[allow(", "#![allow(", "#[ignore", "todo!(", "unimplemented!(", "FIXME", "XXX"] {
                if line.contains(word) {
                    faults.push(source.at(number, word));
                }
            }
        }
    }
    faults
}

fn machine(sources: &[Source]) -> Vec<String> {
    // Spelt in pieces, so that this file does not hold them.
    let words = [["/wo", "rk/"].concat(), ["/fa", "rm/"].concat(), ["crates", ".io"].concat(), ["pypi", ".org"].concat()];
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path != Path::new("Cargo.lock")) {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) && !source.path.starts_with("crates/indelible/demo") {
                faults.push(source.at(number + 1, "a path of one machine, or the host of a registry"));
            }
        }
    }
    faults
}

fn documents(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.is_document()) {
        let lines = source.text.lines().count();
        let limit = match source.path.to_string_lossy().as_ref() {
            "ARCHITECTURE.md" => ARCHITECTURE_LINES_MAX,
            path if path.starts_with("docs/decisions/") => DECISION_LINES_MAX,
            _ => usize::MAX,
        };
        if lines > limit {
            faults.push(source.at(limit, "the document goes on past the limit"));
        }
        for (number, line) in source.text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
                let file = target.split('#').next().unwrap_or_default();
                let local = !file.is_empty() && !file.contains("://") && !file.contains(' ');
                if local && !root().join(source.path.parent().unwrap_or(Path::new(""))).join(file).exists() {
                    faults.push(source.at(number + 1, &format!("{target} does not exist")));
                }
            }
        }
    }
    faults
}

/// Invariants in ARCHITECTURE.md end with the test that holds them, as `path/to/file.rs::name`.
fn invariants(sources: &[Source]) -> Vec<String> {
    let Some(architecture) = sources.iter().find(|source| source.path == Path::new("ARCHITECTURE.md")) else {
        return vec!["ARCHITECTURE.md does not exist".to_owned()];
    };
    let mut faults = Vec::new();
    for (number, line) in architecture.text.lines().enumerate() {
        for word in line.split('`').filter(|word| word.contains(".rs::")) {
            let Some((path, test)) = word.split_once("::") else { continue };
            let held = sources.iter().any(|source| source.path == Path::new(path) && source.text.contains(&format!("fn {test}(")));
            if !held {
                faults.push(architecture.at(number + 1, &format!("there is no test {word}")));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Vec<Source> {
        vec![Source { path: PathBuf::from(path), text: text.to_owned() }]
    }

    #[test]
    fn each_rule_can_fail() {
        let long = "//! x\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(sizes(&source("a.rs", &long)).len(), 1);
        assert_eq!(first_lines(&source("a.rs", "use x;")).len(), 1);
        assert_eq!(names(&source("src/util/mod.rs", "")).len(), 1);
        assert_eq!(names(&source("src/helpers.rs", "")).len(), 1);
        assert_eq!(imports(&source("crates/indelible-core/src/a.rs", "use std::fs;\n// std::net\n")).len(), 1);
        assert_eq!(imports(&source("crates/indelible-postgres/src/a.rs", "use indelible_engine::Ledger;")).len(), 1);
        assert_eq!(silenced(&source("a.rs", "#[allow(dead_code)]")).len(), 1);
        assert_eq!(machine(&source("a.md", &["see /wo", "rk/x"].concat())).len(), 1);
        assert_eq!(documents(&source("README.md", "[a](no-such-file.md) [b](https://example.com)")).len(), 1);
        assert_eq!(invariants(&source("ARCHITECTURE.md", "held by `a/b.rs::nothing`")).len(), 1);
    }
}
