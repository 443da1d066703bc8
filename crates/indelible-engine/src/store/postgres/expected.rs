//! What a database should have, read from the SQL files that this program installs: so that there is one list, and the check can
//! never ask for another than the one that was made.
//!
//! It reads the few forms that these files are written in, and no SQL beyond them: a grant, a policy, an index, a view, a function, a
//! trigger, `audit.defend`. What they do in a DO block it does not see.

use std::collections::BTreeSet;

use super::install::{BEFORE, EVENT_TRIGGERS, MIGRATIONS};

/// A privilege, as (role, object, privilege): the object is `table t`, `column t.c`, `function f` or `schema audit`.
pub(super) type Grant = (String, String, String);

/// A function, by what a database says of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Between its dollars.
    pub(super) body: String,
    pub(super) security_definer: bool,
    pub(super) search_path: Option<String>,
}

/// A statement that makes something of a name on a table.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) statement: String,
}

/// An event trigger. Sorted tags; none where it is for all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventTrigger {
    pub(super) name: String,
    pub(super) function: String,
    pub(super) tags: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) tables: BTreeSet<String>,
    /// Table, and what it refuses beside TRUNCATE.
    pub(super) defended: Vec<(String, String)>,
    pub(super) triggers: Vec<Made>,
    pub(super) functions: Vec<Function>,
    pub(super) grants: BTreeSet<Grant>,
    pub(super) secured: BTreeSet<String>,
    pub(super) policies: Vec<Made>,
    pub(super) indexes: Vec<Made>,
    pub(super) views: Vec<Made>,
}

/// Everything of every version, but what only a superuser installs.
pub(super) fn expected() -> Expected {
    let mut all = Expected::default();
    for file in std::iter::once(&BEFORE).chain(MIGRATIONS.iter().flat_map(|migration| migration.files)) {
        all.take_all(file);
    }
    all
}

/// The functions of [`EVENT_TRIGGERS`].
pub(super) fn guarding_functions() -> Vec<Function> {
    let mut all = Expected::default();
    all.take_all(EVENT_TRIGGERS);
    all.functions
}

pub(super) fn event_triggers() -> Vec<EventTrigger> {
    let read = |statement: &String| {
        let rest = statement.strip_prefix("CREATE EVENT TRIGGER ")?;
        let tags = rest.split_once("TAG IN (").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(tags, _)| tags);
        let mut tags: Vec<String> =
            tags.split(',').map(|tag| tag.trim().trim_matches('\'').to_owned()).filter(|tag| !tag.is_empty()).collect();
        tags.sort();
        let function = between(rest, "EXECUTE FUNCTION audit.", "(")?;
        Some(EventTrigger { name: rest.split_whitespace().next()?.to_owned(), function, tags })
    };
    statements(EVENT_TRIGGERS).iter().filter_map(read).collect()
}

impl Expected {
    fn take_all(&mut self, file: &str) {
        for statement in statements(file) {
            self.take(&statement);
        }
    }

    fn take(&mut self, statement: &str) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let made = |name: &str| Made {
            name: name.trim_start_matches("audit.").to_owned(),
            table: after_on(&words).unwrap_or_default(),
            statement: statement.to_owned(),
        };
        match words.as_slice() {
            ["CREATE", "TABLE", "IF", "NOT", "EXISTS", name, ..] | ["CREATE", "TABLE", name, ..] => {
                self.tables.extend(own(name));
            }
            ["CREATE", "INDEX", name, ..] | ["CREATE", "UNIQUE", "INDEX", name, ..] => self.indexes.push(made(name)),
            ["CREATE", "VIEW", name, ..] | ["CREATE", "OR", "REPLACE", "VIEW", name, ..] => self.views.push(made(name)),
            ["CREATE", "TRIGGER", name, ..] => self.triggers.push(made(name)),
            ["CREATE", "POLICY", name, ..] => self.policies.push(made(name)),
            ["CREATE", "FUNCTION", ..] | ["CREATE", "OR", "REPLACE", "FUNCTION", ..] => self.functions.extend(function(statement)),
            ["ALTER", "TABLE", name, "ENABLE", "ROW", "LEVEL", "SECURITY"] => self.secured.extend(own(name)),
            ["GRANT", ..] => self.grants.extend(grants(statement)),
            ["SELECT", ..] => self.defended.extend(defended(statement)),
            _ => {}
        }
    }
}

/// The name of something in the schema.
fn own(name: &str) -> Option<String> {
    name.strip_prefix("audit.").map(|name| name.split('(').next().unwrap_or(name).to_owned())
}

fn after_on(words: &[&str]) -> Option<String> {
    words.windows(2).find(|pair| pair[0] == "ON").and_then(|pair| own(pair[1]))
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.to_owned())
}

fn defended(statement: &str) -> Option<(String, String)> {
    let (name, operations) = statement.strip_prefix("SELECT audit.defend('")?.split_once("', '")?;
    Some((name.to_owned(), operations.strip_suffix("')")?.to_owned()))
}

fn function(statement: &str) -> Option<Function> {
    let name = between(statement, "FUNCTION audit.", "(")?;
    let (head, rest) = statement.split_once("AS $")?;
    let (tag, rest) = rest.split_once('$')?;
    let (body, tail) = rest.rsplit_once(&format!("${tag}$"))?;
    // Of schemas that need no quotes.
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | ',' | ' ');
    let setting = |text: &str| {
        let (_, rest) = text.split_once("SET search_path = ")?;
        let path = &rest[..rest.find(|c| !is_of_path(c)).unwrap_or(rest.len())];
        Some(path.split(" AS").next().unwrap_or(path).trim().to_owned())
    };
    let security_definer = head.contains("SECURITY DEFINER") || tail.contains("SECURITY DEFINER");
    Some(Function { name, body: body.to_owned(), security_definer, search_path: setting(head).or_else(|| setting(tail)) })
}

