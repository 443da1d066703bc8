//! Text to [`Value`], strictly: RFC 8259 and nothing more, names unique, surrogates paired, depth and number of values bounded.

use std::borrow::Cow;
use std::collections::HashSet;

use super::plain::plain_length;
use super::{Object, Value};
use crate::fault::{Fault, FaultKind};
use crate::limits::{JSON_DEPTH_MAX, JSON_VALUES_MAX};

/// Objects up to this size look for duplicate names by comparing pairs; larger ones hash.
const PAIRWISE_MEMBERS_MAX: usize = 16;
/// Members of open objects for which there is room from the beginning: an event seldom has more.
const OPEN_MEMBERS: usize = 32;

/// Reads one JSON text, with white space around it and nothing else.
///
/// Refused as [`FaultKind::Malformed`]: what is not UTF-8 or not JSON. Refused as [`FaultKind::Invalid`], with
/// the place: duplicate names, lone surrogates. Refused as [`FaultKind::TooLarge`]: more than
/// [`JSON_DEPTH_MAX`] levels or [`JSON_VALUES_MAX`] values.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, Fault> {
    Parser::new(bytes)?.whole(|parser| parser.value(0))
}

/// Reads the text of one item of an array, as [`super::cut`] gives it: [`parse`], one level further in.
pub fn parse_item(bytes: &[u8]) -> Result<Value<'_>, Fault> {
    Parser::new(bytes)?.whole(|parser| parser.value(1))
}

/// What [`parse`] says of an array, told without its tree: one item at a time is built and dropped, and each may have
/// [`JSON_VALUES_MAX`] values.
pub fn check_array(bytes: &[u8]) -> Result<(), Fault> {
    Parser::new(bytes)?.whole(|parser| match parser.peek() {
        Some(b'[') => parser.items(1, |parser, _| parser.values = 0),
        _ => parser.value(0).map(drop),
    })
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Values begun.
    values: usize,
    /// Members of the objects that are not read to their end, those of the innermost last. An object takes its own when it ends, and so is made once
    /// and of its size.
    open: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The same for items of arrays.
    open_items: Vec<Value<'a>>,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| Fault::new(FaultKind::Malformed, "", format!("not UTF-8 at byte {}", e.valid_up_to())))?;
        Ok(Self { text, bytes, at: 0, values: 0, open: Vec::new(), open_items: Vec::new() })
    }

    /// What `read` reads, with white space around it and nothing else.
    fn whole<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.skip_space();
        let read = read(&mut self)?;
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(self.malformed("more text after the JSON value"));
        }
        Ok(read)
    }

    fn malformed(&self, what: &str) -> Fault {
        Fault::new(FaultKind::Malformed, "", format!("not JSON at byte {}: {what}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Fault> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.malformed("a value was expected"))
        }
    }

    /// Inlined, so that a scalar goes straight to where it is kept.
    #[expect(clippy::inline_always, reason = "measured: without it every value is copied twice")]
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        self.values += 1;
        if self.values > JSON_VALUES_MAX {
            return Err(Fault::new(FaultKind::TooLarge, "", format!("more than {JSON_VALUES_MAX} values")));
        }
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.malformed("a value was expected")),
            None => Err(self.malformed("the text ends too early")),
        }
    }

    fn check_depth(depth: usize) -> Result<(), Fault> {
        if depth > JSON_DEPTH_MAX {
            return Err(Fault::new(FaultKind::TooLarge, "", format!("more than {JSON_DEPTH_MAX} levels of arrays and objects")));
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        let first = self.open_items.len();
        self.items(depth, |parser, item| parser.open_items.push(item))?;
        Ok(Value::Array(self.open_items.split_off(first)))
    }

    /// Hands each item of an array to `each`.
    fn items(&mut self, depth: usize, mut each: impl FnMut(&mut Self, Value<'a>)) -> Result<(), Fault> {
        Self::check_depth(depth)?;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for n in 0_usize.. {
            self.skip_space();
            let item = self.value(depth).map_err(|f| f.within(&n.to_string()))?;
            each(self, item);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.malformed("`,` or `]` was expected")),
            }
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        Self::check_depth(depth)?;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Object::new()));
        }
        let first = self.open.len();
        if first == 0 {
            self.open.reserve(OPEN_MEMBERS);
        }
        let mut names = Names::default();
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.malformed("a member name was expected"));
            }
            let name = self.string()?;
            if names.repeats(&name, &self.open[first..]) {
                return Err(Fault::new(FaultKind::Invalid, "", "the same member twice in one object").within(&name));
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.malformed("`:` was expected"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value(depth).map_err(|f| f.within(&name))?;
            self.open.push((name, value));
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(Object { members: self.open.split_off(first) }));
                }
                _ => return Err(self.malformed("`,` or `}` was expected")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.malformed("a digit was expected")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value<'a>, Fault> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(Cow::Borrowed(&self.text[from..self.at])))
    }

    /// Reads a string whose opening quote is next. Borrowed unless it holds an escape.
    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let from = self.at + 1;
        let to = from + plain_length(&self.bytes[from..]);
        if self.bytes.get(to) != Some(&b'"') {
            return self.escaped_string().map(Cow::Owned);
        }
        self.at = to + 1;
        Ok(Cow::Borrowed(&self.text[from..to]))
    }

    /// Reads a string that holds an escape, or what no string holds.
    #[inline(never)]
    fn escaped_string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let from = self.at;
            self.plain()?;
            out.push_str(&self.text[from..self.at]);
            self.at += 1;
            if self.bytes[self.at - 1] == b'"' {
                return Ok(out);
            }
            out.push(self.escape()?);
        }
    }

    /// Moves to the next quote or backslash.
    fn plain(&mut self) -> Result<(), Fault> {
        self.at += plain_length(&self.bytes[self.at..]);
        match self.peek() {
            Some(b'"' | b'\\') => Ok(()),
            Some(_) => Err(self.malformed("a control character inside a string")),
            None => Err(self.malformed("the text ends inside a string")),
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let c = self.peek().ok_or_else(|| self.malformed("the text ends inside a string"))?;
        self.at += 1;
        Ok(match c {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                if let Some(c) = char::from_u32(first) {
                    return Ok(c);
                }
                let lone = || Fault::new(FaultKind::Invalid, "", "a lone surrogate in a string");
                if first >= 0xdc00 || !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err(lone());
                }
                self.at += 2;
                let second = self.hex4()?;
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(lone());
                }
                char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(lone)?
            }
            _ => {
                self.at -= 1;
                return Err(self.malformed("an unknown escape"));
            }
        })
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or_else(|| self.malformed("four hex digits were expected"))?;
        let mut value = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16).ok_or_else(|| self.malformed("four hex digits were expected"))?;
            value = value << 4 | digit;
        }
        self.at += 4;
        Ok(value)
    }
}

