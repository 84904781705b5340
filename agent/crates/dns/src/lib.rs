//! The DNS interface: names of the agent's domain as questions to the seam.
//!
//! A packet goes from the `handler` to the [`question`], which says what the name asks for; the
//! `lookup` asks the [`Backend`] and `records` turns the answer into
//! resource records. Nothing here keeps state: a name resolves to what the catalog says now.
//!
//! Start with [`question::parse`]; the record rules are in `records`.

mod handler;
mod lookup;
pub mod question;
mod records;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use lictor_model::seam::Backend;
use lictor_sys::clock::Clock;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

/// How long a TCP connection may stay silent.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// How many responses may wait on one TCP connection.
const TCP_RESPONSES: usize = 32;

/// How names resolve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The agent's own datacenter.
    pub datacenter: String,
    /// The domain the agent answers for, such as `consul`.
    pub domain: String,
    /// A second domain it answers for.
    pub alt_domain: Option<String>,
    /// Leave out instances with a warning too.
    pub only_passing: bool,
    /// How many answers fit into a UDP response to a client without EDNS.
    pub udp_answer_limit: usize,
    /// Add node metadata as TXT records to answers that were not asked for them.
    pub node_meta_txt: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            datacenter: "dc1".to_owned(),
            domain: "consul".to_owned(),
            alt_domain: None,
            only_passing: false,
            udp_answer_limit: 3,
            node_meta_txt: true,
        }
    }
}

/// The sockets that the server answers on; UDP ones may share an address.
#[derive(Debug)]
pub struct Sockets {
    /// For packets.
    pub udp: Vec<UdpSocket>,
    /// For answers that do not fit into one.
    pub tcp: TcpListener,
}

impl Sockets {
    /// Binds an address for UDP, with `workers` sockets that share the load, and for TCP.
    ///
    /// # Errors
    /// Those of the operating system, such as an address that is in use.
    pub fn bind(address: SocketAddr, workers: usize) -> std::io::Result<Self> {
        use lictor_sys::net::{Sharing, bind_udp, listen_tcp};
        // The TCP listener is the one that notices another process on this port.
        let tcp = listen_tcp(address)?;
        let bound = tcp.local_addr()?;
        let udp =
            (0..workers.max(1)).map(|_| bind_udp(bound, Sharing::Shared)).collect::<std::io::Result<_>>()?;
        Ok(Self { udp, tcp })
    }
}

/// Answers questions until `stop` is cancelled.
pub async fn serve(
    sockets: Sockets,
    settings: Settings,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut server = Server::new(handler::Handler::new(backend, settings, clock));
    for socket in sockets.udp {
        server.register_socket(socket);
    }
    server.register_listener(sockets.tcp, TCP_TIMEOUT, TCP_RESPONSES);
    let stopping = server.shutdown_token().clone();
    let mut done = std::pin::pin!(server.block_until_done());
    let result = tokio::select! {
        result = &mut done => result,
        () = stop.cancelled() => {
            stopping.cancel();
            done.await
        }
    };
    if let Err(error) = result {
        tracing::error!(%error, "dns server stopped");
    }
}
