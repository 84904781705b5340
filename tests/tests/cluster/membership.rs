//! Servers that come, go, and come back as somebody else.

use std::time::Duration;

use lictor_testkit::{Cluster, Plan, eventually_within};
use serde_json::json;

use crate::load::Load;
use crate::turn;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_server_whose_disk_was_wiped_comes_back_with_everything() {
    let _turn = turn::take();
    let config = json!({"autopilot": {"server_stabilization_time": "500ms"}});
    let mut cluster = Cluster::start(&Plan { config, ..Plan::default() });
    cluster.servers[0].http().put("/v1/kv/kept", "yes").ok();
    let leader = cluster.wait_for_leader();
    let wiped = (leader + 1) % 3;
    cluster.servers[wiped].kill();
    cluster.servers[wiped].wipe();
    cluster.servers[leader].http().put("/v1/kv/meanwhile", "too").ok();
    cluster.servers[wiped].spawn();
    let http = cluster.servers[wiped].http();
    eventually_within(LIMIT, "the wiped server has a vote", || {
        let agent = http.request("GET", "/v1/agent/self", b"").map_err(|error| error.to_string())?.json();
        let raft = &agent["Stats"]["raft"];
        if raft["state"] == "Follower" && raft["term"] != "0" { Ok(()) } else { Err(raft.to_string()) }
    });
    cluster.wait_until_whole();
    cluster.wait_until_equal();
    for (key, value) in [("kept", "yes"), ("meanwhile", "too")] {
        assert_eq!(http.get(&format!("/v1/kv/{key}?raw&stale")).text(), value);
    }
    // It really counts: with it and without another one there is a majority.
    let other = (0..3).find(|server| *server != leader && *server != wiped).expect("a third");
    cluster.servers[other].kill();
    eventually_within(LIMIT, "a write with the wiped server's vote", || {
        let written = http.put("/v1/kv/vote", "counts");
        if written.status == 200 { Ok(()) } else { Err(written.text()) }
    });
}

#[test]
fn five_servers_become_three_by_leaving_and_three_become_five() {
    let _turn = turn::take();
    let config = json!({
        "autopilot": {"server_stabilization_time": "500ms"},
        "skip_leave_on_interrupt": false,
    });
    let mut cluster = Cluster::start(&Plan { servers: 5, config, ..Plan::default() });
    let load = Load::start(&cluster, 2);
    let voters = |cluster: &Cluster| {
        let leader = cluster.wait_for_leader();
        let raft = cluster.servers[leader].http().get("/v1/operator/raft/configuration");
        let count = |raft: &serde_json::Value| {
            raft["Servers"]
                .as_array()
                .map_or(0, |servers| servers.iter().filter(|server| server["Voter"] == true).count())
        };
        if raft.status == 200 { count(&raft.json()) } else { 0 }
    };
    let wait_for_voters = |cluster: &Cluster, wanted: usize| {
        eventually_within(LIMIT, &format!("{wanted} voters"), || {
            let found = voters(cluster);
            if found == wanted { Ok(()) } else { Err(found.to_string()) }
        });
    };
    wait_for_voters(&cluster, 5);
    // The leader is the first to go.
    let leader = cluster.wait_for_leader();
    let gone = [leader, (leader + 1) % 5];
    for (left, server) in gone.into_iter().enumerate() {
        cluster.servers[server].http().put("/v1/agent/leave", "").ok();
        assert_eq!(cluster.servers[server].wait_for_exit(), 0);
        wait_for_voters(&cluster, 4 - left);
    }
    // Three remain, so one of them may fail.
    let failing = (leader + 2) % 5;
    cluster.servers[failing].kill();
    let before = load.count();
    eventually_within(LIMIT, "writes with two of three", || {
        if load.count() > before + 10 { Ok(()) } else { Err(load.count().to_string()) }
    });
    for server in gone.into_iter().chain([failing]) {
        cluster.servers[server].spawn();
    }
    wait_for_voters(&cluster, 5);
    let leader = cluster.wait_for_leader();
    load.stop_and_check(cluster.servers[leader].http());
    cluster.wait_until_whole();
    cluster.wait_until_equal();
}