/// What is remembered of the names of an object, to tell whether the next one repeats one of them.
#[derive(Default)]
struct Names<'a> {
    /// A bit for each name that was, chosen by its length and its ends: few new names meet one that is set.
    marks: u64,
    /// All names, once there are many and they do not ascend.
    seen: Option<HashSet<Cow<'a, str>>>,
    /// Whether there are many, and they ascend, as they do in an entry: then none repeats.
    ascend: bool,
}

impl<'a> Names<'a> {
    /// Whether `name` is that of one of these members. It is noted.
    #[expect(clippy::ptr_arg, reason = "it is cloned, and seldom more than a borrow of the text")]
    fn repeats(&mut self, name: &Cow<'a, str>, members: &[(Cow<'a, str>, Value<'a>)]) -> bool {
        if members.len() < PAIRWISE_MEMBERS_MAX {
            let mark = mark(name.as_bytes());
            let new = self.marks & mark == 0;
            self.marks |= mark;
            return !new && members.iter().any(|(other, _)| other == name);
        }
        if members.len() == PAIRWISE_MEMBERS_MAX {
            self.ascend = members.is_sorted_by(|a, b| a.0 < b.0);
        }
        if self.ascend && members.last().is_some_and(|(last, _)| last < name) {
            return false;
        }
        self.ascend = false;
        let seen = self.seen.get_or_insert_with(|| members.iter().map(|(other, _)| other.clone()).collect());
        !seen.insert(name.clone())
    }
}

