//! Requests to servers about the servers themselves. They travel between agents as queries and
//! commands do.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::coordinate::DatacenterCoordinates;
use crate::ids::{Datacenter, Token};
use crate::operator::ServersHealth;

/// A request about the servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerRequest {
    /// The current leader's RPC address → [`ServerAnswer::Leader`].
    Leader,
    /// The RPC addresses of all Raft peers → [`ServerAnswer::Peers`].
    Peers,
    /// The Raft configuration → [`ServerAnswer::RaftServers`].
    RaftConfiguration,
    /// How the servers are → [`ServerAnswer::Health`].
    Health,
    /// Take a server out of the Raft configuration → [`ServerAnswer::Done`].
    RemovePeer {
        /// By its id, or else by its address.
        id: Option<String>,
        /// Its address, host and port.
        address: Option<String>,
    },
    /// Have another server lead → [`ServerAnswer::Done`].
    TransferLeadership {
        /// Which one, by its id; whichever suits best if absent.
        id: Option<String>,
    },
    /// Ask something of the keys of all gossip pools → [`ServerAnswer::Keyrings`].
    Keyring {
        /// What.
        request: KeyringRequest,
        /// Only in the pool of the datacenter.
        local_only: bool,
    },
    /// Where the servers of all datacenters are → [`ServerAnswer::DatacenterCoordinates`].
    DatacenterCoordinates,
    /// Have the members of the pool hear of something → [`ServerAnswer::Done`].
    Fire {
        /// What it is called there.
        name: String,
        /// What it carries.
        payload: Bytes,
    },
}

/// What can be asked of the keys of a gossip pool; keys are written in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyringRequest {
    /// Which there are.
    List,
    /// Take this one for what comes.
    Install(String),
    /// Seal with this one from now on.
    Use(String),
    /// Forget this one.
    Remove(String),
}

/// What became of a request about the keys of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Keyring {
    /// Whether it is the pool between datacenters.
    #[serde(rename = "WAN")]
    pub wan: bool,
    /// The datacenter that was asked.
    pub datacenter: String,
    /// Kept for clients of the HTTP API: the network segment, of which there is one.
    pub segment: String,
    /// What those members said for whom it went wrong, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub messages: BTreeMap<String, String>,
    /// How many members have each key.
    pub keys: BTreeMap<String, usize>,
    /// How many members seal with each key.
    pub primary_keys: BTreeMap<String, usize>,
    /// How many members were asked.
    pub num_nodes: usize,
    /// What went wrong altogether; empty if nothing did.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub error: String,
}

impl ServerRequest {
    /// Whether it changes nothing, so that it may be asked again.
    #[must_use]
    pub fn only_asks(&self) -> bool {
        !matches!(
            self,
            Self::RemovePeer { .. }
                | Self::TransferLeadership { .. }
                | Self::Keyring { .. }
                | Self::Fire { .. }
        )
    }

    /// Whether any server can answer from what it knows, without a leader.
    #[must_use]
    pub fn is_for_anyone(&self) -> bool {
        matches!(self, Self::Leader | Self::Peers | Self::Keyring { .. } | Self::DatacenterCoordinates)
    }
}

/// How a request about the servers is to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerOptions {
    /// On whose behalf.
    pub token: Token,
    /// In which datacenter; the agent's own if absent.
    pub datacenter: Option<Datacenter>,
    /// Whether any server may answer that has heard of a leader once.
    pub stale: bool,
}

/// What servers answer about themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ServerAnswer {
    /// It is done.
    Done,
    /// The leader's RPC address, if one is known.
    Leader(Option<SocketAddr>),
    /// RPC addresses of all peers.
    Peers(Vec<SocketAddr>),
    /// The Raft configuration.
    RaftServers(RaftServers),
    /// How the servers are.
    Health(ServersHealth),
    /// What became of a request about keys, pool by pool.
    Keyrings(Vec<Keyring>),
    /// Where servers are, datacenters in the order of their names.
    DatacenterCoordinates(Vec<DatacenterCoordinates>),
}

/// The servers that Raft counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RaftServers {
    /// All of them.
    pub servers: Vec<RaftServer>,
    /// Always 0, as in the reference.
    pub index: u64,
}

/// A server that Raft counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RaftServer {
    /// Its node id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its node name.
    pub node: String,
    /// Its RPC address.
    pub address: String,
    /// Whether it leads.
    pub leader: bool,
    /// The Raft protocol it speaks.
    pub protocol_version: String,
    /// Whether its vote counts.
    pub voter: bool,
    /// How far it has come.
    pub last_index: u64,
}
