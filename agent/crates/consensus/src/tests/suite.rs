//! openraft's own tests of log and state machine.

use std::sync::Arc;

use lictor_store::Store;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::log::LogStore;
use crate::machine::Machine;
use crate::snapshot::SnapshotHome;
use crate::types::TypeConfig;

struct InMemory;

impl StoreBuilder<TypeConfig, LogStore, Machine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<TypeConfig>> {
        let snapshots = Arc::new(SnapshotHome::in_memory());
        let (log, _writer) = LogStore::open(None, Arc::clone(&snapshots)).unwrap();
        Ok(((), log, Machine::new(Arc::new(Store::new()), snapshots)))
    }
}

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = Arc::new(SnapshotHome::open(&directory.path().join("snapshots")).unwrap());
        let (log, _writer) = LogStore::open(Some(directory.path()), Arc::clone(&snapshots)).unwrap();
        Ok((directory, log, Machine::new(Arc::new(Store::new()), snapshots)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_accepts_the_storage_in_memory() {
    Suite::test_all(InMemory).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_accepts_the_storage_on_disk() {
    Suite::test_all(OnDisk).await.unwrap();
}
