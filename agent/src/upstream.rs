//! Where replicated state is: in this agent, if it is a server, or else with the servers.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lictor_gossip::Gossip;
use lictor_model::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use lictor_model::command::{Command, Outcome, WriteOptions};
use lictor_model::local::{Member, MemberStatus};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_model::seam::{Content, Saved};
use lictor_model::{Datacenter, Error, Result};
use lictor_rpc::Remote;
use lictor_server::Server;
use lictor_sys::random;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a client agent stays with a server at the least; up to half as much longer.
const REBALANCE: Duration = Duration::from_secs(120);

/// Where replicated state is.
pub(crate) enum Upstream {
    /// Here, once the log is open.
    Own(OnceLock<Arc<Server>>),
    /// With the servers.
    Servers(Arc<Remote>),
}

impl Upstream {
    /// The server that this agent is, if it is one and its log is open.
    pub(crate) fn own(&self) -> Option<&Arc<Server>> {
        match self {
            Self::Own(server) => server.get(),
            Self::Servers(_) => None,
        }
    }

    pub(crate) async fn read(&self, query: Query, options: ReadOptions) -> Result<Reply> {
        match self {
            Self::Own(server) => open(server)?.read(query, options).await,
            Self::Servers(remote) => remote.read(query, options).await,
        }
    }

    pub(crate) async fn write(&self, command: Command, options: WriteOptions) -> Result<Outcome> {
        match self {
            Self::Own(server) => open(server)?.write(command, options).await,
            Self::Servers(remote) => remote.write(command, options).await,
        }
    }

    pub(crate) async fn save(&self, options: ReadOptions) -> Result<Saved> {
        match self {
            Self::Own(server) => open(server)?.save(options).await,
            Self::Servers(remote) => remote.save(options).await,
        }
    }

    pub(crate) async fn restore(&self, content: Content, options: WriteOptions) -> Result<()> {
        match self {
            Self::Own(server) => open(server)?.restore(content, options).await,
            Self::Servers(remote) => remote.restore(content, options).await,
        }
    }

    pub(crate) async fn about_servers(
        &self,
        request: ServerRequest,
        options: ServerOptions,
    ) -> Result<ServerAnswer> {
        match self {
            // While the log is read, no leader is known.
            Self::Own(server) if server.get().is_none() && request == ServerRequest::Leader => {
                Ok(ServerAnswer::Leader(None))
            }
            Self::Own(server) => open(server)?.about_servers(request, options).await,
            Self::Servers(remote) => remote.about_servers(request, options).await,
        }
    }
}

fn open(server: &OnceLock<Arc<Server>>) -> Result<&Arc<Server>> {
    server.get().ok_or_else(Error::no_leader)
}

/// Keeps the list of servers in step with the gossip pool, and spreads the agents over them, until
/// `stop` is cancelled. Tells when there are servers that were not there before.
pub(crate) async fn follow_servers(
    remote: Arc<Remote>,
    gossip: Arc<Gossip>,
    datacenter: Datacenter,
    reachable: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut changes = gossip.watch_members();
    let mut rebalance = tokio::time::interval(REBALANCE + random::jitter(REBALANCE / 2));
    let alive = |member: &Member| {
        member.server_address(datacenter.as_str()).filter(|_| member.status == MemberStatus::Alive)
    };
    loop {
        let servers: Vec<SocketAddr> = changes.borrow_and_update().iter().filter_map(alive).collect();
        if remote.servers().update(&servers) {
            reachable.notify_one();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            _ = rebalance.tick() => remote.servers().shuffle(),
        }
    }
}
