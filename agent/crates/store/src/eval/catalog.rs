//! Questions about what is registered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lictor_acl::{Access, Resource};
use lictor_model::filter::{Filter, FlatInstance};
use lictor_model::ids::fold;
use lictor_model::node::Node;
use lictor_model::query::{Answer, Instance, NodeSelector, NodeServices, ServiceSelector};
use lictor_model::service::Service;
use lictor_model::{NodeName, Result, ServiceName};

use super::{Evaluation, View};
use crate::watch::Watch;

impl View<'_> {
    pub(super) fn nodes(&self, selector: &NodeSelector) -> Result<Evaluation> {
        let filter = selector.filter.compile::<Node>()?;
        let nodes = self
            .snapshot
            .nodes()
            .filter(|node| self.selects_node(node, selector) && filter.matches(node.as_ref()))
            .cloned()
            .collect();
        Ok(self.answer(Answer::Nodes(nodes), [Watch::Nodes]))
    }

    pub(super) fn services(&self, selector: &NodeSelector) -> Result<Evaluation> {
        let filter = selector.filter.compile::<FlatInstance<'_>>()?;
        let mut services: BTreeMap<ServiceName, BTreeSet<String>> = BTreeMap::new();
        let by_node = !selector.node_meta.is_empty() || !filter.selects_all();
        for ((node, _), service) in &self.snapshot.services {
            if !self.may_read_service(service) {
                continue;
            }
            if by_node && !self.selects_flat(node, service, selector, &filter) {
                continue;
            }
            let tags = match services.get_mut(&service.name) {
                Some(tags) => tags,
                None => services.entry(service.name.clone()).or_default(),
            };
            tags.extend(service.tags.iter().cloned());
        }
        // A filter may look at any field of an instance, not only at names and tags.
        let watches = if by_node {
            vec![Watch::Services, Watch::Instances, Watch::Nodes]
        } else {
            vec![Watch::Services]
        };
        Ok(self.answer(Answer::Services(services), watches))
    }

    fn selects_flat(
        &self,
        node: &Arc<str>,
        service: &Arc<Service>,
        selector: &NodeSelector,
        filter: &lictor_model::filter::Compiled,
    ) -> bool {
        self.snapshot.nodes.get(node).is_some_and(|node| {
            let instance =
                Instance { node: Arc::clone(node), service: Arc::clone(service), checks: Vec::new() };
            self.selects_node(node, selector) && filter.matches(&FlatInstance(&instance))
        })
    }

    pub(super) fn service_nodes(&self, selector: &ServiceSelector) -> Result<Evaluation> {
        let filter = selector.selector.filter.compile::<FlatInstance<'_>>()?;
        let name = fold(selector.service.as_str());
        let instances = self
            .selected_instances(selector)
            .map(|(node, service)| Instance {
                node: Arc::clone(node),
                service: Arc::clone(service),
                checks: Vec::new(),
            })
            .filter(|instance| filter.matches(&FlatInstance(instance)))
            .collect();
        Ok(self.answer(Answer::Instances(instances), [Watch::Service(name)]))
    }

    pub(super) fn node_services(&self, node: &NodeName, filter: &Filter) -> Result<Evaluation> {
        let filter = filter.compile::<Service>()?;
        // Nodes can be asked for by identifier too.
        let asked = fold(node.as_str());
        let name = self.snapshot.node_ids.get(asked.as_ref()).unwrap_or(&asked).clone();
        let found = self.snapshot.nodes.get(&name).filter(|node| self.may_read_node(node)).map(|node| {
            let services = self
                .snapshot
                .services_of(&name)
                .filter(|service| self.may_read_service(service) && filter.matches(service.as_ref()))
                .cloned()
                .collect();
            NodeServices { node: Arc::clone(node), services }
        });
        // One that is asked for by an identifier nobody has may come under any name.
        let any_node = (found.is_none() && is_node_id(&asked)).then_some(Watch::Nodes);
        let watches = [Watch::Node(Arc::clone(&name)), Watch::NodeServices(name)];
        Ok(self.answer(Answer::NodeServices(found), watches.into_iter().chain(any_node)))
    }

    /// The instances that the selector's tags and nodes leave, before its filter and health.
    pub(super) fn selected_instances<'s>(
        &'s self,
        selector: &'s ServiceSelector,
    ) -> impl Iterator<Item = (&'s Arc<Node>, &'s Arc<Service>)> {
        self.snapshot.instances_of(&fold(selector.service.as_str())).filter(move |(node, service)| {
            carries_all(service, &selector.tags)
                && self.may_read_service(service)
                && self.selects_node(node, &selector.selector)
        })
    }

    /// Whether the selector's metadata and the caller's rights leave the node.
    pub(super) fn selects_node(&self, node: &Node, selector: &NodeSelector) -> bool {
        self.may_read_node(node)
            && selector.node_meta.iter().all(|(key, value)| node.meta.get(key) == Some(value))
    }

    pub(super) fn may_read_node(&self, node: &Node) -> bool {
        self.authorizer.allows(Access::Read, Resource::Node(node.name.as_str()))
    }

    pub(super) fn may_read_service(&self, service: &Service) -> bool {
        self.authorizer.allows(Access::Read, Resource::Service(service.name.as_str()))
    }
}

fn carries_all(service: &Service, wanted: &[String]) -> bool {
    wanted.iter().all(|tag| service.tags.iter().any(|found| found.eq_ignore_ascii_case(tag)))
}

/// Whether a name has the form of a node's identifier, a UUID.
fn is_node_id(name: &str) -> bool {
    const LENGTH: usize = 36;
    name.len() == LENGTH && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
