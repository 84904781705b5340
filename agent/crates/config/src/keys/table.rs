//! The tables of [`super::KEYS`].

use super::Shape::{
    Any, AnyMaps, Count, Each, Fields, Flag, Named, Number, Text, TextLists, TextMap, Texts, Whole,
};
use super::{Key, group, refused, silent, warns, works};

const NO_ACLS: &str = "access control is not part of this build";
const NO_TLS: &str = "TLS is not part of this build";

/// All keys of a configuration file.
pub const KEYS: &[Key] = &[
    group("acl", Fields(ACL)),
    group("addresses", Fields(ADDRESSES)),
    works("advertise_addr", Text),
    warns("advertise_addr_ipv4", Text),
    warns("advertise_addr_ipv6", Text),
    warns("advertise_addr_wan", Text),
    warns("advertise_addr_wan_ipv4", Text),
    warns("advertise_addr_wan_ipv6", Text),
    warns("advertise_reconnect_timeout", Text),
    silent("ae_interval", Text),
    works("alt_domain", Text),
    group("audit", Fields(AUDIT)),
    group("auto_config", Fields(AUTO_CONFIG)),
    group("auto_encrypt", Fields(AUTO_ENCRYPT)),
    works("auto_reload_config", Flag),
    group("autopilot", Fields(AUTOPILOT)),
    works("bind_addr", Text),
    works("bootstrap", Flag),
    works("bootstrap_expect", Whole),
    silent("build_date", Text),
    group("cache", Fields(CACHE)),
    group("check", Fields(CHECK)),
    works("check_deregister_interval_min", Text),
    works("check_output_max_size", Whole),
    works("check_reap_interval", Text),
    works("check_update_interval", Text),
    group("checks", Each(CHECK)),
    works("client_addr", Text),
    group("cloud", Fields(CLOUD)),
    group("config_entries", Fields(CONFIG_ENTRIES)),
    group("connect", Fields(CONNECT)),
    silent("consul", Any),
    works("data_dir", Text),
    works("datacenter", Text),
    warns("default_intention_policy", Text),
    works("default_query_time", Text),
    silent("disable_anonymous_signature", Flag),
    warns("disable_coordinates", Flag),
    silent("disable_host_node_id", Flag),
    warns("disable_http_unprintable_char_filter", Flag),
    works("disable_keyring_file", Flag),
    silent("disable_remote_exec", Flag),
    silent("disable_update_check", Flag),
    warns("discard_check_output", Flag),
    warns("discovery_max_stale", Text),
    group("dns_config", Fields(DNS)),
    works("domain", Text),
    warns("enable_agent_tls_for_checks", Flag),
    silent("enable_central_service_config", Flag),
    warns("enable_debug", Flag),
    works("enable_local_script_checks", Flag),
    works("enable_script_checks", Flag),
    works("enable_syslog", Flag),
    works("encrypt", Text),
    works("encrypt_verify_incoming", Flag),
    works("encrypt_verify_outgoing", Flag),
    warns("experiments", Texts),
    group("gossip_lan", Fields(GOSSIP)),
    group("gossip_wan", Fields(GOSSIP)),
    group("http_config", Fields(HTTP)),
    works("leave_on_terminate", Flag),
    warns("license_path", Text),
    silent("license_poll_base_time", Text),
    silent("license_poll_max_time", Text),
    silent("license_update_base_time", Text),
    silent("license_update_max_time", Text),
    group("limits", Fields(LIMITS)),
    group("locality", Fields(LOCALITY)),
    works("log_file", Text),
    works("log_json", Flag),
    works("log_level", Text),
    works("log_rotate_bytes", Whole),
    works("log_rotate_duration", Text),
    works("log_rotate_max_files", Whole),
    warns("log_sublevels", TextMap),
    works("max_query_time", Text),
    works("node_id", Text),
    works("node_meta", TextMap),
    works("node_name", Text),
    warns("partition", Text),
    silent("peering", Fields(PEERING)),
    group("performance", Fields(PERFORMANCE)),
    works("pid_file", Text),
    works("plugin_bounds", Any),
    works("plugin_dir", Text),
    group("ports", Fields(PORTS)),
    warns("primary_datacenter", Text),
    warns("primary_gateways", Texts),
    warns("primary_gateways_interval", Text),
    silent("protocol", Whole),
    group("raft_logstore", Fields(RAFT_LOGSTORE)),
    silent("raft_protocol", Whole),
    warns("raft_snapshot_interval", Text),
    works("raft_snapshot_threshold", Whole),
    works("raft_trailing_logs", Whole),
    works("read_replica", Flag).or("non_voting_server"),
    works("reconnect_timeout", Text),
    works("reconnect_timeout_wan", Text),
    works("recursors", Texts),
    works("rejoin_after_leave", Flag),
    group("reporting", Fields(REPORTING)),
    works("retry_interval", Text),
    works("retry_interval_wan", Text),
    works("retry_join", Texts),
    works("retry_join_wan", Texts),
    works("retry_max", Whole),
    works("retry_max_wan", Whole),
    silent("revision", Text),
    group("rpc", Fields(RPC)),
    warns("segment", Text),
    silent("segment_limit", Whole),
    silent("segment_name_limit", Whole),
    warns("segments", AnyMaps),
    works("serf_lan", Text),
    works("serf_lan_allowed_cidrs", Texts),
    works("serf_wan", Text),
    works("serf_wan_allowed_cidrs", Texts),
    works("server", Flag),
    warns("server_name", Text),
    warns("server_rejoin_age_max", Text),
    group("service", Fields(SERVICE)),
    group("services", Each(SERVICE)),
    works("session_ttl_min", Text),
    works("skip_leave_on_interrupt", Flag),
    silent("snapshot_agent", Any),
    silent("sync_coordinate_interval_min", Text),
    silent("sync_coordinate_rate_target", Number),
    works("syslog_facility", Text),
    warns("tagged_addresses", TextMap),
    group("telemetry", Fields(TELEMETRY)),
    group("tls", Fields(TLS)),
    warns("translate_wan_addrs", Flag),
    warns("ui", Flag),
    group("ui_config", Fields(UI)),
    warns("ui_content_path", Text),
    warns("ui_dir", Text),
    group("unix_sockets", Fields(UNIX_SOCKETS)),
    silent("use_streaming_backend", Flag),
    silent("version", Text),
    silent("version_metadata", Text),
    silent("version_prerelease", Text),
    warns("watches", AnyMaps),
    group("xds", Fields(XDS)),
    // What older files say; `deprecated` turns it into what is said today.
    warns("acl_agent_master_token", Text),
    warns("acl_agent_token", Text),
    warns("acl_datacenter", Text),
    warns("acl_default_policy", Text),
    warns("acl_down_policy", Text),
    warns("acl_enable_key_list_policy", Flag),
    silent("acl_enforce_version_8", Any),
    warns("acl_master_token", Text),
    warns("acl_replication_token", Text),
    warns("acl_token", Text),
    warns("acl_ttl", Text),
    warns("ca_file", Text),
    warns("ca_path", Text),
    warns("cert_file", Text),
    warns("enable_acl_replication", Flag),
    warns("key_file", Text),
    warns("raft_boltdb", Fields(&[silent("NoFreelistSync", Flag)])),
    works("start_join", Texts),
    works("start_join_wan", Texts),
    warns("tls_cipher_suites", Text),
    warns("tls_min_version", Text),
    silent("tls_prefer_server_cipher_suites", Flag),
    refused("verify_incoming", Flag, NO_TLS),
    refused("verify_incoming_https", Flag, NO_TLS),
    refused("verify_incoming_rpc", Flag, NO_TLS),
    refused("verify_outgoing", Flag, NO_TLS),
    refused("verify_server_hostname", Flag, NO_TLS),
];

