//! Checks that misbehave hurt nobody but themselves.

use std::fs;

use lictor_testkit::{Agent, Target, eventually, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An agent that finds the hostile component, in a folder that is to be kept.
fn with_plugins() -> (TempDir, Agent) {
    let plugins = tempfile::tempdir().unwrap();
    let folder = plugins.path();
    let fixtures = repository().join("agent/crates/sandbox/tests/fixtures");
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    let agent = Agent::builder().config(json!({"plugin_dir": folder})).start();
    (plugins, agent)
}

fn register(agent: &Agent, name: &str, check: &Value) {
    let service = json!({"Name": name, "Port": 1, "Check": check});
    agent.http().put_json("/v1/agent/service/register", &service);
}

#[test]
fn hostile_checks_name_their_limit_and_leave_neighbours_alone() {
    let (_plugins, agent) = with_plugins();
    let http = agent.http();
    let (target, forbidden) = (Target::healthy(), Target::healthy());
    register(&agent, "good", &json!({"HTTP": target.url(), "Interval": "1s", "Timeout": "1s"}));
    agent.wait_for_service("good", 1);

    let elsewhere = format!("127.0.0.1:{}", forbidden.port());
    let hostile = [
        ("loop", "processor time limit"),
        ("memory", "memory limit"),
        ("stack", "stack limit"),
        ("flood", "log lines"),
        ("trap", "crashed"),
        ("connect", "is not granted"),
        ("exec", "is not granted"),
    ];
    for (mode, _) in hostile {
        let config = json!({"mode": mode, "elsewhere": elsewhere});
        register(&agent, mode, &json!({"Wasm": "hostile.wasm", "Config": config, "Interval": "1s"}));
    }
    for (mode, limit) in hostile {
        eventually(&format!("{mode} is caught"), || {
            let check = http.checks(mode).first().cloned().unwrap_or_default();
            let output = check["Output"].as_str().unwrap_or_default();
            let caught =
                output.contains(limit) && output.contains("hostile") && check["Status"] == "critical";
            if caught { Ok(()) } else { Err(check.to_string()) }
        });
    }
    // The neighbour keeps running, and never was anything but healthy.
    let modified = http.checks("good")[0]["ModifyIndex"].clone();
    let hits = target.hits();
    eventually("the neighbour runs on", || {
        if target.hits() >= hits + 3 { Ok(()) } else { Err(target.hits().to_string()) }
    });
    let good = &http.checks("good")[0];
    assert_eq!((&good["Status"], &good["ModifyIndex"]), (&json!("passing"), &modified));
    assert_eq!(forbidden.hits(), 0, "somebody connected where nobody may");
    assert_eq!(http.put("/v1/kv/alive", "yes").status, 200);
    let metrics = http.get("/v1/agent/metrics").ok().text();
    assert!(metrics.contains("hostile"), "{metrics}");
}

#[test]
fn keeping_the_last_status_does_not_hide_a_dead_target() {
    let (_plugins, agent) = with_plugins();
    let target = Target::healthy();
    let check = json!({
        "Wasm": "http_check.wasm", "Config": {"url": target.url()}, "Interval": "1s", "UnknownAs": "keep-last",
    });
    register(&agent, "mortal", &check);
    let blind = json!({
        "Wasm": "hostile.wasm", "Config": {"mode": "trap"}, "Interval": "1s", "UnknownAs": "keep-last",
        "Status": "passing",
    });
    register(&agent, "blind", &blind);
    agent.wait_for_service("mortal", 1);
    target.refuse();
    agent.wait_for_check("service:mortal", |check| check["Status"] == "critical");
    // Whoever could not look says so, and keeps what it had.
    let http = agent.http();
    eventually("the crash is told", || {
        let check = http.json("/v1/agent/checks")["service:blind"].clone();
        let told = check["Output"].as_str().is_some_and(|output| output.contains("crashed"));
        if told && check["Status"] == "passing" { Ok(()) } else { Err(check.to_string()) }
    });
}

#[test]
fn an_unknown_run_may_warn() {
    let (_plugins, agent) = with_plugins();
    let check = json!({
        "Wasm": "hostile.wasm", "Config": {"mode": "trap"}, "Interval": "1s", "UnknownAs": "warning",
    });
    register(&agent, "wary", &check);
    let _ = agent.wait_for_check("service:wary", |check| check["Status"] == "warning");
}

#[test]
fn what_cannot_work_is_refused_with_its_field() {
    let (_plugins, agent) = with_plugins();
    let http = agent.http();
    let url = "http://127.0.0.1:1/";
    for (check, named) in [
        (json!({"Wasm": "http_check.wasm", "Config": {"url": 5}}), "url"),
        (json!({"Wasm": "http_check.wasm", "Config": {}}), "url"),
        (json!({"Wasm": "http_check.wasm", "Config": {"url": url, "urll": url}}), "urll"),
        (json!({"Wasm": "nosuch.wasm"}), "nosuch.wasm"),
        (json!({"Wasm": "../plugins/hostile.wasm", "Config": {"mode": "fine"}}), "path"),
        (json!({"Wasm": "handler.wasm"}), "handler"),
        (
            json!({"Wasm": "hostile.wasm", "Config": {"mode": "fine"}, "Allow": {"tcp": ["127.0.0.1:1"]}}),
            "127.0.0.1:1",
        ),
        (json!({"Wasm": "http_check.wasm", "Config": {"url": url}, "UnknownAs": "fine"}), "fine"),
        (json!({"Wasm": "http_check.wasm", "Config": {"url": url}, "HTTP": url}), "exactly one kind"),
    ] {
        let mut check = check;
        check["Interval"] = json!("1s");
        let service = json!({"Name": "bad", "Check": check});
        let response = http.put("/v1/agent/service/register", service.to_string());
        assert_eq!(response.status, 400, "{check}: {}", response.text());
        assert!(response.text().contains(named), "{check}: {}", response.text());
    }
    assert_eq!(http.json("/v1/agent/services"), json!({}), "nothing of it was registered");
}

#[test]
fn what_a_check_may_do_is_shown() {
    let agent = Agent::start();
    let target = Target::healthy();
    register(
        &agent,
        "shown",
        &json!({"Wasm": "http_check.wasm", "Config": {"url": target.url()}, "Interval": "1s"}),
    );
    let check = agent.http().json("/v1/agent/checks")["service:shown"].clone();
    assert_eq!(check["Program"]["Grants"], json!([format!("http 127.0.0.1:{}", target.port())]), "{check}");
    assert_eq!(check["Program"]["Digest"].as_str().map(str::len), Some(64), "{check}");
}

#[test]
fn a_plugin_that_is_gone_or_misused_by_a_file_keeps_nothing_from_starting() {
    let (plugins, mut agent) = with_plugins();
    register(
        &agent,
        "orphan",
        &json!({"Wasm": "hostile.wasm", "Config": {"mode": "fine"}, "Interval": "1s"}),
    );
    agent.wait_for_service("orphan", 1);
    agent.kill();
    fs::remove_file(plugins.path().join("hostile.wasm")).unwrap();
    let check = json!({"wasm": "http_check.wasm", "config": {"url": "http://127.0.0.1:1/", "urll": "x"}, "interval": "1s"});
    agent.write_file("misused.json", &json!({"service": {"name": "misused", "check": check}}));
    agent.restart();
    let http = agent.http();
    for (service, named) in [("orphan", "hostile.wasm"), ("misused", "urll")] {
        eventually(&format!("{service} says what it lacks"), || {
            let check = http.checks(service).first().cloned().unwrap_or_default();
            let told = check["Output"].as_str().is_some_and(|output| output.contains(named));
            if told && check["Status"] == "critical" { Ok(()) } else { Err(check.to_string()) }
        });
    }
}

#[test]
fn a_plugin_that_changed_is_taken_up_by_a_reload_and_its_check_keeps_its_status() {
    let plugins = tempfile::tempdir().unwrap();
    let path = plugins.path().join("mine.wasm");
    let component = fs::read(repository().join("agent/crates/sandbox/tests/fixtures/hostile.wasm")).unwrap();
    fs::write(&path, &component).unwrap();
    let agent = Agent::builder().config(json!({"plugin_dir": plugins.path()})).start();
    let http = agent.http();
    let check = json!({"Wasm": "mine.wasm", "Config": {"mode": "none"}, "Interval": "1s"});
    register(&agent, "mine", &check);
    agent.wait_for_service("mine", 1);
    let digest = || http.json("/v1/agent/checks")["service:mine"]["Program"]["Digest"].clone();
    let before = digest();

    // A custom section at the end makes other bytes of the same component.
    fs::write(&path, [&component[..], &[0, 2, 1, b'x']].concat()).unwrap();
    register(&agent, "other", &check);
    assert_eq!(http.json("/v1/agent/checks")["service:other"]["Program"]["Digest"], before);
    assert_eq!(http.put("/v1/agent/reload", "").status, 200);
    assert_ne!(digest(), before);
    assert_eq!(http.json("/v1/agent/checks")["service:mine"]["Status"], "passing");

    // One request takes only so long: on a busy machine the next one goes on.
    let listed = eventually("every plugin is read", || {
        let listed = http.json("/v1/agent/plugins");
        let rows = listed.as_array().unwrap();
        if rows.iter().all(|row| row["Loaded"] == true || row.get("Error").is_some()) {
            Ok(listed)
        } else {
            Err(listed.to_string())
        }
    });
    let row = |file: &str| listed.as_array().unwrap().iter().find(|row| row["File"] == file).unwrap();
    assert_eq!(row("mine.wasm")["Digest"], digest());
    assert_eq!((&row("mine.wasm")["Name"], &row("mine.wasm")["BuiltIn"]), (&json!("hostile"), &json!(false)));
    assert_eq!(row("http_check.wasm")["Schema"]["required"], json!(["url"]));
    assert_eq!(row("http_check.wasm")["World"], "lictor:plugin/health-check@1");
}
