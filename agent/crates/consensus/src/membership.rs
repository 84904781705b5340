//! Who belongs to the cluster, and how that changes.
//!
//! A server comes as a learner, which gets the log and has no vote, and becomes a voter once
//! somebody finds that it has caught up. One change happens at a time, and none that would leave
//! the voters without a majority this leader is in contact with. What a former leader left
//! half-way is seen in [`Consensus::is_changing`] and completed by [`Consensus::settle`].
//!
//! *When* to change anything is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::type_config::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, Instant as _};

use crate::error::ProposeError;
use crate::formation::{self, Question};
use crate::node::{BACKOFF, Consensus, Refusal};
use crate::status;
use crate::types::{Metrics, PeerInfo, public_index};

/// How long to wait before trying again to leave.
const LEAVE_AGAIN: Duration = Duration::from_millis(50);

type Change = ChangeMembers<u64, PeerInfo>;

/// A server of the cluster, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number in Raft.
    pub raft_id: u64,
    /// What is known of it beside.
    pub info: PeerInfo,
    /// Whether its vote counts.
    pub is_voter: bool,
    /// Whether it is the server that is asked.
    pub is_self: bool,
    /// Whether it leads, as far as known.
    pub is_leader: bool,
    /// How long ago the request was sent that it answered last; only a leader knows, and nobody
    /// of a server that has not answered yet. No time at all for the leader itself.
    pub last_contact: Option<Duration>,
    /// The newest entry it is known to have; 0 for none.
    pub last_index: u64,
    /// The term of that entry; 0 if unknown.
    pub last_term: u64,
}

