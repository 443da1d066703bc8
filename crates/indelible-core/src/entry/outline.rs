//! What verification needs of a stored entry, by one scan of its bytes: no tree of values, nothing allocated.
//!
//! Takes canonical JSON (no white space, names without escapes). Members it does not know are passed over, whatever
//! the schema version. It looks for structure, not for every rule of JSON: that bytes are the right ones, hashes say.

use uuid::Uuid;

use crate::chain::Hash;
use crate::hex;
use crate::json::plain_length;
use crate::time::Timestamp;

/// What verification needs of a stored entry, read from its bytes without making a tree of values. Names and
/// meanings are those of every schema version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// `project_id`
    pub project_id: Uuid,
    /// `organization_id`
    pub organization_id: Uuid,
    /// `id`
    pub id: Uuid,
    /// `sequence`
    pub sequence: u64,
    /// `hmac_key_id`
    pub hmac_key_id: u64,
    /// `occurred_at`
    pub occurred_at: Timestamp,
    /// `recorded_at`
    pub recorded_at: Timestamp,
    /// `sealed.sha256` and `sealed.bytes`
    pub sealed: Option<(Hash, u64)>,
}

impl Outline {
    /// Reads it; `None` where the bytes are not an entry: not one object to the last byte, or a member that is
    /// absent, twice there, or not of its form.
    pub fn read(entry: &[u8]) -> Option<Self> {
        let (mut project_id, mut organization_id, mut id) = (None, None, None);
        let (mut sequence, mut hmac_key_id) = (None, None);
        let (mut occurred_at, mut recorded_at, mut sealed) = (None, None, None);
        members(entry, |name, value| match name {
            b"hmac_key_id" => once(&mut hmac_key_id, integer(value)),
            b"id" => once(&mut id, uuid(value)),
            b"occurred_at" => once(&mut occurred_at, time(value)),
            b"organization_id" => once(&mut organization_id, uuid(value)),
            b"project_id" => once(&mut project_id, uuid(value)),
            b"recorded_at" => once(&mut recorded_at, time(value)),
            b"sealed" => once(&mut sealed, read_sealed(value)),
            b"sequence" => once(&mut sequence, integer(value)),
            _ => Some(()),
        })?;
        Some(Self {
            project_id: project_id?,
            organization_id: organization_id?,
            id: id?,
            sequence: sequence?,
            hmac_key_id: hmac_key_id?,
            occurred_at: occurred_at?,
            recorded_at: recorded_at?,
            sealed,
        })
    }
}

/// Fills an empty place; `None` where there is nothing to fill it with, or it is full.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}

fn read_sealed(value: &[u8]) -> Option<(Hash, u64)> {
    let (mut sha256, mut bytes) = (None, None);
    members(value, |name, value| match name {
        b"bytes" => once(&mut bytes, integer(value)),
        b"sha256" => once(&mut sha256, hex::decode_digits(quoted(value)?)),
        _ => Some(()),
    })?;
    Some((sha256?, bytes?))
}

fn quoted(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn integer(value: &[u8]) -> Option<u64> {
    let plain = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value.first() != Some(&b'0'));
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

/// The hyphenated form in lower case, and no other.
fn uuid(value: &[u8]) -> Option<Uuid> {
    let text: &[u8; uuid::fmt::Hyphenated::LENGTH] = quoted(value)?.try_into().ok()?;
    if [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut digits = [0; 32];
    for (to, from) in [(0..8, 0..8), (8..12, 9..13), (12..16, 14..18), (16..20, 19..23), (20..32, 24..36)] {
        digits[to].copy_from_slice(&text[from]);
    }
    hex::decode_digits(&digits).map(Uuid::from_bytes)
}

fn time(value: &[u8]) -> Option<Timestamp> {
    Timestamp::parse(std::str::from_utf8(quoted(value)?).ok()?)
}

/// Hands each member of an object to `each` as the bytes between the quotes of its name and the bytes of its value.
/// `None` where the bytes are not one object, or `each` says so.
fn members<'e>(object: &'e [u8], mut each: impl FnMut(&'e [u8], &'e [u8]) -> Option<()>) -> Option<()> {
    let last = object.len().checked_sub(1)?;
    if object[0] != b'{' || object[last] != b'}' || last == 0 {
        return None;
    }
    if last == 1 {
        return Some(());
    }
    let mut at = 1;
    loop {
        let colon = end_of_string(object, at)?;
        if object.get(colon) != Some(&b':') {
            return None;
        }
        let end = end_of_value(object, colon + 1)?;
        each(&object[at + 1..colon - 1], &object[colon + 1..end])?;
        match object.get(end)? {
            b',' => at = end + 1,
            b'}' if end == last => return Some(()),
            _ => return None,
        }
    }
}

/// The place after the closing quote of the string that opens at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += plain_length(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place after the value that begins at `at`.
fn end_of_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => end_of_string(bytes, at),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, at);
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = end_of_string(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let scalar = bytes[at..].iter().take_while(|b| !matches!(b, b',' | b'}' | b']' | b'"')).count();
            (scalar > 0).then_some(at + scalar)
        }
    }
}
