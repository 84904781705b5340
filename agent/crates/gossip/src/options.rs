//! What can be set about gossip.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::tags::Tags;

/// Whom a pool takes as members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// All agents of this datacenter.
    Datacenter(String),
    /// Servers, whatever their datacenter.
    Servers,
}

impl Admission {
    /// Whether somebody with these tags may be a member.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, name: &str, tags: &Tags) -> Result<(), String> {
        let tag = |key: &str| tags.get(key).unwrap_or_default();
        match self {
            Self::Datacenter(own) if tag("dc") != own => {
                Err(format!("Member '{name}' part of wrong datacenter '{}'", tag("dc")))
            }
            Self::Servers if tag("role") != "consul" => Err(format!("Member '{name}' is not a server")),
            Self::Datacenter(_) | Self::Servers => Ok(()),
        }
    }

    /// What packets of this pool carry so that those of others are recognised.
    pub(crate) fn pool(&self) -> String {
        match self {
            Self::Datacenter(datacenter) => format!("lan.{datacenter}"),
            Self::Servers => "wan".to_owned(),
        }
    }
}

/// How fast a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a member asks another whether it is there.
    pub probe_interval: Duration,
    /// After which time without an answer it asks others to ask.
    pub probe_timeout: Duration,
    /// How many probe intervals a suspect has in a small pool to say that it is there; in larger
    /// ones the time grows with the logarithm of their size.
    pub suspicion_mult: u32,
    /// How often news is passed on.
    pub gossip_interval: Duration,
    /// To how many at a time.
    pub gossip_nodes: usize,
    /// News is passed on this many times by each, times the logarithm of the pool's size.
    pub retransmit_mult: u32,
    /// How often all that is known is compared with another member's; less often in large pools.
    pub sync_interval: Duration,
    /// How often a failed member is tried again.
    pub reconnect_interval: Duration,
}

impl Timing {
    /// For a pool within a datacenter.
    #[must_use]
    pub fn lan() -> Self {
        Self {
            probe_interval: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(250),
            suspicion_mult: 4,
            gossip_interval: Duration::from_millis(200),
            gossip_nodes: 3,
            retransmit_mult: 4,
            sync_interval: Duration::from_secs(30),
            reconnect_interval: Duration::from_secs(15),
        }
    }

    /// For a pool between datacenters.
    #[must_use]
    pub fn wan() -> Self {
        Self {
            probe_interval: Duration::from_secs(3),
            probe_timeout: Duration::from_millis(1500),
            suspicion_mult: 5,
            gossip_interval: Duration::from_millis(500),
            gossip_nodes: 4,
            sync_interval: Duration::from_secs(60),
            reconnect_interval: Duration::from_secs(30),
            ..Self::lan()
        }
    }

    /// How long a suspect has in a pool of this size.
    pub(crate) fn suspicion(&self, members: usize) -> Duration {
        let digits = (members.max(1) as f64).log10().max(1.0);
        self.probe_interval.mul_f64(f64::from(self.suspicion_mult) * digits)
    }

    /// How often everything is compared in a pool of this size, so that what all of them together
    /// spend on it grows slower than the pool.
    pub(crate) fn sync(&self, members: usize) -> Duration {
        let doublings = members.div_ceil(FEW).max(1).next_power_of_two().trailing_zeros();
        self.sync_interval * (doublings + 1)
    }
}

/// Up to how many members everything is compared at the usual pace.
const FEW: usize = 32;