fn grants(statement: &str) -> Vec<Grant> {
    let Some((rest, roles)) = statement["GRANT ".len()..].rsplit_once(" TO ") else { return Vec::new() };
    let Some((privileges, objects)) = rest.split_once(" ON ") else { return Vec::new() };
    let (privileges, columns) = match privileges.split_once('(') {
        Some((privileges, columns)) => (privileges, columns.trim_end().trim_end_matches(')').split(',').map(str::trim).collect()),
        None => (privileges, vec![""]),
    };
    let (kind, objects) = match objects.trim().split_once(' ') {
        Some(("SCHEMA", objects)) => ("schema", objects),
        Some(("FUNCTION", objects)) => ("function", objects),
        Some(("TABLE", objects)) => ("table", objects),
        _ if columns == [""] => ("table", objects),
        _ => ("column", objects),
    };
    let mut all = Vec::new();
    for object in names(objects) {
        let object = object.strip_prefix("audit.").unwrap_or(&object).to_owned();
        for column in &columns {
            let object = if column.is_empty() { format!("{kind} {object}") } else { format!("{kind} {object}.{column}") };
            for privilege in privileges.split(',') {
                all.extend(roles.split(',').map(|role| (role.trim().to_owned(), object.clone(), privilege.trim().to_owned())));
            }
        }
    }
    all
}

/// Names that commas separate, without the arguments of functions.
fn names(objects: &str) -> Vec<String> {
    let (mut depth, mut bare) = (0_u32, String::new());
    for c in objects.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    bare.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The statements of a file, without comments and without the semicolons that end them. What lies in quotes and between dollars is kept.
fn statements(sql: &str) -> Vec<String> {
    let (mut all, mut one, mut rest) = (Vec::new(), String::new(), sql);
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '-' if rest.starts_with("--") => {
                rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
                one.push('\n');
                continue;
            }
            '\'' => 2 + rest[1..].find('\'').unwrap_or(rest.len().saturating_sub(2)),
            '$' => dollars(rest).unwrap_or(1),
            ';' => {
                all.push(std::mem::take(&mut one).trim().to_owned());
                rest = &rest[1..];
                continue;
            }
            c => c.len_utf8(),
        };
        one.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    all
}

/// The length of what stands between dollars, with them.
fn dollars(rest: &str) -> Option<usize> {
    let tag_end = 1 + rest[1..].find('$')?;
    let tag = &rest[..=tag_end];
    tag[1..tag_end].chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(())?;
    rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_they_end() {
        let sql = "-- one; two\nSELECT ';' /* x */;\nCREATE FUNCTION audit.f() AS $$ a; -- b;\n 'c $$;\nDO $x$ $$;$$ $x$;";
        assert_eq!(statements(sql), ["SELECT ';' /* x */", "CREATE FUNCTION audit.f() AS $$ a; -- b;\n 'c $$", "DO $x$ $$;$$ $x$"]);
    }

    #[test]
    fn grants_are_told_apart() {
        let one = |role: &str, object: &str, privilege: &str| (role.to_owned(), object.to_owned(), privilege.to_owned());
        assert_eq!(grants("GRANT SELECT, INSERT ON audit.a TO r"), [one("r", "table a", "SELECT"), one("r", "table a", "INSERT")]);
        assert_eq!(grants("GRANT SELECT (x, y) ON audit.a TO r"), [one("r", "column a.x", "SELECT"), one("r", "column a.y", "SELECT")]);
        let function = "GRANT EXECUTE ON FUNCTION audit.f(text, jsonb), audit.g() TO r, s";
        let all = ["function f", "function g"].map(|object| ["r", "s"].map(|role| one(role, object, "EXECUTE")));
        assert_eq!(grants(function), all.as_flattened());
        assert_eq!(grants("GRANT USAGE ON SCHEMA audit TO r"), [one("r", "schema audit", "USAGE")]);
        assert_eq!(grants("GRANT a TO b"), []);
    }

    #[test]
    fn the_files_are_read_whole() {
        let expected = expected();
        let created = |what: &str| {
            let all = std::iter::once(&BEFORE).chain(MIGRATIONS.iter().flat_map(|migration| migration.files));
            all.flat_map(|file| file.lines()).filter(|line| line.starts_with(what)).count()
        };
        assert_eq!(expected.tables.len(), created("CREATE TABLE "));
        assert_eq!(expected.functions.len(), created("CREATE FUNCTION ") + created("CREATE OR REPLACE FUNCTION "));
        assert_eq!(expected.indexes.len(), created("CREATE INDEX ") + created("CREATE UNIQUE INDEX "));
        assert_eq!(expected.policies.len(), created("CREATE POLICY "));
        assert_eq!(expected.defended.len(), created("SELECT audit.defend("));
        assert_eq!(event_triggers().len(), 4);
        let loose = expected.functions.iter().filter(|function| function.security_definer && function.search_path.is_none()).count();
        assert_eq!(loose, 0, "functions with their owner's rights and their caller's search_path");
        assert!(expected.grants.contains(&("audit_server".to_owned(), "table events".to_owned(), "INSERT".to_owned())));
        // What is bound to what, and what passes through, may change.
        let free = ["bindings", "inbox", "inbox_keys", "readers", "redaction_names", "watches"];
        let is_defended = |table: &str| expected.defended.iter().any(|(name, _)| name == table);
        let undefended: Vec<_> = expected.tables.iter().filter(|table| !is_defended(table) && !free.contains(&table.as_str())).collect();
        assert!(undefended.is_empty(), "tables that nothing defends: {undefended:?}");
    }
}
