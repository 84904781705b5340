//! `/v1/session/`: sessions, which hold locks.

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use lictor_model::check::SERF_HEALTH;
use lictor_model::command::{Command, Outcome};
use lictor_model::query::{Answer, Query};
use lictor_model::session::{DEFAULT_LOCK_DELAY, Session};
use lictor_model::{SessionId, duration};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::failure::Failure;
use crate::{decode, respond};

const SESSION_KEYS: [&str; 8] =
    ["Name", "Node", "LockDelay", "Behavior", "TTL", "NodeChecks", "ServiceChecks", "Checks"];
/// Numbers below this are seconds, others nanoseconds: older clients send seconds.
const FEWEST_NANOSECONDS: f64 = 1000.0;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created<'a> {
    #[serde(rename = "ID")]
    id: &'a SessionId,
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>, Failure> {
    let session = wanted(&call)?;
    match call.outcome(Command::CreateSession(Box::new(session))).await? {
        Outcome::Session(session) => respond::json(&call, &Created { id: &session.id }),
        Outcome::Refused(error) => Err(Failure::internal(format!("apply failed: {}", error.message))),
        _ => Err(Failure::mismatch()),
    }
}

/// The session that the body asks for: by default one of this node that lives as long as the
/// node is alive.
fn wanted(call: &Call) -> Result<Session, Failure> {
    let body = call.whole_body()?;
    let mut fields =
        if body.is_empty() { Map::new() } else { decode::recased(decode::json(body)?, &SESSION_KEYS)? };
    let lock_delay = fields.remove("LockDelay").map_or(Ok(DEFAULT_LOCK_DELAY), |value| lock_delay(&value))?;
    // An empty list says that the session depends on nothing; to name checks in the older way
    // adds to the node's own.
    let is_empty =
        |name: &str| fields.get(name).is_some_and(|list| list.as_array().is_some_and(Vec::is_empty));
    let depends_on_nothing = is_empty("Checks") || is_empty("NodeChecks");
    let says_nothing = !fields.contains_key("NodeChecks");
    let mut session: Session = decode::typed(fields)?;
    session.lock_delay = lock_delay;
    if session.node.is_empty() {
        session.node = call.api.settings.node.as_str().into();
    }
    if says_nothing && !depends_on_nothing {
        session.node_checks = vec![SERF_HEALTH.into()];
    }
    Ok(session)
}

fn lock_delay(value: &Value) -> Result<Duration, Failure> {
    if let Some(text) = value.as_str() {
        return duration::parse(text).map_err(decode::failed);
    }
    let number = value.as_f64().ok_or_else(|| decode::failed("LockDelay is a duration, such as \"15s\""))?;
    let nanoseconds = if number < FEWEST_NANOSECONDS { number * 1e9 } else { number };
    Duration::try_from_secs_f64(nanoseconds / 1e9)
        .map_err(|error| decode::failed(format!("LockDelay: {error}")))
}

pub(crate) async fn destroy(call: Call) -> Result<Response<Body>, Failure> {
    let id = SessionId::from(call.named("session")?);
    respond::json(&call, &call.write(Command::EndSessions(vec![id])).await?)
}

pub(crate) async fn renew(call: Call) -> Result<Response<Body>, Failure> {
    let id = SessionId::from(call.named("session")?);
    match call.outcome(Command::RenewSession(id)).await? {
        Outcome::Session(session) => respond::json(&call, &[session]),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn info(call: Call) -> Result<Response<Body>, Failure> {
    let id = SessionId::from(call.named("session")?);
    sessions(call, Query::Session(id)).await
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, Failure> {
    sessions(call, Query::Sessions).await
}

pub(crate) async fn of_node(call: Call) -> Result<Response<Body>, Failure> {
    let node = call.named("node name")?.into();
    sessions(call, Query::NodeSessions(node)).await
}

async fn sessions(call: Call, query: Query) -> Result<Response<Body>, Failure> {
    let reply = call.read(query, call.read_options()?).await?;
    match reply.answer.as_ref() {
        Answer::Sessions(sessions) => respond::json_with_meta(&call, &reply.meta, sessions),
        _ => Err(Failure::mismatch()),
    }
}
