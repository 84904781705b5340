//! Every configuration key of the reference, and what becomes of it here.

use serde_json::Value;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It works.
    Works,
    /// It is accepted and has nothing to change here: what it asks for is so, or is never so.
    Silent,
    /// It is accepted, has no effect, and a warning says so when it is set.
    Warns,
}

use Class::{Silent, Warns, Works};

/// All keys. An object whose keys are not listed one by one is accepted whole.
pub const KEYS: &[(&str, Class)] = &[
    ("acl", Warns),
    ("acl_agent_master_token", Warns),
    ("acl_agent_token", Warns),
    ("acl_datacenter", Warns),
    ("acl_default_policy", Warns),
    ("acl_down_policy", Warns),
    ("acl_enable_key_list_policy", Warns),
    ("acl_enforce_version_8", Warns),
    ("acl_master_token", Warns),
    ("acl_replication_token", Warns),
    ("acl_token", Warns),
    ("acl_ttl", Warns),
    ("addresses", Works),
    ("advertise_addr", Works),
    ("advertise_addr_ipv4", Warns),
    ("advertise_addr_ipv6", Warns),
    ("advertise_addr_wan", Warns),
    ("advertise_addr_wan_ipv4", Warns),
    ("advertise_addr_wan_ipv6", Warns),
    ("advertise_reconnect_timeout", Warns),
    ("allow_write_http_from", Works),
    ("alt_domain", Works),
    ("audit", Warns),
    ("auto_config", Warns),
    ("auto_encrypt", Warns),
    ("auto_reload_config", Warns),
    ("autopilot", Works),
    ("bind_addr", Works),
    ("bootstrap", Works),
    ("bootstrap_expect", Works),
    ("ca_file", Warns),
    ("ca_path", Warns),
    ("cache", Warns),
    ("cert_file", Warns),
    ("check_deregister_interval_min", Works),
    ("check_output_max_size", Works),
    ("check_reap_interval", Works),
    ("check_update_interval", Works),
    ("checks", Works),
    ("client_addr", Works),
    ("cloud", Warns),
    ("config_entries", Warns),
    ("connect", Silent),
    ("data_dir", Works),
    ("datacenter", Works),
    ("default_intention_policy", Warns),
    ("default_query_time", Works),
    ("disable_anonymous_signature", Silent),
    ("disable_coordinates", Warns),
    ("disable_host_node_id", Silent),
    ("disable_http_unprintable_char_filter", Warns),
    ("disable_keyring_file", Warns),
    ("disable_remote_exec", Silent),
    ("disable_update_check", Silent),
    ("discard_check_output", Warns),
    ("discovery_max_stale", Warns),
    ("dns_config", Works),
    ("domain", Works),
    ("enable_acl_replication", Warns),
    ("enable_agent_tls_for_checks", Warns),
    ("enable_central_service_config", Silent),
    ("enable_debug", Warns),
    ("enable_local_script_checks", Works),
    ("enable_script_checks", Works),
    ("enable_syslog", Warns),
    ("encrypt", Warns),
    ("encrypt_verify_incoming", Warns),
    ("encrypt_verify_outgoing", Warns),
    ("experiments", Warns),
    ("gossip_lan", Warns),
    ("gossip_wan", Warns),
    ("http_config", Works),
    ("key_file", Warns),
    ("leave_on_terminate", Works),
    ("license_path", Warns),
    ("limits", Works),
    ("locality", Silent),
    ("log_file", Warns),
    ("log_json", Works),
    ("log_level", Works),
    ("log_rotate_bytes", Warns),
    ("log_rotate_duration", Warns),
    ("log_rotate_max_files", Warns),
    ("max_query_time", Works),
    ("node_id", Works),
    ("node_meta", Works),
    ("node_name", Works),
    ("non_voting_server", Warns),
    ("partition", Warns),
    ("peering", Silent),
    ("performance", Works),
    ("pid_file", Works),
    ("plugin_bounds", Works),
    ("plugin_dir", Works),
    ("ports", Works),
    ("primary_datacenter", Warns),
    ("primary_gateways", Warns),
    ("primary_gateways_interval", Warns),
    ("protocol", Silent),
    ("raft_boltdb", Warns),
    ("raft_logstore", Warns),
    ("raft_protocol", Silent),
    ("raft_snapshot_interval", Warns),
    ("raft_snapshot_threshold", Works),
    ("raft_trailing_logs", Works),
    ("read_replica", Warns),
    ("reconnect_timeout", Warns),
    ("reconnect_timeout_wan", Warns),
    ("recursors", Works),
    ("rejoin_after_leave", Warns),
    ("reporting", Warns),
    ("retry_interval", Warns),
    ("retry_interval_wan", Warns),
    ("retry_join", Warns),
    ("retry_join_wan", Warns),
    ("retry_max", Warns),
    ("retry_max_wan", Warns),
    ("rpc", Warns),
    ("segment", Warns),
    ("segments", Silent),
    ("serf_lan", Warns),
    ("serf_lan_allowed_cidrs", Warns),
    ("serf_wan", Warns),
    ("serf_wan_allowed_cidrs", Warns),
    ("server", Works),
    ("server_name", Warns),
    ("server_rejoin_age_max", Warns),
    ("services", Works),
    ("session_ttl_min", Works),
    ("skip_leave_on_interrupt", Works),
    ("start_join", Warns),
    ("start_join_wan", Warns),
    ("syslog_facility", Warns),
    ("tagged_addresses", Warns),
    ("telemetry", Works),
    ("tls", Warns),
    ("tls_cipher_suites", Warns),
    ("tls_min_version", Warns),
    ("tls_prefer_server_cipher_suites", Warns),
    ("translate_wan_addrs", Warns),
    ("ui", Warns),
    ("ui_config", Warns),
    ("ui_content_path", Warns),
    ("ui_dir", Warns),
    ("unix_sockets", Works),
    ("use_streaming_backend", Silent),
    ("verify_incoming", Warns),
    ("verify_incoming_https", Warns),
    ("verify_incoming_rpc", Warns),
    ("verify_outgoing", Warns),
    ("verify_server_hostname", Warns),
    ("version", Silent),
    ("version_metadata", Silent),
    ("version_prerelease", Silent),
    ("watches", Warns),
    ("xds", Warns),
];

