//! The DNS interface: names of the agent's domain as questions to the seam.
//!
//! The `server` takes packets from sockets and connections. A packet goes from the `handler`, which
//! has `message` read it, to the [`question`], which says what the name asks for; the `lookup` asks
//! the [`Backend`], `records` turns what it says into resource records, and `reply` writes as many
//! of them as the client can take. What is outside of the agent's domains goes to the `recursor`s.
//! Nothing here keeps state: a name resolves to what the catalog says now.
//!
//! Start with [`question::parse`]; the record rules are in `records`.

mod domain;
mod encode;
#[cfg(test)]
mod fixture;
mod handler;
mod lookup;
mod message;
mod place;
pub mod question;
mod records;
mod recursor;
mod reply;
mod server;
mod ttl;
mod txt;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_model::seam::Backend;
use lictor_sys::clock::Clock;
use lictor_telemetry::metrics::inventory::{DNS_DOMAIN_QUERY, DNS_PTR_QUERY};
use lictor_telemetry::metrics::{Registry, Series};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How names resolve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The agent's own datacenter.
    pub datacenter: String,
    /// The domain the agent answers for, such as `consul`.
    pub domain: String,
    /// A second domain it answers for.
    pub alt_domain: Option<String>,
    /// How long records of nodes may be kept.
    pub node_ttl: Duration,
    /// How long records of services may be kept, by name; a name that ends with `*` is a prefix.
    pub service_ttl: BTreeMap<String, Duration>,
    /// Leave out instances with a warning too.
    pub only_passing: bool,
    /// Let any server answer, not only the leader.
    pub allow_stale: bool,
    /// How far behind the leader such an answer may be.
    pub max_stale: Duration,
    /// How many answers fit into a UDP response to a client without EDNS; 8 at the most.
    pub udp_answer_limit: usize,
    /// How many instances an answer shows, other than to SRV questions; 0: all.
    pub a_record_limit: usize,
    /// Mark responses from which answers were cut.
    pub enable_truncate: bool,
    /// Write every name in full.
    pub disable_compression: bool,
    /// Add node metadata as TXT records to answers that were not asked for them.
    pub node_meta_txt: bool,
    /// The times of the start-of-authority record.
    pub soa: SoaTimes,
    /// Whom to ask about names outside of the domains; nobody: they are refused.
    pub recursors: Vec<SocketAddr>,
    /// In which order they are asked.
    pub recursor_order: RecursorOrder,
    /// How long each of them may take.
    pub recursor_timeout: Duration,
    /// Where it is recorded how long answers take.
    pub times: Times,
}

/// How long questions about the agent's domains take.
#[derive(Clone, Debug)]
pub struct Times {
    domain: Arc<Series>,
    reverse: Arc<Series>,
}

impl Times {
    /// Times of an agent on this node.
    #[must_use]
    pub fn new(registry: &Registry, node: &str) -> Self {
        let series = |metric| registry.series(metric, vec![("node", node.to_owned())]);
        Self { domain: series(&DNS_DOMAIN_QUERY), reverse: series(&DNS_PTR_QUERY) }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new(&Registry::default(), "")
    }
}

/// In which order recursors are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecursorOrder {
    /// As they are given.
    #[default]
    Sequential,
    /// Shuffled for every question.
    Random,
}

/// The times of the start-of-authority record, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoaTimes {
    /// After how long a secondary server looks for changes.
    pub refresh: u32,
    /// After how long it tries again.
    pub retry: u32,
    /// After how long without a success it stops answering.
    pub expire: u32,
    /// How long "does not exist" may be kept.
    pub min_ttl: u32,
}

impl Default for SoaTimes {
    fn default() -> Self {
        Self { refresh: 3600, retry: 600, expire: 86_400, min_ttl: 0 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            datacenter: "dc1".to_owned(),
            domain: "consul".to_owned(),
            alt_domain: None,
            node_ttl: Duration::ZERO,
            service_ttl: BTreeMap::new(),
            only_passing: false,
            allow_stale: true,
            max_stale: Duration::MAX,
            udp_answer_limit: 3,
            a_record_limit: 0,
            enable_truncate: false,
            disable_compression: false,
            node_meta_txt: true,
            soa: SoaTimes::default(),
            recursors: Vec::new(),
            recursor_order: RecursorOrder::Sequential,
            recursor_timeout: Duration::from_secs(2),
            times: Times::default(),
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

/// Answers questions until `stop` is cancelled, always by the newest settings.
pub async fn serve(
    sockets: Sockets,
    mut settings: watch::Receiver<Settings>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let handler = |settings: &Settings| {
        Arc::new(handler::Handler::new(Arc::clone(&backend), settings.clone(), Arc::clone(&clock)))
    };
    let first = handler(&settings.borrow_and_update());
    let (newest, handlers) = watch::channel(first);
    let mut tasks = JoinSet::new();
    for socket in sockets.udp {
        tasks.spawn(server::packets(socket, handlers.clone(), stop.clone()));
    }
    tasks.spawn(server::connections(sockets.tcp, handlers, stop.clone()));
    let follow = async {
        while settings.changed().await.is_ok() {
            let next = handler(&settings.borrow_and_update());
            newest.send_replace(next);
        }
        // Nobody changes them any more.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow => {}
    }
    while tasks.join_next().await.is_some() {}
}
