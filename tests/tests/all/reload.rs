//! What is kept over restarts, and what follows the configuration files.

use lictor_testkit::{Agent, Signal, Target, eventually};
use serde_json::{Value, json};

fn services(agent: &Agent) -> Vec<String> {
    agent.http().json("/v1/agent/services").as_object().unwrap().keys().cloned().collect()
}

fn hang_up(agent: &Agent, what: &str, done: impl Fn() -> bool) {
    agent.signal(Signal::HUP);
    eventually(what, || if done() { Ok(()) } else { Err(services(agent).join(" ")) });
}

#[test]
fn registrations_survive_and_files_rule_their_own() {
    let file = json!({"service": {"name": "filed", "port": 1}});
    let mut agent = Agent::builder().file("filed.json", &file).start();
    let http = agent.http();
    let service = json!({
        "ID": "kept-1", "Name": "kept", "Port": 7, "Tags": ["a"], "Meta": {"k": "v"},
        "Check": {"CheckID": "beat", "TTL": "1h"},
    });
    http.put_json("/v1/agent/service/register", &service);
    assert_eq!(http.put("/v1/agent/check/pass/beat?note=fine", "").status, 200);
    http.put_json("/v1/agent/check/register", &json!({"Name": "of the node", "TTL": "1h"}));
    assert_eq!(http.put("/v1/agent/check/pass/of%20the%20node", "").status, 200);
    let before = http.json("/v1/agent/service/kept-1");

    agent.stop(Signal::TERM);
    agent.restart();
    assert_eq!(agent.http().json("/v1/agent/service/kept-1"), before);
    let checks = http.json("/v1/agent/checks");
    assert_eq!((&checks["beat"]["Status"], &checks["beat"]["Output"]), (&json!("passing"), &json!("fine")));
    assert_eq!(checks["of the node"]["Status"], "passing");
    agent.wait_for_service("kept", 1);
    assert_eq!(services(&agent), ["filed", "kept-1"]);

    // A file that is gone takes its services along, and nothing else.
    agent.remove_file("filed.json");
    hang_up(&agent, "the file's service is gone", || services(&agent) == ["kept-1"]);
    agent.wait_for_service("filed", 0);
    agent.write_file("filed.hcl", "service {\n  name = \"hcl\"\n  port = 2\n}\n");
    hang_up(&agent, "the file's service is there", || services(&agent) == ["hcl", "kept-1"]);

    // What was removed stays removed.
    assert_eq!(http.put("/v1/agent/service/deregister/kept-1", "").status, 200);
    assert_eq!(http.put("/v1/agent/check/deregister/of%20the%20node", "").status, 200);
    agent.kill();
    agent.restart();
    assert_eq!(services(&agent), ["hcl"]);
    assert_eq!(http.json("/v1/agent/checks"), json!({}));
}

#[test]
fn a_service_that_stopped_reporting_does_not_pass_again_after_a_restart() {
    let mut agent = Agent::builder().start();
    let http = agent.http();
    let service = json!({"Name": "mortal", "Check": {"CheckID": "beat", "TTL": "1s"}});
    http.put_json("/v1/agent/service/register", &service);
    assert_eq!(http.put("/v1/agent/check/pass/beat?note=fine", "").status, 200);
    let status = |agent: &Agent| agent.http().json("/v1/agent/checks")["beat"]["Status"].clone();
    eventually("its time is over", || {
        if status(&agent) == "critical" { Ok(()) } else { Err("it still passes".to_owned()) }
    });
    agent.stop(Signal::TERM);
    agent.restart();
    assert_eq!(status(&agent), "critical");
}

#[test]
fn a_file_removed_while_the_agent_was_down_takes_its_services_along() {
    let file = json!({"service": {"name": "filed", "port": 1}});
    let mut agent = Agent::builder().file("filed.json", &file).start();
    agent.wait_for_service("filed", 1);
    agent.kill();
    agent.remove_file("filed.json");
    agent.restart();
    assert_eq!(services(&agent), Vec::<String>::new());
    agent.wait_for_service("filed", 0);
}

