//! The agent's command line.
//!
//! Flags are written `-name=value`, `-name value`, or with two dashes; flags of yes and no need
//! no value. Each becomes a small tree that is laid over the files.

use serde_json::{Map, Value, json};

use crate::Sources;
use crate::source::Format;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Switch,
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A text that adds to a list.
    List,
    /// `key:value` that adds to a map.
    Pair,
}

/// All flags: name, what it takes, and the configuration key it sets. Those without a key are
/// about the sources themselves.
pub const FLAGS: &[(&str, Kind, &str)] = &[
    ("advertise", Kind::Text, "advertise_addr"),
    ("advertise-wan", Kind::Text, "advertise_addr_wan"),
    ("allow-write-http-from", Kind::List, "http_config.allow_write_http_from"),
    ("alt-domain", Kind::Text, "alt_domain"),
    ("auto-reload-config", Kind::Switch, "auto_reload_config"),
    ("bind", Kind::Text, "bind_addr"),
    ("bootstrap", Kind::Switch, "bootstrap"),
    ("bootstrap-expect", Kind::Number, "bootstrap_expect"),
    ("check_output_max_size", Kind::Number, "check_output_max_size"),
    ("client", Kind::Text, "client_addr"),
    ("config-dir", Kind::List, ""),
    ("config-file", Kind::List, ""),
    ("config-format", Kind::Text, ""),
    ("data-dir", Kind::Text, "data_dir"),
    ("datacenter", Kind::Text, "datacenter"),
    ("default-query-time", Kind::Text, "default_query_time"),
    ("dev", Kind::Switch, ""),
    ("disable-host-node-id", Kind::Switch, "disable_host_node_id"),
    ("disable-keyring-file", Kind::Switch, "disable_keyring_file"),
    ("dns-port", Kind::Number, "ports.dns"),
    ("domain", Kind::Text, "domain"),
    ("enable-local-script-checks", Kind::Switch, "enable_local_script_checks"),
    ("enable-script-checks", Kind::Switch, "enable_script_checks"),
    ("encrypt", Kind::Text, "encrypt"),
    ("grpc-port", Kind::Number, "ports.grpc"),
    ("grpc-tls-port", Kind::Number, "ports.grpc_tls"),
    ("hcl", Kind::List, ""),
    ("http-port", Kind::Number, "ports.http"),
    ("https-port", Kind::Number, "ports.https"),
    ("join", Kind::List, "start_join"),
    ("join-wan", Kind::List, "start_join_wan"),
    ("log-file", Kind::Text, "log_file"),
    ("log-json", Kind::Switch, "log_json"),
    ("log-level", Kind::Text, "log_level"),
    ("log-rotate-bytes", Kind::Number, "log_rotate_bytes"),
    ("log-rotate-duration", Kind::Text, "log_rotate_duration"),
    ("log-rotate-max-files", Kind::Number, "log_rotate_max_files"),
    ("max-query-time", Kind::Text, "max_query_time"),
    ("node", Kind::Text, "node_name"),
    ("node-id", Kind::Text, "node_id"),
    ("node-meta", Kind::Pair, "node_meta"),
    ("non-voting-server", Kind::Switch, "read_replica"),
    ("pid-file", Kind::Text, "pid_file"),
    ("primary-gateway", Kind::List, "primary_gateways"),
    ("protocol", Kind::Number, "protocol"),
    ("raft-protocol", Kind::Number, "raft_protocol"),
    ("read-replica", Kind::Switch, "read_replica"),
    ("recursor", Kind::List, "recursors"),
    ("rejoin", Kind::Switch, "rejoin_after_leave"),
    ("retry-interval", Kind::Text, "retry_interval"),
    ("retry-interval-wan", Kind::Text, "retry_interval_wan"),
    ("retry-join", Kind::List, "retry_join"),
    ("retry-join-wan", Kind::List, "retry_join_wan"),
    ("retry-max", Kind::Number, "retry_max"),
    ("retry-max-wan", Kind::Number, "retry_max_wan"),
    ("segment", Kind::Text, "segment"),
    ("serf-lan-allowed-cidrs", Kind::List, "serf_lan_allowed_cidrs"),
    ("serf-lan-bind", Kind::Text, "serf_lan"),
    ("serf-lan-port", Kind::Number, "ports.serf_lan"),
    ("serf-wan-allowed-cidrs", Kind::List, "serf_wan_allowed_cidrs"),
    ("serf-wan-bind", Kind::Text, "serf_wan"),
    ("serf-wan-port", Kind::Number, "ports.serf_wan"),
    ("server", Kind::Switch, "server"),
    ("server-port", Kind::Number, "ports.server"),
    ("syslog", Kind::Switch, "enable_syslog"),
    ("ui", Kind::Switch, "ui_config.enabled"),
    ("ui-content-path", Kind::Text, "ui_config.content_path"),
    ("ui-dir", Kind::Text, "ui_config.dir"),
];

/// Reads the agent's command line.
///
/// # Errors
/// A message that names the flag and what is wrong with it.
pub fn parse(arguments: &[String]) -> Result<Sources, String> {
    let mut sources = Sources::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            return Err(format!("Unexpected extra arguments: [{argument}]"));
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let Some((_, kind, key)) = FLAGS.iter().find(|(known, ..)| *known == name) else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match (inline, kind) {
            (Some(value), _) => value,
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?,
        };
        let value = typed(name, *kind, &value)?;
        if key.is_empty() {
            about_sources(&mut sources, name, &value)?;
        } else {
            sources.overrides.push(tree(key, value));
        }
    }
    Ok(sources)
}

fn typed(name: &str, kind: Kind, text: &str) -> Result<Value, String> {
    let invalid = |why: &str| format!("invalid value {text:?} for flag -{name}: {why}");
    Ok(match kind {
        Kind::Text => json!(text),
        Kind::List => json!([text]),
        Kind::Switch => match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => json!(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => json!(false),
            _ => return Err(invalid("expected true or false")),
        },
        Kind::Number => json!(text.parse::<i64>().map_err(|_| invalid("expected a whole number"))?),
        Kind::Pair => {
            let (key, value) = text.split_once(':').unwrap_or((text, ""));
            json!({ key: value })
        }
    })
}

fn about_sources(sources: &mut Sources, name: &str, value: &Value) -> Result<(), String> {
    let text = value.get(0).unwrap_or(value).as_str().unwrap_or_default();
    match name {
        "config-dir" | "config-file" => sources.paths.push(text.into()),
        "config-format" => sources.format = Some(format(text)?),
        "dev" => sources.dev = value == &json!(true),
        "hcl" => sources.fragments.push(text.to_owned()),
        _ => {}
    }
    Ok(())
}

/// A format by its name.
///
/// # Errors
/// If it is neither `json` nor `hcl`.
pub fn format(name: &str) -> Result<Format, String> {
    match name {
        "json" => Ok(Format::Json),
        "hcl" => Ok(Format::Hcl),
        _ => Err("-config-format must be either 'hcl' or 'json".to_owned()),
    }
}

/// A value at a dotted key.
fn tree(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |inner, part| {
        let mut fields = Map::new();
        fields.insert(part.to_owned(), inner);
        Value::Object(fields)
    })
}
