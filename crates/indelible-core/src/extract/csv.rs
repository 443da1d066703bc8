//! Lines of CSV (RFC 4180), safe to open in a spreadsheet.
//!
//! A program that opens such a file takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line end for a formula, whoever wrote the text.
//! Such a cell begins with an apostrophe here, which makes it text (OWASP, CSV Injection); what begins so after spaces does too, and so do the wide
//! forms of these characters. Cells are quoted wherever some program sees a border of cells: at commas, semicolons, tabs, quotes and
//! line ends.

use crate::json::Value;

/// What a formula may begin with.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
/// What makes quotes needed.
const BORDERS: [char; 7] = [',', ';', '\t', '"', '\r', '\n', '\''];

/// Appends one line. What is absent is an empty cell; strings are as they are, anything else as JSON.
pub(super) fn line<'a>(cells: impl Iterator<Item = Option<Value<'a>>>, out: &mut Vec<u8>) {
    for (n, value) in cells.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text) | Value::Number(text)) => cell(&text, out),
            Some(other) => cell(&String::from_utf8_lossy(&other.to_verbatim()), out),
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn cell(text: &str, out: &mut Vec<u8>) {
    let is_formula = text.trim_start_matches(' ').starts_with(FORMULA);
    if !is_formula && !text.contains(BORDERS) && !text.starts_with(' ') && !text.ends_with(' ') {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if is_formula {
        out.push(b'\'');
    }
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Counts the lines of a CSV file as it goes, line ends inside quotes aside.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) lines: u64,
    quoted: bool,
}

impl Count {
    pub(super) fn piece(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                // A quote within quotes is two: they end and begin again.
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted => self.lines += 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        cell(text, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn no_cell_begins_a_formula_and_none_ends_early() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("two words", "two words"),
            ("a=b", "a=b"),
            ("a-b@c", "a-b@c"),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("\n=1", "\"'\n=1\""),
            ("  =1", "\"'  =1\""),
            ("＝1", "\"'＝1\""),
            ("＠x", "\"'＠x\""),
            ("a,b", "\"a,b\""),
            ("a;=1", "\"a;=1\""),
            ("a\t=1", "\"a\t=1\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("\"=1", "\"\"\"=1\""),
            ("=\"1\",2", "\"'=\"\"1\"\",2\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("'=1", "\"'=1\""),
            (" a ", "\" a \""),
            ("é", "é"),
        ];
        for (text, expected) in cases {
            assert_eq!(written(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_wherever_the_pieces_end() {
        let mut out = Vec::new();
        let cells = ["a", "b\r\nc", "say \"x\"\n", ""];
        for text in cells {
            line([Some(Value::string(text)), None, Some(Value::integer(-1)), Some(Value::Bool(true))].into_iter(), &mut out);
        }
        assert!(out.ends_with(b",,\"'-1\",true\r\n"), "{}", String::from_utf8_lossy(&out));
        for at in 0..out.len() {
            let mut count = Count::default();
            count.piece(&out[..at]);
            count.piece(&out[at..]);
            assert_eq!(count.lines, 4);
        }
    }
}
