//! Requests to this very agent, and what it answers from its own knowledge.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::{Check, Status};
use crate::cluster::{ServerAnswer, ServerOptions, ServerRequest};
use crate::definition::{CheckDefinition, ServiceDefinition};
use crate::event::UserEvent;
use crate::filter::Filter;
use crate::ids::{CheckId, Datacenter, ServiceId, ServiceName};
use crate::probe::ProbeFacts;
use crate::service::Service;

/// A request to the agent itself.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalRequest {
    /// Its configuration and identity → [`LocalAnswer::Document`].
    Describe,
    /// The members of a gossip pool → [`LocalAnswer::Members`].
    Members {
        /// Of the pool between datacenters; there are none if the agent is not in it.
        wan: bool,
    },
    /// The services registered with it → [`LocalAnswer::Services`].
    Services {
        /// Which of them.
        filter: Filter,
    },
    /// One of them → [`LocalAnswer::Service`].
    Service {
        /// Its identifier.
        id: ServiceId,
        /// Wait until its content hash differs from this one.
        hash: Option<String>,
        /// How long to wait at the most; the agent's default if absent.
        max_wait: Option<Duration>,
    },
    /// The checks registered with it → [`LocalAnswer::Checks`].
    Checks {
        /// Which of them.
        filter: Filter,
    },
    /// Add or replace a service and its checks → [`LocalAnswer::Done`].
    RegisterService {
        /// What the user wrote.
        definition: Box<ServiceDefinition>,
        /// Drop checks of the service that the definition does not name.
        replace_existing_checks: bool,
    },
    /// Remove a service and its checks → [`LocalAnswer::Done`].
    DeregisterService {
        /// Its identifier.
        id: ServiceId,
    },
    /// Add or replace a check → [`LocalAnswer::Done`].
    RegisterCheck {
        /// What the user wrote.
        definition: Box<CheckDefinition>,
    },
    /// Remove a check → [`LocalAnswer::Done`].
    DeregisterCheck {
        /// Its identifier.
        id: CheckId,
    },
    /// Report the state of a TTL check → [`LocalAnswer::Done`].
    UpdateCheck {
        /// Its identifier.
        id: CheckId,
        /// Its new status.
        status: Status,
        /// What to say about it.
        output: String,
    },
    /// Take a service or the node out of service, or back into it → [`LocalAnswer::Done`].
    Maintain {
        /// The service; the whole node if absent.
        service: Option<ServiceId>,
        /// Whether the maintenance begins.
        enable: bool,
        /// Why; a default text if empty.
        reason: String,
    },
    /// How services are, the node's checks included → [`LocalAnswer::Health`].
    Health {
        /// Which of them.
        selector: ServiceSelector,
    },
    /// What it runs on → [`LocalAnswer::Document`].
    Host,
    /// Meet another member, and through it everyone else → [`LocalAnswer::Done`].
    Join {
        /// A host with or without a port; the agent's own gossip port if without.
        address: String,
        /// Whether the pool between datacenters is meant.
        wan: bool,
    },
    /// Have everyone see a failed member as left → [`LocalAnswer::Done`].
    ForceLeave {
        /// Its name.
        name: String,
        /// Whether it is to be forgotten at once.
        prune: bool,
        /// Whether the pool between datacenters is meant.
        wan: bool,
    },
    /// Read the configuration files again → [`LocalAnswer::Done`].
    Reload,
    /// Leave the cluster and stop → [`LocalAnswer::Done`].
    Leave,
    /// Something about the servers, which one of them answers → [`LocalAnswer::Servers`].
    Servers {
        /// What.
        request: ServerRequest,
        /// How.
        options: ServerOptions,
    },
    /// Have everybody hear of an event → [`LocalAnswer::Fired`].
    Fire {
        /// Without its id, which is chosen on the way.
        event: Box<UserEvent>,
        /// How.
        options: ServerOptions,
    },
    /// The events that came for this node → [`LocalAnswer::Events`].
    Events {
        /// Of this name; of any if it is empty.
        name: String,
        /// Wait until their index differs from this one; 0: answer at once.
        index: u64,
        /// How long to wait at the most; the agent's default if absent.
        max_wait: Option<Duration>,
    },
    /// The datacenters known → [`LocalAnswer::Datacenters`].
    Datacenters,
    /// Figures of the agent → [`LocalAnswer::Document`], or [`LocalAnswer::Text`] in Prometheus' form.
    Metrics {
        /// Whether Prometheus asks.
        prometheus: bool,
    },
    /// What there is to run checks with, and how it did → [`LocalAnswer::Document`].
    Plugins,
}

