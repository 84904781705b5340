//! JSON bodies, whatever their content type says.
//!
//! Clients of the reference rely on its decoder: keys match without regard to case, and unknown
//! ones are ignored in catalog requests.

use std::sync::Arc;

use bytes::Bytes;
use lictor_model::command::{Deregistration, Registration};
use lictor_model::service::Service;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

const NODE_KEYS: [&str; 11] = [
    "Datacenter",
    "ID",
    "Node",
    "Address",
    "TaggedAddresses",
    "NodeMeta",
    "Service",
    "Check",
    "Checks",
    "SkipNodeUpdate",
    "WriteRequest",
];
/// The keys of a node as the catalog has it.
pub(crate) const NODE_ROW_KEYS: [&str; 7] =
    ["ID", "Node", "Address", "Datacenter", "TaggedAddresses", "Meta", "ModifyIndex"];
const SERVICE_KEYS: [&str; 10] = [
    "ID",
    "Service",
    "Tags",
    "Address",
    "TaggedAddresses",
    "Meta",
    "Port",
    "Weights",
    "EnableTagOverride",
    "ModifyIndex",
];
const CHECK_KEYS: [&str; 13] = [
    "Node",
    "CheckID",
    "Name",
    "Status",
    "Notes",
    "Output",
    "ServiceID",
    "ServiceName",
    "ServiceTags",
    "Type",
    "Interval",
    "Timeout",
    "ModifyIndex",
];
const DEREGISTRATION_KEYS: [&str; 4] = ["Datacenter", "Node", "ServiceID", "CheckID"];

/// Parses a body as JSON.
pub(crate) fn json(body: &Bytes) -> Result<Value, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(failed("EOF"));
    }
    serde_json::from_slice(body).map_err(|error| failed(error.to_string()))
}

/// How most complaints about a body begin.
pub(crate) const FAILED: &str = "Request decode failed: ";

/// A body that does not say what the endpoint needs.
pub(crate) fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::bad_request(format!("{FAILED}{why}"))
}

pub(crate) fn registration(body: &Bytes) -> Result<Registration, Failure> {
    let mut fields = recased(json(body)?, &NODE_KEYS)?;
    let service = fields.remove("Service").filter(|service| !service.is_null()).map(service).transpose()?;
    let single = fields.remove("Check").filter(|check| !check.is_null());
    let many = match fields.remove("Checks") {
        Some(Value::Array(checks)) => checks,
        _ => Vec::new(),
    };
    let checks = many.into_iter().chain(single).map(check).collect::<Result<Vec<_>, _>>()?;
    fields.insert("Checks".to_owned(), Value::Array(checks));
    let registration: Registration = typed(fields)?;
    Ok(Registration { service: service.map(Arc::new), ..registration })
}

/// A service instance as the catalog has it.
pub(crate) fn service(service: Value) -> Result<Service, Failure> {
    let mut fields = recased(service, &SERVICE_KEYS)?;
    // Weights of zero are how clients say that they have none to set.
    let unset = |weights: &Value| {
        weights.is_null() || weights.as_object().is_some_and(|weights| weights.values().all(is_zero))
    };
    if fields.get("Weights").is_some_and(unset) {
        fields.remove("Weights");
    }
    typed(fields)
}

pub(crate) fn deregistration(body: &Bytes) -> Result<Deregistration, Failure> {
    typed(recased(json(body)?, &DEREGISTRATION_KEYS)?)
}

/// The fields of a check as the catalog has it.
pub(crate) fn check(check: Value) -> Result<Value, Failure> {
    let mut fields = recased(check, &CHECK_KEYS)?;
    // A word that is no status says nothing good.
    let known = |status: &Value| matches!(status.as_str(), Some("passing" | "warning" | "critical"));
    if !fields.get("Status").is_some_and(known) {
        fields.remove("Status");
    }
    Ok(Value::Object(fields))
}

fn is_zero(number: &Value) -> bool {
    number.as_f64() == Some(0.0)
}

/// The object's fields under the names given, without those it does not name and without nulls.
pub(crate) fn recased(value: Value, names: &[&str]) -> Result<Map<String, Value>, Failure> {
    let Value::Object(fields) = value else { return Err(failed("expected an object")) };
    Ok(fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .filter_map(|(key, value)| {
            let name = names.iter().find(|name| name.eq_ignore_ascii_case(&key))?;
            Some(((*name).to_owned(), value))
        })
        .collect())
}

pub(crate) fn typed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(fields)).map_err(failed)
}
