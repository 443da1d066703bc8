//! Cutting a stream of JSON into records without reading what is in them: one value a line, values one after another,
//! one array of them, or one object around such an array (`{"Records":[…]}`). A record is all that is held in memory.
//!
//! Only strings and brackets are looked at; whether a record is JSON is for the parser to say. A line that ends inside its
//! record is given up as [`Piece::Broken`], and the next line begins anew. A document over many lines that breaks cannot be
//! taken up again: it ends there.

use std::io::{self, Read};

/// A record of more bytes than this is not read.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

const CHUNK_BYTES: usize = 64 * 1024;

/// Where a record begins, in the uncompressed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub byte: u64,
    /// Its line, from 1.
    pub line: u64,
    /// Which record of the file it is, from 0.
    pub record: u64,
}

/// What was cut out.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The bytes of one record.
    Record(Vec<u8>),
    /// Something that is not a whole record, and why.
    Broken(&'static str),
}

/// Where the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between values of the file.
    Top,
    /// Between the items of the list.
    List,
    /// In a record.
    Record,
    /// In the object around the list, after the list.
    Wrapper,
    /// Behind something that cannot be taken up again.
    Dead,
}

/// An iterator over the records of a stream.
#[expect(clippy::struct_excessive_bools, reason = "each is one bit of what the scanner has seen, in any combination")]
pub struct Splitter<R> {
    input: R,
    /// Bytes read ahead: those from `used` to `filled` are still to be looked at.
    chunk: Vec<u8>,
    used: usize,
    filled: usize,
    envelopes: &'static [&'static str],
    place: Place,
    /// Whether the records lie in a list, and whether an object is around it.
    in_list: bool,
    wrapped: bool,
    /// Whether the file has shown itself to hold one record a line.
    lines: bool,
    buffer: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string at depth 1, in `buffer`: the name of a member once a colon follows.
    name: (usize, usize),
    after_colon: bool,
    spans_lines: bool,
    byte: u64,
    line: u64,
    record: u64,
    begin: Position,
    ended: bool,
}

