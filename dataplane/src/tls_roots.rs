//! The certificate authorities that TLS connections trust.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why no TLS connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file that was named cannot be read.
    #[error("the certificate authorities in {0} cannot be read: {1}")]
    Roots(String, rustls::pki_types::pem::Error),
    /// The library refuses its own defaults.
    #[error("no TLS can be made: {0}")]
    Library(#[from] rustls::Error),
}

/// A client that trusts the certificate authorities built in (an image may have none), the
/// system's, and `extra_roots`.
///
/// # Errors
/// [`TrustError`].
pub fn client_config(extra_roots: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = extra_roots {
        let unreadable = |error| TrustError::Roots(path.display().to_string(), error);
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
