//! What a reload takes up, and what it leaves to a restart.

use lictor_config::RuntimeConfig;

/// Puts back what only a restart can change, so that the rest can be taken up; returns the keys of
/// what was put back.
pub(crate) fn keep_fixed(running: &RuntimeConfig, wanted: &mut RuntimeConfig) -> Vec<&'static str> {
    let mut kept = Vec::new();
    macro_rules! fixed {
        ($($key:literal: $($field:ident).+;)*) => {
            $(if wanted.$($field).+ != running.$($field).+ {
                wanted.$($field).+ = running.$($field).+.clone();
                kept.push($key);
            })*
        };
    }
    fixed! {
        "addresses.dns": dns_addrs;
        "addresses.http": http.addrs;
        "addresses.http (unix)": http.sockets;
        "advertise_addr": advertise_addr;
        "auto_reload_config": auto_reload;
        "autopilot": autopilot;
        "bind_addr": bind_addr;
        "bootstrap": bootstrap;
        "bootstrap_expect": bootstrap_expect;
        "check_deregister_interval_min": check_deregister_interval_min;
        "check_output_max_size": check_output_max_size;
        "check_reap_interval": check_reap_interval;
        "data_dir": data_dir;
        "datacenter": datacenter;
        "default_query_time": default_query_time;
        "enable_script_checks or enable_local_script_checks": script_checks;
        "enable_syslog": log.syslog;
        "gossip (encrypt, retry_join and the like)": gossip;
        "http_config.allow_write_http_from": http.allow_write_from;
        "http_config.block_endpoints": http.block_endpoints;
        "http_config.response_headers": http.response_headers;
        "http_config.use_cache": http.use_cache;
        "leave_on_terminate": leave_on_terminate;
        "limits.kv_max_value_size": kv_max_value_size;
        "limits.txn_max_req_len": txn_max_request;
        "log_file": log.file;
        "log_json": log.json;
        "log_rotate_bytes": log.rotate_bytes;
        "log_rotate_duration": log.rotate_after;
        "log_rotate_max_files": log.max_files;
        "max_query_time": max_query_time;
        "node_id": node_id;
        "node_name": node_name;
        "performance.raft_multiplier": raft_multiplier;
        "pid_file": pid_file;
        "plugin_bounds": plugin_bounds;
        "plugin_dir": plugin_dir;
        "ports": ports;
        "raft_snapshot_threshold": raft_snapshot_threshold;
        "raft_trailing_logs": raft_trailing_logs;
        "server": server;
        "session_ttl_min": session_ttl_min;
        "telemetry": telemetry;
        "skip_leave_on_interrupt": skip_leave_on_interrupt;
        "syslog_facility": log.syslog_facility;
        "unix_sockets.mode": http.socket_mode;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> RuntimeConfig {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        lictor_config::load(&lictor_config::flags::parse(&arguments).unwrap()).unwrap()
    }

    #[test]
    fn what_needs_a_restart_is_put_back_and_named() {
        let running = config("-dev -http-port=1");
        let mut wanted = config("-dev -http-port=2 -node=other -log-level=warn -node-meta=a:b -domain=x");
        assert_eq!(keep_fixed(&running, &mut wanted), ["node_name", "ports"]);
        assert_eq!((wanted.ports, &wanted.node_name), (running.ports, &running.node_name));
        assert_eq!((wanted.log.level.as_str(), wanted.dns.domain.as_str()), ("warn", "x"));
        assert_eq!(wanted.node_meta.len(), 1);
        assert!(keep_fixed(&running, &mut config("-dev -http-port=1")).is_empty());
    }
}
