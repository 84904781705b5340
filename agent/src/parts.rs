//! The parts of an agent, each as its configuration wants it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lictor_config::{RuntimeConfig, ScriptChecks};
use lictor_consensus::{Consensus, Options as RaftOptions, PeerInfo, Storage};
use lictor_gossip::MemberEvent;
use lictor_local::Identity;
use lictor_local::persist::{Files, Saved};
use lictor_rpc::Transport;
use lictor_sandbox::{Bounds, ExecPolicy, SandboxConfig};
use lictor_server::{Server, Settings as ServerSettings};
use lictor_store::Store;
use lictor_telemetry::metrics::Series;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::measure::Members;
use crate::pools::Pools;

pub(crate) fn open_files(config: &RuntimeConfig) -> Result<Option<Files>, StartError> {
    config
        .data_dir
        .as_ref()
        .map(|data_dir| Files::open(data_dir).map_err(|error| StartError::unusable(data_dir, &error)))
        .transpose()
}

/// Everything that was saved before a restart.
pub(crate) async fn load_saved(files: Option<Files>) -> Result<Saved, StartError> {
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

pub(crate) async fn open_server(
    config: &RuntimeConfig,
    identity: &Identity,
    address: SocketAddr,
    pools: &Pools,
    transport: Arc<dyn Transport>,
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
    recover(&storage, &options.node).await?;
    let store = Arc::new(Store::new());
    let consensus = Consensus::open(options, storage, Arc::clone(&store), Arc::clone(&transport))
        .await
        .map_err(|error| StartError::new("raft", error))?;
    if config.bootstrap || config.bootstrap_expect == 1 {
        consensus.bootstrap().await.map_err(|error| StartError::new("raft", error))?;
    }
    let settings = ServerSettings {
        datacenter: identity.datacenter.clone(),
        default_query_time: config.default_query_time,
        max_query_time: config.max_query_time,
        session_ttl_min: config.session_ttl_min,
        autopilot: config.autopilot.clone(),
        hold_timeout: config.rpc_hold_timeout,
    };
    let pools = (Arc::clone(&pools.lan), pools.wan.clone());
    let server = Server::new(settings, Arc::clone(&consensus), store, pools, transport, stop.clone());
    let server = Arc::new(server);
    Ok((consensus, server))
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

pub(crate) fn sandbox_config(config: &RuntimeConfig) -> SandboxConfig {
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

pub(crate) async fn log_members(
    mut events: tokio::sync::broadcast::Receiver<MemberEvent>,
    members: Members,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => {
                members.count(&event);
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
