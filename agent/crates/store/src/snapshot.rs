//! The tables, as one immutable value.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use lictor_model::check::Check;
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::ids::fold;
use lictor_model::kv::KvEntry;
use lictor_model::node::Node;
use lictor_model::operator::AutopilotConfig;
use lictor_model::service::Service;
use lictor_model::session::Session;
use lictor_model::{CheckId, Key, NodeId, PreparedQueryId, RaftIndex, ServiceId, SessionId};
use serde::{Deserialize, Serialize};

use crate::indexes::Indexes;
use crate::prepared::Prepared;
use crate::restore::Incoming;

/// A name in the form that tables are keyed by.
pub(crate) type Folded = Arc<str>;

/// Why a key cannot be locked for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDelay {
    /// The Raft index at which its holder lost it.
    pub since: RaftIndex,
    /// For how long from then on.
    pub delay: Duration,
}

/// What happened to a row between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference<K, V> {
    /// It is new or has changed.
    Put(K, V),
    /// It is gone.
    Gone(K),
}

impl<'a, K, V> From<DiffItem<'a, 'a, K, V>> for Difference<&'a K, &'a V> {
    fn from(item: DiffItem<'a, 'a, K, V>) -> Self {
        match item {
            DiffItem::Add(key, row) | DiffItem::Update { new: (key, row), .. } => Self::Put(key, row),
            DiffItem::Remove(key, _) => Self::Gone(key),
        }
    }
}

/// The whole state at one Raft index. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) index: RaftIndex,
    /// By how much indexes here are ahead of those of the log: after the state of a cluster with a
    /// longer log was put back, they go on from there and not from what came before.
    pub(crate) ahead: u64,
    /// The state that is about to replace this one, as far as it has come.
    pub(crate) incoming: Option<Incoming>,
    /// When everything was last replaced.
    pub(crate) restored: RaftIndex,
    pub(crate) nodes: OrdMap<Folded, Arc<Node>>,
    pub(crate) node_ids: OrdMap<NodeId, Folded>,
    pub(crate) services: OrdMap<(Folded, ServiceId), Arc<Service>>,
    /// (service name, node, service id) of every instance.
    pub(crate) instances: OrdSet<(Folded, Folded, ServiceId)>,
    pub(crate) checks: OrdMap<(Folded, CheckId), Arc<Check>>,
    /// The same checks by the service they speak for; the empty id stands for the node itself.
    pub(crate) checks_by_service: OrdMap<(Folded, ServiceId, CheckId), Arc<Check>>,
    pub(crate) kv: OrdMap<Key, Arc<KvEntry>>,
    pub(crate) sessions: OrdMap<SessionId, Arc<Session>>,
    /// (node, session) of every session.
    pub(crate) sessions_by_node: OrdSet<(Folded, SessionId)>,
    /// (node, check, session) for every check that a session depends on.
    pub(crate) sessions_by_check: OrdSet<(Folded, CheckId, SessionId)>,
    /// (session, key) of every lock that is held.
    pub(crate) locks: OrdSet<(SessionId, Key)>,
    pub(crate) lock_delays: OrdMap<Key, PendingDelay>,
    pub(crate) autopilot: Option<Arc<AutopilotConfig>>,
    pub(crate) coordinates: OrdMap<Folded, Arc<NodeCoordinate>>,
    pub(crate) prepared: OrdMap<PreparedQueryId, Arc<Prepared>>,
    /// Prepared queries that have a name, by it.
    pub(crate) prepared_by_name: OrdMap<Folded, PreparedQueryId>,
    /// Templates of prepared queries by what the names begin with that they answer for.
    pub(crate) prepared_templates: OrdMap<Folded, PreparedQueryId>,
    /// (session, query) of every prepared query that ends with a session.
    pub(crate) prepared_by_session: OrdSet<(SessionId, PreparedQueryId)>,
    pub(crate) indexes: Indexes,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Nodes.
    pub nodes: usize,
    /// Names of services.
    pub services: usize,
    /// Instances of services.
    pub instances: usize,
    /// Entries of the key-value store.
    pub kv: usize,
}

