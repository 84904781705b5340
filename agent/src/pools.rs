//! The gossip pools of an agent, as its configuration wants them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lictor_config::{Pace, PoolConfig, RuntimeConfig};
use lictor_gossip::{Admission, Gossip, Options, Timing};
use lictor_local::Identity;
use lictor_sys::clock::Clock;
use lictor_sys::file;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::edges::Listeners;
use crate::{identity, joining};

/// The largest keyring that is read, in bytes.
const MOST_KEYRING: u64 = 64 * 1024;

/// The pools that an agent is in.
pub(crate) struct Pools {
    /// The one of its datacenter.
    pub(crate) lan: Arc<Gossip>,
    /// The one between datacenters, which only servers are in.
    pub(crate) wan: Option<Arc<Gossip>>,
}

impl Pools {
    pub(crate) fn start(
        config: &RuntimeConfig,
        identity: &Identity,
        listeners: &Listeners,
        server: SocketAddr,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let lan = Plan {
            name: identity.name.to_string(),
            files: "local",
            admission: Admission::Datacenter(identity.datacenter.to_string()),
            timing: Timing::lan(),
            pool: &config.gossip.lan,
        };
        let wan = Plan {
            name: format!("{}.{}", identity.name, identity.datacenter),
            files: "remote",
            admission: Admission::Servers,
            timing: Timing::wan(),
            pool: &config.gossip.wan,
        };
        let begin = |plan: Plan<'_>, bind| start(config, identity, plan, bind, server, clock);
        let lan = begin(lan, listeners.serf)?;
        let wan = listeners.serf_wan.filter(|_| config.server).map(|bind| begin(wan, bind)).transpose()?;
        Ok(Self { lan, wan })
    }
}

impl Pools {
    /// Has the pools joined that the configuration names hosts for.
    pub(crate) fn join(&self, config: &RuntimeConfig, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
        let lan = Some((&self.lan, &config.gossip.lan, "LAN"));
        let wan = self.wan.as_ref().map(|wan| (wan, &config.gossip.wan, "WAN"));
        for (pool, config, cluster) in [lan, wan].into_iter().flatten() {
            if !config.join.is_empty() {
                tasks.spawn(joining::until_joined(Arc::clone(pool), config.clone(), cluster, stop.clone()));
            }
        }
        if let Some(wan) = &self.wan {
            tasks.spawn(joining::follow(Arc::clone(&self.lan), Arc::clone(wan), stop.clone()));
        }
    }
}

/// What one pool is to be.
struct Plan<'c> {
    name: String,
    /// How its files are called.
    files: &'static str,
    admission: Admission,
    timing: Timing,
    pool: &'c PoolConfig,
}

