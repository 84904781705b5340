//! The configuration the agent starts from.

mod definitions;
mod dns;
mod gossip;
mod http;
mod log;
mod read;
mod telemetry;
mod validate;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lictor_model::check::DEFAULT_OUTPUT_LIMIT;
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::duration::GoDuration;
use lictor_model::operator::AutopilotConfig;
use serde_json::{Value, json};

pub use dns::{DnsConfig, RecursorStrategy, Soa};
pub use gossip::{GossipConfig, Pace, PoolConfig};
use read::Reader;

pub use http::HttpConfig;
pub use log::LogConfig;
pub use telemetry::TelemetryConfig;

use crate::keys::Unmet;

/// Which port each listener has; absent: it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// HTTP API.
    pub http: Option<u16>,
    /// HTTP API with TLS.
    pub https: Option<u16>,
    /// DNS.
    pub dns: Option<u16>,
    /// Agent-to-agent requests.
    pub server: Option<u16>,
    /// Gossip in the datacenter.
    pub serf_lan: Option<u16>,
    /// Gossip between datacenters.
    pub serf_wan: Option<u16>,
    /// Accepted, never opened.
    pub grpc: Option<u16>,
    /// Accepted, never opened.
    pub grpc_tls: Option<u16>,
}

/// Who may define checks that run commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptChecks {
    /// Nobody.
    Nobody,
    /// Configuration files.
    Files,
    /// The HTTP API too.
    Anyone,
}

/// Everything the agent is told, merged and validated.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeConfig {
    /// Everything in memory, for trying things out.
    pub dev: bool,
    /// Name of the node; the host's name if absent.
    pub node_name: Option<String>,
    /// Identifier of the node; born with the data directory if absent.
    pub node_id: Option<String>,
    /// Metadata of the node.
    pub node_meta: BTreeMap<String, String>,
    /// Name of the datacenter.
    pub datacenter: String,
    /// Where state is kept; absent with `-dev`.
    pub data_dir: Option<PathBuf>,
    /// Whether this agent is a server.
    pub server: bool,
    /// Whether this server may start a cluster alone.
    pub bootstrap: bool,
    /// How many servers are to start a cluster together.
    pub bootstrap_expect: u32,
    /// Whether this server gets the log and has no vote.
    pub read_replica: bool,
    /// Address for gossip and requests between agents.
    pub bind_addr: IpAddr,
    /// Address that others use for them; derived from the machine's if absent.
    pub advertise_addr: Option<IpAddr>,
    /// The HTTP API.
    pub http: HttpConfig,
    /// Addresses for DNS.
    pub dns_addrs: Vec<IpAddr>,
    /// Ports.
    pub ports: Ports,
    /// How names resolve.
    pub dns: DnsConfig,
    /// How much slower than the fastest Raft's timing is.
    pub raft_multiplier: u32,
    /// After how many log entries a snapshot is taken.
    pub raft_snapshot_threshold: Option<u64>,
    /// For how long a request waits for a server, or a leader, to be there.
    pub rpc_hold_timeout: Duration,
    /// How many log entries are kept beyond a snapshot.
    pub raft_trailing_logs: Option<u64>,
    /// How long a blocking query waits if it does not say.
    pub default_query_time: Duration,
    /// How long a blocking query waits at the most.
    pub max_query_time: Duration,
    /// How long a changed check output may stay local.
    pub check_update_interval: Duration,
    /// How many bytes of a check's output are kept; definitions may ask for less.
    pub check_output_max_size: usize,
    /// How often services are looked for that have been critical for too long.
    pub check_reap_interval: Duration,
    /// The shortest time after which a definition may have its critical service removed.
    pub check_deregister_interval_min: Duration,
    /// The largest value of the key-value store, in bytes.
    pub kv_max_value_size: usize,
    /// The largest transaction, in bytes of its request.
    pub txn_max_request: usize,
    /// The shortest time to live that a session may ask for.
    pub session_ttl_min: Duration,
    /// What becomes of the agent's figures.
    pub telemetry: TelemetryConfig,
    /// How servers are looked after until an operator says otherwise.
    pub autopilot: AutopilotConfig,
    /// Leave the cluster on SIGTERM; by default clients do.
    pub leave_on_terminate: bool,
    /// Do not leave the cluster on SIGINT; by default servers do not.
    pub skip_leave_on_interrupt: bool,
    /// The log.
    pub log: LogConfig,
    /// Gossip.
    pub gossip: GossipConfig,
    /// Whether the agent watches its files and reloads when one changes.
    pub auto_reload: bool,
    /// File that holds the process id while the agent runs.
    pub pid_file: Option<PathBuf>,
    /// Where components are looked for beside the built-in ones.
    pub plugin_dir: Option<PathBuf>,
    /// What definitions may allow their components beyond the default grant.
    pub plugin_bounds: Value,
    /// Who may define checks that run commands.
    pub script_checks: ScriptChecks,
    /// Services.
    pub services: Vec<ServiceDefinition>,
    /// Checks outside of services.
    pub checks: Vec<CheckDefinition>,
    /// What the author should know or change some day.
    pub warnings: Vec<String>,
    /// What is asked for and not given.
    pub unmet: Unmet,
}

