//! When sessions expire and lock-delays end, by the leader's clock.
//!
//! Nothing of this is replicated. Who becomes leader gives every session its whole time again and
//! every lock-delay its whole length, so that neither ever ends early.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use lictor_model::command::LockDelay;
use lictor_model::session::Session;
use lictor_model::{Key, RaftIndex, SessionId};
use lictor_store::{Difference, Snapshot};
use tokio::time::Instant;

/// How many times its time to live a session lives without being renewed: a client that renews in
/// time must not lose it to a slow network.
const GRACE: u32 = 2;

/// What will happen when.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    sessions: Schedule<SessionId>,
    delays: Schedule<(Key, RaftIndex)>,
    /// Which of a key's delays is scheduled.
    delayed: HashMap<Key, RaftIndex>,
    /// The state that the schedules are true of.
    state: Arc<Snapshot>,
}

impl Timers {
    /// Takes up what changed since the last time.
    pub(crate) fn update(&mut self, state: &Arc<Snapshot>, now: Instant) {
        let older = std::mem::replace(&mut self.state, Arc::clone(state));
        for difference in state.sessions_since(&older) {
            match difference {
                Difference::Put(_, session) => self.renew(session, now),
                Difference::Gone(id) => self.sessions.remove(id),
            }
        }
        for difference in state.lock_delays_since(&older) {
            let (Difference::Put(key, _) | Difference::Gone(key)) = difference;
            if let Some(since) = self.delayed.remove(key) {
                self.delays.remove(&(key.clone(), since));
            }
            if let Difference::Put(_, pending) = difference {
                self.delayed.insert(key.clone(), pending.since);
                self.delays.set((key.clone(), pending.since), now + pending.delay);
            }
        }
    }

    /// Gives a session its whole time again.
    pub(crate) fn renew(&mut self, session: &Session, now: Instant) {
        match session.time_to_live() {
            Some(ttl) => self.sessions.set(session.id.clone(), now + ttl.saturating_mul(GRACE)),
            None => self.sessions.remove(&session.id),
        }
    }

    /// The sessions whose time is over, at most `limit`. They stay due until the state knows.
    pub(crate) fn expired(&self, now: Instant, limit: usize) -> Vec<SessionId> {
        self.sessions.due(now).take(limit).cloned().collect()
    }

    /// The lock-delays that are over, at most `limit`. They stay due until the state knows.
    pub(crate) fn ended_delays(&self, now: Instant, limit: usize) -> Vec<LockDelay> {
        let due = self.delays.due(now).take(limit);
        due.map(|(key, since)| LockDelay { key: key.clone(), since: *since }).collect()
    }

    /// How long until something is due; none if nothing ever will be.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let next = self.sessions.next().into_iter().chain(self.delays.next()).min()?;
        Some(next.saturating_duration_since(now))
    }
}

/// Points in time, one for each item.
#[derive(Debug)]
struct Schedule<T> {
    by_time: BTreeSet<(Instant, T)>,
    by_item: HashMap<T, Instant>,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_item: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash + Ord> Schedule<T> {
    fn set(&mut self, item: T, when: Instant) {
        self.remove(&item);
        self.by_time.insert((when, item.clone()));
        self.by_item.insert(item, when);
    }

    fn remove(&mut self, item: &T) {
        if let Some(when) = self.by_item.remove(item) {
            self.by_time.remove(&(when, item.clone()));
        }
    }

    fn due(&self, now: Instant) -> impl Iterator<Item = &T> {
        self.by_time.iter().take_while(move |(when, _)| *when <= now).map(|(_, item)| item)
    }

    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(when, _)| *when)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lictor_model::command::{Command, KvChange, Registration};
    use lictor_store::Store;

    pub(crate) fn store_with_session(ttl: &str) -> Store {
        let store = Store::new();
        let node = Registration { node: "n".into(), address: "10.0.0.1".to_owned(), ..Default::default() };
        let session = Session {
            id: "s".into(),
            node: "n".into(),
            ttl: ttl.to_owned(),
            lock_delay: Duration::from_secs(7),
            ..Session::default()
        };
        let lock =
            KvChange::Lock { key: "k".into(), value: "".into(), flags: 0, session: session.id.clone() };
        store
            .apply([
                (RaftIndex(2), Command::Register(Box::new(node))),
                (RaftIndex(3), Command::CreateSession(Box::new(session))),
                (RaftIndex(4), Command::Kv(lock)),
            ])
            .unwrap();
        store
    }

    #[test]
    fn a_session_expires_after_twice_its_time_and_a_renewal_starts_it_anew() {
        let store = store_with_session("10s");
        let state = store.snapshot();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.update(&state, start);
        assert_eq!(timers.wait(start), Some(Duration::from_secs(20)));
        assert!(timers.expired(at(19), 9).is_empty());
        timers.renew(state.session(&"s".into()).unwrap(), at(15));
        assert!(timers.expired(at(34), 9).is_empty());
        assert_eq!(timers.expired(at(35), 9), [SessionId::from("s")]);
        assert_eq!(timers.expired(at(36), 9).len(), 1, "due until the state knows");
    }

    #[test]
    fn a_delay_starts_when_the_session_is_gone() {
        let store = store_with_session("0s");
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.update(&store.snapshot(), start);
        assert_eq!(timers.wait(start), None, "a session without a time to live never expires");
        store.apply([(RaftIndex(5), Command::EndSessions(vec!["s".into()]))]).unwrap();
        timers.update(&store.snapshot(), start);
        assert_eq!(timers.wait(start), Some(Duration::from_secs(7)));
        let ended = timers.ended_delays(start + Duration::from_secs(7), 9);
        assert_eq!(ended, [LockDelay { key: "k".into(), since: RaftIndex(5) }]);
        store.apply([(RaftIndex(6), Command::EndLockDelays(ended))]).unwrap();
        timers.update(&store.snapshot(), start);
        assert_eq!(timers.wait(start), None);
    }

    #[test]
    fn a_new_leader_starts_every_time_anew() {
        let state = store_with_session("10s").snapshot();
        let later = Instant::now() + Duration::from_secs(60);
        let mut timers = Timers::default();
        timers.update(&state, later);
        assert!(timers.expired(later + Duration::from_secs(19), 9).is_empty());
    }
}
