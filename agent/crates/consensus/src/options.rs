//! What can be set about consensus.

use std::path::PathBuf;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::types::PeerInfo;

/// How often a leader is heard during a lease. Raft's clock goes five times as fast, and is what an
/// idle server spends most of its time on.
const HEARTBEATS: u32 = 5;
/// A leader's lease per unit of the multiplier: for how long nobody stands against a leader after
/// its last sign of life.
const LEASE: Duration = Duration::from_millis(250);
/// Whatever the multiplier: what a busy machine may take to let everybody run.
const LEAST_LEASE: Duration = Duration::from_millis(400);

/// Where the log and the snapshots are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory only: everything is gone with the process.
    Memory,
    /// In this directory, which belongs to consensus alone and is made private to the agent's user.
    Disk(PathBuf),
}

/// Settings of consensus.
#[derive(Clone, Debug)]
pub struct Options {
    /// This server.
    pub node: PeerInfo,
    /// Scales all of Raft's timeouts; greater values suit slow machines and networks.
    pub raft_multiplier: u32,
    /// A snapshot is taken after so many entries.
    pub snapshot_threshold: u64,
    /// So many entries from before a snapshot are kept for followers that lag a little.
    pub trailing_logs: u64,
    /// How long a write or a consistent read may take before the caller gets an answer.
    pub time_limit: Duration,
}

impl Options {
    /// The usual settings for a server.
    #[must_use]
    pub fn new(node: PeerInfo) -> Self {
        Self {
            node,
            raft_multiplier: 5,
            snapshot_threshold: 16_384,
            trailing_logs: 10_240,
            time_limit: Duration::from_secs(10),
        }
    }

    /// How long a quorum's acknowledgement is a leader's lease, and the longest election timeout.
    ///
    /// A follower stands for election once the lease and a random timeout, of a third of the
    /// lease to all of it, are over. So the next write is accepted after one and a half leases in
    /// the median: 1.9 s at the usual multiplier of 5.
    pub(crate) fn lease(&self) -> Duration {
        (LEASE * self.raft_multiplier).max(LEAST_LEASE)
    }

    /// How often a leader is heard.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.lease() / HEARTBEATS
    }

    pub(crate) fn raft_config(&self) -> Config {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Config {
            cluster_name: "lictor".to_owned(),
            heartbeat_interval: millis(self.heartbeat()),
            election_timeout_min: millis(self.lease() / 3),
            election_timeout_max: millis(self.lease()),
            enable_pre_vote: Some(true),
            // A leader that comes back starts a new term: only an entry of that term tells that
            // what it had acknowledged before is applied again.
            enable_leader_restore: Some(false),
            // Each chunk has a limit of its own; this one only ends a transfer that hangs.
            install_snapshot_timeout: millis(Duration::from_secs(600)),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_threshold.max(1)),
            max_in_snapshot_log_to_keep: self.trailing_logs,
            // Purging rewrites pages of the log file, so it is worth doing for many entries only.
            purge_batch_size: (self.snapshot_threshold / 16).max(1),
            ..Config::default()
        }
    }
}
