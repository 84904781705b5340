//! Which servers belong to the cluster, and how they are: the thinking of a leader's duty.
//!
//! [`Autopilot::observe`] takes up what the gossip pool and Raft say of the servers;
//! [`Autopilot::plan`] tells what is to be changed, most urgent first. A server in the pool becomes
//! a learner, and a voter once it has been healthy for long enough. One that left goes at once.
//! One whose place is taken by another data directory goes, so that the new one can come. One that
//! failed stays until so many others are there that the cluster tolerates more failures without
//! it: as long as nobody has taken its place, it may come back and be worth a vote.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use lictor_consensus::{Greeting, Peer, PeerInfo};
use lictor_model::duration::GoDuration;
use lictor_model::local::MemberStatus;
use lictor_model::operator::{AutopilotConfig, ServerHealth, ServersHealth};
use lictor_sys::clock::{self, Moment};

use crate::servers::ServerMember;

/// For how long a server that an operator has removed is not added again.
const HOLD: Duration = Duration::from_secs(60);

/// What there is to know about the servers at one moment.
pub(crate) struct View<'a> {
    /// The servers of the gossip pool, whatever their status.
    pub(crate) members: &'a [ServerMember],
    /// The servers of the Raft configuration; the leader is among them.
    pub(crate) peers: &'a [Peer],
    /// What servers said of themselves, by the address they answered at.
    pub(crate) greetings: &'a BTreeMap<SocketAddr, Greeting>,
    pub(crate) config: &'a AutopilotConfig,
    /// For how long a follower that is well may not be heard of.
    pub(crate) usual_silence: Duration,
}

impl View<'_> {
    /// The Raft id that a living member is known to have.
    fn raft_id_of(&self, member: &ServerMember) -> Option<u64> {
        let is_confirmed = |peer: &&Peer| peer.info == member.info() && self.is_in_contact(peer);
        let confirmed = self.peers.iter().find(is_confirmed).map(|peer| peer.raft_id);
        // A message to a peer names its Raft id: another data directory would not have answered.
        confirmed.or_else(|| self.greetings.get(&member.address).map(|greeting| greeting.raft_id))
    }

    fn is_in_contact(&self, peer: &Peer) -> bool {
        let limit = self.config.last_contact_threshold.0 + self.usual_silence;
        peer.is_self || peer.last_contact.is_some_and(|silence| silence <= limit)
    }

    fn alive(&self) -> impl Iterator<Item = &ServerMember> {
        self.members.iter().filter(|member| member.status == MemberStatus::Alive)
    }

    /// The member that a peer is: the living one with its Raft id, or else one with its node id.
    fn member_of(&self, peer: &Peer) -> Option<&ServerMember> {
        let with_its_node_id = || {
            let same = || self.members.iter().filter(|member| member.id == peer.info.node_id);
            same().find(|member| member.status == MemberStatus::Alive).or_else(|| same().next())
        };
        self.alive().find(|member| self.raft_id_of(member) == Some(peer.raft_id)).or_else(with_its_node_id)
    }

    fn leader(&self) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.is_self)
    }

    fn voters(&self) -> usize {
        self.peers.iter().filter(|peer| peer.is_voter).count()
    }

    /// Addresses of living members whose Raft id is not known.
    pub(crate) fn strangers(&self) -> Vec<SocketAddr> {
        self.alive().filter(|member| self.raft_id_of(member).is_none()).map(|member| member.address).collect()
    }
}

/// A change of the Raft configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Update { raft_id: u64, info: PeerInfo },
    Remove { raft_id: u64, info: PeerInfo, why: Why },
    Add { raft_id: u64, info: PeerInfo },
    Promote { raft_id: u64, info: PeerInfo },
    Demote { raft_id: u64, info: PeerInfo },
}

/// Why a server is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It has left the gossip pool.
    Left,
    /// Another data directory is at its address, or has its node id.
    Replaced,
    /// It failed, and the cluster is better off without it.
    Failed,
}

