//! Standard WASI 0.2 for guests whose libraries need it, under the same grants as the probes.
//!
//! There are no files, no environment and no arguments; standard output and error are kept up to a
//! limit. Sockets connect to granted addresses only, and since a socket knows no names, only to
//! those that the definition gives as addresses. `wasi:http` goes through the probes' own client.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use url::Url;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::bindings::http::Version;
use crate::bindings::types::{Misbehaviour, ProbeError, TlsOptions};
use crate::grants::Door;
use crate::wire::{self, Leash};

/// How much of standard output and error is kept.
pub(crate) const OUTPUT: usize = 4096;

/// Whether a socket may be used with an address.
fn permits(leash: &Leash, address: SocketAddr, usage: SocketAddrUse) -> bool {
    let granted = |door: Door| {
        let reach = leash.grants.check(door, &address.ip().to_string(), address.port());
        reach.is_ok_and(|reach| reach.permits(address.ip()))
    };
    match usage {
        // A guest binds before it connects; that alone reaches nobody.
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
            address.ip().is_unspecified() && address.port() == 0
        }
        SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
        SocketAddrUse::TcpConnect => granted(Door::Tcp) && leash.count_connection().is_ok(),
        SocketAddrUse::UdpSend => granted(Door::Udp) && leash.count_connection().is_ok(),
        SocketAddrUse::UdpReceive => granted(Door::Udp),
    }
}

/// What a guest sees of the world.
pub(crate) fn context(leash: &Leash, output: &MemoryOutputPipe) -> WasiCtx {
    let leash = leash.clone();
    WasiCtxBuilder::new()
        .stdout(output.clone())
        .stderr(output.clone())
        .allow_tcp(true)
        .allow_udp(true)
        .allow_ip_name_lookup(false)
        .socket_addr_check(move |address, usage| {
            let permitted = permits(&leash, address, usage);
            Box::pin(async move { permitted })
        })
        .build()
}

/// Sends what guests hand to `wasi:http`.
pub(crate) struct Hooks(Leash);

impl Hooks {
    pub(crate) fn new(leash: Leash) -> Self {
        Self(leash)
    }
}

type Completion = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Completion), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Completion,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let leash = self.0.clone();
        Box::new(send(leash, request))
    }
}

async fn send(leash: Leash, mut request: http::Request<WasiBody>) -> Answer {
    let url = Url::parse(&request.uri().to_string()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let options = TlsOptions { verify: true, server_name: None };
    let mut timings = wire::no_timings();
    let opened = wire::http::open(&leash, &url, false, Version::Http1, &options, &mut timings).await;
    let (stream, _) = opened.map_err(translate)?;
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = target.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let conversation = wire::http::converse(stream, request);
    let response = leash.deadline.limit("waiting for the answer", conversation).await.map_err(translate)?;
    let response = response.map(|body| body.map_err(Error::Hyper).boxed_unsync());
    Ok((response, Box::new(async { Ok(()) })))
}

/// A probe's failure in the words of `wasi:http`.
fn translate(error: ProbeError) -> Error {
    match error {
        ProbeError::Denied(_) => Error::HttpRequestDenied,
        ProbeError::Limit(_) => Error::ConnectionLimitReached,
        ProbeError::Target(fault) => match fault.kind {
            Misbehaviour::Refused => Error::ConnectionRefused,
            Misbehaviour::Reset | Misbehaviour::Closed => Error::ConnectionTerminated,
            Misbehaviour::TimedOut => Error::ConnectionTimeout,
            Misbehaviour::Tls => Error::TlsProtocolError,
            Misbehaviour::NameNotFound => Error::DestinationNotFound,
            Misbehaviour::Unreachable => Error::DestinationUnavailable,
            Misbehaviour::Protocol | Misbehaviour::Other(_) => Error::HttpProtocolError,
        },
        _ => Error::DestinationUnavailable,
    }
}
