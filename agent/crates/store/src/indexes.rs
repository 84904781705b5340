//! One exact index for everything that can be waited for, also for what does not exist.
//!
//! Removed things keep their last index for a while, so that a reader who saw one go waits for it
//! to come back and for nothing else. How many are kept is bounded: beyond that the oldest are
//! forgotten together and share one floor.

use imbl::{OrdMap, Vector};
use lictor_model::RaftIndex;
use serde::{Deserialize, Serialize};

use crate::watch::Watch;

/// How many removed things are remembered one by one.
const MAX_GRAVES: usize = 16_384;

/// The index at which each watchable thing last changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Indexes {
    live: OrdMap<Watch, RaftIndex>,
    graves: OrdMap<Watch, RaftIndex>,
    /// Graves in the order in which they were dug; some may have been reopened since.
    oldest_first: Vector<(Watch, RaftIndex)>,
    /// The newest index that was forgotten.
    floor: RaftIndex,
}

impl Indexes {
    /// Notes that a thing exists and changed.
    pub(crate) fn touch(&mut self, watch: Watch, index: RaftIndex) {
        self.graves.remove(&watch);
        self.live.insert(watch, index);
    }

    /// Notes that a thing is gone.
    pub(crate) fn bury(&mut self, watch: Watch, index: RaftIndex) {
        self.live.remove(&watch);
        self.graves.insert(watch.clone(), index);
        self.oldest_first.push_back((watch, index));
        while self.oldest_first.len() > MAX_GRAVES {
            self.forget_oldest();
        }
    }

    /// Notes that a buried thing exists again, where its index is kept elsewhere.
    pub(crate) fn reopen(&mut self, watch: &Watch) {
        self.graves.remove(watch);
    }

    fn forget_oldest(&mut self) {
        let Some((watch, index)) = self.oldest_first.pop_front() else { return };
        if self.graves.get(&watch) == Some(&index) {
            self.graves.remove(&watch);
            self.floor = self.floor.max(index);
        }
    }

    /// When the thing last changed; at least 1.
    pub(crate) fn of(&self, watch: &Watch) -> RaftIndex {
        self.live
            .get(watch)
            .or_else(|| self.graves.get(watch))
            .copied()
            .unwrap_or(self.floor)
            .max(RaftIndex(1))
    }

    /// When the last removal at or below this prefix of keys happened, or of a tree that covers it.
    pub(crate) fn of_removals_below(&self, prefix: &str) -> RaftIndex {
        let keys = self
            .graves
            .range(Watch::Kv(prefix.into())..)
            .take_while(|(watch, _)| matches!(watch, Watch::Kv(key) if key.as_str().starts_with(prefix)));
        let trees = self.graves.range(Watch::KvPrefix(prefix.into())..).take_while(
            |(watch, _)| matches!(watch, Watch::KvPrefix(tree) if tree.as_str().starts_with(prefix)),
        );
        let below = keys.chain(trees).map(|(_, index)| *index).max().unwrap_or_default();
        below.max(self.of_removals_above(prefix)).max(self.floor).max(RaftIndex(1))
    }

    /// When the last removal of a tree that this key belongs to happened.
    fn of_removals_above(&self, key: &str) -> RaftIndex {
        let no_trees = !self
            .graves
            .range(Watch::KvPrefix("".into())..)
            .next()
            .is_some_and(|(watch, _)| matches!(watch, Watch::KvPrefix(_)));
        if no_trees {
            return RaftIndex::default();
        }
        key.char_indices()
            .map(|(end, _)| end)
            .chain([key.len()])
            .filter_map(|end| self.graves.get(&Watch::KvPrefix(key.get(..end)?.into())))
            .max()
            .copied()
            .unwrap_or_default()
    }

    /// When a key that does not exist was last removed.
    pub(crate) fn of_absent_key(&self, key: &Watch) -> RaftIndex {
        let own = self.graves.get(key).copied().unwrap_or_default();
        let Watch::Kv(path) = key else { return self.of(key) };
        own.max(self.of_removals_above(path.as_str())).max(self.floor).max(RaftIndex(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_never_makes_an_index_go_back() {
        let mut indexes = Indexes::default();
        for number in 1..=MAX_GRAVES as u64 + 10 {
            indexes.bury(Watch::Service(format!("s{number}").into()), RaftIndex(number));
        }
        assert_eq!(indexes.of(&Watch::Service("s1".into())), RaftIndex(10));
        assert_eq!(indexes.of(&Watch::Service("s500".into())), RaftIndex(500));
        assert_eq!(indexes.graves.len(), MAX_GRAVES);
    }

    #[test]
    fn a_removed_tree_counts_for_every_key_in_it_and_for_no_other() {
        let mut indexes = Indexes::default();
        indexes.bury(Watch::KvPrefix("a/".into()), RaftIndex(7));
        assert_eq!(indexes.of_absent_key(&Watch::Kv("a/b".into())), RaftIndex(7));
        assert_eq!(indexes.of_absent_key(&Watch::Kv("b".into())), RaftIndex(1));
        assert_eq!(indexes.of_removals_below(""), RaftIndex(7));
        assert_eq!(indexes.of_removals_below("a/b/c"), RaftIndex(7));
        assert_eq!(indexes.of_removals_below("b"), RaftIndex(1));
    }
}
