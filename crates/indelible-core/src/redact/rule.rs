//! Which names are secret, and what becomes of their values.
//!
//! A name is compared folded: without `_`, `-`, `.`, white space and ASCII case, so `sessionToken`, `Session-Token` and
//! `SESSION.TOKEN` are one name. Three lists exist: the rules of a project (names and paths, from [`Rules::standard`] on),
//! the headers that carry credentials, and the parameters that do so in URLs and forms. The last two are fixed.

use std::collections::HashMap;

/// A folded name is at most so long, bytes. Longer ones match nothing.
const FOLDED_BYTES_MAX: usize = 64;
/// Places to which the paths of [`Rules::strengthened`] lead, those that `*` stands for included.
const PLACES_MAX: usize = 10_000;

/// Whether folding drops a byte.
const fn is_dropped(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b' ' | b'\t' | b'\r' | b'\n')
}

/// What becomes of a secret value, the weakest first: where several rules fit, the strongest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// The value becomes `hmac-sha256:<hex>` under the project's redaction key (`formats.md`, Redaction hmac).
    Hmac,
    /// The value becomes `[REDACTED]`.
    Redact,
    /// The member goes, name and value. In text that is no JSON its value becomes `[REDACTED]`.
    Exclude,
}

/// Which names and paths are excluded, replaced or hashed.
#[derive(Debug, Clone)]
pub struct Rules {
    names: Names,
    paths: Node,
}

/// Why a rule was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Nothing is left of a name once `_`, `-`, `.` and white space are dropped.
    #[error("a rule needs a name")]
    Empty,
    /// A name is longer than 64 bytes after folding.
    #[error("a name in a rule is longer than {FOLDED_BYTES_MAX} bytes")]
    TooLong,
    /// All paths together lead to more places than are kept.
    #[error("paths with `*` lead to more than {PLACES_MAX} places: use fewer of them, or fewer `*`")]
    TooMany,
}

impl Rules {
    /// The default rules (`design.md`, Redaction).
    pub fn standard() -> Self {
        let mut rules = Self { names: Names::default(), paths: Node::default() };
        for (place, strategy) in STANDARD {
            rules = rules.with(place, *strategy).expect("the standard rules have short names");
        }
        rules
    }

    /// These rules with others beside them, which only ever add: where a place has a rule already, the stronger counts, and a `*` in
    /// a path stands for members with rules of their own as well. Places are as in [`Self::with`].
    pub fn strengthened<'p>(&self, others: impl IntoIterator<Item = (&'p str, Strategy)>) -> Result<Self, RuleError> {
        let mut rules = self.clone();
        for (place, strategy) in others {
            let stands = rules.at(place);
            rules = rules.with(place, stands.map_or(strategy, |stands| stands.max(strategy)))?;
        }
        let mut places = 0;
        rules.paths.spread(&mut places)?;
        Ok(rules)
    }

    /// The rule for exactly this place.
    fn at(&self, place: &str) -> Option<Strategy> {
        let Some(path) = place.strip_prefix('/') else { return self.names.find(place) };
        let mut node = &self.paths;
        for segment in path.split('/') {
            node = node.children.get(Folded::new(&segment.replace("~1", "/").replace("~0", "~"))?.bytes())?;
        }
        node.strategy
    }

    /// Adds a rule, or replaces the one for the same place. A place that begins with `/` is a path from the top of the
    /// submission, as in `/content/after_state/ssn` or `/context/email`: one segment a member, `*` for any member or
    /// array item; where `*` and a name both fit, the name counts alone. Any other place is a name, and counts at every depth of
    /// `content` and for the keys of `context`. Other members of the envelope have no secret names; paths to them have no effect.
    pub fn with(mut self, place: &str, strategy: Strategy) -> Result<Self, RuleError> {
        let fold = |name: &str| -> Result<Box<[u8]>, RuleError> {
            let folded = Folded::new(name).ok_or(RuleError::TooLong)?;
            if folded.bytes().is_empty() { Err(RuleError::Empty) } else { Ok(folded.bytes().into()) }
        };
        if let Some(path) = place.strip_prefix('/') {
            let mut node = &mut self.paths;
            for segment in path.split('/') {
                let segment = segment.replace("~1", "/").replace("~0", "~");
                node = node.children.entry(fold(&segment)?).or_default();
            }
            node.strategy = Some(strategy);
        } else {
            self.names.insert(fold(place)?, strategy);
        }
        Ok(self)
    }

    /// The strategy for a name at any depth.
    pub(super) fn name(&self, name: &str) -> Option<Strategy> {
        self.names.find(name)
    }

    /// The rules whose paths begin with this member of the submission.
    pub(super) fn top(&self, member: &str) -> Option<&Node> {
        self.paths.child(member)
    }
}

