//! Power loss: what was not synced is there in part, torn, or not at all.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard};

use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::*;
use crate::log::LogStore;
use crate::log::disk::Disk;
use crate::snapshot::SnapshotHome;

/// The unit in which writes reach the medium.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
struct Medium {
    /// What is there for good.
    synced: Vec<u8>,
    /// What the process sees.
    seen: Vec<u8>,
    /// What was written since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct Disc(Arc<Mutex<Medium>>);

impl Disc {
    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.0.lock().unwrap()
    }

    /// What is on the medium if the power fails now: each sector that was written since the last
    /// sync may or may not have made it.
    fn power_loss(&self, rng: &mut TestRng) -> InMemoryBackend {
        let medium = self.medium().clone();
        let mut content = medium.synced;
        for (offset, data) in medium.pending {
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            for (number, sector) in data.chunks(SECTOR).enumerate() {
                if rng.random_bool(0.5) {
                    let start = offset + number * SECTOR;
                    content[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
        content.resize(medium.seen.len().max(content.len()), 0);
        let survivor = InMemoryBackend::new();
        survivor.set_len(content.len() as u64).unwrap();
        survivor.write(0, &content).unwrap();
        survivor
    }
}

impl StorageBackend for Disc {
    fn len(&self) -> io::Result<u64> {
        Ok(self.medium().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.medium().seen[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.medium().seen.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut medium = self.medium();
        medium.synced = medium.seen.clone();
        medium.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut medium = self.medium();
        let start = usize::try_from(offset).unwrap();
        medium.seen[start..start + data.len()].copy_from_slice(data);
        medium.pending.push((start, data.to_vec()));
        Ok(())
    }
}

async fn start(backend: impl StorageBackend) -> Server {
    let mut builder = Database::builder();
    // Small regions keep the copies of the medium small.
    builder.set_cache_size(1 << 20);
    let database = builder.create_with_backend(backend).expect("the log can be opened after a power loss");
    let (disk, found) = Disk::with_database(database, "a test".to_owned()).unwrap();
    let snapshots = Arc::new(SnapshotHome::in_memory());
    let (log, writer) = LogStore::on(disk, found, Arc::clone(&snapshots)).unwrap();
    let store = Arc::new(Store::new());
    let opened = (log, writer, snapshots);
    let consensus = Consensus::start(options(1), opened, Arc::clone(&store), Arc::new(Alone)).await.unwrap();
    consensus.bootstrap().await.unwrap();
    Server { consensus, store }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_loss_at_any_moment() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let disc = Disc::default();
    let server = Arc::new(start(disc.clone()).await);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (server, acknowledged) = (Arc::clone(&server), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 0.. {
                    let key = format!("key-{writer}-{number}");
                    if server.consensus.propose(set(&key, &"x".repeat(number % 700))).await.is_err() {
                        return;
                    }
                    acknowledged.lock().unwrap().insert(key);
                }
            })
        })
        .collect();
    for round in 1..=12 {
        eventually("some writes", || acknowledged.lock().unwrap().len() >= round * 20).await;
        let promised = acknowledged.lock().unwrap().clone();
        let survivor = start(disc.power_loss(&mut rng)).await;
        let state = String::from_utf8_lossy(&survivor.state()).into_owned();
        for key in promised {
            assert!(state.contains(&key), "{key} is lost in round {round}");
        }
        survivor.consensus.shutdown().await;
    }
    server.consensus.shutdown().await;
    for writer in writers {
        writer.await.unwrap();
    }
}
