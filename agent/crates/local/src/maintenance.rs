//! Maintenance mode: a check that is critical until somebody ends it.

use lictor_model::check::{Check, Status};
use lictor_model::definition::CheckDefinition;
use lictor_model::probe::Origin;
use lictor_model::{CheckId, Result, ServiceId};

use crate::naming::unknown_service;
use crate::state::{LocalState, Registered};

/// The identifier of the check that takes the whole node out of service.
const NODE: &str = "_node_maintenance";
/// What the identifier of a check starts with that takes one service out.
const SERVICE: &str = "_service_maintenance:";

/// The check that takes a service, or the node, out of service.
#[must_use]
pub fn check_id(service: Option<&ServiceId>) -> CheckId {
    match service {
        Some(service) => CheckId::from(format!("{SERVICE}{service}")),
        None => CheckId::from(NODE),
    }
}

/// Whether a check with this identifier takes something out of service.
#[must_use]
pub fn is_maintenance(id: &CheckId) -> bool {
    id.as_str() == NODE || id.as_str().starts_with(SERVICE)
}

/// What takes a service, or the node, out of service.
#[must_use]
pub fn definition(service: Option<&ServiceId>, reason: &str) -> CheckDefinition {
    let (name, what) = match service {
        Some(_) => ("Service Maintenance Mode", "service"),
        None => ("Node Maintenance Mode", "node"),
    };
    let notes = if reason.is_empty() {
        format!(
            "Maintenance mode is enabled for this {what}, but no reason was provided. This is a default message."
        )
    } else {
        reason.to_owned()
    };
    CheckDefinition {
        id: check_id(service).to_string(),
        name: name.to_owned(),
        notes,
        service_id: service.map(ToString::to_string).unwrap_or_default(),
        status: Status::Critical.as_str().to_owned(),
        ..CheckDefinition::default()
    }
}

/// Whether a saved definition is one of maintenance, rather than of a check that runs.
#[must_use]
pub fn is_definition(definition: &CheckDefinition) -> bool {
    is_maintenance(&CheckId::from(definition.given_id())) && definition.kinds().is_empty()
}

impl LocalState {
    /// Whether the maintenance of a service, or of the node, is on.
    ///
    /// # Errors
    /// [`NotFound`](lictor_model::Code::NotFound) for a service that is not registered here.
    pub fn in_maintenance(&self, service: Option<&ServiceId>) -> Result<bool> {
        if let Some(id) = service
            && self.service(id).is_none()
        {
            return Err(unknown_service(id));
        }
        Ok(self.check(&check_id(service)).is_some())
    }

    /// Begins the maintenance that a [`definition`] describes. Of one that is on already, nothing
    /// changes.
    ///
    /// # Errors
    /// As for [`LocalState::in_maintenance`].
    pub fn begin_maintenance(&mut self, definition: CheckDefinition) -> Result<()> {
        let service_id = ServiceId::from(definition.service_id.as_str());
        let service_id = Some(service_id).filter(|id| !id.is_empty());
        if self.in_maintenance(service_id.as_ref())? {
            return Ok(());
        }
        let service = service_id.as_ref().and_then(|id| self.service(id)).cloned();
        let check = Check {
            name: definition.name.clone(),
            kind: "maintenance".to_owned(),
            ..self.blank_check(check_id(service_id.as_ref()), &definition, service.as_deref())
        };
        // Nobody runs it, so nobody has to be told.
        self.put_check(check, definition, Origin::Api, &mut Registered::default());
        Ok(())
    }

    /// Ends a maintenance; none may be on.
    ///
    /// # Errors
    /// As for [`LocalState::in_maintenance`].
    pub fn end_maintenance(&mut self, service: Option<&ServiceId>) -> Result<()> {
        if self.in_maintenance(service)? {
            self.drop_check(&check_id(service));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lictor_model::Code;
    use lictor_model::definition::ServiceDefinition;

    use super::*;
    use crate::state::Identity;

    fn web(origin: Origin, replace: bool, state: &mut LocalState) {
        let web = ServiceDefinition { name: "web".to_owned(), ..ServiceDefinition::default() };
        state.add_service(&web, origin, replace).unwrap();
    }

    #[test]
    fn it_begins_once_and_ends_with_its_service() {
        let mut state = LocalState::new(Identity::default(), Duration::ZERO);
        let id = ServiceId::from("web");
        let refused = state.begin_maintenance(definition(Some(&id), "")).unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        web(Origin::Api, false, &mut state);
        state.begin_maintenance(definition(Some(&id), "upgrade")).unwrap();
        state.begin_maintenance(definition(Some(&id), "other")).unwrap();
        let check = state.check(&check_id(Some(&id))).unwrap();
        assert_eq!((check.status, check.notes.as_str()), (Status::Critical, "upgrade"));
        assert_eq!((check.kind.as_str(), check.service_name.as_str()), ("maintenance", "web"));
        assert!(is_definition(state.check_definition(&check_id(Some(&id))).unwrap().0));
        assert_eq!(state.remove_service(&id).unwrap(), [check_id(Some(&id))]);
        assert_eq!(state.end_maintenance(Some(&id)).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn that_of_the_node_needs_no_service_and_may_end_twice() {
        let mut state = LocalState::new(Identity::default(), Duration::ZERO);
        state.begin_maintenance(definition(None, "")).unwrap();
        let check = state.check(&"_node_maintenance".into()).unwrap();
        assert!(check.service_id.is_empty() && check.notes.contains("no reason was provided"));
        state.end_maintenance(None).unwrap();
        state.end_maintenance(None).unwrap();
        assert!(state.checks().is_empty());
    }

    #[test]
    fn reading_files_again_does_not_end_it() {
        let mut state = LocalState::new(Identity::default(), Duration::ZERO);
        let id = ServiceId::from("web");
        web(Origin::File, true, &mut state);
        state.begin_maintenance(definition(Some(&id), "")).unwrap();
        web(Origin::File, true, &mut state);
        assert!(state.in_maintenance(Some(&id)).unwrap());
        web(Origin::Api, true, &mut state);
        assert!(!state.in_maintenance(Some(&id)).unwrap());
    }
}
