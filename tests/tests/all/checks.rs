//! Kinds of checks that follow others, and what becomes of services that stay critical.

use lictor_testkit::{Agent, Target, eventually};
use serde_json::{Value, json};

fn set(agent: &Agent, check: &str, status: &str) {
    assert_eq!(agent.http().put(&format!("/v1/agent/check/{status}/{check}?note=because"), "").status, 200);
}

fn expect_check(agent: &Agent, id: &str, status: &str, output: &str) {
    eventually(&format!("{id} is {status}"), || {
        let check = agent.http().json("/v1/agent/checks")[id].clone();
        if check["Status"] == status && check["Output"] == output { Ok(()) } else { Err(check.to_string()) }
    });
}

#[test]
fn an_alias_follows_a_service_here_and_in_the_catalog() {
    let agent = Agent::builder().start();
    let http = agent.http();
    let node = http.json("/v1/agent/self")["Config"]["NodeName"].clone();
    let aliases: [Value; 3] = [
        json!({"CheckID": "local", "AliasService": "main"}),
        json!({"CheckID": "catalog", "AliasNode": node, "AliasService": "main"}),
        json!({"CheckID": "nothing", "AliasNode": node, "AliasService": "missing"}),
    ];
    http.put_json("/v1/agent/service/register", &json!({"Name": "follower", "Checks": aliases}));
    let missing = format!("Service missing could not be found on node {}", node.as_str().unwrap());
    expect_check(&agent, "nothing", "critical", &missing);
    expect_check(&agent, "local", "critical", "Service main could not be found on node ");
    assert_eq!(http.json("/v1/agent/checks")["local"]["Type"], "alias");

    http.put_json("/v1/agent/service/register", &json!({"Name": "main"}));
    expect_check(&agent, "local", "passing", "No checks found.");
    let check = json!({"Name": "beat", "CheckID": "beat", "ServiceID": "main", "TTL": "1h"});
    http.put_json("/v1/agent/check/register", &check);
    for (report, status, output) in [
        ("fail", "critical", "Aliased check \"beat\" failing: because"),
        ("warn", "warning", "Aliased check \"beat\" failing: because"),
        ("pass", "passing", "All checks passing."),
    ] {
        set(&agent, "beat", report);
        expect_check(&agent, "local", status, output);
        expect_check(&agent, "catalog", status, output);
    }

    // What was an alias and is something else now does not follow any more.
    let check = json!({"CheckID": "local", "Name": "local", "ServiceID": "follower", "TTL": "1h"});
    http.put_json("/v1/agent/check/register", &check);
    set(&agent, "local", "pass");
    set(&agent, "beat", "fail");
    expect_check(&agent, "catalog", "critical", "Aliased check \"beat\" failing: because");
    expect_check(&agent, "local", "passing", "because");
}

#[test]
fn a_service_that_stays_critical_is_removed_if_its_check_says_so() {
    let config = json!({"check_reap_interval": "50ms", "check_deregister_interval_min": "100ms"});
    let agent = Agent::builder().config(config).start();
    let target = Target::refusing();
    for (name, after) in [("mortal", "1ms"), ("patient", "1h"), ("immortal", "0s")] {
        let check = json!({
            "HTTP": target.url(), "Interval": "1s", "Timeout": "1s", "DeregisterCriticalServiceAfter": after,
        });
        agent.http().put_json("/v1/agent/service/register", &json!({"Name": name, "Check": check}));
    }
    eventually("only what asks for it is removed", || {
        let services = agent.http().json("/v1/agent/services");
        let left: Vec<&String> = services.as_object().unwrap().keys().collect();
        let critical = agent.http().json("/v1/health/state/critical");
        let known = critical.as_array().unwrap().len();
        if left == ["immortal", "patient"] && known == 2 {
            Ok(())
        } else {
            Err(format!("{left:?} {critical}"))
        }
    });
}

#[test]
fn outputs_are_cut_to_what_the_agent_or_the_check_keeps() {
    let agent = Agent::builder().config(json!({"check_output_max_size": 10})).start();
    let target = Target::healthy();
    target.say("0123456789abcdef");
    let checks = json!([
        {"CheckID": "report", "TTL": "1h"},
        {"CheckID": "short", "TTL": "1h", "OutputMaxSize": 3},
        {"CheckID": "long", "TTL": "1h", "OutputMaxSize": 300},
        {"CheckID": "http", "HTTP": target.url(), "Interval": "1s"},
    ]);
    agent.http().put_json("/v1/agent/service/register", &json!({"Name": "wordy", "Checks": checks}));
    for check in ["report", "short", "long"] {
        let update = json!({"Status": "passing", "Output": "0123456789abcdef"});
        agent.http().put_json(&format!("/v1/agent/check/update/{check}"), &update);
    }
    expect_check(&agent, "report", "passing", "0123456789 ... (captured 10 of 16 bytes)");
    expect_check(&agent, "short", "passing", "012 ... (captured 3 of 16 bytes)");
    expect_check(&agent, "long", "passing", "0123456789 ... (captured 10 of 16 bytes)");
    let output = format!("HTTP GET {}: 200 Said Output: 6789abcdef", target.url());
    expect_check(&agent, "http", "passing", &output);
}
