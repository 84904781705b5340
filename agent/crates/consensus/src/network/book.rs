//! Where servers are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        self.pages().configured = servers;
    }

    /// Takes up where servers are now, by their node ids, and forgets what was heard before.
    pub(crate) fn hear(&self, addresses: BTreeMap<String, SocketAddr>) {
        self.pages().heard = addresses;
    }

    pub(crate) fn find(&self, raft_id: u64) -> Option<SocketAddr> {
        let pages = self.pages();
        let info = pages.configured.get(&raft_id)?;
        Some(pages.heard.get(&info.node_id).copied().unwrap_or(info.address))
    }
}
