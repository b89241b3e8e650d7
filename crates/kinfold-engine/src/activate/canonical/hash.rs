//! The hashes by which texts are compared and keys are found.

use sha2::{Digest as _, Sha256};

/// The first 128 bits of BLAKE3 over a text.
#[must_use]
pub fn text_hash(text: &str) -> [u8; 16] {
    first_half(blake3::hash(text.as_bytes()))
}

/// The first 128 bits of a hash.
fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(hash.as_bytes().split_at(16).0);
    half
}

/// The hash of a payload: the first 128 bits of SHA-256 over its text. Of a kilobyte that is twice as fast as
/// BLAKE3 where the processor has instructions for it, and payloads are most of what is hashed.
#[must_use]
pub fn payload_hash(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(Sha256::digest(text.as_bytes()).as_slice().split_at(16).0);
    half
}

/// The hash of a payload in states that were written before [`payload_hash`] was: the same of BLAKE3.
pub(in super::super) fn earlier_payload_hash(text: &str) -> [u8; 16] {
    text_hash(text)
}