const ACL: &[Key] = &[
    refused("enabled", Flag, NO_ACLS),
    warns("default_policy", Text),
    warns("down_policy", Text),
    warns("enable_key_list_policy", Flag),
    warns("enable_token_persistence", Flag),
    warns("enable_token_replication", Flag),
    warns("msp_disable_bootstrap", Flag),
    warns("policy_ttl", Text),
    warns("role_ttl", Text),
    warns("token_ttl", Text),
    group("tokens", Fields(TOKENS)),
];

const TOKENS: &[Key] = &[
    warns("agent", Text),
    warns("agent_master", Text),
    warns("agent_recovery", Text),
    warns("config_file_service_registration", Text),
    warns("default", Text),
    warns("dns", Text),
    warns("initial_management", Text),
    warns("managed_service_provider", Each(&[warns("accessor_id", Text), warns("secret_id", Text)])),
    warns("master", Text),
    warns("replication", Text),
];

const ADDRESSES: &[Key] = &[
    works("dns", Text),
    warns("grpc", Text),
    warns("grpc_tls", Text),
    works("http", Text),
    warns("https", Text),
];

const AUDIT: &[Key] = &[warns("enabled", Flag), warns("rpc_enabled", Flag), group("sink", Named(AUDIT_SINK))];

const AUDIT_SINK: &[Key] = &[
    warns("delivery_guarantee", Text),
    warns("format", Text),
    warns("mode", Text),
    warns("path", Text),
    warns("rotate_bytes", Whole),
    warns("rotate_duration", Text),
    warns("rotate_max_files", Whole),
    warns("type", Text),
];

