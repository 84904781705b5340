//! What operators of a cluster set and look at.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::ids::{NodeName, RaftIndex};

/// How servers are looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AutopilotConfig {
    /// Remove servers that failed once new ones have taken their place.
    pub cleanup_dead_servers: bool,
    /// How long a healthy server may have heard nothing from the leader.
    pub last_contact_threshold: GoDuration,
    /// How many entries a healthy server may be behind.
    pub max_trailing_logs: u64,
    /// How many servers must stay whatever fails; 0 for no such number.
    pub min_quorum: u32,
    /// How long a server must have been healthy before it counts.
    pub server_stabilization_time: GoDuration,
    /// Kept for clients of the HTTP API: without effect.
    pub redundancy_zone_tag: String,
    /// Kept for clients of the HTTP API: without effect.
    pub disable_upgrade_migration: bool,
    /// Kept for clients of the HTTP API: without effect.
    pub upgrade_version_tag: String,
    /// The Raft index at which it was first set.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}

impl Default for AutopilotConfig {
    fn default() -> Self {
        Self {
            cleanup_dead_servers: true,
            last_contact_threshold: GoDuration(Duration::from_millis(200)),
            max_trailing_logs: 250,
            min_quorum: 0,
            server_stabilization_time: GoDuration(Duration::from_secs(10)),
            redundancy_zone_tag: String::new(),
            disable_upgrade_migration: false,
            upgrade_version_tag: String::new(),
            create_index: RaftIndex::default(),
            modify_index: RaftIndex::default(),
        }
    }
}

/// How much there is in the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Usage {
    /// Nodes.
    pub nodes: usize,
    /// Names of services.
    pub services: usize,
    /// Instances of services.
    pub service_instances: usize,
}

/// How the servers are, together and one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServersHealth {
    /// Whether all are healthy.
    pub healthy: bool,
    /// How many may fail before there is no quorum.
    pub failure_tolerance: usize,
    /// Each of them.
    pub servers: Vec<ServerHealth>,
}

/// How one server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerHealth {
    /// Its Raft id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its node's name.
    pub name: NodeName,
    /// Where other servers reach it.
    pub address: String,
    /// What the gossip pool says of it.
    pub serf_status: String,
    /// The compatibility level of its build.
    pub version: String,
    /// Whether it leads.
    pub leader: bool,
    /// How long ago it heard from the leader; 0 for the leader itself.
    pub last_contact: GoDuration,
    /// The term of its newest entry.
    pub last_term: u64,
    /// Its newest entry.
    pub last_index: u64,
    /// Whether it is fit to lead.
    pub healthy: bool,
    /// Whether it counts for the quorum.
    pub voter: bool,
    /// Since when its health has not changed (RFC 3339).
    pub stable_since: String,
}
