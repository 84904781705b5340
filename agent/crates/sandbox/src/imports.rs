//! What guests may call: the WIT package's probes, each in a file of its own.
//!
//! The functions translate; whether something may be done is the grants' decision, and doing it is
//! the wire's work. A target's failure and a refusal are answers to the guest; only a broken limit
//! that a guest could otherwise ignore ends its run.

mod dns;
mod exec;
mod http;
mod http2;
mod log;
mod tcp;
mod tls;
mod udp;

use crate::bindings::types::{self, ProbeError};
use crate::state::RunState;

impl types::Host for RunState {}

/// Refuses options: none are defined yet.
fn no_options(options: &[(String, String)]) -> Result<(), ProbeError> {
    match options.first() {
        Some((name, _)) => Err(ProbeError::Invalid(format!("there is no option {name:?}"))),
        None => Ok(()),
    }
}

/// Takes an address apart, or says what is wrong with it.
fn place(address: &str) -> Result<(String, u16), ProbeError> {
    crate::grants::split_host_port(address)
        .ok_or_else(|| ProbeError::Invalid(format!("address {address}: is not a host and a port")))
}
