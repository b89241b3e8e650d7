//! The hash by which texts are compared and keys are found.

/// The first 128 bits of BLAKE3 over a text.
#[must_use]
pub fn text_hash(text: &str) -> [u8; 16] {
    first_half(blake3::hash(text.as_bytes()))
}

/// The first 128 bits of a hash.
pub(super) fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(hash.as_bytes().split_at(16).0);
    half
}
