//! What a leader does unasked: it keeps the catalog in step with the gossip pool.
//!
//! A member that is alive is in the catalog and passes `serfHealth`; one that failed is critical;
//! one that left is gone. [`plan`] compares; whatever is right already costs no write.
//!
//! A node that was a member once and that the pool does not know at all may still come: servers
//! that were all started anew have not met their clients yet. So it is given some time before it
//! counts as failed, and more before it is removed ([`Absences`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lictor_model::check::{Check, SERF_HEALTH, Status};
use lictor_model::command::{Command, Deregistration, Outcome, Registration};
use lictor_model::ids::fold;
use lictor_model::local::{Member, MemberStatus};
use lictor_model::node::Node;
use lictor_model::service::Service;
use lictor_model::{CheckId, NodeName, RaftIndex, Result};
use lictor_store::Snapshot;
use lictor_sys::clock::{Clock, Moment};
use tokio_util::sync::CancellationToken;

use crate::{Observer, Server};

/// How often everything is compared, beside every time a member changes.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
/// The same while nodes are absent that the pool does not know.
const LOOK_FOR_ABSENT_EVERY: Duration = Duration::from_secs(10);
/// After how long such a node counts as failed, and after how long it is removed.
const FAIL_AFTER: Duration = Duration::from_secs(30);
const REMOVE_AFTER: Duration = Duration::from_secs(600);
/// What `serfHealth` says.
const ALIVE: &str = "Agent alive and reachable";
const FAILED: &str = "Agent not live or unreachable";
/// How long to wait after a write that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The name and identifier of the service that servers are.
const SERVER_SERVICE: &str = "consul";

/// Nodes of the catalog that the pool does not know, by name, and since when that is seen.
#[derive(Debug, Default)]
pub struct Absences(HashMap<Arc<str>, Moment>);

/// The writes that bring the catalog in step with the members.
#[must_use]
pub fn plan(members: &[Member], snapshot: &Snapshot, absences: &mut Absences, now: Moment) -> Vec<Command> {
    let mut commands: Vec<Command> =
        members.iter().filter_map(|member| former(member, members, snapshot)).collect();
    commands.extend(members.iter().filter_map(|member| for_member(member, snapshot)));
    commands.extend(strays(members, snapshot, absences, now));
    commands
}

fn for_member(member: &Member, snapshot: &Snapshot) -> Option<Command> {
    match member.status {
        MemberStatus::Alive => registration(member, snapshot, (ALIVE, Status::Passing)),
        MemberStatus::Failed => registration(member, snapshot, (FAILED, Status::Critical)),
        MemberStatus::Leaving | MemberStatus::Left => {
            snapshot.node(&member.name).map(|node| removal(node.name.clone()))
        }
    }
}

/// What makes room for a living member whose name is taken by a node that is in the catalog as
/// healthy and in the pool no more: the state of another cluster was put back, or that of an earlier
/// life of this one.
fn former(member: &Member, members: &[Member], snapshot: &Snapshot) -> Option<Command> {
    let node = snapshot.node(&member.name).filter(|_| member.status == MemberStatus::Alive)?;
    let is_somebody = |id: &str| {
        members.iter().any(|member| member.tags.get("id").is_some_and(|known| known.eq_ignore_ascii_case(id)))
    };
    let has_id = member.tags.get("id").is_some_and(|id| !id.is_empty());
    let is_former = has_id && !node.id.is_empty() && !is_somebody(node.id.as_str());
    let mut checks = snapshot.checks_of(&fold(&member.name));
    let is_healthy = checks.any(|check| check.id.as_str() == SERF_HEALTH && check.status != Status::Critical);
    (is_former && is_healthy).then(|| failed(node))
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
    Some(Command::Register(Box::new(Registration {
        id: id.into(),
        node: member.name.as_str().into(),
        address: member.addr.clone(),
        service: service.map(Arc::new),
        checks: vec![Arc::new(serf_health(output, status))],
        // A node that is not there yet may be by the time this is applied, brought by its agent
        // with more than the pool knows of it.
        skip_node_update: node_is_right || node.is_none(),
        keep_node_details: true,
        ..Registration::default()
    })))
}

