//! Start and end, as programs that test against the reference's binary rely on them.

use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Builder, Ports, Signal, eventually_within};
use serde_json::json;

/// How long a harness waits for the first answer.
const ANSWERS: Duration = Duration::from_secs(2);
/// How long it waits for everything else.
const READY: Duration = Duration::from_secs(7);

/// What a Go project's harness writes, with all its peculiarities. The ports are reserved as long
/// as the block is kept.
fn as_harnesses_configure_it(block: &Ports) -> Builder {
    let config = json!({
        "segments": null,
        "addresses": {},
        "acl": {"tokens": {}},
        "connect": {"enabled": true, "ca_config": {"cluster_id": "11111111-2222-3333-4444-555555555555"}},
        "peering": {"enabled": true},
        "version": "1.20.0",
        "ports": {
            "serf_wan": block.at(0), "https": block.at(1), "grpc": block.at(2), "grpc_tls": block.at(3),
        },
    });
    Agent::builder().config(config)
}

#[test]
fn a_harness_finds_everything_it_waits_for_in_time() {
    let block = Ports::reserve();
    let mut agent = as_harnesses_configure_it(&block).prepare();
    let config = std::fs::read_to_string(agent.config_file()).unwrap();
    assert!(config.contains("\"segments\":null"), "{config}");
    agent.spawn();

    let http = agent.http();
    eventually_within(ANSWERS, "an answer by HTTP", || {
        http.request("GET", "/v1/status/leader", b"").map_err(|error| error.to_string())
    });
    assert!(agent.started().elapsed() < ANSWERS, "HTTP answers after {:?}", agent.started().elapsed());
    eventually_within(READY, "a leader", || {
        let response = http.get("/v1/status/leader");
        if response.status == 200 && response.json().as_str().is_some_and(|leader| !leader.is_empty()) {
            return Ok(());
        }
        Err(response.text())
    });
    let nodes = eventually_within(READY, "a node", || {
        let response = http.get("/v1/catalog/nodes?index=0");
        let found = response.status == 200 && response.json().as_array().is_some_and(|list| !list.is_empty());
        if found { Ok(response.json()) } else { Err(response.text()) }
    });
    assert_eq!(nodes[0]["Node"], "n1");
    eventually_within(READY, "the gossip check", || {
        let checks = http.json("/v1/health/node/n1");
        let found =
            checks.as_array().is_some_and(|list| list.iter().any(|check| check["CheckID"] == "serfHealth"));
        if found { Ok(()) } else { Err(checks.to_string()) }
    });
    eventually_within(READY, "a vote", || {
        let servers = http.json("/v1/operator/raft/configuration");
        let server = &servers["Servers"][0];
        if server["ID"] == agent.node_id() && server["Voter"] == true {
            Ok(())
        } else {
            Err(servers.to_string())
        }
    });
    let roots = http.json("/v1/agent/connect/ca/roots");
    assert_ne!(roots["ActiveRootID"].as_str().unwrap(), "");
    assert_eq!(roots["Roots"][0]["ID"], roots["ActiveRootID"]);
    assert_eq!(http.delete("/v1/config/service-intentions/web").status, 200);
}

