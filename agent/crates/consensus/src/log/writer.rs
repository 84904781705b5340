//! The thread that writes the log: one transaction, and so one fsync, for all that has gathered.

use std::io;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use tokio::sync::{mpsc, oneshot};

use crate::formation::Nomination;
use crate::log::Shared;
use crate::types::{LogId, TypeConfig, Vote};

/// How many jobs one transaction takes at the most.
const BATCH: usize = 1024;

type Done = oneshot::Sender<io::Result<()>>;

/// Something to be written.
pub(crate) enum Job {
    Append { records: Vec<(u64, Vec<u8>)>, epoch: u64, done: IOFlushed<TypeConfig> },
    Vote { vote: Vote, done: Done },
    Nomination { nomination: Nomination, done: Done },
    Committed(Option<LogId>),
    TruncateAfter { last: Option<LogId>, done: Done },
    Purge { upto: LogId, done: Done },
}

impl Job {
    fn finish(self, outcome: io::Result<()>) {
        match self {
            Self::Append { done, .. } => done.io_completed(outcome),
            Self::Vote { done, .. }
            | Self::Nomination { done, .. }
            | Self::TruncateAfter { done, .. }
            | Self::Purge { done, .. } => {
                // Who asked may have given up waiting.
                let _ = done.send(outcome);
            }
            Self::Committed(_) => {}
        }
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    jobs: mpsc::Receiver<Job>,
    /// How far the log is known to be committed, not yet written. It only spares the next start
    /// some waiting, so it is worth no fsync of its own and goes along with the next write.
    committed: Option<LogId>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, jobs: mpsc::Receiver<Job>) -> Self {
        Self { shared, jobs, committed: None }
    }

    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        while self.jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
            let only_committed = batch.iter().all(|job| matches!(job, Job::Committed(_)));
            for job in &batch {
                if let Job::Committed(committed) = job {
                    self.committed = *committed;
                }
            }
            if only_committed {
                batch.clear();
                continue;
            }
            self.shared.writing.set();
            let outcome = match self.failed() {
                Some(reason) => Err(reason),
                None => self.write(&batch).map_err(|error| {
                    let reason: Arc<str> = error.to_string().into();
                    tracing::error!(%error, "the raft log cannot be written, this server stops");
                    self.shared.failure.send_replace(Some(Arc::clone(&reason)));
                    reason
                }),
            };
            self.shared.writing.clear();
            for job in batch.drain(..) {
                if let (Ok(()), Job::Append { records, epoch, .. }) = (&outcome, &job)
                    && let Some((index, _)) = records.last()
                {
                    self.shared.tail().flushed(*index, *epoch);
                }
                job.finish(outcome.clone().map_err(|reason| io::Error::other(reason.to_string())));
            }
        }
        if self.committed.is_some() && self.failed().is_none() {
            // Orderly end: the next start can apply everything at once.
            if let Err(error) = self.write(&[]) {
                tracing::warn!(%error, "how far the raft log is committed was not noted");
            }
        }
    }

    fn failed(&self) -> Option<Arc<str>> {
        self.shared.failure.borrow().clone()
    }

    fn write(&mut self, batch: &[Job]) -> io::Result<()> {
        let change = self.shared.disk.begin()?;
        for job in batch {
            match job {
                Job::Append { records, .. } => change.append(records)?,
                Job::Vote { vote, .. } => change.vote(vote)?,
                Job::Nomination { nomination, .. } => change.nomination(nomination)?,
                Job::TruncateAfter { last, .. } => change.truncate_after(*last)?,
                Job::Purge { upto, .. } => change.purge(*upto)?,
                Job::Committed(_) => {}
            }
        }
        if let Some(committed) = self.committed {
            change.committed(Some(committed))?;
        }
        change.commit()?;
        self.committed = None;
        Ok(())
    }
}
