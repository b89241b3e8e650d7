//! Signed tokens (RFC 7515, RFC 7519).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use super::Jwt;
use crate::expression::Scope;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA with SHA-256; the key is a PEM of PKCS#8 or PKCS#1.
    Rs256,
    /// ECDSA on P-256 with SHA-256; the key is a PEM of PKCS#8.
    Es256,
    /// HMAC with SHA-256; the key is a text.
    Hs256,
}

/// Why a token cannot be signed. No message holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// There is no key, or it is of another kind.
    #[error("the private key is not a PEM that suits the algorithm")]
    Key,
    /// The signature failed.
    #[error("the token cannot be signed")]
    Signature,
}

impl JwtAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::Hs256];

    /// The name in the token's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }
}

pub(super) fn sign(token: &Jwt, scope: &Scope<'_>) -> Result<String, JwtError> {
    let mut header = Map::new();
    header.insert("alg".to_owned(), json!(token.algorithm.as_str()));
    header.insert("typ".to_owned(), json!("JWT"));
    if let Value::Object(more) = token.header.render(scope)? {
        header.extend(more);
    }
    let claims = token.claims.render(scope)?;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&Value::Object(header)), part(&claims));
    let key = token.key.render(scope).ok_or(JwtError::Key)?;
    let signature = signature(token.algorithm, &key, signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn signature(algorithm: JwtAlgorithm, key: &str, message: &[u8]) -> Result<Vec<u8>, JwtError> {
    let random = SystemRandom::new();
    match algorithm {
        JwtAlgorithm::Hs256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
            Ok(hmac::sign(&key, message).as_ref().to_vec())
        }
        JwtAlgorithm::Rs256 => {
            let pair = match pem(key)? {
                PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
                PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
                _ => return Err(JwtError::Key),
            };
            let pair = pair.map_err(|_| JwtError::Key)?;
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                .map_err(|_| JwtError::Signature)?;
            Ok(signature)
        }
        JwtAlgorithm::Es256 => {
            let PrivateKeyDer::Pkcs8(der) = pem(key)? else {
                return Err(JwtError::Key);
            };
            let der = der.secret_pkcs8_der();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                .map_err(|_| JwtError::Key)?;
            let signature = pair
                .sign(&random, message)
                .map_err(|_| JwtError::Signature)?;
            Ok(signature.as_ref().to_vec())
        }
    }
}

/// A key from an environment variable often has `\n` in the place of line ends.
fn pem(key: &str) -> Result<PrivateKeyDer<'static>, JwtError> {
    let key = key.replace("\\n", "\n");
    PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| JwtError::Key)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    };

    use super::*;
    use crate::template::{Template, Text};

    fn rsa() -> &'static str {
        crate::kit::example_key::example_key()
    }

    fn token(algorithm: JwtAlgorithm, key: &str) -> Result<String, JwtError> {
        let token = Jwt {
            algorithm,
            key: Text::plain(key),
            header: Template::Literal(json!({"kid": "k1"})),
            claims: Template::Literal(json!({"iss": "a"})),
        };
        sign(&token, &Scope::default())
    }

    fn parts(token: &str) -> (String, Value, Vec<u8>) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let head = signed.split('.').next().unwrap();
        let head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
        (
            signed.to_owned(),
            head,
            URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
    }

    #[test]
    fn rsa_signatures_can_be_verified() {
        // As a variable of the environment often has it.
        for key in [rsa().to_owned(), rsa().replace('\n', "\\n")] {
            let (signed, head, signature) = parts(&token(JwtAlgorithm::Rs256, &key).unwrap());
            assert_eq!(head, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
            let PrivateKeyDer::Pkcs8(der) = pem(rsa()).unwrap() else {
                return assert!(rsa().is_empty(), "the key is PKCS#8");
            };
            let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
            let public =
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
            assert!(public.verify(signed.as_bytes(), &signature).is_ok());
        }
    }

    #[test]
    fn elliptic_signatures_can_be_verified() {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let key = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let (signed, _, signature) = parts(&token(JwtAlgorithm::Es256, &key).unwrap());
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random)
                .unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        assert_eq!(signature.len(), 64);
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
    }

    #[test]
    fn a_key_of_another_kind_is_an_error_and_is_not_shown() {
        for (algorithm, key) in [
            (JwtAlgorithm::Rs256, "swordfish"),
            (JwtAlgorithm::Es256, rsa()),
            (JwtAlgorithm::Rs256, ""),
        ] {
            let error = token(algorithm, key).unwrap_err();
            assert_eq!(error, JwtError::Key);
            assert!(!error.to_string().contains("swordfish"));
        }
    }
}
