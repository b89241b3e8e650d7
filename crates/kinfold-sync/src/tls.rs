//! TLS with a crypto provider of our own choice.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::DestinationError;

/// A client that verifies certificates and host names: against the authorities in `ca_file` alone if it is
/// given, else against the machine's. The provider is named, because several are linked into the binary
/// and the process-wide default is then undefined.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, DestinationError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let invalid = |reason: String| DestinationError::Option {
                option: "ca_file".to_owned(),
                reason,
            };
            for certificate in CertificateDer::pem_file_iter(path)
                .map_err(|error| invalid(format!("cannot read it: {error}")))?
            {
                let certificate =
                    certificate.map_err(|error| invalid(format!("cannot read it: {error}")))?;
                roots
                    .add(certificate)
                    .map_err(|error| invalid(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(invalid("it holds no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
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
