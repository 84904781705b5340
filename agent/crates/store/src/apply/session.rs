//! Sessions begin and end, and locks end with them.

use std::sync::Arc;

use lictor_model::check::Status;
use lictor_model::command::{LockDelay, Outcome};
use lictor_model::ids::fold;
use lictor_model::session::{Behavior, MAX_LOCK_DELAY, Session};
use lictor_model::{CheckId, Error, Key, SessionId};

use super::Change;
use crate::snapshot::{Folded, PendingDelay};
use crate::watch::Watch;

impl Change<'_> {
    pub(super) fn create_session(&mut self, mut session: Session) -> Outcome {
        if self.state.sessions.contains_key(&session.id) {
            return Outcome::Refused(Error::failed(format!("there is a session {:?} already", session.id)));
        }
        let node = fold(session.node.as_str());
        let Some(found) = self.state.nodes.get(&node) else {
            return Outcome::Refused(Error::failed("Missing node registration"));
        };
        session.node = found.name.clone();
        if let Err(error) = self.may_depend_on(&node, &session) {
            return Outcome::Refused(error);
        }
        session.create_index = self.index;
        session.modify_index = self.index;
        let session = Arc::new(session);
        self.state.put_session(Arc::clone(&session));
        self.touch(Watch::Session(session.id.clone()));
        self.touch_sessions_of(node);
        Outcome::Session(session)
    }

    fn may_depend_on(&self, node: &Folded, session: &Session) -> Result<(), Error> {
        for id in session.check_ids() {
            let check = self.state.checks.get(&(Arc::clone(node), id.clone()));
            let check = check.ok_or_else(|| Error::failed(format!("Missing check '{id}' registration")))?;
            if check.status == Status::Critical {
                return Err(Error::failed(format!("Check '{id}' is in critical state")));
            }
        }
        Ok(())
    }

    pub(super) fn end_sessions(&mut self, ids: &[SessionId]) -> Outcome {
        for id in ids {
            self.end_session(id);
        }
        Outcome::Done
    }

    pub(super) fn end_sessions_on(&mut self, node: &Folded) {
        let ids: Vec<SessionId> = self.state.sessions_on(node).map(|session| session.id.clone()).collect();
        self.end_sessions(&ids);
    }

    pub(super) fn end_sessions_with_check(&mut self, node: &Folded, check: &CheckId) {
        let ids = self.state.sessions_with_check(node, check);
        self.end_sessions(&ids);
    }

    fn end_session(&mut self, id: &SessionId) {
        let Some(session) = self.state.remove_session(id) else { return };
        self.bury(Watch::Session(id.clone()));
        self.touch_sessions_of(fold(session.node.as_str()));
        self.forget_prepared_of(id);
        let keys: Vec<Key> = self.state.keys_held_by(id).collect();
        let delay = session.lock_delay.min(MAX_LOCK_DELAY);
        for key in keys {
            match session.behavior {
                Behavior::Delete => self.delete(&key),
                Behavior::Release | Behavior::Unknown(_) => self.release(&key),
            }
            if !delay.is_zero() {
                self.state.lock_delays.insert(key, PendingDelay { since: self.index, delay });
                self.touched.push(Watch::LockDelays);
            }
        }
    }

    pub(super) fn end_lock_delays(&mut self, delays: &[LockDelay]) -> Outcome {
        for LockDelay { key, since } in delays {
            // The key may have been locked and lost again since.
            if self.state.lock_delays.get(key).is_some_and(|pending| pending.since == *since) {
                self.state.lock_delays.remove(key);
            }
        }
        Outcome::Done
    }

    fn touch_sessions_of(&mut self, node: Folded) {
        self.touch(Watch::Sessions);
        self.touch(Watch::NodeSessions(node));
    }
}