impl Consensus {
    /// The servers of the cluster, voters and others. Cheap.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        peers(&self.metrics.borrow_watched())
    }

    /// Whether a change of the voters was begun and is not complete.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.metrics.borrow_watched().membership_config.membership().get_joint_config().len() > 1
    }

    /// For how long a follower that is well may not be heard of: two heartbeats.
    #[must_use]
    pub fn usual_silence(&self) -> Duration {
        self.heartbeat * 2
    }

    /// Adds a server that gets the log and has no vote. One that is there already stays as it is.
    ///
    /// # Errors
    /// See [`ProposeError`]; so for all changes.
    pub async fn add_learner(&self, raft_id: u64, info: PeerInfo) -> Result<(), ProposeError> {
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(raft_id, info)])), true).await
    }

    /// Gives a learner a vote.
    ///
    /// # Errors
    /// Also [`ProposeError::Unsafe`] if the voters would be without a majority in contact.
    pub async fn promote(&self, raft_id: u64) -> Result<(), ProposeError> {
        self.check_quorum(|voters| voters.insert(raft_id)).await?;
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([raft_id])), true).await
    }

    /// Takes a server's vote; it still gets the log.
    ///
    /// # Errors
    /// Also [`ProposeError::Unsafe`] as for [`Self::remove`].
    pub async fn demote(&self, raft_id: u64) -> Result<(), ProposeError> {
        self.check_not_self(raft_id)?;
        self.check_quorum(|voters| voters.remove(&raft_id)).await?;
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([raft_id])), true).await
    }

    /// Removes a server. One that is not there is no error.
    ///
    /// # Errors
    /// Also [`ProposeError::Unsafe`] if the remaining voters would be without a majority in
    /// contact, or if the server is this one: a leader hands over first.
    pub async fn remove(&self, raft_id: u64) -> Result<(), ProposeError> {
        self.check_not_self(raft_id)?;
        let ids = BTreeSet::from([raft_id]);
        let change = match self.peers().iter().find(|peer| peer.raft_id == raft_id) {
            None => return Ok(()),
            Some(peer) if !peer.is_voter => ChangeMembers::RemoveNodes(ids),
            Some(_) => {
                self.check_quorum(|voters| voters.remove(&raft_id)).await?;
                ChangeMembers::RemoveVoters(ids)
            }
        };
        self.change(change, false).await
    }

    /// Changes what is known of a server, its address above all. Whoever asks must have made sure
    /// that this very server answers at the new address.
    ///
    /// # Errors
    /// [`ProposeError::Invalid`] if there is no such server.
    pub async fn update(&self, raft_id: u64, info: PeerInfo) -> Result<(), ProposeError> {
        if !self.peers().iter().any(|peer| peer.raft_id == raft_id) {
            return Err(ProposeError::Invalid(format!("there is no server with the raft id {raft_id:x}")));
        }
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(raft_id, info)])), true).await
    }

    /// Completes a change of voters that a former leader left half-way.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn settle(&self) -> Result<(), ProposeError> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::new()), true).await
    }

    /// Hands leadership to a voter: the one given, or else the one in contact that has the most of
    /// the log. Returns once another server leads; this one answers no reads and takes no writes
    /// from the moment it begins.
    ///
    /// # Errors
    /// [`ProposeError::Unavailable`] if there is nobody to hand over to, or nobody took over in
    /// time; [`ProposeError::NotLeader`] if this server does not lead.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<(), ProposeError> {
        let leader = self.leader();
        if !self.is_leader() {
            return Err(ProposeError::NotLeader { leader });
        }
        let heir = self.once_in_contact(|| heir(&self.peers(), to, self.lease).cloned()).await;
        let heir = heir.ok_or_else(|| ProposeError::Unavailable {
            reason: "no other voter is in contact with this leader".to_owned(),
        })?;
        tracing::info!(to = %heir.info, "handing over leadership");
        // Once others may be elected before this server's lease ends, the lease is worth nothing.
        let term = self.metrics.borrow_watched().current_term;
        self.handed_over.fetch_max(term, Ordering::SeqCst);
        self.raft.trigger().transfer_leader(heir.raft_id).await.map_err(|error| self.stopped(&error))?;
        let mut leadership = self.leadership.clone();
        // If the heir does not stand for election, another server does after its own timeout.
        let over = leadership.wait_for(|now| !now.is_leader && now.leader.is_some() && now.term > term);
        match tokio::time::timeout(self.lease * 3, over).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ProposeError::Unavailable { reason: format!("{} did not take over", heir.info) }),
        }
    }

    /// Leaves the cluster: hands over leadership if this server has it, and has the leader remove
    /// it. A server that has the only vote stays what it is, and a cluster without a leader is left
    /// as it is once `limit` is over; its next leader removes whoever has left the gossip pool.
    pub async fn leave(&self, limit: Duration) {
        self.leaving.store(true, Ordering::Relaxed);
        let leaving = async {
            while let Err(why) = self.try_to_leave(limit).await {
                tracing::debug!(%why, "not out of the cluster yet");
                tokio::time::sleep(LEAVE_AGAIN).await;
            }
        };
        if tokio::time::timeout(limit, leaving).await.is_err() {
            tracing::warn!("this server leaves without having been removed from the Raft configuration");
        }
    }

    async fn try_to_leave(&self, limit: Duration) -> Result<(), String> {
        let others = self.peers().iter().any(|peer| peer.is_voter && !peer.is_self);
        if !others || !self.peers().iter().any(|peer| peer.is_self) {
            return Ok(());
        }
        if self.is_leader() {
            self.transfer_leadership(None).await.map_err(|error| error.to_string())?;
        }
        let leader = self.leader().ok_or("no leader is known")?;
        let question = Question::Remove { raft_id: self.raft_id() };
        formation::ask(&self.transport, leader.address, question, limit).await.map(drop)
    }

    /// Spares the others an election before this server stops, if it leads and there is anybody to
    /// hand over to; takes `limit` at the most.
    pub async fn hand_over(&self, limit: Duration) {
        let others = self.peers().iter().any(|peer| peer.is_voter && !peer.is_self);
        if !others || !self.is_leader() {
            return;
        }
        match tokio::time::timeout(limit, self.transfer_leadership(None)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "leadership was not handed over"),
            Err(_) => tracing::warn!(?limit, "leadership was not handed over in time"),
        }
    }

    fn check_not_self(&self, raft_id: u64) -> Result<(), ProposeError> {
        if raft_id == self.raft_id() {
            return Err(ProposeError::Unsafe("a leader hands over before it goes".to_owned()));
        }
        Ok(())
    }

    /// Refuses a change after which this leader would have no majority.
    async fn check_quorum(
        &self,
        change: impl FnOnce(&mut BTreeSet<u64>) -> bool,
    ) -> Result<(), ProposeError> {
        let mut voters: BTreeSet<u64> =
            self.peers().iter().filter(|peer| peer.is_voter).map(|peer| peer.raft_id).collect();
        change(&mut voters);
        let in_contact = || {
            let peers = self.peers();
            let remaining = peers.iter().filter(|peer| voters.contains(&peer.raft_id));
            remaining.filter(|peer| peer.last_contact.is_some_and(|silence| silence < self.lease)).count()
        };
        let has_quorum = || (in_contact() > voters.len() / 2).then_some(());
        self.once_in_contact(has_quorum).await.ok_or_else(|| {
            ProposeError::Unsafe(format!(
                "of {} voters, only {} would be in contact with the leader",
                voters.len(),
                in_contact()
            ))
        })
    }

    /// What becomes true with the first heartbeats of a leader that has just been elected.
    async fn once_in_contact<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let mut patience = self.usual_silence();
        loop {
            let found = look();
            if found.is_some() || patience.is_zero() {
                return found;
            }
            tokio::time::sleep(BACKOFF).await;
            patience = patience.saturating_sub(BACKOFF);
        }
    }

    async fn change(&self, change: Change, retain: bool) -> Result<(), ProposeError> {
        let changing = async {
            // Whoever waits here has not begun anything.
            let _turn = self.turn.acquire().await.map_err(|_| ProposeError::Overloaded)?;
            self.patiently(|| async {
                let changed = self.raft.change_membership(change.clone(), retain).await;
                changed.map_err(|error| match error {
                    RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
                        Refusal::Forward(forward)
                    }
                    RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
                        ChangeMembershipError::InProgress(error) => Refusal::Soon(error.to_string()),
                        error => Refusal::Final(ProposeError::Invalid(error.to_string())),
                    },
                    RaftError::APIError(error) => {
                        Refusal::Final(ProposeError::Unknown { reason: error.to_string() })
                    }
                    RaftError::Fatal(error) => Refusal::Final(self.stopped(&error)),
                })
            })
            .await
        };
        tokio::time::timeout(self.time_limit, changing)
            .await
            .map_err(|_| ProposeError::too_slow(self.time_limit))?
            .map(drop)
    }
}

