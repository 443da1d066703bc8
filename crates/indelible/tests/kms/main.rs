//! Keys in AWS KMS, through the program: a server that speaks the protocol of KMS with real keys and verifies each request (Ed25519
//! signatures, key wraps, and every way to misbehave), and moto, which somebody else wrote.
#![cfg(feature = "aws")]

mod house;
mod moto;
mod organizations;
mod rotation;
mod signing;
mod witness;

#[expect(dead_code, reason = "the tests of the client make use of the rest")]
#[path = "../../../indelible-engine/tests/kms_server/mod.rs"]
mod kms_server;
