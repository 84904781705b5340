//! Exchanges of datagrams.

use std::time::Duration;

use crate::probe::Timings;

/// Where to send what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// A host and port.
    pub address: String,
    /// The datagram.
    pub send: Vec<u8>,
    /// Whether to wait for a datagram in return; without it silence is no error.
    pub reply: bool,
    /// How many bytes of the reply to keep.
    pub read_limit: u32,
    /// How long to wait; what is left of the run's own time if none.
    pub timeout: Option<Duration>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The datagram received, if one was.
    pub received: Option<Vec<u8>>,
    /// The address it was sent to.
    pub peer: String,
    /// How long the phases took.
    pub timings: Timings,
}
