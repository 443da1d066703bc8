//! What the inverted index holds instead of values: short keyed hashes of (project, attribute, value).
//!
//! The key is random and belongs to one index file, so that nobody can prepare values that collide. It is no secret
//! (it lies in that file); a collision costs a look at a row that does not match, never a wrong answer.
//! Invariant: two projects share no token but by collision, so a token is a posting list of one project.

use uuid::Uuid;

/// Letters of a token: the `ascii` tokenizer folds case, so lower case and digits only.
pub(crate) const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters in a token, five bits each.
const TOKEN_LETTERS: usize = 10;
/// The attribute under which a project has one token for all of its rows.
const EVERY_ROW: &str = "";
/// The attribute of event ids, which are looked up for retries.
const ID: &str = "id";

/// The key of one index file, and room to hash in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenKey(u64, u64);

/// Hash of one (project, attribute, value).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u64);

impl TokenKey {
    /// A key of random bytes.
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| half.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        Self(word(low), word(high))
    }

    /// The token of a value.
    pub(crate) fn token(self, project: i64, attribute: &str, value: &str) -> Token {
        let mut state = Sip::new(self.0, self.1);
        state.word(project as u64);
        state.bytes(attribute.as_bytes());
        state.bytes(value.as_bytes());
        // Two terms are cut: 50 bits are kept, so that equal tokens have equal text.
        Token(state.finish() >> (64 - 5 * TOKEN_LETTERS))
    }

    /// The token that every row of a project has.
    pub(crate) fn every_row(self, project: i64) -> Token {
        self.token(project, EVERY_ROW, "")
    }

    /// The token of an event's id.
    pub(crate) fn id(self, project: i64, id: Uuid) -> Token {
        let mut text = Uuid::encode_buffer();
        self.token(project, ID, id.hyphenated().encode_lower(&mut text))
    }

    /// A hash of an id that no index holds: from its bytes, and all 64 bits of it.
    pub(crate) fn id_hash(self, project: i64, id: [u8; 16]) -> Token {
        let id = u128::from_le_bytes(id);
        let mut state = Sip::new(self.0, self.1);
        state.word(project as u64);
        state.word(id as u64);
        state.word((id >> 64) as u64);
        Token(state.finish())
    }
}

impl Token {
    /// Appends its letters.
    pub(crate) fn write(self, out: &mut String) {
        for at in 0..TOKEN_LETTERS {
            out.push(char::from(LETTERS[(self.0 >> (5 * at)) as usize & 31]));
        }
    }

    /// The token that these letters spell.
    pub(crate) fn read(letters: &[u8]) -> Option<Self> {
        if letters.len() != TOKEN_LETTERS {
            return None;
        }
        letters
            .iter()
            .rev()
            .try_fold(0_u64, |token, letter| {
                let digit = match letter {
                    b'a'..=b'z' => letter - b'a',
                    b'2'..=b'7' => letter - b'2' + 26,
                    _ => return None,
                };
                Some(token << 5 | u64::from(digit))
            })
            .map(Self)
    }
}

/// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF") over words; byte strings go in with their
/// length, so that no two sequences of strings are one. Written here because the standard library promises no
/// stable algorithm, and this one is on disk.
struct Sip([u64; 4]);

impl Sip {
    fn new(k0: u64, k1: u64) -> Self {
        Self([k0 ^ 0x736f_6d65_7073_6575, k1 ^ 0x646f_7261_6e64_6f6d, k0 ^ 0x6c79_6765_6e65_7261, k1 ^ 0x7465_6462_7974_6573])
    }

    #[inline]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        // Not by a copy of what is left: for a few bytes, that is a call that costs more than the hash.
        let last = match bytes.last_chunk::<8>() {
            Some(_) if rest.is_empty() => 0,
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.word(last | (rest.len() as u64) << 56);
    }

    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.0.iter().fold(0, |sum, word| sum ^ word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_spell_the_token() {
        let key = TokenKey::new(*b"0123456789abcdef");
        for value in ["", "a", "12345678", "123456789", "ä"] {
            let token = key.token(1, "actor.id", value);
            let mut text = String::new();
            token.write(&mut text);
            assert_eq!(Token::read(text.as_bytes()), Some(token), "{text}");
        }
        for bad in ["", "abc", "aaaaaaaaa1", "AAAAAAAAAA", "aaaaaaaaaaa"] {
            assert_eq!(Token::read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn every_part_and_where_parts_end_counts() {
        let key = TokenKey::new(*b"0123456789abcdef");
        let tokens = [
            key.token(1, "actor.id", "alice"),
            key.token(2, "actor.id", "alice"),
            key.token(1, "actor.i", "dalice"),
            key.token(1, "actor.id", "alice\0"),
            key.token(1, "", ""),
            key.token(1, "\0", ""),
            key.token(1, "actor.id", "alice\0\0\0"),
            TokenKey::new([7; 16]).token(1, "actor.id", "alice"),
        ];
        for (n, token) in tokens.iter().enumerate() {
            assert!(!tokens[..n].contains(token), "{n}");
        }
    }
}
