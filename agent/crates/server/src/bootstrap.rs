//! How a server that expects others comes into a cluster: it waits until the gossip pool has as
//! many servers as it expects, and then forms one with them or is added to theirs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_consensus::{Consensus, Formation};
use lictor_gossip::Gossip;
use lictor_model::local::{Member, MemberStatus};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::servers::ServerMember;

/// How long to wait after an attempt, if nothing changes in the pool.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The same where there is nothing to do but to be added to a cluster.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How often an attempt fails before an operator is told why.
const PATIENCE: u32 = 10;

/// Why no cluster is formed with the servers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Conflict {
    /// Another server expects another number of servers.
    Expect { member: String, number: usize },
    /// Another server forms a cluster of its own.
    FormsAlone { member: String },
}

/// The servers that are to form a cluster, as far as the pool knows any; this one included.
fn electorate(
    members: &[Member],
    datacenter: &str,
    expected: usize,
) -> Result<BTreeSet<SocketAddr>, Conflict> {
    let servers = members.iter().filter_map(|member| ServerMember::of(member, datacenter));
    let mut addresses = BTreeSet::new();
    for server in servers.filter(|server| server.status == MemberStatus::Alive) {
        if server.forms_alone {
            return Err(Conflict::FormsAlone { member: server.name });
        }
        if server.expect != 0 && server.expect != expected {
            return Err(Conflict::Expect { member: server.name, number: server.expect });
        }
        // Those without a vote count for nothing here and are added by the leader.
        if !server.is_read_replica {
            addresses.insert(server.address);
        }
    }
    Ok(addresses)
}

/// Tells an operator what happens, once for each time that it changes.
#[derive(Default)]
struct Log {
    last: Option<String>,
    failures: u32,
}

impl Log {
    fn is_news(&mut self, what: String) -> bool {
        let is_news = self.last.as_ref() != Some(&what);
        self.last = Some(what);
        is_news
    }

    fn conflict(&mut self, conflict: &Conflict, expected: usize) {
        if !self.is_news(format!("{conflict:?}")) {
            return;
        }
        match conflict {
            Conflict::Expect { member, number } => tracing::error!(
                %member,
                expects = number,
                own = expected,
                "Member has a conflicting expect value. All nodes should expect the same number."
            ),
            Conflict::FormsAlone { member } => {
                tracing::error!(%member, "Member has bootstrap mode. Expect disabled.");
            }
        }
    }

    fn found(&mut self, addresses: &BTreeSet<SocketAddr>) {
        let peers: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let peers = peers.join(",");
        if self.is_news(format!("found {peers}")) {
            tracing::info!(%peers, "Found expected number of peers, attempting bootstrap");
            self.failures = 0;
        }
    }

    fn outcome(&mut self, formation: &Formation) {
        match formation {
            Formation::Exists { by } => {
                if self.is_news(format!("exists {by}")) {
                    tracing::info!(
                        server = %by,
                        "Existing Raft peers reported by server, disabling bootstrap mode"
                    );
                }
            }
            Formation::TooFew { .. } | Formation::LeftTo { .. } | Formation::Standing { .. } => {
                self.failures += 1;
                if self.failures == PATIENCE {
                    self.explain(formation);
                }
            }
            Formation::Member | Formation::Formed { .. } => {}
        }
    }

    /// What an operator may have to see to.
    fn explain(&self, formation: &Formation) {
        match formation {
            Formation::TooFew { answered } => {
                tracing::warn!(answered, "bootstrap waits: not all servers answer on their server port");
            }
            Formation::LeftTo { nominee } => {
                tracing::warn!(%nominee, "bootstrap waits for a server that is to form the cluster");
            }
            Formation::Standing { nominations, rival } => {
                let rival = rival.map(|rival| format!("{rival:x}")).unwrap_or_default();
                tracing::warn!(
                    nominations,
                    %rival,
                    "bootstrap waits: others have promised to let another server form the cluster; \
                     if that one is lost for good, remove the raft directory of the servers that \
                     wait for it, all of which are empty"
                );
            }
            _ => {}
        }
    }
}

/// Tries to form a cluster of the `expected` number of servers, until this server belongs to one.
pub async fn run(
    consensus: Arc<Consensus>,
    gossip: Arc<Gossip>,
    datacenter: String,
    expected: usize,
    stop: CancellationToken,
) {
    let mut changes = gossip.events();
    let mut log = Log::default();
    let attempts = async {
        // One that comes back has nothing to form.
        while consensus.in_cluster().await == Ok(false) {
            let pause = match electorate(&gossip.members(), &datacenter, expected) {
                Err(conflict) => {
                    log.conflict(&conflict, expected);
                    AGAIN_AFTER
                }
                Ok(addresses) if addresses.len() < expected => AGAIN_AFTER,
                Ok(addresses) => {
                    log.found(&addresses);
                    let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
                    // What is an error here stops the agent as well.
                    let Ok(formation) = consensus.form(&addresses, expected).await else { return };
                    log.outcome(&formation);
                    match formation {
                        Formation::Member | Formation::Formed { .. } => return,
                        Formation::Exists { .. } => LOOK_AFTER,
                        _ => AGAIN_AFTER + lictor_sys::random::jitter(AGAIN_AFTER / 2),
                    }
                }
            };
            tokio::select! {
                event = changes.recv() => if matches!(event, Err(RecvError::Closed)) { return },
                () = tokio::time::sleep(pause) => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = attempts => {
            // A task of the agent that ends is an error unless the agent stops.
            stop.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u16, tags: &[(&str, &str)]) -> Member {
        let mut member = crate::duties::tests::member("s", MemberStatus::Alive, "consul");
        member.name = format!("s{number}");
        member.addr = format!("10.0.0.{number}");
        member.tags.insert("dc".to_owned(), "dc1".to_owned());
        for (name, value) in tags {
            member.tags.insert((*name).to_owned(), (*value).to_owned());
        }
        member
    }

    #[test]
    fn servers_without_a_number_count_and_others_do_not() {
        let gone = Member { status: MemberStatus::Left, ..server(5, &[("expect", "7")]) };
        let members = [
            server(1, &[("expect", "3")]),
            server(2, &[]),
            server(3, &[("expect", "3")]),
            server(4, &[("read_replica", "1")]),
            gone,
            server(6, &[("dc", "dc2"), ("expect", "5")]),
            crate::duties::tests::member("c1", MemberStatus::Alive, "node"),
        ];
        let found = electorate(&members, "dc1", 3).unwrap();
        let found: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["10.0.0.1:8300", "10.0.0.2:8300", "10.0.0.3:8300"]);
    }

    #[test]
    fn different_numbers_and_servers_that_form_their_own_cluster_are_a_conflict() {
        let members = [server(1, &[("expect", "3")]), server(2, &[("expect", "5")])];
        let conflict = electorate(&members, "dc1", 3).unwrap_err();
        assert_eq!(conflict, Conflict::Expect { member: "s2".to_owned(), number: 5 });
        let members = [server(1, &[("expect", "3")]), server(2, &[("bootstrap", "1")])];
        let conflict = electorate(&members, "dc1", 3).unwrap_err();
        assert_eq!(conflict, Conflict::FormsAlone { member: "s2".to_owned() });
    }

    #[test]
    fn the_same_is_told_once() {
        let mut log = Log::default();
        assert!(log.is_news("a".to_owned()));
        assert!(!log.is_news("a".to_owned()));
        assert!(log.is_news("b".to_owned()));
    }
}
