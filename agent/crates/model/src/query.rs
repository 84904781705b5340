//! Reads of replicated state: what can be asked, with which guarantees, and what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::{Check, Status};
use crate::coordinate::NodeCoordinate;
use crate::filter::Filter;
use crate::ids::{Datacenter, Key, NodeName, PreparedQueryId, RaftIndex, ServiceName, SessionId, Token};
use crate::kv::KvEntry;
use crate::node::Node;
use crate::operator::{AutopilotConfig, Usage};
use crate::prepared::{Executed, Execution, PreparedQuery};
use crate::service::Service;
use crate::session::Session;
use crate::txn::{Operation, TransactionReply};

/// A question about replicated state. The same enum travels between agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Query {
    /// One entry → [`Answer::Entry`].
    KvGet {
        /// Its full path.
        key: Key,
    },
    /// All entries below a prefix, in order → [`Answer::Entries`].
    KvList {
        /// What their paths start with.
        prefix: Key,
    },
    /// The paths below a prefix, in order → [`Answer::Keys`].
    KvKeys {
        /// What they start with.
        prefix: Key,
        /// Cut each path after the first occurrence of this beyond the prefix; empty for whole paths.
        separator: String,
    },
    /// All nodes, by name → [`Answer::Nodes`].
    Nodes(NodeSelector),
    /// Names of all services with their tags → [`Answer::Services`].
    Services(NodeSelector),
    /// The instances of a service, whatever their health → [`Answer::Instances`] without checks.
    ServiceNodes(ServiceSelector),
    /// A node with its services → [`Answer::NodeServices`].
    NodeServices {
        /// The node's name.
        node: NodeName,
        /// Which of its services.
        filter: Filter,
    },
    /// The instances of a service with their checks → [`Answer::Instances`].
    Health(ServiceSelector),
    /// The checks of all instances of a service → [`Answer::Checks`].
    ServiceChecks {
        /// The service's name.
        service: ServiceName,
        /// On which nodes, and which of the checks.
        selector: NodeSelector,
    },
    /// All checks of a node → [`Answer::Checks`].
    NodeChecks {
        /// The node's name.
        node: NodeName,
        /// Which of its checks.
        filter: Filter,
    },
    /// All checks in a state → [`Answer::Checks`].
    ChecksInState {
        /// In which state.
        state: CheckState,
        /// On which nodes, and which of the checks.
        selector: NodeSelector,
    },
    /// The nodes that are registered at an address → [`Answer::Nodes`].
    NodesAt {
        /// The address.
        address: IpAddr,
    },
    /// The instances that are registered at an address of their own → [`Answer::Instances`] without
    /// checks.
    InstancesAt {
        /// The address.
        address: IpAddr,
    },
    /// One session → [`Answer::Sessions`].
    Session(SessionId),
    /// All sessions, by id → [`Answer::Sessions`].
    Sessions,
    /// The sessions of a node, by id → [`Answer::Sessions`].
    NodeSessions(NodeName),
    /// How servers are looked after → [`Answer::Autopilot`].
    Autopilot,
    /// How much there is in the catalog → [`Answer::Usage`].
    Usage,
    /// Where all nodes are, by name → [`Answer::Coordinates`].
    Coordinates,
    /// Where one node is → [`Answer::Coordinates`].
    NodeCoordinates(NodeName),
    /// A transaction that only reads → [`Answer::Transaction`].
    Transaction(Vec<Operation>),
    /// All prepared queries, by id → [`Answer::PreparedQueries`].
    PreparedQueries,
    /// One prepared query → [`Answer::PreparedQueries`] with just this one.
    PreparedQuery(PreparedQueryId),
    /// The query that an id or a name stands for, made for that name if it is a template →
    /// [`Answer::PreparedQueries`] with just this one.
    ExplainPrepared {
        /// The id or the name.
        name: String,
    },
    /// Ask a prepared query → [`Answer::Executed`].
    ExecutePrepared(Box<Execution>),
}

/// Which nodes a query looks at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSelector {
    /// Pairs that a node's metadata must all contain.
    pub node_meta: BTreeMap<String, String>,
    /// An expression that what is returned must meet.
    pub filter: Filter,
}

/// Which instances of a service a query looks at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceSelector {
    /// The service's name.
    pub service: ServiceName,
    /// Tags that an instance must all carry, compared without regard to case.
    pub tags: Vec<String>,
    /// Leave out instances of which a check is not passing.
    pub passing_only: bool,
    /// On which nodes, and which of the instances.
    pub selector: NodeSelector,
}