impl<R: Read> Splitter<R> {
    /// Reads `input`; the records of an object lie in its member named by one of `envelopes`.
    pub fn new(input: R, envelopes: &'static [&'static str]) -> Self {
        Self {
            input,
            chunk: vec![0; CHUNK_BYTES],
            used: 0,
            filled: 0,
            envelopes,
            place: Place::Top,
            in_list: false,
            wrapped: false,
            lines: false,
            buffer: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            name: (0, 0),
            after_colon: false,
            spans_lines: false,
            byte: 0,
            line: 1,
            record: 0,
            begin: Position { byte: 0, line: 1, record: 0 },
            ended: false,
        }
    }

    fn start(&mut self) {
        self.begin = Position { byte: self.byte, line: self.line, record: self.record };
        self.buffer.clear();
        self.depth = 0;
        self.in_string = false;
        self.escaped = false;
        self.after_colon = false;
        self.name = (0, 0);
        self.spans_lines = false;
        self.place = Place::Record;
    }

    fn done(&mut self) -> (Position, Piece) {
        self.place = if self.in_list { Place::List } else { Place::Top };
        if !self.in_list && !self.spans_lines {
            self.lines = true;
        }
        self.record += 1;
        (self.begin, Piece::Record(std::mem::take(&mut self.buffer)))
    }

    fn broken(&mut self, why: &'static str) -> (Position, Piece) {
        self.place = if self.in_list { Place::Dead } else { Place::Top };
        self.buffer.clear();
        self.record += 1;
        (self.begin, Piece::Broken(why))
    }

    /// Takes one byte. `Some` is a piece that ends here; `false` beside it means that the byte is to be looked at again.
    fn step(&mut self, b: u8) -> (Option<(Position, Piece)>, bool) {
        match self.place {
            Place::Dead => (None, true),
            Place::Top => {
                match b {
                    b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => {}
                    b'[' => {
                        self.in_list = true;
                        self.place = Place::List;
                    }
                    _ => {
                        self.start();
                        return (None, false);
                    }
                }
                (None, true)
            }
            Place::List => {
                match b {
                    b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                    b']' => {
                        self.in_list = false;
                        self.place = if self.wrapped { Place::Wrapper } else { Place::Top };
                        self.depth = 1;
                    }
                    _ => {
                        self.start();
                        return (None, false);
                    }
                }
                (None, true)
            }
            Place::Wrapper => (self.step_wrapper(b), true),
            Place::Record => self.step_record(b),
        }
    }

    /// Passes over what follows the list in the object around it.
    fn step_wrapper(&mut self, b: u8) -> Option<(Position, Piece)> {
        if self.in_string {
            match b {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return None;
        }
        match b {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.wrapped = false;
                    self.place = Place::Top;
                }
            }
            _ => {}
        }
        None
    }

    fn step_record(&mut self, b: u8) -> (Option<(Position, Piece)>, bool) {
        if b == b'\n' {
            if self.in_string {
                return (Some(self.broken("the line ends inside a string")), true);
            }
            if self.depth == 0 && !self.buffer.is_empty() {
                return (Some(self.done()), true);
            }
            if self.lines && !self.in_list {
                return (Some(self.broken("the line ends before its record does")), true);
            }
            self.spans_lines = true;
        } else if b == b'{' && self.buffer.last() == Some(&b'\n') && !self.in_list && self.record == 0 && !self.in_string {
            // The first line broke off: in a document over many lines no value begins at the margin.
            self.lines = true;
            return (Some(self.broken("the line ends before its record does")), false);
        }
        if self.buffer.len() >= RECORD_BYTES_MAX {
            let piece = self.broken("the record is larger than 64 MiB");
            self.place = Place::Dead;
            return (Some(piece), true);
        }
        if self.in_string {
            self.buffer.push(b);
            match b {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    if self.depth == 1 && !self.after_colon {
                        self.name.1 = self.buffer.len() - 1;
                    }
                }
                _ => {}
            }
            return (None, true);
        }
        match b {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 && !self.after_colon {
                    self.name.0 = self.buffer.len() + 1;
                }
            }
            b':' if self.depth == 1 => self.after_colon = true,
            b',' if self.depth == 1 => self.after_colon = false,
            b'[' if self.is_envelope() => {
                self.wrapped = true;
                self.in_list = true;
                self.place = Place::List;
                return (None, true);
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.buffer.push(b);
                    return (Some(self.done()), true);
                }
            }
            b',' | b']' if self.depth == 0 && self.in_list => return (Some(self.done()), false),
            _ => {}
        }
        self.buffer.push(b);
        (None, true)
    }

    /// Whether the bracket that comes now opens the list of records.
    fn is_envelope(&self) -> bool {
        let name = self.buffer.get(self.name.0..self.name.1).unwrap_or_default();
        self.depth == 1 && self.after_colon && !self.in_list && self.envelopes.iter().any(|envelope| envelope.as_bytes() == name)
    }

    /// Takes what comes before the next quote, backslash or end of line of a string at once.
    fn plain(&mut self) {
        let rest = &self.chunk[self.used..self.filled];
        let run = rest.iter().position(|b| matches!(b, b'"' | b'\\' | b'\n')).unwrap_or(rest.len());
        let run = run.min(RECORD_BYTES_MAX.saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(&rest[..run]);
        self.used += run;
        self.byte += run as u64;
    }

    fn finish(&mut self) -> Option<(Position, Piece)> {
        self.ended = true;
        match self.place {
            Place::Record if self.depth == 0 && !self.in_string && !self.in_list => Some(self.done()),
            Place::Record => Some(self.broken("the file ends inside a record")),
            Place::List | Place::Wrapper => {
                self.begin = Position { byte: self.byte, line: self.line, record: self.record };
                Some(self.broken("the file ends inside its list of records"))
            }
            Place::Top | Place::Dead => None,
        }
    }
}

