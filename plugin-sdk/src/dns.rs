//! Questions to the domain name system.

use std::time::Duration;

use crate::probe::Timings;

/// What to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The name.
    pub name: String,
    /// The record type, such as `A`.
    pub record_type: String,
    /// The server to ask, as host and port; the machine's own resolver if none.
    pub server: Option<String>,
    /// How long to wait; what is left of the run's own time if none.
    pub timeout: Option<Duration>,
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The records' data in the usual text form, such as `192.0.2.1`.
    pub records: Vec<String>,
    /// How long the phases took.
    pub timings: Timings,
}
