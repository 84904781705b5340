//! What is kept over restarts, and what follows the configuration files.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use lictor_testkit::{Agent, RecordType, Signal, Target, eventually};
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

#[test]
fn an_unchanged_check_keeps_its_turn() {
    let target = Target::healthy();
    let file = json!({"service": {"name": "web", "check": {"http": target.url(), "interval": "1h"}}});
    let agent = Agent::builder().file("web.json", &file).start();
    agent.wait_for_service("web", 1);
    let hits = target.hits();
    // A check that were scheduled anew would run within moments.
    for number in 0..5 {
        agent.write_file("other.json", &json!({"service": {"name": "other", "port": number}}));
        assert_eq!(agent.http().put("/v1/agent/reload", "").status, 200);
        assert_eq!(agent.http().json("/v1/agent/service/other")["Port"], number);
    }
    let changed = json!({"service": {"name": "fresh", "check": {"http": target.url(), "interval": "1h"}}});
    agent.write_file("fresh.json", &changed);
    assert_eq!(agent.http().put("/v1/agent/reload", "").status, 200);
    agent.wait_for_service("fresh", 1);
    assert_eq!(target.hits(), hits + 1, "only the check that is new has run");
}

#[test]
fn what_can_change_changes_and_the_rest_is_named() {
    let settings = |rack: &str, most: u32, level: &str, domain: &str, voters: u32| {
        json!({"limits": {"http_max_conns_per_client": most}, "log_level": level, "node_meta": {"rack": rack},
            "domain": domain, "raft_trailing_logs": voters})
    };
    let agent = Agent::builder()
        .config(json!({"log_level": null}))
        .file("z.json", &settings("r1", 100, "warn", "one", 100))
        .start();
    let http = agent.http();
    assert_eq!(agent.dns().addresses("n1.node.one").len(), 1);
    assert!(!agent.log().contains("[INFO]"), "{}", agent.log());

    agent.write_file("z.json", &settings("r2", 3, "info", "two", 200));
    assert_eq!(http.put("/v1/agent/reload", "").status, 200);
    assert_eq!(agent.dns().addresses("n1.node.two").len(), 1);
    assert_ne!(agent.dns().query("n1.node.one", RecordType::A).answers.len(), 1);
    eventually("the catalog knows the new metadata", || {
        let meta = http.json("/v1/catalog/node/n1")["Node"]["Meta"].clone();
        if meta["rack"] == "r2" { Ok(()) } else { Err(meta.to_string()) }
    });
    let named = "The 'raft_trailing_logs' field has changed, which takes effect only with a restart";
    assert_eq!(agent.log().matches(named).count(), 1, "{}", agent.log());
    assert_eq!(agent.log().matches("only with a restart").count(), 1, "{}", agent.log());
    assert!(agent.log().contains("[INFO]  agent: configuration reloaded"), "{}", agent.log());

    let mut held = Vec::new();
    eventually("one too many is refused", || {
        let mut more = TcpStream::connect(("127.0.0.1", agent.http_port())).unwrap();
        more.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut answer = String::new();
        // Whoever is let in hears nothing.
        let _ = more.read_to_string(&mut answer);
        if answer.contains("429") {
            return Ok(());
        }
        held.push(more);
        Err(format!("{} are let in", held.len()))
    });
    assert!(held.len() <= 3, "{} were let in", held.len());
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing_at_all() {
    let agent = Agent::builder()
        .config(json!({"log_level": null}))
        .file(
            "z.json",
            &json!({"node_meta": {"rack": "r1"}, "log_level": "warn", "service": {"name": "kept"}}),
        )
        .start();
    let http = agent.http();
    for (wrong, why) in [
        (json!({"log_level": "bogus"}), "Invalid log level"),
        (json!({"acl": {"enabled": true}}), "acl.enabled"),
        (json!({"check": {"name": "x", "service_id": "nobody", "ttl": "1h"}}), "nobody"),
        (json!({"recursors": ["bad:::1"]}), "too many colons"),
        (json!({"server": "maybe"}), "'server' expected type 'bool'"),
    ] {
        let mut tree =
            json!({"node_meta": {"rack": "r2"}, "log_level": "info", "services": [{"name": "new"}]});
        tree.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        agent.write_file("z.json", &tree);
        let response = http.put("/v1/agent/reload", "");
        assert_eq!(response.status, 500, "{wrong}");
        assert!(response.text().contains(why), "{wrong}: {}", response.text());
        assert_eq!(services(&agent), ["kept"], "{wrong}");
        assert!(!agent.log().contains("[INFO]"), "{wrong}: {}", agent.log());
    }
    assert_eq!(http.json("/v1/catalog/node/n1")["Node"]["Meta"]["rack"], "r1");
}

#[test]
fn files_are_watched_if_wanted() {
    let agent = Agent::builder().config(json!({"auto_reload_config": true})).start();
    agent.write_file("a.json", &json!({"service": {"name": "first"}}));
    eventually("the file is taken up", || {
        if services(&agent) == ["first"] { Ok(()) } else { Err(services(&agent).join(" ")) }
    });
    agent.write_file("a.json", "{");
    eventually("what is wrong is told", || {
        if agent.log().contains("unexpected end of JSON input") { Ok(()) } else { Err(agent.log()) }
    });
    assert_eq!(services(&agent), ["first"]);
    agent.remove_file("a.json");
    eventually("the service went with its file", || {
        if services(&agent).is_empty() { Ok(()) } else { Err(services(&agent).join(" ")) }
    });
}
