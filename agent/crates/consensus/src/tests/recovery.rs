//! The way back from a lost majority.

use std::collections::BTreeMap;
use std::fs;

use super::wires::{Wires, leader_of};
use super::*;
use crate::{recover, rehearse};

fn storage(directory: &tempfile::TempDir) -> Storage {
    Storage::Disk(directory.path().to_owned())
}

/// Servers of one cluster that have all been stopped, with a key in each one's log.
async fn stopped_cluster(count: u16, options_of: impl Fn(u16) -> Options) -> Vec<tempfile::TempDir> {
    let wires = Arc::new(Wires::default());
    let directories: Vec<tempfile::TempDir> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut servers = Vec::new();
    for (number, directory) in (1..).zip(&directories) {
        assert_eq!(recover(directory.path(), &peer(number)).unwrap(), None);
        servers.push(wires.open(storage(directory), options_of(number)).await);
    }
    let members: BTreeMap<u64, PeerInfo> =
        servers.iter().map(|server| (server.consensus.raft_id(), server.consensus.node().clone())).collect();
    servers[0].consensus.bootstrap_with(members).await.unwrap();
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    for number in 0..50 {
        leader.put(&format!("kept-{number}"), "yes").await;
    }
    let expected = leader.state();
    eventually("all to be equal", || all.iter().all(|server| server.state() == expected)).await;
    for server in &servers {
        server.consensus.shutdown().await;
    }
    directories
}

fn list(numbers: &[u16]) -> String {
    let servers: Vec<String> = numbers
        .iter()
        .map(|number| {
            let peer = peer(*number);
            format!(r#"{{"id": "{}", "address": "{}"}}"#, peer.node_id, peer.address)
        })
        .collect();
    format!("[{}]", servers.join(", "))
}

fn write_list(directory: &tempfile::TempDir, content: &str) {
    fs::write(directory.path().join("peers.json"), content).unwrap();
}

/// The same data directory once more.
fn copy(directory: &tempfile::TempDir) -> tempfile::TempDir {
    fn copy_all(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&target).unwrap();
                copy_all(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), &target).unwrap();
            }
        }
    }
    let copy = tempfile::tempdir().unwrap();
    copy_all(directory.path(), copy.path());
    copy
}

fn has(server: &Server, text: &[u8]) -> bool {
    server.state().windows(text.len()).any(|window| window == text)
}

