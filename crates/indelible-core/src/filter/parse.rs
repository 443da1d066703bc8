//! Tokens to a tree: precedence `not`, `and`, `or`; every attribute known, every value of its attribute's kind.
//!
//! Recursion is bounded by [`FILTER_DEPTH_MAX`], work by [`FILTER_BYTES_MAX`] and [`FILTER_TERMS_MAX`]. Messages say
//! what would be right and never repeat a value.

use uuid::Uuid;

use super::FilterError;
use super::attribute::{self, Attribute, Kind, LABELS, Name};
use super::expression::{Node, Operand, Operator, Test};
use super::lex::{Token, lex};
use crate::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX};
use crate::time::Timestamp;

/// Reads a whole filter.
pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(error(FILTER_BYTES_MAX, format!("a filter has at most {FILTER_BYTES_MAX} bytes")));
    }
    let mut parser = Parser { tokens: lex(text), next: 0, tests: 0 };
    if *parser.token() == Token::End {
        return Err(error(0, "the filter is empty"));
    }
    let node = parser.or(0, None)?;
    match parser.token() {
        Token::End => Ok(node),
        Token::Close => Err(parser.fault("this parenthesis closes nothing")),
        Token::CloseBracket => Err(parser.fault("this bracket closes nothing")),
        _ => Err(parser.fault("`and` or `or` was expected")),
    }
}

fn error(at: usize, message: impl Into<String>) -> FilterError {
    FilterError { at, message: message.into(), unknown_attribute: false }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    /// Never past the last token, which is [`Token::End`].
    next: usize,
    tests: usize,
}

impl<'a> Parser<'a> {
    fn token(&self) -> &Token<'a> {
        &self.tokens[self.next].1
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    /// `expected` is said of the next token, unless that is a fault of its own.
    fn fault(&self, expected: impl Into<String>) -> FilterError {
        if let Token::Bad(reason) = self.token() { error(self.at(), *reason) } else { error(self.at(), expected) }
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.token(), Token::Word(next) if next.eq_ignore_ascii_case(word));
        if found {
            self.advance();
        }
        found
    }

    /// `within` is the attribute whose brackets we are in.
    fn or(&mut self, depth: usize, within: Option<&'static Attribute>) -> Result<Node, FilterError> {
        let mut parts = vec![self.and(depth, within)?];
        while self.keyword("or") {
            parts.push(self.and(depth, within)?);
        }
        Ok(Node::or(parts))
    }

    fn and(&mut self, depth: usize, within: Option<&'static Attribute>) -> Result<Node, FilterError> {
        let mut parts = vec![self.unit(depth, within)?];
        while self.keyword("and") {
            parts.push(self.unit(depth, within)?);
        }
        Ok(Node::and(parts))
    }

    fn unit(&mut self, depth: usize, within: Option<&'static Attribute>) -> Result<Node, FilterError> {
        if self.keyword("not") {
            if *self.token() != Token::Open {
                return Err(self.fault("`not` takes parentheses: not (…)"));
            }
            return Ok(Node::Not(Box::new(self.unit(depth, within)?)));
        }
        match self.token() {
            Token::Open => {
                let depth = self.deeper(depth)?;
                self.advance();
                let inner = self.or(depth, within)?;
                if *self.token() != Token::Close {
                    return Err(self.fault("`and`, `or` or `)` was expected"));
                }
                self.advance();
                Ok(inner)
            }
            Token::Word(word) => {
                let word = *word;
                self.test(word, depth, within)
            }
            Token::Text(_) => Err(self.fault("an attribute stands first, without quotes")),
            _ => Err(self.fault("an attribute, `not` or `(` was expected")),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, FilterError> {
        if depth == FILTER_DEPTH_MAX {
            return Err(error(self.at(), format!("parentheses and brackets go at most {FILTER_DEPTH_MAX} deep")));
        }
        Ok(depth + 1)
    }

    fn test(&mut self, word: &str, depth: usize, within: Option<&'static Attribute>) -> Result<Node, FilterError> {
        let at = self.at();
        self.advance();
        let mut name = if let Some(outer) = within { resolve_within(outer, word, at)? } else { resolve(word, at)? };
        if *self.token() == Token::OpenBracket {
            match &name {
                Name::Known(attribute) if attribute.dotted == LABELS => name = self.label()?,
                Name::Known(attribute) if within.is_none() && (attribute.list || attribute.kind == Kind::Group) => {
                    return self.element(attribute, depth);
                }
                _ if within.is_some() => return Err(self.fault("brackets do not stand inside brackets")),
                _ => return Err(self.fault("only attributes of several values or parts take brackets")),
            }
        }
        self.tests += 1;
        if self.tests > FILTER_TERMS_MAX {
            return Err(error(at, format!("a filter has at most {FILTER_TERMS_MAX} comparisons")));
        }
        let operator = self.operator(&name)?;
        let operand = if operator == Operator::Pr { Operand::Nothing } else { self.operand(&name, operator)? };
        let skip = within.map_or(0, |outer| outer.path.len());
        Ok(Node::Test(Test { name, skip, operator, operand }))
    }

    /// `["any key"]` after `context`.
    fn label(&mut self) -> Result<Name, FilterError> {
        self.advance();
        let Token::Text(key) = self.token() else {
            return Err(self.fault("a key in double quotes was expected, as in context[\"my key\"]"));
        };
        let name = Name::Label(key.to_ascii_lowercase());
        self.advance();
        if *self.token() != Token::CloseBracket {
            return Err(self.fault("`]` was expected"));
        }
        self.advance();
        Ok(name)
    }

    fn element(&mut self, attribute: &'static Attribute, depth: usize) -> Result<Node, FilterError> {
        let depth = self.deeper(depth)?;
        self.advance();
        let inner = self.or(depth, Some(attribute))?;
        if *self.token() != Token::CloseBracket {
            return Err(self.fault("`and`, `or` or `]` was expected"));
        }
        self.advance();
        Ok(Node::Element(attribute, Box::new(inner)))
    }

    fn operator(&mut self, name: &Name) -> Result<Operator, FilterError> {
        const EXPECTED: &str = "an operator was expected: eq, ne, gt, ge, lt, le, co, sw, ew or pr";
        let Token::Word(word) = self.token() else {
            return Err(error(self.at(), EXPECTED));
        };
        let operator = Operator::read(word).ok_or_else(|| error(self.at(), EXPECTED))?;
        if let Name::Known(attribute) = name {
            let dotted = &attribute.dotted;
            let refusal = match attribute.kind {
                Kind::Group if operator != Operator::Pr => Some(format!("{dotted} has parts and takes only pr: {}", parts(attribute))),
                Kind::Integer if operator.is_textual() => Some(format!("{dotted} is an integer: co, sw and ew look inside text only")),
                Kind::Bool if operator.is_textual() || operator.is_ordering() => {
                    Some(format!("{dotted} is true or false: it takes eq, ne and pr only"))
                }
                _ => None,
            };
            if let Some(message) = refusal {
                return Err(error(self.at(), message));
            }
        }
        self.advance();
        Ok(operator)
    }

    fn operand(&mut self, name: &Name, operator: Operator) -> Result<Operand, FilterError> {
        let (kind, dotted) = match name {
            Name::Known(attribute) => (attribute.kind, attribute.dotted.as_str()),
            Name::Label(_) => (Kind::Text, "a key of context"),
        };
        let read = match self.token() {
            Token::Text(text) => text_operand(text, kind, operator),
            Token::Word(word) => word_operand(word, kind),
            _ => return Err(self.fault("a value was expected")),
        };
        let operand = read.map_err(|message| error(self.at(), format!("{dotted} {message}")))?;
        self.advance();
        Ok(operand)
    }
}

fn text_operand(text: &str, kind: Kind, operator: Operator) -> Result<Operand, &'static str> {
    let exact = !operator.is_textual();
    match kind {
        Kind::Uuid if exact && !operator.is_ordering() && (text.len() != 36 || Uuid::try_parse(text).is_err()) => {
            Err("is a UUID, such as \"0190f3a2-7c1e-7b7a-9c3e-2f1d5a6b7c8d\"")
        }
        Kind::Lower | Kind::Uuid => Ok(Operand::Text(text.to_ascii_lowercase())),
        Kind::Time if exact => Timestamp::parse(text)
            .map(|time| Operand::Time(time, time.to_string()))
            .ok_or("is a time as in RFC 3339, with an offset, such as \"2026-05-01T00:00:00Z\""),
        Kind::Text | Kind::Time => Ok(Operand::Text(text.to_owned())),
        Kind::Integer => Err("is an integer: write it without quotes"),
        Kind::Bool => Err("is true or false, without quotes"),
        Kind::Group => Err("has parts and takes only pr"),
    }
}

