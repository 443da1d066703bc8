//! Printing: tables for people, JSON for programs, notes and progress to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Row, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Width where nobody says otherwise, characters.
const WIDTH_DEFAULT: u16 = 160;
const CELL_CHARS_MAX: usize = 400;

/// One line to standard error.
pub(super) fn note(line: &str) {
    // Nothing can be done where standard error is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

/// One line to standard output.
pub(super) fn line(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.write_all(b"\n")
}

/// A table with aligned columns. On a terminal it keeps to its width, cells are cut to one line.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.iter().copied());
    let width = width();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width).set_truncation_indicator("…");
    }
    for cells in rows {
        let mut row = Row::from(cells.iter().map(|cell| one_line(cell)));
        if width.is_some() {
            row.max_height(1);
        }
        table.add_row(row);
    }
    let mut out = io::stdout().lock();
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The width of the terminal, where standard output is one that says so.
pub(super) fn width() -> Option<u16> {
    let width = io::stdout().is_terminal().then(|| rustix::termios::tcgetwinsize(io::stdout()).map_or(WIDTH_DEFAULT, |size| size.ws_col));
    width.filter(|width| *width > 0)
}

/// Text without what would move the cursor, cut to a length that a table can bear.
pub(super) fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.chars().take(CELL_CHARS_MAX).map(clean).collect();
    if text.chars().nth(CELL_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

/// A value as a cell: strings as they are, absent ones empty, the rest as JSON.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Indented JSON for people.
pub(super) fn pretty(json: &[u8]) -> io::Result<()> {
    match serde_json::from_slice::<&serde_json::value::RawValue>(json).ok().and_then(|raw| indented(raw.get())) {
        Some(text) => line(text.as_bytes()),
        None => line(json),
    }
}

/// Indents JSON without reading its numbers, which are kept as they were written.
fn indented(json: &str) -> Option<String> {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::with_capacity(json.len() * 2), 0_usize, false, false);
    let bytes = json.as_bytes();
    for (n, c) in json.char_indices() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                if matches!(bytes.get(n + 1), Some(b'}' | b']')) {
                    continue;
                }
                depth += 1;
                newline(&mut out, depth);
            }
            '}' | ']' => {
                if !matches!(bytes.get(n.checked_sub(1)?), Some(b'{' | b'[')) {
                    depth = depth.checked_sub(1)?;
                    newline(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    Some(out)
}

fn newline(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A bar that counts bytes or rows; hidden unless standard error is a terminal.
pub(super) fn bar(total: u64, bytes: bool) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let counted = if bytes { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len}" };
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {counted} {{eta}} {{wide_msg}}"));
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_changes_white_space_alone() {
        let json = r#"{"a":{},"b":[1.50,{"c":"x\"},: [\\"}],"d":[[]],"e":null}"#;
        let text = indented(json).expect("balanced");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), serde_json::from_str::<Value>(json).expect("JSON"));
        assert!(text.contains("1.50") && text.contains("\n  \"b\": [\n    1.50,\n"), "{text}");
        assert!(text.contains("\"a\": {},"), "{text}");
    }

    #[test]
    fn cells_cannot_move_the_cursor() {
        assert_eq!(one_line("a\x1b[2J\nb"), "a [2J b");
        assert!(one_line(&"é".repeat(1_000)).chars().count() <= CELL_CHARS_MAX + 1);
    }
}