fn start(
    config: &RuntimeConfig,
    identity: &Identity,
    plan: Plan<'_>,
    bind: SocketAddr,
    server: SocketAddr,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Gossip>, StartError> {
    let failed = |error: io::Error| StartError::new(format!("gossip on {bind}"), error);
    let elsewhere = plan.pool.bind.filter(|ip| !ip.is_unspecified() && config.advertise_addr.is_none());
    let advertise = SocketAddr::new(elsewhere.unwrap_or_else(|| server.ip()), bind.port());
    let mut options = Options::new(plan.name, identity.id.as_str(), advertise);
    options.tags = identity::tags(config, identity, server);
    options.admission = plan.admission;
    options.allowed.clone_from(&plan.pool.allowed);
    options.timing = paced(plan.timing, plan.pool.pace);
    options.reap_after = plan.pool.reconnect_timeout;
    options.verify_incoming = config.gossip.verify_incoming;
    options.verify_outgoing = config.gossip.verify_outgoing;
    options.rejoin_after_leave = config.gossip.rejoin_after_leave;
    let directory = config.data_dir.as_ref().map(|data_dir| data_dir.join("serf"));
    options.members_file =
        directory.as_ref().map(|directory| directory.join(format!("{}.members", plan.files)));
    let keyring = directory.map(|directory| directory.join(format!("{}.keyring", plan.files)));
    let keyring = keyring.filter(|_| config.gossip.keyring_files);
    options.keys = keys(&config.gossip.encrypt, keyring.as_deref())?;
    options.keyring_file = keyring.filter(|_| !options.keys.is_empty());
    Gossip::start(options, bind, Arc::clone(clock)).map(Arc::new).map_err(failed)
}

/// Whether the pools will have keys.
pub(crate) fn are_encrypted(config: &RuntimeConfig) -> bool {
    let has_keyring = |data_dir: &PathBuf| data_dir.join("serf/local.keyring").try_exists().unwrap_or(true);
    let has_keyring =
        config.data_dir.as_ref().filter(|_| config.gossip.keyring_files).is_some_and(has_keyring);
    !config.gossip.encrypt.is_empty() || has_keyring
}

fn paced(usual: Timing, pace: Pace) -> Timing {
    let count =
        |set: Option<u32>, usual: usize| set.and_then(|set| usize::try_from(set).ok()).unwrap_or(usual);
    Timing {
        probe_interval: pace.probe_interval.unwrap_or(usual.probe_interval),
        probe_timeout: pace.probe_timeout.unwrap_or(usual.probe_timeout),
        suspicion_mult: pace.suspicion_mult.unwrap_or(usual.suspicion_mult),
        gossip_interval: pace.gossip_interval.unwrap_or(usual.gossip_interval),
        gossip_nodes: count(pace.gossip_nodes, usual.gossip_nodes),
        retransmit_mult: pace.retransmit_mult.unwrap_or(usual.retransmit_mult),
        ..usual
    }
}

/// The keys of a pool. Those in the file have been rotated since the configured one was written
/// down, so they win; where there is no file, it begins with the configured one.
fn keys(configured: &str, keyring: Option<&Path>) -> Result<Vec<String>, StartError> {
    let configured = Some(configured.to_owned()).filter(|key| !key.is_empty());
    let Some(path) = keyring else { return Ok(configured.into_iter().collect()) };
    match file::read_bounded(path, MOST_KEYRING) {
        Ok(content) => {
            if configured.is_some() {
                tracing::warn!("{} exists but encrypt is given, using the keyring", path.display());
            }
            let keys: Vec<String> = serde_json::from_slice(&content)
                .map_err(|error| StartError::new(format!("keyring {}", path.display()), error))?;
            if keys.is_empty() {
                // Without a key the pool would be open while everybody takes it for encrypted.
                let error = io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file holds no key; put one in, or remove the file to begin with the one in encrypt",
                );
                return Err(StartError::new(format!("keyring {}", path.display()), error));
            }
            Ok(keys)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match configured {
            Some(key) => {
                begin_keyring(path, &key)
                    .map_err(|error| StartError::new(format!("keyring {}", path.display()), error))?;
                Ok(vec![key])
            }
            None => Ok(Vec::new()),
        },
        Err(error) => Err(StartError::new(format!("keyring {}", path.display()), error)),
    }
}

fn begin_keyring(path: &Path, key: &String) -> io::Result<()> {
    if let Some(directory) = path.parent().map(PathBuf::from) {
        file::create_private_dir(&directory)?;
    }
    file::write_atomic(path, &serde_json::to_vec_pretty(&[key])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_the_file_win_over_the_configured_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("serf/local.keyring");
        assert_eq!(keys("", Some(&path)).unwrap(), Vec::<String>::new());
        assert_eq!(keys("a", Some(&path)).unwrap(), ["a"]);
        assert_eq!(keys("b", Some(&path)).unwrap(), ["a"]);
        assert_eq!(keys("", Some(&path)).unwrap(), ["a"], "without being told again");
        assert_eq!(keys("b", None).unwrap(), ["b"]);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(keys("a", Some(&path)).is_err());
    }

    #[test]
    fn a_keyring_without_keys_does_not_start_an_open_pool() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("local.keyring");
        std::fs::write(&path, "[]").unwrap();
        for configured in ["a", ""] {
            let error = keys(configured, Some(&path)).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(error.contains("remove the file"), "{error}");
        }
    }
}
