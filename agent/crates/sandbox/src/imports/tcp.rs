//! `lictor:plugin/tcp`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use wasmtime::Result;

use super::{no_options, place};
use crate::bindings::tcp::{Host, Request, Response};
use crate::bindings::types::{ProbeError, Timings};
use crate::grants::Door;
use crate::state::RunState;
use crate::wire::fault::target_fault;
use crate::wire::http::Stream;
use crate::wire::{Leash, micros, no_timings};

impl Host for RunState {
    async fn connect(&mut self, request: Request) -> Result<Result<Response, ProbeError>> {
        Ok(connect(&self.leash, request).await)
    }
}

async fn connect(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    no_options(&request.options)?;
    let leash = leash.within(request.timeout_ms);
    let started = Instant::now();
    let mut timings = no_timings();
    let (host, port) = place(&request.address)?;
    let reach = leash.grants.check(Door::Tcp, &host, port).map_err(ProbeError::Denied)?;
    let link = leash.connect(&host, port, reach, &mut timings).await?;
    let peer = link.peer.to_string();
    let mut stream: Box<dyn Stream> = Box::new(link.stream);
    if let Some(options) = &request.tls {
        let handshaken = Instant::now();
        let handshake = leash.tls.handshake(stream, &host, options, false);
        stream = Box::new(leash.deadline.limit("shaking hands", handshake).await?);
        timings.tls = micros(handshaken.elapsed());
    }
    if let Some(bytes) = &request.send {
        let send = async {
            stream.write_all(bytes).await.map_err(|error| target_fault(&error))?;
            stream.flush().await.map_err(|error| target_fault(&error))
        };
        leash.deadline.limit("sending", send).await?;
    }
    let mut received = Vec::new();
    let mut matched = true;
    if let Some(expected) = &request.expect {
        let limit = usize::try_from(request.read_limit).unwrap_or(usize::MAX).min(leash.inbound_left());
        let read = read_until(&mut stream, expected, limit, &mut received, &mut timings);
        matched = leash.deadline.limit("waiting for the expected bytes", read).await?;
        leash.count_inbound(received.len());
    }
    timings.total = micros(started.elapsed());
    Ok(Response { received, matched, peer, timings })
}

/// Reads until the expected bytes have come; false if the peer closed or the limit was reached.
async fn read_until(
    stream: &mut Box<dyn Stream>,
    expected: &[u8],
    limit: usize,
    received: &mut Vec<u8>,
    timings: &mut Timings,
) -> Result<bool, ProbeError> {
    let asked = Instant::now();
    let mut chunk = [0; 1024];
    loop {
        if expected.is_empty() || received.windows(expected.len()).any(|window| window == expected) {
            return Ok(true);
        }
        let room = limit.saturating_sub(received.len()).min(chunk.len());
        let Some(space) = chunk.get_mut(..room).filter(|space| !space.is_empty()) else { return Ok(false) };
        let count = stream.read(space).await.map_err(|error| target_fault(&error))?;
        if count == 0 {
            return Ok(false);
        }
        if received.is_empty() {
            timings.first_byte = micros(asked.elapsed());
        }
        received.extend_from_slice(space.get(..count).unwrap_or_default());
    }
}