const AUTO_CONFIG: &[Key] = &[
    refused("enabled", Flag, NO_TLS),
    warns("dns_sans", Texts),
    warns("intro_token", Text),
    warns("intro_token_file", Text),
    warns("ip_sans", Texts),
    warns("server_addresses", Texts),
    group("authorization", Fields(AUTHORIZATION)),
];

const AUTHORIZATION: &[Key] = &[warns("enabled", Flag), group("static", Fields(AUTHORIZER))];

const AUTHORIZER: &[Key] = &[
    warns("allow_reuse", Flag),
    warns("bound_audiences", Texts),
    warns("bound_issuer", Text),
    warns("claim_assertions", Texts),
    warns("claim_mappings", TextMap),
    warns("clock_skew_leeway", Text),
    warns("expiration_leeway", Text),
    warns("jwks_ca_cert", Text),
    warns("jwks_url", Text),
    warns("jwt_supported_algs", Texts),
    warns("jwt_validation_pub_keys", Texts),
    warns("list_claim_mappings", TextMap),
    warns("not_before_leeway", Text),
    warns("oidc_discovery_ca_cert", Text),
    warns("oidc_discovery_url", Text),
];

const AUTO_ENCRYPT: &[Key] = &[
    warns("allow_tls", Flag),
    warns("dns_san", Texts),
    warns("ip_san", Texts),
    refused("tls", Flag, NO_TLS),
];

const AUTOPILOT: &[Key] = &[
    works("cleanup_dead_servers", Flag),
    works("disable_upgrade_migration", Flag),
    works("last_contact_threshold", Text),
    works("max_trailing_logs", Whole),
    works("min_quorum", Count),
    works("redundancy_zone_tag", Text),
    works("server_stabilization_time", Text),
    works("upgrade_version_tag", Text),
];

const CACHE: &[Key] = &[warns("entry_fetch_max_burst", Whole), warns("entry_fetch_rate", Number)];

/// A check, as files define it.
const CHECK: &[Key] = &[
    works("id", Text),
    works("name", Text),
    works("notes", Text),
    works("service_id", Text).or("serviceid"),
    works("token", Text),
    works("status", Text),
    works("args", Texts).or("scriptargs"),
    works("http", Text),
    works("header", TextLists),
    works("method", Text),
    works("body", Text),
    works("disable_redirects", Flag),
    works("output_max_size", Whole),
    works("tcp", Text),
    works("tcp_use_tls", Flag),
    works("udp", Text),
    works("interval", Text),
    works("docker_container_id", Text).or("dockercontainerid"),
    works("shell", Text),
    works("grpc", Text),
    works("grpc_use_tls", Flag),
    works("tls_server_name", Text),
    works("tls_skip_verify", Flag).or("tlsskipverify"),
    works("alias_node", Text),
    works("alias_service", Text),
    works("timeout", Text),
    works("ttl", Text),
    works("h2ping", Text),
    works("h2ping_use_tls", Flag),
    works("os_service", Text),
    works("success_before_passing", Whole),
    works("failures_before_warning", Whole),
    works("failures_before_critical", Whole),
    works("deregister_critical_service_after", Text).or("deregistercriticalserviceafter"),
    works("wasm", Text),
    works("config", Any),
    works("allow", Any),
    works("expect", Any),
    works("unknown_as", Text),
    silent("namespace", Text),
    silent("partition", Text),
];