fn mark(name: &[u8]) -> u64 {
    let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
    1 << ((usize::from(first) * 5 + usize::from(last) * 11 + name.len()) % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_place() {
        let cases: &[(&[u8], FaultKind, &str)] = &[
            (br#"{"a":1,"a":2}"#, FaultKind::Invalid, "/a"),
            (br#"{"a":[0,{"b/c~":1,"b/c~":2}]}"#, FaultKind::Invalid, "/a/1/b~1c~0"),
            (br#"{"a":"\ud800"}"#, FaultKind::Invalid, "/a"),
            (br#"{"a":["\ud800\u0041"]}"#, FaultKind::Invalid, "/a/0"),
            (br#"{"a":"\udc00"}"#, FaultKind::Invalid, "/a"),
            (b"{\"a\":\"\xff\"}", FaultKind::Malformed, ""),
            (b"{\"a\":\"\n\"}", FaultKind::Malformed, "/a"),
            (b"[1,]", FaultKind::Malformed, "/1"),
            (b"[01]", FaultKind::Malformed, ""),
            (b"[1] 2", FaultKind::Malformed, ""),
            (b"[+1]", FaultKind::Malformed, "/0"),
            (b"[1.]", FaultKind::Malformed, "/0"),
            (b"", FaultKind::Malformed, ""),
            (b"nul", FaultKind::Malformed, ""),
            (br#"{"a" 1}"#, FaultKind::Malformed, ""),
            (br#""\x""#, FaultKind::Malformed, ""),
        ];
        for (text, kind, pointer) in cases {
            let fault = parse(text).expect_err(&String::from_utf8_lossy(text));
            assert_eq!((fault.kind, fault.pointer.as_str()), (*kind, *pointer), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        let fault = parse(nested(JSON_DEPTH_MAX + 1).as_bytes()).expect_err("too deep");
        assert_eq!(fault.kind, FaultKind::TooLarge);
        assert!(parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn values_are_bounded_in_a_text_and_in_each_item_of_an_array() {
        let list = |values: usize| format!("[{}]", vec!["1"; values - 1].join(","));
        assert!(parse(list(JSON_VALUES_MAX).as_bytes()).is_ok());
        let text = format!("{{\"a\":{}}}", list(JSON_VALUES_MAX));
        let fault = parse(text.as_bytes()).expect_err("one too many");
        assert_eq!((fault.kind, fault.pointer), (FaultKind::TooLarge, format!("/a/{}", JSON_VALUES_MAX - 2)));
        assert!(check_array(format!("[{0},{0}]", list(JSON_VALUES_MAX)).as_bytes()).is_ok());
        let fault = check_array(format!("[0,{}]", list(JSON_VALUES_MAX + 1)).as_bytes()).expect_err("one too many");
        assert_eq!(fault.pointer, format!("/1/{}", JSON_VALUES_MAX - 1));
        let empty = "[".to_owned() + &"[],".repeat(8 * 1024 * 1024) + "[]]";
        assert_eq!(parse(empty.as_bytes()).expect_err("24 MiB").pointer, format!("/{}", JSON_VALUES_MAX - 1));
    }

    #[test]
    fn numbers_stay_as_written_and_names_stay_in_order() {
        let text = br#"{"b":1.50e+3,"a":-0,"c":12345678901234567890123}"#;
        let value = parse(text).expect("valid");
        assert_eq!(value.to_verbatim(), text);
        assert_eq!(value.to_canonical(), br#"{"a":-0,"b":1.50e+3,"c":12345678901234567890123}"#);
    }

    /// A body of tiny values must not take what large ones would.
    #[test]
    fn what_is_read_takes_the_room_that_it_needs() {
        let text = br#"{"a":[1,2,3],"b":{"c":0},"d":[{"e":0}]}"#;
        let Value::Object(top) = parse(text).expect("valid") else { panic!("an object") };
        assert_eq!(top.members.capacity(), 3);
        for (name, size) in [("a", 3), ("b", 1), ("d", 1)] {
            let capacity = match top.get(name) {
                Some(Value::Array(items)) => items.capacity(),
                Some(Value::Object(object)) => object.members.capacity(),
                _ => 0,
            };
            assert_eq!(capacity, size, "{name}");
        }
    }

    /// Names of one mark, in and out of order, few and many.
    #[test]
    fn a_repeated_name_is_found_and_no_other_is() {
        for count in 1..60 {
            for order in [1, 7, 59] {
                let names: Vec<String> = (0..count).map(|n| format!("k{:02}k", n * order % 61)).collect();
                let text = |names: &[String]| format!("{{{}}}", names.iter().map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
                assert!(parse(text(&names).as_bytes()).is_ok(), "{count} {order}");
                for at in [0, count / 2, count - 1] {
                    let repeated = [names.as_slice(), &names[at..=at]].concat();
                    let fault = parse(text(&repeated).as_bytes()).expect_err("repeated");
                    assert_eq!(fault.pointer, format!("/{}", names[at]), "{count} {order}");
                }
            }
        }
    }

    #[test]
    fn many_members_still_find_a_duplicate() {
        let mut text: Vec<String> = (0..1_000).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(parse(format!("{{{}}}", text.join(",")).as_bytes()).is_ok());
        text.push("\"k3\":0".to_owned());
        let fault = parse(format!("{{{}}}", text.join(",")).as_bytes()).expect_err("duplicate");
        assert_eq!(fault.pointer, "/k3");
    }
}