#[test]
fn the_node_is_registered_before_a_leader_is_announced() {
    let mut agent = Agent::builder().prepare();
    agent.spawn();
    let http = agent.http();
    eventually_within(READY, "a leader", || match http.request("GET", "/v1/status/leader", b"") {
        Ok(response) if response.status == 200 && response.body.len() > 4 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let nodes = http.json("/v1/catalog/nodes");
    assert_eq!(nodes.as_array().map(Vec::len), Some(1), "{nodes}");
}

#[test]
fn an_empty_second_file_is_filled_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late.json");
    std::fs::write(&late, "").unwrap();
    let agent = Agent::builder().args(["-config-file", late.to_str().unwrap()]).start();
    let service = json!({"service": {"name": "late", "Meta": {"mixed": "Case"}, "port": 1}});
    std::fs::write(&late, service.to_string()).unwrap();
    assert_eq!(agent.http().put("/v1/agent/reload", "").status, 200);
    agent.wait_for_service("late", 1);
    assert_eq!(agent.http().json("/v1/agent/service/late")["Meta"]["mixed"], "Case");
}

#[test]
fn an_interrupt_stops_at_once_and_frees_all_ports() {
    let block = Ports::reserve();
    let mut agent = as_harnesses_configure_it(&block).start();
    let told = Instant::now();
    let code = agent.stop(Signal::INT);
    assert_eq!((agent.ports().busy(), block.busy()), (Vec::new(), Vec::new()));
    assert_eq!(code, 1, "a server that is interrupted does not leave");
    assert!(told.elapsed() < Duration::from_secs(5), "stopping took {:?}", told.elapsed());
}

#[test]
fn an_interrupt_does_not_wait_for_blocked_requests() {
    let mut agent = Agent::start();
    let http = agent.http();
    let index = http.get("/v1/catalog/nodes").index();
    let waiting = std::thread::spawn(move || {
        http.request("GET", &format!("/v1/catalog/nodes?index={index}&wait=60s"), b"")
    });
    agent.wait_for_service("consul", 1);
    let told = Instant::now();
    agent.stop(Signal::INT);
    assert!(told.elapsed() < Duration::from_secs(5), "stopping took {:?}", told.elapsed());
    assert_eq!(agent.ports().busy(), Vec::<u16>::new());
    // Whether it was answered or cut off, it is over.
    drop(waiting.join().unwrap());
}

#[test]
fn exit_statuses_say_whether_the_agent_left() {
    let mut terminated = Agent::start();
    assert_eq!(terminated.stop(Signal::TERM), 1);

    let mut left = Agent::start();
    assert_eq!(left.http().put("/v1/agent/leave", "").status, 200);
    assert_eq!(left.wait_for_exit(), 0);

    let mut commanded = Agent::start();
    assert_eq!(commanded.cli().run(["leave"]).code, 0);
    assert_eq!(commanded.wait_for_exit(), 0);

    let mut leaving = Agent::builder().config(json!({"skip_leave_on_interrupt": false})).start();
    assert_eq!(leaving.stop(Signal::INT), 0);
    let mut leaving = Agent::builder().config(json!({"leave_on_terminate": true})).start();
    assert_eq!(leaving.stop(Signal::TERM), 0);
}

#[test]
fn a_second_agent_does_not_start_over_the_first() {
    let first = Agent::start();
    for (place, name) in [(0, "http"), (1, "dns"), (2, "serf_lan")] {
        let taken = first.ports().at(place);
        let mut second = Agent::builder().config(json!({"ports": {name: taken}})).prepare();
        second.spawn();
        assert_eq!(second.wait_for_exit(), 1, "{name}");
        let log = second.log();
        assert!(log.contains("in use"), "{name}: {log}");
        assert!(log.contains(&taken.to_string()), "{name} is not named: {log}");
    }
    let mut second = Agent::builder().config(json!({"data_dir": first.data_dir()})).prepare();
    second.spawn();
    assert_eq!(second.wait_for_exit(), 1);
    let log = second.log();
    assert!(log.contains(first.data_dir().to_str().unwrap()), "{log}");
    // The first did not notice.
    assert_eq!(first.http().put("/v1/kv/still", "here").status, 200);
    assert_eq!(first.http().kv("still").as_deref(), Some("here"));
}

#[test]
fn the_development_mode_needs_no_configuration() {
    let mut agent = Agent::builder().dev().start();
    assert_eq!(agent.http().put("/v1/kv/a", "b").status, 200);
    assert_eq!(agent.http().kv("a").as_deref(), Some("b"));
    assert!(!agent.data_dir().exists(), "nothing is kept on disk");
    assert_eq!(agent.stop(Signal::INT), 1);
    assert_eq!(agent.ports().busy(), Vec::<u16>::new());
}

#[test]
fn mistakes_in_the_configuration_are_told_all_at_once() {
    let mut agent =
        Agent::builder().config(json!({"datacenter": "Not Good", "node_id": "nine", "bogus": 1})).prepare();
    agent.spawn();
    assert_eq!(agent.wait_for_exit(), 1);
    assert!(agent.log().contains("bogus"), "{}", agent.log());

    let mut agent = Agent::builder().config(json!({"datacenter": "Not Good", "node_id": "nine"})).prepare();
    agent.spawn();
    assert_eq!(agent.wait_for_exit(), 1);
    let log = agent.log();
    assert!(log.contains("datacenter") && log.contains("node_id"), "{log}");
}
