//! What a TLS server presents.

use std::time::Duration;

use crate::probe::{Timings, TlsOptions};

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// A host and port.
    pub address: String,
    /// How to ask. Without verification an invalid chain is reported, not refused.
    pub tls: TlsOptions,
    /// A time within which all of it must be done; what is left of the run's own if none.
    pub timeout: Option<Duration>,
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as a distinguished name.
    pub subject: String,
    /// Who signed it, as a distinguished name.
    pub issuer: String,
    /// The DNS names and addresses it is for.
    pub names: Vec<String>,
    /// From when on it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// SHA-256 over the certificate, in hex.
    pub fingerprint: String,
}

/// What was presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The chain, the server's own certificate first.
    pub chain: Vec<Certificate>,
    /// The protocol version, such as `TLSv1.3`.
    pub version: String,
    /// The host's clock, in seconds since 1970.
    pub now: i64,
    /// The address connected to.
    pub peer: String,
    /// How long the phases took.
    pub timings: Timings,
}