fn word_operand(word: &str, kind: Kind) -> Result<Operand, &'static str> {
    if word.eq_ignore_ascii_case("null") {
        return Err("is never null: ask for one that is absent with not (… pr)");
    }
    match (kind, word) {
        (Kind::Bool, "true") => Ok(Operand::Bool(true)),
        (Kind::Bool, "false") => Ok(Operand::Bool(false)),
        (Kind::Bool, _) => Err("is true or false, in lower case"),
        (Kind::Integer, _) => integer(word).map(Operand::Integer).ok_or("is an integer, such as 404, within 64 bits"),
        _ => Err("is text: its value stands in double quotes"),
    }
}

/// A JSON number without fraction and exponent.
fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    if plain { word.parse().ok() } else { None }
}

/// The attributes one level below, for a message.
fn parts(group: &Attribute) -> String {
    if group.dotted == LABELS {
        return format!("name a key, as in {LABELS}.tool");
    }
    let below = |a: &&Attribute| a.path.len() == group.path.len() + 1 && a.path.starts_with(&group.path);
    attribute::all().iter().filter(below).map(|a| a.dotted.as_str()).collect::<Vec<_>>().join(", ")
}

fn resolve(word: &str, at: usize) -> Result<Name, FilterError> {
    attribute::resolve(word).ok_or_else(|| unknown(at, attribute::nearest(word)))
}

fn resolve_within(outer: &'static Attribute, word: &str, at: usize) -> Result<Name, FilterError> {
    let lower = word.to_ascii_lowercase();
    if outer.list {
        let is_element = lower == attribute::ELEMENT;
        return if is_element { Ok(Name::Known(outer)) } else { Err(unknown(at, Some(attribute::ELEMENT.to_owned()))) };
    }
    let full = format!("{}.{lower}", outer.dotted);
    attribute::at_path(&full).map(Name::Known).ok_or_else(|| {
        let inside = |name: String| name.strip_prefix(outer.dotted.as_str())?.strip_prefix('.').map(str::to_owned);
        unknown(at, attribute::nearest(&full).and_then(inside))
    })
}

fn unknown(at: usize, suggestion: Option<String>) -> FilterError {
    let message = match suggestion {
        Some(name) => format!("there is no such attribute; did you mean {name}?"),
        None => "there is no such attribute".to_owned(),
    };
    FilterError { at, message, unknown_attribute: true }
}
