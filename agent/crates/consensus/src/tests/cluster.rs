//! Three servers in one process, connected by function calls.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, Weak};

use async_trait::async_trait;
use lictor_rpc::{CallError, Lane, Transport};

use super::*;
use crate::ProposeError;

/// Calls between servers of this process, some of which may be cut off.
#[derive(Default)]
struct Wires {
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
        let cut = {
            let cut = self.wires.cut.lock().unwrap();
            cut.contains(&peer) || cut.contains(&self.from)
        };
        let server = self.wires.servers.lock().unwrap().get(&peer).and_then(Weak::upgrade);
        match server {
            Some(server) if !cut => Ok(server.handle(&request).await),
            _ => Err(CallError::Unreachable { peer, reason: "cut off".to_owned() }),
        }
    }
}

async fn join(wires: &Arc<Wires>, number: u16, options: Options) -> Server {
    let store = Arc::new(Store::new());
    let end = End { from: peer(number).address, wires: Arc::clone(wires) };
    let consensus =
        Consensus::open(options, Storage::Memory, Arc::clone(&store), Arc::new(end)).await.unwrap();
    wires.servers.lock().unwrap().insert(peer(number).address, Arc::downgrade(&consensus));
    Server { consensus, store }
}

async fn leader_of<'s>(servers: &[&'s Server]) -> &'s Server {
    eventually("a leader", || servers.iter().any(|server| server.consensus.lease_is_valid())).await;
    servers.iter().find(|server| server.consensus.lease_is_valid()).unwrap()
}

async fn start(wires: &Arc<Wires>, options_of: impl Fn(u16) -> Options) -> Vec<Server> {
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(join(wires, number, options_of(number)).await);
    }
    let members: BTreeMap<u64, PeerInfo> =
        servers.iter().zip(1..).map(|(server, number)| (server.consensus.raft_id(), peer(number))).collect();
    assert!(servers[0].consensus.bootstrap_with(members).await.unwrap());
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_survives_the_leader() {
    let wires = Arc::new(Wires::default());
    let servers = start(&wires, options).await;
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    leader.put("a", "1").await;
    leader.consensus.linearize().await.unwrap();
    let address = leader.consensus.leader().unwrap().address;
    let others: Vec<&Server> = all
        .iter()
        .copied()
        .filter(|server| server.consensus.raft_id() != leader.consensus.raft_id())
        .collect();
    assert_eq!(
        others[0].consensus.propose(set("a", "x")).await,
        Err(ProposeError::NotLeader { leader: leader.consensus.leader() })
    );
    assert!(!others[0].consensus.lease_is_valid());
    assert!(others[0].consensus.last_contact().unwrap() < DEADLINE);

    wires.cut.lock().unwrap().insert(address);
    let next = leader_of(&others).await;
    next.put("b", "2").await;
    eventually("the old leader's lease to end", || !leader.consensus.lease_is_valid()).await;
    assert!(leader.consensus.propose(set("c", "3")).await.is_err());

    wires.cut.lock().unwrap().clear();
    let expected = next.state();
    eventually("all to be equal", || all.iter().all(|server| server.state() == expected)).await;
    for server in &servers {
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lags_far_behind_gets_a_snapshot() {
    let wires = Arc::new(Wires::default());
    let small = |number| Options { snapshot_threshold: 20, trailing_logs: 0, ..options(number) };
    let servers = start(&wires, small).await;
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    let behind = all.iter().find(|server| server.consensus.raft_id() != leader.consensus.raft_id()).unwrap();
    let number =
        all.iter().position(|server| server.consensus.raft_id() == behind.consensus.raft_id()).unwrap();
    let cut = peer(u16::try_from(number).unwrap() + 1).address;
    wires.cut.lock().unwrap().insert(cut);
    let large = "x".repeat(20_000);
    for number in 0..100 {
        leader.put(&format!("key-{number}"), &large).await;
    }
    eventually("a purged log", || leader.consensus.status().last_snapshot_index > 60).await;
    wires.cut.lock().unwrap().clear();
    let expected = leader.state();
    eventually("the lagging server to catch up", || behind.state() == expected).await;
    assert!(behind.consensus.status().last_snapshot_index > 0);
    for server in &servers {
        server.consensus.shutdown().await;
    }
}
