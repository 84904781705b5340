//! What Raft's metrics say, in the agent's words.

use lictor_model::cluster::{RaftServer, RaftServers};

use crate::types::{Metrics, PeerInfo, public_index};

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<PeerInfo>,
    /// Whether it is this server.
    pub is_leader: bool,
    /// Whether it is this server and its state includes all that former leaders acknowledged. The
    /// duties of a leader start with this.
    pub established: bool,
    /// The term.
    pub term: u64,
}

/// Where this server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `Leader`, `Follower`, `Candidate`, `Learner` or `Shutdown`.
    pub state: &'static str,
    /// The term.
    pub term: u64,
    /// The last entry of its log.
    pub last_log_index: u64,
    /// The last entry known to be committed.
    pub commit_index: u64,
    /// The last entry applied.
    pub applied_index: u64,
    /// The last entry in a snapshot.
    pub last_snapshot_index: u64,
    /// How many other servers have a vote.
    pub peers: usize,
}

/// Whether this server leads and has applied an entry of its own term, before which it may not
/// know all that former leaders acknowledged.
pub(crate) fn is_established(metrics: &Metrics) -> bool {
    metrics.state.is_leader()
        && metrics.last_applied.is_some_and(|applied| applied.leader_id == metrics.vote.leader_id)
}

/// Whether this server has the only vote.
pub(crate) fn is_alone(metrics: &Metrics) -> bool {
    let mut voters = metrics.membership_config.voter_ids();
    voters.next() == Some(metrics.id) && voters.next().is_none()
}

/// Whether this server has a vote in its cluster. One that was removed may still lead for a moment.
pub(crate) fn has_vote(metrics: &Metrics) -> bool {
    metrics.membership_config.voter_ids().any(|id| id == metrics.id)
}

pub(crate) fn leader_of(metrics: &Metrics) -> Option<PeerInfo> {
    metrics.membership_config.membership().get_node(&metrics.current_leader?).cloned()
}

pub(crate) fn leadership(metrics: &Metrics) -> Leadership {
    Leadership {
        leader: leader_of(metrics),
        is_leader: metrics.state.is_leader(),
        established: is_established(metrics),
        term: metrics.current_term,
    }
}

pub(crate) fn status(metrics: &Metrics) -> Status {
    let belongs_to_a_cluster = metrics.membership_config.membership().voter_ids().next().is_some();
    let state = match metrics.state {
        openraft::ServerState::Learner if belongs_to_a_cluster => "Learner",
        // One that waits to be asked into a cluster follows whoever does.
        openraft::ServerState::Learner => "Follower",
        openraft::ServerState::Follower => "Follower",
        openraft::ServerState::Candidate => "Candidate",
        openraft::ServerState::Leader => "Leader",
        openraft::ServerState::Shutdown => "Shutdown",
    };
    Status {
        state,
        term: metrics.current_term,
        last_log_index: metrics.last_log_index.map_or(0, |index| index.saturating_add(1)),
        commit_index: metrics.local_committed.map_or(0, |log_id| public_index(log_id).0),
        applied_index: metrics.last_applied.map_or(0, |log_id| public_index(log_id).0),
        last_snapshot_index: metrics.snapshot.map_or(0, |log_id| public_index(log_id).0),
        peers: metrics.membership_config.voter_ids().filter(|id| *id != metrics.id).count(),
    }
}

pub(crate) fn servers(metrics: &Metrics) -> RaftServers {
    let membership = metrics.membership_config.membership();
    let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
    let last_index = |id: u64| {
        if id == metrics.id {
            return metrics.last_log_index.map_or(0, |index| index.saturating_add(1));
        }
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&id).copied().flatten());
        matched.map_or(0, |log_id| public_index(log_id).0)
    };
    RaftServers {
        servers: membership
            .nodes()
            .map(|(id, node)| RaftServer {
                id: node.node_id.clone(),
                node: node.name.clone(),
                address: node.address.to_string(),
                leader: metrics.current_leader == Some(*id),
                protocol_version: "3".to_owned(),
                voter: voters.contains(id),
                last_index: last_index(*id),
            })
            .collect(),
        // The reference has this field and does not fill it.
        index: 0,
    }
}
