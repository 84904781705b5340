//! `services register` and `services deregister`.

use lictor_config::source;
use lictor_model::definition::ServiceDefinition;
use lictor_model::definition::decode::{self, Spelling};
use serde_json::{Map, Value, json};

use crate::commands::{Ran, client, failed};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const REGISTER_FLAGS: &[Flag] = &[
    flags::value("address", "address", "The service's address."),
    flags::value("id", "id", "The service's identifier; its name by default."),
    flags::value("meta", "key=value", "Metadata; may be repeated."),
    flags::value("name", "name", "The service's name."),
    flags::value("port", "number", "The service's port."),
    flags::value("tag", "tag", "A label; may be repeated."),
];

pub(super) const DEREGISTER_FLAGS: &[Flag] =
    &[flags::value("id", "id", "The identifier of the service to remove.")];

pub(super) async fn register(context: &Context, parsed: Parsed) -> Ran {
    let definitions = match (parsed.arguments.is_empty(), parsed.get("name")) {
        (true, "") => {
            return Err(Output::error("Service registration requires at least one argument or flags.", 1));
        }
        (true, _) => vec![from_flags(&parsed)?],
        (false, "") => from_files(&parsed)?,
        (false, _) => {
            return Err(Output::error("Service registration requires arguments or -name, not both.", 1));
        }
    };
    let client = client(context, &parsed)?;
    let mut lines = Vec::new();
    for definition in definitions {
        let body = serde_json::to_value(&definition).map(said).unwrap_or(Value::Null);
        client
            .register_service(&body)
            .await
            .map_err(|error| failed(&format!("Error registering service {:?}", definition.name), error))?;
        lines.push(format!("Registered service: {}", definition.name));
    }
    Ok(Output::text(lines.join("\n")))
}

pub(super) async fn deregister(context: &Context, parsed: Parsed) -> Ran {
    let services = match (parsed.arguments.is_empty(), parsed.get("id")) {
        (true, "") => {
            return Err(Output::error("Service deregistration requires at least one argument or -id.", 1));
        }
        (true, id) => vec![(String::new(), id.to_owned())],
        (false, "") => from_files(&parsed)?
            .into_iter()
            .map(|definition| (definition.name.clone(), definition.effective_id().to_string()))
            .collect(),
        (false, _) => {
            return Err(Output::error("Service deregistration requires arguments or -id, not both.", 1));
        }
    };
    let client = client(context, &parsed)?;
    let mut lines = Vec::new();
    for (name, id) in services {
        client
            .deregister_service(&id)
            .await
            .map_err(|error| failed(&format!("Error deregistering service {name:?}"), error))?;
        lines.push(format!("Deregistered service: {id}"));
    }
    Ok(Output::text(lines.join("\n")))
}

fn from_flags(parsed: &Parsed) -> Result<ServiceDefinition, Output> {
    let port = match parsed.get("port") {
        "" => 0,
        text => text
            .parse::<u16>()
            .map_err(|_| Output::error(format!("invalid value {text:?} for flag -port: parse error"), 1))?,
    };
    Ok(ServiceDefinition {
        id: parsed.get("id").to_owned(),
        name: parsed.get("name").to_owned(),
        address: parsed.get("address").to_owned(),
        port,
        tags: parsed.all("tag").map(str::to_owned).collect(),
        meta: parsed
            .all("meta")
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ..ServiceDefinition::default()
    })
}

fn from_files(parsed: &Parsed) -> Result<Vec<ServiceDefinition>, Output> {
    let paths: Vec<_> = parsed.arguments.iter().map(Into::into).collect();
    let files = source::read_all(&paths, None)
        .map_err(|problems| Output::error(format!("Error: {}", problems.join("\n")), 1))?;
    let mut definitions = Vec::new();
    for mut file in files {
        let given =
            ["services", "service"].into_iter().filter_map(|key| file.tree.get_mut(key).map(Value::take));
        for service in given.flat_map(several) {
            let definition = decode::service(service, Spelling::File)
                .map_err(|why| Output::error(format!("Error: {}: {why}", file.path.display()), 1))?;
            definitions.push(definition);
        }
    }
    Ok(definitions)
}

/// The items of a list, or the one thing itself.
fn several(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        one => vec![one],
    }
}

/// What a definition says, without what it leaves open.
fn said(definition: Value) -> Value {
    match definition {
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .into_iter()
                .map(|(key, value)| (key, said(value)))
                .filter(|(_, value)| !says_nothing(value))
                .collect();
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(said).collect()),
        other => other,
    }
}

fn says_nothing(value: &Value) -> bool {
    value.is_null()
        || *value == json!("")
        || *value == json!("0s")
        || *value == json!(0)
        || *value == json!(false)
        || *value == json!([])
        || *value == json!({})
}
