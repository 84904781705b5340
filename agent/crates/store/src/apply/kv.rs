//! Changes of the key-value store.

use std::sync::Arc;

use bytes::Bytes;
use lictor_model::command::{KvChange, Outcome};
use lictor_model::kv::KvEntry;
use lictor_model::{Error, Key, RaftIndex, SessionId};

use super::Change;
use crate::watch::Watch;

/// What is written into an entry.
pub(super) struct Content {
    pub(super) value: Bytes,
    pub(super) flags: u64,
}

/// What kept a session from locking a key.
pub(super) enum Denied {
    /// Another session holds it.
    Held,
    /// Its last holder has only just lost it.
    Delayed,
}

impl Change<'_> {
    pub(super) fn kv(&mut self, change: KvChange) -> Outcome {
        let applied = match change {
            KvChange::Set { key, value, flags, cas } => Ok(self.set_if(key, Content { value, flags }, cas)),
            KvChange::Lock { key, value, flags, session } => {
                self.lock(key, Content { value, flags }, &session).map(|locked| locked.is_ok())
            }
            KvChange::Unlock { key, value, flags, session } => {
                self.unlock(key, Content { value, flags }, &session)
            }
            KvChange::Delete { key, cas } => Ok(self.delete_if(&key, cas)),
            KvChange::DeleteTree { prefix } => {
                self.delete_tree(&prefix);
                Ok(true)
            }
        };
        applied.map_or_else(Outcome::Refused, Outcome::Applied)
    }

    pub(super) fn set_if(&mut self, key: Key, content: Content, cas: Option<RaftIndex>) -> bool {
        let found = self.state.kv.get(&key).map(|entry| entry.modify_index).unwrap_or_default();
        let holds = cas.is_none_or(|wanted| wanted == found);
        if holds {
            self.set(key, content);
        }
        holds
    }

    /// Writes an entry. One that is locked stays so, but its lock index starts again: clients of
    /// the reference see that a holder's entry was written past the lock.
    pub(super) fn set(&mut self, key: Key, content: Content) {
        let session = self.state.kv.get(&key).map(|entry| entry.session.clone()).unwrap_or_default();
        self.write(key, content, 0, session);
    }

    /// Writes an entry and locks it.
    ///
    /// # Errors
    /// If there is no such session.
    pub(super) fn lock(
        &mut self,
        key: Key,
        content: Content,
        session: &SessionId,
    ) -> Result<Result<(), Denied>, Error> {
        named(session)?;
        if !self.state.sessions.contains_key(session) {
            return Err(Error::failed(format!("invalid session {:?}", session.as_str())));
        }
        let existing = self.state.kv.get(&key);
        let holder = existing.map(|entry| entry.session.clone()).unwrap_or_default();
        let count = existing.map_or(0, |entry| entry.lock_index);
        if holder != *session {
            if !holder.is_empty() {
                return Ok(Err(Denied::Held));
            }
            if self.state.lock_delays.contains_key(&key) {
                return Ok(Err(Denied::Delayed));
            }
        }
        let lock_index = if holder == *session { count } else { count + 1 };
        self.write(key, content, lock_index, session.clone());
        Ok(Ok(()))
    }

    /// Writes an entry and unlocks it, if the session holds it.
    ///
    /// # Errors
    /// If no session is named.
    pub(super) fn unlock(&mut self, key: Key, content: Content, session: &SessionId) -> Result<bool, Error> {
        named(session)?;
        let Some(existing) = self.state.kv.get(&key).filter(|entry| entry.session == *session) else {
            return Ok(false);
        };
        let lock_index = existing.lock_index;
        self.write(key, content, lock_index, SessionId::default());
        Ok(true)
    }

    fn write(&mut self, key: Key, Content { value, flags }: Content, lock_index: u64, session: SessionId) {
        let existing = self.state.kv.get(&key);
        let entry = KvEntry {
            key: key.clone(),
            value,
            flags,
            lock_index,
            session,
            create_index: existing.map_or(self.index, |entry| entry.create_index),
            modify_index: existing.map_or(self.index, |entry| entry.modify_index),
        };
        if existing.is_some_and(|existing| **existing == entry) {
            return;
        }
        self.state.put_entry(Arc::new(KvEntry { modify_index: self.index, ..entry }));
        let watch = Watch::Kv(key);
        self.state.indexes.reopen(&watch);
        self.touched.push(watch);
    }

    pub(super) fn delete_if(&mut self, key: &Key, cas: Option<RaftIndex>) -> bool {
        let Some(existing) = self.state.kv.get(key) else { return true };
        let holds = cas.is_none_or(|wanted| wanted == existing.modify_index);
        if holds {
            self.delete(key);
        }
        holds
    }

    pub(super) fn delete(&mut self, key: &Key) {
        if self.state.remove_entry(key) {
            self.bury(Watch::Kv(key.clone()));
        }
    }

    pub(super) fn delete_tree(&mut self, prefix: &Key) {
        let keys: Vec<Key> = self.state.entries_below(prefix).map(|entry| entry.key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.state.remove_entry(&key);
            self.touched.push(Watch::Kv(key));
        }
        self.bury(Watch::KvPrefix(prefix.clone()));
    }

    /// Takes the lock off an entry whose holder is gone, and leaves everything else as it is.
    pub(super) fn release(&mut self, key: &Key) {
        let Some(entry) = self.state.kv.get(key).cloned() else { return };
        let content = Content { value: entry.value.clone(), flags: entry.flags };
        self.write(key.clone(), content, entry.lock_index, SessionId::default());
    }
}

fn named(session: &SessionId) -> Result<(), Error> {
    if session.is_empty() { Err(Error::failed("missing session")) } else { Ok(()) }
}
