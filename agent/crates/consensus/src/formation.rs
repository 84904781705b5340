//! How servers that belong to no cluster yet form one, and only one.
//!
//! Servers that expect others ask who they are. If any belongs to a cluster already, none is
//! formed. Else the one with the lowest Raft id, of those that expect others, asks all to
//! *nominate* it, and then nominates itself; once as many as are expected have, itself included, it
//! forms the cluster of exactly those. A nomination is on disk before it is told to anybody.
//!
//! Why two views of who is there cannot make two clusters: a server nominates one server at a
//! time. It changes its nomination only for a lower id, and only once it is certain that the server
//! it had nominated will never form a cluster: because that is itself and it has not done so, or
//! because that one has nominated a lower id than its own, and never goes back either. So when a
//! cluster is formed, its members' nominations are final, and a second cluster would need as many
//! servers beside them.
//!
//! What this cannot do is to go on without a nominee that is gone for good: nobody can tell whether
//! it has formed the cluster. Servers that wait for one say so in the log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use lictor_rpc::{Lane, Transport};
use openraft::type_config::async_runtime::watch::WatchReceiver;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::ProposeError;
use crate::network::{Answer, Envelope, Message};
use crate::node::Consensus;
use crate::types::PeerInfo;

/// How long one question to another server may take.
const LIMIT: Duration = Duration::from_secs(2);
/// A message with this Raft id is for whoever gets it.
pub(crate) const ANYBODY: u64 = 0;

/// Whom a server has nominated. This stands on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nomination {
    /// The nominee's Raft id.
    pub(crate) id: u64,
    /// Where it could be asked.
    pub(crate) address: SocketAddr,
}

/// What one server asks another outside of Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Who are you?
    Who,
    /// Will you nominate me?
    Nominate(Nomination),
    /// Will you remove me from the cluster, as its leader?
    Remove { raft_id: u64 },
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Greeting(Greeting),
    /// Whom the server that was asked has nominated now, if anybody.
    Nominated(Option<Nomination>),
    Removed,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Greeting {
    /// Its number in Raft, born with its data directory.
    pub raft_id: u64,
    /// Its node name, node id and address, as it knows them.
    pub info: PeerInfo,
    /// Whether it belongs to a cluster, or has promised one its vote.
    pub in_cluster: bool,
    /// The Raft ids of the servers it knows in its cluster.
    pub members: Vec<u64>,
    /// The Raft id of the server it has nominated to form a cluster.
    pub nominated: Option<u64>,
    /// Whether it forms a cluster if it is nominated. Those that expect no number of servers only
    /// nominate others.
    pub stands: bool,
    /// Whether it is about to leave the cluster.
    pub is_leaving: bool,
}

/// What one attempt to form a cluster came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formation {
    /// This server belongs to a cluster.
    Member,
    /// Another server belongs to a cluster: its leader is going to add this one.
    Exists {
        /// Who said so.
        by: PeerInfo,
    },
    /// Fewer servers answered than are expected.
    TooFew {
        /// How many did, this one included.
        answered: usize,
    },
    /// Another server has the lowest Raft id and is going to form the cluster.
    LeftTo {
        /// Which one.
        nominee: PeerInfo,
    },
    /// This server stands, and not enough servers have nominated it yet.
    Standing {
        /// How many have, this one included.
        nominations: usize,
        /// The Raft id of another server that somebody has nominated.
        rival: Option<u64>,
    },
    /// This server has formed a cluster.
    Formed {
        /// Its servers.
        servers: Vec<PeerInfo>,
    },
}

/// What to answer a server that asks to be nominated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// Nominate it; nothing to be written if it is nominated already.
    Agree,
    /// Nominate it if this one, nominated before, stands no longer.
    AgreeUnlessStanding(Nomination),
    Refuse,
}

fn judge(own: u64, current: Option<Nomination>, candidate: u64) -> Judgement {
    match current {
        None => Judgement::Agree,
        Some(current) if current.id == candidate => Judgement::Agree,
        Some(current) if candidate > current.id => Judgement::Refuse,
        Some(current) if current.id == own => Judgement::Agree,
        Some(current) => Judgement::AgreeUnlessStanding(current),
    }
}

