//! `/v1/query`: prepared queries, which the servers keep and answer by name.

use std::num::{IntErrorKind, ParseIntError};

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response};
use lictor_model::command::{Command, Outcome, PreparedChange};
use lictor_model::node::Node;
use lictor_model::prepared::{DnsOptions, Execution, PreparedQuery};
use lictor_model::query::{Answer, Instance, Meta, Query, ReadOptions, Reply};
use lictor_model::{PreparedQueryId, RaftIndex};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::failure::Failure;
use crate::params::boolean;
use crate::respond::Freshness;
use crate::{decode, respond};

const QUERY_KEYS: [&str; 7] = ["ID", "Name", "Session", "Token", "Template", "Service", "DNS"];
const TEMPLATE_KEYS: [&str; 3] = ["Type", "Regexp", "RemoveEmptyTags"];
const SERVICE_KEYS: [&str; 11] = [
    "Service",
    "SamenessGroup",
    "Failover",
    "OnlyPassing",
    "IgnoreCheckIDs",
    "Near",
    "Tags",
    "NodeMeta",
    "ServiceMeta",
    "Connect",
    "Peer",
];
const FAILOVER_KEYS: [&str; 3] = ["NearestN", "Datacenters", "Targets"];
const TARGET_KEYS: [&str; 2] = ["Peer", "Datacenter"];
const DNS_KEYS: [&str; 1] = ["TTL"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created<'a> {
    #[serde(rename = "ID")]
    id: &'a PreparedQueryId,
}

/// All queries, and new ones.
pub(crate) async fn all(call: Call) -> Result<Response<Body>, Failure> {
    if call.method == Method::POST { create(&call).await } else { list(&call, Query::PreparedQueries).await }
}

/// One query, by its id; or by any name what it comes to.
pub(crate) async fn one(call: Call) -> Result<Response<Body>, Failure> {
    let (name, verb) = call.rest.rsplit_once('/').unwrap_or((&call.rest, &call.rest));
    match (verb, call.method.as_str()) {
        ("execute", "GET") => execute(&call, name).await,
        ("explain", "GET") => explain(&call, name).await,
        ("execute" | "explain", method) => {
            Err(Failure::method_not_allowed(method, HeaderValue::from_static("GET")))
        }
        (_, "PUT") => update(&call).await,
        (_, "DELETE") => {
            change(&call, PreparedChange::Delete(call.rest.as_str().into())).await?;
            Ok(respond::done())
        }
        _ => list(&call, Query::PreparedQuery(call.rest.as_str().into())).await,
    }
}

async fn create(call: &Call) -> Result<Response<Body>, Failure> {
    let query = definition(decode::json(call.whole_body()?)?)?;
    let id = change(call, PreparedChange::Create(Box::new(query))).await?;
    respond::json(call, &Created { id: &id })
}

async fn update(call: &Call) -> Result<Response<Body>, Failure> {
    let body = call.whole_body()?;
    let query = if body.is_empty() { PreparedQuery::default() } else { definition(decode::json(body)?)? };
    // The path says which, whatever the body does.
    let id = call.rest.as_str().into();
    change(call, PreparedChange::Update(Box::new(PreparedQuery { id, ..query }))).await?;
    Ok(respond::done())
}

async fn change(call: &Call, change: PreparedChange) -> Result<PreparedQueryId, Failure> {
    match call.outcome(Command::Prepared(change)).await? {
        Outcome::PreparedQuery(id) => Ok(id),
        Outcome::Refused(error) => Err(Failure::internal(format!("raft apply failed: {}", error.message))),
        _ => Err(Failure::mismatch()),
    }
}

async fn list(call: &Call, query: Query) -> Result<Response<Body>, Failure> {
    let options = call.read_options()?;
    let reply = read(call, query, options).await?;
    match reply.answer.as_ref() {
        Answer::PreparedQueries(queries) => respond::json_with_meta(call, &reply.meta, queries),
        _ => Err(Failure::mismatch()),
    }
}

/// What a query comes to.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Found<'a> {
    service: &'a str,
    nodes: Vec<Row<'a>>,
    #[serde(rename = "DNS")]
    dns: &'a DnsOptions,
    datacenter: &'a str,
    peer_name: &'a str,
    failovers: u32,
    #[serde(flatten)]
    freshness: Freshness,
}

/// An instance as it is kept: lists without anything in them are `null`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    node: &'a Node,
    service: Value,
    checks: Option<Vec<Value>>,
}

