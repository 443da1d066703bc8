//! Witness policies (c2sp.org/tlog-policy): which logs and witnesses are known, and whose cosignatures are enough.
//!
//! Refused, each with its line: control characters, CR among them; a last line without a newline, which may have been cut
//! off; keys of the wrong type, and the same key twice; names that are not defined before, defined twice or a member twice;
//! anything but one quorum. Names are octets; bytes that are not ASCII mean nothing to us.

use std::collections::HashMap;

use crate::limits::{POLICY_BYTES_MAX, POLICY_LINES_OF_A_KIND_MAX};
use crate::note::{Algorithm, VerifierKey};

/// A policy that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// A log whose checkpoints count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its key; the name is the origin of its checkpoints.
    pub key: VerifierKey,
    /// Where it can be reached.
    pub url: Option<String>,
}

/// A witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What the policy calls it; U+FFFD in place of what is not UTF-8.
    pub name: String,
    /// Its key, for cosignature/v1.
    pub key: VerifierKey,
    /// Its submission prefix (c2sp.org/tlog-witness).
    pub url: Option<String>,
}

/// So many of these, each a witness or a group further up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// What is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quorum {
    /// No witness at all.
    Nobody,
    Member(Member),
}

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line, counted from 1.
    #[error("line {line}: {fault}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        fault: String,
    },
    /// More than [`POLICY_BYTES_MAX`].
    #[error("a policy of {0} bytes, more than {POLICY_BYTES_MAX}")]
    TooLong(usize),
    /// No line says what is enough.
    #[error("there is no quorum line; `quorum none` asks for no witness")]
    NoQuorum,
}

impl Policy {
    /// Reads a policy file.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong(bytes.len()));
        }
        let mut reader = Reader::default();
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let rest = lines.pop().unwrap_or_default();
        for (line, text) in (1..).zip(&lines) {
            reader.line(text).map_err(|fault| PolicyError::Line { line, fault })?;
        }
        if !rest.is_empty() {
            return Err(PolicyError::Line { line: lines.len() + 1, fault: "it does not end in a newline".to_owned() });
        }
        let quorum = reader.quorum.ok_or(PolicyError::NoQuorum)?;
        Ok(Self { logs: reader.logs, witnesses: reader.witnesses, groups: reader.groups, quorum })
    }

    /// The logs, in the order of the file; there may be none.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses, in the order of the file.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Whether those witnesses for which `cosigned` says so are enough.
    pub fn is_fulfilled(&self, cosigned: impl Fn(&Witness) -> bool) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |groups: &[bool], member: Member| match member {
            Member::Witness(at) => cosigned(&self.witnesses[at]),
            Member::Group(at) => groups[at],
        };
        // A group names only what stands further up.
        for group in &self.groups {
            let members = group.members.iter().filter(|member| holds(&groups, **member)).count();
            groups.push(members >= group.threshold);
        }
        match self.quorum {
            Quorum::Nobody => true,
            Quorum::Member(member) => holds(&groups, member),
        }
    }
}

