//! From what users write to what runs.
//!
//! All kinds but two are shorthand: each names a built-in program and spells its configuration
//! out. TTL and alias checks run nothing: they are state.

use std::time::Duration;

use lictor_model::check::{DEFAULT_OUTPUT_LIMIT, Status};
use lictor_model::definition::{CheckDefinition, Thresholds, UnknownPolicy};
use lictor_model::probe::{Origin, Program, Target};
use lictor_model::{Code, Error, Result};
use serde_json::{Map, Value, json};

use crate::alias::Alias;
use crate::expect;

/// The shortest interval between runs.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// How long a run may take if its definition does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Be as healthy as something else.
    Alias(Alias),
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
/// Of each output at most `output_limit` bytes are kept, or fewer if the definition says so.
///
/// # Errors
/// [`InvalidArgument`](Code::InvalidArgument) naming the field that is wrong,
/// [`Unimplemented`](Code::Unimplemented) for kinds that this build cannot run.
pub fn lower(
    definition: &CheckDefinition,
    target: Target,
    origin: Origin,
    output_limit: usize,
) -> Result<CheckSpec> {
    let kinds = definition.kinds();
    refuse_contradictions(definition, &kinds)?;
    let [kind] = kinds.as_slice() else {
        return Err(Error::invalid(if kinds.is_empty() {
            "TTL must be > 0 for TTL checks".to_owned()
        } else {
            format!("a check has exactly one kind, but this one has {}", kinds.join(", "))
        }));
    };
    let initial = initial_status(&definition.status)?;
    if *kind == "ttl" {
        return Ok(CheckSpec { kind: CheckKind::Ttl { ttl: definition.ttl.0 }, initial });
    }
    if *kind == "alias" {
        let node = definition.alias_node.as_str().into();
        let alias = Alias { node, service: definition.alias_service.as_str().into() };
        return Ok(CheckSpec { kind: CheckKind::Alias(alias), initial });
    }
    let program = program(kind, definition, origin, output_limit)?;
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

/// What cannot be asked for together, in the order in which the reference finds it.
fn refuse_contradictions(definition: &CheckDefinition, kinds: &[&str]) -> Result<()> {
    let (has_interval, has_ttl) = (!definition.interval.is_zero(), !definition.ttl.is_zero());
    let is_alias = kinds.contains(&"alias");
    let is_run = kinds.iter().any(|kind| !matches!(*kind, "ttl" | "alias"));
    Err(Error::invalid(if has_interval && has_ttl {
        "Interval and TTL cannot both be specified"
    } else if is_run && is_alias {
        "Interval cannot be set for Alias checks"
    } else if is_alias && has_ttl {
        "TTL must be not be set for Alias checks"
    } else {
        return Ok(());
    }))
}

/// How many bytes of a check's output are kept: what the agent keeps, or less if the definition
/// says so.
#[must_use]
pub fn output_limit(definition: &CheckDefinition, agents: usize) -> usize {
    let own = definition.output_max_size.and_then(|bytes| usize::try_from(bytes).ok());
    own.filter(|bytes| *bytes > 0).map_or(agents, |bytes| bytes.min(agents))
}

fn initial_status(word: &str) -> Result<Status> {
    if word.is_empty() {
        return Ok(Status::Critical);
    }
    word.parse().map_err(|_| {
        Error::invalid(format!("Status for checks must 'passing', 'warning', 'critical', but is {word:?}"))
    })
}

fn program(
    kind: &str,
    definition: &CheckDefinition,
    origin: Origin,
    agents_output_limit: usize,
) -> Result<Program> {
    let output_limit = output_limit(definition, agents_output_limit);
    let (name, config) = match kind {
        "wasm" => (definition.wasm.clone(), definition.config.clone()),
        "http" => {
            expect::examine(&definition.expect)?;
            ("http_check.wasm".to_owned(), http_config(definition, output_limit))
        }
        "grpc" => ("grpc_check.wasm".to_owned(), grpc_config(definition)),
        "h2ping" => ("h2ping_check.wasm".to_owned(), h2ping_config(definition)),
        "tcp" => ("tcp_check.wasm".to_owned(), tcp_config(definition)),
        "udp" => ("udp_check.wasm".to_owned(), object([("address", text(&definition.udp))])),
        "script" => ("script_check.wasm".to_owned(), script_config(definition, output_limit)),
        other => {
            return Err(Error::new(
                Code::Unimplemented,
                format!(
                    "checks of kind {other:?} are not part of this build; use http, tcp, udp, grpc, h2ping, args, ttl, alias or wasm"
                ),
            ));
        }
    };
    let config = if config.is_null() { Value::Object(Map::new()) } else { config };
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

fn http_config(definition: &CheckDefinition, output_limit: usize) -> Value {
    object([
        ("url", text(&definition.http)),
        ("method", text(&definition.method)),
        ("header", (!definition.header.is_empty()).then(|| json!(definition.header))),
        ("body", text(&definition.body)),
        ("disable_redirects", flag(definition.disable_redirects)),
        ("tls_skip_verify", flag(definition.tls_skip_verify)),
        ("tls_server_name", text(&definition.tls_server_name)),
        ("output_max_size", output_max_size(output_limit)),
        ("expect", (!definition.expect.is_null()).then(|| definition.expect.clone())),
    ])
}

/// The programs know the usual limit.
fn output_max_size(limit: usize) -> Option<Value> {
    (limit != DEFAULT_OUTPUT_LIMIT).then(|| json!(limit))
}

fn script_config(definition: &CheckDefinition, output_limit: usize) -> Value {
    object([("args", Some(json!(definition.args))), ("output_max_size", output_max_size(output_limit))])
}

/// The port that gRPC clients take if none is given.
const GRPC_PORT: u16 = 443;

fn grpc_config(definition: &CheckDefinition) -> Value {
    let (place, service) = definition.grpc.split_once('/').unwrap_or((&definition.grpc, ""));
    let has_port = place.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let address = if has_port { place.to_owned() } else { format!("{place}:{GRPC_PORT}") };
    object([
        ("address", text(&address)),
        ("service", text(service)),
        ("tls", flag(definition.grpc_use_tls)),
        ("tls_skip_verify", flag(definition.tls_skip_verify)),
        ("tls_server_name", text(&definition.tls_server_name)),
    ])
}

fn h2ping_config(definition: &CheckDefinition) -> Value {
    object([
        ("address", text(&definition.h2ping)),
        ("tls", definition.h2ping_use_tls.map(|spoken| json!(spoken))),
        ("tls_skip_verify", flag(definition.tls_skip_verify)),
        ("tls_server_name", text(&definition.tls_server_name)),
    ])
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
        lower(definition, Target::default(), Origin::Api, DEFAULT_OUTPUT_LIMIT)
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
        let alias = CheckDefinition { alias_node: "n".to_owned(), ..nothing.clone() };
        let with_ttl = CheckDefinition { ttl: seconds(1), ..alias.clone() };
        assert_eq!(lowered(&with_ttl).unwrap_err().message, "TTL must be not be set for Alias checks");
        let with_run = CheckDefinition { tcp: "a:1".to_owned(), ..alias };
        assert_eq!(lowered(&with_run).unwrap_err().message, "Interval cannot be set for Alias checks");
        let os_service = CheckDefinition { os_service: "a".to_owned(), ..nothing };
        assert_eq!(lowered(&os_service).unwrap_err().code, Code::Unimplemented);
    }

    fn config_of(definition: CheckDefinition) -> Value {
        let definition = CheckDefinition { interval: seconds(2), ..definition };
        let CheckKind::Probe(probe) = lowered(&definition).unwrap().kind else { panic!("a probe") };
        probe.program.config
    }

    #[test]
    fn a_grpc_target_is_a_place_and_a_service() {
        let grpc = |target: &str| CheckDefinition { grpc: target.to_owned(), ..CheckDefinition::default() };
        assert_eq!(config_of(grpc("h:1")), json!({"address": "h:1"}));
        assert_eq!(config_of(grpc("h:1/a/b")), json!({"address": "h:1", "service": "a/b"}));
        assert_eq!(config_of(grpc("[::1]/a")), json!({"address": "[::1]:443", "service": "a"}));
        let tls = CheckDefinition { grpc_use_tls: true, tls_skip_verify: true, ..grpc("h:1") };
        assert_eq!(config_of(tls), json!({"address": "h:1", "tls": true, "tls_skip_verify": true}));
    }

    #[test]
    fn a_definition_lowers_the_limit_of_its_outputs_and_does_not_raise_it() {
        let sized = |size: u32| CheckDefinition {
            http: "http://a/".to_owned(),
            output_max_size: Some(size),
            ..CheckDefinition::default()
        };
        assert_eq!(config_of(sized(10)), json!({"url": "http://a/", "output_max_size": 10}));
        assert_eq!(config_of(sized(1 << 20)), json!({"url": "http://a/"}));
    }
}
