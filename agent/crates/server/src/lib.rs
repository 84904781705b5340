//! What only servers do: answer reads, carry out writes, and, while leading, keep the catalog in
//! step with the gossip pool.
//!
//! [`Server::read`] owns the blocking-query loop and [`Server::write`] the way of a command into
//! the log; what only the leader can do goes there ([`mod@place`]), and what other agents ask comes
//! in through [`lictor_rpc::Handler`] ([`mod@peers`]). Reads and writes authorize and validate here,
//! since the agent that forwarded a request is not trusted to have done so.
//!
//! [`duties`] are what a leader does unasked for the catalog: [`duties::plan`] says what it lacks of
//! the members, [`duties::run`] writes it. [`membership`] is what it does for the servers, thought
//! out in [`mod@autopilot`]. [`sessions`] ends what was not renewed in time. [`snapshot`] saves the whole state and puts one back. [`bootstrap`] is how a
//! server without a cluster gets into one.
//!
//! Nothing here knows HTTP or DNS, and nothing but the store decides what a command does.

mod autopilot;
pub mod bootstrap;
pub mod duties;
pub mod membership;
mod peers;
mod place;
mod pools;
mod prepare;
mod prepared;
mod read;
mod servers;
pub mod sessions;
pub mod snapshot;
mod timers;
mod transaction;
mod transfers;
mod write;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_acl::Resolver;
use lictor_consensus::Consensus;
use lictor_gossip::Gossip;
use lictor_model::cluster::RaftServers;
use lictor_model::operator::AutopilotConfig;
use lictor_model::{Datacenter, Error, Result};
use lictor_rpc::Transport;
use lictor_store::Store;
use lictor_sys::clock::SystemClock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::autopilot::Autopilot;
use crate::timers::Timers;
use crate::transfers::Transfers;

/// How a server answers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its datacenter.
    pub datacenter: Datacenter,
    /// How long a blocking query waits if it does not say.
    pub default_query_time: Duration,
    /// How long a blocking query waits at the most.
    pub max_query_time: Duration,
    /// The shortest time to live that a session may ask for.
    pub session_ttl_min: Duration,
    /// How servers are looked after until an operator says otherwise.
    pub autopilot: AutopilotConfig,
    /// How long a request waits for a leader to be there.
    pub hold_timeout: Duration,
}

/// Who is told how long duties of a leader took.
pub trait Observer: Send + Sync + 'static {
    /// The catalog was compared with the gossip pool and brought in step.
    fn reconciled(&self, took: Duration);
    /// So long ago a follower was last known to follow.
    fn silent(&self, silence: Duration);
    /// Sessions whose time to live was over were ended.
    fn sessions_ended(&self, took: Duration);
}

/// One server.
pub struct Server {
    settings: Settings,
    consensus: Arc<Consensus>,
    store: Arc<Store>,
    gossip: Arc<Gossip>,
    /// The pool between datacenters, if this server is in it.
    wan: Option<Arc<Gossip>>,
    transport: Arc<dyn Transport>,
    resolver: Resolver,
    /// Whether this server, while leading, has put itself into the catalog. Until then it does
    /// not call itself leader: who sees a leader expects to see its node too.
    is_registered: AtomicBool,
    /// How the servers are, while this one leads.
    autopilot: Mutex<Option<Autopilot>>,
    /// When sessions and lock-delays end, while this server leads.
    timers: Mutex<Option<Timers>>,
    transfers: Arc<Transfers>,
    /// Held while a snapshot is being restored: one at a time.
    restoring: Arc<Semaphore>,
    clock: SystemClock,
    stop: CancellationToken,
}

impl Server {
    /// A server on an open log. Requests that wait end when `stop` is cancelled.
    #[must_use]
    pub fn new(
        settings: Settings,
        consensus: Arc<Consensus>,
        store: Arc<Store>,
        (gossip, wan): (Arc<Gossip>, Option<Arc<Gossip>>),
        transport: Arc<dyn Transport>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            settings,
            consensus,
            store,
            gossip,
            wan,
            transport,
            resolver: Resolver::default(),
            is_registered: AtomicBool::new(false),
            autopilot: Mutex::new(None),
            timers: Mutex::new(None),
            transfers: Arc::default(),
            restoring: Arc::new(Semaphore::new(1)),
            clock: SystemClock::default(),
            stop,
        }
    }

    /// The leader's address for requests between agents, once and for as long as it can be relied
    /// on: a leader that a majority does not answer is none.
    #[must_use]
    pub fn leader(&self) -> Option<SocketAddr> {
        let leader = self.consensus.leader()?;
        let is_settled = !self.consensus.is_leader()
            || (self.is_registered.load(Ordering::Acquire) && self.consensus.lease_is_valid());
        is_settled.then_some(leader.address)
    }

    /// The servers that Raft counts.
    #[must_use]
    pub fn servers(&self) -> RaftServers {
        self.consensus.servers()
    }

    /// Where this server's log is.
    #[must_use]
    pub fn raft_status(&self) -> lictor_consensus::Status {
        self.consensus.status()
    }

    /// How much the state holds.
    #[must_use]
    pub fn sizes(&self) -> lictor_store::Sizes {
        self.store.snapshot().sizes()
    }

    /// How many different things readers wait for.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.store.watchers().watched()
    }

    /// Checks that a request is for this datacenter.
    ///
    /// # Errors
    /// [`NoPath`](lictor_model::Code::NoPath) for any other.
    pub fn check_datacenter(&self, wanted: Option<&Datacenter>) -> Result<()> {
        match wanted {
            Some(wanted) if !wanted.is_empty() && *wanted != self.settings.datacenter => {
                Err(Error::no_path())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn mark_registered(&self, is_registered: bool) {
        self.is_registered.store(is_registered, Ordering::Release);
    }

    fn timers(&self) -> MutexGuard<'_, Option<Timers>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
