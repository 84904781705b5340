//! One server: durability, snapshots, restarts, damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use lictor_model::RaftIndex;
use lictor_model::cluster::RaftServers;
use lictor_model::command::{Deregistration, KvChange, Registration, Restore};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::ProposeError;

fn snapshot_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory.join("snapshots")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What is on the disk at this moment, as it would be after the process was killed.
fn crash_image(directory: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    fs::create_dir(image.path().join("snapshots")).unwrap();
    fs::copy(directory.join("log.redb"), image.path().join("log.redb")).unwrap();
    for file in snapshot_files(directory) {
        fs::copy(&file, image.path().join("snapshots").join(file.file_name().unwrap())).unwrap();
    }
    image
}

async fn snapshot_now(server: &Server) {
    let applied = server.consensus.status().applied_index;
    server.consensus.trigger_snapshot().await.unwrap();
    eventually("a snapshot", || server.consensus.status().last_snapshot_index >= applied).await;
}

#[tokio::test]
async fn a_new_server_leads_soon_and_says_who_it_is() {
    let server = open(Storage::Memory, options(1)).await.unwrap();
    assert!(!server.consensus.is_leader());
    assert_eq!(server.consensus.servers(), RaftServers::default());
    assert!(matches!(
        server.consensus.propose(set("a", "1")).await,
        Err(ProposeError::NotLeader { leader: None })
    ));
    assert!(server.consensus.bootstrap().await.unwrap());
    assert!(server.consensus.is_leader(), "can be written to at once");
    assert!(!server.consensus.bootstrap().await.unwrap());
    assert!(server.consensus.is_leader() && server.consensus.lease_is_valid());
    assert_eq!(server.consensus.leader(), Some(peer(1)));
    assert_eq!(server.consensus.last_contact(), Some(Duration::ZERO));
    let index = server.put("a", "1").await;
    assert!(server.consensus.linearize().await.unwrap() >= RaftIndex(index));
    let servers = server.consensus.servers();
    assert_eq!((servers.index, servers.servers.len()), (0, 1));
    let listed = &servers.servers[0];
    assert_eq!((listed.node.as_str(), listed.leader, listed.voter), ("server-1", true, true));
    assert_eq!(listed.last_index, index);
    server.consensus.shutdown().await;
    assert!(matches!(server.consensus.propose(set("a", "2")).await, Err(ProposeError::Fatal(_))));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_rest_goes_on() {
    let server = open(Storage::Memory, options(1)).await.unwrap();
    server.consensus.bootstrap().await.unwrap();
    let error = server.consensus.propose(set("a", &"x".repeat(5 << 20))).await.unwrap_err();
    assert!(matches!(error, ProposeError::TooLarge { .. }), "{error}");
    // Twenty times four megabytes is more than may wait.
    let large = "x".repeat((4 << 20) - 1024);
    let outcomes = join_all((0..20).map(|_| server.consensus.propose(set("a", &large)))).await;
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(ProposeError::Overloaded)).count();
    assert_eq!(refused, 4);
    server.put("a", "1").await;
    server.consensus.shutdown().await;
}

/// The steps that put a saved state in place.
fn restore(state: Vec<u8>) -> [Command; 3] {
    let (id, size, data) = (uuid::Uuid::nil(), state.len() as u64, Bytes::from(state));
    let steps = [Restore::Begin { id }, Restore::Piece { id, offset: 0, data }, Restore::Commit { id, size }];
    steps.map(Command::Restore)
}

#[tokio::test]
async fn a_restored_state_is_in_place_once_that_is_acknowledged() {
    let server = open(Storage::Memory, options(1)).await.unwrap();
    server.consensus.bootstrap().await.unwrap();
    let mut saved = Vec::new();
    server.store.snapshot().encode_saved(&mut saved).unwrap();
    server.put("a", "1").await;
    for step in restore(saved) {
        assert_eq!(server.consensus.propose(step).await.unwrap().1, Outcome::Done);
    }
    assert_eq!(server.store.snapshot().sizes().kv, 0);
    server.put("a", "2").await;
    server.consensus.shutdown().await;
}

