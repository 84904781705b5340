//! The leader's duty towards the servers, carried out: who comes, who goes, who has a vote; and
//! what operators ask for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use lictor_consensus::{Greeting, Peer, ProposeError};
use lictor_model::local::MemberStatus;
use lictor_model::operator::{AutopilotConfig, ServersHealth};
use lictor_model::{Error, Result};
use lictor_sys::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::autopilot::{Autopilot, Change, View, Why};
use crate::place::Attempt;
use crate::servers::ServerMember;
use crate::{Observer, Server};

/// How often the servers are looked at, beside every time a member changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after a change that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Everything that [`View`] borrows.
struct Seen {
    members: Vec<ServerMember>,
    peers: Vec<Peer>,
    greetings: BTreeMap<SocketAddr, Greeting>,
    config: AutopilotConfig,
    usual_silence: Duration,
}

impl Seen {
    fn view(&self) -> View<'_> {
        View {
            members: &self.members,
            peers: &self.peers,
            greetings: &self.greetings,
            config: &self.config,
            usual_silence: self.usual_silence,
        }
    }
}

impl Server {
    fn autopilot(&self) -> MutexGuard<'_, Option<Autopilot>> {
        self.autopilot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Seen {
        let datacenter = self.settings.datacenter.as_str();
        let members = self.gossip.members();
        Seen {
            members: members.iter().filter_map(|member| ServerMember::of(member, datacenter)).collect(),
            peers: self.consensus.peers(),
            greetings: BTreeMap::new(),
            config: self
                .store
                .snapshot()
                .autopilot()
                .map(|config| config.as_ref().clone())
                .unwrap_or_default(),
            usual_silence: self.consensus.usual_silence(),
        }
    }

