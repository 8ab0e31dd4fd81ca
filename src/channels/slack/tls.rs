//! TLS for both ways to Slack: ring, and the bundled roots or those of `SSL_CERT_FILE`.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::contracts::{bounded_file, limits};

use super::config::SetupError;

/// One set of roots, as both clients take it.
#[derive(Clone)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    /// Instead of the bundled ones.
    custom: Option<Vec<CertificateDer<'static>>>,
}

impl Tls {
    /// The bundled roots, or instead of them those in the PEM file `roots`.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, SetupError> {
        let custom = roots.map(read).transpose()?;
        Ok(Self {
            provider: Arc::new(ring::default_provider()),
            custom,
        })
    }

    pub(super) fn for_http(&self) -> TlsConfig {
        let roots = match &self.custom {
            None => RootCerts::WebPki,
            Some(custom) => custom
                .iter()
                .map(|root| Certificate::from_der(root.as_ref()).to_owned())
                .collect::<Vec<_>>()
                .into(),
        };
        TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::clone(&self.provider))
            .build()
    }

    pub(super) fn for_socket(&self) -> Result<Arc<ClientConfig>, SetupError> {
        let mut roots = RootCertStore::empty();
        match &self.custom {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(custom) => drop(roots.add_parsable_certificates(custom.iter().cloned())),
        }
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::new(format!("TLS: {error}"), "please report this"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let wrong = |problem: String| {
        SetupError::new(
            format!("SSL_CERT_FILE: {}: {problem}", path.display()),
            "set it to a PEM file of root certificates, or unset it",
        )
    };
    let text = bounded_file::read(path, limits::ROOTS_BYTES).map_err(|e| wrong(e.to_string()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| wrong(error.to_string()))?;
    if all.is_empty() {
        return Err(wrong("it contains no certificate".into()));
    }
    Ok(all)
}
