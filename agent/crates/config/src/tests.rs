use std::fs;

use super::*;

fn arguments(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn load_files(files: &[(&str, &str)], extra: &str) -> Result<RuntimeConfig, Problems> {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let line = format!("-data-dir=/tmp/x -config-dir {} {extra}", directory.path().display());
    load(&flags::parse(&arguments(&line)).unwrap())
}

#[test]
fn the_test_harness_configuration_loads_without_a_complaint() {
    let config = load_files(
        &[(
            "config.json",
            r#"{"node_name":"node-1","node_id":"1f2e3d4c-0000-1111-2222-333344445555","performance":{"raft_multiplier":1},
            "bootstrap":true,"server":true,"data_dir":"TMP/data","segments":null,"disable_update_check":true,"log_level":"debug",
            "bind_addr":"127.0.0.1","addresses":{},"ports":{"dns":1,"http":2,"https":3,"serf_lan":4,"serf_wan":5,"server":6,"grpc":7,"grpc_tls":8},
            "acl":{"tokens":{}},"connect":{"enabled":true,"ca_config":{"cluster_id":"x"}},"skip_leave_on_interrupt":true,
            "peering":{"enabled":true},"version":"1.20.0"}"#,
        )],
        "",
    )
    .unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.ports.http, Some(2));
    assert_eq!(config.raft_multiplier, 1);
    assert!(config.skip_leave_on_interrupt && config.server && config.bootstrap);
}

#[test]
fn files_merge_in_order_and_flags_win() {
    let config = load_files(
        &[
            ("a.json", r#"{"node_name":"a","service":{"name":"one"},"ports":{"http":1}}"#),
            ("b.hcl", "node_name = \"b\"\nservice {\n  name = \"two\"\n  check {\n    ttl = \"1h\"\n  }\n}\nports { dns = 5 }\n"),
            ("ignored.txt", "not config"),
            ("z.json", ""),
        ],
        "-http-port 7 --server -node-meta=rack:9",
    )
    .unwrap();
    assert_eq!(config.node_name.as_deref(), Some("b"));
    assert_eq!((config.ports.http, config.ports.dns), (Some(7), Some(5)));
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(config.services[1].all_checks().count(), 1);
    assert_eq!(config.node_meta.get("rack").map(String::as_str), Some("9"));
}

#[test]
fn every_problem_is_reported_in_one_pass() {
    let Problems(problems) = load_files(
        &[(
            "a.json",
            r#"{"datacenter":"Bad DC","ports":{"dns":70000},"bootstrap":true,"default_query_time":"abc"}"#,
        )],
        "",
    )
    .unwrap_err();
    for expected in
        ["received: \"bad dc\"", "ports.dns: invalid port: 70000", "'server = true'", "default_query_time"]
    {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
}

#[test]
fn unknown_keys_broken_files_and_unknown_flags_are_named() {
    let Problems(problems) = load_files(&[("a.json", r#"{"bogus":1}"#)], "").unwrap_err();
    assert!(problems[0].ends_with("a.json: 1 error occurred:\n\t* invalid config key bogus\n\n\n"));
    let Problems(problems) = load_files(&[("a.json", "{ \"a\": ")], "").unwrap_err();
    assert!(problems[0].ends_with("unexpected end of JSON input"), "{problems:?}");
    let error = flags::parse(&arguments("-bogus")).unwrap_err();
    assert_eq!(error, "flag provided but not defined: -bogus");
    let Problems(problems) = load(&flags::parse(&arguments("-server")).unwrap()).unwrap_err();
    assert_eq!(problems, ["data_dir cannot be empty"]);
}

#[test]
fn dev_needs_nothing_and_keys_without_effect_warn() {
    let config = load(&flags::parse(&arguments("-dev -ui")).unwrap()).unwrap();
    assert!(config.dev && config.server && config.bootstrap && config.data_dir.is_none());
    assert!(config.warnings[0].contains("'ui'"), "{:?}", config.warnings);
    let config = load_files(&[("a.json", r#"{"enable_syslog":true,"ui":false}"#)], "").unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn figures_are_configured_and_other_sinks_warn() {
    let config = load_files(
        &[(
            "a.json",
            r#"{"data_dir": "/tmp/x", "bind_addr": "127.0.0.1", "telemetry": {
                "prometheus_retention_time": "60s", "disable_hostname": true, "metrics_prefix": "site",
                "filter_default": false, "prefix_filter": ["+site.kvs", "-site.rpc", "bad"],
                "statsd_address": "10.0.0.1:8125", "circonus_api_token": "t", "dogstatsd_addr": "",
                "disable_compat_1.9": true}}"#,
        )],
        "",
    )
    .unwrap();
    let telemetry = config.telemetry;
    assert_eq!(telemetry.prometheus_retention.as_secs(), 60);
    assert_eq!((telemetry.prefix.as_str(), telemetry.disable_hostname), ("site", true));
    assert_eq!(telemetry.filters, [("site.kvs".to_owned(), true), ("site.rpc".to_owned(), false)]);
    assert!(!telemetry.filter_default);
    let about: Vec<&String> = config
        .warnings
        .iter()
        .filter(|warning| warning.contains("telemetry") || warning.contains("Filter"))
        .collect();
    assert_eq!(
        about,
        [
            "Filter rule must begin with either '+' or '-': \"bad\"",
            "The 'telemetry.circonus_api_token' field is accepted but has no effect in this build",
            "The 'telemetry.statsd_address' field is accepted but has no effect in this build",
        ]
    );
}

#[test]
fn a_promise_of_protection_that_cannot_be_kept_refuses_the_start() {
    for promise in [r#"{"encrypt":"x"}"#, r#"{"acl":{"enabled":true}}"#, r#"{"verify_incoming":true}"#] {
        let Problems(problems) = load_files(&[("a.json", promise)], "").unwrap_err();
        assert!(problems[0].contains("refusing to start"), "{problems:?}");
    }
    assert!(load_files(&[("a.json", r#"{"acl":{"enabled":false,"tokens":{}}}"#)], "").is_ok());
}

#[test]
fn every_flag_leads_to_a_known_key() {
    for (flag, _, key) in flags::FLAGS {
        let top = key.split('.').next().unwrap_or_default();
        assert!(top.is_empty() || keys::class_of(top).is_some(), "-{flag}");
    }
}
