//! Questions about the key-value store.

use std::sync::Arc;

use lictor_acl::{Access, Resource};
use lictor_model::kv::KvEntry;
use lictor_model::query::Answer;
use lictor_model::{Key, RaftIndex};

use super::{Evaluation, View};
use crate::watch::{Watch, WatchSet};

impl View<'_> {
    pub(super) fn kv_get(&self, key: &Key) -> Evaluation {
        let watch = Watch::Kv(key.clone());
        let entry = self.snapshot.kv.get(key).filter(|entry| self.may_read(entry)).cloned();
        let index = entry
            .as_ref()
            .map_or_else(|| self.snapshot.indexes.of_absent_key(&watch), |entry| entry.modify_index);
        Evaluation { answer: Answer::Entry(entry), index, watches: WatchSet::from(watch) }
    }

    pub(super) fn kv_list(&self, prefix: &Key) -> Evaluation {
        let entries: Vec<Arc<KvEntry>> =
            self.snapshot.entries_below(prefix).filter(|entry| self.may_read(entry)).cloned().collect();
        let newest = entries.iter().map(|entry| entry.modify_index).max();
        self.below(prefix, Answer::Entries(entries), newest)
    }

    pub(super) fn kv_keys(&self, prefix: &Key, separator: &str) -> Evaluation {
        let mut keys: Vec<Key> = Vec::new();
        let mut newest = None;
        for entry in self.snapshot.entries_below(prefix).filter(|entry| self.may_read(entry)) {
            newest = newest.max(Some(entry.modify_index));
            let key = cut(&entry.key, prefix, separator);
            // Keys come in order, so equal cuts follow each other.
            if keys.last() != Some(&key) {
                keys.push(key);
            }
        }
        self.below(prefix, Answer::Keys(keys), newest)
    }

    fn below(&self, prefix: &Key, answer: Answer, newest: Option<RaftIndex>) -> Evaluation {
        let removals = self.snapshot.indexes.of_removals_below(prefix.as_str());
        let index = newest.map_or(removals, |newest| newest.max(removals));
        Evaluation { answer, index, watches: WatchSet::from(Watch::KvPrefix(prefix.clone())) }
    }

    fn may_read(&self, entry: &KvEntry) -> bool {
        self.authorizer.allows(Access::Read, Resource::Key(entry.key.as_str()))
    }
}

/// The key up to and including the first separator beyond the prefix.
fn cut(key: &Key, prefix: &Key, separator: &str) -> Key {
    if separator.is_empty() {
        return key.clone();
    }
    let path = key.as_str();
    let beyond = path.get(prefix.as_str().len()..).unwrap_or_default();
    match beyond.find(separator) {
        None => key.clone(),
        Some(position) => {
            let end = prefix.as_str().len() + position + separator.len();
            Key::from(path.get(..end).unwrap_or(path))
        }
    }
}
