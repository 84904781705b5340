//! What is due when.
//!
//! foca wants timers that are due at the same moment in its own order, whatever order they were
//! set in.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use foca::Timer;
use lictor_sys::clock::Moment;

use crate::record::Id;

/// Something that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// foca asked for it.
    Foca(Timer<Id>),
    /// A member that has been suspect since then is to count as failed.
    Failed(Timer<Id>, Moment),
    /// Say to the first that the second has not answered its ping of this number.
    Nack(Id, Id, u8),
    /// Ask again for what is missing.
    Tick,
    /// Compare everything with another member.
    Sync,
    /// Try a failed member again.
    Reconnect,
    /// The moment to be gone, after this node said that it leaves.
    Gone,
}

impl Due {
    fn rank(&self) -> u8 {
        match self {
            Self::Foca(_) => 0,
            Self::Failed(..) => 1,
            Self::Nack(..) => 2,
            Self::Tick => 3,
            Self::Sync => 4,
            Self::Reconnect => 5,
            Self::Gone => 6,
        }
    }
}

#[derive(PartialEq, Eq)]
struct Entry {
    at: Moment,
    due: Due,
    sequence: u64,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let kind = match (&self.due, &other.due) {
            (Due::Foca(this), Due::Foca(that)) => this.cmp(that),
            (this, that) => this.rank().cmp(&that.rank()),
        };
        self.at.cmp(&other.at).then(kind).then(self.sequence.cmp(&other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Moment, due: Due) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, due, sequence: self.sequence }));
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes what is due by now.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry.due)
    }

    /// Puts everything off.
    pub(crate) fn postpone(&mut self, by: Duration) {
        let entries = std::mem::take(&mut self.heap).into_iter();
        self.heap = entries.map(|Reverse(entry)| Reverse(Entry { at: entry.at + by, ..entry })).collect();
    }
}