fn has_kept(server: &Server) -> bool {
    has(server, b"kept-49")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_goes_on_alone_and_others_come_back_empty() {
    // With a snapshot, so that the configuration up to now may stand there.
    let eager = |number| Options { snapshot_threshold: 16, trailing_logs: 0, ..options(number) };
    let directories = stopped_cluster(3, eager).await;
    let survivor = &directories[2];
    write_list(survivor, &list(&[3]));
    let rehearsed = rehearse(survivor.path()).unwrap();
    assert_eq!((rehearsed.before.len(), rehearsed.after.len()), (3, 1));
    assert_eq!(rehearsed.after[0], (peer(3), true));
    assert!(rehearsed.to_string().contains(&peer(3).node_id), "{rehearsed}");
    let recovered = recover(survivor.path(), &peer(3)).unwrap().unwrap();
    assert_eq!(recovered, rehearsed);
    assert!(!survivor.path().join("peers.json").try_exists().unwrap());

    let wires = Arc::new(Wires::default());
    let alone = wires.open(storage(survivor), options(3)).await;
    alone.led().await;
    assert!(has_kept(&alone));
    alone.put("after", "1").await;
    assert_eq!(alone.consensus.peers().len(), 1);
    let fresh = wires.open(Storage::Memory, options(1)).await;
    alone.consensus.add_learner(fresh.consensus.raft_id(), peer(1)).await.unwrap();
    eventually("the log", || fresh.state() == alone.state()).await;
    for server in [&alone, &fresh] {
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_go_on_together_at_other_addresses() {
    let directories = stopped_cluster(5, options).await;
    let survivors = [&directories[1], &directories[3]];
    let moved = |number: u16| PeerInfo { address: peer(number + 5).address, ..peer(number) };
    let content = list(&[2, 4]).replace(":8302", ":8307").replace(":8304", ":8309");
    for (directory, number) in survivors.into_iter().zip([2, 4]) {
        write_list(directory, &content);
        recover(directory.path(), &moved(number)).unwrap().unwrap();
    }
    let wires = Arc::new(Wires::default());
    let mut servers = Vec::new();
    for (directory, number) in survivors.into_iter().zip([2, 4]) {
        servers
            .push(wires.open(storage(directory), Options { node: moved(number), ..options(number) }).await);
    }
    let all: Vec<&Server> = servers.iter().collect();
    let leader = leader_of(&all).await;
    leader.put("after", "1").await;
    assert!(has_kept(leader));
    let expected = leader.state();
    eventually("both to be equal", || all.iter().all(|server| server.state() == expected)).await;
    let known = leader.consensus.peers();
    assert!(known.len() == 2 && known.iter().all(|peer| peer.is_voter), "{known:?}");
    for server in &servers {
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_with_a_survivor_that_had_stopped_earlier() {
    let directories = stopped_cluster(3, options).await;
    // The survivors are the followers: once the one with the lower number in Raft has stopped
    // earlier, once the one with the higher.
    for early in [0, 1] {
        let copies: Vec<tempfile::TempDir> = directories.iter().map(copy).collect();
        let wires = Arc::new(Wires::default());
        let mut servers = Vec::new();
        for (number, directory) in (1..).zip(&copies) {
            servers.push(wires.open(storage(directory), options(number)).await);
        }
        let all: Vec<&Server> = servers.iter().collect();
        let leader = leader_of(&all).await;
        let expected = leader.state();
        eventually("all to be equal", || all.iter().all(|server| server.state() == expected)).await;
        let mut followers = all;
        followers.retain(|server| !server.consensus.is_leader());
        followers.sort_by_key(|server| server.consensus.raft_id());
        followers[early].consensus.shutdown().await;
        leader.put("late", "acknowledged").await;
        let survivors: Vec<u16> = followers.iter().map(|server| number_of(server)).collect();
        for server in &servers {
            server.consensus.shutdown().await;
        }

        let wires = Arc::new(Wires::default());
        let mut servers = Vec::new();
        for number in &survivors {
            let directory = &copies[usize::from(number - 1)];
            write_list(directory, &list(&survivors));
            recover(directory.path(), &peer(*number)).unwrap().unwrap();
            servers.push(wires.open(storage(directory), options(*number)).await);
        }
        let all: Vec<&Server> = servers.iter().collect();
        leader_of(&all).await.put("after", "1").await;
        for server in &servers {
            eventually("all of it", || has(server, b"acknowledged") && has_kept(server)).await;
            eventually("to be equal", || server.state() == servers[0].state()).await;
        }
        for server in &servers {
            server.consensus.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_makes_no_sense_is_refused_and_changes_nothing() {
    let directories = stopped_cluster(3, options).await;
    let (directory, own) = (&directories[0], peer(1));
    let stranger = list(&[1]).replace(']', r#", {"id": "nobody", "address": "127.0.0.1:1"}]"#);
    let named = list(&[1]).replace("127.0.0.1:8301", "server-1:8301");
    let voteless = list(&[1]).replace('}', r#", "non_voter": true}"#);
    for (content, why) in [
        ("{", "recovery failed to parse peers.json"),
        ("[]", "need at least one voter"),
        (list(&[2]).as_str(), "this server is not in the list"),
        (list(&[1, 1]).as_str(), "found duplicate ID"),
        (list(&[1, 2]).replace(":8302", ":8301").as_str(), "found duplicate address"),
        (stranger.as_str(), "knows no server with the id nobody"),
        (named.as_str(), "is no IP address with a port"),
        (voteless.as_str(), "need at least one voter"),
    ] {
        write_list(directory, content);
        let rehearsed = rehearse(directory.path()).unwrap_err().to_string();
        let refused = recover(directory.path(), &own).unwrap_err().to_string();
        assert!(refused.contains(why) && rehearsed.contains(why), "{refused} {rehearsed}");
        assert!(directory.path().join("peers.json").try_exists().unwrap());
    }
    write_list(directory, &list(&[1]));
    let before = rehearse(directory.path()).unwrap();
    assert_eq!(before.before.len(), 3);
    assert_eq!(rehearse(directory.path()).unwrap(), before);
}

#[test]
fn a_new_directory_does_not_take_up_a_list_that_was_not_meant_for_it() {
    let directory = tempfile::tempdir().unwrap();
    write_list(&directory, &list(&[1]));
    assert!(rehearse(directory.path()).unwrap_err().to_string().contains("there is no"));
    assert_eq!(recover(directory.path(), &peer(1)).unwrap(), None);
    assert!(!directory.path().join("peers.json").try_exists().unwrap());
    let explained = fs::read_to_string(directory.path().join("peers.info")).unwrap();
    assert!(explained.contains("\"non_voter\": false"));
    write_list(&directory, &list(&[1]));
    let refused = recover(directory.path(), &peer(1)).unwrap_err().to_string();
    assert!(refused.contains("no state yet"), "{refused}");
}
