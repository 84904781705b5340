//! The newest entries of the log in memory, and what the log file holds beside entries.
//!
//! An entry stays here at least until it is durable. Beyond that, a bounded number of entries and
//! bytes is kept.

use std::collections::BTreeMap;

use openraft::entry::RaftEntry;

use crate::formation::Nomination;
use crate::types::{Entry, LogId, Vote};

const MAX_ENTRIES: usize = 2048;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What the log file held when it was opened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Found {
    pub(crate) last: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) vote: Option<Vote>,
    pub(crate) nomination: Option<Nomination>,
}

/// See the module's documentation.
pub(crate) struct Tail {
    entries: BTreeMap<u64, (Entry, usize)>,
    bytes: usize,
    /// Entries up to this index are on the disk and may leave memory.
    durable: u64,
    /// Counts truncations: what the writer reports about entries from before one is out of date.
    pub(crate) epoch: u64,
    pub(crate) last: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) vote: Option<Vote>,
    pub(crate) nomination: Option<Nomination>,
}

impl Tail {
    pub(crate) fn new(found: Found) -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
            durable: found.last.map_or(0, |last| last.index),
            epoch: 0,
            // A log that was purged to its end still ends there.
            last: found.last.max(found.purged),
            purged: found.purged,
            committed: found.committed,
            vote: found.vote,
            nomination: found.nomination,
        }
    }

    pub(crate) fn push(&mut self, entry: Entry, size: usize) {
        self.last = Some(entry.log_id);
        self.bytes += size;
        if let Some((_, old)) = self.entries.insert(entry.index(), (entry, size)) {
            self.bytes -= old;
        }
    }

    /// Everything from here on is in memory.
    pub(crate) fn first_in_memory(&self) -> u64 {
        match self.entries.keys().next() {
            Some(first) => *first,
            None => self.last.map_or(0, |last| last.index + 1),
        }
    }

    /// Clones the entries of `start..end`, the first in any case and more up to `max_bytes`.
    pub(crate) fn range(&self, start: u64, end: u64, max_bytes: usize) -> Vec<Entry> {
        let mut bytes = 0_usize;
        let mut entries = Vec::new();
        for (entry, size) in self.entries.range(start..end).map(|(_, kept)| kept) {
            bytes = bytes.saturating_add(*size);
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        entries
    }

    pub(crate) fn truncate_after(&mut self, last: Option<LogId>) {
        let keep = last.map_or(0, |last| last.index + 1);
        for (_, size) in self.entries.split_off(&keep).into_values() {
            self.bytes -= size;
        }
        self.durable = self.durable.min(keep.saturating_sub(1));
        self.last = self.last.min(last);
        self.epoch += 1;
    }

    pub(crate) fn purge(&mut self, upto: LogId) {
        let kept = self.entries.split_off(&(upto.index + 1));
        for (_, size) in std::mem::replace(&mut self.entries, kept).into_values() {
            self.bytes -= size;
        }
        self.purged = Some(upto);
        self.last = self.last.max(Some(upto));
    }

    /// Notes that entries written in `epoch` are durable up to `index`.
    pub(crate) fn flushed(&mut self, index: u64, epoch: u64) {
        if epoch != self.epoch {
            return;
        }
        self.durable = self.durable.max(index);
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            match self.entries.first_entry() {
                Some(first) if *first.key() <= self.durable => self.bytes -= first.remove().1,
                _ => break,
            }
        }
    }
}
