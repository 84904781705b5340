//! Writes to replicated state.
//!
//! A command says everything the state machine needs: ids, times and random numbers are decided
//! before it is proposed and travel in it, so that every server computes the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::Check;
use crate::coordinate::NodeCoordinate;
use crate::error::Error;
use crate::ids::{
    CheckId, Datacenter, Key, NodeId, NodeName, PreparedQueryId, RaftIndex, ServiceId, SessionId, Token,
};
use crate::node::null_when_empty;
use crate::operator::AutopilotConfig;
use crate::prepared::PreparedQuery;
use crate::service::Service;
use crate::session::Session;
use crate::txn::{Operation, TransactionReply};

/// A change of replicated state. The same enum travels between agents and stands in the Raft log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Register a node, and optionally a service and checks on it → [`Outcome::Done`].
    Register(Box<Registration>),
    /// Remove a node, a service or a check; what is not there is not missed → [`Outcome::Done`].
    Deregister(Deregistration),
    /// Change the key-value store → [`Outcome::Applied`].
    Kv(KvChange),
    /// Create a session; its id is chosen on the way → [`Outcome::Session`].
    CreateSession(Box<Session>),
    /// End sessions and with them their locks; what is not there is not missed → [`Outcome::Done`].
    EndSessions(Vec<SessionId>),
    /// Start a session's time to live anew → [`Outcome::Session`]. Only the leader's clock is
    /// concerned: this never enters the log.
    RenewSession(SessionId),
    /// Let keys be locked again of which the lock-delay has passed → [`Outcome::Done`].
    EndLockDelays(Vec<LockDelay>),
    /// Change how servers are looked after → [`Outcome::Applied`].
    SetAutopilot {
        /// How from now on.
        config: Box<AutopilotConfig>,
        /// Only if the modify index of what is set is this; 0: only if nothing is; absent: anyway.
        cas: Option<RaftIndex>,
    },
    /// Say where nodes are; of nodes that are not registered nothing is kept → [`Outcome::Done`].
    UpdateCoordinates(Vec<NodeCoordinate>),
    /// Do many things or none → [`Outcome::Transaction`].
    Transaction(Vec<Operation>),
    /// A step of replacing everything by a saved state → [`Outcome::Done`].
    Restore(Restore),
    /// Change prepared queries → [`Outcome::PreparedQuery`].
    Prepared(PreparedChange),
}

impl Command {
    /// Whether it may take so long to apply, seconds even, that nothing else should have to wait for
    /// the thread that does it.
    #[must_use]
    pub fn takes_long(&self) -> bool {
        matches!(self, Self::Restore(Restore::Commit { .. }))
    }
}

/// A saved state is larger than a command may be, so it comes in pieces, which change nothing that
/// anybody could read; the last step puts it in place at once. Every server that has the log, or a
/// snapshot of Raft's taken in between, comes to the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restore {
    /// Gather pieces of this restoration from now on, and forget those of any other.
    Begin {
        /// What tells it from others.
        id: Uuid,
    },
    /// The next piece of its encoded state.
    Piece {
        /// Of which restoration.
        id: Uuid,
        /// How many bytes came before.
        offset: u64,
        /// The piece.
        data: Bytes,
    },
    /// That was all: replace everything by it.
    Commit {
        /// Of which restoration.
        id: Uuid,
        /// How many bytes there must be.
        size: u64,
    },
    /// Forget whatever has been gathered.
    Abandon,
}

/// A change of prepared queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreparedChange {
    /// Keep a query; its id is chosen on the way.
    Create(Box<PreparedQuery>),
    /// Put a query into the place of the one with its id.
    Update(Box<PreparedQuery>),
    /// Forget a query.
    Delete(PreparedQueryId),
}

/// A key that nobody may lock for a while, because its holder has gone and may not know it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockDelay {
    /// The key.
    pub key: Key,
    /// The Raft index at which its holder lost it.
    pub since: RaftIndex,
}

/// A node with what runs on it, as one atomic registration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Registration {
    /// In which datacenter; the agent's own if empty.
    pub datacenter: Datacenter,
    /// The node's id, if it has one.
    #[serde(rename = "ID")]
    pub id: NodeId,
    /// The node's name.
    pub node: NodeName,
    /// The node's address.
    pub address: String,
    /// The node's addresses by audience.
    #[serde(with = "null_when_empty")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// The node's metadata.
    #[serde(with = "null_when_empty")]
    pub node_meta: BTreeMap<String, String>,
    /// A service on it.
    pub service: Option<Arc<Service>>,
    /// Checks of it or of its services.
    pub checks: Vec<Arc<Check>>,
    /// Leave an existing node's own fields alone.
    pub skip_node_update: bool,
    /// Of an existing node change nothing but its id and its address.
    pub keep_node_details: bool,
}

/// What to remove: the check if one is named, else the service if one is named, else the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Deregistration {
    /// In which datacenter; the agent's own if empty.
    pub datacenter: Datacenter,
    /// The node's name.
    pub node: NodeName,
    /// A service on it.
    #[serde(rename = "ServiceID")]
    pub service_id: ServiceId,
    /// A check on it.
    #[serde(rename = "CheckID")]
    pub check_id: CheckId,
}

/// A change of the key-value store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvChange {
    /// Write an entry.
    Set {
        /// Its path.
        key: Key,
        /// Its new content.
        value: Bytes,
        /// Its new flags.
        flags: u64,
        /// Only if its modify index is this; 0: only if it does not exist; absent: whatever it is.
        cas: Option<RaftIndex>,
    },
    /// Write an entry and lock it, unless another session holds it or has just lost it.
    Lock {
        /// Its path.
        key: Key,
        /// Its new content.
        value: Bytes,
        /// Its new flags.
        flags: u64,
        /// Who locks it.
        session: SessionId,
    },
    /// Write an entry and unlock it, if the session holds it.
    Unlock {
        /// Its path.
        key: Key,
        /// Its new content.
        value: Bytes,
        /// Its new flags.
        flags: u64,
        /// Who unlocks it.
        session: SessionId,
    },
    /// Delete an entry; one that does not exist counts as deleted.
    Delete {
        /// Its path.
        key: Key,
        /// Only if its modify index is this; absent: whatever it is.
        cas: Option<RaftIndex>,
    },
    /// Delete all entries below a prefix.
    DeleteTree {
        /// What their paths start with.
        prefix: Key,
    },
}

/// What applying a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done.
    Done,
    /// Whether its condition held and it was carried out.
    Applied(bool),
    /// The session it was about.
    Session(Arc<Session>),
    /// What the transaction came to.
    Transaction(TransactionReply),
    /// The id of the prepared query it was about.
    PreparedQuery(PreparedQueryId),
    /// The state machine refused it; nothing was changed.
    Refused(Error),
}

/// How a write is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOptions {
    /// On whose behalf.
    pub token: Token,
    /// In which datacenter; the agent's own if absent.
    pub datacenter: Option<Datacenter>,
}
