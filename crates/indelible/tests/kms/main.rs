//! Keys in AWS KMS, through the program: a server that speaks the protocol of KMS with real keys and verifies each request (Ed25519
//! signatures, key wraps, and every way to misbehave), and moto, which somebody else wrote.
#![cfg(feature = "aws")]

mod house;
mod moto;
mod organizations;
mod rotation;
mod signing;
mod witness;

#[path = "../../../indelible-engine/tests/kms_server/mod.rs"]
mod kms_server;