const CLOUD: &[Key] = &[
    warns("auth_url", Text),
    warns("client_id", Text),
    warns("client_secret", Text),
    warns("hostname", Text),
    warns("node_id", Text),
    warns("node_name", Text),
    warns("resource_id", Text),
    warns("scada_address", Text),
    warns("tls_config", Any),
];

const CONFIG_ENTRIES: &[Key] = &[warns("bootstrap", AnyMaps)];

const CONNECT: &[Key] = &[
    silent("enabled", Flag),
    silent("ca_provider", Text),
    silent("ca_config", Any),
    silent("enable_mesh_gateway_wan_federation", Flag),
    silent("enable_serverless_plugin", Flag),
    silent("test_ca_leaf_root_change_spread", Text),
];

const DNS: &[Key] = &[
    works("a_record_limit", Whole),
    works("allow_stale", Flag),
    silent("cache_max_age", Text),
    works("disable_compression", Flag),
    works("enable_additional_node_meta_txt", Flag),
    works("enable_truncate", Flag),
    works("max_stale", Text),
    works("node_ttl", Text),
    works("only_passing", Flag),
    silent("prefer_namespace", Flag),
    works("recursor_strategy", Text),
    works("recursor_timeout", Text),
    works("service_ttl", TextMap),
    group("soa", Fields(SOA)),
    works("udp_answer_limit", Whole),
    silent("use_cache", Flag),
];

const SOA: &[Key] =
    &[works("expire", Count), works("min_ttl", Count), works("refresh", Count), works("retry", Count)];

const GOSSIP: &[Key] = &[
    works("gossip_interval", Text),
    works("gossip_nodes", Whole),
    works("probe_interval", Text),
    works("probe_timeout", Text),
    works("retransmit_mult", Whole),
    works("suspicion_mult", Whole),
];

const HTTP: &[Key] = &[
    works("allow_write_http_from", Texts),
    works("block_endpoints", Texts),
    warns("max_header_bytes", Whole),
    works("response_headers", TextMap),
    works("use_cache", Flag),
];

const LIMITS: &[Key] = &[
    works("http_max_conns_per_client", Whole),
    warns("https_handshake_timeout", Text),
    works("kv_max_value_size", Count),
    group("request_limits", Fields(REQUEST_LIMITS)),
    warns("rpc_client_timeout", Text),
    warns("rpc_handshake_timeout", Text),
    warns("rpc_max_burst", Whole),
    warns("rpc_max_conns_per_client", Whole),
    warns("rpc_rate", Number),
    works("txn_max_req_len", Count),
];

const REQUEST_LIMITS: &[Key] =
    &[warns("mode", Text), warns("read_rate", Number), warns("write_rate", Number)];

const LOCALITY: &[Key] = &[silent("region", Text), silent("zone", Text)];

const PEERING: &[Key] = &[silent("enabled", Flag), silent("test_allow_peer_registrations", Flag)];

const PERFORMANCE: &[Key] = &[
    warns("grpc_keepalive_interval", Text),
    warns("grpc_keepalive_timeout", Text),
    warns("leave_drain_time", Text),
    works("raft_multiplier", Whole),
    works("rpc_hold_timeout", Text),
];

const PORTS: &[Key] = &[
    works("dns", Whole),
    silent("expose_max_port", Whole),
    silent("expose_min_port", Whole),
    silent("grpc", Whole),
    silent("grpc_tls", Whole),
    works("http", Whole),
    silent("https", Whole),
    silent("proxy_max_port", Whole),
    silent("proxy_min_port", Whole),
    works("serf_lan", Whole),
    works("serf_wan", Whole),
    works("server", Whole),
    silent("sidecar_max_port", Whole),
    silent("sidecar_min_port", Whole),
];

