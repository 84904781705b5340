//! Anti-entropy: what the catalog lacks, as commands.
//!
//! [`LocalState::compare`] takes the catalog's rows and notes every difference;
//! [`LocalState::pending`] turns what is known to differ into [`Step`]s; [`LocalState::made`]
//! notes that a step has been carried out, unless the agent has changed meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_model::check::{Check, SERF_HEALTH};
use lictor_model::command::{Command, Deregistration, Registration};
use lictor_model::node::Node;
use lictor_model::service::Service;
use lictor_model::{CheckId, ServiceId};
use lictor_sys::clock::Moment;

use crate::state::{Copy, LeftoverService, LocalState};

/// The service under which servers register themselves; leader duties keep it, not this agent.
pub const SERVER_SERVICE: &str = "consul";

/// What the catalog has of this node.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    /// The node, if it is registered.
    pub node: Option<Arc<Node>>,
    /// Its services.
    pub services: Vec<Arc<Service>>,
    /// Its checks.
    pub checks: Vec<Arc<Check>>,
}

/// One write that brings the catalog closer.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What to write.
    pub command: Command,
    /// What it brings, in the words that operators look for in logs.
    pub synced: Vec<String>,
    brings: Vec<(Thing, u64)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Thing {
    Node,
    Service(ServiceId),
    Check(CheckId),
    ServiceGone(ServiceId),
    CheckGone(CheckId),
}

impl LocalState {
    /// Notes every difference between the agent and what the catalog has of it.
    pub fn compare(&mut self, remote: &Remote) {
        let version = self.next_version();
        let identity = &self.identity;
        let node_is_known = remote.node.as_ref().is_some_and(|node| {
            node.id == identity.id
                && node.address == identity.address
                && node.tagged_addresses == identity.tagged_addresses
                && node.meta == identity.meta
        });
        self.node_copy = if node_is_known { Copy::InSync } else { Copy::Missing };
        self.compare_services(&remote.services, version);
        self.compare_checks(&remote.checks, version);
    }

    fn compare_services(&mut self, remote: &[Arc<Service>], version: u64) {
        let remote: BTreeMap<&ServiceId, &Arc<Service>> =
            remote.iter().map(|service| (&service.id, service)).collect();
        for (id, own) in &mut self.services {
            let known = remote.get(id).is_some_and(|known| known.same_as(&own.service));
            own.copy = if known { Copy::InSync } else { Copy::Missing };
        }
        self.leftover_services.retain(|id, _| remote.contains_key(id));
        for id in remote.into_keys() {
            if id.as_str() != SERVER_SERVICE && !self.services.contains_key(id) {
                self.leftover_services
                    .entry(id.clone())
                    .or_insert(LeftoverService { version, checks: Vec::new() });
            }
        }
    }

    fn compare_checks(&mut self, remote: &[Arc<Check>], version: u64) {
        let remote: BTreeMap<&CheckId, &Arc<Check>> = remote.iter().map(|check| (&check.id, check)).collect();
        for (id, own) in &mut self.checks {
            own.copy = match (remote.get(id), own.copy) {
                (Some(known), _) if known.same_as(&own.check) => Copy::InSync,
                (Some(known), Copy::OutputUntil(at)) if known.same_but_output(&own.check) => {
                    Copy::OutputUntil(at)
                }
                _ => Copy::Missing,
            };
        }
        self.leftover_checks.retain(|id, _| remote.contains_key(id));
        for (id, check) in remote {
            let kept_by_others = id.as_str() == SERF_HEALTH || check.service_id.as_str() == SERVER_SERVICE;
            let goes_with_service = self.leftover_services.contains_key(&check.service_id);
            if !kept_by_others && !goes_with_service && !self.checks.contains_key(id) {
                self.leftover_checks.entry(id.clone()).or_insert(version);
            }
        }
    }

