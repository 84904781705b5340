//! Puts one agent together and takes it apart again.
//!
//! The order of the start: what can fail for the operator's sake first (identity, sockets), then
//! what was saved and what files define, then the edges, so that requests are answered while the
//! log is read, then the log and what needs it. The end goes the other way round: no new requests,
//! no new runs, then gossip, then the log.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lictor_checks::{Reporter, Scheduler};
use lictor_config::{RuntimeConfig, ScriptChecks, Sources};
use lictor_consensus::{Consensus, Options as RaftOptions, PeerInfo, Storage};
use lictor_dns::Sockets;
use lictor_gossip::{Gossip, MemberEvent, Options as GossipOptions};
use lictor_local::persist::{Files, Saved};
use lictor_local::{Identity, Local, LocalState};
use lictor_model::probe::CheckRunner;
use lictor_model::seam::Backend;
use lictor_model::{Error, Result};
use lictor_sandbox::{Bounds, ExecPolicy, Sandbox, SandboxConfig};
use lictor_server::{Server, Settings as ServerSettings, duties};
use lictor_store::Store;
use lictor_sys::clock::{Clock, SystemClock};
use lictor_sys::{file, net};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::aliases::Aliases;
use crate::backend::{AgentBackend, Order};
use crate::reaper::Reaper;
use crate::registrar::{Registrar, Settings};
use crate::reporter::ToLocal;
use crate::signals::{Signals, Told};
use crate::sync::Syncer;
use crate::{banner, identity};