const STANDARD: &[(&str, Strategy)] = &[
    ("api_key", Strategy::Exclude),
    ("secret", Strategy::Exclude),
    ("token", Strategy::Exclude),
    ("signing_key", Strategy::Exclude),
    ("signing_secret", Strategy::Exclude),
    ("session_token", Strategy::Exclude),
    ("refresh_token", Strategy::Exclude),
    ("access_token", Strategy::Exclude),
    ("private_key", Strategy::Exclude),
    ("credential", Strategy::Exclude),
    ("/content/before_state/key", Strategy::Exclude),
    ("/content/before_state/value", Strategy::Exclude),
    ("/content/after_state/key", Strategy::Exclude),
    ("/content/after_state/value", Strategy::Exclude),
    ("password", Strategy::Redact),
    ("password_hash", Strategy::Redact),
    ("stripe_customer_id", Strategy::Hmac),
    ("external_user_id", Strategy::Hmac),
];

/// The names that are secret wherever they stand.
#[cfg(test)]
pub(super) fn standard_names() -> impl Iterator<Item = &'static str> {
    STANDARD.iter().map(|(name, _)| *name).filter(|name| !name.starts_with('/'))
}

/// A place on the way of a path rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    children: HashMap<Box<[u8]>, Node>,
    pub(super) strategy: Option<Strategy>,
}

impl Node {
    /// Lets every `*` stand for the members beside it too, so that a walk that takes the exact name misses no rule.
    fn spread(&mut self, places: &mut usize) -> Result<(), RuleError> {
        *places += self.children.len();
        if *places > PLACES_MAX {
            return Err(RuleError::TooMany);
        }
        if let Some(any) = self.item().cloned() {
            self.children.iter_mut().filter(|(name, _)| name.as_ref() != b"*").for_each(|(_, child)| child.join(&any));
        }
        self.children.values_mut().try_for_each(|child| child.spread(places))
    }

    /// Takes in the rules of another place.
    fn join(&mut self, other: &Self) {
        self.strategy = self.strategy.max(other.strategy);
        for (name, child) in &other.children {
            self.children.entry(name.clone()).or_default().join(child);
        }
    }

    /// The place one member further in.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        let exact = Folded::new(name).and_then(|folded| self.children.get(folded.bytes()));
        exact.or_else(|| self.item())
    }

    /// The place one array item further in.
    pub(super) fn item(&self) -> Option<&Self> {
        self.children.get(b"*".as_slice())
    }
}

/// Names with their strategies, made so that a name that is none of them costs two or three instructions.
#[derive(Debug, Clone)]
struct Names {
    sorted: Vec<(Box<[u8]>, Strategy)>,
    /// For each byte that a name may begin with, before folding: the bytes that it may then end in, as [`end`] says.
    ends: [u64; 256],
    longest: usize,
    shortest: usize,
}

impl Default for Names {
    fn default() -> Self {
        let mut ends = [0; 256];
        (0..=u8::MAX).filter(|byte| is_dropped(*byte)).for_each(|byte| ends[usize::from(byte)] = u64::MAX);
        Self { sorted: Vec::new(), ends, longest: 0, shortest: usize::MAX }
    }
}

/// The bit of a name that ends in a byte that folding drops: what it ends in then is not looked at.
const DROPPED_END: u64 = 1;

/// The bit of the byte that a name ends in: one for each letter in either case, one for a byte that folding drops, one for all others.
const fn end(byte: u8) -> u64 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => 1 << (byte & 31),
        _ if is_dropped(byte) => DROPPED_END,
        _ => 1 << 63,
    }
}

impl Names {
    fn insert(&mut self, folded: Box<[u8]>, strategy: Strategy) {
        let ends = end(folded[folded.len() - 1]) | DROPPED_END;
        self.ends[usize::from(folded[0].to_ascii_lowercase())] |= ends;
        self.ends[usize::from(folded[0].to_ascii_uppercase())] |= ends;
        self.longest = self.longest.max(folded.len());
        self.shortest = self.shortest.min(folded.len());
        match self.sorted.binary_search_by(|(name, _)| name.as_ref().cmp(&folded)) {
            Ok(at) => self.sorted[at].1 = strategy,
            Err(at) => self.sorted.insert(at, (folded, strategy)),
        }
    }

