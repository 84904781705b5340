//! `operator raft` and `operator autopilot`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use lictor_model::cluster::RaftServers;
use lictor_model::duration::{self, GoDuration};
use lictor_model::operator::ServersHealth;
use serde_json::Value;

use crate::commands::{Ran, client, failed, invalid_value, no_arguments};
use crate::flags::{self, Flag, Parsed};
use crate::output::table;
use crate::{Context, Output};

pub(super) const REMOVE_FLAGS: &[Flag] = &[
    flags::value("address", "host:port", "The address of the server to remove."),
    flags::value("id", "id", "The id of the server to remove."),
];

pub(super) const TRANSFER_FLAGS: &[Flag] =
    &[flags::value("id", "id", "The server that is to lead; any other one by default.")];

pub(super) const RECOVER_FLAGS: &[Flag] = &[
    flags::value("data-dir", "directory", "The data directory of a server that is stopped."),
    flags::switch(
        "dry-run",
        "Only show what would happen. The recovery itself happens when the server starts.",
    ),
];

pub(super) const AUTOPILOT_FLAGS: &[Flag] = &[
    flags::switch("cleanup-dead-servers", "Remove servers that failed once new ones have taken their place."),
    flags::value("last-contact-threshold", "duration", "How long a healthy server may hear nothing."),
    flags::value("max-trailing-logs", "number", "How many entries a healthy server may be behind."),
    flags::value("min-quorum", "number", "How many servers must stay, whatever fails."),
    flags::value("server-stabilization-time", "duration", "How long a server must be healthy to count."),
    flags::switch("disable-upgrade-migration", "Kept for scripts: without effect."),
    flags::value("redundancy-zone-tag", "tag", "Kept for scripts: without effect."),
    flags::value("upgrade-version-tag", "tag", "Kept for scripts: without effect."),
];

pub(super) async fn list_peers(context: &Context, parsed: Parsed) -> Ran {
    let client = client(context, &parsed)?;
    let failed =
        |what: &str, error| failed(&format!("Error getting peers: Failed to retrieve {what}"), error);
    let servers = client.raft_configuration().await.map_err(|error| failed("raft configuration", error))?;
    let health = client.servers_health().await.map_err(|error| failed("autopilot health", error))?;
    Ok(Output::formatted(&parsed, &servers, || Output::text(table(&peer_rows(&servers, &health)))))
}

fn peer_rows(servers: &RaftServers, health: &ServersHealth) -> Vec<Vec<String>> {
    let header =
        ["Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"];
    let newest = health.servers.iter().find(|server| server.leader).map_or(0, |server| server.last_index);
    let rows = servers.servers.iter().map(|server| {
        let own = health.servers.iter().find(|one| one.id == server.id).map(|one| one.last_index);
        let trails = match own {
            Some(own) if !server.leader => match newest.saturating_sub(own) {
                few @ 0..=1 => format!("{few} commit"),
                many => format!("{many} commits"),
            },
            _ => "-".to_owned(),
        };
        vec![
            server.node.to_string(),
            server.id.clone(),
            server.address.clone(),
            if server.leader { "leader" } else { "follower" }.to_owned(),
            server.voter.to_string(),
            server.protocol_version.clone(),
            own.map_or_else(|| "-".to_owned(), |index| index.to_string()),
            trails,
        ]
    });
    std::iter::once(header.map(str::to_owned).to_vec()).chain(rows).collect()
}

pub(super) async fn remove_peer(context: &Context, parsed: Parsed) -> Ran {
    let (id, address) = (parsed.get("id"), parsed.get("address"));
    let wrong = match (id, address) {
        ("", "") => Some("an address or id is required for the peer to remove"),
        ("", _) | (_, "") => None,
        _ => Some("cannot give both an address and id"),
    };
    if let Some(why) = wrong {
        return Err(Output::error(format!("Error removing peer: {why}"), 1));
    }
    let failed = |error| failed("Error removing peer", error);
    client(context, &parsed)?.remove_raft_peer(id, address).await.map_err(failed)?;
    let (kind, which) = if id.is_empty() { ("address", address) } else { ("id", id) };
    Ok(Output::text(format!("Removed peer with {kind} {which:?}")))
}

pub(super) async fn transfer_leader(context: &Context, parsed: Parsed) -> Ran {
    client(context, &parsed)?.transfer_leader(parsed.get("id")).await.map_err(|error| {
        Output::error(format!("Error transfering leadership: Failed to transfer leadership {error}"), 1)
    })?;
    Ok(Output::text("Success"))
}

pub(super) async fn recover(context: &Context, parsed: Parsed) -> Ran {
    no_arguments(&parsed)?;
    if parsed.get("data-dir").is_empty() {
        return Err(Output::error("Error: -data-dir is required", 1));
    }
    if !parsed.is_set("dry-run") {
        return Err(Output::error(
            "A server recovers when it starts and finds peers.json in its raft directory; see peers.info there. \
             -dry-run shows what that would do.",
            1,
        ));
    }
    let rehearsed = (context.rehearse_recovery)(Path::new(parsed.get("data-dir")));
    rehearsed.map(Output::text).map_err(|why| Output::error(format!("Error: {why}"), 1))
}

