//! How the services of this agent are, their node's checks included.

use std::sync::Arc;

use lictor_model::check::{Check, Status};
use lictor_model::local::{Health, ServiceHealth, ServiceSelector};
use lictor_model::service::Service;

use crate::maintenance::is_maintenance;
use crate::state::LocalState;

impl LocalState {
    /// How the services are that the selector means; none if there are no such.
    #[must_use]
    pub fn health(&self, selector: &ServiceSelector) -> Vec<ServiceHealth> {
        self.services
            .values()
            .map(|own| &own.service)
            .filter(|service| match selector {
                ServiceSelector::Id(id) => service.id == *id,
                ServiceSelector::Name(name) => service.name == *name,
            })
            .map(|service| self.health_of(service))
            .collect()
    }

    fn health_of(&self, service: &Arc<Service>) -> ServiceHealth {
        let checks: Vec<Check> = self
            .checks
            .values()
            .map(|own| &own.check)
            .filter(|check| check.service_id.is_empty() || check.service_id == service.id)
            .cloned()
            .collect();
        let health = checks.iter().map(health_says).max().unwrap_or_default();
        ServiceHealth { service: Arc::clone(service), checks, health }
    }
}

fn health_says(check: &Check) -> Health {
    if is_maintenance(&check.id) {
        return Health::Maintenance;
    }
    match check.status {
        Status::Passing => Health::Passing,
        Status::Warning => Health::Warning,
        Status::Critical => Health::Critical,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lictor_model::ServiceId;
    use lictor_model::definition::{CheckDefinition, ServiceDefinition};
    use lictor_model::duration::GoDuration;
    use lictor_model::probe::Origin;

    use super::*;
    use crate::maintenance;
    use crate::state::Identity;

    fn check(status: &str) -> CheckDefinition {
        let ttl = GoDuration(Duration::from_secs(60));
        let name = "any".to_owned();
        CheckDefinition { name, ttl, status: status.to_owned(), ..CheckDefinition::default() }
    }

    #[test]
    fn the_worst_check_of_the_service_or_the_node_says() {
        let mut state = LocalState::new(Identity::default(), Duration::ZERO);
        for (id, status) in [("a", "passing"), ("b", "warning")] {
            let (id, name, checks) = (id.to_owned(), "web".to_owned(), vec![check(status)]);
            let definition = ServiceDefinition { id, name, checks, ..ServiceDefinition::default() };
            state.add_service(&definition, Origin::Api, false).unwrap();
        }
        let health = |state: &LocalState, selector: ServiceSelector| {
            state.health(&selector).iter().map(|found| found.health).collect::<Vec<_>>()
        };
        let name = || ServiceSelector::Name("web".into());
        assert_eq!(health(&state, name()), [Health::Passing, Health::Warning]);
        let b = ServiceId::from("b");
        state.begin_maintenance(maintenance::definition(Some(&b), "")).unwrap();
        assert_eq!(health(&state, name()), [Health::Passing, Health::Maintenance]);
        state.add_check(check("critical"), Origin::Api).unwrap();
        assert_eq!(health(&state, ServiceSelector::Id("a".into())), [Health::Critical]);
        assert_eq!(health(&state, ServiceSelector::Id("web".into())), []);
    }
}