/// Keys that promise protection which this build does not give. An agent that is told to protect
/// something and cannot does not start.
const UNSAFE_TO_IGNORE: &[(&str, &str)] = &[
    ("acl.enabled", "access control is not part of this build"),
    ("auto_encrypt.tls", "TLS is not part of this build"),
    ("encrypt", "gossip encryption is not part of this build"),
    ("serf_lan_allowed_cidrs", "the gossip pool cannot yet be restricted"),
    ("tls.defaults.verify_incoming", "TLS is not part of this build"),
    ("tls.defaults.verify_outgoing", "TLS is not part of this build"),
    ("tls.https.verify_incoming", "TLS is not part of this build"),
    ("tls.internal_rpc.verify_incoming", "TLS is not part of this build"),
    ("verify_incoming", "TLS is not part of this build"),
    ("verify_incoming_https", "TLS is not part of this build"),
    ("verify_incoming_rpc", "TLS is not part of this build"),
    ("verify_outgoing", "TLS is not part of this build"),
];

/// Why the agent must not start: a line for each key whose promise it cannot keep.
#[must_use]
pub fn broken_promises(tree: &Value) -> Vec<String> {
    UNSAFE_TO_IGNORE
        .iter()
        .filter(|(key, _)| !is_idle(at(tree, key)))
        .map(|(key, why)| format!("{key}: {why}; refusing to start without it"))
        .collect()
}

fn at<'t>(tree: &'t Value, key: &str) -> &'t Value {
    key.split('.').fold(tree, |found, part| found.get(part).unwrap_or(&Value::Null))
}

/// Looks at the keys of one file. Returns a warning for each key that is set without effect.
///
/// # Errors
/// The keys that are not known.
pub fn check(tree: &Value) -> Result<Vec<String>, Vec<String>> {
    let Some(fields) = tree.as_object() else { return Ok(Vec::new()) };
    let mut unknown = Vec::new();
    let mut warnings = Vec::new();
    for (key, value) in fields {
        match class_of(key) {
            None => unknown.push(key.clone()),
            Some(Works | Silent) => {}
            Some(Warns) if is_idle(value) => {}
            Some(Warns) if UNSAFE_TO_IGNORE.iter().any(|(unsafe_key, _)| unsafe_key == key) => {}
            Some(Warns) => {
                warnings.push(format!("The '{key}' field is accepted but has no effect in this build"));
            }
        }
    }
    if unknown.is_empty() { Ok(warnings) } else { Err(unknown) }
}

/// What becomes of a key.
#[must_use]
pub fn class_of(key: &str) -> Option<Class> {
    KEYS.iter().find(|(known, _)| *known == key).map(|(_, class)| *class)
}

/// A message that lists unknown keys.
#[must_use]
pub fn describe_unknown(unknown: &[String]) -> String {
    let lines: Vec<String> = unknown.iter().map(|key| format!("invalid config key {key}")).collect();
    list_of_errors(&lines)
}

/// Several problems as one message, the way operators know it.
pub(crate) fn list_of_errors(problems: &[String]) -> String {
    let count = problems.len();
    let plural = if count == 1 { "error" } else { "errors" };
    let lines: String = problems.iter().map(|problem| format!("\t* {problem}\n")).collect();
    format!("{count} {plural} occurred:\n{lines}\n\n")
}

/// Whether a value asks for nothing.
pub(crate) fn is_idle(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_idle),
        Value::Object(fields) => fields.values().all(is_idle),
    }
}
