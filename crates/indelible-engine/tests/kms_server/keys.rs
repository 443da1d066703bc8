//! The keys of the KMS for tests, and what each operation does with them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A key, or the type of error with which an operation is refused.
pub(super) enum Key {
    Ed25519(Ed25519KeyPair),
    Symmetric(LessSafeKey),
}

type Done = Result<Value, &'static str>;

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("random bytes");
    bytes
}

fn bytes(asked: &Value, member: &str) -> Result<Vec<u8>, &'static str> {
    asked[member].as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or("ValidationException")
}

/// What a ciphertext is bound to; serde_json keeps members sorted.
fn context(asked: &Value) -> Aad<Vec<u8>> {
    Aad::from(asked["EncryptionContext"].to_string().into_bytes())
}

impl Key {
    pub(super) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().expect("a key"))
    }

    pub(super) fn symmetric() -> Self {
        Self::Symmetric(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &random::<32>()).expect("a key")))
    }

    fn pair(&self) -> Result<&Ed25519KeyPair, &'static str> {
        if let Self::Ed25519(pair) = self { Ok(pair) } else { Err("InvalidKeyUsageException") }
    }

    fn cipher(&self) -> Result<&LessSafeKey, &'static str> {
        if let Self::Symmetric(cipher) = self { Ok(cipher) } else { Err("InvalidKeyUsageException") }
    }

    pub(super) fn public_key(&self, _: &Value) -> Done {
        let Self::Ed25519(pair) = self else { return Err("UnsupportedOperationException") };
        // SubjectPublicKeyInfo, RFC 8410: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }.
        let spki = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], pair.public_key().as_ref()].concat();
        Ok(json!({
            "PublicKey": STANDARD.encode(spki),
            "KeySpec": "ECC_NIST_EDWARDS25519",
            "CustomerMasterKeySpec": "ECC_NIST_EDWARDS25519",
            "KeyUsage": "SIGN_VERIFY",
            "SigningAlgorithms": ["ED25519_SHA_512", "ED25519_PH_SHA_512"],
        }))
    }

    pub(super) fn sign(&self, asked: &Value, wrongly: bool) -> Done {
        let message = bytes(asked, "Message")?;
        let form = (asked["MessageType"].as_str(), asked["SigningAlgorithm"].as_str());
        if form != (Some("RAW"), Some("ED25519_SHA_512")) || message.is_empty() || message.len() > 4_096 {
            return Err("ValidationException");
        }
        let signed: &[u8] = if wrongly { b"something else" } else { &message };
        let signature = self.pair()?.sign(signed);
        Ok(json!({"Signature": STANDARD.encode(signature.as_ref()), "SigningAlgorithm": "ED25519_SHA_512"}))
    }

    pub(super) fn generate_data_key(&self, asked: &Value) -> Done {
        let cipher = self.cipher()?;
        if asked["KeySpec"] != "AES_256" {
            return Err("ValidationException");
        }
        let (plaintext, nonce) = (random::<32>(), random::<12>());
        let mut sealed = plaintext.to_vec();
        let sealing = cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context(asked), &mut sealed);
        sealing.map_err(|_| "KMSInternalException")?;
        Ok(json!({"Plaintext": STANDARD.encode(plaintext), "CiphertextBlob": STANDARD.encode([&nonce[..], &sealed].concat())}))
    }

    pub(super) fn decrypt(&self, asked: &Value) -> Done {
        let blob = bytes(asked, "CiphertextBlob")?;
        let (nonce, sealed) = blob.split_first_chunk::<12>().ok_or("InvalidCiphertextException")?;
        let mut sealed = sealed.to_vec();
        let opened = self.cipher()?.open_in_place(Nonce::assume_unique_for_key(*nonce), context(asked), &mut sealed);
        let plaintext = opened.map_err(|_| "InvalidCiphertextException")?;
        Ok(json!({"Plaintext": STANDARD.encode(plaintext), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
    }
}
