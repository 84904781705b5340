//! Changes of the catalog: nodes, services and checks.

use std::collections::BTreeSet;
use std::sync::Arc;

use lictor_model::check::{Check, Status};
use lictor_model::command::{Deregistration, Outcome, Registration};
use lictor_model::ids::fold;
use lictor_model::node::Node;
use lictor_model::service::Service;
use lictor_model::{CheckId, Error, NodeId, ServiceId};

use super::Change;
use crate::snapshot::{Folded, Snapshot};
use crate::watch::Watch;

impl Change<'_> {
    pub(super) fn register(&mut self, registration: Registration) -> Outcome {
        self.all_or_nothing(|change| change.register_all(registration))
            .map_or_else(Outcome::Refused, |()| Outcome::Done)
    }

    pub(super) fn register_all(&mut self, registration: Registration) -> Result<(), Error> {
        let name = fold(registration.node.as_str());
        if !registration.skip_node_update || !self.state.nodes.contains_key(&name) {
            self.register_node(&name, &registration)?;
        }
        if let Some(service) = registration.service {
            self.register_service(&name, Arc::unwrap_or_clone(service));
        }
        for check in registration.checks {
            self.register_check(&name, Arc::unwrap_or_clone(check))?;
        }
        Ok(())
    }

    fn register_node(&mut self, name: &Folded, registration: &Registration) -> Result<(), Error> {
        self.rename_node(name, registration)?;
        let existing = self.state.nodes.get(name);
        let known_id = existing.map(|node| node.id.clone()).unwrap_or_default();
        let mut node = Node {
            id: if registration.id.is_empty() { known_id } else { registration.id.clone() },
            name: registration.node.clone(),
            address: registration.address.clone(),
            datacenter: registration.datacenter.clone(),
            tagged_addresses: registration.tagged_addresses.clone(),
            meta: registration.node_meta.clone(),
            create_index: self.index,
            modify_index: self.index,
        };
        if let Some(existing) = existing {
            if registration.keep_node_details {
                node.tagged_addresses.clone_from(&existing.tagged_addresses);
                node.meta.clone_from(&existing.meta);
            }
            if existing.same_as(&node) {
                return Ok(());
            }
            node.create_index = existing.create_index;
        }
        self.state.put_node(Arc::new(node));
        self.touch_node(name);
        Ok(())
    }

    /// A node that comes with a known id under a new name takes that name, unless a living node
    /// has it.
    fn rename_node(&mut self, name: &Folded, registration: &Registration) -> Result<(), Error> {
        if registration.id.is_empty() {
            return Ok(());
        }
        if let Some(holder) = self.state.nodes.get(name)
            && !holder.id.is_empty()
            && holder.id != registration.id
            && self.is_alive(name)
        {
            return Err(Error::failed(format!(
                "failed inserting node: Error while renaming Node ID: {:?}: Node name {} is reserved by node {} with name {} ({})",
                registration.id.as_str(),
                registration.node,
                holder.id,
                holder.name,
                holder.address,
            )));
        }
        let Some(old_name) = self.state.node_ids.get(&registration.id).cloned() else {
            return Ok(());
        };
        if old_name != *name {
            self.remove_node(&old_name);
        }
        Ok(())
    }

    fn is_alive(&self, node: &Folded) -> bool {
        let serf_health = CheckId::from(lictor_model::check::SERF_HEALTH);
        self.state
            .checks
            .get(&(Arc::clone(node), serf_health))
            .is_some_and(|check| check.status != Status::Critical)
    }

    fn register_service(&mut self, node: &Folded, mut service: Service) {
        service.create_index = self.index;
        service.modify_index = self.index;
        let existing = self.state.services.get(&(Arc::clone(node), service.id.clone())).cloned();
        if let Some(existing) = &existing {
            if existing.same_as(&service) {
                return;
            }
            service.create_index = existing.create_index;
        }
        let name = fold(service.name.as_str());
        let names_change = existing
            .as_ref()
            .is_none_or(|existing| existing.name != service.name || existing.tags != service.tags);
        self.state.put_service(node, Arc::new(service));
        if let Some(existing) = existing {
            let old_name = fold(existing.name.as_str());
            if old_name != name {
                self.touch_or_bury_service(&old_name);
            }
        }
        self.touch_service(&name);
        self.touch(Watch::NodeServices(Arc::clone(node)));
        self.touch(Watch::Instances);
        if names_change {
            self.touch(Watch::Services);
        }
    }

    fn register_check(&mut self, node: &Folded, mut check: Check) -> Result<(), Error> {
        if let Some(node) = self.state.nodes.get(node) {
            check.node = node.name.clone();
        }
        if !check.service_id.is_empty() {
            let service =
                self.state.services.get(&(Arc::clone(node), check.service_id.clone())).ok_or_else(|| {
                    Error::failed(format!(
                        "Unknown service ID '{}' for check ID '{}'",
                        check.service_id, check.id
                    ))
                })?;
            check.service_name = service.name.clone();
            check.service_tags.clone_from(&service.tags);
        }
        check.create_index = self.index;
        check.modify_index = self.index;
        let existing = self.state.checks.get(&(Arc::clone(node), check.id.clone())).cloned();
        if let Some(existing) = &existing {
            if existing.same_as(&check) {
                return Ok(());
            }
            check.create_index = existing.create_index;
        }
        let service_id = check.service_id.clone();
        let (id, status) = (check.id.clone(), check.status);
        self.state.put_check(Arc::new(check));
        if status == Status::Critical {
            self.end_sessions_with_check(node, &id);
        }
        if let Some(existing) = existing
            && existing.service_id != service_id
        {
            self.touch_health_of(node, &existing.service_id);
        }
        self.touch_health_of(node, &service_id);
        Ok(())
    }

    pub(super) fn deregister(&mut self, what: &Deregistration) -> Outcome {
        let node = fold(what.node.as_str());
        if !what.check_id.is_empty() {
            self.remove_check(&node, &what.check_id);
        } else if !what.service_id.is_empty() {
            self.remove_service(&node, &what.service_id);
        } else {
            self.remove_node(&node);
        }
        Outcome::Done
    }

    pub(super) fn remove_check(&mut self, node: &Folded, id: &CheckId) {
        let Some(check) = self.state.checks.remove(&(Arc::clone(node), id.clone())) else { return };
        let key = (Arc::clone(node), check.service_id.clone(), id.clone());
        self.state.checks_by_service.remove(&key);
        self.touch_health_of(node, &check.service_id);
        self.end_sessions_with_check(node, id);
    }

    pub(super) fn remove_service(&mut self, node: &Folded, id: &ServiceId) {
        let checks: Vec<CheckId> = self.state.checks_for(node, id).map(|check| check.id.clone()).collect();
        let Some(service) = self.state.services.remove(&(Arc::clone(node), id.clone())) else {
            return;
        };
        let name = fold(service.name.as_str());
        self.state.instances.remove(&(Arc::clone(&name), Arc::clone(node), id.clone()));
        for check in checks {
            self.remove_check(node, &check);
        }
        self.touch_or_bury_service(&name);
        self.touch(Watch::NodeServices(Arc::clone(node)));
        self.touch(Watch::Instances);
        self.touch(Watch::Services);
    }

    pub(super) fn remove_node(&mut self, name: &Folded) {
        let Some(node) = self.state.nodes.get(name).cloned() else { return };
        self.end_sessions_on(name);
        self.forget_coordinate(name);
        let services: Vec<ServiceId> =
            self.state.services_of(name).map(|service| service.id.clone()).collect();
        for service in services {
            self.remove_service(name, &service);
        }
        let checks: Vec<CheckId> = self.state.checks_of(name).map(|check| check.id.clone()).collect();
        for check in checks {
            self.remove_check(name, &check);
        }
        self.state.nodes.remove(name);
        if !node.id.is_empty() {
            self.state.node_ids.remove(&node.id);
        }
        self.touch(Watch::Nodes);
        self.bury(Watch::Node(Arc::clone(name)));
        self.bury(Watch::NodeServices(Arc::clone(name)));
        self.bury(Watch::NodeChecks(Arc::clone(name)));
    }

    /// The node's own fields changed, and with them every answer that shows the node.
    fn touch_node(&mut self, node: &Folded) {
        self.touch(Watch::Nodes);
        self.touch(Watch::Node(Arc::clone(node)));
        for name in self.service_names_on(node) {
            self.touch_service(&name);
        }
    }

    /// An instance changed, and with it every answer that shows or counts it.
    fn touch_service(&mut self, name: &Folded) {
        self.touch(Watch::Service(Arc::clone(name)));
        self.touch(Watch::ServiceHealth(Arc::clone(name)));
        self.touch(Watch::ServiceChecks(Arc::clone(name)));
    }

    /// A check of this service of the node changed; the empty id stands for the node itself and
    /// with it for everything on the node.
    fn touch_health_of(&mut self, node: &Folded, service: &ServiceId) {
        self.touch(Watch::Checks);
        self.touch(Watch::NodeChecks(Arc::clone(node)));
        if service.is_empty() {
            for name in self.service_names_on(node) {
                self.touch(Watch::ServiceHealth(name));
            }
        } else if let Some(found) = self.state.services.get(&(Arc::clone(node), service.clone())) {
            let name = fold(found.name.as_str());
            self.touch(Watch::ServiceHealth(Arc::clone(&name)));
            self.touch(Watch::ServiceChecks(name));
        }
    }

    fn touch_or_bury_service(&mut self, name: &Folded) {
        if self.state.instances_of(name).next().is_some() {
            self.touch_service(name);
        } else {
            self.bury(Watch::Service(Arc::clone(name)));
            self.bury(Watch::ServiceHealth(Arc::clone(name)));
            self.bury(Watch::ServiceChecks(Arc::clone(name)));
        }
    }

    fn service_names_on(&self, node: &Folded) -> BTreeSet<Folded> {
        self.state.services_of(node).map(|service| fold(service.name.as_str())).collect()
    }
}

