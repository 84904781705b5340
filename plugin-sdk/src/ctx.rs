//! What a plugin may do: probe its target, and write to the agent's log.

use crate::probe::ProbeError;
use crate::target::Target;
use crate::{dns, exec, http, http2, tcp, tls, udp};

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever debugs the plugin step by step.
    Trace,
    /// For whoever debugs the plugin.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Worth a repair.
    Error,
}

/// Whoever answers a plugin's probes: the agent, or a mock in tests.
///
/// The errors are those of [`ProbeError`] throughout.
#[allow(clippy::missing_errors_doc, reason = "stated once for all of them above")]
pub trait Host {
    /// Makes an HTTP request.
    fn http(&self, request: &http::Request) -> Result<http::Response, ProbeError>;
    /// Pings an HTTP/2 server.
    fn http2(&self, request: &http2::Request) -> Result<http2::Response, ProbeError>;
    /// Opens a TCP connection.
    fn tcp(&self, request: &tcp::Request) -> Result<tcp::Response, ProbeError>;
    /// Exchanges datagrams.
    fn udp(&self, request: &udp::Request) -> Result<udp::Response, ProbeError>;
    /// Inspects a TLS server.
    fn tls(&self, request: &tls::Request) -> Result<tls::Response, ProbeError>;
    /// Asks a question of the domain name system.
    fn dns(&self, request: &dns::Request) -> Result<dns::Response, ProbeError>;
    /// Runs a command.
    fn exec(&self, request: &exec::Request) -> Result<exec::Response, ProbeError>;
    /// Writes a line to the log.
    fn log(&self, level: Level, message: &str);
}

/// What a plugin is given besides its configuration.
pub struct Ctx<'a> {
    host: &'a dyn Host,
    target: &'a Target,
}

#[allow(clippy::missing_errors_doc, reason = "they are those of `ProbeError` throughout")]
impl<'a> Ctx<'a> {
    /// A context that reaches the world through `host`.
    #[must_use]
    pub fn new(host: &'a dyn Host, target: &'a Target) -> Self {
        Self { host, target }
    }

    /// What to look at.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.target
    }

    /// Makes an HTTP request.
    pub fn http(&self, request: &http::Request) -> Result<http::Response, ProbeError> {
        self.host.http(request)
    }

    /// Pings an HTTP/2 server.
    pub fn http2(&self, request: &http2::Request) -> Result<http2::Response, ProbeError> {
        self.host.http2(request)
    }

    /// Opens a TCP connection.
    pub fn tcp(&self, request: &tcp::Request) -> Result<tcp::Response, ProbeError> {
        self.host.tcp(request)
    }

    /// Exchanges datagrams.
    pub fn udp(&self, request: &udp::Request) -> Result<udp::Response, ProbeError> {
        self.host.udp(request)
    }

    /// Inspects a TLS server.
    pub fn tls(&self, request: &tls::Request) -> Result<tls::Response, ProbeError> {
        self.host.tls(request)
    }

    /// Asks a question of the domain name system.
    pub fn dns(&self, request: &dns::Request) -> Result<dns::Response, ProbeError> {
        self.host.dns(request)
    }

    /// Runs a command.
    pub fn exec(&self, request: &exec::Request) -> Result<exec::Response, ProbeError> {
        self.host.exec(request)
    }

    /// Writes a line to the agent's log.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.host.log(level, message.as_ref());
    }
}
