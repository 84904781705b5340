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
    /// How many more pieces of snapshots get through; all of them if absent.
    pieces: Mutex<Option<usize>>,
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
        lane: Lane,
        request: Bytes,
        _limit: Duration,
    ) -> Result<Bytes, CallError> {
        match self.wires.between(self.from, peer) {
            Some(server) if lane != Lane::Bulk || self.wires.take_piece() => {
                Ok(server.handle(&request).await)
            }
            _ => Err(CallError::Unreachable { peer, reason: "cut off".to_owned() }),
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

    /// Only so many pieces of snapshots get through from now on.
    pub(super) fn limit_pieces(&self, pieces: Option<usize>) {
        *self.pieces.lock().unwrap() = pieces;
    }

    /// Whether as many pieces as were allowed have got through.
    pub(super) fn is_out_of_pieces(&self) -> bool {
        *self.pieces.lock().unwrap() == Some(0)
    }

    fn take_piece(&self) -> bool {
        match &mut *self.pieces.lock().unwrap() {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// One server and those that are not cut off reach each other again.
    pub(super) fn uncut(&self, number: u16) {
        self.cut.lock().unwrap().remove(&peer(number).address);
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
