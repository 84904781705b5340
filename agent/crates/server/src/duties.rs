//! What a leader does unasked: it keeps the catalog in step with the gossip pool.
//!
//! A member that is alive is in the catalog and passes `serfHealth`; one that failed is critical;
//! one that left is gone. [`plan`] compares; whatever is right already costs no write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_model::check::{Check, SERF_HEALTH, Status};
use lictor_model::command::{Command, Deregistration, Outcome, Registration};
use lictor_model::ids::fold;
use lictor_model::local::{Member, MemberStatus};
use lictor_model::service::Service;
use lictor_model::{CheckId, NodeName, RaftIndex};
use lictor_store::Snapshot;
use lictor_sys::clock::Clock;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{Observer, Server};

/// How often everything is compared, beside every time a member changes.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after a write that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The name and identifier of the service that servers are.
const SERVER_SERVICE: &str = "consul";

/// The writes that bring the catalog in step with the members.
#[must_use]
pub fn plan(members: &[Member], snapshot: &Snapshot) -> Vec<Command> {
    let mut commands: Vec<Command> =
        members.iter().filter_map(|member| for_member(member, snapshot)).collect();
    commands.extend(strays(members, snapshot));
    commands
}

fn for_member(member: &Member, snapshot: &Snapshot) -> Option<Command> {
    match member.status {
        MemberStatus::Alive => {
            let alive = ("Agent alive and reachable", Status::Passing);
            registration(member, snapshot, alive)
        }
        MemberStatus::Failed => {
            let failed = ("Agent not live or unreachable", Status::Critical);
            registration(member, snapshot, failed)
        }
        MemberStatus::Leaving | MemberStatus::Left => {
            snapshot.node(&member.name).map(|node| removal(node.name.clone()))
        }
    }
}

fn registration(member: &Member, snapshot: &Snapshot, (output, status): (&str, Status)) -> Option<Command> {
    let node = snapshot.node(&member.name);
    let id = member.tags.get("id").map(String::as_str).unwrap_or_default();
    let node_is_right = node.is_some_and(|node| node.address == member.addr && node.id.as_str() == id);
    // A member that was never seen alive is none of the catalog's business.
    if node.is_none() && status != Status::Passing {
        return None;
    }
    let name = fold(&member.name);
    let service = server_service(member);
    let service_is_right = service.as_ref().is_none_or(|service| {
        snapshot.services_of(&name).any(|known| known.id == service.id && known.same_as(service))
    });
    let check_is_right =
        snapshot.checks_of(&name).any(|check| check.id.as_str() == SERF_HEALTH && check.status == status);
    if node_is_right && service_is_right && check_is_right {
        return None;
    }
    let check = Check {
        id: CheckId::from(SERF_HEALTH),
        name: "Serf Health Status".to_owned(),
        status,
        output: output.to_owned(),
        ..Check::default()
    };
    Some(Command::Register(Box::new(Registration {
        id: id.into(),
        node: member.name.as_str().into(),
        address: member.addr.clone(),
        // What the agent itself has registered of its node stays.
        tagged_addresses: node.map(|node| node.tagged_addresses.clone()).unwrap_or_default(),
        node_meta: node.map(|node| node.meta.clone()).unwrap_or_default(),
        service: service.map(Arc::new),
        checks: vec![Arc::new(check)],
        // A node that is not there yet may be by the time this is applied, brought by its agent
        // with more than the pool knows of it.
        skip_node_update: node_is_right || node.is_none(),
        ..Registration::default()
    })))
}

/// The service that a member is, if it is a server.
fn server_service(member: &Member) -> Option<Service> {
    if member.tags.get("role").map(String::as_str) != Some("consul") {
        return None;
    }
    let meta = [
        ("non_voter", "false"),
        ("raft_version", "3"),
        ("read_replica", "false"),
        ("version", lictor_model::version::COMPATIBILITY),
    ];
    let numbers = [
        ("serf_protocol_current", member.protocol_cur),
        ("serf_protocol_max", member.protocol_max),
        ("serf_protocol_min", member.protocol_min),
    ];
    let meta: BTreeMap<String, String> = meta
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .chain(numbers.into_iter().map(|(key, value)| (key.to_owned(), value.to_string())))
        .collect();
    Some(Service {
        id: SERVER_SERVICE.into(),
        name: SERVER_SERVICE.into(),
        port: member.tags.get("port").and_then(|port| port.parse().ok()).unwrap_or_default(),
        meta,
        ..Service::default()
    })
}

/// Nodes that were members once, as `serfHealth` tells, and are none any more.
fn strays<'a>(members: &'a [Member], snapshot: &'a Snapshot) -> impl Iterator<Item = Command> + 'a {
    snapshot.nodes().filter_map(move |node| {
        let name = fold(node.name.as_str());
        let is_member = members.iter().any(|member| fold(&member.name) == name);
        let was_member = snapshot.checks_of(&name).any(|check| check.id.as_str() == SERF_HEALTH);
        (was_member && !is_member).then(|| removal(node.name.clone()))
    })
}

fn removal(node: NodeName) -> Command {
    Command::Deregister(Deregistration { node, ..Deregistration::default() })
}

/// Does the duties whenever this server leads, until `stop` is cancelled.
pub async fn run(
    server: Arc<Server>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    stop: CancellationToken,
) {
    let mut leadership = server.consensus.subscribe_leadership();
    let mut changes = server.gossip.events();
    loop {
        let established = leadership.borrow_and_update().established;
        server.note_leading(established, clock.unix_millis());
        let wait = if established {
            let start = clock.now();
            let done = reconcile(&server).await;
            observer.reconciled(clock.now().since(start));
            server.mark_registered(done || server.is_registered.load(std::sync::atomic::Ordering::Acquire));
            if done { RECONCILE_EVERY } else { RETRY_AFTER }
        } else {
            server.mark_registered(false);
            RECONCILE_EVERY
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leadership.changed() => if changed.is_err() { return },
            // Missed events do not matter: everything is compared.
            event = changes.recv() => if matches!(event, Err(RecvError::Closed)) { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn reconcile(server: &Server) -> bool {
    let mut done = true;
    let snapshot = server.store.snapshot();
    let first_config = snapshot.autopilot().is_none().then(|| Command::SetAutopilot {
        config: Box::new(server.settings.autopilot.clone()),
        cas: Some(RaftIndex::default()),
    });
    for command in plan(&server.gossip.members(), &snapshot).into_iter().chain(first_config) {
        match server.write_own(command).await {
            Ok(Outcome::Refused(error)) | Err(error) => {
                tracing::warn!(%error, "failed to reconcile a member with the catalog");
                done = false;
            }
            Ok(_) => {}
        }
    }
    done
}

#[cfg(test)]
pub(crate) mod tests;