const RAFT_LOGSTORE: &[Key] = &[
    warns("backend", Text),
    warns("disable_log_cache", Flag),
    group("boltdb", Fields(&[warns("no_freelist_sync", Flag)])),
    group("verification", Fields(&[warns("enabled", Flag), warns("interval", Text)])),
    group("wal", Fields(&[warns("segment_size_mb", Whole)])),
];

const REPORTING: &[Key] = &[group("license", Fields(&[warns("enabled", Flag)]))];

const RPC: &[Key] = &[silent("enable_streaming", Flag)];

/// A service, as files define it.
const SERVICE: &[Key] = &[
    works("id", Text),
    works("name", Text),
    works("tags", Texts),
    works("address", Text),
    works("tagged_addresses", Named(&[works("address", Text), works("port", Whole)])),
    works("meta", TextMap),
    works("port", Whole),
    works("check", Fields(CHECK)),
    works("checks", Each(CHECK)),
    works("token", Text),
    works("weights", Fields(&[works("passing", Whole), works("warning", Whole)])),
    works("enable_tag_override", Flag),
    refused("kind", Text, "the service mesh is not part of this agent"),
    refused("proxy", Any, "the service mesh is not part of this agent"),
    refused("connect", Any, "the service mesh is not part of this agent"),
    refused("socket_path", Text, "services on sockets are not part of this agent"),
    silent("locality", Fields(LOCALITY)),
    silent("namespace", Text),
    silent("partition", Text),
];

const TELEMETRY: &[Key] = &[
    warns("circonus_api_app", Text),
    warns("circonus_api_token", Text),
    warns("circonus_api_url", Text),
    warns("circonus_broker_id", Text),
    warns("circonus_broker_select_tag", Text),
    warns("circonus_check_display_name", Text),
    warns("circonus_check_force_metric_activation", Text),
    warns("circonus_check_id", Text),
    warns("circonus_check_instance_id", Text),
    warns("circonus_check_search_tag", Text),
    warns("circonus_check_tags", Text),
    warns("circonus_submission_interval", Text),
    warns("circonus_submission_url", Text),
    works("disable_hostname", Flag),
    silent("disable_compat_1.9", Flag),
    silent("disable_per_tenancy_usage_metrics", Flag),
    warns("dogstatsd_addr", Text),
    warns("dogstatsd_tags", Texts),
    warns("enable_host_metrics", Flag),
    works("filter_default", Flag),
    works("metrics_prefix", Text),
    works("prefix_filter", Texts),
    works("prometheus_retention_time", Text),
    silent("retry_failed_connection", Flag),
    warns("statsd_address", Text),
    warns("statsite_address", Text),
];

const TLS: &[Key] = &[
    group("defaults", Fields(TLS_PROTOCOL)),
    group("grpc", Fields(TLS_PROTOCOL)),
    group("https", Fields(TLS_PROTOCOL)),
    group("internal_rpc", Fields(TLS_PROTOCOL)),
];

const TLS_PROTOCOL: &[Key] = &[
    warns("ca_file", Text),
    warns("ca_path", Text),
    warns("cert_file", Text),
    warns("key_file", Text),
    warns("tls_cipher_suites", Text),
    warns("tls_min_version", Text),
    silent("use_auto_cert", Flag),
    refused("verify_incoming", Flag, NO_TLS),
    refused("verify_outgoing", Flag, NO_TLS),
    refused("verify_server_hostname", Flag, NO_TLS),
];

const UI: &[Key] = &[
    warns("content_path", Text),
    warns("dashboard_url_templates", TextMap),
    warns("dir", Text),
    warns("enabled", Flag),
    warns("metrics_provider", Text),
    warns("metrics_provider_files", Texts),
    warns("metrics_provider_options_json", Text),
    group("metrics_proxy", Fields(UI_PROXY)),
];

const UI_PROXY: &[Key] = &[
    warns("add_headers", Each(&[warns("name", Text), warns("value", Text)])),
    warns("base_url", Text),
    warns("path_allowlist", Texts),
];

const UNIX_SOCKETS: &[Key] = &[warns("group", Text), works("mode", Text), warns("user", Text)];

const XDS: &[Key] = &[warns("update_max_per_second", Number)];
