//! Why KMS did not do what was asked, in words that end in the next step.

use super::KeyArn;

/// Why there is no answer of KMS that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "said by programs that were built with it"))]
pub(crate) enum KmsError {
    /// The program was built without it.
    #[cfg_attr(all(feature = "aws", not(test)), expect(dead_code, reason = "said by programs that were built without it"))]
    #[error("this program was built without AWS KMS: build it with `--features aws`")]
    NotBuilt,
    /// Nothing can be asked: endpoint, credentials, a runtime.
    #[error("KMS cannot be asked: {0}")]
    Setup(String),
    /// No answer came, or not in time.
    #[error("KMS key {key} cannot be reached: {reason}; it is in region {}: see that this machine reaches its KMS endpoint", key.region())]
    Unreachable {
        /// The key.
        key: KeyArn,
        /// In one sentence.
        reason: String,
    },
    /// KMS refused.
    #[error("KMS refuses {operation} with key {key}: {kind}{}: {}", said(message), next_step(kind, operation))]
    Refused {
        /// The operation.
        operation: &'static str,
        /// The key.
        key: KeyArn,
        /// The type of the error in AWS's own word.
        kind: String,
        /// What AWS says of it.
        message: String,
    },
    /// An answer came that is none to what was asked.
    #[error("KMS answered {operation} with key {key} in a way that cannot be used: {what}; nothing was taken from it")]
    Answer {
        /// The operation.
        operation: &'static str,
        /// The key.
        key: KeyArn,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl KmsError {
    /// Whether the same may work in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Unreachable { .. } => true,
            Self::Refused { kind, .. } => is_passing(kind),
            Self::NotBuilt | Self::Answer { .. } => false,
        }
    }
}

/// Whether a type of error is one of throttling, or of KMS itself.
pub(super) fn is_passing(kind: &str) -> bool {
    const PASSING: &[&str] = &[
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "InternalFailure",
        "InternalFailureException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    ];
    PASSING.contains(&kind)
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

fn next_step(kind: &str, operation: &str) -> String {
    let step = match kind {
        "AccessDeniedException" => return format!("allow kms:{operation} on this key to the role of this process"),
        "NotFoundException" => "see that the ARN is right",
        "DisabledException" => "enable the key",
        "KMSInvalidStateException" => "cancel the deletion of the key, or import its material again",
        "InvalidCiphertextException" | "IncorrectKeyException" => {
            "what it is to open was made with another key, or for another instance or organization: put the key file back as it was"
        }
        "InvalidKeyUsageException" | "UnsupportedOperationException" => {
            "the key is of another kind: signing takes ECC_NIST_EDWARDS25519 with SIGN_VERIFY, organizations' keys SYMMETRIC_DEFAULT with ENCRYPT_DECRYPT"
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId" => "see that the credentials of this process, and its clock, are right",
        kind if kind.starts_with("Throttling") || kind == "TooManyRequestsException" => {
            "lengthen the interval of anchors, or have the request quota of the account raised"
        }
        kind if is_passing(kind) => "try again in a moment",
        _ => "see what AWS says of this error",
    };
    step.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_the_key_the_error_and_the_next_step() {
        let key: KeyArn = "arn:aws:kms:eu-west-1:111122223333:key/a".parse().expect("an ARN");
        for (kind, passes, words) in [
            ("AccessDeniedException", false, "allow kms:Sign"),
            ("DisabledException", false, "enable the key"),
            ("NotFoundException", false, "ARN"),
            ("KMSInvalidStateException", false, "deletion"),
            ("ThrottlingException", true, "quota"),
            ("KMSInternalException", true, "moment"),
            ("ExpiredTokenException", false, "credentials"),
            ("SomethingNew", false, "AWS"),
        ] {
            let error = KmsError::Refused { operation: "Sign", key: key.clone(), kind: kind.to_owned(), message: "in words".to_owned() };
            let text = error.to_string();
            assert!([words, kind, key.as_str(), "(in words)"].iter().all(|word| text.contains(word)), "{text}");
            assert_eq!(error.may_pass(), passes, "{kind}");
        }
    }
}
