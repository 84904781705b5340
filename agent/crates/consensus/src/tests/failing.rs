//! A disk that fails.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::*;
use crate::ProposeError;
use crate::log::LogStore;
use crate::log::disk::Disk;
use crate::snapshot::SnapshotHome;

/// A file in memory that is full from a certain moment on.
#[derive(Debug)]
struct Failing {
    inner: InMemoryBackend,
    full: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_server_and_nothing_is_acknowledged_after_it() {
    let full = Arc::new(AtomicBool::new(false));
    let backend = Failing { inner: InMemoryBackend::new(), full: Arc::clone(&full) };
    let database = Database::builder().create_with_backend(backend).unwrap();
    let (disk, found) = Disk::with_database(database, "a test".to_owned()).unwrap();
    let snapshots = Arc::new(SnapshotHome::in_memory());
    let (log, writer) = LogStore::on(disk, found, Arc::clone(&snapshots)).unwrap();
    let store = Arc::new(Store::new());
    let opened = (log, writer, snapshots);
    let consensus = Consensus::start(options(1), opened, Arc::clone(&store), Arc::new(Alone)).await.unwrap();
    consensus.bootstrap().await.unwrap();
    let server = Server { consensus, store };
    server.led().await;
    server.put("a", "1").await;
    let before = server.state();

    full.store(true, Ordering::SeqCst);
    let error = server.consensus.propose(set("a", "2")).await.unwrap_err();
    assert!(matches!(&error, ProposeError::Fatal(_)), "{error:?}");
    let reason = tokio::time::timeout(DEADLINE, server.consensus.fatal()).await.unwrap();
    assert!(reason.contains("make room on the disk"), "{reason}");

    full.store(false, Ordering::SeqCst);
    let error = server.consensus.propose(set("a", "3")).await.unwrap_err();
    assert!(error.to_string().contains("make room on the disk"), "{error}");
    assert!(!server.consensus.lease_is_valid());
    assert!(server.state() == before);
    server.consensus.shutdown().await;
}
