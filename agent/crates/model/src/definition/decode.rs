//! From JSON as users spell it to definitions.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{CheckDefinition, ServiceDefinition};

/// Whose spelling of keys is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Configuration files: `snake_case`, or the same without underscores, in any case.
    File,
    /// The HTTP API: `CamelCase` in any case, and the snake case forms in [`API_SNAKE_KEYS`].
    Api,
}

/// The snake case keys that the HTTP API of the reference understands beside its own.
const API_SNAKE_KEYS: [&str; 12] = [
    "enable_tag_override",
    "tagged_addresses",
    "script_args",
    "deregister_critical_service_after",
    "docker_container_id",
    "tls_server_name",
    "tls_skip_verify",
    "grpc_use_tls",
    "service_id",
    "alias_node",
    "alias_service",
    "unknown_as",
];

const SERVICE_KEYS: [&str; 12] = [
    "id",
    "name",
    "tags",
    "address",
    "taggedaddresses",
    "meta",
    "port",
    "weights",
    "enabletagoverride",
    "check",
    "checks",
    "token",
];

const CHECK_KEYS: [&str; 43] = [
    "id",
    "checkid",
    "name",
    "notes",
    "serviceid",
    "token",
    "status",
    "wasm",
    "config",
    "allow",
    "unknownas",
    "ttl",
    "http",
    "header",
    "method",
    "body",
    "disableredirects",
    "expect",
    "tcp",
    "tcpusetls",
    "udp",
    "grpc",
    "grpcusetls",
    "h2ping",
    "h2pingusetls",
    "args",
    "scriptargs",
    "dockercontainerid",
    "shell",
    "osservice",
    "aliasservice",
    "aliasnode",
    "tlsskipverify",
    "tlsservername",
    "interval",
    "timeout",
    "outputmaxsize",
    "successbeforepassing",
    "failuresbeforewarning",
    "failuresbeforecritical",
    "deregistercriticalserviceafter",
    // Accepted and without effect: parts of features that do not exist here.
    "namespace",
    "partition",
];

/// Keys of services that belong to features outside this agent's scope. They are accepted only
/// while they ask for nothing.
const IDLE_SERVICE_KEYS: [&str; 8] =
    ["kind", "proxy", "connect", "socketpath", "locality", "namespace", "partition", "ports"];

/// Reads a service definition.
///
/// # Errors
/// A message that names the offending key, in the wording of Go's JSON decoder.
pub fn service(value: Value, spelling: Spelling) -> Result<ServiceDefinition, String> {
    let mut squashed = Map::new();
    for (key, value) in object(value, "service")? {
        let canonical = squash(&key, spelling)?;
        let value = match canonical.as_str() {
            "check" if value.is_null() => continue,
            "check" => check_object(value, spelling)?,
            "checks" => each(value, |item| check_object(item, spelling))?,
            "weights" => flat_object(value, spelling)?,
            "taggedaddresses" => each_value(value, |item| flat_object(item, spelling))?,
            known if SERVICE_KEYS.contains(&known) => value,
            idle if IDLE_SERVICE_KEYS.contains(&idle) => {
                if asks_for_something(&value) {
                    return Err(format!(
                        "{key}: the service mesh, partitions and sockets are not part of this agent; remove the key"
                    ));
                }
                continue;
            }
            _ => return Err(unknown(&key)),
        };
        squashed.insert(canonical, value);
    }
    from_object(squashed)
}

/// Reads a check definition.
///
/// # Errors
/// As for [`service`].
pub fn check(value: Value, spelling: Spelling) -> Result<CheckDefinition, String> {
    match check_object(value, spelling)? {
        Value::Object(fields) => from_object(fields),
        _ => Err("check: expected an object".to_owned()),
    }
}

