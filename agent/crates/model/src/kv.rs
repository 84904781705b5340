//! Entries of the key-value store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{Key, RaftIndex, SessionId};

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvEntry {
    /// Its full path.
    pub key: Key,
    /// Its content.
    pub value: Bytes,
    /// A number of the client's, which means nothing to the agent.
    pub flags: u64,
    /// How often the entry has been locked.
    pub lock_index: u64,
    /// The session that holds the lock; empty if none does.
    #[serde(default)]
    pub session: SessionId,
    /// The Raft index at which it was created.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}
