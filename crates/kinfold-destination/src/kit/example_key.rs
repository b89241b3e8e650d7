//! The key that exchanges sign with.

/// What stands for the key in `connection` of an exchange, so that no file of a folder looks like a credential.
pub(super) const WORD: &str = "example RSA key";

/// The key, after the words that say that it is nobody's.
const FILE: &str = include_str!("example_key.pem");

/// The private key as PEM of PKCS#8: of 2,048 bits, and always the same, so that signatures are too.
pub(crate) fn example_key() -> &'static str {
    let start = FILE.find("-----BEGIN").unwrap_or_default();
    FILE.get(start..).unwrap_or_default()
}

/// The value of a parameter of an exchange.
pub(super) fn value_of(text: String) -> String {
    match text.as_str() {
        WORD => example_key().to_owned(),
        _ => text,
    }
}