/// Since when a server is as it is.
#[derive(Clone, Copy, Debug)]
struct Watched {
    is_healthy: bool,
    since: Moment,
    since_unix_millis: u64,
}

/// What a leader remembers of the servers. It starts anew with every leader.
#[derive(Debug, Default)]
pub(crate) struct Autopilot {
    watched: BTreeMap<u64, Watched>,
    /// Servers that an operator has removed, and when.
    removed: BTreeMap<u64, Moment>,
    /// Servers of other clusters that were told of.
    foreign: BTreeSet<u64>,
}

impl Autopilot {
    /// Takes up how the servers are.
    pub(crate) fn observe(&mut self, view: &View<'_>, now: Moment, unix_millis: u64) {
        self.watched.retain(|id, _| view.peers.iter().any(|peer| peer.raft_id == *id));
        for peer in view.peers {
            let is_healthy = is_healthy(view, peer);
            let fresh = Watched { is_healthy, since: now, since_unix_millis: unix_millis };
            let watched = self.watched.entry(peer.raft_id).or_insert(fresh);
            if watched.is_healthy != is_healthy {
                *watched = fresh;
            }
        }
        self.removed.retain(|_, since| now.since(*since) < HOLD);
    }

    /// Leaves a server alone for a while that an operator has removed.
    pub(crate) fn note_removed(&mut self, raft_id: u64, now: Moment) {
        self.removed.insert(raft_id, now);
    }

    /// What is to be changed, most urgent first. Each is for the servers as they are: after one
    /// was carried out, there is to be a new plan.
    pub(crate) fn plan(&mut self, view: &View<'_>, now: Moment) -> Vec<Change> {
        let mut changes: Vec<Change> = view.peers.iter().filter_map(|peer| departure(view, peer)).collect();
        changes.extend(view.peers.iter().filter_map(|peer| update(view, peer)));
        changes.extend(self.arrivals(view));
        changes.extend(view.peers.iter().filter_map(|peer| self.vote(view, peer, now)));
        changes.extend(view.peers.iter().filter_map(|peer| cleanup(view, peer)));
        changes
    }

    fn arrivals(&mut self, view: &View<'_>) -> Vec<Change> {
        let mut arrivals = Vec::new();
        for member in view.alive() {
            let Some(greeting) = view.greetings.get(&member.address) else { continue };
            let raft_id = greeting.raft_id;
            let is_known =
                view.peers.iter().any(|peer| peer.raft_id == raft_id || peer.info.address == member.address);
            if is_known || greeting.is_leaving || self.removed.contains_key(&raft_id) {
                continue;
            }
            let knows_us =
                greeting.members.iter().any(|id| view.peers.iter().any(|peer| peer.raft_id == *id));
            if greeting.members.is_empty() || knows_us {
                arrivals.push(Change::Add { raft_id, info: member.info() });
            } else if self.foreign.insert(raft_id) {
                tracing::error!(
                    server = %member.info(),
                    "a server belongs to another cluster and is not added; if it is to belong to this one, \
                     stop it and remove its data directory"
                );
            }
        }
        arrivals
    }

    /// Gives a vote to a learner that has been healthy for long enough, and takes it from a server
    /// that is to have none.
    fn vote(&self, view: &View<'_>, peer: &Peer, now: Moment) -> Option<Change> {
        let member = view.member_of(peer)?;
        let (raft_id, info) = (peer.raft_id, peer.info.clone());
        match (peer.is_voter, member.is_read_replica) {
            (true, true) if !peer.is_self => return Some(Change::Demote { raft_id, info }),
            (false, false) => {}
            _ => return None,
        }
        let watched = self.watched.get(&raft_id)?;
        let is_stable = now.since(watched.since) >= view.config.server_stabilization_time.0;
        (watched.is_healthy && is_stable).then_some(Change::Promote { raft_id, info })
    }