fn check_object(value: Value, spelling: Spelling) -> Result<Value, String> {
    let mut squashed = Map::new();
    for (key, value) in object(value, "check")? {
        let canonical = squash(&key, spelling)?;
        // `definition` is what the API shows of a check; clients send it back.
        if canonical == "definition" {
            continue;
        }
        if !CHECK_KEYS.contains(&canonical.as_str()) {
            return Err(unknown(&key));
        }
        squashed.insert(canonical, value);
    }
    Ok(Value::Object(squashed))
}

fn flat_object(value: Value, spelling: Spelling) -> Result<Value, String> {
    let squashed = object(value, "object")?
        .into_iter()
        .map(|(key, value)| Ok((squash(&key, spelling)?, value)))
        .collect::<Result<Map<_, _>, String>>()?;
    Ok(Value::Object(squashed))
}

fn each(value: Value, read: impl Fn(Value) -> Result<Value, String>) -> Result<Value, String> {
    match value {
        Value::Null => Ok(Value::Array(Vec::new())),
        Value::Array(items) => items.into_iter().map(read).collect::<Result<Vec<_>, _>>().map(Value::Array),
        // A single HCL block reads as an object where a list of them is meant.
        single @ Value::Object(_) => Ok(Value::Array(vec![read(single)?])),
        _ => Err("expected a list".to_owned()),
    }
}

fn each_value(value: Value, read: impl Fn(Value) -> Result<Value, String>) -> Result<Value, String> {
    let read_all = object(value, "object")?
        .into_iter()
        .map(|(key, value)| Ok((key, read(value)?)))
        .collect::<Result<Map<_, _>, String>>()?;
    Ok(Value::Object(read_all))
}

fn object(value: Value, what: &str) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        // HCL writes a block as a list of one object.
        Value::Array(mut items) if items.len() == 1 => object(items.pop().unwrap_or_default(), what),
        _ => Err(format!("{what}: expected an object")),
    }
}

fn squash(key: &str, spelling: Spelling) -> Result<String, String> {
    let lower = key.to_ascii_lowercase();
    if !lower.contains('_') {
        return Ok(lower);
    }
    if spelling == Spelling::Api && !API_SNAKE_KEYS.contains(&lower.as_str()) {
        return Err(unknown(key));
    }
    Ok(lower.replace('_', ""))
}

fn unknown(key: &str) -> String {
    format!("json: unknown field {key:?}")
}

fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty() && text != "default",
        Value::Object(fields) => fields.values().any(asks_for_something),
        Value::Array(items) => items.iter().any(asks_for_something),
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
    }
}

fn from_object<T: DeserializeOwned>(mut fields: Map<String, Value>) -> Result<T, String> {
    fields.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(fields)).map_err(|error| format!("json: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_api_takes_any_case_but_not_every_snake_key() {
        let written = json!({"id": "s", "Name": "s", "enable_tag_override": true, "CHECK": {"ttl": "30s"}});
        let definition = service(written, Spelling::Api).unwrap();
        assert!(definition.enable_tag_override);
        assert_eq!(definition.all_checks().count(), 1);
        let written = json!({"name": "s", "check": {"check_id": "x"}});
        assert_eq!(service(written, Spelling::Api).unwrap_err(), "json: unknown field \"check_id\"");
    }

    #[test]
    fn files_take_snake_case_and_keep_the_keys_of_maps() {
        let written = json!({"name": "s", "meta": {"Some_Key": "v"}, "checks": [{"deregister_critical_service_after": "1h"}]});
        let definition = service(written, Spelling::File).unwrap();
        assert_eq!(definition.meta.get("Some_Key").map(String::as_str), Some("v"));
        assert_eq!(definition.checks.len(), 1);
    }

    #[test]
    fn mesh_keys_are_refused_only_when_they_ask_for_something() {
        assert!(service(json!({"name": "s", "proxy": {"mode": ""}}), Spelling::Api).is_ok());
        assert!(service(json!({"name": "s", "connect": {"native": true}}), Spelling::Api).is_err());
    }
}