fn serf_health(output: &str, status: Status) -> Check {
    Check {
        id: CheckId::from(SERF_HEALTH),
        name: "Serf Health Status".to_owned(),
        status,
        output: output.to_owned(),
        ..Check::default()
    }
}

/// The service that a member is, if it is a server.
fn server_service(member: &Member) -> Option<Service> {
    if member.tags.get("role").map(String::as_str) != Some("consul") {
        return None;
    }
    let is_set = |tag: &str| member.tags.get(tag).is_some_and(|value| value == "1");
    let says = |tag: &str| if is_set(tag) { "true" } else { "false" };
    let meta = [
        ("non_voter", says("nonvoter")),
        ("raft_version", "3"),
        ("read_replica", says("read_replica")),
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

/// What becomes of nodes that were members once, as `serfHealth` tells, and are none any more.
fn strays(members: &[Member], snapshot: &Snapshot, absences: &mut Absences, now: Moment) -> Vec<Command> {
    let members: HashSet<Arc<str>> = members.iter().map(|member| fold(&member.name)).collect();
    let mut commands = Vec::new();
    let mut absent = HashMap::new();
    for node in snapshot.nodes() {
        let name = fold(node.name.as_str());
        let check = snapshot.checks_of(&name).find(|check| check.id.as_str() == SERF_HEALTH);
        let Some(check) = check.filter(|_| !members.contains(&name)) else { continue };
        let since = absences.0.get(&name).copied().unwrap_or(now);
        let absence = now.since(since);
        if absence >= REMOVE_AFTER {
            commands.push(removal(node.name.clone()));
        } else if absence >= FAIL_AFTER && check.status != Status::Critical {
            commands.push(failed(node));
        }
        absent.insert(name, since);
    }
    absences.0 = absent;
    commands
}

/// Has a node count as failed.
fn failed(node: &Node) -> Command {
    Command::Register(Box::new(Registration {
        node: node.name.clone(),
        address: node.address.clone(),
        checks: vec![Arc::new(serf_health(FAILED, Status::Critical))],
        skip_node_update: true,
        ..Registration::default()
    }))
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
    let mut changes = server.gossip.watch_members();
    let mut restores = server.store.watch_restores();
    let mut absences = Absences::default();
    loop {
        changes.mark_unchanged();
        restores.mark_unchanged();
        let established = leadership.borrow_and_update().established;
        let wait = if established {
            let start = clock.now();
            let done = reconcile(&server, &mut absences, start).await;
            observer.reconciled(clock.now().since(start));
            server.mark_registered(done || server.is_registered.load(std::sync::atomic::Ordering::Acquire));
            match (done, absences.0.is_empty()) {
                (true, true) => RECONCILE_EVERY,
                (true, false) => LOOK_FOR_ABSENT_EVERY,
                (false, _) => RETRY_AFTER,
            }
        } else {
            absences = Absences::default();
            server.mark_registered(false);
            RECONCILE_EVERY
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leadership.changed() => if changed.is_err() { return },
            changed = changes.changed() => if changed.is_err() { return },
            // The members may be missing in what was put back.
            changed = restores.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn reconcile(server: &Server, absences: &mut Absences, now: Moment) -> bool {
    let snapshot = server.store.snapshot();
    let first_config = snapshot.autopilot().is_none().then(|| Command::SetAutopilot {
        config: Box::new(server.settings.autopilot.clone()),
        cas: Some(RaftIndex::default()),
    });
    let commands = plan(&server.gossip.members(), &snapshot, absences, now).into_iter().chain(first_config);
    write_all(commands, |command| server.write_own(command)).await
}

/// Writes one command after the other, and says whether all were carried out. One that is refused
/// is none of the others' business; after an error nobody knows how things stand, and the rest of
/// the plan is out of date once they do.
async fn write_all<W>(commands: impl Iterator<Item = Command>, write: impl Fn(Command) -> W) -> bool
where
    W: Future<Output = Result<Outcome>>,
{
    let mut done = true;
    for command in commands {
        let written = write(command).await;
        let is_over = written.is_err();
        if let Ok(Outcome::Refused(error)) | Err(error) = written {
            tracing::warn!(%error, "failed to reconcile a member with the catalog");
            done = false;
        }
        if is_over {
            break;
        }
    }
    done
}

#[cfg(test)]
pub(crate) mod tests;