/// Settings of a pool.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node's name.
    pub name: String,
    /// This node's id, by which others know it again after a restart.
    pub node_id: String,
    /// Where others reach it, so never the unspecified address. Port 0 stands for the port the sockets get.
    pub advertise: SocketAddr,
    /// What it says of itself; with the name at most 64 KiB.
    pub tags: BTreeMap<String, String>,
    /// Whom the pool takes.
    pub admission: Admission,
    /// From where; empty for everywhere.
    pub allowed: Vec<IpNet>,
    /// How fast it is.
    pub timing: Timing,
    /// For how long a member that is away is remembered, and tried again if it failed.
    pub reap_after: Duration,
    /// Whether this node considers that it may be itself who is slow.
    pub health_awareness: bool,
    /// Keys in base64, the one that seals first; without any, nothing is sealed.
    pub keys: Vec<String>,
    /// Where keys are kept as they change; absent: nowhere.
    pub keyring_file: Option<PathBuf>,
    /// With keys: whether everything that comes has to be sealed.
    pub verify_incoming: bool,
    /// With keys: whether everything that is sent is sealed.
    pub verify_outgoing: bool,
    /// Where members are kept so that they are found again after a restart; absent: nowhere.
    pub members_file: Option<PathBuf>,
    /// Whether they are looked for even if this node had left.
    pub rejoin_after_leave: bool,
}

impl Options {
    /// The usual settings of a pool within the datacenter.
    #[must_use]
    pub fn new(name: impl Into<String>, node_id: impl Into<String>, advertise: SocketAddr) -> Self {
        Self {
            name: name.into(),
            node_id: node_id.into(),
            advertise,
            tags: BTreeMap::new(),
            admission: Admission::Datacenter(String::new()),
            allowed: Vec::new(),
            timing: Timing::lan(),
            reap_after: Duration::from_secs(72 * 60 * 60),
            health_awareness: true,
            keys: Vec::new(),
            keyring_file: None,
            verify_incoming: true,
            verify_outgoing: true,
            members_file: None,
            rejoin_after_leave: false,
        }
    }
}

/// News is repeated as often as in a pool of this size at the least: a pool that is just forming
/// grows faster than its members notice.
const SMALLEST: usize = 100;

/// foca's settings for a pool of about this size.
pub(crate) fn foca_config(timing: &Timing, members: usize) -> foca::Config {
    let nodes = NonZeroUsize::new(timing.gossip_nodes).unwrap_or(NonZeroUsize::MIN);
    let digits = (members.max(SMALLEST) as f64 + 1.0).log10();
    let transmissions = (digits * f64::from(timing.retransmit_mult)).clamp(1.0, 255.0) as u8;
    foca::Config {
        probe_period: timing.probe_interval,
        probe_rtt: timing.probe_timeout,
        max_transmissions: NonZeroU8::new(transmissions).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: timing.suspicion(members),
        max_packet_size: crate::wire::MAX_FOCA_PACKET,
        // Who is away is forgotten by our own clock, which does so together with its record.
        remove_down_after: Some(Duration::from_secs(24 * 60 * 60)),
        // Streams do both, and better.
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(foca::PeriodicParams { frequency: timing.gossip_interval, num_members: nodes }),
        ..foca::Config::new_lan(NonZeroU32::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_pool() {
        let lan = Timing::lan();
        assert_eq!(lan.suspicion(5), Duration::from_secs(2));
        assert_eq!(lan.suspicion(1000), Duration::from_secs(6));
        assert_eq!(
            [1, 32, 33, 64, 65, 1000].map(|members| lan.sync(members).as_secs()),
            [30, 30, 60, 60, 90, 180]
        );
    }

    #[test]
    fn pools_take_their_own_kind() {
        let tags = |dc: &str, role: &str| {
            let tags = [("dc".to_owned(), dc.to_owned()), ("role".to_owned(), role.to_owned())];
            Tags::from(BTreeMap::from(tags))
        };
        let lan = Admission::Datacenter("dc1".to_owned());
        assert_eq!(lan.check("x", &tags("dc1", "node")), Ok(()));
        let refused = lan.check("x", &tags("dc2", "consul"));
        assert_eq!(refused.unwrap_err(), "Member 'x' part of wrong datacenter 'dc2'");
        assert_eq!(Admission::Servers.check("x", &tags("dc2", "consul")), Ok(()));
        assert!(Admission::Servers.check("x", &tags("dc2", "node")).is_err());
    }
}