pub(super) async fn get_config(context: &Context, parsed: Parsed) -> Ran {
    let config = client(context, &parsed)?
        .autopilot()
        .await
        .map_err(|error| failed("Error querying Autopilot configuration", error))?;
    Ok(Output::formatted(&parsed, &config, || {
        Output::text(format!(
            "CleanupDeadServers = {}\nLastContactThreshold = {}\nMaxTrailingLogs = {}\nMinQuorum = {}\n\
             ServerStabilizationTime = {}\nRedundancyZoneTag = {:?}\nDisableUpgradeMigration = {}\n\
             UpgradeVersionTag = {:?}",
            config.cleanup_dead_servers,
            duration::format(config.last_contact_threshold.0),
            config.max_trailing_logs,
            config.min_quorum,
            duration::format(config.server_stabilization_time.0),
            config.redundancy_zone_tag,
            config.disable_upgrade_migration,
            config.upgrade_version_tag,
        ))
    }))
}

pub(super) async fn set_config(context: &Context, parsed: Parsed) -> Ran {
    let threshold = given_duration(&parsed, "last-contact-threshold")?;
    let stabilization = given_duration(&parsed, "server-stabilization-time")?;
    let trailing = given_number(&parsed, "max-trailing-logs")?;
    let quorum = given_number(&parsed, "min-quorum")?;
    let client = client(context, &parsed)?;
    let mut config =
        client.autopilot().await.map_err(|error| failed("Error querying Autopilot configuration", error))?;
    if parsed.has("cleanup-dead-servers") {
        config.cleanup_dead_servers = parsed.is_set("cleanup-dead-servers");
    }
    if parsed.has("disable-upgrade-migration") {
        config.disable_upgrade_migration = parsed.is_set("disable-upgrade-migration");
    }
    if parsed.has("redundancy-zone-tag") {
        config.redundancy_zone_tag = parsed.get("redundancy-zone-tag").to_owned();
    }
    if parsed.has("upgrade-version-tag") {
        config.upgrade_version_tag = parsed.get("upgrade-version-tag").to_owned();
    }
    config.last_contact_threshold = threshold.map_or(config.last_contact_threshold, GoDuration);
    config.server_stabilization_time = stabilization.map_or(config.server_stabilization_time, GoDuration);
    config.max_trailing_logs = trailing.unwrap_or(config.max_trailing_logs);
    config.min_quorum = quorum.unwrap_or(config.min_quorum);
    let changed = client
        .set_autopilot(&config)
        .await
        .map_err(|error| failed("Error setting Autopilot configuration", error))?;
    if changed {
        Ok(Output::text("Configuration updated!"))
    } else {
        Err(Output::error("Configuration could not be atomically updated, please try again", 1))
    }
}

fn given_duration(parsed: &Parsed, flag: &str) -> Result<Option<Duration>, Output> {
    let text = parsed.get(flag);
    if !parsed.has(flag) {
        return Ok(None);
    }
    duration::parse(text).map(Some).map_err(|why| invalid_value(flag, text, &why))
}

fn given_number<N: std::str::FromStr>(parsed: &Parsed, flag: &str) -> Result<Option<N>, Output> {
    let text = parsed.get(flag);
    if !parsed.has(flag) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| invalid_value(flag, text, "parse error"))
}

pub(super) async fn state(context: &Context, parsed: Parsed) -> Ran {
    let state = client(context, &parsed)?
        .autopilot_state()
        .await
        .map_err(|error| failed("Error querying Autopilot state", error))?;
    Ok(Output::formatted(&parsed, &state, || Output::text(described(&state))))
}

fn described(state: &Value) -> String {
    let mut text = String::new();
    for (label, key) in [
        ("Healthy", "Healthy"),
        ("Failure Tolerance", "FailureTolerance"),
        ("Optimistic Failure Tolerance", "OptimisticFailureTolerance"),
        ("Leader", "Leader"),
    ] {
        let label = format!("{label}:");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label:29} {}", shown(state, key));
    }
    text.push_str("Voters:\n");
    for voter in state.get("Voters").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(text, "   {}", voter.as_str().unwrap_or_default());
    }
    text.push_str("Servers:\n");
    for (id, server) in state.get("Servers").and_then(Value::as_object).into_iter().flatten() {
        let _ = writeln!(text, "   {id}");
        for (label, key) in [
            ("Name", "Name"),
            ("Address", "Address"),
            ("Version", "Version"),
            ("Status", "Status"),
            ("Node Type", "NodeType"),
            ("Node Status", "NodeStatus"),
            ("Healthy", "Healthy"),
            ("Last Contact", "LastContact"),
            ("Last Term", "LastTerm"),
            ("Last Index", "LastIndex"),
        ] {
            let label = format!("{label}:");
            let _ = writeln!(text, "      {label:16} {}", shown(server, key));
        }
    }
    text
}

fn shown(object: &Value, key: &str) -> String {
    match object.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}
