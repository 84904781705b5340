//! `lictor:plugin/udp`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use lictor_sys::net::{self, Sharing};
use tokio::net::UdpSocket;
use tokio::time::Instant;
use wasmtime::Result;

use super::{no_options, place};
use crate::bindings::types::ProbeError;
use crate::bindings::udp::{Host, Request, Response};
use crate::grants::Door;
use crate::state::RunState;
use crate::wire::fault::target_fault;
use crate::wire::{Leash, micros, no_timings};

/// How long to wait for a complaint about a datagram that asks for no answer.
const COMPLAINT_TIME: Duration = Duration::from_millis(500);
/// The largest datagram there is.
const DATAGRAM: usize = 65_535;

impl Host for RunState {
    async fn exchange(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(exchange(&self.leash, request).await)
    }
}

async fn open(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = net::bind_udp(SocketAddr::new(any, 0), Sharing::Exclusive)?;
    // Only a connected socket hears that nobody listens.
    socket.connect(address).await?;
    Ok(socket)
}

async fn exchange(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    no_options(&request.options)?;
    let leash = leash.within(request.timeout_ms);
    let started = Instant::now();
    let mut timings = no_timings();
    let (host, port) = place(&request.address)?;
    let reach = leash.grants.check(Door::Udp, &host, port).map_err(ProbeError::Denied)?;
    leash.count_connection()?;
    let addresses = leash.resolve(&host, port, reach, &mut timings).await?;
    let Some(peer) = addresses.first().copied() else {
        return Err(ProbeError::Unavailable(format!("{host} has no address")));
    };
    let socket = open(peer).await.map_err(|error| target_fault(&error))?;
    socket.send(&request.send).await.map_err(|error| target_fault(&error))?;
    let asked = Instant::now();
    let mut datagram = vec![0; DATAGRAM];
    let receive = async { socket.recv(&mut datagram).await.map_err(|error| target_fault(&error)) };
    let count = if request.reply {
        Some(leash.deadline.limit("waiting for a reply", receive).await?)
    } else {
        let wait = COMPLAINT_TIME.min(leash.deadline.left() / 2);
        tokio::time::timeout(wait, receive).await.ok().transpose()?
    };
    let received = count.map(|count| {
        timings.first_byte = micros(asked.elapsed());
        leash.count_inbound(count);
        datagram.truncate(count.min(usize::try_from(request.read_limit).unwrap_or(usize::MAX)));
        datagram
    });
    timings.total = micros(started.elapsed());
    Ok(Response { received, peer: peer.to_string(), timings })
}