    /// The writes that bring the catalog what it is known to lack. Removals come first, then each
    /// service with its checks, then the node with its own.
    #[must_use]
    pub fn pending(&self, now: Moment) -> Vec<Step> {
        let mut steps = Vec::new();
        for (id, version) in &self.leftover_checks {
            let what = Deregistration { check_id: id.clone(), ..self.deregistration() };
            steps.push(Step {
                command: Command::Deregister(what),
                synced: vec![format!("Deregistered check: check={id}")],
                brings: vec![(Thing::CheckGone(id.clone()), *version)],
            });
        }
        for (id, LeftoverService { version, .. }) in &self.leftover_services {
            let what = Deregistration { service_id: id.clone(), ..self.deregistration() };
            steps.push(Step {
                command: Command::Deregister(what),
                synced: vec![format!("Deregistered service: service={id}")],
                brings: vec![(Thing::ServiceGone(id.clone()), *version)],
            });
        }
        let mut drafts = self.due_checks(now);
        for (id, own) in self.services.iter().filter(|(_, own)| own.copy != Copy::InSync) {
            let draft = drafts.entry(id).or_default();
            draft.service = Some(Arc::clone(&own.service));
            draft.synced.insert(0, format!("Synced service: service={id}"));
            draft.brings.push((Thing::Service(id.clone()), own.version));
        }
        let of_node_itself = ServiceId::default();
        let mut of_node = drafts.remove(&of_node_itself).unwrap_or_default();
        if self.node_copy != Copy::InSync {
            of_node.updates_node = true;
            of_node.synced.insert(0, "Synced node info".to_owned());
            of_node.brings.push((Thing::Node, 0));
        }
        steps.extend(drafts.into_values().chain([of_node]).filter_map(|draft| self.finish(draft)));
        steps
    }

    /// The checks that are due, by the service they speak for.
    fn due_checks(&self, now: Moment) -> BTreeMap<&ServiceId, Draft> {
        let mut drafts: BTreeMap<&ServiceId, Draft> = BTreeMap::new();
        for (id, own) in &self.checks {
            let is_due = match own.copy {
                Copy::InSync => false,
                Copy::Missing => true,
                Copy::OutputUntil(at) => at <= now,
            };
            if is_due {
                let draft = drafts.entry(&own.check.service_id).or_default();
                draft.checks.push(Arc::new(own.check.clone()));
                draft.synced.push(format!("Synced check: check={id}"));
                draft.brings.push((Thing::Check(id.clone()), own.version));
            }
        }
        drafts
    }

    fn finish(&self, draft: Draft) -> Option<Step> {
        if draft.brings.is_empty() {
            return None;
        }
        let registration = Registration {
            datacenter: self.identity.datacenter.clone(),
            id: self.identity.id.clone(),
            node: self.identity.name.clone(),
            address: self.identity.address.clone(),
            tagged_addresses: self.identity.tagged_addresses.clone(),
            node_meta: self.identity.meta.clone(),
            service: draft.service,
            checks: draft.checks,
            skip_node_update: !draft.updates_node,
            keep_node_details: false,
        };
        Some(Step {
            command: Command::Register(Box::new(registration)),
            synced: draft.synced,
            brings: draft.brings,
        })
    }

    fn deregistration(&self) -> Deregistration {
        Deregistration {
            datacenter: self.identity.datacenter.clone(),
            node: self.identity.name.clone(),
            ..Deregistration::default()
        }
    }

    /// Notes that a step has been carried out. What changed meanwhile stays pending.
    pub fn made(&mut self, step: &Step) {
        for (thing, version) in &step.brings {
            match thing {
                Thing::Node => self.node_copy = Copy::InSync,
                Thing::Service(id) => {
                    if let Some(own) = self.services.get_mut(id).filter(|own| own.version == *version) {
                        own.copy = Copy::InSync;
                    }
                }
                Thing::Check(id) => {
                    if let Some(own) = self.checks.get_mut(id).filter(|own| own.version == *version) {
                        own.copy = Copy::InSync;
                    }
                }
                Thing::ServiceGone(id) => {
                    if self.leftover_services.get(id).is_some_and(|leftover| leftover.version == *version) {
                        self.leftover_services.remove(id);
                    }
                }
                Thing::CheckGone(id) => {
                    if self.leftover_checks.get(id) == Some(version) {
                        self.leftover_checks.remove(id);
                    }
                }
            }
        }
    }

    /// When the next output that waits becomes due. Whoever asks is woken for earlier ones only.
    pub fn next_due(&mut self) -> Option<Moment> {
        self.told_due = self
            .checks
            .values()
            .filter_map(|own| match own.copy {
                Copy::OutputUntil(at) => Some(at),
                _ => None,
            })
            .min();
        self.told_due
    }
}

#[derive(Default)]
struct Draft {
    service: Option<Arc<Service>>,
    checks: Vec<Arc<Check>>,
    updates_node: bool,
    synced: Vec<String>,
    brings: Vec<(Thing, u64)>,
}

/// How long to wait between full comparisons in a cluster of this many nodes: a minute, and one
/// more for every doubling beyond 128 nodes.
#[must_use]
pub fn full_sync_interval(nodes: usize) -> Duration {
    const BASE: Duration = Duration::from_secs(60);
    const THRESHOLD: usize = 128;
    let doublings = nodes.div_ceil(THRESHOLD).max(1).next_power_of_two().trailing_zeros();
    BASE * (1 + doublings)
}

#[cfg(test)]
mod tests;