#[tokio::test]
async fn a_server_that_cannot_read_a_restored_state_stops() {
    let server = open(Storage::Memory, options(1)).await.unwrap();
    server.consensus.bootstrap().await.unwrap();
    let [begin, piece, commit] = restore(b"\x09 of a later build".to_vec());
    for step in [begin, piece] {
        assert_eq!(server.consensus.propose(step).await.unwrap().1, Outcome::Done);
    }
    assert!(matches!(server.consensus.propose(commit).await, Err(ProposeError::Fatal(_))));
    let reason = tokio::time::timeout(DEADLINE, server.consensus.fatal()).await.unwrap();
    assert!(reason.contains("version 9"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let server = open_disk(directory.path(), options(1)).await;
    let id = server.consensus.raft_id();
    for number in 0..20 {
        server.put(&format!("key-{number}"), "value").await;
    }
    let before = server.state();
    server.consensus.shutdown().await;
    drop(server);

    let server = open(Storage::Disk(directory.path().to_owned()), options(1)).await.unwrap();
    assert!(server.state() == before, "applied before anyone can ask");
    assert_eq!(server.consensus.raft_id(), id);
    assert!(server.consensus.lease_is_valid(), "leads at once, nobody else can");
    let index = server.put("one more", "value").await;
    assert!(index > 20);
    server.consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_what_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let server = open_disk(directory.path(), options(1)).await;
    let keys: Vec<String> = (0..64).map(|number| format!("key-{number}")).collect();
    join_all(keys.iter().map(|key| server.put(key, "value"))).await;
    let before = server.state();
    let image = crash_image(directory.path());
    let revived = open_disk(image.path(), options(1)).await;
    assert!(revived.state() == before);
    server.consensus.shutdown().await;
    revived.consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_server_lets_go_of_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let server = open_disk(directory.path(), options(1)).await;
    server.put("a", "1").await;
    let second = open(Storage::Disk(directory.path().to_owned()), options(1)).await.err().unwrap();
    assert!(second.to_string().contains("another agent"), "{second}");
    let before = server.state();
    drop(server);
    let reopened = async {
        loop {
            match open(Storage::Disk(directory.path().to_owned()), options(1)).await {
                Ok(server) => break server,
                Err(OpenError::Disk(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let server = tokio::time::timeout(DEADLINE, reopened).await.unwrap();
    server.led().await;
    assert!(server.state() == before);
    server.consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_purged_behind_snapshots_and_restarts_from_them() {
    let directory = tempfile::tempdir().unwrap();
    let small = Options { snapshot_threshold: 32, trailing_logs: 8, ..options(1) };
    let server = open_disk(directory.path(), small.clone()).await;
    for round in 0..10 {
        join_all((0..32).map(|number| {
            let (server, value) = (&server, round.to_string());
            async move { server.put(&format!("key-{number}"), &value).await }
        }))
        .await;
        // Snapshots are taken beside the writes, and on a busy machine after them.
        eventually("a snapshot", || {
            let status = server.consensus.status();
            status.applied_index < status.last_snapshot_index + 64
        })
        .await;
    }
    eventually("two snapshots", || snapshot_files(directory.path()).len() == 2).await;
    let before = server.state();
    server.consensus.shutdown().await;
    drop(server);

    let (_, found) = crate::log::disk::Disk::open(Some(directory.path())).unwrap();
    let (purged, last) = (found.purged.unwrap().index, found.last.unwrap().index);
    assert!(purged > 0 && last - purged < 160, "{purged} of {last}");
    let server = open_disk(directory.path(), small).await;
    assert!(server.state() == before);
    server.consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_replaced_by_the_one_before_and_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let eager = Options { snapshot_threshold: 64, trailing_logs: 0, ..options(1) };
    let server = open_disk(directory.path(), eager.clone()).await;
    for round in 0..4 {
        for number in 0..10 {
            server.put(&format!("key-{number}"), &round.to_string()).await;
        }
        snapshot_now(&server).await;
    }
    server.put("after", "the snapshots").await;
    let before = server.state();
    server.consensus.shutdown().await;
    drop(server);

    let files = snapshot_files(directory.path());
    assert_eq!(files.len(), 2);
    let content = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &content[..content.len() / 2]).unwrap();
    let server = open_disk(directory.path(), eager.clone()).await;
    assert!(server.state() == before);
    server.consensus.shutdown().await;
    drop(server);

    fs::write(&files[0], b"nothing").unwrap();
    let error = open(Storage::Disk(directory.path().to_owned()), eager).await.err().unwrap();
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    assert!(error.to_string().contains("restore"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_learns_a_servers_new_address() {
    let directory = tempfile::tempdir().unwrap();
    let server = open_disk(directory.path(), options(1)).await;
    server.consensus.shutdown().await;
    drop(server);
    let server = open_disk(directory.path(), options(2)).await;
    eventually("the new address", || server.consensus.leader() == Some(peer(2))).await;
    assert_eq!(server.consensus.servers().servers[0].address, "127.0.0.1:8302");
    server.consensus.shutdown().await;
}

fn any_command() -> impl Strategy<Value = Command> {
    let key = "[a-c]{1,2}";
    prop_oneof![
        (key, "[a-z]{0,4}", any::<bool>()).prop_map(|(key, value, create)| {
            Command::Kv(KvChange::Set {
                key: key.into(),
                value: value.into(),
                flags: 7,
                cas: create.then_some(RaftIndex(0)),
            })
        }),
        key.prop_map(|prefix| Command::Kv(KvChange::DeleteTree { prefix: prefix.into() })),
        key.prop_map(|name| {
            Command::Register(Box::new(Registration {
                node: name.into(),
                address: "10.0.0.1".to_owned(),
                ..Registration::default()
            }))
        }),
        key.prop_map(|name| {
            Command::Deregister(Deregistration { node: name.into(), ..Deregistration::default() })
        }),
    ]
}

#[test]
fn the_same_commands_give_the_same_bytes_after_a_restart() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    let scripts = proptest::collection::vec(any_command(), 0..40);
    runner
        .run(&(scripts, any::<bool>()), |(script, with_snapshot)| {
            runtime.block_on(async {
                let directory = tempfile::tempdir().unwrap();
                let server = open_disk(directory.path(), options(1)).await;
                let middle = script.len() / 2;
                for (position, command) in script.into_iter().enumerate() {
                    if with_snapshot && position == middle {
                        snapshot_now(&server).await;
                    }
                    server.consensus.propose(command).await.unwrap();
                }
                let before = server.state();
                server.consensus.shutdown().await;
                drop(server);
                let server = open_disk(directory.path(), options(1)).await;
                assert!(server.state() == before);
                server.consensus.shutdown().await;
            });
            Ok(())
        })
        .unwrap();
}
