//! Joining a pool: once when asked to, and at the start until somebody has been met.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::PoolConfig;
use lictor_gossip::{Gossip, JoinError, Unjoined, listed};
use lictor_model::local::{Member, MemberStatus};
use lictor_sys::net;
use tokio_util::sync::CancellationToken;

use crate::identity::WAN_PORT;

/// How soon to try again while somebody else has this agent's name: most likely it is this very
/// machine in an earlier life, whose end has not been noticed.
const AGAIN_FOR_NAME: Duration = Duration::from_secs(5);
/// How soon to look again for servers that are not in the pool between datacenters.
const FOLLOW_AGAIN: Duration = Duration::from_secs(10);
/// How long looking a name up may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// What has become of trying to join.
enum Tried {
    /// That many were met.
    Joined(usize),
    /// There was nobody but this agent itself to meet.
    Alone,
    /// Nobody was met.
    Failed(String),
    /// Somebody else has this agent's name.
    NameTaken(String),
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let failed = |why: String| format!("Failed to resolve {host}: lookup {host}: {why}");
    match tokio::time::timeout(LOOKUP_LIMIT, net::resolve(host, port)).await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("no such host".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("i/o timeout".to_owned())),
    }
}

/// Joins whoever is at a host, as an operator asks for it.
///
/// # Errors
/// Why nobody was met.
pub(crate) async fn join(pool: &Gossip, host: &str) -> Result<(), String> {
    let addresses = resolve(host, pool.local_addr().port()).await.map_err(|why| listed([why].into_iter()))?;
    match pool.join(addresses).await {
        Ok(_) => Ok(()),
        Err(JoinError::Nobody(problems)) => match taken(&problems) {
            // As in the reference, somebody was met; that this agent is not let in stands in its log.
            Some(why) => {
                tracing::error!("{why}: this agent is not let in; give it another name");
                Ok(())
            }
            None => Err(JoinError::Nobody(problems).to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn taken(problems: &[(SocketAddr, Unjoined)]) -> Option<String> {
    problems.iter().find_map(|(_, why)| match why {
        Unjoined::NameTaken(why) => Some(why.clone()),
        Unjoined::Failed(_) => None,
    })
}

/// Tries to join until somebody has been met, and waits for `stop` then. Returns before only if it
/// has tried as often as it may.
pub(crate) async fn until_joined(
    pool: Arc<Gossip>,
    config: PoolConfig,
    cluster: &'static str,
    stop: CancellationToken,
) {
    let mut failures = 0_u32;
    tracing::info!(cluster, "Joining cluster...");
    loop {
        let tried = tokio::select! {
            () = stop.cancelled() => return,
            tried = attempt(&pool, &config.join) => tried,
        };
        let wait = match tried {
            Tried::Joined(met) => {
                tracing::info!(
                    cluster,
                    num_agents = met,
                    "Join cluster completed. Synced with initial agents"
                );
                return stop.cancelled().await;
            }
            Tried::Alone => config.join_interval,
            Tried::NameTaken(why) => {
                tracing::error!(cluster, "{why}: this agent is not let in; give it another name");
                config.join_interval.min(AGAIN_FOR_NAME)
            }
            Tried::Failed(error) => {
                failures = failures.saturating_add(1);
                if config.join_max > 0 && failures > config.join_max {
                    tracing::error!(cluster, %error, "max join retry exhausted, exiting");
                    return;
                }
                let retry_interval = config.join_interval;
                tracing::warn!(cluster, %error, ?retry_interval, "Join cluster failed, will retry");
                retry_interval
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Looks all hosts up and tries to join them.
async fn attempt(pool: &Gossip, hosts: &[String]) -> Tried {
    let (mut addresses, mut problems) = (Vec::new(), Vec::new());
    for host in hosts {
        match resolve(host, pool.local_addr().port()).await {
            Ok(found) => addresses.extend(found),
            Err(why) => problems.push(why),
        }
    }
    // Names often stand for all servers, of which this one may be one.
    addresses.retain(|address| *address != pool.advertised());
    if addresses.is_empty() {
        return if problems.is_empty() { Tried::Alone } else { Tried::Failed(listed(problems.into_iter())) };
    }
    match pool.join(addresses).await {
        Ok(met) => Tried::Joined(met),
        Err(JoinError::Nobody(failed)) => match taken(&failed) {
            Some(why) => Tried::NameTaken(why),
            None => {
                problems.extend(failed.iter().map(|(at, why)| format!("Failed to join {at}: {why}")));
                Tried::Failed(listed(problems.into_iter()))
            }
        },
        Err(error) => Tried::Failed(error.to_string()),
    }
}

/// Brings the servers of this datacenter together in the pool between datacenters, too.
pub(crate) async fn follow(lan: Arc<Gossip>, wan: Arc<Gossip>, stop: CancellationToken) {
    let mut members = lan.watch_members();
    loop {
        let known = wan.members();
        let missing = missing(&members.borrow_and_update(), &known);
        let had_missing = !missing.is_empty();
        if had_missing && let Err(error) = wan.join(missing).await {
            tracing::debug!(%error, "servers of this datacenter are not in the pool between datacenters yet");
        }
        let again = if had_missing { FOLLOW_AGAIN } else { FOLLOW_AGAIN * 6 };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = members.changed() => if changed.is_err() { return stop.cancelled().await },
            () = tokio::time::sleep(again) => {}
        }
    }
}

/// Where servers would be in the pool between datacenters that are not in it.
fn missing(lan: &[Member], wan: &[Member]) -> Vec<SocketAddr> {
    let alive = |member: &&Member| member.status == MemberStatus::Alive;
    lan.iter()
        .filter(alive)
        .filter_map(|member| {
            let port = member.tags.get(WAN_PORT)?.parse().ok()?;
            let name = format!("{}.{}", member.name, member.tags.get("dc")?);
            let is_there = wan.iter().filter(alive).any(|known| known.name == name);
            (!is_there).then_some(SocketAddr::new(member.addr.parse().ok()?, port))
        })
        .collect()
}
