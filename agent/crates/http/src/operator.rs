//! `/v1/operator/`: the servers as Raft sees them, and how they are looked after.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use lictor_model::cluster::{ServerAnswer, ServerRequest};
use lictor_model::command::Command;
use lictor_model::operator::{AutopilotConfig, ServerHealth, ServersHealth, Usage};
use lictor_model::query::{Answer, Query};
use lictor_model::{RaftIndex, duration};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::failure::Failure;
use crate::{decode, kv, respond};

const AUTOPILOT_KEYS: [&str; 8] = [
    "CleanupDeadServers",
    "LastContactThreshold",
    "MaxTrailingLogs",
    "MinQuorum",
    "ServerStabilizationTime",
    "RedundancyZoneTag",
    "DisableUpgradeMigration",
    "UpgradeVersionTag",
];

pub(crate) async fn raft_configuration(call: Call) -> Result<Response<Body>, Failure> {
    match call.about_servers(ServerRequest::RaftConfiguration).await? {
        ServerAnswer::RaftServers(servers) => respond::json(&call, &servers),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn remove_peer(call: Call) -> Result<Response<Body>, Failure> {
    let given = |name: &str| Some(call.params.get(name).to_owned()).filter(|value| !value.is_empty());
    let (id, address) = (given("id"), given("address"));
    match (&id, &address) {
        (None, None) => {
            return Err(Failure::bad_request(
                "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove",
            ));
        }
        (Some(_), Some(_)) => return Err(Failure::bad_request("Must specify only one of ?id or ?address")),
        _ => {}
    }
    match call.about_servers(ServerRequest::RemovePeer { id, address }).await? {
        ServerAnswer::Done => Ok(respond::done()),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn transfer_leader(call: Call) -> Result<Response<Body>, Failure> {
    let id = Some(call.params.get("id").to_owned()).filter(|id| !id.is_empty());
    match call.about_servers(ServerRequest::TransferLeadership { id }).await? {
        ServerAnswer::Done => respond::json(&call, &Value::from_iter([("Success", true)])),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn autopilot(call: Call) -> Result<Response<Body>, Failure> {
    if call.method == Method::PUT {
        return set_autopilot(call).await;
    }
    let reply = call.read(Query::Autopilot, call.read_options()?).await?;
    match reply.answer.as_ref() {
        Answer::Autopilot(config) => respond::json(&call, config),
        _ => Err(Failure::mismatch()),
    }
}

async fn set_autopilot(call: Call) -> Result<Response<Body>, Failure> {
    let refused = |failure: &Failure| {
        let why = failure.message();
        let why = why.strip_prefix(decode::FAILED).unwrap_or(why);
        Failure::bad_request(format!("Error parsing autopilot config: {why}"))
    };
    let body = call.whole_body()?;
    let fields = decode::json(body)
        .and_then(|value| decode::recased(value, &AUTOPILOT_KEYS))
        .map_err(|failure| refused(&failure))?;
    let config: AutopilotConfig = decode::typed(fields).map_err(|failure| refused(&failure))?;
    let cas =
        call.params.has("cas").then(|| kv::parse_uint(call.params.get("cas"))).transpose().map_err(
            |failure| Failure::bad_request(format!("Error parsing cas value: {}", failure.message())),
        )?;
    let command = Command::SetAutopilot { config: Box::new(config), cas: cas.map(RaftIndex) };
    respond::json(&call, &call.write(command).await?)
}

/// The reference tells of every datacenter that it is asked for; this one knows its own.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UsageOf<'a> {
    usage: BTreeMap<&'a str, Usage>,
}

pub(crate) async fn usage(call: Call) -> Result<Response<Body>, Failure> {
    let reply = call.read(Query::Usage, call.read_options()?).await?;
    let Answer::Usage(usage) = reply.answer.as_ref() else { return Err(Failure::mismatch()) };
    let usage = UsageOf { usage: BTreeMap::from([(call.api.settings.datacenter.as_str(), *usage)]) };
    respond::json_with_meta(&call, &reply.meta, &usage)
}

pub(crate) async fn health(call: Call) -> Result<Response<Body>, Failure> {
    let health = servers_health(&call).await?;
    let mut response = respond::json(&call, &health)?;
    if !health.healthy {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    Ok(response)
}

async fn servers_health(call: &Call) -> Result<ServersHealth, Failure> {
    match call.about_servers(ServerRequest::Health).await? {
        ServerAnswer::Health(health) => Ok(health),
        _ => Err(Failure::mismatch()),
    }
}

/// The same by id, with what clients expect beside it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct State<'a> {
    healthy: bool,
    failure_tolerance: usize,
    optimistic_failure_tolerance: usize,
    leader: &'a str,
    voters: Vec<&'a str>,
    servers: BTreeMap<&'a str, Value>,
}

pub(crate) async fn state(call: Call) -> Result<Response<Body>, Failure> {
    let health = servers_health(&call).await?;
    let leader = health.servers.iter().find(|server| server.leader);
    let state = State {
        healthy: health.healthy,
        failure_tolerance: health.failure_tolerance,
        optimistic_failure_tolerance: health.failure_tolerance,
        leader: leader.map(|server| server.id.as_str()).unwrap_or_default(),
        voters: health
            .servers
            .iter()
            .filter(|server| server.voter)
            .map(|server| server.id.as_str())
            .collect(),
        servers: health.servers.iter().map(|server| (server.id.as_str(), described(server))).collect(),
    };
    respond::json(&call, &state)
}

fn described(server: &ServerHealth) -> Value {
    let status = match (server.leader, server.voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "non-voter",
    };
    let entries = [
        ("ID", Value::from(server.id.as_str())),
        ("Name", Value::from(server.name.as_str())),
        ("Address", Value::from(server.address.as_str())),
        ("NodeStatus", Value::from(server.serf_status.as_str())),
        ("Version", Value::from(server.version.as_str())),
        ("LastContact", Value::from(duration::format(server.last_contact.0))),
        ("LastTerm", Value::from(server.last_term)),
        ("LastIndex", Value::from(server.last_index)),
        ("Healthy", Value::from(server.healthy)),
        ("StableSince", Value::from(server.stable_since.as_str())),
        ("ReadReplica", Value::from(false)),
        ("Status", Value::from(status)),
        ("NodeType", Value::from("voter")),
    ];
    Value::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}
