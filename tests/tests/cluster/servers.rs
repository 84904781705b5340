//! How servers come into a cluster, and how a cluster comes back that has lost its majority.

use std::fs;
use std::time::Duration;

use lictor_testkit::{Agent, Cluster, Plan, eventually_within};
use serde_json::json;

use crate::turn;

const LIMIT: Duration = Duration::from_secs(30);

fn raft_address(server: &Agent) -> String {
    format!("{}:{}", server.address(), server.ports().at(3))
}

#[test]
fn one_server_of_three_goes_on_alone_and_the_others_come_back_empty() {
    let _turn = turn::take();
    let config = json!({"autopilot": {"server_stabilization_time": "500ms"}});
    let mut cluster = Cluster::start(&Plan { config, ..Plan::default() });
    cluster.servers[0].http().put("/v1/kv/kept", "yes").ok();
    cluster.wait_until_equal();
    for server in &mut cluster.servers {
        server.kill();
    }
    let survivor = &mut cluster.servers[1];
    let list = json!([{"id": survivor.node_id(), "address": raft_address(survivor)}]);
    let peers = survivor.data_dir().join("raft/peers.json");
    let data_dir = format!("-data-dir={}", survivor.data_dir().display());
    let rehearse = ["operator", "raft", "recover", "-dry-run", &data_dir];
    let missing = survivor.cli().run(rehearse);
    assert!(missing.stderr.contains("there is no"), "{missing:?}");
    fs::write(&peers, list.to_string()).unwrap();
    let rehearsed = survivor.cli().run(rehearse).ok();
    assert!(rehearsed.contains("Servers after the recovery:") && rehearsed.contains("s1"), "{rehearsed}");
    assert!(peers.exists(), "it was only a rehearsal");
    survivor.spawn();
    survivor.wait_for_leader();
    assert!(!peers.exists());
    assert_eq!(survivor.http().get("/v1/kv/kept?raw").text(), "yes");
    survivor.http().put("/v1/kv/alone", "too").ok();
    for lost in [0, 2] {
        cluster.servers[lost].wipe();
        cluster.servers[lost].spawn();
    }
    cluster.wait_until_whole();
    cluster.wait_until_equal();
    assert_eq!(cluster.servers[2].http().get("/v1/kv/alone?raw&stale").text(), "too");
}

#[test]
fn servers_that_expect_different_numbers_form_no_cluster_and_say_so() {
    let _turn = turn::take();
    let mut cluster = Cluster::prepare(&Plan { servers: 2, ..Plan::default() });
    cluster.servers[1].reconfigure(json!({"bootstrap_expect": 3}));
    for server in &mut cluster.servers {
        server.spawn();
    }
    for server in &cluster.servers {
        eventually_within(LIMIT, "a complaint", || {
            let log = server.log();
            let complains = log.contains("Member has a conflicting expect value");
            if complains { Ok(()) } else { Err(log) }
        });
        assert_eq!(server.http().get("/v1/status/leader").text().trim(), "\"\"");
    }
}

#[test]
fn servers_without_a_number_count_and_one_with_it_is_enough() {
    let _turn = turn::take();
    let mut cluster = Cluster::prepare(&Plan::default());
    for server in &mut cluster.servers[1..] {
        server.reconfigure(json!({"bootstrap_expect": null}));
    }
    for server in &mut cluster.servers {
        server.spawn();
    }
    cluster.wait_until_whole();
    cluster.servers[2].http().put("/v1/kv/works", "yes").ok();
}

#[test]
fn leadership_goes_to_the_server_that_is_named_and_the_leader_can_be_removed() {
    let _turn = turn::take();
    let cluster = Cluster::start(&Plan::default());
    let leader = cluster.wait_for_leader();
    let (heir, asked) = ((leader + 1) % 3, (leader + 2) % 3);
    let id = cluster.servers[heir].node_id().to_owned();
    let cli = cluster.servers[asked].cli();
    assert_eq!(cli.run(["operator", "raft", "transfer-leader", &format!("-id={id}")]).ok().trim(), "Success");
    eventually_within(LIMIT, "the server that was named to lead", || match cluster.leader() {
        Some(leader) if leader == heir => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(cli.run(["operator", "raft", "remove-peer", &format!("-id={id}")]).code, 0);
    let raft = cluster.servers[asked].http().get("/v1/operator/raft/configuration").json();
    let servers = raft["Servers"].as_array().unwrap();
    assert_eq!(servers.len(), 2, "{raft}");
    assert!(servers.iter().all(|server| server["ID"] != id.as_str()), "{raft}");
    cluster.servers[asked].http().put("/v1/kv/two", "are enough").ok();
}