#[test]
fn a_broken_file_changes_nothing() {
    let file = json!({"service": {"name": "filed", "port": 1}});
    let agent = Agent::builder().file("filed.json", &file).start();
    let http = agent.http();
    let whole = json!({"service": {"name": "another", "port": 2}});
    for (broken, named) in [
        ("{\"service\": {\"name\": \"broken\"".to_owned(), "broken.json"),
        (json!({"service": {"name": "broken", "bogus": 1}}).to_string(), "bogus"),
        (
            json!({"service": {"name": "broken", "check": {"http": "http://127.0.0.1:1/"}}}).to_string(),
            "broken",
        ),
        (json!({"service": {"name": "broken", "check": {"ttl": "soon"}}}).to_string(), "soon"),
    ] {
        agent.write_file("another.json", &whole);
        agent.write_file("broken.json", &broken);
        agent.remove_file("filed.json");
        let response = http.put("/v1/agent/reload", "");
        assert_eq!(response.status, 500, "{broken}: {}", response.text());
        assert!(response.text().contains(named), "{broken}: {}", response.text());
        assert_eq!(services(&agent), ["filed"], "{broken}");
        agent.write_file("filed.json", &file);
    }
    agent.remove_file("broken.json");
    assert_eq!(http.put("/v1/agent/reload", "").status, 200);
    assert_eq!(services(&agent), ["another", "filed"]);
}

#[test]
fn a_reload_keeps_every_status() {
    let target = Target::healthy();
    let definition = |port: u16| {
        json!({"service": {"name": "web", "port": port, "checks": [
            {"id": "web-http", "http": target.url(), "interval": "1s"},
            {"id": "web-beat", "ttl": "1h"},
        ]}})
    };
    let agent = Agent::builder().file("web.json", &definition(1)).start();
    let http = agent.http();
    assert_eq!(http.put("/v1/agent/check/pass/web-beat?note=well", "").status, 200);
    http.put_json("/v1/agent/check/register", &json!({"Name": "api", "TTL": "1h"}));
    assert_eq!(http.put("/v1/agent/check/pass/api?note=hmm", "").status, 200);
    agent.wait_for_service("web", 1);
    let statuses = || -> Vec<(String, Value, Value)> {
        let checks = http.json("/v1/agent/checks");
        let rows = checks.as_object().unwrap().iter();
        rows.map(|(id, check)| (id.clone(), check["Status"].clone(), check["Output"].clone())).collect()
    };
    let before = statuses();
    let indexes =
        || -> Vec<Value> { http.checks("web").iter().map(|check| check["ModifyIndex"].clone()).collect() };
    let modified = indexes();
    assert_eq!(http.put("/v1/agent/reload", "").status, 200);
    assert_eq!(statuses(), before);
    assert_eq!(indexes(), modified, "no status flickered");
    // Also where the definition itself changes.
    agent.write_file("web.json", &definition(2));
    assert_eq!(http.put("/v1/agent/reload", "").status, 200);
    assert_eq!(http.json("/v1/agent/service/web")["Port"], 2);
    assert_eq!(statuses(), before);
    let hits = target.hits();
    eventually("the check runs on", || if target.hits() > hits + 1 { Ok(()) } else { Err(hits.to_string()) });
    assert_eq!(http.json("/v1/health/service/web?passing").as_array().map(Vec::len), Some(1));
}

#[test]
fn maintenance_lasts_until_it_is_ended() {
    let file = json!({"service": {"name": "filed", "port": 1}});
    let mut agent = Agent::builder().file("filed.json", &file).start();
    let http = agent.http();
    let begin = |path: &str| assert_eq!(http.put(path, "").status, 200);
    begin("/v1/agent/service/maintenance/filed?enable=true&reason=upgrade");
    begin("/v1/agent/maintenance?enable=true");
    let notes = |id: &str| http.json("/v1/agent/checks")[id]["Notes"].clone();
    agent.write_file("more.hcl", "service {\n  name = \"hcl\"\n  port = 2\n}\n");
    hang_up(&agent, "the files are read again", || services(&agent) == ["filed", "hcl"]);
    assert_eq!(notes("_service_maintenance:filed"), "upgrade");

    agent.kill();
    agent.restart();
    eventually("the maintenance is on again", || match notes("_service_maintenance:filed") {
        Value::String(reason) if reason == "upgrade" => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!(http.put("/v1/agent/service/maintenance/filed?enable=false", "").status, 200);
    assert_eq!(http.put("/v1/agent/maintenance?enable=false", "").status, 200);
    agent.kill();
    agent.restart();
    assert_eq!(http.json("/v1/agent/checks"), json!({}));
}