impl<'a> From<&'a Instance> for Row<'a> {
    fn from(instance: &'a Instance) -> Self {
        let checks = instance.checks.iter().map(|check| respond::without_empty(check, "ServiceTags"));
        Self {
            node: &instance.node,
            service: respond::without_empty(&instance.service, "Tags"),
            checks: (!instance.checks.is_empty()).then(|| checks.collect()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Explanation<'a> {
    query: &'a PreparedQuery,
    #[serde(flatten)]
    freshness: Freshness,
}

async fn execute(call: &Call, name: &str) -> Result<Response<Body>, Failure> {
    let options = at_once(call.cached_read_options()?);
    let execution = Execution {
        name: name.to_owned(),
        limit: limit(call)?,
        connect: connect(call)?,
        near: call.params.get("near").to_owned(),
        from: call.origin(),
        ..Execution::default()
    };
    let reply = read(call, Query::ExecutePrepared(Box::new(execution)), options).await?;
    let Answer::Executed(executed) = reply.answer.as_ref() else { return Err(Failure::mismatch()) };
    let meta = unwaitable(&reply.meta);
    let found = Found {
        service: &executed.service,
        nodes: executed.instances.iter().map(Row::from).collect(),
        dns: &executed.dns,
        datacenter: executed.datacenter.as_str(),
        peer_name: &executed.peer,
        failovers: executed.failovers,
        freshness: Freshness::from(&meta),
    };
    respond::json_with_meta(call, &meta, &found)
}

async fn explain(call: &Call, name: &str) -> Result<Response<Body>, Failure> {
    let options = at_once(call.read_options()?);
    limit(call)?;
    let reply = read(call, Query::ExplainPrepared { name: name.to_owned() }, options).await?;
    let Answer::PreparedQueries(queries) = reply.answer.as_ref() else { return Err(Failure::mismatch()) };
    let [query] = queries.as_slice() else { return Err(Failure::mismatch()) };
    let meta = unwaitable(&reply.meta);
    respond::json_with_meta(call, &meta, &Explanation { query, freshness: Freshness::from(&meta) })
}

/// Nobody waits for what a query comes to.
fn at_once(options: ReadOptions) -> ReadOptions {
    ReadOptions { min_index: RaftIndex::default(), near: String::new(), ..options }
}

/// So there is no index to wait on.
fn unwaitable(meta: &Meta) -> Meta {
    Meta { index: RaftIndex(1), ..meta.clone() }
}

/// Reads; a failure of these endpoints still says what is known of its freshness.
async fn read(call: &Call, query: Query, options: ReadOptions) -> Result<Reply, Failure> {
    call.read(query, options).await.map_err(Failure::with_empty_meta)
}

/// How many instances are of use; none for all.
fn limit(call: &Call) -> Result<Option<usize>, Failure> {
    let text = call.params.get("limit");
    if text.is_empty() {
        return Ok(None);
    }
    let limit: i64 = text.parse().map_err(|error: ParseIntError| {
        let is_too_large = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
        let why = if is_too_large { "value out of range" } else { "invalid syntax" };
        Failure::internal(format!("Bad limit: strconv.Atoi: parsing {text:?}: {why}"))
    })?;
    Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0))
}

fn connect(call: &Call) -> Result<bool, Failure> {
    let text = call.params.get("connect");
    if text.is_empty() {
        return Ok(false);
    }
    boolean(text).ok_or_else(|| {
        let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
        Failure::internal(format!("Error parsing 'connect' value: {why}"))
    })
}

/// A query as a body describes it.
fn definition(body: Value) -> Result<PreparedQuery, Failure> {
    if body.is_null() {
        return Ok(PreparedQuery::default());
    }
    let mut query = decode::recased(body, &QUERY_KEYS)?;
    recase_within(&mut query, "Template", &TEMPLATE_KEYS)?;
    recase_within(&mut query, "DNS", &DNS_KEYS)?;
    recase_within(&mut query, "Service", &SERVICE_KEYS)?;
    if let Some(Value::Object(service)) = query.get_mut("Service") {
        recase_within(service, "Failover", &FAILOVER_KEYS)?;
        if let Some(Value::Object(failover)) = service.get_mut("Failover")
            && let Some(Value::Array(targets)) = failover.get_mut("Targets")
        {
            for target in targets {
                *target = Value::Object(decode::recased(target.take(), &TARGET_KEYS)?);
            }
        }
    }
    decode::typed(query)
}

fn recase_within(fields: &mut Map<String, Value>, name: &str, keys: &[&str]) -> Result<(), Failure> {
    if let Some(found) = fields.get_mut(name) {
        *found = Value::Object(decode::recased(found.take(), keys)?);
    }
    Ok(())
}
