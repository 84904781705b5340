//! Questions about health.

use std::sync::Arc;

use lictor_model::check::{Check, Status};
use lictor_model::filter::Filter;
use lictor_model::ids::fold;
use lictor_model::node::Node;
use lictor_model::query::{Answer, CheckState, Instance, NodeSelector, ServiceSelector};
use lictor_model::service::Service;
use lictor_model::{NodeName, Result, ServiceId, ServiceName};

use super::{Evaluation, View};
use crate::watch::Watch;

impl View<'_> {
    pub(super) fn health(&self, selector: &ServiceSelector) -> Result<Evaluation> {
        let filter = selector.selector.filter.compile::<Instance>()?;
        let instances = self
            .selected_instances(selector)
            .map(|(node, service)| self.with_checks(node, service))
            .filter(|instance| !selector.passing_only || instance.status() == Status::Passing)
            .filter(|instance| filter.matches(instance))
            .collect();
        let watch = Watch::ServiceHealth(fold(selector.service.as_str()));
        Ok(self.answer(Answer::Instances(instances), [watch]))
    }

    pub(super) fn with_checks(&self, node: &Arc<Node>, service: &Arc<Service>) -> Instance {
        let name = fold(node.name.as_str());
        let of_node = self.snapshot.checks_for(&name, &ServiceId::default());
        let of_service = self.snapshot.checks_for(&name, &service.id);
        Instance {
            node: Arc::clone(node),
            service: Arc::clone(service),
            checks: of_node.chain(of_service).cloned().collect(),
        }
    }

    pub(super) fn service_checks(
        &self,
        service: &ServiceName,
        selector: &NodeSelector,
    ) -> Result<Evaluation> {
        let filter = selector.filter.compile::<Check>()?;
        let name = fold(service.as_str());
        let mut checks: Vec<Arc<Check>> = self
            .snapshot
            .instances_of(&name)
            .filter(|(node, service)| self.may_read_service(service) && self.selects_node(node, selector))
            .flat_map(|(node, service)| self.snapshot.checks_for(&fold(node.name.as_str()), &service.id))
            .filter(|check| filter.matches(check.as_ref()))
            .cloned()
            .collect();
        checks.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
        Ok(self.answer(Answer::Checks(checks), [Watch::ServiceChecks(name)]))
    }

    pub(super) fn node_checks(&self, node: &NodeName, filter: &Filter) -> Result<Evaluation> {
        let filter = filter.compile::<Check>()?;
        let name = fold(node.as_str());
        let checks = self
            .snapshot
            .checks_of(&name)
            .filter(|check| self.may_read_check(check) && filter.matches(check.as_ref()))
            .cloned()
            .collect();
        Ok(self.answer(Answer::Checks(checks), [Watch::NodeChecks(name)]))
    }

    pub(super) fn checks_in_state(&self, state: &CheckState, selector: &NodeSelector) -> Result<Evaluation> {
        let filter = selector.filter.compile::<Check>()?;
        let checks = self
            .snapshot
            .checks
            .iter()
            .filter(|((node, _), check)| {
                let in_state = match state {
                    CheckState::Any => true,
                    CheckState::Exactly(status) => check.status == *status,
                    CheckState::Unknown(_) => false,
                };
                in_state
                    && self.may_read_check(check)
                    && self.snapshot.nodes.get(node).is_some_and(|node| self.selects_node(node, selector))
                    && filter.matches(check.as_ref())
            })
            .map(|(_, check)| Arc::clone(check))
            .collect();
        let watches = if selector.node_meta.is_empty() {
            vec![Watch::Checks]
        } else {
            vec![Watch::Checks, Watch::Nodes]
        };
        Ok(self.answer(Answer::Checks(checks), watches))
    }

    fn may_read_check(&self, check: &Check) -> bool {
        use lictor_acl::{Access, Resource};
        self.authorizer.allows(Access::Read, Resource::Node(check.node.as_str()))
            && (check.service_name.is_empty()
                || self.authorizer.allows(Access::Read, Resource::Service(check.service_name.as_str())))
    }
}
