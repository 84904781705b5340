//! Services and checks of this agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_model::check::{Check, Status};
use lictor_model::definition::{CheckDefinition, ServiceDefinition};
use lictor_model::local::LocalCheck;
use lictor_model::probe::{Origin, ProbeFacts, Target};
use lictor_model::service::Service;
use lictor_model::{CheckId, Datacenter, Error, NodeId, NodeName, Result, ServiceId, duration};
use lictor_sys::clock::Moment;

use crate::naming::{
    as_named, kind_of, named_checks, unknown_check, unknown_service, unless_zero, with_named_checks,
};

/// Who this agent is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The node's identifier.
    pub id: NodeId,
    /// The node's name.
    pub name: NodeName,
    /// The node's datacenter.
    pub datacenter: Datacenter,
    /// The node's address.
    pub address: String,
    /// The node's addresses by audience.
    pub tagged_addresses: BTreeMap<String, String>,
    /// The node's metadata.
    pub meta: BTreeMap<String, String>,
}

/// Whether the catalog has what the agent has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Copy {
    /// It has.
    InSync,
    /// It has not.
    #[default]
    Missing,
    /// It has, apart from the newest output, which is worth a write only after this.
    OutputUntil(Moment),
}

#[derive(Clone, Debug)]
pub(crate) struct OwnService {
    pub(crate) service: Arc<Service>,
    pub(crate) origin: Origin,
    pub(crate) copy: Copy,
    /// Counts changes, so that a write that was overtaken by one does not count as made.
    pub(crate) version: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct OwnCheck {
    pub(crate) check: Check,
    pub(crate) definition: CheckDefinition,
    /// What it looks at.
    pub(crate) target: Target,
    pub(crate) origin: Origin,
    pub(crate) facts: Option<ProbeFacts>,
    /// Since when it has been reported critical without a break.
    pub(crate) critical_since: Option<Moment>,
    pub(crate) copy: Copy,
    pub(crate) version: u64,
}

/// A service that the catalog still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftoverService {
    pub(crate) version: u64,
    /// Its checks, which the catalog drops with it.
    pub(crate) checks: Vec<CheckId>,
}

/// What a registration did, for those who run checks and keep files.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    /// Checks that are new or redefined.
    pub checks: Vec<(CheckId, CheckDefinition, Target)>,
    /// Checks that are gone.
    pub removed: Vec<CheckId>,
}

/// What something that a check said came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The check's status is another one now.
    pub status_changed: bool,
    /// The catalog is to hear of it at once.
    pub is_due: bool,
    /// The catalog is to hear of it earlier than of anything else that waits.
    pub is_next: bool,
}

/// Everything this agent knows of itself.
#[derive(Debug)]
pub struct LocalState {
    pub(crate) identity: Identity,
    /// Whether the catalog has the node's own fields.
    pub(crate) node_copy: Copy,
    pub(crate) services: BTreeMap<ServiceId, OwnService>,
    pub(crate) checks: BTreeMap<CheckId, OwnCheck>,
    /// What the catalog still has although the agent has not.
    pub(crate) leftover_services: BTreeMap<ServiceId, LeftoverService>,
    pub(crate) leftover_checks: BTreeMap<CheckId, u64>,
    /// How long a changed output may wait for a status change to travel with.
    output_delay: Duration,
    /// When whoever writes to the catalog was told to come back for an output that waits.
    pub(crate) told_due: Option<Moment>,
    version: u64,
}

impl LocalState {
    /// An agent without services. Outputs that change alone reach the catalog only every
    /// `output_delay`.
    #[must_use]
    pub fn new(identity: Identity, output_delay: Duration) -> Self {
        Self {
            identity,
            node_copy: Copy::Missing,
            services: BTreeMap::new(),
            checks: BTreeMap::new(),
            leftover_services: BTreeMap::new(),
            leftover_checks: BTreeMap::new(),
            output_delay,
            told_due: None,
            version: 0,
        }
    }

    /// Who this agent is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its services by identifier.
    #[must_use]
    pub fn services(&self) -> BTreeMap<ServiceId, Arc<Service>> {
        self.services.iter().map(|(id, own)| (id.clone(), Arc::clone(&own.service))).collect()
    }

    /// One of its services.
    #[must_use]
    pub fn service(&self, id: &ServiceId) -> Option<&Arc<Service>> {
        self.services.get(id).map(|own| &own.service)
    }

    /// Its checks by identifier.
    #[must_use]
    pub fn checks(&self) -> BTreeMap<CheckId, LocalCheck> {
        self.checks
            .iter()
            .map(|(id, own)| (id.clone(), LocalCheck { check: own.check.clone(), probe: own.facts.clone() }))
            .collect()
    }

    /// One of its checks.
    #[must_use]
    pub fn check(&self, id: &CheckId) -> Option<&Check> {
        self.checks.get(id).map(|own| &own.check)
    }

    /// How a check was defined, and where.
    #[must_use]
    pub fn check_definition(&self, id: &CheckId) -> Option<(&CheckDefinition, Origin)> {
        self.checks.get(id).map(|own| (&own.definition, own.origin))
    }

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