    /// Where the servers that are alive listen, by their node ids.
    fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let members = self.gossip.members();
        let servers =
            members.iter().filter_map(|member| ServerMember::of(member, self.settings.datacenter.as_str()));
        let alive = servers.filter(|server| server.status == MemberStatus::Alive);
        alive.map(|server| (server.id, server.address)).collect()
    }

    /// How the servers are, as their leader sees them.
    #[must_use]
    pub fn health(&self) -> ServersHealth {
        let seen = self.look();
        let now = self.clock.now();
        let mut autopilot = self.autopilot();
        let autopilot = autopilot.get_or_insert_default();
        autopilot.observe(&seen.view(), now, self.clock.unix_millis());
        autopilot.report(&seen.view())
    }

    /// Takes a server out of the Raft configuration.
    ///
    /// # Errors
    /// [`Failed`](lictor_model::Code::Failed) if there is none with this id or address, and those
    /// of the change.
    pub(crate) async fn remove_peer(&self, id: Option<&str>, address: Option<&str>) -> Result<Attempt<()>> {
        let peers = self.consensus.peers();
        let is_meant = |peer: &&Peer| {
            id.is_some_and(|id| peer.info.node_id == id)
                || address.is_some_and(|address| peer.info.address.to_string() == address)
        };
        let Some(peer) = peers.iter().find(is_meant) else {
            let (what, which) = id.map_or_else(|| ("address", address.unwrap_or_default()), |id| ("id", id));
            return Err(Error::failed(format!("{what} {which:?} was not found in the Raft configuration")));
        };
        if peer.is_self {
            // Whoever leads next removes it.
            self.hand_over(None).await?;
            return Ok(Attempt::Elsewhere);
        }
        if let Some(autopilot) = self.autopilot().as_mut() {
            autopilot.note_removed(peer.raft_id, self.clock.now());
        }
        attempt(self.consensus.remove(peer.raft_id).await)
    }

    /// Has another server lead: the one with this node id, or whichever suits best.
    ///
    /// # Errors
    /// [`Failed`](lictor_model::Code::Failed) if there is none, or it does not take over.
    pub(crate) async fn transfer_leadership(&self, id: Option<&str>) -> Result<Attempt<()>> {
        let Some(id) = id else {
            return self.hand_over(None).await.map(Attempt::Done);
        };
        let peers = self.consensus.peers();
        let Some(peer) = peers.iter().find(|peer| peer.info.node_id == id) else {
            return Err(Error::failed(format!("Could not find address for server id {id}")));
        };
        if peer.is_self {
            return Err(Error::failed("cannot transfer leadership to itself"));
        }
        self.hand_over(Some(peer.raft_id)).await.map(Attempt::Done)
    }

    async fn hand_over(&self, to: Option<u64>) -> Result<()> {
        let others = self.consensus.peers().iter().filter(|peer| peer.is_voter && !peer.is_self).count();
        if others == 0 {
            return Err(Error::failed("cannot find peer"));
        }
        self.consensus.transfer_leadership(to).await.map_err(|error| Error::failed(error.to_string()))
    }

    /// Looks at the servers once; changes what is to be changed, one thing at the most. Returns
    /// when to look again.
    async fn look_after_servers(&self) -> Duration {
        let mut seen = self.look();
        if self.consensus.is_changing() {
            let settled = told("a change of the voters was not completed", &self.consensus.settle().await);
            return if settled { Duration::ZERO } else { RETRY_AFTER };
        }
        let greeted = seen.view().strangers().into_iter().map(|address| async move {
            let greeting = self.consensus.greet(address).await;
            greeting
                .inspect_err(|why| tracing::debug!(%why, "a server did not say who it is"))
                .ok()
                .map(|greeting| (address, greeting))
        });
        seen.greetings = futures::future::join_all(greeted).await.into_iter().flatten().collect();
        let changes = {
            let now = self.clock.now();
            let mut autopilot = self.autopilot();
            let autopilot = autopilot.get_or_insert_default();
            autopilot.observe(&seen.view(), now, self.clock.unix_millis());
            autopilot.plan(&seen.view(), now)
        };
        let mut wait = LOOK_EVERY;
        for change in changes {
            if self.carry_out_change(change).await {
                return Duration::ZERO;
            }
            wait = RETRY_AFTER;
        }
        wait
    }

    async fn carry_out_change(&self, change: Change) -> bool {
        let consensus = &self.consensus;
        match change {
            Change::Remove { raft_id, info, why } => {
                match why {
                    Why::Left => tracing::info!(server = %info, "removing server that left"),
                    Why::Replaced => {
                        tracing::info!(server = %info, "removing server whose data directory is another one now");
                    }
                    Why::Failed => tracing::info!(server = %info, "Attempting removal of failed server node"),
                }
                told("a server was not removed", &consensus.remove(raft_id).await)
            }
            Change::Update { raft_id, info } => {
                tracing::info!(server = %info, "a server has a new address or name");
                told("a server's new address was not taken up", &consensus.update(raft_id, info).await)
            }
            Change::Add { raft_id, info } => {
                tracing::info!(server = %info, "adding server as a learner");
                told("a server was not added", &consensus.add_learner(raft_id, info).await)
            }
            Change::Promote { raft_id, info } => {
                tracing::info!(server = %info, "Promoting server");
                told("a server got no vote", &consensus.promote(raft_id).await)
            }
            Change::Demote { raft_id, info } => {
                tracing::info!(server = %info, "Demoting server");
                told("a server kept its vote", &consensus.demote(raft_id).await)
            }
        }
    }
}

/// What came of a change that only a leader can make.
fn attempt(result: Result<(), ProposeError>) -> Result<Attempt<()>> {
    match result {
        Ok(()) => Ok(Attempt::Done(())),
        Err(ProposeError::NotLeader { .. }) => Ok(Attempt::Elsewhere),
        Err(error) => Err(error.into()),
    }
}

fn told(what: &str, result: &Result<(), ProposeError>) -> bool {
    match result {
        Ok(()) => {}
        // The next leader sees to it.
        Err(ProposeError::NotLeader { .. }) => tracing::debug!("{what}: leadership was lost"),
        Err(error) => tracing::warn!(%error, "{what} yet"),
    }
    result.is_ok()
}

/// Looks after the servers whenever this one leads, until `stop` is cancelled.
pub async fn run(server: Arc<Server>, observer: Arc<dyn Observer>, stop: CancellationToken) {
    let mut leadership = server.consensus.subscribe_leadership();
    let mut changes = server.gossip.watch_members();
    loop {
        changes.mark_unchanged();
        server.consensus.note_addresses(server.addresses());
        let mut wait = LOOK_EVERY;
        if leadership.borrow_and_update().established {
            let followers = server.consensus.peers().into_iter().filter(|peer| !peer.is_self);
            followers.filter_map(|peer| peer.last_contact).for_each(|silence| observer.silent(silence));
            wait = tokio::select! {
                () = stop.cancelled() => return,
                wait = server.look_after_servers() => wait,
            };
        } else {
            *server.autopilot() = None;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leadership.changed() => if changed.is_err() { return },
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}
