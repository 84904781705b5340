//! The tables, as one immutable value.

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use lictor_model::check::Check;
use lictor_model::ids::fold;
use lictor_model::kv::KvEntry;
use lictor_model::node::Node;
use lictor_model::service::Service;
use lictor_model::{CheckId, Key, NodeId, RaftIndex, ServiceId};

use crate::indexes::Indexes;

/// A name in the form that tables are keyed by.
pub(crate) type Folded = Arc<str>;

/// The whole state at one Raft index. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) index: RaftIndex,
    pub(crate) nodes: OrdMap<Folded, Arc<Node>>,
    pub(crate) node_ids: OrdMap<NodeId, Folded>,
    pub(crate) services: OrdMap<(Folded, ServiceId), Arc<Service>>,
    /// (service name, node, service id) of every instance.
    pub(crate) instances: OrdSet<(Folded, Folded, ServiceId)>,
    pub(crate) checks: OrdMap<(Folded, CheckId), Arc<Check>>,
    /// The same checks by the service they speak for; the empty id stands for the node itself.
    pub(crate) checks_by_service: OrdMap<(Folded, ServiceId, CheckId), Arc<Check>>,
    pub(crate) kv: OrdMap<Key, Arc<KvEntry>>,
    pub(crate) indexes: Indexes,
}

impl Snapshot {
    /// The index of the last command applied.
    #[must_use]
    pub fn index(&self) -> RaftIndex {
        self.index
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
}
