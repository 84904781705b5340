//! A disk that hangs.

use std::io;
use std::sync::{Condvar, Mutex};

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::wires::{Wires, leader_of};
use super::*;
use crate::log::LogStore;
use crate::log::disk::Disk;
use crate::snapshot::SnapshotHome;

/// A file in memory that does not become durable while it hangs.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<(Mutex<bool>, Condvar)>);

impl Switch {
    fn set(&self, hangs: bool) {
        *self.0.0.lock().unwrap() = hangs;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let hanging = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(hanging, |hangs| *hangs).unwrap());
    }
}

#[derive(Debug)]
struct Hanging {
    inner: InMemoryBackend,
    switch: Switch,
}

impl StorageBackend for Hanging {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.switch.wait();
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}

async fn open_hanging(wires: &Arc<Wires>, number: u16, switch: Switch) -> Server {
    let backend = Hanging { inner: InMemoryBackend::new(), switch };
    let database = Database::builder().create_with_backend(backend).unwrap();
    let (disk, found) = Disk::with_database(database, "a test".to_owned()).unwrap();
    let snapshots = Arc::new(SnapshotHome::in_memory());
    let (log, writer) = LogStore::on(disk, found, Arc::clone(&snapshots)).unwrap();
    let store = Arc::new(Store::new());
    let opened = (log, writer, snapshots);
    let consensus =
        Consensus::start(options(number), opened, Arc::clone(&store), wires.end(number)).await.unwrap();
    wires.connect(&consensus);
    Server { consensus, store }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_is_replaced_and_follows_once_it_is_well() {
    let wires = Arc::new(Wires::default());
    let switch = Switch::default();
    let sick = open_hanging(&wires, 1, switch.clone()).await;
    let others =
        [wires.open(Storage::Memory, options(2)).await, wires.open(Storage::Memory, options(3)).await];
    let all = [&sick, &others[0], &others[1]];
    let members = all.iter().map(|server| (server.consensus.raft_id(), server.consensus.node().clone()));
    sick.consensus.bootstrap_with(members.collect()).await.unwrap();
    leader_of(&all).await;
    if !sick.consensus.is_leader() {
        let leader = leader_of(&all).await;
        eventually("contact", || leader.consensus.peers().iter().all(|peer| peer.last_contact.is_some()))
            .await;
        leader.consensus.transfer_leadership(Some(sick.consensus.raft_id())).await.unwrap();
    }
    eventually("the lease", || sick.consensus.lease_is_valid()).await;
    sick.put("before", "1").await;

    switch.set(true);
    // It is busy with this until its disk is well; whether it happens is unknown.
    let consensus = Arc::clone(&sick.consensus);
    let stuck = tokio::spawn(async move { consensus.propose(set("during", "1")).await });
    let healthy: Vec<&Server> = others.iter().collect();
    let next = leader_of(&healthy).await;
    next.put("after", "1").await;
    eventually("the lease to end", || !sick.consensus.lease_is_valid()).await;

    switch.set(false);
    let expected = next.state();
    eventually("the sick one to catch up", || sick.state() == expected).await;
    assert!(!sick.consensus.is_leader());
    drop(stuck.await.unwrap());
    for server in all {
        server.consensus.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_does_not_keep_the_server_from_ending() {
    let wires = Arc::new(Wires::default());
    let switch = Switch::default();
    let server = open_hanging(&wires, 1, switch.clone()).await;
    server.consensus.bootstrap().await.unwrap();
    switch.set(true);
    let consensus = Arc::clone(&server.consensus);
    let stuck = tokio::spawn(async move { consensus.propose(set("a", "1")).await });
    tokio::time::timeout(DEADLINE, server.consensus.shutdown()).await.unwrap();
    assert!(stuck.await.unwrap().is_err());
    switch.set(false);
}
