//! Registrations: what a definition makes of the state.

use std::sync::Arc;

use lictor_model::check::Check;
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::probe::{Origin, Target};
use lictor_model::service::Service;
use lictor_model::{CheckId, Error, Result, ServiceId, duration};

use super::{Copy, LeftoverService, LocalState, OwnCheck, OwnService, Registered};
use crate::naming::{
    as_named, kind_of, named_checks, unknown_check, unknown_service, unless_zero, with_named_checks,
};

impl LocalState {
    /// The service that a check came with, if it did: then it is saved with it too.
    #[must_use]
    pub fn came_with_service(&self, id: &CheckId) -> Option<ServiceId> {
        let own = self.checks.get(id)?;
        let came_with = own.definition.service_id.is_empty() && !own.check.service_id.is_empty();
        came_with.then(|| own.check.service_id.clone())
    }

    /// What to save of a service that is registered once more: its definition, and if its earlier
    /// checks stay, those that came with it.
    #[must_use]
    pub fn definition_to_save(&self, definition: &ServiceDefinition, replaces: bool) -> ServiceDefinition {
        if replaces {
            return definition.clone();
        }
        let id = definition.effective_id();
        let named = with_named_checks(definition);
        let stays = |check: &CheckId| !named.checks.iter().any(|known| known.id == check.as_str());
        let kept: Vec<CheckDefinition> = self
            .checks
            .iter()
            .filter(|(check, own)| {
                own.origin == Origin::Api
                    && stays(check)
                    && self.came_with_service(check).as_ref() == Some(&id)
            })
            .map(|(check, own)| as_named(check, &own.check.name, &own.definition))
            .collect();
        if kept.is_empty() {
            return definition.clone();
        }
        ServiceDefinition { checks: named.checks.iter().cloned().chain(kept).collect(), ..named }
    }

    /// The checks that adding a service would bring, for whoever wants to try them first.
    ///
    /// # Errors
    /// As for [`LocalState::add_service`].
    pub fn checks_of_definition(
        &self,
        definition: &ServiceDefinition,
    ) -> Result<Vec<(CheckId, CheckDefinition, Target)>> {
        let service = definition.to_service()?;
        let checks = named_checks(definition, &service.id).into_iter().map(|(id, _, definition)| {
            let check = self.blank_check(id.clone(), &definition, Some(&service));
            let target = self.target_of(&check, Some(&service));
            (id, definition, target)
        });
        Ok(checks.collect())
    }

    /// What a check that is not part of a service's definition would look at.
    ///
    /// # Errors
    /// As for [`LocalState::add_check`].
    pub fn target_of_definition(&self, definition: &CheckDefinition) -> Result<(CheckId, Target)> {
        let (id, service) = self.identify(definition)?;
        let check = self.blank_check(id.clone(), definition, service.as_deref());
        let target = self.target_of(&check, service.as_deref());
        Ok((id, target))
    }

