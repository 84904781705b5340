//! `/v1/txn`: many operations that happen together or not at all.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lictor_model::RaftIndex;
use lictor_model::check::Check;
use lictor_model::command::{Command, Outcome};
use lictor_model::node::Node;
use lictor_model::query::{Answer, Meta, Query};
use lictor_model::txn::{
    CheckOperation, KvOperation, NodeOperation, Operation, OperationError, Row, ServiceOperation,
    TransactionReply,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::failure::Failure;
use crate::respond::Freshness;
use crate::{decode, kv, respond};

/// How many operations a transaction may have.
const MAX_OPERATIONS: usize = 128;

pub(crate) async fn endpoint(call: Call) -> Result<Response<Body>, Failure> {
    let operations = operations(&call)?;
    if operations.iter().any(Operation::is_write) {
        return match call.outcome(Command::Transaction(operations)).await? {
            Outcome::Transaction(reply) => answer(&call, &reply, None),
            _ => Err(Failure::mismatch()),
        };
    }
    let reply = call.read(Query::Transaction(operations), call.read_options()?).await?;
    let Answer::Transaction(result) = reply.answer.as_ref() else { return Err(Failure::mismatch()) };
    answer(&call, result, Some(&reply.meta))
}

fn operations(call: &Call) -> Result<Vec<Operation>, Failure> {
    let settings = &call.api.settings;
    let body = call.body.as_ref().map_err(|oversized| {
        Failure::too_large(format!(
            "Request body({} bytes) too large, max size: {} bytes. See https://www.consul.io/docs/agent/config/config-files#txn_max_req_len.",
            oversized.length,
            settings.txn_limit()
        ))
    })?;
    let unreadable = |why: &str| Failure::bad_request(format!("Failed to parse body: {why}"));
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(unreadable("EOF"));
    }
    let list: Vec<Value> = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    if list.len() > MAX_OPERATIONS {
        return Err(Failure::too_large(format!(
            "Transaction contains too many operations ({} > {MAX_OPERATIONS})",
            list.len()
        )));
    }
    let mut operations = Vec::with_capacity(list.len());
    for value in list {
        operations.extend(operation(value).map_err(|why| unreadable(&why))?);
    }
    for operation in &operations {
        if let Operation::Kv(KvOperation { key, value, .. }) = operation
            && value.len() > settings.kv_max_value
        {
            return Err(Failure::too_large(format!(
                "Value for key {:?} is too large ({} > {} bytes)",
                key.as_str(),
                value.len(),
                settings.kv_max_value
            )));
        }
    }
    Ok(operations)
}

/// One operation, or none if the object names none.
fn operation(value: Value) -> Result<Option<Operation>, String> {
    let mut fields = object(value, &["KV", "Node", "Service", "Check"])?;
    if let Some(value) = fields.remove("KV") {
        return kv_operation(value).map(|operation| Some(Operation::Kv(operation)));
    }
    if let Some(value) = fields.remove("Node") {
        let mut fields = object(value, &["Verb", "Node"])?;
        let verb = text(&mut fields, "Verb")?.into();
        let node: Node = row(fields.remove("Node"), &decode::NODE_ROW_KEYS)?;
        return Ok(Some(Operation::Node(NodeOperation { verb, node })));
    }
    if let Some(value) = fields.remove("Service") {
        let mut fields = object(value, &["Verb", "Node", "Service"])?;
        let verb = text(&mut fields, "Verb")?.into();
        let node = text(&mut fields, "Node")?.into();
        let service = fields.remove("Service").unwrap_or_else(|| Value::Object(Map::new()));
        let service = decode::service(service).map_err(|failure| failure.message().to_owned())?;
        return Ok(Some(Operation::Service(ServiceOperation { verb, node, service })));
    }
    if let Some(value) = fields.remove("Check") {
        let mut fields = object(value, &["Verb", "Check"])?;
        let verb = text(&mut fields, "Verb")?.into();
        let check = fields.remove("Check").unwrap_or_else(|| Value::Object(Map::new()));
        let check = decode::check(check).map_err(|failure| failure.message().to_owned())?;
        let check: Check = serde_json::from_value(check).map_err(|error| error.to_string())?;
        return Ok(Some(Operation::Check(CheckOperation { verb, check })));
    }
    Ok(None)
}

fn kv_operation(value: Value) -> Result<KvOperation, String> {
    let mut fields = object(value, &["Verb", "Key", "Value", "Flags", "Index", "Session"])?;
    let encoded = text(&mut fields, "Value")?;
    let value = STANDARD.decode(encoded).map_err(|error| format!("Value is not base64: {error}"))?;
    Ok(KvOperation {
        verb: text(&mut fields, "Verb")?.into(),
        key: text(&mut fields, "Key")?.into(),
        value: Bytes::from(value),
        flags: number(&mut fields, "Flags")?,
        index: RaftIndex(number(&mut fields, "Index")?),
        session: text(&mut fields, "Session")?.into(),
    })
}

fn object(value: Value, names: &[&str]) -> Result<Map<String, Value>, String> {
    decode::recased(value, names).map_err(|_| "an operation is an object".to_owned())
}

fn row<T: serde::de::DeserializeOwned>(value: Option<Value>, names: &[&str]) -> Result<T, String> {
    let fields = object(value.unwrap_or_else(|| Value::Object(Map::new())), names)?;
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<String, String> {
    match fields.remove(name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("{name} is a string")),
    }
}

fn number(fields: &mut Map<String, Value>, name: &str) -> Result<u64, String> {
    match fields.remove(name) {
        None => Ok(0),
        Some(value) => value.as_u64().ok_or_else(|| format!("{name} is a whole number")),
    }
}

/// What came of a transaction; with what is known of its freshness if it only read.
fn answer(call: &Call, reply: &TransactionReply, meta: Option<&Meta>) -> Result<Response<Body>, Failure> {
    let has_failed = !reply.errors.is_empty();
    let body = Reply {
        results: (!has_failed).then(|| reply.rows.iter().map(RowJson::from).collect()),
        errors: has_failed.then_some(&reply.errors),
        freshness: meta.map(|meta| Freshness::from(meta).without_guarantee()),
    };
    let mut response = respond::json(call, &body)?;
    if let Some(meta) = meta {
        respond::add_contact(response.headers_mut(), meta);
    }
    if has_failed {
        *response.status_mut() = StatusCode::CONFLICT;
    }
    Ok(response)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    results: Option<Vec<RowJson<'a>>>,
    errors: Option<&'a Vec<OperationError>>,
    #[serde(flatten)]
    freshness: Option<Freshness>,
}

#[derive(Serialize)]
enum RowJson<'a> {
    #[serde(rename = "KV")]
    Kv(kv::Row<'a>),
    Node(&'a Node),
    Service(Value),
    Check(Value),
}

impl<'a> From<&'a Row> for RowJson<'a> {
    fn from(row: &'a Row) -> Self {
        match row {
            Row::Entry(entry) => Self::Kv(kv::Row::from(entry.as_ref())),
            Row::EntryWithoutValue(entry) => Self::Kv(kv::Row::from(entry.as_ref()).without_value()),
            Row::Node(node) => Self::Node(node),
            Row::Service(service) => Self::Service(respond::without_empty(service, "Tags")),
            Row::Check(check) => Self::Check(respond::without_empty(check, "ServiceTags")),
        }
    }
}