impl Snapshot {
    /// How much there is. Takes longer the more instances there are.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut services = 0;
        let mut last = None;
        for (name, ..) in &self.instances {
            services += usize::from(last != Some(name));
            last = Some(name);
        }
        Sizes { nodes: self.nodes.len(), services, instances: self.instances.len(), kv: self.kv.len() }
    }

    /// The index of the last command applied.
    #[must_use]
    pub fn index(&self) -> RaftIndex {
        self.index
    }

    /// When everything was last replaced by a saved state; 0 if never.
    #[must_use]
    pub fn restored(&self) -> RaftIndex {
        self.restored
    }

    /// Whether a state is about to replace this one.
    #[must_use]
    pub fn is_being_replaced(&self) -> bool {
        self.incoming.is_some()
    }

    /// A node by name, in any case.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(&fold(name))
    }

    /// All nodes in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The services of a node in the order of their ids.
    pub fn services_of<'s>(&'s self, node: &Folded) -> impl Iterator<Item = &'s Arc<Service>> + use<'s> {
        let start = (Arc::clone(node), ServiceId::default());
        let node = Arc::clone(node);
        self.services
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |((owner, _), _)| *owner == node)
            .map(|(_, service)| service)
    }

    /// The checks of a node and of everything on it, in the order of their ids.
    pub fn checks_of<'s>(&'s self, node: &Folded) -> impl Iterator<Item = &'s Arc<Check>> + use<'s> {
        let start = (Arc::clone(node), CheckId::default());
        let node = Arc::clone(node);
        self.checks
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |((owner, _), _)| *owner == node)
            .map(|(_, check)| check)
    }

    /// The checks that speak for one service of a node, or with the empty id for the node itself.
    pub(crate) fn checks_for<'s>(
        &'s self,
        node: &Folded,
        service: &ServiceId,
    ) -> impl Iterator<Item = &'s Arc<Check>> + use<'s> {
        let start = (Arc::clone(node), service.clone(), CheckId::default());
        let (node, service) = (Arc::clone(node), service.clone());
        self.checks_by_service
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |((owner, id, _), _)| *owner == node && *id == service)
            .map(|(_, check)| check)
    }

    /// The instances of a service as (node, service), in the order of node names and service ids.
    pub(crate) fn instances_of<'s>(
        &'s self,
        service: &Folded,
    ) -> impl Iterator<Item = (&'s Arc<Node>, &'s Arc<Service>)> + use<'s> {
        let start = (Arc::clone(service), Arc::from(""), ServiceId::default());
        let service = Arc::clone(service);
        self.instances
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(name, _, _)| *name == service)
            .filter_map(|(_, node, id)| {
                Some((self.nodes.get(node)?, self.services.get(&(Arc::clone(node), id.clone()))?))
            })
    }

    /// The entries below a prefix in the order of their keys.
    pub(crate) fn entries_below<'s>(
        &'s self,
        prefix: &Key,
    ) -> impl Iterator<Item = &'s Arc<KvEntry>> + use<'s> {
        let prefix = prefix.clone();
        self.kv
            .range((Bound::Included(prefix.clone()), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix.as_str()))
            .map(|(_, entry)| entry)
    }

    /// How servers are looked after, if that has been set.
    #[must_use]
    pub fn autopilot(&self) -> Option<&Arc<AutopilotConfig>> {
        self.autopilot.as_ref()
    }

    /// A session by its id.
    #[must_use]
    pub fn session(&self, id: &SessionId) -> Option<&Arc<Session>> {
        self.sessions.get(id)
    }

    /// Which sessions began, changed or ended since an older state. The work is proportional to
    /// what changed.
    pub fn sessions_since<'s>(
        &'s self,
        older: &'s Self,
    ) -> impl Iterator<Item = Difference<&'s SessionId, &'s Arc<Session>>> {
        older.sessions.diff(&self.sessions).map(Difference::from)
    }

    /// Which keys began or ceased to be protected by a lock-delay since an older state.
    pub fn lock_delays_since<'s>(
        &'s self,
        older: &'s Self,
    ) -> impl Iterator<Item = Difference<&'s Key, &'s PendingDelay>> {
        older.lock_delays.diff(&self.lock_delays).map(Difference::from)
    }

    pub(crate) fn sessions_on<'s>(
        &'s self,
        node: &Folded,
    ) -> impl Iterator<Item = &'s Arc<Session>> + use<'s> {
        let start = (Arc::clone(node), SessionId::default());
        let node = Arc::clone(node);
        self.sessions_by_node
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(owner, _)| *owner == node)
            .filter_map(|(_, id)| self.sessions.get(id))
    }

    pub(crate) fn sessions_with_check(&self, node: &Folded, check: &CheckId) -> Vec<SessionId> {
        let start = (Arc::clone(node), check.clone(), SessionId::default());
        self.sessions_by_check
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|(owner, id, _)| owner == node && id == check)
            .map(|(_, _, session)| session.clone())
            .collect()
    }

    pub(crate) fn keys_held_by<'s>(&'s self, id: &SessionId) -> impl Iterator<Item = Key> + use<'s> {
        let start = (id.clone(), Key::default());
        let id = id.clone();
        self.locks
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(session, _)| *session == id)
            .map(|(_, key)| key.clone())
    }
}

/// Entries and sessions with what is derived from them.
impl Snapshot {
    pub(crate) fn put_entry(&mut self, entry: Arc<KvEntry>) {
        let key = entry.key.clone();
        let session = entry.session.clone();
        let replaced = self.kv.insert(key.clone(), entry);
        self.forget_lock(replaced);
        if !session.is_empty() {
            self.locks.insert((session, key));
        }
    }

    pub(crate) fn remove_entry(&mut self, key: &Key) -> bool {
        let removed = self.kv.remove(key);
        let existed = removed.is_some();
        self.forget_lock(removed);
        existed
    }

    fn forget_lock(&mut self, entry: Option<Arc<KvEntry>>) {
        if let Some(entry) = entry.filter(|entry| !entry.session.is_empty()) {
            self.locks.remove(&(entry.session.clone(), entry.key.clone()));
        }
    }

    pub(crate) fn put_session(&mut self, session: Arc<Session>) {
        let node = fold(session.node.as_str());
        self.sessions_by_node.insert((Arc::clone(&node), session.id.clone()));
        for check in session.check_ids() {
            self.sessions_by_check.insert((Arc::clone(&node), check.clone(), session.id.clone()));
        }
        self.sessions.insert(session.id.clone(), session);
    }

    pub(crate) fn remove_session(&mut self, id: &SessionId) -> Option<Arc<Session>> {
        let session = self.sessions.remove(id)?;
        let node = fold(session.node.as_str());
        self.sessions_by_node.remove(&(Arc::clone(&node), id.clone()));
        for check in session.check_ids() {
            self.sessions_by_check.remove(&(Arc::clone(&node), check.clone(), id.clone()));
        }
        Some(session)
    }
}
