//! Servers in one process, connected by function calls.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, Weak};

use async_trait::async_trait;
use lictor_rpc::{CallError, Lane, Transport};

use super::*;

/// Calls between servers of this process, some of which may be cut off.
#[derive(Default)]
pub(super) struct Wires {
    servers: Mutex<HashMap<SocketAddr, Weak<Consensus>>>,
    cut: Mutex<HashSet<SocketAddr>>,
}

/// One server's end of the wires.
struct End {
    from: SocketAddr,
    wires: Arc<Wires>,
}

#[async_trait]
impl Transport for End {
    async fn call(
        &self,
        peer: SocketAddr,
        _lane: Lane,
        request: Bytes,
        _limit: Duration,
    ) -> Result<Bytes, CallError> {
        match self.wires.between(self.from, peer) {
            Some(server) => Ok(server.handle(&request).await),
            None => Err(CallError::Unreachable { peer, reason: "cut off".to_owned() }),
        }
    }
}

impl Wires {
    fn between(&self, from: SocketAddr, to: SocketAddr) -> Option<Arc<Consensus>> {
        let cut = self.cut.lock().unwrap();
        if cut.contains(&to) || cut.contains(&from) {
            return None;
        }
        self.servers.lock().unwrap().get(&to).and_then(Weak::upgrade)
    }

    /// Nobody reaches this server any more, nor does it reach anybody.
    pub(super) fn cut(&self, number: u16) {
        self.cut.lock().unwrap().insert(peer(number).address);
    }

    pub(super) fn heal(&self) {
        self.cut.lock().unwrap().clear();
    }

    /// One server's end.
    pub(super) fn end(self: &Arc<Self>, number: u16) -> Arc<dyn Transport> {
        Arc::new(End { from: peer(number).address, wires: Arc::clone(self) })
    }

    /// Others reach a server from now on.
    pub(super) fn connect(&self, consensus: &Arc<Consensus>) {
        self.servers.lock().unwrap().insert(consensus.node().address, Arc::downgrade(consensus));
    }

    pub(super) async fn open(self: &Arc<Self>, storage: Storage, options: Options) -> Server {
        let store = Arc::new(Store::new());
        let end = self.end(options.node.address.port() - 8300);
        let consensus = Consensus::open(options, storage, Arc::clone(&store), end).await.unwrap();
        self.connect(&consensus);
        Server { consensus, store }
    }
}

pub(super) async fn leader_of<'s>(servers: &[&'s Server]) -> &'s Server {
    eventually("a leader", || servers.iter().any(|server| server.consensus.lease_is_valid())).await;
    servers.iter().find(|server| server.consensus.lease_is_valid()).unwrap()
}

/// Three servers that form a cluster.
pub(super) async fn start(wires: &Arc<Wires>, options_of: impl Fn(u16) -> Options) -> Vec<Server> {
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(wires.open(Storage::Memory, options_of(number)).await);
    }
    let members: BTreeMap<u64, PeerInfo> =
        servers.iter().zip(1..).map(|(server, number)| (server.consensus.raft_id(), peer(number))).collect();
    assert!(servers[0].consensus.bootstrap_with(members).await.unwrap());
    servers
}
