//! The Raft log.
//!
//! All changes go through one bounded queue to one [`writer`] thread, which takes whatever has
//! gathered and commits it as one transaction with one fsync; nothing is acknowledged before. The
//! newest entries are also kept in memory, so that replication and the state machine do not read
//! from the disk what was written a moment ago.
//!
//! The first error of the disk is final: everything after it is refused, because nobody can tell
//! any more what is on the disk and what is not. The reason is published for the agent to stop on.
//!
//! Entries are removed only once *two* snapshots cover them, so that a damaged newest snapshot
//! can be replaced by the one before and the log.

pub(crate) mod disk;
mod tail;
mod writer;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use tokio::sync::{mpsc, oneshot, watch};

use crate::formation::Nomination;
use crate::log::disk::Disk;
use crate::log::tail::{Found, Tail};
use crate::log::writer::{Job, Writer};
use crate::mark::Mark;
use crate::snapshot::SnapshotHome;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// How many jobs may wait for the writer thread.
const QUEUE: usize = 1024;
/// How many bytes of entries one replication request carries.
const REPLICATION_BYTES: usize = 1024 * 1024;

/// Why the disk can no longer be trusted; `None` while it can.
pub(crate) type Failure = watch::Receiver<Option<Arc<str>>>;

/// A handle to the log. The writer thread ends when the last handle is gone.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
    snapshots: Arc<SnapshotHome>,
}

/// What the handles and the writer thread have in common.
pub(crate) struct Shared {
    disk: Disk,
    tail: Mutex<Tail>,
    failure: watch::Sender<Option<Arc<str>>>,
    /// When the write began that the disk is busy with, if there is one.
    writing: Arc<Mark>,
}

impl Shared {
    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer thread, to be waited for when the log is closed.
pub(crate) type WriterThread = JoinHandle<()>;

impl LogStore {
    /// Opens the log in a directory, or an empty one in memory.
    pub(crate) fn open(
        directory: Option<&Path>,
        snapshots: Arc<SnapshotHome>,
    ) -> io::Result<(Self, WriterThread)> {
        let (disk, found) = Disk::open(directory)?;
        Self::on(disk, found, snapshots)
    }

    /// Starts the writer on an open log file.
    pub(crate) fn on(
        disk: Disk,
        found: Found,
        snapshots: Arc<SnapshotHome>,
    ) -> io::Result<(Self, WriterThread)> {
        let (failure, _) = watch::channel(None);
        let shared =
            Arc::new(Shared { disk, tail: Mutex::new(Tail::new(found)), failure, writing: Arc::default() });
        let (queue, jobs) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&shared), jobs);
        let thread = std::thread::Builder::new().name("raft-log".to_owned()).spawn(|| writer.run())?;
        Ok((Self { shared, queue, snapshots }, thread))
    }

    /// The number that is this server to Raft, as durable as the log itself.
    pub(crate) fn raft_id(&self) -> u64 {
        self.shared.disk.raft_id()
    }

    /// Tells when the disk fails.
    pub(crate) fn failure(&self) -> Failure {
        self.shared.failure.subscribe()
    }

    /// Tells for how long the disk has been busy with one write.
    pub(crate) fn writing(&self) -> Arc<Mark> {
        Arc::clone(&self.shared.writing)
    }

    /// Whom this server has nominated to form a cluster.
    pub(crate) fn nomination(&self) -> Option<Nomination> {
        self.shared.tail().nomination
    }

    /// Returns once the nomination is on the disk; only then does [`Self::nomination`] tell it.
    pub(crate) async fn nominate(&self, nomination: Nomination) -> io::Result<()> {
        self.perform(|done| Job::Nomination { nomination, done }).await?;
        self.shared.tail().nomination = Some(nomination);
        Ok(())
    }

    /// The vote that is on the disk.
    pub(crate) fn vote(&self) -> Option<Vote> {
        self.shared.tail().vote
    }

    /// The last entry that is no longer there.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.shared.tail().purged
    }

    async fn send(&self, job: Job) -> io::Result<()> {
        self.queue.send(job).await.map_err(|_| self.closed())
    }

    /// Sends a job and waits until it is durable.
    async fn perform(&self, job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job) -> io::Result<()> {
        let (done, outcome) = oneshot::channel();
        self.send(job(done)).await?;
        outcome.await.unwrap_or_else(|_| Err(self.closed()))
    }

    fn closed(&self) -> io::Error {
        let reason = self.shared.failure.borrow().clone();
        match reason {
            Some(reason) => io::Error::other(reason.to_string()),
            None => io::Error::other("the raft log is closed"),
        }
    }

    /// Entries of a range, from memory as far as they are there and else from the disk.
    async fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let (in_memory, first) = {
            let tail = self.shared.tail();
            let first = tail.first_in_memory().clamp(start, end);
            // What is below comes from the disk and counts first, so memory is only asked when
            // there is nothing to be read there.
            let entries = if first > start && max_bytes != usize::MAX {
                Vec::new()
            } else {
                tail.range(first, end, max_bytes)
            };
            (entries, first)
        };
        if first <= start {
            return Ok(in_memory);
        }
        let shared = Arc::clone(&self.shared);
        let mut entries =
            tokio::task::spawn_blocking(move || shared.disk.read(start, first, max_bytes)).await??;
        entries.extend(in_memory);
        Ok(entries)
    }
}

fn limits(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end.max(start))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (start, end) = limits(&range);
        self.read(start, end, usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, REPLICATION_BYTES).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.vote())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let tail = self.shared.tail();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.perform(|done| Job::Vote { vote, done }).await?;
        self.shared.tail().vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.shared.tail().committed = committed;
        self.send(Job::Committed(committed)).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.tail().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut records = Vec::with_capacity(entries.len());
        for entry in &entries {
            records.push((entry.index(), crate::codec::encode_entry(entry)?));
        }
        let epoch = {
            let mut tail = self.shared.tail();
            for (entry, (_, record)) in entries.into_iter().zip(&records) {
                tail.push(entry, record.len());
            }
            tail.epoch
        };
        self.send(Job::Append { records, epoch, done: callback }).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.shared.tail().truncate_after(last_log_id);
        self.perform(|done| Job::TruncateAfter { last: last_log_id, done }).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let last = self.shared.tail().last;
        // A log that ends before the snapshot has a gap, and no older snapshot could bridge it.
        let upto = if last.is_none_or(|last| last < log_id) {
            Some(log_id)
        } else {
            self.snapshots.purge_limit(log_id)
        };
        let Some(upto) = upto else {
            return Ok(());
        };
        if self.shared.tail().purged.is_some_and(|purged| purged >= upto) {
            return Ok(());
        }
        self.perform(|done| Job::Purge { upto, done }).await?;
        self.shared.tail().purge(upto);
        Ok(())
    }
}