#[derive(Default)]
struct Reader<'a> {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// What each name is, and whether a group has it.
    names: HashMap<&'a [u8], (Member, bool)>,
    quorum: Option<Quorum>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), String> {
        if let Some(byte) = line.iter().find(|byte| (**byte < 0x20 && **byte != b'\t') || **byte == 0x7f) {
            return Err(format!("it holds the control character {byte:#04x}"));
        }
        let items: Vec<&[u8]> = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|item| !item.is_empty()).collect();
        let Some((keyword, items)) = items.split_first() else { return Ok(()) };
        match *keyword {
            comment if comment.starts_with(b"#") => Ok(()),
            b"log" => self.log(items),
            b"witness" => self.witness(items),
            b"group" => self.group(items),
            b"quorum" => self.quorum(items),
            other => Err(format!("it begins with {:?}, and not with log, witness, group, quorum or #", shown(other))),
        }
    }

    fn log(&mut self, items: &[&[u8]]) -> Result<(), String> {
        let (key, url) = match items {
            [key] => (key, None),
            [key, url] => (key, Some(shown(url))),
            _ => return Err("a log is `log VKEY [URL]`".to_owned()),
        };
        let key = verifier_key(key, Algorithm::Ed25519, "the key of a log is of type 0x01 (Ed25519)")?;
        if self.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err("a log with this public key is there already".to_owned());
        }
        room(self.logs.len(), "logs")?;
        self.logs.push(Log { key, url });
        Ok(())
    }

    fn witness(&mut self, items: &[&'a [u8]]) -> Result<(), String> {
        let (name, key, url) = match items {
            [name, key] => (name, key, None),
            [name, key, url] => (name, key, Some(shown(url))),
            _ => return Err("a witness is `witness NAME VKEY [URL]`".to_owned()),
        };
        let key = verifier_key(key, Algorithm::CosignatureV1, "the key of a witness is of type 0x04 (cosignature/v1)")?;
        if self.witnesses.iter().any(|witness| witness.key.public_key() == key.public_key()) {
            return Err("a witness with this public key is there already".to_owned());
        }
        room(self.witnesses.len(), "witnesses")?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: shown(name), key, url });
        Ok(())
    }

    fn group(&mut self, items: &[&'a [u8]]) -> Result<(), String> {
        let [name, threshold, names @ ..] = items else { return Err("a group is `group NAME all|any|K MEMBER…`".to_owned()) };
        if names.is_empty() {
            return Err("a group has at least one member".to_owned());
        }
        let threshold = match *threshold {
            b"all" => names.len(),
            b"any" => 1,
            digits => {
                let text = std::str::from_utf8(digits).ok();
                let number = text.and_then(crate::lines::decimal).and_then(|number| usize::try_from(number).ok());
                let fits = number.filter(|number| (1..=names.len()).contains(number));
                fits.ok_or_else(|| format!("its threshold {:?} is not all, any or a number from 1 to {}", shown(digits), names.len()))?
            }
        };
        room(self.groups.len(), "groups")?;
        let mut members = Vec::with_capacity(names.len());
        for member in names {
            if *member == b"none" {
                return Err("none is no member of a group".to_owned());
            }
            let Some((known, taken)) = self.names.get_mut(member) else {
                return Err(format!("its member {:?} is not defined further up", shown(member)));
            };
            if std::mem::replace(taken, true) {
                return Err(format!("{:?} is a member of a group already", shown(member)));
            }
            members.push(*known);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, items: &[&[u8]]) -> Result<(), String> {
        let [name] = items else { return Err("a quorum is `quorum NAME` or `quorum none`".to_owned()) };
        if self.quorum.is_some() {
            return Err("there is a quorum already".to_owned());
        }
        let quorum = match (*name, self.names.get(name)) {
            (b"none", _) => Quorum::Nobody,
            (_, Some((member, _))) => Quorum::Member(*member),
            (_, None) => return Err(format!("{:?} is not defined further up", shown(name))),
        };
        self.quorum = Some(quorum);
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], member: Member) -> Result<(), String> {
        if name == b"none" {
            return Err("none is the name of no witness and no group".to_owned());
        }
        if self.names.contains_key(name) {
            return Err(format!("{:?} is defined already", shown(name)));
        }
        self.names.insert(name, (member, false));
        Ok(())
    }
}

fn verifier_key(item: &[u8], algorithm: Algorithm, wanted: &str) -> Result<VerifierKey, String> {
    let text = std::str::from_utf8(item).map_err(|_| "its key is not UTF-8".to_owned())?;
    let key: VerifierKey = text.parse().map_err(|error: crate::note::NoteError| error.to_string())?;
    if key.algorithm() == algorithm { Ok(key) } else { Err(wanted.to_owned()) }
}

fn room(lines: usize, of: &str) -> Result<(), String> {
    if lines < POLICY_LINES_OF_A_KIND_MAX { Ok(()) } else { Err(format!("more than {POLICY_LINES_OF_A_KIND_MAX} {of}")) }
}

fn shown(item: &[u8]) -> String {
    String::from_utf8_lossy(item).into_owned()
}

#[cfg(test)]
mod tests;