    /// How the servers are, for operators.
    pub(crate) fn report(&self, view: &View<'_>) -> ServersHealth {
        let servers: Vec<ServerHealth> = view.peers.iter().map(|peer| self.describe(view, peer)).collect();
        let voters = servers.iter().filter(|server| server.voter).count();
        let healthy_voters = servers.iter().filter(|server| server.voter && server.healthy).count();
        ServersHealth {
            healthy: servers.iter().all(|server| server.healthy),
            failure_tolerance: healthy_voters.saturating_sub(voters / 2 + 1),
            servers,
        }
    }

    fn describe(&self, view: &View<'_>, peer: &Peer) -> ServerHealth {
        let member = view.member_of(peer);
        let since = self.watched.get(&peer.raft_id).map_or(0, |watched| watched.since_unix_millis);
        ServerHealth {
            id: peer.info.node_id.clone(),
            name: peer.info.name.as_str().into(),
            address: peer.info.address.to_string(),
            serf_status: member.map_or("none", |member| member.status.as_str()).to_owned(),
            version: member.map(|member| member.version.clone()).unwrap_or_default(),
            leader: peer.is_leader,
            last_contact: GoDuration(peer.last_contact.unwrap_or_default()),
            last_term: peer.last_term,
            last_index: peer.last_index,
            healthy: is_healthy(view, peer),
            voter: peer.is_voter,
            stable_since: clock::rfc3339(since),
        }
    }
}

/// Whether a server is fit to lead.
fn is_healthy(view: &View<'_>, peer: &Peer) -> bool {
    let is_alive = view.member_of(peer).is_some_and(|member| member.status == MemberStatus::Alive);
    let leader = view.leader();
    let newest = leader.map_or(0, |leader| leader.last_index);
    is_alive
        && view.is_in_contact(peer)
        && leader.is_none_or(|leader| peer.last_term == leader.last_term)
        && newest.saturating_sub(peer.last_index) <= view.config.max_trailing_logs
}

/// Removes a server that left, or whose place another one has taken.
fn departure(view: &View<'_>, peer: &Peer) -> Option<Change> {
    if peer.is_self || view.alive().any(|member| view.raft_id_of(member) == Some(peer.raft_id)) {
        return None;
    }
    let (raft_id, info) = (peer.raft_id, peer.info.clone());
    let is_replaced = view.alive().any(|member| {
        let is_in_its_place = member.id == info.node_id || member.address == info.address;
        is_in_its_place && view.raft_id_of(member).is_some()
    });
    if is_replaced {
        return Some(Change::Remove { raft_id, info, why: Why::Replaced });
    }
    let has_left = view.member_of(peer)?.status == MemberStatus::Left;
    has_left.then_some(Change::Remove { raft_id, info, why: Why::Left })
}

/// Takes up a new address or name of a server.
fn update(view: &View<'_>, peer: &Peer) -> Option<Change> {
    let member = view.alive().find(|member| view.raft_id_of(member) == Some(peer.raft_id))?;
    let info = member.info();
    (info != peer.info && !peer.is_self).then_some(Change::Update { raft_id: peer.raft_id, info })
}

/// Removes a server that failed, if the cluster tolerates more failures without it: that is, if
/// the number of voters is even.
fn cleanup(view: &View<'_>, peer: &Peer) -> Option<Change> {
    let is_gone = view.member_of(peer).is_none_or(|member| member.status == MemberStatus::Failed);
    if !view.config.cleanup_dead_servers || peer.is_self || !is_gone || view.is_in_contact(peer) {
        return None;
    }
    let voters = view.voters();
    let least = usize::try_from(view.config.min_quorum).unwrap_or(usize::MAX);
    let may_go = !peer.is_voter || (voters.is_multiple_of(2) && voters > least);
    may_go.then(|| Change::Remove { raft_id: peer.raft_id, info: peer.info.clone(), why: Why::Failed })
}

#[cfg(test)]
mod tests;
