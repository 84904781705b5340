//! Three servers: writes outlive the leader, and who lags gets a snapshot.

use super::wires::{Wires, leader_of, start};
use super::*;
use crate::ProposeError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_survives_the_leader() {
    let wires = Arc::new(Wires::default());
    let servers = start(&wires, options).await;
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    leader.put("a", "1").await;
    leader.consensus.linearize().await.unwrap();
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

    wires.cut(number_of(leader));
    let next = leader_of(&others).await;
    next.put("b", "2").await;
    eventually("the old leader's lease to end", || !leader.consensus.lease_is_valid()).await;
    assert!(leader.consensus.propose(set("c", "3")).await.is_err());
    // Its state is as old as the last answer of a majority.
    assert!(leader.consensus.is_leader());
    assert!(leader.consensus.last_contact().unwrap() >= options(1).lease());
    assert_eq!(next.consensus.last_contact(), Some(Duration::ZERO));

    wires.heal();
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
    wires.cut(number_of(behind));
    let large = "x".repeat(20_000);
    // A snapshot alone is not enough: as long as the log reaches back, entries are sent.
    let mut number = 0;
    while leader.consensus.purged() < 60 {
        leader.put(&format!("key-{}", number % 100), &large).await;
        number += 1;
        assert!(number < 10_000, "the log is not purged");
    }
    // The transfer breaks off twice in the middle and begins anew.
    wires.limit_pieces(Some(2));
    wires.heal();
    eventually("the transfer to break off", || wires.is_out_of_pieces()).await;
    wires.limit_pieces(Some(3));
    eventually("the transfer to break off again", || wires.is_out_of_pieces()).await;
    assert_eq!(behind.consensus.status().last_snapshot_index, 0);
    wires.limit_pieces(None);
    let expected = leader.state();
    eventually("the lagging server to catch up", || behind.state() == expected).await;
    assert!(behind.consensus.status().last_snapshot_index > 0);
    for server in &servers {
        server.consensus.shutdown().await;
    }
}
