//! Puts one agent together and takes it apart again.
//!
//! The order of the start: what can fail for the operator's sake first (identity, sockets), then
//! what was saved and what files define, then the edges, so that requests are answered while the
//! log is read, then the log and what needs it. The end goes the other way round: no new requests,
//! no new runs, then gossip, then the log.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lictor_acl::Resolver;
use lictor_checks::{Reporter, Scheduler};
use lictor_config::{RuntimeConfig, Sources};
use lictor_consensus::Consensus;
use lictor_local::{Local, LocalState};
use lictor_model::probe::CheckRunner;
use lictor_model::seam::Backend;
use lictor_model::{Error, Result};
use lictor_rpc::{Network, Remote, RemoteSettings};
use lictor_sandbox::Sandbox;
use lictor_sys::clock::{Clock, SystemClock};
use lictor_sys::file;
use lictor_telemetry::log::{self, Log};
use lictor_telemetry::metrics::Registry;
use lictor_telemetry::metrics::inventory::SERF_EVENTS;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::aliases::Aliases;
use crate::backend::{AgentBackend, Order};
use crate::cache::Cache;
use crate::edges::{Listeners, Live, Shared};
use crate::events::{self, Heard};
use crate::figures::Figures;
use crate::measure::{self, Members};
use crate::notify::Phase;
use crate::pools::Pools;
use crate::reaper::Reaper;
use crate::registrar::{Registrar, Settings};
use crate::reporter::ToLocal;
use crate::serving::Serving;
use crate::signals::{Signals, Told};
use crate::sync::Syncer;
use crate::timed::TimedRunner;
use crate::upstream::{Upstream, follow_servers};
use crate::{banner, coordinates, dns, identity, notify, parts, pools, reload, watch_files};

/// How long the tasks of the agent may take to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a leader that stops waits for another one.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a server that leaves waits to be removed from the Raft configuration.
const RAFT_LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many orders may wait.
const ORDERS: usize = 16;

/// How the agent was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Leave the cluster first.
    Leave,
    /// Just stop.
    Stop,
    /// Something broke that the agent cannot go on without.
    Broken,
}

/// A running agent.
pub struct Agent {
    config: RuntimeConfig,
    sources: Sources,
    /// Where others reach the agent.
    address: IpAddr,
    log: Log,
    backend: Arc<AgentBackend>,
    /// Connections to other agents.
    network: Arc<Network>,
    /// What can be changed of the edges.
    edges: Live,
    /// Says so when configuration files have changed.
    changed: mpsc::Receiver<()>,
    consensus: Option<Arc<Consensus>>,
    cache: Arc<Cache>,
    tasks: JoinSet<()>,
    /// Ends the edges.
    stop_edges: CancellationToken,
    /// Ends everything else.
    stop: CancellationToken,
}

