//! The servers among the members of the gossip pool, as their tags tell.

use std::net::SocketAddr;

use lictor_consensus::PeerInfo;
use lictor_model::local::{Member, MemberStatus};

/// What a member that is a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerMember {
    /// Its node's name.
    pub(crate) name: String,
    /// Its node's id.
    pub(crate) id: String,
    /// Where it listens for other agents.
    pub(crate) address: SocketAddr,
    /// How it is.
    pub(crate) status: MemberStatus,
    /// How many servers it expects to form a cluster of; 0 if it does not say.
    pub(crate) expect: usize,
    /// Whether it forms a cluster of its own.
    pub(crate) forms_alone: bool,
    /// The compatibility level of its build.
    pub(crate) version: String,
    /// Whether it is to have no vote.
    pub(crate) is_read_replica: bool,
}

impl ServerMember {
    /// What a member says of itself, if it is a server of this datacenter and makes sense.
    pub(crate) fn of(member: &Member, datacenter: &str) -> Option<Self> {
        let tag = |name: &str| member.tags.get(name).map(String::as_str).unwrap_or_default();
        let address = member.server_address(datacenter)?;
        Some(Self {
            name: member.name.clone(),
            id: tag("id").to_owned(),
            address,
            status: member.status,
            expect: tag("expect").parse().unwrap_or(0),
            forms_alone: tag("bootstrap") == "1",
            version: tag("build").split(':').next().unwrap_or_default().to_owned(),
            is_read_replica: tag("read_replica") == "1",
        })
    }

    /// What Raft is to know of it.
    pub(crate) fn info(&self) -> PeerInfo {
        PeerInfo { address: self.address, name: self.name.clone(), node_id: self.id.clone() }
    }
}
