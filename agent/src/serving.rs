//! What only servers start: their log, who answers other agents, and the duties of a leader.

use std::net::SocketAddr;
use std::sync::Arc;

use lictor_config::RuntimeConfig;
use lictor_consensus::{Consensus, Options as RaftOptions, PeerInfo, Storage};
use lictor_local::Identity;
use lictor_rpc::Transport;
use lictor_server::{
    Observer, Server, Settings as ServerSettings, bootstrap, duties, membership, sessions, snapshot,
};
use lictor_store::Store;
use lictor_sys::clock::Clock;
use lictor_telemetry::metrics::inventory::RAFT_LEADER;
use lictor_telemetry::metrics::{Registry, Series};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::measure::Duties;
use crate::pools::Pools;

/// What a server is made of.
pub(crate) struct Serving<'a> {
    pub(crate) config: &'a RuntimeConfig,
    pub(crate) identity: &'a Identity,
    /// Where other agents reach it.
    pub(crate) address: SocketAddr,
    pub(crate) pools: &'a Pools,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: &'a Registry,
    /// Told when there is a leader that was not there before.
    pub(crate) reachable: Arc<Notify>,
    pub(crate) stop: &'a CancellationToken,
}

impl Serving<'_> {
    /// Opens the log, and starts everything that a server does until `stop` is cancelled.
    ///
    /// # Errors
    /// If the log cannot be used.
    pub(crate) async fn start(
        self,
        listener: TcpListener,
        tasks: &mut JoinSet<()>,
    ) -> Result<(Arc<Consensus>, Arc<Server>), StartError> {
        let (consensus, server) = self.open().await?;
        let stop = self.stop;
        tasks.spawn(lictor_rpc::serve(listener, Arc::clone(&server) as _, stop.clone()));
        if self.config.bootstrap_expect > 1 && !self.config.read_replica {
            tasks.spawn(bootstrap::run(
                Arc::clone(&consensus),
                Arc::clone(&self.pools.lan),
                self.config.datacenter.clone(),
                usize::try_from(self.config.bootstrap_expect).unwrap_or(usize::MAX),
                stop.clone(),
            ));
        }
        let observer: Arc<dyn Observer> = Arc::new(Duties::new(self.metrics));
        tasks.spawn(duties::run(Arc::clone(&server), self.clock, Arc::clone(&observer), stop.clone()));
        tasks.spawn(membership::run(Arc::clone(&server), Arc::clone(&observer), stop.clone()));
        tasks.spawn(snapshot::run(Arc::clone(&server), stop.clone()));
        tasks.spawn(sessions::run(Arc::clone(&server), observer, stop.clone()));
        let times_led = self.metrics.series(&RAFT_LEADER, vec![]);
        tasks.spawn(log_leadership(Arc::clone(&consensus), times_led, self.reachable, stop.clone()));
        Ok((consensus, server))
    }

    async fn open(&self) -> Result<(Arc<Consensus>, Arc<Server>), StartError> {
        let node = PeerInfo {
            address: self.address,
            name: self.identity.name.to_string(),
            node_id: self.identity.id.to_string(),
        };
        let mut options = RaftOptions::new(node);
        options.raft_multiplier = self.config.raft_multiplier;
        if let Some(threshold) = self.config.raft_snapshot_threshold {
            options.snapshot_threshold = threshold;
        }
        if let Some(trailing) = self.config.raft_trailing_logs {
            options.trailing_logs = trailing;
        }
        let storage = match &self.config.data_dir {
            None => Storage::Memory,
            Some(data_dir) => Storage::Disk(data_dir.join("raft")),
        };
        recover(&storage, &options.node).await?;
        let store = Arc::new(Store::new());
        let consensus = Consensus::open(options, storage, Arc::clone(&store), Arc::clone(&self.transport))
            .await
            .map_err(|error| StartError::new("raft", error))?;
        if self.config.bootstrap || self.config.bootstrap_expect == 1 {
            consensus.bootstrap().await.map_err(|error| StartError::new("raft", error))?;
        }
        let settings = ServerSettings {
            datacenter: self.identity.datacenter.clone(),
            default_query_time: self.config.default_query_time,
            max_query_time: self.config.max_query_time,
            session_ttl_min: self.config.session_ttl_min,
            autopilot: self.config.autopilot.clone(),
            hold_timeout: self.config.rpc_hold_timeout,
        };
        let pools = (Arc::clone(&self.pools.lan), self.pools.wan.clone());
        let server = Server::new(
            settings,
            Arc::clone(&consensus),
            store,
            pools,
            Arc::clone(&self.transport),
            self.stop.clone(),
        );
        let server = Arc::new(server);
        Ok((consensus, server))
    }
}

/// Takes up which servers there are to be, if an operator has said so.
async fn recover(storage: &Storage, node: &PeerInfo) -> Result<(), StartError> {
    let Storage::Disk(directory) = storage else { return Ok(()) };
    let (directory, node) = (directory.clone(), node.clone());
    tokio::task::spawn_blocking(move || lictor_consensus::recover(&directory, &node))
        .await
        .map_err(|error| StartError::new("raft", error))?
        .map(drop)
        .map_err(|error| StartError::new("raft", error))
}

pub(crate) async fn log_leadership(
    consensus: Arc<Consensus>,
    times_led: Arc<Series>,
    reachable: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut leadership = consensus.subscribe_leadership();
    let mut led = false;
    let mut known = None;
    loop {
        let now = leadership.borrow_and_update().clone();
        if now.established && !led {
            times_led.count();
            tracing::info!("cluster leadership acquired");
        }
        led = now.established;
        if now.leader != known
            && let Some(leader) = &now.leader
        {
            tracing::info!(payload = %leader.name, "New leader elected");
            reachable.notify_one();
        }
        known = now.leader;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leadership.changed() => if changed.is_err() { return },
        }
    }
}
