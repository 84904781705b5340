//! Networks that break in two and heal.

use std::time::{Duration, Instant};

use lictor_testkit::{Cluster, Network, Plan, eventually_within};
use serde_json::json;

use crate::load::Load;
use crate::turn;

const LIMIT: Duration = Duration::from_secs(40);

#[test]
fn a_leader_cut_off_with_the_minority_acknowledges_nothing() {
    let _turn = turn::take();
    let config = json!({"performance": {"raft_multiplier": 1, "rpc_hold_timeout": "1s"}});
    let cluster = Cluster::start(&Plan { config, ..Plan::default() });
    let old = cluster.wait_for_leader();
    let others: Vec<usize> = (0..3).filter(|server| *server != old).collect();
    cluster.network.cut_off(&[Network::server(old + 1)]);
    let cut = Instant::now();
    let majority = cluster.servers[others[0]].http().patience(LIMIT);
    eventually_within(LIMIT, "the majority takes writes", || {
        let written = majority.put("/v1/kv/side", "majority");
        if written.status == 200 { Ok(()) } else { Err(written.text()) }
    });
    eprintln!("the majority took a write {:?} after the cut", cut.elapsed());
    let minority = cluster.servers[old].http().patience(LIMIT);
    let refused = minority.put("/v1/kv/side", "minority");
    assert_eq!((refused.status, refused.text().as_str()), (500, "No cluster leader"));
    for read in ["/v1/kv/side?consistent", "/v1/kv/side"] {
        assert_eq!(minority.get(read).status, 500, "{read}");
    }
    // What it knew before is still to be had by those who ask for no more, and they can tell.
    let stale = minority.get("/v1/kv/side?stale");
    assert!(matches!(stale.status, 200 | 404));
    assert_eq!(stale.header("x-consul-knownleader"), Some("false"));
    assert_eq!(minority.get("/v1/kv/side?stale&max_stale=1s").status, 500);
    assert_eq!(minority.json("/v1/status/leader"), "");
    cluster.network.heal();
    let healed = Instant::now();
    cluster.wait_until_whole();
    eprintln!("the cluster was whole {:?} after it was healed", healed.elapsed());
    assert_eq!(cluster.servers[old].http().kv("side").as_deref(), Some("majority"));
}

#[test]
fn a_follower_that_was_cut_off_does_not_unseat_the_leader() {
    let _turn = turn::take();
    let cluster = Cluster::of_three();
    let leader = cluster.wait_for_leader();
    let follower = (leader + 1) % 3;
    let load = Load::start(&cluster, 2);
    cluster.network.cut_off(&[Network::server(follower + 1)]);
    // Long enough for many elections to be due.
    std::thread::sleep(Duration::from_secs(4));
    cluster.network.heal();
    cluster.wait_until_whole();
    assert_eq!(cluster.wait_for_leader(), leader);
    load.stop_and_check(cluster.servers[leader].http());
    cluster.wait_until_equal();
}

#[test]
fn a_client_cut_off_from_all_servers_looks_after_its_own_and_catches_up() {
    let _turn = turn::take();
    let cluster = Cluster::start(&Plan { clients: 1, ..Plan::default() });
    let client = cluster.clients[0].http().patience(LIMIT);
    client.put_json(
        "/v1/agent/service/register",
        &json!({"Name": "web", "Check": {"TTL": "1h", "CheckID": "t"}}),
    );
    client.put("/v1/agent/check/pass/t", "").ok();
    let server = cluster.servers[0].http().patience(LIMIT);
    let healthy = |count: usize| {
        eventually_within(LIMIT, &format!("{count} healthy instances"), || {
            let found = server.get("/v1/health/service/web?passing&stale");
            let list = found.json();
            if list.as_array().is_some_and(|list| list.len() == count) {
                Ok(())
            } else {
                Err(list.to_string())
            }
        });
    };
    healthy(1);
    cluster.network.cut_off(&[Network::client(1)]);
    healthy(0);
    assert_eq!(client.json("/v1/agent/checks")["t"]["Status"], "passing");
    assert_eq!(client.get("/v1/agent/health/service/name/web").status, 200);
    client.put("/v1/agent/check/warn/t", "while away").ok();
    client.put_json("/v1/agent/service/register", &json!({"Name": "new"}));
    cluster.network.heal();
    eventually_within(LIMIT, "what happened meanwhile is in the catalog", || {
        let checks = server.json("/v1/health/checks/web");
        let is_known = checks[0]["Status"] == "warning"
            && !server.json("/v1/catalog/service/new").as_array().is_none_or(Vec::is_empty);
        if is_known { Ok(()) } else { Err(checks.to_string()) }
    });
}
