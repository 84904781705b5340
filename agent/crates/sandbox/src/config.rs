//! What an operator decides about plugins: where they are, how much they get, what may be allowed.

use std::path::PathBuf;
use std::time::Duration;

/// How the sandbox is set up. The defaults suit an agent that nobody configured.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where components lie besides those built in; without it only those exist.
    pub plugin_dir: Option<PathBuf>,
    /// Where compiled code is kept between starts; without it each start compiles anew. The
    /// folder must be the agent's own: what lies in it is run.
    pub cache_dir: Option<PathBuf>,
    /// How many threads run components.
    pub threads: usize,
    /// How many runs may be under way at once.
    pub concurrency: usize,
    /// How long a run waits for its turn before it is given up as late.
    pub queue_wait: Duration,
    /// What one run, and one component, may use.
    pub limits: Limits,
    /// What definitions may allow their checks beyond the default grant.
    pub bounds: Bounds,
    /// Whose definitions may name commands to run.
    pub exec: ExecPolicy,
}

/// Whose definitions may name commands to run on the agent's machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecPolicy {
    /// Nobody's.
    #[default]
    Never,
    /// Those in configuration files, as with `enable_local_script_checks`.
    Files,
    /// Everybody's, as with `enable_script_checks`.
    Anyone,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            plugin_dir: None,
            cache_dir: None,
            threads: 2,
            concurrency: 256,
            queue_wait: Duration::from_secs(5),
            limits: Limits::default(),
            bounds: Bounds::default(),
            exec: ExecPolicy::default(),
        }
    }
}

/// What one run, and one component, may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of linear memory, over all memories of a run.
    pub memory: usize,
    /// Elements of tables, over all tables of a run.
    pub table_elements: usize,
    /// Core instances of a run; components of some languages are made of dozens.
    pub instances: usize,
    /// Time on a processor; waiting for an answer does not count.
    pub cpu: Duration,
    /// Connections, redirects included, and questions to name servers.
    pub connections: u32,
    /// Lines to the log.
    pub log_lines: u32,
    /// Bytes read from all peers.
    pub inbound: usize,
    /// Bytes of a component's file.
    pub component_size: u64,
    /// Time to compile a component.
    pub compile_time: Duration,
    /// Time to find out what all components are, for whoever wants to see that.
    pub inventory_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            table_elements: 20_000,
            instances: 64,
            cpu: Duration::from_millis(500),
            connections: 16,
            log_lines: 100,
            inbound: 4 << 20,
            component_size: 32 << 20,
            compile_time: Duration::from_secs(60),
            inventory_time: Duration::from_secs(10),
        }
    }
}

/// What definitions may allow their checks beyond the default grant, as patterns.
///
/// A pattern is `host:port`, where the host may be `*` or `*.domain` and the port `*`; for `http`
/// it is a URL whose path may end in `*`. Nothing is allowed by default.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// URLs.
    pub http: Vec<String>,
    /// Hosts and ports.
    pub tcp: Vec<String>,
    /// Hosts and ports.
    pub udp: Vec<String>,
    /// Hosts and ports.
    pub tls: Vec<String>,
    /// Names to look up; the port is left out.
    pub dns: Vec<String>,
    /// Whether redirects may lead elsewhere.
    pub redirects: bool,
}