/// Whether a server's own word proves that it will never form a cluster as `id`.
fn stands_no_longer(greeting: &Greeting, id: u64) -> bool {
    greeting.raft_id == id && !greeting.in_cluster && greeting.nominated.is_some_and(|other| other < id)
}

/// Why this server does not ask the others to nominate it, after what they have told; `None` if it
/// does.
fn hindrance(own: u64, expected: usize, others: &BTreeMap<u64, (SocketAddr, Greeting)>) -> Option<Formation> {
    if let Some((_, greeting)) = others.values().find(|(_, greeting)| greeting.in_cluster) {
        return Some(Formation::Exists { by: greeting.info.clone() });
    }
    let answered = others.len() + 1;
    if answered < expected {
        return Some(Formation::TooFew { answered });
    }
    let lower = others.range(..own).find(|(_, (_, greeting))| greeting.stands);
    lower.map(|(_, (_, greeting))| Formation::LeftTo { nominee: greeting.info.clone() })
}

/// Puts a question to whoever listens at an address.
pub(crate) async fn ask(
    transport: &Arc<dyn Transport>,
    address: SocketAddr,
    question: Question,
    limit: Duration,
) -> Result<Reply, String> {
    let envelope = Envelope { to: ANYBODY, message: Message::Ask(question) };
    let request = codec::encode(&envelope).map_err(|error| error.to_string())?;
    let answer = tokio::time::timeout(limit, transport.call(address, Lane::Consensus, request, limit))
        .await
        .map_err(|_| format!("{address} did not answer within {limit:?}"))?
        .map_err(|error| error.to_string())?;
    match codec::decode(&answer).map_err(|error| error.to_string())? {
        Answer::Told(reply) => Ok(reply),
        Answer::Refused(reason) => Err(reason),
        _ => Err(format!("{address} answered something else than was asked")),
    }
}

impl Consensus {
    /// Asks a server who it is.
    ///
    /// # Errors
    /// If it does not answer; the message says what is known of it.
    pub async fn greet(&self, address: SocketAddr) -> Result<Greeting, String> {
        match ask(&self.transport, address, Question::Who, LIMIT).await? {
            Reply::Greeting(greeting) => Ok(greeting),
            _ => Err(format!("{address} answered something else than was asked")),
        }
    }

    /// Tries once to form a cluster with the servers at these addresses, as one of `expected`.
    /// Nothing happens if any server belongs to a cluster; it may be tried as often as need be.
    ///
    /// # Errors
    /// If this server has stopped.
    pub async fn form(&self, addresses: &[SocketAddr], expected: usize) -> Result<Formation, ProposeError> {
        self.stands.store(true, Ordering::Relaxed);
        if self.in_cluster().await? {
            return Ok(Formation::Member);
        }
        let greeted = join_all(addresses.iter().map(|address| async {
            let greeting = self.greet(*address).await;
            greeting.inspect_err(|why| tracing::debug!(%why, "a server did not answer")).ok()
        }))
        .await;
        let mut others: BTreeMap<u64, (SocketAddr, Greeting)> = addresses
            .iter()
            .copied()
            .zip(greeted)
            .filter_map(|(address, greeting)| greeting.map(|greeting| (address, greeting)))
            .map(|(address, greeting)| (greeting.raft_id, (address, greeting)))
            .collect();
        others.remove(&self.raft_id());
        match hindrance(self.raft_id(), expected, &others) {
            Some(formation) => Ok(formation),
            None => self.stand(others, expected).await,
        }
    }