impl<R: Read> Iterator for Splitter<R> {
    type Item = io::Result<(Position, Piece)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if self.used == self.filled {
                self.used = 0;
                self.filled = match self.input.read(&mut self.chunk) {
                    Ok(0) => return self.finish().map(Ok),
                    Ok(filled) => filled,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                    Err(error) => {
                        self.ended = true;
                        return Some(Err(error));
                    }
                };
                continue;
            }
            if self.place == Place::Record && self.in_string && !self.escaped {
                self.plain();
                if self.used == self.filled {
                    continue;
                }
            }
            let b = self.chunk[self.used];
            let (piece, taken) = self.step(b);
            if taken {
                self.line += u64::from(b == b'\n');
                self.byte += 1;
                self.used += 1;
            }
            if let Some(piece) = piece {
                return Some(Ok(piece));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte a time, so that no state hides in a chunk.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(1);
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn cut(text: &str) -> Vec<String> {
        fn show(pieces: impl Iterator<Item = io::Result<(Position, Piece)>>) -> Vec<String> {
            pieces
                .map(|piece| {
                    let (at, piece) = piece.expect("memory does not fail");
                    let what = match piece {
                        Piece::Record(bytes) => String::from_utf8(bytes).expect("UTF-8").split_whitespace().collect::<String>(),
                        Piece::Broken(why) => format!("! {why}"),
                    };
                    format!("{}/{}/{} {what}", at.record, at.line, at.byte)
                })
                .collect()
        }
        let whole = show(Splitter::new(text.as_bytes(), &["Records", "items"]));
        assert_eq!(show(Splitter::new(Trickle(text.as_bytes()), &["Records", "items"])), whole, "{text}");
        whole
    }

    #[test]
    fn records_are_cut_out_of_every_form() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \n\n", &[]),
            ("{\"a\":1}\n{\"b\":\"}\\\"{\"}", &["0/1/0 {\"a\":1}", "1/2/8 {\"b\":\"}\\\"{\"}"]),
            ("\u{feff}{\"a\":1}\r\n\r\n{\"b\":2}\r\n", &["0/1/3 {\"a\":1}", "1/3/14 {\"b\":2}"]),
            ("{\"a\":1} {\"b\":[2]}", &["0/1/0 {\"a\":1}", "1/1/8 {\"b\":[2]}"]),
            ("[{\"a\":1},\n {\"b\":2}]\n", &["0/1/1 {\"a\":1}", "1/2/11 {\"b\":2}"]),
            ("{\"Records\":[{\"a\":[1]},{\"b\":2}]}", &["0/1/12 {\"a\":[1]}", "1/1/22 {\"b\":2}"]),
            (
                "{\"x\":{\"Records\":[1]},\"kind\":\"List\",\n\"items\" : [ {} ], \"t\":[{\"]}\":1}]} {\"c\":3}",
                &["0/2/48 {}", "1/2/70 {\"c\":3}"],
            ),
            ("{\"Records\":[]}{\"Records\":[{}]}", &["0/1/26 {}"]),
            ("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n", &["0/1/0 {\"a\":{\"b\":1}}"]),
            ("{\"a\":\"Records\",\"b\":[1]}", &["0/1/0 {\"a\":\"Records\",\"b\":[1]}"]),
            ("not json\n{\"a\":1}\n", &["0/1/0 notjson", "1/2/9 {\"a\":1}"]),
            ("[1,\"x,]\",{}]", &["0/1/1 1", "1/1/3 \"x,]\"", "2/1/9 {}"]),
        ];
        for (text, pieces) in cases {
            assert_eq!(cut(text), *pieces, "{text}");
        }
    }

    #[test]
    fn a_broken_line_does_not_take_the_next_one_with_it() {
        let cases: &[(&str, &[&str])] = &[
            ("{\"a\":\"x\n{\"b\":2}\n", &["0/1/0 ! the line ends inside a string", "1/2/8 {\"b\":2}"]),
            ("{\"a\":[1\n{\"b\":2}\n", &["0/1/0 ! the line ends before its record does", "1/2/8 {\"b\":2}"]),
            ("{\"a\":1}\n{\"b\":\n{\"c\":3}\n", &["0/1/0 {\"a\":1}", "1/2/8 ! the line ends before its record does", "2/3/14 {\"c\":3}"]),
            ("{\"a\":1}\n{\"b\":", &["0/1/0 {\"a\":1}", "1/2/8 ! the file ends inside a record"]),
            ("{\"Records\":[{\"a\":1},{\"b\"", &["0/1/12 {\"a\":1}", "1/1/20 ! the file ends inside a record"]),
            ("{\"Records\":[{\"a\":1}", &["0/1/12 {\"a\":1}", "1/1/19 ! the file ends inside its list of records"]),
            ("[{\"a\":\"\n\"},{}]", &["0/1/1 ! the line ends inside a string"]),
        ];
        for (text, pieces) in cases {
            assert_eq!(cut(text), *pieces, "{text}");
        }
    }
}