    fn find(&self, name: &str) -> Option<Strategy> {
        let (first, last) = (*name.as_bytes().first()?, *name.as_bytes().last()?);
        if self.ends[usize::from(first)] & end(last) == 0 || name.len() < self.shortest {
            return None;
        }
        let folded = Folded::at_most(name, self.longest)?;
        let at = self.sorted.binary_search_by(|(name, _)| name.as_ref().cmp(folded.bytes())).ok()?;
        Some(self.sorted[at].1)
    }
}

/// A folded name, on the stack.
pub(super) struct Folded {
    buffer: [u8; FOLDED_BYTES_MAX],
    length: usize,
}

impl Folded {
    /// `None` where it is too long to match anything.
    pub(super) fn new(name: &str) -> Option<Self> {
        Self::at_most(name, FOLDED_BYTES_MAX)
    }

    fn at_most(name: &str, longest: usize) -> Option<Self> {
        let mut buffer = [0; FOLDED_BYTES_MAX];
        let mut length = 0;
        for byte in name.bytes() {
            if is_dropped(byte) {
                continue;
            }
            if length == longest {
                return None;
            }
            buffer[length] = byte.to_ascii_lowercase();
            length += 1;
        }
        Some(Self { buffer, length })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// Whether one of two bytes is in a text. Most names and values are short: eight bytes at a time is then sooner than a search that is
/// made for long ones.
pub(super) fn holds_either(text: &[u8], a: u8, b: u8) -> bool {
    const SHORT_BYTES_MAX: usize = 64;
    if text.len() > SHORT_BYTES_MAX {
        return memchr::memchr2(a, b, text).is_some();
    }
    let (words, rest) = text.as_chunks::<8>();
    let is_either = |word: u64| holds(word, a) || holds(word, b);
    if words.iter().any(|word| is_either(u64::from_le_bytes(*word))) {
        return true;
    }
    // The last eight bytes again, or all of a text that has fewer.
    text.last_chunk::<8>().map_or_else(|| rest.iter().any(|byte| *byte == a || *byte == b), |last| is_either(u64::from_le_bytes(*last)))
}

/// Whether one of the eight bytes of a word is this one.
const fn holds(word: u64, byte: u8) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zeros = word ^ (ONES * byte as u64);
    zeros.wrapping_sub(ONES) & !zeros & (ONES << 7) != 0
}

/// Headers that carry credentials, folded. `X-Amz-Date`, `X-Amz-Content-Sha256` and the like are not secret.
const HEADERS: &[&[u8]] = &[
    b"apikey",
    b"authorization",
    b"cookie",
    b"cookie2",
    b"ocpapimsubscriptionkey",
    b"privatetoken",
    b"proxyauthorization",
    b"setcookie",
    b"setcookie2",
    b"xamzcredential",
    b"xamzsecuritytoken",
    b"xamzsignature",
    b"xamzserversideencryptioncustomerkey",
    b"xapikey",
    b"xauthkey",
    b"xauthtoken",
    b"xcsrftoken",
    b"xforwardedaccesstoken",
    b"xgitlabtoken",
    b"xgoogapikey",
    b"xgoogcredential",
    b"xgoogsignature",
    b"xgoogiamauthorizationtoken",
    b"xvaulttoken",
    b"xxsrftoken",
];

/// What the name of any other header that carries a credential ends in: `X-Shopify-Access-Token`, `X-Original-Authorization`.
const HEADER_ENDS: &[&[u8]] = &[b"token", b"apikey", b"secret", b"password", b"authorization", b"cookie"];

/// Whether this is the name of a header that carries a credential.
pub(super) fn is_secret_header(name: &str) -> bool {
    Folded::new(name).is_some_and(|folded| {
        let name = folded.bytes();
        HEADERS.contains(&name) || HEADER_ENDS.iter().any(|end| name.ends_with(end))
    })
}

/// The same for a name outside of headers, where only what no one uses for anything else counts: it must hold a `-`, and be of
/// the list or begin with `X-`.
pub(super) fn is_plain_secret_header(name: &str) -> bool {
    let bytes = name.as_bytes();
    holds_either(bytes, b'-', b'-')
        && Folded::new(name).is_some_and(|folded| {
            let name = folded.bytes();
            let begins = bytes.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"));
            HEADERS.contains(&name) || begins && HEADER_ENDS.iter().any(|end| name.ends_with(end))
        })
}

/// Parameters that are secret in a form body and in a URL, beside the names of the rules.
const FORM_PARAMETERS: &[&[u8]] = &[
    b"apikey",
    b"assertion",
    b"awsaccesskeyid",
    b"clientassertion",
    b"clientsecret",
    b"codeverifier",
    b"idtoken",
    b"passwd",
    b"pwd",
    b"samlresponse",
    b"xamzcredential",
    b"xamzsecuritytoken",
    b"xamzsignature",
    b"xgoogcredential",
    b"xgoogsignature",
];

/// Parameters that are secret in a URL alone: elsewhere they are everyday words.
const URL_PARAMETERS: &[&[u8]] = &[b"auth", b"authtoken", b"key", b"sig", b"signature"];

/// Whether this parameter (percent-decoded) is secret beside the rules.
pub(super) fn is_secret_parameter(name: &str, in_url: bool) -> bool {
    Folded::new(name).is_some_and(|folded| {
        let name = folded.bytes();
        FORM_PARAMETERS.contains(&name) || in_url && URL_PARAMETERS.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_folded() {
        let rules = Rules::standard();
        for (name, expected) in [
            ("session_token", Some(Strategy::Exclude)),
            ("sessionToken", Some(Strategy::Exclude)),
            ("SESSION.TOKEN", Some(Strategy::Exclude)),
            ("Session Token", Some(Strategy::Exclude)),
            ("--api--key--", Some(Strategy::Exclude)),
            ("_token", Some(Strategy::Exclude)),
            ("PasswordHash", Some(Strategy::Redact)),
            ("Stripe-Customer-ID", Some(Strategy::Hmac)),
            ("tokens", None),
            ("max_tokens", None),
            ("key", None),
            ("value", None),
            ("", None),
            ("___", None),
        ] {
            assert_eq!(rules.name(name), expected, "{name}");
        }
    }

    /// A name is not looked up where its ends say that it is none: with each byte before, behind and within, that is no other answer.
    #[test]
    fn the_ends_of_a_name_hide_none() {
        let rules = Rules::standard().with("ünï-9", Strategy::Hmac).expect("a name");
        for place in ["token", "api_key", "ünï-9", "Password_HASH"] {
            for byte in (0..=127_u8).map(char::from) {
                for name in [format!("{byte}{place}"), format!("{place}{byte}"), format!("{}{byte}{}", &place[..2], &place[2..])] {
                    let folded = Folded::new(&name).expect("short");
                    let listed = rules.names.sorted.iter().find(|(known, _)| known.as_ref() == folded.bytes());
                    assert_eq!(rules.name(&name), listed.map(|(_, strategy)| *strategy), "{name:?}");
                }
            }
        }
    }

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        for length in 0..80 {
            for fill in [b'a', b'<', b';', 0x00, 0xba, 0xbd, 0xff] {
                assert!(!holds_either(&vec![fill; length], b':', b'='), "{length} {fill:#x}");
                for at in 0..length {
                    for byte in [b':', b'='] {
                        let mut text = vec![fill; length];
                        text[at] = byte;
                        assert!(holds_either(&text, b':', b'='), "{at} of {length} {fill:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn rules_can_be_added_by_name_and_by_path() {
        let rules = Rules::standard().with("national-id", Strategy::Hmac).expect("a name");
        let rules =
            rules.with("/content/messages/*/email", Strategy::Redact).expect("a path").with("token", Strategy::Redact).expect("a name");
        assert_eq!(rules.name("nationalId"), Some(Strategy::Hmac));
        assert_eq!(rules.name("TOKEN"), Some(Strategy::Redact));
        let content = rules.top("content").expect("there");
        let email = content.child("messages").and_then(Node::item).and_then(|item| item.child("E-Mail")).expect("there");
        assert_eq!(email.strategy, Some(Strategy::Redact));
        assert_eq!(Rules::standard().with("_-", Strategy::Hmac).expect_err("refused"), RuleError::Empty);
        assert_eq!(Rules::standard().with(&"x".repeat(65), Strategy::Hmac).expect_err("refused"), RuleError::TooLong);
    }

    #[test]
    fn headers_that_carry_credentials_are_known() {
        for name in
            ["Authorization", "COOKIE", "set_cookie", "X-Api-Key", "Private-Token", "X-Shopify-Access-Token", "x-amz-security-token"]
        {
            assert!(is_secret_header(name), "{name}");
        }
        for name in ["X-Amz-Date", "X-Amz-Content-Sha256", "Content-Type", "X-Request-Id", "Accept"] {
            assert!(!is_secret_header(name), "{name}");
        }
        assert!(is_plain_secret_header("Set-Cookie") && is_plain_secret_header("x-foo-token"));
        assert!(!is_plain_secret_header("next-token") && !is_plain_secret_header("cookie"));
        assert!(!is_plain_secret_header("-") && !is_plain_secret_header("") && !is_plain_secret_header("é-"));
    }
}
