//! The edges: the sockets that requests come in by, and what is told to those who answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lictor_config::{PoolConfig, RuntimeConfig};
use lictor_dns::Sockets;
use lictor_http::Listener;
use lictor_model::seam::Backend;
use lictor_sys::clock::Clock;
use lictor_sys::net;
use lictor_telemetry::metrics::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{StartError, dns};

/// How many sockets share the DNS load.
const DNS_SOCKETS: usize = 2;

/// What all edges work with.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Registry>,
}

/// The sockets of the edges.
pub(crate) struct Listeners {
    http: Vec<Listener>,
    dns: Vec<Sockets>,
    /// Whom DNS asks about the rest of the world.
    recursors: Vec<SocketAddr>,
    /// How many connections a single address may have by HTTP.
    http_limit: Arc<AtomicUsize>,
    /// Where gossip is to be spoken.
    pub(crate) serf: SocketAddr,
    /// The same for the pool between datacenters, if the agent is to be in it.
    pub(crate) serf_wan: Option<SocketAddr>,
    /// Where a server hears other agents; taken by whoever answers them.
    pub(crate) rpc: Option<TcpListener>,
    /// Where other agents are to reach this one.
    pub(crate) server_port: u16,
}

impl Listeners {
    /// Binds all sockets, so that a taken port is known before anything else begins.
    pub(crate) fn bind(config: &RuntimeConfig, recursors: Vec<SocketAddr>) -> Result<Self, StartError> {
        let http_limit = Arc::new(AtomicUsize::new(config.http.max_conns_per_client));
        let mut http = Vec::new();
        let mut dns_sockets = Vec::new();
        for at in addresses(&config.http.addrs, config.ports.http) {
            let listener =
                net::listen_tcp(at).map_err(|error| StartError::new(format!("http on {at}"), error))?;
            http.push(Listener::Tcp(listener, Arc::clone(&http_limit)));
        }
        for path in &config.http.sockets {
            let listener = net::listen_unix(path, config.http.socket_mode)
                .map_err(|error| StartError::new(format!("http on unix://{}", path.display()), error))?;
            http.push(Listener::Unix(listener));
        }
        for at in addresses(&config.dns_addrs, config.ports.dns) {
            dns_sockets.push(
                Sockets::bind(at, DNS_SOCKETS)
                    .map_err(|error| StartError::new(format!("dns on {at}"), error))?,
            );
        }
        let serf_ip = |pool: &PoolConfig| pool.bind.unwrap_or(config.bind_addr);
        let serf = SocketAddr::new(serf_ip(&config.gossip.lan), config.ports.serf_lan.unwrap_or_default());
        let serf_wan = config.ports.serf_wan.map(|port| SocketAddr::new(serf_ip(&config.gossip.wan), port));
        let mut server_port = config.ports.server.unwrap_or_default();
        let mut rpc = None;
        if config.server {
            let at = SocketAddr::new(config.bind_addr, server_port);
            let failed = |error| StartError::new(format!("rpc on {at}"), error);
            let listener = net::listen_tcp(at).map_err(failed)?;
            server_port = listener.local_addr().map_err(failed)?.port();
            rpc = Some(listener);
        }
        Ok(Self { http, dns: dns_sockets, recursors, http_limit, serf, serf_wan, rpc, server_port })
    }

    /// Opens the edges; what comes back changes them while they are open.
    pub(crate) fn serve(
        self,
        config: &RuntimeConfig,
        node: &str,
        shared: &Shared,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> Result<Live, StartError> {
        let Shared { backend, clock, metrics } = shared;
        let settings = lictor_http::Settings {
            datacenter: config.datacenter.clone(),
            node: node.to_owned(),
            pretty: config.dev,
            kv_max_value: config.kv_max_value_size,
            txn_max_request: config.txn_max_request,
            response_headers: lictor_http::headers(&config.http.response_headers).map_err(StartError)?,
            block_endpoints: config.http.block_endpoints.clone(),
            allow_write_from: config.http.allow_write_from.clone(),
            use_cache: config.http.use_cache,
            prometheus: !config.telemetry.prometheus_retention.is_zero(),
            metrics: Arc::clone(metrics),
            ..lictor_http::Settings::default()
        };
        let router = lictor_http::router(Arc::clone(backend), settings);
        for listener in self.http {
            tasks.spawn(lictor_http::serve(listener, router.clone(), Arc::clone(metrics), stop.clone()));
        }
        let times = lictor_dns::Times::new(metrics, node);
        let (dns, settings) = watch::channel(dns::settings(config, &self.recursors, &times));
        for sockets in self.dns {
            let (backend, clock) = (Arc::clone(backend), Arc::clone(clock));
            tasks.spawn(lictor_dns::serve(sockets, settings.clone(), backend, clock, stop.clone()));
        }
        Ok(Live { dns, times, http_limit: self.http_limit })
    }
}

/// What can be changed of open edges.
pub(crate) struct Live {
    dns: watch::Sender<lictor_dns::Settings>,
    times: lictor_dns::Times,
    http_limit: Arc<AtomicUsize>,
}

impl Live {
    /// Takes up what a configuration says.
    pub(crate) fn take_up(&self, config: &RuntimeConfig, recursors: &[SocketAddr]) {
        self.dns.send_replace(dns::settings(config, recursors, &self.times));
        self.http_limit.store(config.http.max_conns_per_client, Ordering::Relaxed);
    }
}

fn addresses(hosts: &[IpAddr], port: Option<u16>) -> Vec<SocketAddr> {
    port.map(|port| hosts.iter().map(|host| SocketAddr::new(*host, port)).collect()).unwrap_or_default()
}