    /// Where a service was defined.
    #[must_use]
    pub fn service_origin(&self, id: &ServiceId) -> Option<Origin> {
        self.services.get(id).map(|own| own.origin)
    }

    /// What came from files, for a reload to find out what is gone from them.
    #[must_use]
    pub fn from_files(&self) -> (Vec<ServiceId>, Vec<CheckId>) {
        let services = self.services.iter().filter(|(_, own)| own.origin == Origin::File);
        let checks = self.checks.iter().filter(|(_, own)| own.origin == Origin::File);
        (services.map(|(id, _)| id.clone()).collect(), checks.map(|(id, _)| id.clone()).collect())
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

    /// Takes what a check says.
    ///
    /// A changed status is to reach the catalog at once. A changed output alone waits, but for
    /// the first thing a check ever says.
    pub fn update_check(
        &mut self,
        id: &CheckId,
        status: Option<Status>,
        output: String,
        now: Moment,
    ) -> Update {
        let version = self.next_version();
        let output_delay = self.output_delay;
        let Some(own) = self.checks.get_mut(id) else { return Update::default() };
        let status = status.unwrap_or(own.check.status);
        own.critical_since = match status {
            Status::Critical => own.critical_since.or(Some(now)),
            Status::Passing | Status::Warning => None,
        };
        let status_changed = status != own.check.status;
        if !status_changed && output == own.check.output {
            return Update::default();
        }
        let says_something_first = own.check.output.is_empty();
        own.check.status = status;
        own.check.output = output;
        own.version = version;
        let is_due = status_changed || says_something_first;
        if is_due {
            own.copy = Copy::Missing;
            return Update { status_changed, is_due, is_next: false };
        }
        if own.copy != Copy::InSync {
            return Update { status_changed, ..Update::default() };
        }
        let due = now + output_delay;
        own.copy = Copy::OutputUntil(due);
        let is_next = self.told_due.is_none_or(|told| due < told);
        if is_next {
            self.told_due = Some(due);
        }
        Update { status_changed, is_due, is_next }
    }

    /// Gives a check back what it said before a restart.
    pub fn restore_check(&mut self, id: &CheckId, status: Status, output: String) {
        if let Some(own) = self.checks.get_mut(id) {
            own.check.status = status;
            own.check.output = output;
        }
    }

    /// Services of which a check has been critical for longer than its definition lets it be, each
    /// with that check. Definitions cannot ask for less than `least`.
    #[must_use]
    pub fn overdue(&self, now: Moment, least: Duration) -> BTreeMap<ServiceId, CheckId> {
        let overdue = self.checks.iter().filter(|(_, own)| {
            let patience = own.definition.deregister_critical_service_after.0;
            let lasts = own.critical_since.map(|since| now.since(since));
            !own.check.service_id.is_empty()
                && !patience.is_zero()
                && lasts.is_some_and(|lasts| lasts > patience.max(least))
        });
        overdue.map(|(id, own)| (own.check.service_id.clone(), id.clone())).collect()
    }

    /// Checks that are run by one of these programs, given by digest.
    #[must_use]
    pub fn run_by(&self, digests: &BTreeSet<String>) -> Vec<CheckId> {
        let run_by = |own: &OwnCheck| own.facts.as_ref().is_some_and(|facts| digests.contains(&facts.digest));
        self.checks.iter().filter(|(_, own)| run_by(own)).map(|(id, _)| id.clone()).collect()
    }

    /// What a check is, for who prepares it anew.
    #[must_use]
    pub fn definition_and_target(&self, id: &CheckId) -> Option<(CheckDefinition, Origin, Target)> {
        self.checks.get(id).map(|own| (own.definition.clone(), own.origin, own.target.clone()))
    }

    /// Every check as it is, for who judges by them.
    pub fn each_check(&self) -> impl Iterator<Item = &Check> {
        self.checks.values().map(|own| &own.check)
    }

    /// Notes what program runs a check.
    pub fn set_facts(&mut self, id: &CheckId, facts: ProbeFacts) {
        if let Some(own) = self.checks.get_mut(id) {
            own.facts = Some(facts);
        }
    }

    /// The output of a TTL check whose time is over.
    #[must_use]
    pub fn expired_output(&self, id: &CheckId) -> String {
        match self.check(id).map(|check| check.output.as_str()) {
            None | Some("") => "TTL expired".to_owned(),
            // It has been restored after a restart, or nobody has reported since.
            Some(last) if last.starts_with("TTL expired") => last.to_owned(),
            Some(last) => format!("TTL expired (last output before timeout follows): {last}"),
        }
    }

    /// Whether a check waits for reports.
    ///
    /// # Errors
    /// [`NotFound`](lictor_model::Code::NotFound) if there is no such check,
    /// [`Failed`](lictor_model::Code::Failed) if it is of another kind.
    pub fn is_ttl_check(&self, id: &CheckId) -> Result<()> {
        let own = self.checks.get(id).ok_or_else(|| unknown_check(id))?;
        if own.definition.ttl.is_zero() {
            return Err(Error::failed(format!("CheckID {:?} does not have associated TTL", id.as_str())));
        }
        Ok(())
    }

    pub(crate) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}
