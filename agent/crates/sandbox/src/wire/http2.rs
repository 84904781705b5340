//! HTTP/2 over a stream: a request as a probe makes it, and a ping.

use h2::{Ping, client};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;

use super::fault::{self, http_fault, http2_fault};
use super::http::{Stream, open, parse_url};
use super::{Leash, micros, no_timings};
use crate::bindings::http::Version;
use crate::bindings::http2::{Request, Response};
use crate::bindings::types::{Misbehaviour, ProbeError, TargetFault};

/// How much may be on the way before it is read, in bytes.
const WINDOW: u32 = 256 << 10;
/// How large the headers of an answer may be, in bytes.
const MAX_HEADERS: u32 = 64 << 10;

/// Sends one request over a stream. The connection lives in a task of its own until the body of
/// the answer is read or dropped.
pub(super) async fn converse(
    stream: Box<dyn Stream>,
    request: http::Request<Full<Bytes>>,
) -> Result<http::Response<Incoming>, ProbeError> {
    let handshake = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = handshake.map_err(|error| http_fault(&error))?;
    tokio::spawn(async move {
        // What goes wrong here shows on the request or on its body as well.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(|error| http_fault(&error))
}

/// Connects, pings once and closes.
pub(crate) async fn ping(leash: &Leash, request: Request) -> Result<Response, ProbeError> {
    if let Some((name, _)) = request.options.first() {
        return Err(ProbeError::Invalid(format!("there is no option {name:?}")));
    }
    let leash = leash.within(request.timeout_ms);
    let started = Instant::now();
    let mut timings = no_timings();
    let url = parse_url(&request.url)?;
    let (stream, peer) = open(&leash, &url, false, Version::Http2, &request.tls, &mut timings).await?;
    let asked = Instant::now();
    let failure = match leash.deadline.limit("waiting for the ping", exchange(stream)).await {
        Ok(()) => None,
        Err(ProbeError::Target(fault)) => Some(fault),
        Err(error) => return Err(error),
    };
    timings.first_byte = micros(asked.elapsed());
    timings.total = micros(started.elapsed());
    Ok(Response { failure, peer, timings })
}

async fn exchange(stream: Box<dyn Stream>) -> Result<(), ProbeError> {
    let closed = || {
        let message = "http2: the server closed the connection".to_owned();
        ProbeError::Target(TargetFault { kind: Misbehaviour::Closed, message })
    };
    // A connection whose sender is gone ends by itself.
    let (_sender, mut connection) = client::Builder::new()
        .max_header_list_size(MAX_HEADERS)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|error| http2_fault(&error))?;
    let mut pings = connection.ping_pong().ok_or_else(closed)?;
    tokio::select! {
        answered = pings.ping(Ping::opaque()) => match answered {
            Ok(_) => Ok(()),
            Err(error) => Err(http2_fault(&error)),
        },
        ended = &mut connection => match ended {
            Ok(()) => Err(closed()),
            Err(error) => Err(http2_fault(&error)),
        },
    }
}

/// What a TLS server that does not speak HTTP/2 is told.
pub(super) fn not_spoken() -> ProbeError {
    fault::target(Misbehaviour::Protocol, "http2: the server chose another protocol in the TLS handshake")
}
