//! What the agent says of itself: `/v1/agent/self` and its figures.

use std::sync::Arc;

use lictor_gossip::Gossip;
use lictor_local::Local;
use lictor_model::local::{Member, MemberStatus};
use lictor_model::{CheckId, version};
use lictor_server::Server;
use lictor_sys::host::{Disk, Host};
use serde_json::{Value, json};

/// What `/v1/agent/self` shows.
pub(crate) fn agent(
    local: &Local,
    server: Option<&Arc<Server>>,
    lan: &Gossip,
    wan: Option<&Gossip>,
) -> Value {
    let members = lan.members();
    let (identity, services, checks) =
        local.read(|state| (state.identity().clone(), state.services().len(), state.checks()));
    let count = |kind: &str| {
        let is_one = |id: &CheckId| {
            local.read(|state| {
                state.check_definition(id).is_some_and(|(definition, _)| definition.kinds().contains(&kind))
            })
        };
        checks.keys().filter(|id| is_one(id)).count().to_string()
    };
    let member = members.iter().find(|member| member.name == identity.name.as_str());
    let mut stats = json!({
        "agent": {
            "services": services.to_string(),
            "checks": checks.len().to_string(),
            "check_monitors": count("script"),
            "check_ttls": count("ttl"),
        },
        "build": {"prerelease": "", "revision": "", "version": version::COMPATIBILITY, "version_metadata": format!("lictor{}", version::OWN)},
        "consul": {
            "server": server.is_some().to_string(),
            "bootstrap": member.is_some_and(|member| member.tags.contains_key("bootstrap")).to_string(),
            "known_servers": members.iter().filter(|member| is_server(member)).count().to_string(),
        },
        "runtime": {
            "arch": std::env::consts::ARCH,
            "os": std::env::consts::OS,
            "cpu_count": std::thread::available_parallelism().map_or(1, usize::from).to_string(),
        },
        "serf_lan": pool(lan),
    });
    if let Some(server) = server {
        let raft = server.raft_status();
        let leader = server.leader();
        if let Some(fields) = stats.as_object_mut() {
            fields.extend(wan.map(|wan| ("serf_wan".to_owned(), pool(wan))));
            fields.insert(
                "raft".to_owned(),
                json!({
                    "state": raft.state,
                    "term": raft.term.to_string(),
                    "last_log_index": raft.last_log_index.to_string(),
                    "commit_index": raft.commit_index.to_string(),
                    "applied_index": raft.applied_index.to_string(),
                    "last_snapshot_index": raft.last_snapshot_index.to_string(),
                    "num_peers": raft.peers.to_string(),
                }),
            );
        }
        if let Some(consul) = stats.get_mut("consul").and_then(Value::as_object_mut) {
            let leads = raft.state == "Leader";
            consul.insert("leader".to_owned(), json!(leads.to_string()));
            let address = leader.map(|address| address.to_string()).unwrap_or_default();
            consul.insert("leader_addr".to_owned(), json!(address));
        }
    }
    json!({
        "Config": {
            "Datacenter": identity.datacenter,
            "PrimaryDatacenter": identity.datacenter,
            "NodeName": identity.name,
            "NodeID": identity.id,
            "Revision": "",
            "Server": server.is_some(),
            "Version": version::FULL,
            "BuildDate": "1970-01-01T00:00:00Z",
        },
        "DebugConfig": {},
        "Coord": lan.coordinate(),
        "Member": member,
        "Meta": identity.meta,
        "Stats": stats,
    })
}

/// What there is to say of a gossip pool.
fn pool(pool: &Gossip) -> Value {
    let members = pool.members();
    let count = |status| members.iter().filter(|member| member.status == status).count().to_string();
    json!({
        "members": members.len().to_string(),
        "failed": count(MemberStatus::Failed),
        "left": count(MemberStatus::Left),
        "encrypted": pool.is_encrypted().to_string(),
        "health_score": pool.figures().doubt.to_string(),
    })
}

/// What `/v1/agent/host` shows.
pub(crate) fn host(host: &Host, disk: &std::io::Result<Disk>, unix_millis: u64) -> Value {
    let memory = host.memory;
    let used = memory.total.saturating_sub(memory.available);
    let processors = host.processors.iter().enumerate();
    json!({
        "Memory": {
            "total": memory.total,
            "available": memory.available,
            "used": used,
            "usedPercent": percent(used, memory.total),
            "free": memory.free,
        },
        "CPU": processors.map(|(cpu, model)| json!({"cpu": cpu, "modelName": model})).collect::<Vec<_>>(),
        "Host": {
            "hostname": host.name,
            "uptime": host.uptime,
            "bootTime": (unix_millis / 1000).saturating_sub(host.uptime),
            "os": std::env::consts::OS,
            "kernelVersion": host.kernel,
            "kernelArch": std::env::consts::ARCH,
        },
        "Disk": disk.as_ref().ok().map(described),
        "CollectionTime": unix_millis.saturating_mul(1_000_000),
        "Errors": disk.as_ref().err().map(|error| [format!("the data folder's disk: {error}")]),
    })
}

fn described(disk: &Disk) -> Value {
    let files = disk.inodes.saturating_sub(disk.inodes_free);
    json!({
        "path": disk.path,
        "fstype": disk.kind,
        "total": disk.total,
        "free": disk.free,
        "used": disk.used,
        "usedPercent": percent(disk.used, disk.used + disk.free),
        "inodesTotal": disk.inodes,
        "inodesUsed": files,
        "inodesFree": disk.inodes_free,
        "inodesUsedPercent": percent(files, disk.inodes),
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

pub(crate) fn is_server(member: &Member) -> bool {
    member.tags.get("role").is_some_and(|role| role == "consul")
}
