//! Who waits for what.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lictor_model::{Key, PreparedQueryId, SessionId};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Something whose change can be waited for. Names are in the form of
/// [`fold`](lictor_model::ids::fold).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Watch {
    /// One entry of the key-value store.
    Kv(Key),
    /// All entries whose path starts with this.
    KvPrefix(Key),
    /// Any node's own fields.
    Nodes,
    /// One node's own fields.
    Node(Arc<str>),
    /// The services of one node.
    NodeServices(Arc<str>),
    /// The checks of one node.
    NodeChecks(Arc<str>),
    /// Names and tags of all services.
    Services,
    /// The instances of one service, with the nodes they run on.
    Service(Arc<str>),
    /// The instances of one service, their checks and those of their nodes.
    ServiceHealth(Arc<str>),
    /// The checks of the instances of one service, without those of their nodes.
    ServiceChecks(Arc<str>),
    /// Any check.
    Checks,
    /// Any field of any instance of any service.
    Instances,
    /// One session.
    Session(SessionId),
    /// Any session.
    Sessions,
    /// The sessions of one node.
    NodeSessions(Arc<str>),
    /// Keys that nobody may lock for a while.
    LockDelays,
    /// How servers are looked after.
    Autopilot,
    /// Where any node is.
    Coordinates,
    /// Where one node is.
    NodeCoordinates(Arc<str>),
    /// Any prepared query.
    PreparedQueries,
    /// One prepared query.
    PreparedQuery(PreparedQueryId),
}

/// The watches an answer depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchSet(Vec<Watch>);

impl WatchSet {
    /// The watches.
    pub fn iter(&self) -> impl Iterator<Item = &Watch> {
        self.0.iter()
    }
}

impl From<Watch> for WatchSet {
    fn from(watch: Watch) -> Self {
        Self(vec![watch])
    }
}

impl FromIterator<Watch> for WatchSet {
    fn from_iter<I: IntoIterator<Item = Watch>>(watches: I) -> Self {
        Self(watches.into_iter().collect())
    }
}

/// All who wait, by what they wait for. Nothing is kept for what nobody waits for.
#[derive(Debug, Default)]
pub struct Watchers {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<Watch, BTreeMap<u64, Arc<Notify>>>,
    /// How many different prefixes of each length are waited for: a changed key is looked up
    /// under those of its prefixes that can be in the table at all.
    prefix_lengths: BTreeMap<usize, usize>,
    next_id: u64,
}

impl Watchers {
    /// Waits from now on for a change of any of the watches.
    ///
    /// Register first, then look whether the state has moved since it was read: a change in
    /// between is noticed one way or the other.
    pub fn register(&self, watches: WatchSet) -> Waiting<'_> {
        let notify = Arc::new(Notify::new());
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;
        for watch in watches.iter() {
            table.add(watch, id, &notify);
        }
        drop(table);
        Waiting { watchers: self, watches, id, notify }
    }

    /// How many different things are waited for.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.table().waiting.len()
    }

    /// Wakes everyone who waits for one of these.
    pub(crate) fn wake(&self, touched: &[Watch]) {
        let table = self.table();
        if table.waiting.is_empty() {
            return;
        }
        for watch in touched {
            table.wake(watch);
            if let Watch::Kv(key) = watch {
                table.wake_prefixes_of(key.as_str());
            }
        }
    }

    /// Wakes everyone.
    pub(crate) fn wake_all(&self) {
        let table = self.table();
        table.waiting.values().flat_map(BTreeMap::values).for_each(|waiter| waiter.notify_one());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, watch: &Watch, id: u64, notify: &Arc<Notify>) {
        let waiters = self.waiting.entry(watch.clone()).or_default();
        if waiters.is_empty()
            && let Watch::KvPrefix(prefix) = watch
        {
            *self.prefix_lengths.entry(prefix.as_str().len()).or_default() += 1;
        }
        waiters.insert(id, Arc::clone(notify));
    }

    fn remove(&mut self, watch: &Watch, id: u64) {
        let Some(waiters) = self.waiting.get_mut(watch) else { return };
        waiters.remove(&id);
        if !waiters.is_empty() {
            return;
        }
        self.waiting.remove(watch);
        if let Watch::KvPrefix(prefix) = watch {
            let length = prefix.as_str().len();
            if let Some(count) = self.prefix_lengths.get_mut(&length) {
                *count -= 1;
                if *count == 0 {
                    self.prefix_lengths.remove(&length);
                }
            }
        }
    }

    fn wake(&self, watch: &Watch) {
        if let Some(waiters) = self.waiting.get(watch) {
            waiters.values().for_each(|waiter| waiter.notify_one());
        }
    }

    fn wake_prefixes_of(&self, key: &str) {
        for length in self.prefix_lengths.keys() {
            if let Some(prefix) = key.get(..*length) {
                self.wake(&Watch::KvPrefix(prefix.into()));
            }
        }
    }
}

/// Somebody who waits; dropping it ends the waiting.
#[derive(Debug)]
pub struct Waiting<'w> {
    watchers: &'w Watchers,
    watches: WatchSet,
    id: u64,
    notify: Arc<Notify>,
}

impl Waiting<'_> {
    /// Returns once one of the watches has changed since this was registered.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut table = self.watchers.table();
        for watch in self.watches.iter() {
            table.remove(watch, self.id);
        }
    }
}
