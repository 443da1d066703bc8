//! What stands in the place of AWS KMS in a program that was built without it: each operation says so.

use super::{DataKey, KeyArn, KmsError, Purpose};

/// No KMS.
#[derive(Debug, Default)]
pub(crate) struct Kms;

#[expect(clippy::unused_self, reason = "the same methods as those of the client")]
impl Kms {
    pub(crate) const IS_BUILT: bool = false;

    pub(crate) const fn public_key(&self, _: &KeyArn) -> Result<[u8; 32], KmsError> {
        Err(KmsError::NotBuilt)
    }

    pub(crate) const fn sign(&self, _: &KeyArn, _: &[u8]) -> Result<[u8; 64], KmsError> {
        Err(KmsError::NotBuilt)
    }

    pub(crate) const fn generate_data_key(&self, _: &KeyArn, _: &Purpose<'_>) -> Result<DataKey, KmsError> {
        Err(KmsError::NotBuilt)
    }

    pub(crate) const fn decrypt(&self, _: &KeyArn, _: &[u8], _: &Purpose<'_>) -> Result<indelible_core::key::Secret, KmsError> {
        Err(KmsError::NotBuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_without_it_says_how_to_build_it() {
        let (kms, key) = (Kms, "arn:aws:kms:eu-west-1:111122223333:key/a".parse().expect("an ARN"));
        let purpose = Purpose { instance: "log", organization_id: uuid::Uuid::nil() };
        let errors = [
            kms.public_key(&key).map(drop),
            kms.sign(&key, b"x").map(drop),
            kms.generate_data_key(&key, &purpose).map(drop),
            kms.decrypt(&key, b"x", &purpose).map(drop),
        ];
        for error in errors {
            assert!(error.expect_err("there is none").to_string().contains("--features aws"));
        }
        const { assert!(!Kms::IS_BUILT) }
    }
}
