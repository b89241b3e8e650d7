//! The hash by which texts are compared and keys are found.

/// The first 128 bits of BLAKE3 over a text.
#[must_use]
pub fn text_hash(text: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes());
    hasher.finalize_xof().fill(&mut hash);
    hash
}