    /// Adds or replaces a service with the checks that its definition names.
    ///
    /// # Errors
    /// [`InvalidArgument`](lictor_model::Code::InvalidArgument) naming the field that is wrong;
    /// nothing is changed then.
    pub fn add_service(
        &mut self,
        definition: &ServiceDefinition,
        origin: Origin,
        replace_existing_checks: bool,
    ) -> Result<Registered> {
        let service = Arc::new(definition.to_service()?);
        let id = service.id.clone();
        let named = named_checks(definition, &id);
        let version = self.next_version();
        let unchanged =
            self.services.get(&id).is_some_and(|own| own.service.same_as(&service) && own.origin == origin);
        if !unchanged {
            let own = OwnService { service: Arc::clone(&service), origin, copy: Copy::Missing, version };
            self.services.insert(id.clone(), own);
        }
        // A service that comes back before it was gone keeps the catalog from dropping its checks.
        if let Some(leftover) = self.leftover_services.remove(&id) {
            self.leftover_checks.extend(leftover.checks.into_iter().map(|check| (check, version)));
        }
        let mut registered = Registered::default();
        if replace_existing_checks {
            let gone: Vec<CheckId> = self
                .checks
                .iter()
                .filter(|(check, own)| {
                    // Files replace what files say; what came over the API outlives a reload.
                    own.check.service_id == id
                        && (origin == Origin::Api || own.origin == Origin::File)
                        && !named.iter().any(|(named, ..)| named == *check)
                })
                .map(|(check, _)| check.clone())
                .collect();
            for check in gone {
                self.drop_check(&check);
                registered.removed.push(check);
            }
        }
        for (check_id, name, definition) in named {
            let check = Check {
                name,
                kind: kind_of(&definition).to_owned(),
                interval: unless_zero(definition.interval.0),
                timeout: unless_zero(definition.timeout.0),
                ..self.blank_check(check_id, &definition, Some(&service))
            };
            self.put_check(check, definition, origin, &mut registered);
        }
        self.retag_checks(&service);
        self.retarget_checks(&service, &mut registered);
        Ok(registered)
    }

    /// Programs are told where their service is: those of a service that has moved are to run
    /// anew, also where their own definition has not changed.
    fn retarget_checks(&mut self, service: &Service, registered: &mut Registered) {
        let moved: Vec<(CheckId, Target)> = self
            .checks
            .iter()
            .filter(|(_, own)| own.check.service_id == service.id)
            .map(|(id, own)| (id.clone(), self.target_of(&own.check, Some(service))))
            .collect();
        for (id, target) in moved {
            let Some(own) = self.checks.get_mut(&id).filter(|own| own.target != target) else { continue };
            own.target = target.clone();
            // A check that waits for reports looks at nothing, and keeps its time.
            if own.definition.ttl.is_zero() && !registered.checks.iter().any(|(known, ..)| *known == id) {
                registered.checks.push((id, own.definition.clone(), target));
            }
        }
    }

    /// Checks carry their service's name and tags.
    fn retag_checks(&mut self, service: &Service) {
        let version = self.next_version();
        for own in self.checks.values_mut().filter(|own| own.check.service_id == service.id) {
            if own.check.service_tags != service.tags || own.check.service_name != service.name {
                own.check.service_tags.clone_from(&service.tags);
                own.check.service_name = service.name.clone();
                own.copy = Copy::Missing;
                own.version = version;
            }
        }
    }

    /// Removes a service and its checks; returns the checks.
    ///
    /// # Errors
    /// [`NotFound`](lictor_model::Code::NotFound).
    pub fn remove_service(&mut self, id: &ServiceId) -> Result<Vec<CheckId>> {
        if self.services.remove(id).is_none() {
            return Err(unknown_service(id));
        }
        let version = self.next_version();
        let checks: Vec<CheckId> = self
            .checks
            .iter()
            .filter(|(_, own)| own.check.service_id == *id)
            .map(|(check, _)| check.clone())
            .collect();
        for check in &checks {
            self.checks.remove(check);
        }
        let leftover = LeftoverService { version, checks: checks.clone() };
        self.leftover_services.insert(id.clone(), leftover);
        Ok(checks)
    }

    /// Adds or replaces a check that is not part of a service's definition.
    ///
    /// # Errors
    /// [`InvalidArgument`](lictor_model::Code::InvalidArgument) without a name or with an unknown
    /// service; nothing is changed then.
    pub fn add_check(&mut self, definition: CheckDefinition, origin: Origin) -> Result<Registered> {
        let (id, service) = self.identify(&definition)?;
        // The reference shows the kind of checks that came over its API, not of those in files.
        let kind = if origin == Origin::Api { kind_of(&definition) } else { "" };
        let check = Check {
            name: definition.name.clone(),
            kind: kind.to_owned(),
            interval: duration::format(definition.interval.0),
            timeout: duration::format(definition.timeout.0),
            ..self.blank_check(id, &definition, service.as_deref())
        };
        let mut registered = Registered::default();
        self.put_check(check, definition, origin, &mut registered);
        Ok(registered)
    }

