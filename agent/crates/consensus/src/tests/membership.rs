//! Servers come, get a vote, move, hand over and go.

use super::wires::{Wires, leader_of, start};
use super::*;
use crate::ProposeError;

fn voters(server: &Server) -> Vec<u16> {
    let peers = server.consensus.peers();
    let mut numbers: Vec<u16> =
        peers.iter().filter(|peer| peer.is_voter).map(|peer| peer.info.address.port() - 8300).collect();
    numbers.sort_unstable();
    numbers
}

async fn shut_down(servers: Vec<Server>) {
    for server in servers {
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_from_one_server_to_three_and_shrinks_again() {
    let wires = Arc::new(Wires::default());
    let mut servers = vec![wires.open(Storage::Memory, options(1)).await];
    servers[0].consensus.bootstrap().await.unwrap();
    servers[0].put("a", "1").await;
    for number in 2..=3 {
        let server = wires.open(Storage::Memory, options(number)).await;
        let (leader, id) = (&servers[0].consensus, server.consensus.raft_id());
        leader.add_learner(id, peer(number)).await.unwrap();
        let known = || leader.peers().into_iter().find(|peer| peer.raft_id == id).unwrap();
        assert!(!known().is_voter);
        eventually("contact", || known().last_contact.is_some()).await;
        eventually("the log", || known().last_index == leader.status().last_log_index).await;
        leader.promote(id).await.unwrap();
        assert!(known().is_voter && known().last_term > 0);
        servers.push(server);
    }
    assert_eq!(voters(&servers[0]), [1, 2, 3]);
    servers[0].put("b", "2").await;
    let expected = servers[0].state();
    eventually("all to be equal", || servers.iter().all(|server| server.state() == expected)).await;

    let (second, third) = (servers[1].consensus.raft_id(), servers[2].consensus.raft_id());
    servers[0].consensus.demote(third).await.unwrap();
    assert_eq!((voters(&servers[0]), servers[0].consensus.peers().len()), (vec![1, 2], 3));
    servers[0].consensus.remove(third).await.unwrap();
    servers[0].consensus.remove(second).await.unwrap();
    servers[0].consensus.remove(second).await.unwrap();
    assert_eq!((voters(&servers[0]), servers[0].consensus.peers().len()), (vec![1], 1));
    servers[0].put("c", "3").await;
    assert!(!servers[0].consensus.is_changing());
    shut_down(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_leaves_the_voters_without_a_majority_in_contact() {
    let wires = Arc::new(Wires::default());
    let servers = start(&wires, options).await;
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    let others: Vec<&Server> =
        all.iter().copied().filter(|server| number_of(server) != number_of(leader)).collect();
    let id_of = |server: &Server| server.consensus.raft_id();
    eventually("contact", || leader.consensus.peers().iter().all(|peer| peer.last_contact.is_some())).await;
    wires.cut(number_of(others[0]));
    let silent = |id: u64| {
        let peers = leader.consensus.peers();
        peers.iter().any(|peer| peer.raft_id == id && peer.last_contact > Some(Duration::from_secs(1)))
    };
    eventually("silence", || silent(id_of(others[0]))).await;
    let refused = leader.consensus.remove(id_of(others[1])).await;
    assert!(matches!(refused, Err(ProposeError::Unsafe(_))), "{refused:?}");
    let refused = leader.consensus.demote(id_of(others[1])).await;
    assert!(matches!(refused, Err(ProposeError::Unsafe(_))), "{refused:?}");
    let refused = leader.consensus.remove(id_of(leader)).await;
    assert!(matches!(refused, Err(ProposeError::Unsafe(_))), "{refused:?}");
    let refused = others[1].consensus.add_learner(99, peer(9)).await;
    assert!(matches!(refused, Err(ProposeError::NotLeader { leader: Some(_) })), "{refused:?}");
    // The one that is cut off may go, and the two that are left are a quorum of two.
    leader.consensus.remove(id_of(others[0])).await.unwrap();
    leader.put("a", "1").await;
    shut_down(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_where_it_is_handed_and_no_read_is_answered_meanwhile() {
    let wires = Arc::new(Wires::default());
    let servers = start(&wires, options).await;
    let all: Vec<&Server> = servers.iter().collect();
    let mut former = leader_of(&all).await;
    former.put("a", "1").await;
    for given in [true, false, true] {
        let next = all.iter().find(|server| number_of(server) != number_of(former)).unwrap();
        let wanted = given.then(|| next.consensus.raft_id());
        eventually("contact", || former.consensus.peers().iter().all(|peer| peer.last_contact.is_some()))
            .await;
        let terms = former.consensus.status().term;
        former.consensus.transfer_leadership(wanted).await.unwrap();
        assert!(!former.consensus.is_leader() && !former.consensus.lease_is_valid());
        let leader = leader_of(&all).await;
        assert_ne!(number_of(leader), number_of(former));
        if given {
            assert_eq!(number_of(leader), number_of(next));
        }
        assert!(leader.consensus.status().term > terms);
        leader.put("a", "2").await;
        former = leader;
    }
    let refused = former.consensus.transfer_leadership(Some(99)).await;
    assert!(matches!(refused, Err(ProposeError::Unavailable { .. })), "{refused:?}");
    assert!(former.consensus.lease_is_valid(), "a transfer that cannot begin changes nothing");
    shut_down(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_servers_become_three_by_leaving_and_the_last_one_stays() {
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for number in 1..=5 {
        servers.push(wires.open(Storage::Memory, options(number)).await);
    }
    let members = servers.iter().map(|server| (server.consensus.raft_id(), server.consensus.node().clone()));
    servers[0].consensus.bootstrap_with(members.collect()).await.unwrap();
    while servers.len() > 1 {
        let all: Vec<&Server> = servers.iter().collect();
        let leader = leader_of(&all).await;
        leader.put("servers", &servers.len().to_string()).await;
        // In turn the leader and another one.
        let leaves = if servers.len() % 2 == 1 { number_of(leader) } else { number_of(leader) % 5 + 1 };
        let position = servers.iter().position(|server| number_of(server) == leaves).unwrap_or_default();
        let gone = servers.remove(position);
        gone.consensus.leave(DEADLINE).await;
        let all: Vec<&Server> = servers.iter().collect();
        let leader = leader_of(&all).await;
        assert_eq!(voters(leader).len(), servers.len());
        assert!(!voters(leader).contains(&number_of(&gone)));
        gone.consensus.shutdown().await;
        leader.put("left", &number_of(&gone).to_string()).await;
    }
    servers[0].consensus.leave(DEADLINE).await;
    servers[0].put("alone", "yes").await;
    shut_down(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_may_leave_at_once_the_leader_among_them() {
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for number in 1..=5 {
        servers.push(wires.open(Storage::Memory, options(number)).await);
    }
    let members = servers.iter().map(|server| (server.consensus.raft_id(), server.consensus.node().clone()));
    servers[0].consensus.bootstrap_with(members.collect()).await.unwrap();
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    let other = all.iter().find(|server| number_of(server) != number_of(leader)).unwrap();
    tokio::join!(leader.consensus.leave(DEADLINE), other.consensus.leave(DEADLINE));
    let gone = [number_of(leader), number_of(other)];
    let rest: Vec<&Server> =
        all.iter().copied().filter(|server| !gone.contains(&number_of(server))).collect();
    let next = leader_of(&rest).await;
    assert_eq!(voters(next).len(), 3);
    assert!(voters(next).iter().all(|number| !gone.contains(number)));
    next.put("after", "1").await;
    shut_down(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_found_again_at_its_new_address() {
    let wires = Arc::new(Wires::default());
    let directory = tempfile::tempdir().unwrap();
    let first = wires.open(Storage::Memory, options(1)).await;
    first.consensus.bootstrap().await.unwrap();
    let second = wires.open(Storage::Disk(directory.path().to_owned()), options(2)).await;
    let id = second.consensus.raft_id();
    first.consensus.add_learner(id, peer(2)).await.unwrap();
    first.put("a", "1").await;
    second.consensus.shutdown().await;
    drop(second);
    let moved = wires.open(Storage::Disk(directory.path().to_owned()), options(3)).await;
    assert_eq!(moved.consensus.raft_id(), id);
    first.consensus.update(id, peer(3)).await.unwrap();
    assert!(matches!(first.consensus.update(99, peer(3)).await, Err(ProposeError::Invalid(_))));
    first.put("b", "2").await;
    eventually("the log", || moved.state() == first.state()).await;
    shut_down(vec![first, moved]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_all_come_back_at_other_addresses_find_each_other() {
    let directories: Vec<tempfile::TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let storage = |place: usize| Storage::Disk(directories[place].path().to_owned());
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(wires.open(storage(usize::from(number) - 1), options(number)).await);
    }
    let members = servers.iter().map(|server| (server.consensus.raft_id(), server.consensus.node().clone()));
    servers[0].consensus.bootstrap_with(members.collect()).await.unwrap();
    let all: Vec<&Server> = servers.iter().collect();
    leader_of(&all).await.put("a", "1").await;
    shut_down(servers).await;

    let moved = |number: u16| PeerInfo { address: peer(number + 10).address, ..peer(number) };
    let mut servers = Vec::new();
    for number in 1..=3 {
        let options = Options { node: moved(number), ..options(number) };
        servers.push(wires.open(storage(usize::from(number) - 1), options).await);
    }
    for server in &servers {
        let heard = (1..=3).map(|number| (moved(number).node_id, moved(number).address));
        server.consensus.note_addresses(heard.collect());
    }
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    leader.put("b", "2").await;
    for server in &servers {
        let (id, info) = (server.consensus.raft_id(), server.consensus.node().clone());
        eventually("the leader to have its own address", || {
            leader.consensus.leader().is_some_and(|known| known.address == leader.consensus.node().address)
        })
        .await;
        leader.consensus.update(id, info).await.unwrap();
    }
    let expected = leader.state();
    eventually("all to be equal", || servers.iter().all(|server| server.state() == expected)).await;
    assert_eq!(voters(leader), [11, 12, 13]);
    shut_down(servers).await;
}
