//! What gossip is told.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::http::networks;
use super::read::Reader;

/// For how long a member that is away is remembered unless configured otherwise.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(72 * 3600);
/// The shortest time that can be configured for that.
const SHORTEST_RECONNECT_TIMEOUT: Duration = Duration::from_secs(8 * 3600);

/// Gossip, in the datacenter and between datacenters.
#[derive(Clone, Debug, PartialEq)]
pub struct GossipConfig {
    /// The pool in the datacenter.
    pub lan: PoolConfig,
    /// The pool between datacenters.
    pub wan: PoolConfig,
    /// The key in base64; empty for none.
    pub encrypt: String,
    /// Whether everything that comes has to be sealed.
    pub verify_incoming: bool,
    /// Whether everything that is sent is sealed.
    pub verify_outgoing: bool,
    /// Whether keys are kept in files.
    pub keyring_files: bool,
    /// Whether members are looked for after a restart even if this agent had left.
    pub rejoin_after_leave: bool,
}

/// One pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// Address to bind to, if it is another than that of the agent.
    pub bind: Option<IpAddr>,
    /// Hosts, with or without a port, to join until one of them has been met.
    pub join: Vec<String>,
    /// How long to wait before trying them again.
    pub join_interval: Duration,
    /// How often to try; 0 for as often as it takes.
    pub join_max: u32,
    /// From which networks members may come; all if there are none.
    pub allowed: Vec<IpNet>,
    /// For how long a member that is away is remembered.
    pub reconnect_timeout: Duration,
    /// What is set of its pace; the rest is as usual.
    pub pace: Pace,
}

/// How fast a pool is, where it is not as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How often news is passed on.
    pub gossip_interval: Option<Duration>,
    /// To how many at a time.
    pub gossip_nodes: Option<u32>,
    /// How often a member asks another whether it is there.
    pub probe_interval: Option<Duration>,
    /// After which time without an answer it asks others to ask.
    pub probe_timeout: Option<Duration>,
    /// How many probe intervals a suspect has.
    pub suspicion_mult: Option<u32>,
    /// How often news is passed on by each.
    pub retransmit_mult: Option<u32>,
}

impl GossipConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            lan: PoolConfig::read(reader, ""),
            wan: PoolConfig::read(reader, "_wan"),
            encrypt: reader.text("encrypt").unwrap_or_default(),
            verify_incoming: reader.flag_or("encrypt_verify_incoming", true),
            verify_outgoing: reader.flag_or("encrypt_verify_outgoing", true),
            keyring_files: !reader.flag("disable_keyring_file"),
            rejoin_after_leave: reader.flag("rejoin_after_leave"),
        }
    }
}

impl PoolConfig {
    fn read(reader: &mut Reader, suffix: &str) -> Self {
        let pool = if suffix.is_empty() { "lan" } else { "wan" };
        let join_key = format!("retry_join{suffix}");
        let join = reader.texts(&join_key);
        if let Some(cloud) = join.iter().find(|host| host.contains("provider=")) {
            reader.problem(format!(
                "{join_key}: {cloud:?} asks a cloud for its machines, which this build cannot do; name hosts or addresses"
            ));
        }
        let reconnect_key = format!("reconnect_timeout{suffix}");
        let reconnect_timeout = reader.duration_or(&reconnect_key, RECONNECT_TIMEOUT);
        if reconnect_timeout < SHORTEST_RECONNECT_TIMEOUT {
            reader.problem(format!("{reconnect_key} must be >= 8h0m0s"));
        }
        Self {
            bind: reader.optional_address(&format!("serf_{pool}")),
            join,
            join_interval: reader.duration_or(&format!("retry_interval{suffix}"), Duration::from_secs(30)),
            join_max: reader.whole(&format!("retry_max{suffix}"), 0, u32::MAX),
            allowed: networks(reader, &format!("serf_{pool}_allowed_cidrs")),
            reconnect_timeout,
            pace: Pace::read(reader, pool),
        }
    }
}

impl Pace {
    fn read(reader: &mut Reader, pool: &str) -> Self {
        let interval = |reader: &mut Reader, name: &str| {
            let set = reader.duration(&format!("gossip_{pool}.{name}"));
            Some(set).filter(|set| !set.is_zero())
        };
        let count = |reader: &mut Reader, name: &str| {
            let set = reader.whole(&format!("gossip_{pool}.{name}"), 0, 1000);
            Some(set).filter(|set| *set > 0)
        };
        Self {
            gossip_interval: interval(reader, "gossip_interval"),
            gossip_nodes: count(reader, "gossip_nodes"),
            probe_interval: interval(reader, "probe_interval"),
            probe_timeout: interval(reader, "probe_timeout"),
            suspicion_mult: count(reader, "suspicion_mult"),
            retransmit_mult: count(reader, "retransmit_mult"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(tree: serde_json::Value) -> Result<GossipConfig, Vec<String>> {
        let mut reader = Reader::new(tree);
        let config = GossipConfig::read(&mut reader);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    #[test]
    fn pools_are_told_where_to_join_and_how_fast_to_be() {
        let config = read(json!({
            "retry_join": ["a", "10.0.0.1:9"], "retry_interval": "500ms", "retry_max": 2, "retry_max_wan": 3,
            "serf_lan_allowed_cidrs": ["10.0.0.0/8"], "gossip_lan": {"probe_interval": "2s", "gossip_nodes": 5},
        }))
        .unwrap();
        assert_eq!(config.lan.join, ["a", "10.0.0.1:9"]);
        assert_eq!((config.lan.join_interval, config.lan.join_max), (Duration::from_millis(500), 2));
        assert_eq!((config.wan.join_interval, config.wan.join_max), (Duration::from_secs(30), 3));
        assert_eq!(config.lan.pace.probe_interval, Some(Duration::from_secs(2)));
        assert_eq!((config.lan.pace.gossip_nodes, config.wan.pace), (Some(5), Pace::default()));
        assert_eq!(config.lan.allowed.len(), 1);
        assert!(config.verify_incoming && config.verify_outgoing && config.keyring_files);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let problems = read(json!({"retry_join": ["provider=aws tag_key=x"]})).unwrap_err();
        assert!(problems[0].contains("retry_join") && problems[0].contains("cloud"), "{problems:?}");
        let problems = read(json!({"reconnect_timeout": "1h"})).unwrap_err();
        assert_eq!(problems, ["reconnect_timeout must be >= 8h0m0s"]);
    }
}
