//! What openraft is told about Lictor: the types of entries, answers and nodes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use lictor_model::RaftIndex;
use lictor_model::command::{Command, Outcome};
use openraft::type_config::alias;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Payload,
        R = Outcome,
        NodeId = u64,
        Node = PeerInfo,
        AsyncRuntime = openraft_rt_tokio::TokioRuntime,
);

pub(crate) type CommittedLeader = alias::CommittedLeaderIdOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, Bytes>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::Machine>;

/// The index of a log entry as users see it: theirs start at 1, those of openraft at 0.
pub(crate) fn public_index(log_id: LogId) -> RaftIndex {
    RaftIndex(log_id.index.saturating_add(1))
}

/// A server as Raft's membership knows it.
///
/// Raft itself knows servers by a random number that is born with their data directory; what is
/// here are attributes of it, which may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Where it listens for other agents.
    pub address: SocketAddr,
    /// Its node name.
    #[serde(default)]
    pub name: String,
    /// Its node id.
    #[serde(default)]
    pub node_id: String,
}

impl Default for PeerInfo {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            name: String::new(),
            node_id: String::new(),
        }
    }
}

impl fmt::Display for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// A command in the log.
///
/// It is encoded once, by the task that proposes it, and these bytes go to the disk and to the
/// followers alike. Where the command was proposed it is kept beside them, so that the leader does
/// not decode what it has just encoded.
#[derive(Clone)]
pub(crate) struct Payload {
    encoded: Bytes,
    command: Option<Arc<Command>>,
}

impl Payload {
    pub(crate) fn new(command: Command) -> Result<Self, CodecError> {
        Ok(Self { encoded: codec::encode(&command)?, command: Some(Arc::new(command)) })
    }

    pub(crate) fn from_encoded(encoded: Bytes) -> Self {
        Self { encoded, command: None }
    }

    pub(crate) fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    pub(crate) fn into_command(self) -> Result<Command, CodecError> {
        match self.command {
            Some(command) => Ok(Arc::unwrap_or_clone(command)),
            None => codec::decode(&self.encoded),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// What users store may be secret, so an entry shows only its size.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.encoded.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encoded.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(Self::from_encoded)
    }
}
