//! TLS with a crypto provider of our own choice.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::DestinationError;

/// The certificates of those who are trusted to name a server: those in `ca_file` alone if it is given, else
/// the machine's.
pub(crate) fn authorities(
    ca_file: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, DestinationError> {
    let Some(path) = ca_file else {
        // Machines have some that nobody can use.
        let mut certificates = rustls_native_certs::load_native_certs().certs;
        certificates.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        return Ok(certificates);
    };
    let invalid = |reason: String| DestinationError::Option {
        option: "ca_file".to_owned(),
        reason,
    };
    let unreadable = |error| invalid(format!("cannot read it: {error}"));
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| invalid(error.to_string()))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(invalid("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// A client that verifies certificates and host names against [`authorities`]. The provider is named,
/// because several are linked into the binary and the process-wide default is then undefined.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, DestinationError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(ca_file)?);
    Ok(
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| DestinationError::Option {
                option: "tls".to_owned(),
                reason: error.to_string(),
            })?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Makes our provider that of the process, for a library that asks for none in particular and would panic
/// if there is no default. Does nothing if somebody has chosen one already.
pub(crate) fn ensure_default_provider() {
    // An error says that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
