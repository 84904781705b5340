//! How the servers are, for operators.

use lictor_consensus::Status;
use lictor_model::cluster::{RaftServer, RaftServers};
use lictor_model::duration::GoDuration;
use lictor_model::local::{Member, MemberStatus};
use lictor_model::operator::{AutopilotConfig, ServerHealth, ServersHealth};
use lictor_sys::clock;

use crate::Server;

impl Server {
    /// How the servers are, as far as this one can tell: of others it knows what the gossip pool
    /// says and how far their logs are.
    #[must_use]
    pub fn health(&self, members: &[Member]) -> ServersHealth {
        let config = self.store.snapshot().autopilot().cloned().unwrap_or_default();
        let since = clock::rfc3339(self.leading_since.load(std::sync::atomic::Ordering::Relaxed));
        assess(&self.consensus.servers(), members, &config, &self.consensus.status(), &since)
    }

    /// Takes a server out of the Raft configuration.
    ///
    /// # Errors
    /// [`Failed`](lictor_model::Code::Failed) if there is none with this id or address,
    /// [`Unimplemented`](lictor_model::Code::Unimplemented) if there is.
    pub fn remove_peer(&self, id: Option<&str>, address: Option<&str>) -> lictor_model::Result<()> {
        let is_meant = |server: &RaftServer| {
            id.is_some_and(|id| server.id == id) || address.is_some_and(|address| server.address == address)
        };
        if self.consensus.servers().servers.iter().any(is_meant) {
            return Err(lictor_model::Error::new(
                lictor_model::Code::Unimplemented,
                "this build cannot change which servers there are",
            ));
        }
        let (what, which) = id.map_or_else(|| ("address", address.unwrap_or_default()), |id| ("id", id));
        Err(lictor_model::Error::failed(format!("{what} {which:?} was not found in the Raft configuration")))
    }
}

fn assess(
    servers: &RaftServers,
    members: &[Member],
    config: &AutopilotConfig,
    own: &Status,
    since: &str,
) -> ServersHealth {
    let servers: Vec<ServerHealth> =
        servers.servers.iter().map(|server| one(server, members, config, own, since)).collect();
    let voters = servers.iter().filter(|server| server.voter).count();
    let healthy_voters = servers.iter().filter(|server| server.voter && server.healthy).count();
    ServersHealth {
        healthy: servers.iter().all(|server| server.healthy),
        failure_tolerance: healthy_voters.saturating_sub(voters / 2 + 1),
        servers,
    }
}

fn one(
    server: &RaftServer,
    members: &[Member],
    config: &AutopilotConfig,
    own: &Status,
    since: &str,
) -> ServerHealth {
    let member = members.iter().find(|member| member.tags.get("id") == Some(&server.id));
    let build = member.and_then(|member| member.tags.get("build"));
    let is_alive = member.is_some_and(|member| member.status == MemberStatus::Alive);
    let behind = own.last_log_index.saturating_sub(server.last_index);
    ServerHealth {
        id: server.id.clone(),
        name: server.node.as_str().into(),
        address: server.address.clone(),
        serf_status: member.map_or("none", |member| member.status.as_str()).to_owned(),
        version: build.and_then(|build| build.split(':').next()).unwrap_or_default().to_owned(),
        leader: server.leader,
        last_contact: GoDuration::default(),
        last_term: own.term,
        last_index: server.last_index,
        healthy: is_alive && behind <= config.max_trailing_logs,
        voter: server.voter,
        stable_since: since.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: &str, last_index: u64) -> RaftServer {
        RaftServer {
            id: id.to_owned(),
            node: id.to_owned(),
            address: String::new(),
            leader: false,
            protocol_version: "3".to_owned(),
            voter: true,
            last_index,
        }
    }

    fn member(id: &str, status: MemberStatus) -> Member {
        let member = crate::duties::tests::member(id, status, "consul");
        Member { tags: [("id".to_owned(), id.to_owned())].into(), ..member }
    }

    #[test]
    fn a_failed_server_and_one_far_behind_are_not_healthy() {
        let servers = RaftServers {
            servers: vec![
                server("a", 1000),
                server("b", 999),
                server("c", 100),
                server("d", 1000),
                server("e", 1000),
            ],
            index: 1,
        };
        let members = [
            member("a", MemberStatus::Alive),
            member("b", MemberStatus::Alive),
            member("c", MemberStatus::Alive),
            member("d", MemberStatus::Failed),
            member("e", MemberStatus::Alive),
        ];
        let own = Status { last_log_index: 1000, ..Status::default() };
        let health = assess(&servers, &members, &AutopilotConfig::default(), &own, "");
        let healthy: Vec<bool> = health.servers.iter().map(|server| server.healthy).collect();
        assert_eq!(healthy, [true, true, false, false, true]);
        assert!(!health.healthy);
        assert_eq!(health.failure_tolerance, 0);
    }
}
