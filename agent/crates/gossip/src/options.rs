//! What can be set about gossip.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// Settings of a pool.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node's name.
    pub name: String,
    /// This node's id, by which others know it again after a restart.
    pub node_id: String,
    /// Where others reach it, so never the unspecified address. Port 0 stands for the port the socket gets.
    pub advertise: SocketAddr,
    /// What it says of itself. Names and tags together may take about 900 bytes.
    pub tags: BTreeMap<String, String>,
    /// For how long a member that is away is remembered.
    pub reap_after: Duration,
}

impl Options {
    /// The usual settings.
    #[must_use]
    pub fn new(name: impl Into<String>, node_id: impl Into<String>, advertise: SocketAddr) -> Self {
        Self {
            name: name.into(),
            node_id: node_id.into(),
            advertise,
            tags: BTreeMap::new(),
            reap_after: Duration::from_secs(72 * 60 * 60),
        }
    }
}

/// News is repeated as often as in a pool of this size at the least: a pool that is just forming
/// grows faster than its members notice.
const SMALLEST: NonZeroU32 = match NonZeroU32::new(100) {
    Some(members) => members,
    None => NonZeroU32::MIN,
};

/// foca's settings for a pool of about this size.
pub(crate) fn foca_config(members: usize) -> foca::Config {
    let members = u32::try_from(members).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    foca::Config {
        max_transmissions: foca::Config::new_lan(members.max(SMALLEST)).max_transmissions,
        max_packet_size: crate::wire::MAX_FOCA_PACKET,
        // Who is away is forgotten by our own clock, which does so together with its record.
        remove_down_after: Some(Duration::from_secs(24 * 60 * 60)),
        ..foca::Config::new_lan(members)
    }
}