/// The values that hold unless a source says otherwise.
#[must_use]
pub fn defaults(dev: bool) -> Value {
    let base = json!({
        "datacenter": "dc1",
        "domain": "consul.",
        "log_level": "INFO",
        "bind_addr": "0.0.0.0",
        "client_addr": "127.0.0.1",
        "check_deregister_interval_min": "1m",
        "check_reap_interval": "30s",
        "check_update_interval": "5m",
        "default_query_time": "300s",
        "max_query_time": "600s",
        "session_ttl_min": "10s",
        "performance": {"raft_multiplier": 5, "rpc_hold_timeout": "7s"},
        "ports": {"http": 8500, "https": -1, "dns": 8600, "server": 8300, "serf_lan": 8301,
                  "serf_wan": 8302, "grpc": -1, "grpc_tls": -1},
    });
    if !dev {
        return base;
    }
    let dev = json!({
        "bind_addr": "127.0.0.1",
        "log_level": "DEBUG",
        "node_name": null,
        "server": true,
        "bootstrap": true,
        "performance": {"raft_multiplier": 1},
        "dev": true,
    });
    crate::merge::merge(base, dev)
}

/// The longest time that a query may be told to wait.
const LONGEST_QUERY: Duration = Duration::from_secs(24 * 3600);
/// The largest value the key-value store can be told to take, in bytes.
const LARGEST_VALUE: u64 = 4 * 1024 * 1024;
/// The most of a check's output that can be kept, in bytes.
const LARGEST_OUTPUT: usize = 1024 * 1024;

/// How servers are looked after; what is not said is as usual.
fn autopilot(reader: &mut Reader) -> AutopilotConfig {
    let usual = AutopilotConfig::default();
    AutopilotConfig {
        cleanup_dead_servers: reader.flag_or("autopilot.cleanup_dead_servers", usual.cleanup_dead_servers),
        last_contact_threshold: GoDuration(
            reader.duration_or("autopilot.last_contact_threshold", usual.last_contact_threshold.0),
        ),
        max_trailing_logs: reader
            .optional_whole("autopilot.max_trailing_logs")
            .unwrap_or(usual.max_trailing_logs),
        min_quorum: reader.whole("autopilot.min_quorum", usual.min_quorum, u32::from(u16::MAX)),
        server_stabilization_time: GoDuration(
            reader.duration_or("autopilot.server_stabilization_time", usual.server_stabilization_time.0),
        ),
        redundancy_zone_tag: reader.text("autopilot.redundancy_zone_tag").unwrap_or_default(),
        disable_upgrade_migration: reader.flag("autopilot.disable_upgrade_migration"),
        upgrade_version_tag: reader.text("autopilot.upgrade_version_tag").unwrap_or_default(),
        ..usual
    }
}

/// A size limit of the key-value store.
fn bytes(given: Option<u64>) -> usize {
    usize::try_from(given.unwrap_or(512 * 1024).min(LARGEST_VALUE)).unwrap_or(usize::MAX)
}

