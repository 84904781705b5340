//! `lictor:plugin/dns`.
//!
//! Addresses are looked up as this machine's programs do; other records and other servers are not
//! offered.

use std::net::SocketAddr;

use tokio::time::Instant;
use wasmtime::Result;

use super::no_options;
use crate::bindings::dns::{Host, Request, Response};
use crate::bindings::types::{Misbehaviour, ProbeError};
use crate::grants::{Door, Reach};
use crate::state::RunState;
use crate::wire::{Leash, fault, micros, no_timings};

impl Host for RunState {
    async fn lookup(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(lookup(&self.leash, request).await)
    }
}

async fn lookup(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    no_options(&request.options)?;
    let leash = leash.within(request.timeout_ms);
    leash.grants.check(Door::Dns, &request.name, 0).map_err(ProbeError::Denied)?;
    let wanted: fn(&SocketAddr) -> bool = match request.record_type.to_ascii_uppercase().as_str() {
        "A" => SocketAddr::is_ipv4,
        "AAAA" => SocketAddr::is_ipv6,
        other => return Err(ProbeError::Unavailable(format!("this agent does not look up {other} records"))),
    };
    if let Some(server) = &request.server {
        return Err(ProbeError::Unavailable(format!("this agent asks its own resolver, not {server}")));
    }
    leash.count_connection()?;
    let started = Instant::now();
    let mut timings = no_timings();
    // A name is asked for, nothing is contacted: every address may be seen.
    let found = leash.resolve(&request.name, 0, Reach::Anywhere, &mut timings).await?;
    let mut records: Vec<String> =
        found.iter().filter(|address| wanted(address)).map(|address| address.ip().to_string()).collect();
    records.sort();
    records.dedup();
    if records.is_empty() {
        let message = format!("lookup {}: no {} records", request.name, request.record_type);
        return Err(fault::target(Misbehaviour::NameNotFound, message));
    }
    timings.total = micros(started.elapsed());
    Ok(Response { records, timings })
}
