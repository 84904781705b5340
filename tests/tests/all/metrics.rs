//! Figures, as those read them who watch agents.

use std::collections::BTreeSet;

use lictor_testkit::{Agent, Target, eventually};
use prometheus_parse::{Scrape, Value as Figure};
use serde_json::{Value, json};

fn scrape(agent: &Agent) -> Scrape {
    let response = agent.http().get("/v1/agent/metrics?format=prometheus").ok();
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = response.text();
    assert_grammar(&text);
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// What the parser is lenient about: every sample stands below its own HELP and TYPE, each name has
/// them once, and no series stands there twice.
fn assert_grammar(text: &str) {
    assert!(text.ends_with('\n'), "the last line has no end");
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut helped, mut typed) = ("", ("", ""));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split_once(' ').unwrap().0;
            assert!(families.insert(helped), "{helped} is explained twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            typed = rest.split_once(' ').unwrap();
            assert_eq!(typed.0, helped, "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(series.insert(name), "{name} stands there twice");
            let bare = name.split('{').next().unwrap();
            let endings: &[&str] = if typed.1 == "summary" { &["_sum", "_count"] } else { &[""] };
            assert!(endings.iter().any(|end| bare == format!("{}{end}", typed.0)), "{line} below {typed:?}");
        }
    }
}

/// The value of a series, whatever its labels are.
fn value(scrape: &Scrape, name: &str) -> f64 {
    let found = scrape.samples.iter().find(|sample| sample.metric == name);
    match found.unwrap_or_else(|| panic!("no {name}")).value {
        Figure::Counter(value) | Figure::Gauge(value) | Figure::Untyped(value) => value,
        ref other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn prometheus_counts_what_happened() {
    let telemetry = json!({"prometheus_retention_time": "60s", "disable_hostname": true});
    let agent = Agent::builder().config(json!({"telemetry": telemetry})).start();
    for number in 0..5 {
        agent.http().put(&format!("/v1/kv/k{number}"), "v").ok();
    }
    let operations = json!([{"KV": {"Verb": "set", "Key": "t", "Value": "dg=="}}]);
    agent.http().put_json("/v1/txn", &operations);
    let scrape = scrape(&agent);
    assert_eq!(value(&scrape, "consul_kvs_apply_count"), 5.0);
    assert_eq!(value(&scrape, "consul_txn_apply_count"), 1.0);
    assert_eq!(value(&scrape, "consul_state_kv_entries"), 6.0);
    assert_eq!(value(&scrape, "consul_state_services"), 1.0);
    assert_eq!(value(&scrape, "consul_server_isLeader"), 1.0);
    assert_eq!(value(&scrape, "consul_raft_state_leader"), 1.0);
    assert!(value(&scrape, "consul_kvs_apply_sum") > 0.0);
    assert!(value(&scrape, "consul_leader_reconcile_count") >= 1.0);
    assert!(value(&scrape, "consul_runtime_alloc_bytes") > 1e6);
    assert!(value(&scrape, "lictor_http_connections") >= 1.0);
}

#[test]
fn checks_and_waiting_readers_are_seen() {
    let target = Target::healthy();
    let agent = Agent::builder().config(json!({"telemetry": {"prometheus_retention_time": "1s"}})).start();
    let check = json!({"HTTP": target.url(), "Interval": "1s"});
    agent.http().put_json("/v1/agent/service/register", &json!({"Name": "web", "Check": check}));
    let http = agent.http();
    let index = http.get("/v1/kv/nothing").index();
    std::thread::scope(|scope| {
        scope.spawn(|| http.get(&format!("/v1/kv/nothing?index={index}&wait=60s")));
        eventually("the reader and the check's run are counted", || {
            let scrape = scrape(&agent);
            let blocking = scrape.samples.iter().find(|sample| sample.metric.ends_with("queries_blocking"));
            let waits = matches!(blocking.unwrap().value, Figure::Gauge(count) if count >= 1.0);
            let is_run = |sample: &prometheus_parse::Sample| {
                sample.metric == "lictor_check_run_count" && sample.labels.get("service") == Some("web")
            };
            let verdicts = scrape.samples.iter().any(|sample| sample.metric == "lictor_plugin_verdicts");
            let runs = verdicts && scrape.samples.iter().any(is_run);
            if waits && runs { Ok(()) } else { Err(format!("waits: {waits}, runs: {runs}")) }
        });
        agent.http().put("/v1/kv/nothing", "now").ok();
    });
}

#[test]
fn without_a_retention_time_there_is_nothing_for_prometheus() {
    let agent = Agent::start();
    let refused = agent.http().get("/v1/agent/metrics?format=prometheus");
    assert_eq!(refused.status, 415);
    assert_eq!(refused.text(), "Prometheus is not enabled since its retention time is not positive");
}

#[test]
fn what_json_shows_is_in_the_manual_unless_filtered() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let filtered = json!({"metrics_prefix": "site", "prefix_filter": ["-site.raft", "+site.raft.apply"]});
    let agent = Agent::builder().config(json!({"telemetry": filtered})).start();
    agent.http().put("/v1/kv/a", "b").ok();
    let report = agent.http().json("/v1/agent/metrics");
    let mut names = BTreeSet::new();
    for list in ["Gauges", "Counters", "Samples"] {
        for figure in report[list].as_array().unwrap() {
            names.insert(figure["Name"].as_str().unwrap());
        }
    }
    for name in &names {
        let known =
            name.strip_prefix("site.").map_or_else(|| (*name).to_owned(), |rest| format!("consul.{rest}"));
        assert!(manual.contains(&format!("| `{known}` |")), "{name}");
    }
    assert!(names.contains("site.kvs.apply") && names.contains("site.raft.apply"), "{names:?}");
    assert!(!names.contains("site.raft.commitTime"), "{names:?}");
    let sample =
        report["Samples"].as_array().unwrap().iter().find(|sample| sample["Name"] == "site.api.http");
    for field in ["Count", "Rate", "Sum", "Min", "Max", "Mean", "Stddev", "Labels"] {
        assert_ne!(sample.unwrap()[field], Value::Null, "{field}");
    }
    assert!(report["Timestamp"].as_str().unwrap().ends_with(" +0000 UTC"));
}