/// How long a request waits for a leader.
const HOLD_TIMEOUT: Duration = Duration::from_secs(7);
/// How long the tasks of the agent may take to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How many sockets share the DNS load.
const DNS_SOCKETS: usize = 2;
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
    backend: Arc<AgentBackend>,
    consensus: Option<Arc<Consensus>>,
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
    ) -> Result<(Self, mpsc::Receiver<Order>), StartError> {
        if let Some(data_dir) = &config.data_dir {
            file::create_private_dir(data_dir)
                .map_err(|error| StartError::new(format!("data_dir {}", data_dir.display()), error))?;
        }
        let (identity, address) = identity::establish(&config)?;
        banner::print(&config, &identity);
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if config.bootstrap && !config.dev {
            tracing::warn!("bootstrap = true: do not enable unless necessary");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let listeners = Listeners::bind(&config)?;
        let gossip = Arc::new(start_gossip(&config, &identity, address, &listeners, &clock)?);
        let stop = CancellationToken::new();
        let stop_edges = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(log_members(gossip.events(), stop.clone()));

        let local = Local::new(LocalState::new(identity.clone(), config.check_update_interval));
        let sandbox = Arc::new(Sandbox::new(sandbox_config(&config)));
        let keeper = Arc::new(OnceLock::new());
        let reporter: Arc<dyn Reporter> = Arc::new(ToLocal {
            local: local.clone(),
            clock: Arc::clone(&clock),
            registrar: Arc::clone(&keeper),
        });
        let runner: Arc<dyn CheckRunner> = Arc::clone(&sandbox) as _;
        let aliases = Arc::new(Aliases::new(local.clone(), Arc::clone(&reporter), stop.clone()));
        let (scheduler, scheduling) = Scheduler::start(runner, reporter, Arc::clone(&clock), stop.clone());
        tasks.spawn(scheduling);
        let files = open_files(&config)?;
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
            clock: Arc::clone(&clock),
            server: OnceLock::new(),
            orders,
        });
        let as_backend: Arc<dyn Backend> = Arc::clone(&backend) as _;
        aliases.ask(Arc::downgrade(&as_backend));
        let server_address = SocketAddr::new(address, listeners.server_port);

        // Before the edges open: what was saved must not overwrite what a request has changed.
        // Services come before what files define and checks after it, for either may speak for
        // services of the other.
        let saved = load_saved(files).await?;
        registrar.restore_services(saved.services).await;
        registrar.apply_files(&config).await.map_err(|error| StartError(error.message))?;
        registrar.restore_checks(saved.checks).await;
        listeners.serve(&config, &backend, &clock, &stop_edges, &mut tasks);
        let mut consensus = None;
        if config.server {
            let (opened, server) = open_server(&config, &identity, server_address, &stop).await?;
            tasks.spawn(duties::run(Arc::clone(&server), Arc::clone(&gossip), stop.clone()));
            tasks.spawn(log_leadership(Arc::clone(&opened), stop.clone()));
            // This is the only place that sets it.
            let _ = backend.server.set(server);
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
            cluster_size: Box::new(move || gossip.members().len()),
        };
        tasks.spawn(syncer.run(stop.clone()));
        if let Some(path) = &config.pid_file {
            let pid = std::process::id().to_string();
            file::write_atomic(path, pid.as_bytes())
                .map_err(|error| StartError::new(format!("pid_file {}", path.display()), error))?;
        }
        tracing::info!("Consul agent running!");
        let agent = Self { config, sources, backend, consensus, tasks, stop_edges, stop };
        Ok((agent, receive_orders))
    }

    /// Waits until the agent is told to end, and reloads whenever it is told to.
    pub async fn until_told(&self, signals: &mut Signals, mut orders: mpsc::Receiver<Order>) -> Ending {
        loop {
            tokio::select! {
                told = signals.next() => {
                    tracing::info!(signal = ?told, "Caught signal");
                    match told {
                        Told::Hangup => {
                            if let Err(error) = self.reload().await {
                                tracing::error!(%error, "reload failed");
                            }
                        }
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
                        self.backend.gossip.leave().await;
                        let _ = done.send(Ok(()));
                        return Ending::Leave;
                    }
                    None => return Ending::Broken,
                },
                why = self.broken() => {
                    tracing::error!(%why, "the agent cannot go on");
                    return Ending::Broken;
                }
            }
        }
    }

    async fn broken(&self) -> String {
        match &self.consensus {
            Some(consensus) => consensus.fatal().await,
            None => std::future::pending().await,
        }
    }

    async fn reload(&self) -> Result<()> {
        let config = lictor_config::load(&self.sources)
            .map_err(|problems| Error::failed(format!("Reload failed: {problems}")))?;
        self.backend
            .registrar
            .apply_files(&config)
            .await
            .map_err(|error| Error::failed(format!("Reload failed: {}", error.message)))?;
        let replaced = self.backend.sandbox.refresh().await;
        self.backend.registrar.renew(&replaced).await;
        self.backend.sandbox.evict();
        Ok(())
    }

    /// Ends the agent; returns the exit status of the process.
    pub async fn stop(mut self, ending: Ending) -> ExitCode {
        if ending == Ending::Leave {
            self.backend.gossip.leave().await;
            tracing::info!("Graceful leave complete");
        }
        self.stop_edges.cancel();
        self.stop.cancel();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        self.tasks.shutdown().await;
        self.backend.sandbox.shutdown().await;
        self.backend.gossip.shutdown().await;
        if let Some(consensus) = &self.consensus {
            consensus.shutdown().await;
        }
        if let Some(path) = &self.config.pid_file
            && let Err(error) = file::remove_durable(path)
        {
            tracing::warn!(%error, "the pid file could not be removed");
        }
        if ending == Ending::Leave { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The sockets of the edges.
struct Listeners {
    http: Vec<TcpListener>,
    dns: Vec<Sockets>,
    serf: SocketAddr,
    server_port: u16,
}

impl Listeners {
    fn bind(config: &RuntimeConfig) -> Result<Self, StartError> {
        let mut http = Vec::new();
        let mut dns = Vec::new();
        for at in addresses(&config.http_addrs, config.ports.http) {
            http.push(net::listen_tcp(at).map_err(|error| StartError::new(format!("http on {at}"), error))?);
        }
        for at in addresses(&config.dns_addrs, config.ports.dns) {
            dns.push(
                Sockets::bind(at, DNS_SOCKETS)
                    .map_err(|error| StartError::new(format!("dns on {at}"), error))?,
            );
        }
        let serf = SocketAddr::new(config.bind_addr, config.ports.serf_lan.unwrap_or_default());
        Ok(Self { http, dns, serf, server_port: config.ports.server.unwrap_or_default() })
    }

    fn serve(
        self,
        config: &RuntimeConfig,
        backend: &Arc<AgentBackend>,
        clock: &Arc<dyn Clock>,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) {
        let settings = lictor_http::Settings {
            datacenter: config.datacenter.clone(),
            pretty: config.dev,
            kv_max_value: config.kv_max_value_size,
            ..lictor_http::Settings::default()
        };
        let router = lictor_http::router(Arc::clone(backend) as _, settings);
        for listener in self.http {
            tasks.spawn(lictor_http::serve(listener, router.clone(), stop.clone()));
        }
        for sockets in self.dns {
            let settings = lictor_dns::Settings {
                datacenter: config.datacenter.clone(),
                domain: config.domain.clone(),
                alt_domain: config.alt_domain.clone(),
                only_passing: config.dns_only_passing,
                udp_answer_limit: config.dns_udp_answer_limit,
                node_meta_txt: config.dns_node_meta_txt,
            };
            let (backend, clock) = (Arc::clone(backend) as _, Arc::clone(clock));
            tasks.spawn(lictor_dns::serve(sockets, settings, backend, clock, stop.clone()));
        }
    }
}

fn addresses(hosts: &[IpAddr], port: Option<u16>) -> Vec<SocketAddr> {
    port.map(|port| hosts.iter().map(|host| SocketAddr::new(*host, port)).collect()).unwrap_or_default()
}

fn start_gossip(
    config: &RuntimeConfig,
    identity: &Identity,
    address: IpAddr,
    listeners: &Listeners,
    clock: &Arc<dyn Clock>,
) -> Result<Gossip, StartError> {
    let advertise = SocketAddr::new(address, listeners.serf.port());
    let server = SocketAddr::new(address, listeners.server_port);
    let mut options = GossipOptions::new(identity.name.as_str(), identity.id.as_str(), advertise);
    options.tags = identity::tags(config, identity, server);
    Gossip::start(options, listeners.serf, Arc::clone(clock))
        .map_err(|error| StartError::new("gossip", error))
}

fn open_files(config: &RuntimeConfig) -> Result<Option<Files>, StartError> {
    config
        .data_dir
        .as_ref()
        .map(|data_dir| Files::open(data_dir).map_err(|error| StartError::new("data_dir", error)))
        .transpose()
}

/// Everything that was saved before a restart.
async fn load_saved(files: Option<Files>) -> Result<Saved, StartError> {
    let Some(files) = files else { return Ok(Saved::default()) };
    let loaded = tokio::task::spawn_blocking(move || files.load()).await;
    let saved = loaded
        .map_err(|error| StartError::new("data_dir", error))?
        .map_err(|error| StartError::new("data_dir", error))?;
    for (path, why) in &saved.unreadable {
        tracing::error!(path = %path.display(), %why, "a saved registration cannot be read");
    }
    Ok(saved)
}

async fn open_server(
    config: &RuntimeConfig,
    identity: &Identity,
    address: SocketAddr,
    stop: &CancellationToken,
) -> Result<(Arc<Consensus>, Arc<Server>), StartError> {
    let node = PeerInfo { address, name: identity.name.to_string(), node_id: identity.id.to_string() };
    let mut options = RaftOptions::new(node);
    options.raft_multiplier = config.raft_multiplier;
    if let Some(threshold) = config.raft_snapshot_threshold {
        options.snapshot_threshold = threshold;
    }
    if let Some(trailing) = config.raft_trailing_logs {
        options.trailing_logs = trailing;
    }
    let storage = match &config.data_dir {
        None => Storage::Memory,
        Some(data_dir) => Storage::Disk(data_dir.join("raft")),
    };
    let store = Arc::new(Store::new());
    let transport = Arc::new(lictor_rpc::Alone);
    let consensus = Consensus::open(options, storage, Arc::clone(&store), transport)
        .await
        .map_err(|error| StartError::new("raft", error))?;
    if config.bootstrap || config.bootstrap_expect == 1 {
        consensus.bootstrap().await.map_err(|error| StartError::new("raft", error))?;
    } else if config.bootstrap_expect > 1 {
        tracing::warn!(
            "bootstrap_expect = {}: clusters of several servers are not part of this build; the agent waits for a leader that cannot come",
            config.bootstrap_expect
        );
    }
    let settings = ServerSettings {
        datacenter: identity.datacenter.clone(),
        default_query_time: config.default_query_time,
        max_query_time: config.max_query_time,
        hold_timeout: HOLD_TIMEOUT,
    };
    let server = Arc::new(Server::new(settings, Arc::clone(&consensus), store, stop.clone()));
    Ok((consensus, server))
}

fn sandbox_config(config: &RuntimeConfig) -> SandboxConfig {
    let list = |key: &str| -> Vec<String> {
        let items = config.plugin_bounds.get(key).and_then(|items| items.as_array());
        items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let bounds = Bounds {
        http: list("http"),
        tcp: list("tcp"),
        udp: list("udp"),
        tls: list("tls"),
        dns: list("dns"),
        redirects: config
            .plugin_bounds
            .get("redirects")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(false),
    };
    let cache_dir = match &config.data_dir {
        Some(data_dir) => Some(data_dir.join("plugin-cache")),
        None => user_cache_dir(),
    };
    SandboxConfig {
        plugin_dir: config.plugin_dir.clone(),
        cache_dir,
        bounds,
        exec: match config.script_checks {
            ScriptChecks::Nobody => ExecPolicy::Never,
            ScriptChecks::Files => ExecPolicy::Files,
            ScriptChecks::Anyone => ExecPolicy::Anyone,
        },
        ..SandboxConfig::default()
    }
}

/// Where compiled components are kept for agents without a data directory.
fn user_cache_dir() -> Option<PathBuf> {
    let from =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache"))).map(|cache| cache.join("lictor"))
}

async fn log_members(mut events: tokio::sync::broadcast::Receiver<MemberEvent>, stop: CancellationToken) {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => {
                let word = match &event {
                    MemberEvent::Join(_) => "Join",
                    MemberEvent::Leave(_) => "Leave",
                    MemberEvent::Failed(_) => "Failed",
                    MemberEvent::Update(_) => "Update",
                    MemberEvent::Reap(_) => "Reap",
                };
                let member = event.member();
                tracing::info!("EventMember{word}: {} {}", member.name, member.addr);
            }
            Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "member events were missed by the log");
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn log_leadership(consensus: Arc<Consensus>, stop: CancellationToken) {
    let mut leadership = consensus.subscribe_leadership();
    let mut led = false;
    loop {
        let now = leadership.borrow_and_update().clone();
        if now.established && !led {
            tracing::info!("cluster leadership acquired");
        }
        if let Some(leader) = now.leader.filter(|_| now.established != led) {
            tracing::info!(payload = %leader.name, "New leader elected");
        }
        led = now.established;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leadership.changed() => if changed.is_err() { return },
        }
    }
}
