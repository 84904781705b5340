//! Changes of the key-value store.

use std::sync::Arc;

use bytes::Bytes;
use lictor_model::command::{KvChange, Outcome};
use lictor_model::kv::KvEntry;
use lictor_model::{Key, RaftIndex};

use super::Change;
use crate::watch::Watch;

impl Change<'_> {
    pub(super) fn kv(&mut self, change: KvChange) -> Outcome {
        Outcome::Applied(match change {
            KvChange::Set { key, value, flags, cas } => self.set(key, value, flags, cas),
            KvChange::Delete { key, cas } => self.delete(&key, cas),
            KvChange::DeleteTree { prefix } => self.delete_tree(&prefix),
        })
    }

    fn set(&mut self, key: Key, value: Bytes, flags: u64, cas: Option<RaftIndex>) -> bool {
        let existing = self.state.kv.get(&key);
        let found = existing.map(|entry| entry.modify_index).unwrap_or_default();
        if cas.is_some_and(|wanted| wanted != found) {
            return false;
        }
        if existing.is_some_and(|entry| entry.value == value && entry.flags == flags) {
            return true;
        }
        let entry = KvEntry {
            key: key.clone(),
            value,
            flags,
            lock_index: existing.map_or(0, |entry| entry.lock_index),
            session: existing.map(|entry| entry.session.clone()).unwrap_or_default(),
            create_index: existing.map_or(self.index, |entry| entry.create_index),
            modify_index: self.index,
        };
        self.state.kv.insert(key.clone(), Arc::new(entry));
        let watch = Watch::Kv(key);
        self.state.indexes.reopen(&watch);
        self.touched.push(watch);
        true
    }

    fn delete(&mut self, key: &Key, cas: Option<RaftIndex>) -> bool {
        let Some(existing) = self.state.kv.get(key) else { return true };
        if cas.is_some_and(|wanted| wanted != existing.modify_index) {
            return false;
        }
        self.state.kv.remove(key);
        self.bury(Watch::Kv(key.clone()));
        true
    }

    fn delete_tree(&mut self, prefix: &Key) -> bool {
        let keys: Vec<Key> = self.state.entries_below(prefix).map(|entry| entry.key.clone()).collect();
        if keys.is_empty() {
            return true;
        }
        for key in keys {
            self.state.kv.remove(&key);
            self.touched.push(Watch::Kv(key));
        }
        self.bury(Watch::KvPrefix(prefix.clone()));
        true
    }
}