/// What the agent answers about itself.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalAnswer {
    /// It is done.
    Done,
    /// A document whose shape only the reader knows.
    Document(Value),
    /// A text in a form that only the reader knows.
    Text(String),
    /// Members of the gossip pool.
    Members(Vec<Member>),
    /// Services by identifier.
    Services(BTreeMap<ServiceId, Arc<Service>>),
    /// One service with the hash of its content.
    Service {
        /// The service.
        service: Arc<Service>,
        /// Changes whenever the service does.
        hash: String,
    },
    /// Checks by identifier.
    Checks(BTreeMap<CheckId, LocalCheck>),
    /// How each of the services is.
    Health(Vec<ServiceHealth>),
    /// What servers answer about themselves.
    Servers(ServerAnswer),
    /// The event that was fired.
    Fired(Arc<UserEvent>),
    /// Events in the order in which they came.
    Events {
        /// The newest ones.
        events: Vec<Arc<UserEvent>>,
        /// Another number whenever there is a newer one.
        index: u64,
    },
    /// Datacenters, nearest first.
    Datacenters(Vec<Datacenter>),
}

/// A check of this agent, with what only the agent itself knows of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocalCheck {
    /// The check as the catalog has it, with the newest output.
    #[serde(flatten)]
    pub check: Check,
    /// The program behind it and what that may do; absent for checks that run none.
    #[serde(rename = "Program", skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeFacts>,
}

/// Which services of this agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceSelector {
    /// The one with this identifier.
    Id(ServiceId),
    /// All with this name.
    Name(ServiceName),
}

/// How a service of this agent is.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceHealth {
    /// The service.
    pub service: Arc<Service>,
    /// Its checks and those of the node.
    pub checks: Vec<Check>,
    /// What they come to.
    pub health: Health,
}

/// What several checks come to. The order is from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// All of them pass.
    #[default]
    Passing,
    /// One warns.
    Warning,
    /// One is critical.
    Critical,
    /// Somebody has taken it out of service.
    Maintenance,
}

impl Health {
    /// The word the HTTP API uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Maintenance => "maintenance",
        }
    }
}

/// A member of the gossip pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// Its IP address.
    pub addr: String,
    /// Its gossip port.
    pub port: u16,
    /// What it says of itself.
    pub tags: BTreeMap<String, String>,
    /// How it is.
    pub status: MemberStatus,
    /// Lowest gossip protocol it understands.
    pub protocol_min: u8,
    /// Highest gossip protocol it understands.
    pub protocol_max: u8,
    /// The gossip protocol it speaks.
    pub protocol_cur: u8,
    /// Lowest event protocol it understands.
    pub delegate_min: u8,
    /// Highest event protocol it understands.
    pub delegate_max: u8,
    /// The event protocol it speaks.
    pub delegate_cur: u8,
}

impl Member {
    /// Where it listens for other agents, if it is a server of this datacenter.
    #[must_use]
    pub fn server_address(&self, datacenter: &str) -> Option<SocketAddr> {
        let tag = |name| self.tags.get(name).map(String::as_str);
        let is_server = tag("role") == Some("consul") && tag("dc") == Some(datacenter);
        let address: IpAddr = self.addr.parse().ok()?;
        let port = tag("port")?.parse().ok()?;
        is_server.then(|| SocketAddr::new(address, port))
    }
}

/// How a member is, numbered as the HTTP API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum MemberStatus {
    /// It answers.
    Alive = 1,
    /// It said that it is leaving.
    Leaving = 2,
    /// It has left.
    Left = 3,
    /// It does not answer.
    Failed = 4,
}

impl MemberStatus {
    /// The word commands print.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

impl From<MemberStatus> for u8 {
    fn from(status: MemberStatus) -> Self {
        status as Self
    }
}

impl TryFrom<u8> for MemberStatus {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::Alive),
            2 => Ok(Self::Leaving),
            3 => Ok(Self::Left),
            4 => Ok(Self::Failed),
            _ => Err(format!("{number} is no member status")),
        }
    }
}