    /// The identifier of a check, and the service it speaks for.
    fn identify(&self, definition: &CheckDefinition) -> Result<(CheckId, Option<Arc<Service>>)> {
        let id = match (definition.given_id(), definition.name.as_str()) {
            ("", "") => return Err(Error::invalid("Missing check name")),
            ("", name) => CheckId::from(name),
            (id, _) => CheckId::from(id),
        };
        if definition.service_id.is_empty() {
            return Ok((id, None));
        }
        let service_id = ServiceId::from(definition.service_id.as_str());
        let service = self
            .service(&service_id)
            .ok_or_else(|| Error::invalid(format!("ServiceID {:?} does not exist", service_id.as_str())))?;
        Ok((id, Some(Arc::clone(service))))
    }

    pub(crate) fn blank_check(
        &self,
        id: CheckId,
        definition: &CheckDefinition,
        service: Option<&Service>,
    ) -> Check {
        Check {
            node: self.identity.name.clone(),
            id,
            status: definition.status.parse().unwrap_or_default(),
            notes: definition.notes.clone(),
            service_id: service.map(|service| service.id.clone()).unwrap_or_default(),
            service_name: service.map(|service| service.name.clone()).unwrap_or_default(),
            service_tags: service.map(|service| service.tags.clone()).unwrap_or_default(),
            ..Check::default()
        }
    }

    pub(crate) fn put_check(
        &mut self,
        mut check: Check,
        definition: CheckDefinition,
        origin: Origin,
        registered: &mut Registered,
    ) {
        let id = check.id.clone();
        let version = self.next_version();
        let mut facts = None;
        if let Some(existing) = self.checks.get(&id) {
            if existing.definition == definition
                && existing.origin == origin
                && existing.check.service_id == check.service_id
            {
                return;
            }
            // A redefined check keeps what it last said until it says something else.
            if definition.status.is_empty() {
                check.status = existing.check.status;
                check.output.clone_from(&existing.check.output);
            }
            facts.clone_from(&existing.facts);
        }
        let service = self.service(&check.service_id).cloned();
        let target = self.target_of(&check, service.as_deref());
        registered.checks.push((id.clone(), definition.clone(), target.clone()));
        self.leftover_checks.remove(&id);
        let own = OwnCheck {
            check,
            definition,
            target,
            origin,
            facts,
            critical_since: None,
            copy: Copy::Missing,
            version,
        };
        self.checks.insert(id, own);
    }

    fn target_of(&self, check: &Check, service: Option<&Service>) -> Target {
        Target {
            node: self.identity.name.to_string(),
            datacenter: self.identity.datacenter.to_string(),
            service_id: check.service_id.to_string(),
            service_name: check.service_name.to_string(),
            address: service
                .map(|service| service.address.clone())
                .filter(|address| !address.is_empty())
                .unwrap_or_else(|| self.identity.address.clone()),
            port: service.map_or(0, |service| service.port),
            tags: check.service_tags.clone(),
            meta: service.map_or_else(|| self.identity.meta.clone(), |service| service.meta.clone()),
        }
    }

    /// Removes a check.
    ///
    /// # Errors
    /// [`NotFound`](lictor_model::Code::NotFound).
    pub fn remove_check(&mut self, id: &CheckId) -> Result<()> {
        if self.drop_check(id) { Ok(()) } else { Err(unknown_check(id)) }
    }

    pub(crate) fn drop_check(&mut self, id: &CheckId) -> bool {
        let version = self.next_version();
        let existed = self.checks.remove(id).is_some();
        if existed {
            self.leftover_checks.insert(id.clone(), version);
        }
        existed
    }
}
