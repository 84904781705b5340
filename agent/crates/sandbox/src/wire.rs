//! What really goes over the network for a run: names, connections, TLS, HTTP.
//!
//! Everything here is bound by a [`Leash`]: the run's grants, its deadline and its counters. A
//! connection is made only to an address that was resolved and checked just before, so that a name
//! that changes its mind in between leads nowhere.

pub(crate) mod deadline;
pub(crate) mod exec;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use lictor_sys::net;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;

use crate::bindings::types::{Misbehaviour, ProbeError, Timings};
use crate::config::Limits;
use crate::grants::{Grants, Reach};
use deadline::Deadline;
use fault::{local_failure, target_fault};

/// What holds one run.
#[derive(Clone, Debug)]
pub(crate) struct Leash {
    pub(crate) grants: Arc<Grants>,
    pub(crate) deadline: Deadline,
    pub(crate) tls: Arc<tls::Tls>,
    limits: Limits,
    connections: Arc<AtomicU32>,
    inbound: Arc<AtomicUsize>,
}

/// A connection, and how it came about.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
}

impl Leash {
    pub(crate) fn new(grants: Arc<Grants>, deadline: Deadline, tls: Arc<tls::Tls>, limits: Limits) -> Self {
        Self { grants, deadline, tls, limits, connections: Arc::default(), inbound: Arc::default() }
    }

    /// The same leash with less time, if the request gives itself less.
    pub(crate) fn within(&self, millis: Option<u32>) -> Self {
        Self { deadline: self.deadline.narrowed(millis), ..self.clone() }
    }

    /// Counts one more connection or question.
    pub(crate) fn count_connection(&self) -> Result<(), ProbeError> {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            return Err(ProbeError::Limit(format!(
                "limit of {} connections reached",
                self.limits.connections
            )));
        }
        Ok(())
    }

    /// How many more bytes may be read from peers.
    pub(crate) fn inbound_left(&self) -> usize {
        self.limits.inbound.saturating_sub(self.inbound.load(Ordering::Relaxed))
    }

    /// Counts bytes read from a peer.
    pub(crate) fn count_inbound(&self, bytes: usize) {
        self.inbound.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The addresses of a host that a grant may be used at.
    pub(crate) async fn resolve(
        &self,
        host: &str,
        port: u16,
        reach: Reach,
        timings: &mut Timings,
    ) -> Result<Vec<SocketAddr>, ProbeError> {
        let started = Instant::now();
        let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let lookup = async { Ok(lookup_host((host, port)).await.map(Iterator::collect)) };
                match self.deadline.limit("looking up the name", lookup).await? {
                    Ok(addresses) => addresses,
                    Err(error) => return Err(local_failure(&error).unwrap_or_else(|| no_such_host(host))),
                }
            }
        };
        timings.resolve += micros(started.elapsed());
        if found.is_empty() {
            return Err(no_such_host(host));
        }
        let permitted: Vec<SocketAddr> =
            found.iter().copied().filter(|address| reach.permits(address.ip())).collect();
        match found.first() {
            Some(first) if permitted.is_empty() => Err(ProbeError::Denied(format!(
                "{host} leads to {}, and patterns do not grant loopback, link-local or metadata addresses",
                first.ip()
            ))),
            _ => Ok(permitted),
        }
    }

    /// Connects to the first of a host's permitted addresses that answers.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        reach: Reach,
        timings: &mut Timings,
    ) -> Result<Link, ProbeError> {
        self.count_connection()?;
        let addresses = self.resolve(host, port, reach, timings).await?;
        let started = Instant::now();
        let mut left = addresses.len();
        let mut failure = no_such_host(host);
        for peer in addresses {
            // An address that does not answer must leave time for those after it.
            let share = self.deadline.left() / u32::try_from(left).unwrap_or(u32::MAX).max(1);
            left -= 1;
            let attempt = async {
                Ok(match left {
                    0 => net::open_tcp(peer).await,
                    _ => net::connect_tcp(peer, share.max(Duration::from_millis(1))).await,
                })
            };
            match self.deadline.limit("connecting", attempt).await {
                Ok(Ok(stream)) => {
                    timings.connect += micros(started.elapsed());
                    return Ok(Link { stream, peer });
                }
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                    failure = self.deadline.passed("connecting");
                }
                Ok(Err(error)) => failure = target_fault(&error),
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }
}

fn no_such_host(host: &str) -> ProbeError {
    fault::target(Misbehaviour::NameNotFound, format!("lookup {host}: no such host"))
}

/// A duration as the WIT package counts it.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Timings of nothing yet.
pub(crate) fn no_timings() -> Timings {
    Timings { resolve: 0, connect: 0, tls: 0, first_byte: 0, total: 0 }
}
