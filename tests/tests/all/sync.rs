//! The agent is right about its services, and quiet while nothing changes.

use lictor_testkit::{Agent, Target, eventually};
use serde_json::json;

#[test]
fn the_catalog_is_repaired_after_a_restart() {
    let mut agent = Agent::start();
    let http = agent.http();
    let service =
        json!({"Name": "own", "Port": 1, "Tags": ["right"], "Check": {"TTL": "1h", "Status": "passing"}});
    http.put_json("/v1/agent/service/register", &service);
    agent.wait_for_service("own", 1);
    // Others take one away, make one up, and bend one.
    http.put_json("/v1/catalog/deregister", &json!({"Node": "n1", "ServiceID": "own"}));
    let stray = json!({"Node": "n1", "Address": "127.0.0.1", "Service": {"Service": "stray"}});
    http.put_json("/v1/catalog/register", &stray);
    let bent = json!({"Node": "n1", "Address": "127.0.0.1", "Check": {"CheckID": "odd", "Name": "odd", "Status": "critical"}});
    http.put_json("/v1/catalog/register", &bent);
    let elsewhere =
        json!({"Node": "elsewhere", "Address": "10.0.0.9", "Service": {"Service": "foreign", "Port": 9}});
    http.put_json("/v1/catalog/register", &elsewhere);
    agent.wait_for_service("own", 0);

    agent.kill();
    agent.restart();
    agent.wait_for_service("own", 1);
    eventually("what others made up is gone", || {
        let services = http.json("/v1/catalog/services");
        let checks = http.json("/v1/health/node/n1");
        if services.get("stray").is_none() && !checks.to_string().contains("odd") {
            return Ok(());
        }
        Err(format!("{services} {checks}"))
    });
    assert_eq!(http.json("/v1/catalog/service/own")[0]["ServiceTags"], json!(["right"]));
    // Nobody but its own agent speaks for a node.
    assert_eq!(http.json("/v1/catalog/service/foreign").as_array().map(Vec::len), Some(1));
}

#[test]
fn a_changing_output_is_no_write() {
    let agent = Agent::start();
    let http = agent.http();
    let target = Target::healthy();
    target.say("request {hits}");
    let check = json!({"CheckID": "talkative", "HTTP": target.url(), "Interval": "1s"});
    http.put_json("/v1/agent/service/register", &json!({"Name": "web", "Port": 1, "Check": check}));
    agent.wait_for_service("web", 1);
    let (index, hits) = (http.applied_index(), target.hits());
    eventually("some more runs", || {
        if target.hits() >= hits + 3 { Ok(()) } else { Err(target.hits().to_string()) }
    });
    eventually("the agent knows the newest output", || {
        let output = http.json("/v1/agent/checks")["talkative"]["Output"].clone();
        let newest = output.as_str().is_some_and(|output| output.contains(&format!("request {}", hits + 3)));
        let newer = output.as_str().is_some_and(|output| output.contains(&format!("request {}", hits + 4)));
        if newest || newer { Ok(()) } else { Err(output.to_string()) }
    });
    assert_eq!(http.applied_index(), index, "an output was written to the log");
    // A status is written at once, with its output.
    target.answer(500);
    let _ = agent.wait_for_check("talkative", |check| check["Status"] == "critical");
    assert!(http.applied_index() > index);
}

#[test]
fn equal_registrations_write_nothing() {
    let agent = Agent::start();
    let http = agent.http();
    let service = json!({"Name": "same", "Port": 1, "Check": {"TTL": "1h", "Status": "passing"}});
    http.put_json("/v1/agent/service/register", &service);
    agent.wait_for_service("same", 1);
    let (checks, found) = (http.checks("same"), http.json("/v1/catalog/service/same"));
    for _ in 0..5 {
        http.put_json("/v1/agent/service/register", &service);
    }
    // Something that comes after them has arrived.
    http.put_json("/v1/agent/service/register", &json!({"Name": "after", "Port": 1}));
    agent.wait_for_service("after", 1);
    assert_eq!(http.checks("same"), checks);
    assert_eq!(http.json("/v1/catalog/service/same"), found);
}