impl Agent {
    /// Starts an agent; what its own interface tells it to do arrives at the receiver.
    ///
    /// # Errors
    /// If it cannot run as it is told; what had been started has ended then.
    pub async fn start(
        config: RuntimeConfig,
        sources: Sources,
        log: Log,
    ) -> Result<(Self, mpsc::Receiver<Order>), StartError> {
        if let Some(data_dir) = &config.data_dir {
            file::create_private_dir(data_dir)
                .and_then(|()| file::probe_dir(data_dir))
                .map_err(|error| StartError::unusable(data_dir, &error))?;
        }
        let (identity, address) = identity::establish(&config)?;
        banner::print(&config, &identity, pools::are_encrypted(&config));
        for warning in config.warnings.iter().chain(&config.unmet.ineffective) {
            tracing::warn!("{warning}");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let recursors = dns::recursors(&config, address).await?;
        let mut listeners = Listeners::bind(&config, recursors)?;
        let server_address = SocketAddr::new(address, listeners.server_port);
        let pools = Pools::start(&config, &identity, &listeners, server_address, &clock)?;
        let gossip = Arc::clone(&pools.lan);
        let stop = CancellationToken::new();
        let stop_edges = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let metrics = Arc::<Registry>::default();
        tasks.spawn(measure::intervals(Arc::clone(&metrics), Arc::clone(&clock), stop.clone()));
        tasks.spawn(parts::log_members(gossip.events(), Members::new(&metrics), stop.clone()));

        let network = Network::new(config.bind_addr, stop.clone());
        let reachable = Arc::<Notify>::default();
        let upstream = if config.server {
            Upstream::Own(OnceLock::new())
        } else {
            let settings = RemoteSettings { hold_timeout: config.rpc_hold_timeout };
            let remote = Arc::new(Remote::new(Arc::clone(&network) as _, settings));
            let (pool, datacenter) = (Arc::clone(&gossip), identity.datacenter.clone());
            let following =
                follow_servers(Arc::clone(&remote), pool, datacenter, Arc::clone(&reachable), stop.clone());
            tasks.spawn(following);
            Upstream::Servers(remote)
        };
        let local = Local::new(LocalState::new(identity.clone(), config.check_update_interval));
        let heard = Arc::<Heard>::default();
        let count = metrics.series(&SERF_EVENTS, Vec::new());
        tasks.spawn(events::follow(Arc::clone(&heard), local.clone(), gossip.fired(), count, stop.clone()));
        let sandbox = Arc::new(Sandbox::new(parts::sandbox_config(&config)));
        let keeper = Arc::new(OnceLock::new());
        let reporter: Arc<dyn Reporter> = Arc::new(ToLocal {
            local: local.clone(),
            clock: Arc::clone(&clock),
            registrar: Arc::clone(&keeper),
        });
        let runner: Arc<dyn CheckRunner> =
            Arc::new(TimedRunner::new(Arc::clone(&sandbox) as _, Arc::clone(&metrics)));
        let aliases = Arc::new(Aliases::new(local.clone(), Arc::clone(&reporter), stop.clone()));
        let (scheduler, scheduling) = Scheduler::start(runner, reporter, Arc::clone(&clock), stop.clone());
        tasks.spawn(scheduling);
        let files = parts::open_files(&config)?;
        let (registrar, registering) = Registrar::new(
            local.clone(),
            scheduler.clone(),
            Arc::clone(&aliases),
            files.clone(),
            Settings { script_checks: config.script_checks, output_limit: config.check_output_max_size },
            stop.clone(),
        );
        tasks.spawn(registering);
        // This is the only place that sets it.
        let _ = keeper.set(registrar.clone());
        let (orders, receive_orders) = mpsc::channel(ORDERS);
        let backend = Arc::new(AgentBackend {
            local: local.clone(),
            registrar: registrar.clone(),
            scheduler,
            sandbox,
            gossip: Arc::clone(&gossip),
            wan: pools.wan.clone(),
            clock: Arc::clone(&clock),
            resolver: Resolver::default(),
            heard,
            figures: Figures::new(&config, Arc::clone(&metrics)),
            upstream,
            data_dir: config.data_dir.clone(),
            orders,
            log: log.clone(),
            stop: stop_edges.clone(),
        });
        let as_backend: Arc<dyn Backend> = Arc::clone(&backend) as _;
        aliases.ask(Arc::downgrade(&as_backend));

        // Before the edges open: what was saved must not overwrite what a request has changed.
        // Services come before what files define and checks after it, for either may speak for
        // services of the other.
        let saved = parts::load_saved(files).await?;
        registrar.restore_services(saved.services).await;
        registrar.apply_files(&config).await.map_err(|error| StartError(error.message))?;
        registrar.restore_checks(saved.checks).await;
        let cache = Arc::new(Cache::new(Arc::clone(&backend) as _, stop_edges.clone()));
        let shared = Shared {
            backend: Arc::clone(&cache) as _,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
        };
        let rpc = listeners.rpc.take();
        let edges = listeners.serve(&config, identity.name.as_str(), &shared, &stop_edges, &mut tasks)?;
        let mut consensus = None;
        if let (Upstream::Own(own), Some(rpc)) = (&backend.upstream, rpc) {
            let serving = Serving {
                config: &config,
                identity: &identity,
                address: server_address,
                pools: &pools,
                transport: Arc::clone(&network) as _,
                clock: Arc::clone(&clock),
                metrics: &metrics,
                reachable: Arc::clone(&reachable),
                stop: &stop,
            };
            let (opened, server) = serving.start(rpc, &mut tasks).await?;
            // This is the only place that sets it.
            let _ = own.set(server);
            consensus = Some(opened);
        }
        let reaper = Reaper {
            local: local.clone(),
            registrar,
            clock: Arc::clone(&clock),
            interval: config.check_reap_interval,
            least: config.check_deregister_interval_min,
        };
        tasks.spawn(reaper.run(stop.clone()));
        let syncer = Syncer {
            local,
            backend: Arc::clone(&backend) as Arc<dyn Backend>,
            clock,
            reachable,
            cluster_size: Box::new(move || gossip.members().len()),
        };
        tasks.spawn(syncer.run(stop.clone()));
        tasks.spawn(coordinates::run(
            Arc::clone(&pools.lan),
            Arc::clone(&backend) as Arc<dyn Backend>,
            identity.name.clone(),
            stop.clone(),
        ));
        pools.join(&config, &stop, &mut tasks);
        if let Some(path) = &config.pid_file {
            // Others than the agent's own user are to read it.
            std::fs::write(path, std::process::id().to_string())
                .map_err(|error| StartError::new(format!("pid_file {}", path.display()), error))?;
        }
        let (tell, changed) = mpsc::channel(1);
        if config.auto_reload {
            tasks.spawn(watch_files::run(sources.clone(), tell, stop.clone()));
        }
        tracing::info!("Consul agent running!");
        let agent = Self {
            config,
            sources,
            address,
            log,
            backend,
            network,
            edges,
            changed,
            consensus,
            cache,
            tasks,
            stop_edges,
            stop,
        };
        Ok((agent, receive_orders))
    }

    /// Waits until the agent is told to end, and reloads whenever it is told to.
    pub async fn until_told(&mut self, signals: &mut Signals, mut orders: mpsc::Receiver<Order>) -> Ending {
        loop {
            tokio::select! {
                told = signals.next() => {
                    tracing::info!(signal = ?told, "Caught signal");
                    match told {
                        // What went wrong is in the log.
                        Told::Hangup => drop(self.reload().await),
                        Told::Interrupt if !self.config.skip_leave_on_interrupt => return Ending::Leave,
                        Told::Terminate if self.config.leave_on_terminate => return Ending::Leave,
                        Told::Interrupt | Told::Terminate => return Ending::Stop,
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Reload(done)) => {
                        // Whoever asked may have stopped waiting.
                        let _ = done.send(self.reload().await);
                    }
                    Some(Order::Leave(done)) => {
                        self.leave().await;
                        let _ = done.send(Ok(()));
                        return Ending::Leave;
                    }
                    None => return Ending::Broken,
                },
                Some(()) = self.changed.recv() => {
                    tracing::info!("configuration files have changed");
                    drop(self.reload().await);
                }
                why = broken(self.consensus.as_ref()) => {
                    tracing::error!(%why, "the agent cannot go on");
                    return Ending::Broken;
                }
                Some(ended) = self.tasks.join_next() => {
                    let why = ended.err().map_or_else(|| "it returned".to_owned(), |error| error.to_string());
                    tracing::error!(%why, "a task of the agent ended, and it cannot go on without");
                    return Ending::Broken;
                }
            }
        }
    }

    /// Reads the configuration again and takes up what has changed; a configuration that is wrong
    /// changes nothing.
    async fn reload(&mut self) -> Result<()> {
        notify::tell(Phase::Reloading);
        let outcome = self.take_up().await;
        notify::tell(Phase::Ready);
        outcome.map_err(|why| {
            tracing::error!(%why, "reload failed, nothing has changed");
            Error::failed(format!("Reload failed: {why}"))
        })
    }

    async fn take_up(&mut self) -> Result<(), String> {
        let mut config = lictor_config::load(&self.sources).map_err(|problems| problems.to_string())?;
        if !config.unmet.refused.is_empty() {
            return Err(config.unmet.refused.join("\n"));
        }
        let level = log::level(&config.log.level)?;
        let kept = reload::keep_fixed(&self.config, &mut config);
        let recursors = dns::recursors(&config, self.address).await.map_err(|error| error.to_string())?;
        self.backend.registrar.apply_files(&config).await.map_err(|error| error.message)?;
        let replaced = self.backend.sandbox.refresh().await;
        self.backend.registrar.renew(&replaced).await;
        self.backend.sandbox.evict();
        self.log.set_level(level);
        self.edges.take_up(&config, &recursors);
        let meta = identity::meta(&config);
        self.backend.local.change(|state| state.reconfigure(meta, config.check_update_interval));
        for key in kept {
            tracing::warn!("The '{key}' field has changed, which takes effect only with a restart");
        }
        let known = |line: &&String| {
            self.config.warnings.contains(line) || self.config.unmet.ineffective.contains(line)
        };
        for warning in config.warnings.iter().chain(&config.unmet.ineffective).filter(|line| !known(line)) {
            tracing::warn!("{warning}");
        }
        self.config = config;
        tracing::info!("configuration reloaded");
        Ok(())
    }

    /// Leaves the servers' cluster, and then the pools.
    async fn leave(&self) {
        if let Some(consensus) = &self.consensus {
            consensus.leave(RAFT_LEAVE_TIMEOUT).await;
        }
        self.backend.gossip.leave().await;
        if let Some(wan) = &self.backend.wan {
            wan.leave().await;
        }
    }

    /// Ends the agent; returns the exit status of the process.
    pub async fn stop(mut self, ending: Ending) -> ExitCode {
        if ending == Ending::Leave {
            self.leave().await;
            tracing::info!("Graceful leave complete");
        }
        if let Some(consensus) = self.consensus.as_ref().filter(|_| ending == Ending::Stop) {
            consensus.hand_over(HAND_OVER_TIMEOUT).await;
        }
        self.stop_edges.cancel();
        self.stop.cancel();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        self.tasks.shutdown().await;
        self.cache.shutdown().await;
        self.backend.sandbox.shutdown().await;
        self.backend.gossip.shutdown().await;
        if let Some(wan) = &self.backend.wan {
            wan.shutdown().await;
        }
        if let Some(consensus) = &self.consensus {
            consensus.shutdown().await;
        }
        self.network.shutdown().await;
        if let Some(path) = &self.config.pid_file
            && let Err(error) = file::remove_durable(path)
        {
            tracing::warn!(%error, "the pid file could not be removed");
        }
        if ending == Ending::Leave { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Why the log cannot go on, once it cannot.
async fn broken(consensus: Option<&Arc<Consensus>>) -> String {
    match consensus {
        Some(consensus) => consensus.fatal().await,
        None => std::future::pending().await,
    }
}
