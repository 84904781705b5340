//! TCP connections, optionally with TLS and one exchange of bytes.

use std::time::Duration;

use crate::probe::{Timings, TlsOptions};

/// Where to connect and what to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// A host and port, such as `db.example:5432` or `[::1]:80`.
    pub address: String,
    /// Speak TLS once connected.
    pub tls: Option<TlsOptions>,
    /// Bytes to send first.
    pub send: Option<Vec<u8>>,
    /// Read until these bytes have been seen; without it nothing is read.
    pub expect: Option<Vec<u8>>,
    /// How many bytes to read at most.
    pub read_limit: u32,
    /// A time within which all of it must be done; what is left of the run's own if none.
    pub timeout: Option<Duration>,
}

impl Request {
    /// Connects and does nothing else.
    pub fn to(address: impl Into<String>) -> Self {
        Self { address: address.into(), read_limit: 4096, ..Self::default() }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The bytes read.
    pub received: Vec<u8>,
    /// Whether the expected bytes are among them; true if none were expected.
    pub matched: bool,
    /// The address connected to.
    pub peer: String,
    /// How long the phases took.
    pub timings: Timings,
}
