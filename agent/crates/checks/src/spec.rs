//! From what users write to what runs.
//!
//! `http` and `tcp` are shorthand: each names a built-in program and spells its configuration out.

use std::time::Duration;

use lictor_model::check::Status;
use lictor_model::definition::{CheckDefinition, Thresholds, UnknownPolicy};
use lictor_model::probe::{Origin, Program, Target};
use lictor_model::{Code, Error, Result};
use serde_json::{Map, Value, json};

/// The shortest interval between runs.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// How long a run may take if its definition does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many bytes of output are kept if the definition does not say.
pub const DEFAULT_OUTPUT_LIMIT: usize = 4096;

/// A check ready to be scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckSpec {
    /// What it does.
    pub kind: CheckKind,
    /// The status it starts with.
    pub initial: Status,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// Wait for reports.
    Ttl {
        /// How long a report is good for.
        ttl: Duration,
    },
    /// Run a program.
    Probe(Box<ProbeSpec>),
}

/// A program and when to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSpec {
    /// The program.
    pub program: Program,
    /// What it looks at.
    pub target: Target,
    /// How often it runs.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// How many equal results change the status.
    pub thresholds: Thresholds,
    /// What a run that could not look does to the status.
    pub unknown_as: UnknownPolicy,
    /// Name the program in outputs: users who chose it want to know who speaks.
    pub signed: bool,
}

/// What a definition asks for.
///
/// # Errors
/// [`InvalidArgument`](Code::InvalidArgument) naming the field that is wrong,
/// [`Unimplemented`](Code::Unimplemented) for kinds that this build cannot run.
pub fn lower(definition: &CheckDefinition, target: Target, origin: Origin) -> Result<CheckSpec> {
    let kinds = definition.kinds();
    let [kind] = kinds.as_slice() else {
        return Err(Error::invalid(if kinds.is_empty() {
            "TTL must be > 0 for TTL checks".to_owned()
        } else {
            format!("a check has exactly one kind, but this one has {}", kinds.join(", "))
        }));
    };
    if !definition.interval.is_zero() && *kind == "ttl" {
        return Err(Error::invalid("Interval and TTL cannot both be specified"));
    }
    let initial = initial_status(&definition.status)?;
    if *kind == "ttl" {
        return Ok(CheckSpec { kind: CheckKind::Ttl { ttl: definition.ttl.0 }, initial });
    }
    let program = program(kind, definition, origin)?;
    if definition.interval.is_zero() {
        return Err(Error::invalid(
            "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
        ));
    }
    let timeout = if definition.timeout.is_zero() { DEFAULT_TIMEOUT } else { definition.timeout.0 };
    let probe = ProbeSpec {
        program,
        target,
        interval: definition.interval.0.max(MIN_INTERVAL),
        timeout,
        thresholds: definition.thresholds(),
        unknown_as: definition.unknown_as,
        signed: *kind == "wasm",
    };
    Ok(CheckSpec { kind: CheckKind::Probe(Box::new(probe)), initial })
}

fn initial_status(word: &str) -> Result<Status> {
    if word.is_empty() {
        return Ok(Status::Critical);
    }
    word.parse().map_err(|_| {
        Error::invalid(format!("Status for checks must 'passing', 'warning', 'critical', but is {word:?}"))
    })
}

fn program(kind: &str, definition: &CheckDefinition, origin: Origin) -> Result<Program> {
    let (name, config) = match kind {
        "wasm" => (definition.wasm.clone(), definition.config.clone()),
        "http" => ("http_check.wasm".to_owned(), http_config(definition)),
        "tcp" => ("tcp_check.wasm".to_owned(), tcp_config(definition)),
        "udp" => ("udp_check.wasm".to_owned(), object([("address", text(&definition.udp))])),
        "script" => ("script_check.wasm".to_owned(), script_config(definition)),
        other => {
            return Err(Error::new(
                Code::Unimplemented,
                format!(
                    "checks of kind {other:?} are not part of this build; use http, tcp, udp, args, ttl or wasm"
                ),
            ));
        }
    };
    let config = if config.is_null() { Value::Object(Map::new()) } else { config };
    let output_limit = definition
        .output_max_size
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0)
        .unwrap_or(DEFAULT_OUTPUT_LIMIT);
    Ok(Program { name, origin, config, allow: definition.allow.clone(), output_limit })
}

/// Leaves out what the definition does not say, so that the program's own defaults hold.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    Value::Object(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn text(value: &str) -> Option<Value> {
    (!value.is_empty()).then(|| json!(value))
}

fn flag(value: bool) -> Option<Value> {
    value.then_some(json!(true))
}

fn http_config(definition: &CheckDefinition) -> Value {
    object([
        ("url", text(&definition.http)),
        ("method", text(&definition.method)),
        ("header", (!definition.header.is_empty()).then(|| json!(definition.header))),
        ("body", text(&definition.body)),
        ("disable_redirects", flag(definition.disable_redirects)),
        ("tls_skip_verify", flag(definition.tls_skip_verify)),
        ("tls_server_name", text(&definition.tls_server_name)),
        ("output_max_size", output_max_size(definition)),
    ])
}

fn output_max_size(definition: &CheckDefinition) -> Option<Value> {
    definition.output_max_size.filter(|size| *size > 0).map(|size| json!(size))
}

fn script_config(definition: &CheckDefinition) -> Value {
    object([("args", Some(json!(definition.args))), ("output_max_size", output_max_size(definition))])
}

fn tcp_config(definition: &CheckDefinition) -> Value {
    object([
        ("address", text(&definition.tcp)),
        ("tls", flag(definition.tcp_use_tls)),
        ("tls_skip_verify", flag(definition.tls_skip_verify)),
        ("tls_server_name", text(&definition.tls_server_name)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_model::duration::GoDuration;

    fn lowered(definition: &CheckDefinition) -> Result<CheckSpec> {
        lower(definition, Target::default(), Origin::Api)
    }

    fn seconds(count: u64) -> GoDuration {
        GoDuration(Duration::from_secs(count))
    }

    #[test]
    fn http_is_shorthand_for_the_built_in_program() {
        let definition = CheckDefinition {
            http: "http://127.0.0.1:1/".to_owned(),
            interval: seconds(2),
            ..CheckDefinition::default()
        };
        let CheckKind::Probe(probe) = lowered(&definition).unwrap().kind else { panic!("a probe") };
        assert_eq!(probe.program.name, "http_check.wasm");
        assert_eq!(probe.program.config, json!({"url": "http://127.0.0.1:1/"}));
        assert_eq!(probe.timeout, DEFAULT_TIMEOUT);
        assert!(!probe.signed);
    }

    #[test]
    fn every_mistake_names_its_field() {
        let nothing = CheckDefinition::default();
        assert_eq!(lowered(&nothing).unwrap_err().message, "TTL must be > 0 for TTL checks");
        let two = CheckDefinition { ttl: seconds(1), tcp: "a:1".to_owned(), ..nothing.clone() };
        assert!(lowered(&two).unwrap_err().message.contains("tcp, ttl"));
        let no_interval = CheckDefinition { tcp: "a:1".to_owned(), ..nothing.clone() };
        assert!(lowered(&no_interval).unwrap_err().message.starts_with("Interval must be"));
        let bad_status = CheckDefinition { ttl: seconds(1), status: "fine".to_owned(), ..nothing.clone() };
        assert!(lowered(&bad_status).unwrap_err().message.contains("\"fine\""));
        let grpc = CheckDefinition { grpc: "a:1".to_owned(), ..nothing };
        assert_eq!(lowered(&grpc).unwrap_err().code, Code::Unimplemented);
    }
}
