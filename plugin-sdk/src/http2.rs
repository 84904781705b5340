//! Connections of HTTP/2.

use std::time::Duration;

use crate::probe::{TargetFault, Timings, TlsOptions};

/// Whom to ping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// An absolute `http` or `https` URL; only its host and port matter.
    pub url: String,
    /// How to speak TLS.
    pub tls: TlsOptions,
    /// A time within which all of it must be done; what is left of the run's own if none.
    pub timeout: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Why the ping was not answered, although there was a connection; none if it was.
    pub failure: Option<TargetFault>,
    /// The address connected to.
    pub peer: String,
    /// How long the phases took; the ping itself is `first_byte`.
    pub timings: Timings,
}