/// Rows with everything that is derived from them.
impl Snapshot {
    pub(crate) fn put_node(&mut self, node: Arc<Node>) {
        let name = fold(node.name.as_str());
        let old_id: NodeId = self.nodes.get(&name).map(|existing| existing.id.clone()).unwrap_or_default();
        if !old_id.is_empty() && old_id != node.id {
            self.node_ids.remove(&old_id);
        }
        if !node.id.is_empty() {
            self.node_ids.insert(node.id.clone(), Arc::clone(&name));
        }
        self.nodes.insert(name, node);
    }

    pub(crate) fn put_service(&mut self, node: &Folded, service: Arc<Service>) {
        let name = fold(service.name.as_str());
        let id = service.id.clone();
        let replaced = self.services.insert((Arc::clone(node), id.clone()), service);
        if let Some(replaced) = replaced {
            let old = fold(replaced.name.as_str());
            self.instances.remove(&(old, Arc::clone(node), id.clone()));
        }
        self.instances.insert((name, Arc::clone(node), id));
    }

    pub(crate) fn put_check(&mut self, check: Arc<Check>) {
        let node = fold(check.node.as_str());
        let replaced = self.checks.insert((Arc::clone(&node), check.id.clone()), Arc::clone(&check));
        if let Some(replaced) = replaced {
            let key = (Arc::clone(&node), replaced.service_id.clone(), replaced.id.clone());
            self.checks_by_service.remove(&key);
        }
        let key = (node, check.service_id.clone(), check.id.clone());
        self.checks_by_service.insert(key, check);
    }
}
