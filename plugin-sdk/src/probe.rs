//! What all probes share: errors, timings, TLS options.

use std::time::Duration;

/// What a target did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Nobody listens there.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer was complete.
    Closed,
    /// It took longer than allowed.
    TimedOut,
    /// The TLS handshake failed, or the certificate is not acceptable.
    Tls,
    /// The name does not exist or has no address.
    NameNotFound,
    /// There is no way to get there.
    Unreachable,
    /// The answer breaks the protocol.
    Protocol,
    /// Something else, in one word.
    Other(String),
}

/// A probe that failed because of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFault {
    /// What the target did wrong.
    pub kind: Misbehaviour,
    /// The same for people, such as `connection refused`.
    pub message: String,
}

impl TargetFault {
    /// The failure to connect to `address`, in the words of tools written in Go, which people look
    /// for in outputs.
    #[must_use]
    pub fn while_dialing(&self, address: &str) -> String {
        let message = &self.message;
        match self.kind {
            Misbehaviour::Refused | Misbehaviour::Unreachable => {
                format!("dial tcp {address}: connect: {message}")
            }
            Misbehaviour::TimedOut => format!("dial tcp {address}: i/o timeout"),
            Misbehaviour::NameNotFound => format!("dial tcp: {message}"),
            _ => format!("dial tcp {address}: {message}"),
        }
    }
}

/// Why a probe has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeError {
    /// The target is at fault: this is a finding.
    Target(TargetFault),
    /// The probe is not granted and was not made.
    Denied(String),
    /// A limit of the run was reached.
    Limit(String),
    /// The request makes no sense; the text says why.
    Invalid(String),
    /// The host does not offer what was asked for, or failed itself.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

impl ProbeError {
    /// A failure of the target.
    pub fn target(kind: Misbehaviour, message: impl Into<String>) -> Self {
        Self::Target(TargetFault { kind, message: message.into() })
    }
}

/// How long the phases of a probe took; zero where there was no such phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Looking up the name.
    pub resolve: Duration,
    /// Connecting.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// All of it, to the last byte that was read.
    pub total: Duration,
}

/// How to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether the certificate must be valid and be the server's.
    pub verify: bool,
    /// The name to ask for and to expect; the one in the address if none.
    pub server_name: Option<String>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { verify: true, server_name: None }
    }
}
