//! A saved state put in place on all servers, also those that come later.

use std::time::Duration;

use lictor_testkit::{Agent, Cluster, Network, Plan, eventually_within};
use serde_json::json;

use crate::turn;

const LIMIT: Duration = Duration::from_secs(60);
const KEYS: usize = 60;

fn value(number: usize) -> String {
    format!("{number} ").repeat(20_000)
}

#[test]
fn a_restored_state_is_on_all_servers_and_on_those_that_come_later() {
    let _turn = turn::take();
    let config = json!({"autopilot": {"server_stabilization_time": "500ms"}});
    let mut cluster = Cluster::start(&Plan { clients: 1, config: config.clone(), ..Plan::default() });
    let client = cluster.clients[0].http().patience(LIMIT);
    for number in 0..KEYS {
        client.put(&format!("/v1/kv/k/{number}"), value(number)).ok();
    }
    let follower = (cluster.wait_for_leader() + 1) % 3;
    let saved = cluster.servers[follower].http().patience(LIMIT).get("/v1/snapshot").ok().body;
    client.delete("/v1/kv/k/?recurse").ok();
    client.put("/v1/kv/later", "x").ok();
    let raft = || {
        let term = cluster.servers[follower].http().json("/v1/agent/self")["Stats"]["raft"]["term"].clone();
        let servers = client.json("/v1/operator/raft/configuration")["Servers"].as_array().unwrap().clone();
        (
            term,
            servers.iter().map(|server| (server["ID"].clone(), server["Leader"].clone())).collect::<Vec<_>>(),
        )
    };
    let before = raft();

    client.put("/v1/snapshot", &saved).ok();
    assert_eq!(raft(), before, "nobody loses the cluster");
    cluster.wait_until_equal();
    let check = |server: &Agent| {
        let http = server.http();
        for number in 0..KEYS {
            assert_eq!(http.get(&format!("/v1/kv/k/{number}?raw&stale")).ok().text(), value(number));
        }
        assert_eq!(http.get("/v1/kv/later?stale").status, 404);
    };
    cluster.servers.iter().for_each(check);

    let joins: Vec<String> = (1..=3).map(|number| Network::server(number).to_string()).collect();
    let fourth = Agent::builder()
        .address(Network::server(4))
        .config(json!({"node_name": "s4", "bootstrap": null, "retry_join": joins, "retry_interval": "1s"}))
        .config(json!({"ports": {"serf_lan": 8301}}))
        .config(config)
        .prepare();
    cluster.servers.push(fourth);
    cluster.servers[3].spawn();
    cluster.wait_until_whole();
    cluster.wait_until_equal();
    check(&cluster.servers[3]);

    // One that was away through all of it and begins with its own log.
    cluster.servers[follower].kill();
    cluster.servers[follower].spawn();
    cluster.wait_until_whole();
    cluster.wait_until_equal();
    check(&cluster.servers[follower]);
    eventually_within(LIMIT, "a write", || {
        let written = client.put("/v1/kv/k/0", "on");
        if written.status == 200 { Ok(()) } else { Err(written.text()) }
    });
}

#[test]
fn a_leader_that_is_lost_while_it_restores_leaves_the_old_state_or_the_new_one() {
    let _turn = turn::take();
    let mut cluster = Cluster::start(&Plan { clients: 1, ..Plan::default() });
    let client = cluster.clients[0].http().patience(LIMIT);
    for number in 0..KEYS {
        client.put(&format!("/v1/kv/k/{number}"), value(number)).ok();
    }
    let saved = client.get("/v1/snapshot").ok().body;
    client.delete("/v1/kv/k/?recurse").ok();
    let leader = cluster.wait_for_leader();
    let restoring = {
        let client = cluster.clients[0].http().patience(LIMIT);
        std::thread::spawn(move || client.put("/v1/snapshot", &saved).status)
    };
    // The log grows as the pieces come; one entry may be anybody's, or the beginning.
    let before = cluster.servers[leader].http().applied_index();
    eventually_within(LIMIT, "the restoration has begun", || {
        let now = cluster.servers[leader].http().applied_index();
        if now >= before + 3 { Ok(()) } else { Err(now.to_string()) }
    });
    cluster.servers[leader].kill();
    let status = restoring.join().unwrap();
    let _ = cluster.wait_for_leader();
    cluster.servers[leader].spawn();
    cluster.wait_until_whole();
    cluster.wait_until_equal();
    let keys = |server: &Agent| {
        let answer = server.http().get("/v1/kv/k/?keys&stale");
        if answer.status == 404 { 0 } else { answer.ok().json().as_array().unwrap().len() }
    };
    let found: Vec<usize> = cluster.servers.iter().map(keys).collect();
    assert!(found.iter().all(|count| *count == found[0]), "{found:?}");
    assert!(found[0] == 0 || found[0] == KEYS, "{found:?}");
    assert!(status != 200 || found[0] == KEYS, "what was acknowledged is there");
}
