//! Key files whose key is in KMS, or opened by it alone: a few lines of text that name the KMS key, with a MAC under the master key.
//!
//! Nothing in them is secret. The MAC is over the name of the file as well, so that nobody without the master key turns one to a
//! KMS key of their own, or puts one in the place of another. Read strictly: what was read is written as it was.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::hex;
use indelible_core::key::{Secret, file_mac};

use super::KeyError;
use crate::kms::KeyArn;
use crate::store::{write_new_private, write_private};

/// How the text of each of them begins, and of no other key file: those are hex.
const BEGINNING: &str = "kms ";

/// A key file that names a KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KmsFile {
    /// A key that signs, and never leaves KMS.
    Signing {
        /// The KMS key.
        arn: KeyArn,
        /// Its public half.
        public_key: [u8; 32],
    },
    /// An organization's key, which KMS opens.
    Organization {
        /// The KMS key.
        arn: KeyArn,
        /// The instance that it was made for.
        instance: String,
        /// What KMS opens.
        ciphertext: Vec<u8>,
    },
}

impl KmsFile {
    /// Whether a text is meant to be one.
    pub(super) fn is_one(text: &str) -> bool {
        text.starts_with(BEGINNING)
    }

    fn lines(&self) -> String {
        match self {
            Self::Signing { arn, public_key } => format!("{BEGINNING}{arn}\npublic-key {}\n", hex::encode(public_key)),
            Self::Organization { arn, instance, ciphertext } => {
                format!("{BEGINNING}{arn}\ninstance {instance}\nciphertext {}\n", STANDARD.encode(ciphertext))
            }
        }
    }

    /// Reads one. `path` is where it lies, and `text` what is there.
    pub(super) fn read(path: &Path, text: &str, master: &Secret) -> Result<Self, KeyError> {
        let not = |what| KeyError::NotAKey(path.to_owned(), what);
        let (lines, mac) = text.strip_suffix('\n').and_then(|text| text.rsplit_once("mac ")).ok_or_else(|| not("it has no MAC"))?;
        let mac: [u8; 32] = hex::decode_array(mac).ok_or_else(|| not("its MAC is not 64 lower-case hex digits"))?;
        if mac != file_mac(master, &name(path), lines) {
            return Err(KeyError::WrongMaster(path.to_owned()));
        }
        let file = Self::parse(lines).filter(|file| file.lines() == lines);
        file.ok_or_else(|| not("it is not of the form of one that names a KMS key"))
    }

    fn parse(lines: &str) -> Option<Self> {
        let mut lines = lines.lines();
        let arn: KeyArn = lines.next()?.strip_prefix(BEGINNING)?.parse().ok()?;
        let second = lines.next()?;
        if let Some(public_key) = second.strip_prefix("public-key ") {
            return Some(Self::Signing { arn, public_key: hex::decode_array(public_key)? });
        }
        let instance = second.strip_prefix("instance ")?.to_owned();
        let ciphertext = STANDARD.decode(lines.next()?.strip_prefix("ciphertext ")?).ok()?;
        Some(Self::Organization { arn, instance, ciphertext })
    }

    /// Writes it, durable before this returns.
    pub(super) fn write(&self, path: &Path, master: &Secret) -> Result<(), KeyError> {
        write_private(path, self.text(path, master).as_bytes()).map_err(|error| KeyError::Io(path.to_owned(), error))
    }

    /// Writes it where there is none; whether there was none.
    pub(super) fn write_new(&self, path: &Path, master: &Secret) -> Result<bool, KeyError> {
        write_new_private(path, self.text(path, master).as_bytes()).map_err(|error| KeyError::Io(path.to_owned(), error))
    }

    fn text(&self, path: &Path, master: &Secret) -> String {
        let lines = self.lines();
        format!("{lines}mac {}\n", hex::encode(&file_mac(master, &name(path), &lines)))
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [KmsFile; 2] {
        let arn: KeyArn = "arn:aws:kms:eu-west-1:111122223333:key/a".parse().expect("an ARN");
        let ciphertext = (0..184).collect();
        [
            KmsFile::Signing { arn: arn.clone(), public_key: [7; 32] },
            KmsFile::Organization { arn, instance: "log.example/a".to_owned(), ciphertext },
        ]
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, master) = (folder.path().join("signing-2.key"), Secret::new([1; 32]));
        for file in both() {
            file.write(&path, &master).expect("written");
            let text = std::fs::read_to_string(&path).expect("readable");
            assert!(KmsFile::is_one(&text), "{text}");
            assert_eq!(KmsFile::read(&path, &text, &master).expect("read"), file);
        }
    }

    #[test]
    fn no_byte_of_it_and_not_its_name_can_be_changed_without_the_master_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, master) = (folder.path().join("signing-2.key"), Secret::new([1; 32]));
        for file in both() {
            file.write(&path, &master).expect("written");
            let text = std::fs::read_to_string(&path).expect("readable");
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] ^= 1;
                let other = String::from_utf8(other).expect("ASCII");
                assert!(KmsFile::read(&path, &other, &master).is_err(), "byte {at} of {text}");
            }
            assert!(KmsFile::read(&path, &text[..text.len() - 1], &master).is_err());
            assert!(KmsFile::read(&path, &format!("{text}\n"), &master).is_err());
            assert!(KmsFile::read(&folder.path().join("signing-3.key"), &text, &master).is_err());
            assert!(KmsFile::read(&path, &text, &Secret::new([2; 32])).is_err());
        }
    }

    #[test]
    fn lines_of_another_form_are_refused_under_a_good_mac() {
        let (path, master) = (Path::new("signing-2.key"), Secret::new([1; 32]));
        for file in both() {
            let good = file.lines();
            let read = |lines: &str| {
                let text = format!("{lines}mac {}\n", hex::encode(&file_mac(&master, "signing-2.key", lines)));
                KmsFile::read(path, &text, &master)
            };
            assert!(read(&good).is_ok());
            for bad in
                [good.replace("key/a", "alias/a"), good.replace('\n', "\r\n"), format!("{good}more 1\n"), good.replacen(' ', "  ", 1)]
            {
                assert!(matches!(read(&bad), Err(KeyError::NotAKey(..))), "{bad}");
            }
        }
    }
}
