//! Elections: none without need, and how long one takes. Figures are printed, not asserted:
//! `cargo test -p lictor-consensus --release -- --ignored --nocapture failover`.

use std::collections::BTreeMap;

use futures::future::join_all;
use lictor_sys::clock::{Clock, SystemClock};

use super::wires::{Wires, leader_of, start};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_cluster_elects_nobody() {
    let wires = Arc::new(Wires::default());
    let servers = start(&wires, |number| Options { raft_multiplier: 5, ..options(number) }).await;
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    let term = leader.consensus.status().term;
    let value = "x".repeat(2000);
    // As many rounds as keep the two threads of this test busy for several election timeouts.
    for round in 0..60 {
        let writes = (0..64).map(|client| {
            let value = &value;
            async move { leader.put(&format!("{client}/{round}"), value).await }
        });
        join_all(writes).await;
    }
    for server in &servers {
        assert_eq!(server.consensus.status().term, term);
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_started_anew_elects_nobody_within_the_lease_it_has_granted() {
    let directories: Vec<tempfile::TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let storage = |number: u16| Storage::Disk(directories[usize::from(number - 1)].path().to_owned());
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(wires.open(storage(number), options(number)).await);
    }
    let members: BTreeMap<u64, PeerInfo> =
        servers.iter().zip(1..).map(|(server, number)| (server.consensus.raft_id(), peer(number))).collect();
    servers[0].consensus.bootstrap_with(members).await.unwrap();
    let all: Vec<&Server> = servers.iter().collect();
    let leader = number_of(leader_of(&all).await);
    let (other, anew) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let server = |number: u16| &servers[usize::from(number - 1)];
    // The leader's lease rests on this follower alone, until it is started anew.
    wires.cut(other);
    tokio::time::sleep(options(1).lease() * 2).await;
    server(leader).put("a", "1").await;
    server(anew).consensus.shutdown().await;
    wires.cut(leader);
    wires.uncut(other);
    let clock = SystemClock::default();
    let start = clock.now();
    let back = wires.open(storage(anew), options(anew)).await;
    leader_of(&[&back, server(other)]).await;
    let took = clock.now().since(start);
    assert!(took >= options(1).lease(), "{took:?}");
    for server in servers.iter().chain([&back]) {
        server.consensus.shutdown().await;
    }
}

/// From the moment a leader is cut off until the others accept a write, in the median.
async fn failover(multiplier: u32, times: usize) -> Duration {
    let clock = SystemClock::default();
    let mut took = Vec::new();
    let wires = Arc::new(Wires::default());
    let servers = start(&wires, |number| Options { raft_multiplier: multiplier, ..options(number) }).await;
    let all: Vec<&Server> = servers.iter().collect();
    for time in 0..times {
        let leader = leader_of(&all).await;
        leader.put("before", &time.to_string()).await;
        let others: Vec<&Server> =
            all.iter().copied().filter(|server| number_of(server) != number_of(leader)).collect();
        wires.cut(number_of(leader));
        let cut = clock.now();
        let accepted = async {
            loop {
                for server in &others {
                    if server.consensus.propose(set("after", &time.to_string())).await.is_ok() {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(DEADLINE, accepted).await.expect("a write that is accepted");
        took.push(clock.now().since(cut));
        wires.heal();
        let next = leader_of(&others).await;
        let expected = next.state();
        eventually("all to be equal", || all.iter().all(|server| server.state() == expected)).await;
    }
    for server in &servers {
        server.consensus.shutdown().await;
    }
    took.sort_unstable();
    println!("multiplier {multiplier}: {took:?}");
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute, and is there for its figures"]
async fn failover_figures() {
    for multiplier in [1, 5] {
        let median = failover(multiplier, 11).await;
        println!("multiplier {multiplier}: median {median:?}");
    }
}
