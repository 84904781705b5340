//! Connections: how many there may be, and how long they may take.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lictor_telemetry::metrics::Registry;
use lictor_telemetry::metrics::inventory::HTTP_CONNECTIONS;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long requests in flight may take to end once the server stops.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a client may take to send the head of its next request; also how long a connection
/// may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// How many connections all clients together may have.
const MAX_CONNECTIONS: usize = 65_536;
/// How long to wait after the system would not give another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a client hears that has too many connections.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    Your IP is issuing too many concurrent connections, please rate limit your calls\n";
/// How long that client may take to hear it.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(10);

/// Where connections come in.
#[derive(Debug)]
pub enum Listener {
    /// From the network, and how many a single address may have; 0 for no limit. What changes
    /// there counts for connections that come after it.
    Tcp(TcpListener, Arc<AtomicUsize>),
    /// From this machine, by a path.
    Unix(UnixListener),
}

/// Who sent a request, if it came over the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

/// Serves connections until `stop` is cancelled, then lets requests in flight end for a moment.
/// How many are open is recorded in `metrics`.
pub async fn serve(listener: Listener, router: Router, metrics: Arc<Registry>, stop: CancellationToken) {
    let open = metrics.level(&HTTP_CONNECTIONS);
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let clients = Arc::new(Clients::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "http: a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, stop, clients) = (router.clone(), stop.clone(), Arc::clone(&clients));
        let limit = listener.limit();
        let open = open.raise();
        connections.spawn(async move {
            let (_permit, _open) = (permit, open);
            match stream {
                Stream::Unix(stream) => connection(stream, Peer(None), router, stop).await,
                Stream::Tcp(stream, address) => match clients.admit(address.ip(), limit) {
                    Some(_admitted) => connection(stream, Peer(Some(address.ip())), router, stop).await,
                    None => refuse(stream).await,
                },
            }
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is left is aborted with the set.
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

impl Listener {
    fn limit(&self) -> usize {
        match self {
            Self::Tcp(_, limit) => match limit.load(Ordering::Relaxed) {
                0 => usize::MAX,
                limit => limit,
            },
            Self::Unix(_) => usize::MAX,
        }
    }
}

enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

async fn accept(
    listener: &Listener,
    room: &Arc<Semaphore>,
) -> io::Result<(Stream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let stream = match listener {
        Listener::Tcp(listener, _) => {
            let (stream, address) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Stream::Tcp(stream, address)
        }
        Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
    };
    Ok((stream, permit))
}

async fn connection<S>(stream: S, peer: Peer, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A client that goes away or talks nonsense is no concern of the agent's.
        _ = served.as_mut() => {}
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}

async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, stream.write_all(TOO_MANY)).await;
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

impl Clients {
    fn admit(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<Admitted> {
        let mut table = self.table();
        let count = table.entry(address).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(table);
        Some(Admitted { clients: Arc::clone(self), address })
    }

    fn table(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that counts for its address until it is dropped.
struct Admitted {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut table = self.clients.table();
        if let Some(count) = table.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.address);
            }
        }
    }
}
