//! Services and checks of this agent.

mod registration;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_model::check::{Check, Status};
use lictor_model::definition::CheckDefinition;
use lictor_model::local::LocalCheck;
use lictor_model::probe::{Origin, ProbeFacts, Target};
use lictor_model::service::Service;
use lictor_model::{CheckId, Datacenter, Error, NodeId, NodeName, Result, ServiceId};
use lictor_sys::clock::Moment;

use crate::naming::unknown_check;

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

    /// Takes up what a reload says of the agent itself.
    pub fn reconfigure(&mut self, meta: BTreeMap<String, String>, output_delay: Duration) {
        self.output_delay = output_delay;
        if self.identity.meta != meta {
            self.identity.meta = meta;
            self.node_copy = Copy::Missing;
        }
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
