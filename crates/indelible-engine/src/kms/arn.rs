//! Names of KMS keys: the ARN of a key, `arn:<partition>:kms:<region>:<account>:key/<id>`.
//!
//! Refused: bare ids, which mean another key in another account or region, and aliases, which may be turned to another key at any
//! time. What is recorded of a key has to go on meaning that key.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// Longest ARN that is taken, bytes.
const ARN_BYTES_MAX: usize = 256;

/// The ARN of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn(String);

/// Why a text is not the ARN of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// An alias.
    #[error("it is the ARN of an alias, which may be turned to another key: name the key itself, arn:aws:kms:<region>:<account>:key/<id>")]
    Alias,
    /// Something else.
    #[error("it is not the ARN of a KMS key: arn:aws:kms:<region>:<account>:key/<id>")]
    Form,
}

impl KeyArn {
    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn part(&self, at: usize) -> &str {
        self.0.split(':').nth(at).unwrap_or_default()
    }

    /// `aws`, `aws-cn`, `aws-us-gov`, …
    #[cfg(any(test, feature = "aws"))]
    pub(crate) fn partition(&self) -> &str {
        self.part(1)
    }

    /// Where the key lives.
    pub(crate) fn region(&self) -> &str {
        self.part(3)
    }
}

impl Display for KeyArn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case letters, digits and hyphens, and not nothing.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl FromStr for KeyArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "kms", region, account, resource] = parts[..] else { return Err(ArnError::Form) };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() > ARN_BYTES_MAX || !is_word(partition) || !is_word(region) || !is_account {
            return Err(ArnError::Form);
        }
        match resource.split_once('/') {
            Some(("key", id)) if is_word(id) => Ok(Self(text.to_owned())),
            Some(("alias", _)) => Err(ArnError::Alias),
            _ => Err(ArnError::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_key_is_taken_and_nothing_else() {
        let id = "key/1234abcd-12ab-34cd-56ef-1234567890ab";
        for (text, expected) in [
            (format!("arn:aws:kms:eu-west-1:111122223333:{id}"), Ok(("aws", "eu-west-1"))),
            (format!("arn:aws-cn:kms:cn-north-1:111122223333:{id}"), Ok(("aws-cn", "cn-north-1"))),
            ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd".to_owned(), Ok(("aws-us-gov", "us-gov-west-1"))),
            ("arn:aws:kms:eu-west-1:111122223333:alias/audit".to_owned(), Err(ArnError::Alias)),
            ("1234abcd-12ab-34cd-56ef-1234567890ab".to_owned(), Err(ArnError::Form)),
            (id.to_owned(), Err(ArnError::Form)),
            (format!("arn:aws:s3:eu-west-1:111122223333:{id}"), Err(ArnError::Form)),
            (format!("arn:aws:kms::111122223333:{id}"), Err(ArnError::Form)),
            (format!("arn:aws:kms:eu-west-1:11112222333:{id}"), Err(ArnError::Form)),
            (format!("arn:aws:kms:eu-west-1:111122223333:{id}:x"), Err(ArnError::Form)),
            (format!("arn:aws:kms:evil.example/:111122223333:{id}"), Err(ArnError::Form)),
            ("arn:aws:kms:eu-west-1:111122223333:key/".to_owned(), Err(ArnError::Form)),
            (format!("arn:aws:kms:eu-west-1:111122223333:{id}\n"), Err(ArnError::Form)),
            (format!("arn:aws:kms:eu-west-1:111122223333:key/{}", "a".repeat(ARN_BYTES_MAX)), Err(ArnError::Form)),
        ] {
            let read = text.parse::<KeyArn>();
            assert_eq!(read.as_ref().map(|arn| (arn.partition(), arn.region())).map_err(|error| *error), expected, "{text}");
            if let Ok(arn) = read {
                assert_eq!(arn.to_string(), text);
            }
        }
    }
}
