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
    let path = directory.path().display();
    let line = format!("-data-dir={path}/data -config-dir {path} {extra}");
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
    assert_eq!(config.warnings, ["bootstrap = true: do not enable unless necessary"]);
    assert_eq!(config.unmet, keys::Unmet::default());
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
    assert!(config.unmet.ineffective[0].contains("'ui_config.enabled'"), "{:?}", config.unmet);
    let config = load_files(&[("a.json", r#"{"enable_debug":true,"ui":false}"#)], "").unwrap();
    assert_eq!(config.unmet.ineffective.len(), 1, "{:?}", config.unmet);
    assert_eq!(config.warnings, ["The 'ui' field is deprecated. Use the 'ui_config.enabled' field instead."]);
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
    assert_eq!(config.warnings[..1], ["Filter rule must begin with either '+' or '-': \"bad\""]);
    let about = config.unmet.ineffective.join("\n");
    assert!(
        about.contains("telemetry.circonus_api_token") && about.contains("telemetry.statsd_address"),
        "{about}"
    );
    assert!(!about.contains("prometheus") && !about.contains("dogstatsd"), "{about}");
}

#[test]
fn what_cannot_be_kept_is_valid_and_named() {
    for (promise, key) in [
        (r#"{"acl":{"enabled":true}}"#, "acl.enabled"),
        (r#"{"verify_incoming":true}"#, "tls.defaults.verify_incoming"),
        (r#"{"acl_datacenter":"dc1"}"#, "acl.enabled"),
    ] {
        let config = load_files(&[("a.json", promise)], "").unwrap();
        assert!(config.unmet.refused[0].starts_with(key), "{:?}", config.unmet);
        assert!(config.unmet.refused[0].ends_with("refusing to start without it"), "{:?}", config.unmet);
    }
    let config = load_files(&[("a.json", r#"{"acl":{"enabled":false,"tokens":{}}}"#)], "").unwrap();
    assert_eq!(config.unmet, keys::Unmet::default());
}

#[test]
fn every_flag_leads_to_a_known_key() {
    let known: Vec<String> = keys::listed().into_iter().map(|(name, _)| name).collect();
    for (flag, _, key) in flags::FLAGS {
        assert!(key.is_empty() || known.iter().any(|known| known == key), "-{flag}");
    }
}

#[test]
fn lists_of_flags_come_first_and_fragments_last() {
    let line = "-recursor=1.1.1.1 -http-port=5 -hcl=ports{http=6} -hcl=recursors=[\"3.3.3.3\"]";
    let config = load_files(&[("a.json", r#"{"recursors":["2.2.2.2"],"ports":{"http":4}}"#)], line).unwrap();
    assert_eq!(config.dns.recursors, ["1.1.1.1", "2.2.2.2", "3.3.3.3"]);
    assert_eq!(config.ports.http, Some(6));
    let Problems(problems) = load_files(&[], "-hcl=bogus=1").unwrap_err();
    assert_eq!(
        problems,
        ["failed to parse flags-0.hcl: 1 error occurred:\n\t* invalid config key bogus\n\n\n"]
    );
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let large = format!("{{\"node_name\": \"{}\"}}", "x".repeat(16 * 1024 * 1024));
    let Problems(problems) = load_files(&[("a.json", &large)], "").unwrap_err();
    assert!(problems[0].ends_with("the file is larger than 16777216 bytes"), "{}", &problems[0][..80]);
}

#[test]
fn limits_are_read() {
    let config = load_files(&[("a.json", r#"{"limits":{"http_max_conns_per_client":8}}"#)], "").unwrap();
    assert_eq!(config.http.max_conns_per_client, 8);
}
