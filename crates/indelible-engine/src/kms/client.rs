//! The four operations of KMS that are used, as calls that wait for their answer.
//!
//! What asks is a thread without a runtime (sealing, opening), so the requests run on one of their own, which is made when
//! the first key is used: a ledger without KMS has neither thread nor sockets for it.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_core::key::Secret;
use indelible_core::limits::SIGNED_TEXT_BYTES_MAX;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::answer;
use super::wire::{Ask, Wire};
use super::{DataKey, KeyArn, KmsError, Purpose};

/// Time for an operation with all its tries.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// A runtime and what is sent on it.
struct Line {
    runtime: Runtime,
    wire: Arc<Wire>,
}

/// KMS, as the environment says that it is reached.
#[derive(Default)]
pub(crate) struct Kms {
    line: Mutex<Option<Line>>,
}

impl Kms {
    pub(crate) const IS_BUILT: bool = true;

    /// Reached in another way.
    #[cfg(test)]
    pub(super) fn over(wire: Wire) -> Self {
        let line = Line { runtime: runtime().expect("a runtime"), wire: Arc::new(wire) };
        Self { line: Mutex::new(Some(line)) }
    }

    /// The Ed25519 public key of a key.
    pub(crate) fn public_key(&self, key: &KeyArn) -> Result<[u8; 32], KmsError> {
        self.call("GetPublicKey", key, &json!({"KeyId": key.as_str()}), answer::public_key)
    }

    /// The Ed25519 signature of `message` by a key. Whether it holds is for the caller to see.
    pub(crate) fn sign(&self, key: &KeyArn, message: &[u8]) -> Result<[u8; 64], KmsError> {
        if message.len() > SIGNED_TEXT_BYTES_MAX {
            return Err(KmsError::Setup(format!("a text of {} bytes is longer than what KMS signs", message.len())));
        }
        let body = json!({
            "KeyId": key.as_str(),
            "Message": STANDARD.encode(message),
            "MessageType": "RAW",
            "SigningAlgorithm": answer::SIGNING_ALGORITHM,
        });
        self.call("Sign", key, &body, answer::signature)
    }

    /// A new key of 32 bytes, with the form of it that only KMS opens.
    pub(crate) fn generate_data_key(&self, key: &KeyArn, purpose: &Purpose<'_>) -> Result<DataKey, KmsError> {
        let body = json!({"KeyId": key.as_str(), "KeySpec": "AES_256", "EncryptionContext": context(purpose)});
        self.call("GenerateDataKey", key, &body, answer::data_key)
    }

    /// The key that [`Self::generate_data_key`] made for the same purpose.
    pub(crate) fn decrypt(&self, key: &KeyArn, ciphertext: &[u8], purpose: &Purpose<'_>) -> Result<Secret, KmsError> {
        let body = json!({
            "KeyId": key.as_str(),
            "CiphertextBlob": STANDARD.encode(ciphertext),
            "EncryptionContext": context(purpose),
        });
        self.call("Decrypt", key, &body, answer::plaintext)
    }

    fn call<T>(
        &self,
        operation: &'static str,
        key: &KeyArn,
        body: &Value,
        read: impl Fn(&[u8], &KeyArn) -> Result<T, &'static str>,
    ) -> Result<T, KmsError> {
        let ask = Ask { operation, key: key.clone(), body: body.to_string().into_bytes() };
        let (say, said) = mpsc::channel();
        {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            let Line { runtime, wire } = match &mut *line {
                Some(line) => line,
                none => none.insert(Line { runtime: runtime()?, wire: Arc::new(Wire::from_environment(key.region())?) }),
            };
            let wire = Arc::clone(wire);
            runtime.spawn(async move {
                let answer = tokio::time::timeout(CALL_TIMEOUT, wire.ask(&ask)).await;
                let late = |_| Err(ask.unreachable(format!("no answer within {} s", CALL_TIMEOUT.as_secs())));
                // Nobody waits any more: the ledger is closed.
                drop(say.send(answer.unwrap_or_else(late)));
            });
        }
        let answer = said.recv().map_err(|_| KmsError::Setup("its thread ended".to_owned()))??;
        read(&answer, key).map_err(|what| KmsError::Answer { operation, key: key.clone(), what })
    }
}

fn runtime() -> Result<Runtime, KmsError> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("indelible-kms").enable_all().build();
    built.map_err(|error| KmsError::Setup(format!("its thread cannot be started: {error}")))
}

fn context(purpose: &Purpose<'_>) -> Value {
    json!({"indelible:instance": purpose.instance, "indelible:organization": purpose.organization_id.to_string()})
}

impl Drop for Kms {
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Line { runtime, .. }) = line {
            // The ledger may be dropped on somebody else's runtime, where nobody may wait for one to end.
            runtime.shutdown_background();
        }
    }
}
