//! Where servers are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lictor_rpc::CallError;

use crate::types::PeerInfo;

/// Where servers are, by their Raft ids.
///
/// openraft keeps its way to a server for as long as it leads, whatever becomes of the server's
/// address; so the address is looked up here for every message. What the gossip pool says counts
/// for more than the cluster's configuration: servers that all come back at other addresses have
/// no leader who could change that.
#[derive(Clone, Default)]
pub(crate) struct AddressBook(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    configured: BTreeMap<u64, PeerInfo>,
    /// By node id.
    heard: BTreeMap<String, SocketAddr>,
    /// Those that could not be reached the last time.
    away: BTreeSet<u64>,
}

impl AddressBook {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, raft_id: u64, info: &PeerInfo) {
        self.pages().configured.insert(raft_id, info.clone());
    }

    /// Takes up the configuration and forgets all others.
    pub(crate) fn replace(&self, servers: BTreeMap<u64, PeerInfo>) {
        let mut pages = self.pages();
        pages.away.retain(|raft_id| servers.contains_key(raft_id));
        pages.configured = servers;
    }

    /// Takes up where servers are now, by their node ids, and forgets what was heard before.
    pub(crate) fn hear(&self, addresses: BTreeMap<String, SocketAddr>) {
        self.pages().heard = addresses;
    }

    /// Notes whether a server could be reached, and tells the operator when that changes.
    pub(crate) fn note_contact(&self, raft_id: u64, failure: Option<&CallError>) {
        let name = {
            let mut pages = self.pages();
            let is_news = match failure {
                Some(_) => pages.away.insert(raft_id),
                None => pages.away.remove(&raft_id),
            };
            if !is_news {
                return;
            }
            pages.configured.get(&raft_id).map_or_else(|| format!("{raft_id:x}"), |info| info.name.clone())
        };
        match failure {
            Some(error) => tracing::warn!(server = %name, %error, "failed to contact"),
            None => tracing::info!(server = %name, "in contact again"),
        }
    }

    pub(crate) fn find(&self, raft_id: u64) -> Option<SocketAddr> {
        let pages = self.pages();
        let info = pages.configured.get(&raft_id)?;
        Some(pages.heard.get(&info.node_id).copied().unwrap_or(info.address))
    }
}