/// Who is to lead next: `wanted`, if it has a vote, or whoever in contact has the most of the log.
fn heir(peers: &[Peer], wanted: Option<u64>, lease: Duration) -> Option<&Peer> {
    let others = peers.iter().filter(|peer| peer.is_voter && !peer.is_self);
    let in_contact = others.filter(|peer| peer.last_contact.is_some_and(|silence| silence < lease));
    match wanted {
        Some(wanted) => in_contact.into_iter().find(|peer| peer.raft_id == wanted),
        None => in_contact.max_by_key(|peer| (peer.last_index, std::cmp::Reverse(peer.last_contact))),
    }
}

fn peers(metrics: &Metrics) -> Vec<Peer> {
    let membership = &metrics.membership_config;
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let leads = metrics.state.is_leader();
    let describe = |(id, info): (&u64, &PeerInfo)| {
        let is_self = *id == metrics.id;
        let matched = metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
        let acked = metrics.heartbeat.as_ref().and_then(|all| all.get(id).copied().flatten());
        let (last_index, last_term) = if is_self {
            let index = metrics.last_log_index.map_or(0, |index| index.saturating_add(1));
            // A leader's newest entry is of its own term once it has written one.
            (index, if status::is_established(metrics) { metrics.current_term } else { 0 })
        } else {
            matched.map_or((0, 0), |log_id| (public_index(log_id).0, log_id.leader_id.term))
        };
        Peer {
            raft_id: *id,
            info: info.clone(),
            is_voter: voters.contains(id),
            is_self,
            is_leader: metrics.current_leader == Some(*id),
            last_contact: match (leads, is_self) {
                (true, true) => Some(Duration::ZERO),
                (true, false) => acked.map(|acked| acked.elapsed()),
                (false, _) => None,
            },
            last_index,
            last_term,
        }
    };
    membership.membership().nodes().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(raft_id: u64, last_index: u64, silent_for: Option<u64>) -> Peer {
        Peer {
            raft_id,
            info: PeerInfo::default(),
            is_voter: true,
            is_self: false,
            is_leader: false,
            last_contact: silent_for.map(Duration::from_millis),
            last_index,
            last_term: 1,
        }
    }

    #[test]
    fn the_voter_in_contact_with_the_most_of_the_log_is_the_heir() {
        let lease = Duration::from_secs(1);
        let own = Peer { is_self: true, ..peer(1, 100, Some(0)) };
        let learner = Peer { is_voter: false, ..peer(2, 100, Some(0)) };
        let peers = [own, learner, peer(3, 90, Some(10)), peer(4, 95, Some(50)), peer(5, 99, Some(5000))];
        let chosen = |wanted| heir(&peers, wanted, lease).map(|peer| peer.raft_id);
        assert_eq!(chosen(None), Some(4));
        assert_eq!(chosen(Some(3)), Some(3));
        for unfit in [1, 2, 5, 9] {
            assert_eq!(chosen(Some(unfit)), None, "{unfit}");
        }
        assert_eq!(heir(&peers[..2], None, lease), None);
    }
}