impl RuntimeConfig {
    /// Reads a merged tree.
    ///
    /// # Errors
    /// Every problem found, a line each.
    pub fn from_tree(tree: Value) -> Result<Self, Vec<String>> {
        let mut reader = Reader::new(tree);
        let dev = reader.flag("dev");
        let server = reader.flag("server");
        let client_addrs = reader.addresses("client_addr");
        let services = definitions::services(&mut reader);
        let checks = definitions::checks(&mut reader);
        let mut config = Self {
            dev,
            node_name: reader.text("node_name"),
            node_id: reader.text("node_id"),
            node_meta: reader.map("node_meta"),
            datacenter: reader.text("datacenter").unwrap_or_default().to_lowercase(),
            data_dir: reader.text("data_dir").map(PathBuf::from),
            server,
            bootstrap: reader.flag("bootstrap"),
            read_replica: reader.flag("read_replica"),
            bootstrap_expect: reader.whole("bootstrap_expect", 0, 1000),
            bind_addr: reader.address("bind_addr"),
            advertise_addr: reader.optional_address("advertise_addr"),
            http: HttpConfig::read(&mut reader, &client_addrs),
            dns_addrs: reader.addresses_or("addresses.dns", &client_addrs),
            ports: Ports {
                http: reader.port("ports.http"),
                https: reader.port("ports.https"),
                dns: reader.port("ports.dns"),
                server: reader.port("ports.server"),
                serf_lan: reader.port("ports.serf_lan"),
                serf_wan: reader.port("ports.serf_wan"),
                grpc: reader.port("ports.grpc"),
                grpc_tls: reader.port("ports.grpc_tls"),
            },
            dns: DnsConfig::read(&mut reader),
            raft_multiplier: reader.between("performance.raft_multiplier", 5, 1, 10),
            rpc_hold_timeout: reader.duration("performance.rpc_hold_timeout"),
            raft_snapshot_threshold: reader.optional_whole("raft_snapshot_threshold"),
            raft_trailing_logs: reader.optional_whole("raft_trailing_logs"),
            default_query_time: reader.duration("default_query_time").min(LONGEST_QUERY),
            max_query_time: reader.duration("max_query_time").min(LONGEST_QUERY),
            check_update_interval: reader.duration("check_update_interval"),
            check_output_max_size: match reader.count("check_output_max_size", DEFAULT_OUTPUT_LIMIT) {
                0 => DEFAULT_OUTPUT_LIMIT,
                size => size.min(LARGEST_OUTPUT),
            },
            check_reap_interval: reader.duration("check_reap_interval"),
            check_deregister_interval_min: reader.duration("check_deregister_interval_min"),
            kv_max_value_size: bytes(reader.optional_whole("limits.kv_max_value_size")),
            txn_max_request: bytes(reader.optional_whole("limits.txn_max_req_len")),
            session_ttl_min: reader.duration("session_ttl_min"),
            telemetry: TelemetryConfig::read(&mut reader),
            autopilot: autopilot(&mut reader),
            leave_on_terminate: reader.flag_or("leave_on_terminate", !server),
            skip_leave_on_interrupt: reader.flag_or("skip_leave_on_interrupt", server),
            log: LogConfig::read(&mut reader),
            gossip: GossipConfig::read(&mut reader),
            auto_reload: reader.flag("auto_reload_config"),
            pid_file: reader.text("pid_file").map(PathBuf::from),
            plugin_dir: reader.text("plugin_dir").map(PathBuf::from),
            plugin_bounds: reader.take("plugin_bounds"),
            script_checks: match (
                reader.flag("enable_script_checks"),
                reader.flag("enable_local_script_checks"),
            ) {
                (true, _) => ScriptChecks::Anyone,
                (false, true) => ScriptChecks::Files,
                (false, false) => ScriptChecks::Nobody,
            },
            services,
            checks,
            warnings: reader.warnings(),
            unmet: Unmet::default(),
        };
        let mut problems = reader.into_problems();
        config.validate(&mut problems);
        config.advise();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

fn domain(name: Option<String>) -> Option<String> {
    name.map(|name| name.trim_end_matches('.').to_lowercase()).filter(|name| !name.is_empty())
}