/// A check state as queries name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckState {
    /// Whatever the state.
    Any,
    /// Just this one.
    Exactly(Status),
    /// A word that is no state: nothing is ever in it.
    Unknown(String),
}

impl From<&str> for CheckState {
    fn from(word: &str) -> Self {
        match word {
            "any" => Self::Any,
            _ => word.parse().map_or_else(|_| Self::Unknown(word.to_owned()), Self::Exactly),
        }
    }
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// By the leader under its lease: stale only for a leader that is being replaced unnoticed.
    #[default]
    Default,
    /// By the leader after it made sure that it still is: linearizable.
    Consistent,
    /// By any server at once.
    Stale,
}

/// How a read is to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// Wait until the answer's index has passed this one; none: answer at once.
    pub min_index: RaftIndex,
    /// How long to wait at the most; the agent's default if absent.
    pub max_wait: Option<Duration>,
    /// On whose behalf.
    pub token: Token,
    /// In which datacenter; the agent's own if absent.
    pub datacenter: Option<Datacenter>,
    /// The node whose distance orders the result; empty for none.
    pub near: String,
    /// Whether the agent may answer from what it has kept; absent to ask a server.
    #[serde(default)]
    pub cache: Option<CacheControl>,
}

/// How old a kept answer may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheControl {
    /// At most this old; any age if absent.
    pub max_age: Option<Duration>,
    /// If no server answers, up to this old will do.
    pub stale_if_error: Option<Duration>,
}

impl ReadOptions {
    /// Whether the caller waits for a change.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        !self.min_index.is_none()
    }
}

/// What is known of an answer's freshness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The index to wait on for a different answer; at least 1.
    pub index: RaftIndex,
    /// Whether the serving server knew a leader.
    pub known_leader: bool,
    /// How long ago the serving server heard from the leader.
    pub last_contact: Duration,
    /// The guarantee under which it was answered.
    pub consistency: Consistency,
    /// Whether the agent had kept the answer; absent where it was not asked to look.
    #[serde(default)]
    pub cached: Option<Cached>,
}

/// Where an answer came from that the agent might have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cached {
    /// From a server.
    Miss,
    /// From the agent, after the connection to the servers was lost for this long.
    Hit {
        /// How old it may be; zero while servers tell of every change.
        age: Duration,
    },
}

/// What a query evaluates to. Rows are shared with the store and never copied in-process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// An entry, if it exists.
    Entry(Option<Arc<KvEntry>>),
    /// Entries in the order of their keys.
    Entries(Vec<Arc<KvEntry>>),
    /// Paths in order.
    Keys(Vec<Key>),
    /// Nodes in the order of their names.
    Nodes(Vec<Arc<Node>>),
    /// Service names with the tags of their instances.
    Services(BTreeMap<ServiceName, BTreeSet<String>>),
    /// A node with its services in the order of their ids, if the node exists.
    NodeServices(Option<NodeServices>),
    /// Instances in the order of node names, then service ids.
    Instances(Vec<Instance>),
    /// Checks in the order of node names, then check ids.
    Checks(Vec<Arc<Check>>),
    /// Sessions in the order of their ids.
    Sessions(Vec<Arc<Session>>),
    /// How servers are looked after.
    Autopilot(Arc<AutopilotConfig>),
    /// How much there is in the catalog.
    Usage(Usage),
    /// Where nodes are, in the order of their names.
    Coordinates(Vec<Arc<NodeCoordinate>>),
    /// What a transaction came to.
    Transaction(TransactionReply),
    /// Prepared queries in the order of their ids.
    PreparedQueries(Vec<Arc<PreparedQuery>>),
    /// What a prepared query came to.
    Executed(Executed),
}

/// A node with its services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeServices {
    /// The node.
    pub node: Arc<Node>,
    /// Its services in the order of their ids.
    pub services: Vec<Arc<Service>>,
}

/// A service instance with what is needed to judge and reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// The node it runs on.
    pub node: Arc<Node>,
    /// The instance.
    pub service: Arc<Service>,
    /// The node's checks, then its own, each in the order of their ids; empty where not asked for.
    pub checks: Vec<Arc<Check>>,
}

impl Instance {
    /// The worst status of its checks.
    #[must_use]
    pub fn status(&self) -> Status {
        self.checks.iter().map(|check| check.status).max().unwrap_or(Status::Passing)
    }

    /// Where to reach it: its own address, or else the node's.
    #[must_use]
    pub fn address(&self) -> &str {
        if self.service.address.is_empty() { &self.node.address } else { &self.service.address }
    }
}

/// An answer with what is known of its freshness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Its freshness.
    pub meta: Meta,
    /// The answer; shared, so that equal questions can share it.
    pub answer: Arc<Answer>,
}
