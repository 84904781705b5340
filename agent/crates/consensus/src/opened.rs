//! Opening what a server has on disk.

use std::sync::Arc;

use lictor_sys::file;

use crate::error::OpenError;
use crate::log::{LogStore, WriterThread};
use crate::options::Storage;
use crate::snapshot::SnapshotHome;
use crate::types::public_index;

/// A server's open files.
pub(crate) type Opened = (LogStore, WriterThread, Arc<SnapshotHome>);

pub(crate) fn open_storage(storage: &Storage) -> Result<Opened, OpenError> {
    let (directory, snapshots) = match storage {
        Storage::Memory => (None, SnapshotHome::in_memory()),
        Storage::Disk(directory) => {
            file::create_private_dir(directory)?;
            (Some(directory.as_path()), SnapshotHome::open(&directory.join("snapshots"))?)
        }
    };
    let snapshots = Arc::new(snapshots);
    let (log, writer) = LogStore::open(directory, Arc::clone(&snapshots))?;
    // Leaves out damaged snapshots, so that openraft only sees what can be used.
    let covered = snapshots.newest()?.and_then(|(meta, _)| meta.last_log_id);
    if let Some(purged) = log.purged().filter(|purged| covered.is_none_or(|covered| covered < *purged)) {
        return Err(OpenError::Damaged(format!(
            "the raft log starts after entry {}, but no whole snapshot reaches that far; \
             restore this server's data directory from a backup, or remove it and let the server \
             join the cluster again",
            public_index(purged)
        )));
    }
    Ok((log, writer, snapshots))
}
