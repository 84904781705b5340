//! TLS to targets: verified against the machine's own certificates, or not at all if asked so.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::{target, target_fault};
use crate::bindings::types::{Misbehaviour, ProbeError, TlsOptions};

/// The name of HTTP/2 in a handshake.
pub(crate) const HTTP2: &[u8] = b"h2";

/// The ways to speak TLS, made when first used: reading the machine's certificates takes time.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    verified: OnceLock<Result<Arc<ClientConfig>, String>>,
    unverified: OnceLock<Result<Arc<ClientConfig>, String>>,
    /// The same for HTTP/2.
    verified_http2: OnceLock<Result<Arc<ClientConfig>, String>>,
    unverified_http2: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    fn config(&self, verify: bool, http2: bool) -> Result<Arc<ClientConfig>, ProbeError> {
        let plain = || {
            if verify { self.verified.get_or_init(verified) } else { self.unverified.get_or_init(unverified) }
        };
        let asking = || {
            let mut config = ClientConfig::clone(&*plain().clone()?);
            config.alpn_protocols.push(HTTP2.to_vec());
            Ok(Arc::new(config))
        };
        let made = match (http2, verify) {
            (false, _) => plain(),
            (true, true) => self.verified_http2.get_or_init(asking),
            (true, false) => self.unverified_http2.get_or_init(asking),
        };
        made.clone().map_err(ProbeError::Unavailable)
    }

    /// Makes a handshake over `stream` with the server called `host`, asking for HTTP/2 or nothing
    /// in particular.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
        options: &TlsOptions,
        http2: bool,
    ) -> Result<TlsStream<S>, ProbeError> {
        let name = options.server_name.as_deref().unwrap_or(host).to_owned();
        let server = ServerName::try_from(name.clone())
            .map_err(|_| ProbeError::Invalid(format!("{name:?} is no name of a TLS server")))?;
        let connector = TlsConnector::from(self.config(options.verify, http2)?);
        connector.connect(server, stream).await.map_err(|error| match target_fault(&error) {
            // A server that hangs up in the handshake does not want to speak TLS with us.
            ProbeError::Target(fault) if matches!(fault.kind, Misbehaviour::Closed) => {
                target(Misbehaviour::Tls, "tls: the server closed the connection during the handshake")
            }
            other => other,
        })
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

fn verified() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::warn!("this machine has no root certificates: checks of TLS servers will fail");
    }
    Ok(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth()))
}

fn unverified() -> Result<Arc<ClientConfig>, String> {
    let verifier = Arc::new(AnyCertificate(ring::default_provider()));
    Ok(Arc::new(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

/// Accepts any certificate whose key the server really has.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