    /// Asks these to nominate this server, and forms the cluster if enough of them do.
    async fn stand(
        &self,
        others: BTreeMap<u64, (SocketAddr, Greeting)>,
        expected: usize,
    ) -> Result<Formation, ProposeError> {
        let own = Nomination { id: self.raft_id(), address: self.node().address };
        let answers = join_all(others.values().map(|(address, _)| async {
            ask(&self.transport, *address, Question::Nominate(own), LIMIT * 2).await
        }))
        .await;
        let mut servers = BTreeMap::new();
        let mut rival = None;
        for ((raft_id, (address, greeting)), answer) in others.into_iter().zip(answers) {
            match answer {
                Ok(Reply::Nominated(Some(nominated))) if nominated.id == own.id => {
                    servers.insert(raft_id, PeerInfo { address, ..greeting.info });
                }
                Ok(Reply::Nominated(Some(other))) => rival = Some(other.id),
                Ok(_) => {}
                Err(why) => tracing::debug!(%why, "a server has not nominated this one"),
            }
        }
        match self.nominate(own).await? {
            None => return Ok(Formation::Member),
            Some(nominated) if nominated.id == own.id => {
                servers.insert(own.id, self.node().clone());
            }
            Some(other) => rival = Some(other.id),
        }
        let nominations = servers.len();
        if nominations < expected || !servers.contains_key(&own.id) {
            return Ok(Formation::Standing { nominations, rival });
        }
        let _ballot = self.ballot.acquire().await.map_err(|_| ProposeError::Overloaded)?;
        // Meanwhile this server may have nominated one with a lower id.
        if let Some(other) = self.nomination().filter(|nomination| nomination.id != own.id) {
            return Ok(Formation::Standing { nominations: 0, rival: Some(other.id) });
        }
        let infos: Vec<PeerInfo> = servers.values().cloned().collect();
        let addresses: Vec<String> = infos.iter().map(|info| info.address.to_string()).collect();
        tracing::info!("Attempting bootstrap with nodes: [{}]", addresses.join(" "));
        let formed = self.bootstrap_with(servers).await?;
        Ok(if formed { Formation::Formed { servers: infos } } else { Formation::Member })
    }

    /// Answers a question of another server.
    pub(crate) async fn reply(&self, question: Question) -> Result<Reply, String> {
        match question {
            Question::Who => Ok(Reply::Greeting(self.greeting().await.map_err(|error| error.to_string())?)),
            Question::Nominate(candidate) => {
                let nominated = self.nominate(candidate).await.map_err(|error| error.to_string())?;
                Ok(Reply::Nominated(nominated))
            }
            Question::Remove { raft_id } => {
                self.remove(raft_id).await.map(|()| Reply::Removed).map_err(|error| error.to_string())
            }
        }
    }

    async fn greeting(&self) -> Result<Greeting, ProposeError> {
        let members =
            self.metrics.borrow_watched().membership_config.membership().nodes().map(|(id, _)| *id).collect();
        Ok(Greeting {
            raft_id: self.raft_id(),
            info: self.node().clone(),
            in_cluster: self.in_cluster().await?,
            members,
            nominated: self.nomination().map(|nomination| nomination.id),
            stands: self.stands.load(Ordering::Relaxed),
            is_leaving: self.leaving.load(Ordering::Relaxed),
        })
    }

    /// Nominates a server if that may be, and returns whom this server has nominated then; `None`
    /// if this server belongs to a cluster.
    async fn nominate(&self, candidate: Nomination) -> Result<Option<Nomination>, ProposeError> {
        let _ballot = self.ballot.acquire().await.map_err(|_| ProposeError::Overloaded)?;
        if self.in_cluster().await? {
            return Ok(None);
        }
        let current = self.nomination();
        let agreed = match judge(self.raft_id(), current, candidate.id) {
            Judgement::Agree => true,
            Judgement::Refuse => false,
            Judgement::AgreeUnlessStanding(other) => {
                self.greet(other.address).await.is_ok_and(|greeting| stands_no_longer(&greeting, other.id))
            }
        };
        if !agreed {
            return Ok(current);
        }
        if current != Some(candidate) {
            let log = self.log().ok_or_else(|| ProposeError::Fatal("this server has stopped".to_owned()))?;
            log.nominate(candidate).await.map_err(|error| ProposeError::Fatal(error.to_string()))?;
        }
        Ok(Some(candidate))
    }

    fn nomination(&self) -> Option<Nomination> {
        self.log().and_then(|log| log.nomination())
    }

    /// Whether this server belongs to a cluster, or has promised one its vote.
    ///
    /// # Errors
    /// If this server has stopped.
    pub async fn in_cluster(&self) -> Result<bool, ProposeError> {
        self.raft.is_initialized().await.map_err(|error| self.stopped(&error))
    }
}

#[cfg(test)]
mod tests;
