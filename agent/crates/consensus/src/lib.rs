//! Agreement between servers: openraft, its log on redb, snapshot files and membership.
//!
//! [`Consensus`] is the whole door. [`Consensus::propose`] puts a command into the replicated log
//! and returns what the store made of it once a quorum has it on disk; readers take the store's
//! snapshot directly and ask [`Consensus::lease_is_valid`] or [`Consensus::linearize`] whether they
//! may. Peers are reached through [`lictor_rpc::Transport`], and what they send comes in through
//! [`Consensus::handle`].
//!
//! What this room must never do: acknowledge what is not on disk, go on after the disk has failed
//! ([`Consensus::fatal`] tells, and the agent stops), repeat a proposal of which it is unknown
//! whether it happened, or look into commands.
//!
//! # On disk
//! * `log.redb`: the log, the vote and the nomination. It is compacted on opening if most of it is
//!   empty.
//! * `snapshots/`: the newest two snapshots.
//! * `peers.json`, if an operator has put it there, and `peers.info`, which explains it.
//!
//! After every [`Options::snapshot_threshold`] entries a snapshot is taken and the log is purged
//! up to the one before, but [`Options::trailing_logs`] entries are always kept: disk use is
//! bounded by two snapshots and the entries of about two thresholds, restart time by one snapshot
//! and those entries. While a snapshot is written it is in memory as a whole.
//!
//! Where to start: [`mod@node`] is the server, [`mod@log`] how entries become durable,
//! [`mod@machine`] how they reach the store, [`mod@network`] how servers talk, [`mod@formation`] how
//! a cluster comes to be, [`mod@membership`] how it changes, [`mod@recovery`] how it comes back.

mod codec;
mod error;
mod follow;
mod formation;
mod log;
mod machine;
mod mark;
mod membership;
mod network;
mod node;
mod opened;
mod options;
mod recovery;
mod snapshot;
mod status;
mod types;

pub use error::{OpenError, ProposeError};
pub use formation::{Formation, Greeting};
pub use membership::Peer;
pub use node::Consensus;
pub use options::{Options, Storage};
pub use recovery::{Recovery, recover, rehearse};
pub use status::{Leadership, Status};
pub use types::PeerInfo;

#[cfg(test)]
mod tests;
