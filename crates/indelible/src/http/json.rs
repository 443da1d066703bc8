//! Small JSON documents of the API: written member by member, read with every member known.

use indelible_core::fault::{Fault, FaultKind};
use indelible_core::json::{Object, Value, write_string};
use indelible_core::time::Timestamp;
use uuid::Uuid;

/// Writes one JSON object.
pub(super) struct Document {
    out: Vec<u8>,
}

impl Document {
    /// An object without members.
    pub(super) fn new() -> Self {
        Self { out: vec![b'{'] }
    }

    /// Goes on with an object that was begun by hand.
    pub(super) const fn within(out: Vec<u8>) -> Self {
        Self { out }
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        write_string(name, &mut self.out);
        self.out.push(b':');
        &mut self.out
    }

    /// A member whose value is JSON already.
    #[must_use]
    pub(super) fn json(mut self, name: &str, json: &[u8]) -> Self {
        self.name(name).extend_from_slice(json);
        self
    }

    /// A string.
    #[must_use]
    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        write_string(text, self.name(name));
        self
    }

    /// A string, or null.
    #[must_use]
    pub(super) fn maybe_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.json(name, b"null"),
        }
    }

    /// A UUID.
    #[must_use]
    pub(super) fn uuid(self, name: &str, id: Uuid) -> Self {
        self.text(name, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    /// A time, or null.
    #[must_use]
    pub(super) fn maybe_time(self, name: &str, time: Option<Timestamp>) -> Self {
        match time {
            Some(time) => self.time(name, time),
            None => self.json(name, b"null"),
        }
    }

    /// A time.
    #[must_use]
    pub(super) fn time(mut self, name: &str, time: Timestamp) -> Self {
        let out = self.name(name);
        out.push(b'"');
        time.write(out);
        out.push(b'"');
        self
    }

    /// Lower-case hex.
    #[must_use]
    pub(super) fn hex(mut self, name: &str, bytes: &[u8]) -> Self {
        let out = self.name(name);
        out.push(b'"');
        indelible_core::hex::write(bytes, out);
        out.push(b'"');
        self
    }

    /// An integer.
    #[must_use]
    pub(super) fn number(self, name: &str, number: u64) -> Self {
        self.json(name, number.to_string().as_bytes())
    }

    /// An integer, or null.
    #[must_use]
    pub(super) fn maybe_number(self, name: &str, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.number(name, number),
            None => self.json(name, b"null"),
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub(super) fn flag(self, name: &str, flag: bool) -> Self {
        self.json(name, if flag { b"true" } else { b"false" })
    }

    /// The object as text.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// Appends documents as a JSON array, each dropped as soon as it is written.
pub(super) fn array(out: &mut Vec<u8>, items: impl IntoIterator<Item = Vec<u8>>) {
    out.push(b'[');
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&item);
    }
    out.push(b']');
}

/// An object whose one member is an array of documents.
pub(super) fn listing(name: &str, items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'{'];
    write_string(name, &mut out);
    out.push(b':');
    array(&mut out, items);
    out.push(b'}');
    out
}

/// The members of an object that may have only these.
pub(super) fn members<'a, 'v>(value: &'v Value<'a>, known: &[&str]) -> Result<&'v Object<'a>, Fault> {
    let Some(object) = value.as_object() else {
        return Err(Fault::new(FaultKind::Invalid, "", format!("must be an object, not {}", value.kind())));
    };
    match object.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => {
            Err(Fault::new(FaultKind::Invalid, "", format!("an unknown member; known are: {}", known.join(", "))).within(name))
        }
        None => Ok(object),
    }
}

/// A member that must be a string, if it is there.
pub(super) fn string<'v>(object: &'v Object<'_>, name: &str) -> Result<Option<&'v str>, Fault> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Fault::new(FaultKind::Invalid, "", format!("must be a string, not {}", other.kind())).within(name)),
    }
}

/// A member that must be a UUID, if it is there.
pub(super) fn uuid(object: &Object<'_>, name: &str) -> Result<Option<Uuid>, Fault> {
    let wrong = || Fault::new(FaultKind::Invalid, "", "must be a UUID").within(name);
    string(object, name)?.map(|text| Uuid::try_parse(text).map_err(|_| wrong())).transpose()
}

/// A member that must be an integer from 0, if it is there.
pub(super) fn sequence(object: &Object<'_>, name: &str) -> Result<Option<u64>, Fault> {
    let wrong = || Fault::new(FaultKind::Invalid, "", "must be an integer from 0").within(name);
    object.get(name).map(|value| value.as_integer().and_then(|n| u64::try_from(n).ok()).ok_or_else(wrong)).transpose()
}

/// A member that must be true or false, if it is there; false where it is not.
pub(super) fn boolean(object: &Object<'_>, name: &str) -> Result<bool, Fault> {
    match object.get(name) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(Fault::new(FaultKind::Invalid, "", format!("must be true or false, not {}", other.kind())).within(name)),
    }
}

/// A fault for a member that must be there.
pub(super) fn missing(name: &str) -> Fault {
    Fault::new(FaultKind::Invalid, "", "is required").within(name)
}
