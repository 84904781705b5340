//! How soon agents that are gone leave DNS, and that those that are there do not.

use std::time::{Duration, Instant};

use lictor_testkit::{Cluster, Plan, RecordType, eventually_within};
use serde_json::json;

use crate::turn;

const LIMIT: Duration = Duration::from_secs(40);
/// The longest median: several times of what a quiet machine needs.
const MEDIAN: Duration = Duration::from_secs(12);

fn plan() -> Plan {
    // Default timing of everything: this is what users will see.
    Plan { servers: 3, clients: 2, config: json!({"performance": {"raft_multiplier": 5}}) }
}

#[test]
fn a_killed_client_leaves_dns() {
    let _turn = turn::take();
    let mut cluster = Cluster::start(&plan());
    let rounds = if std::env::var("LICTOR_LONG_TESTS").is_ok() { 10 } else { 3 };
    cluster.clients[0].http().put_json("/v1/agent/service/register", &json!({"Name": "web", "Port": 80}));
    let dns = cluster.clients[1].dns();
    let wait_for = |count: usize| {
        eventually_within(LIMIT, &format!("{count} addresses in DNS"), || {
            let found = dns.query("web.service.consul.", RecordType::A).answers.len();
            if found == count { Ok(()) } else { Err(found.to_string()) }
        });
    };
    let mut delays: Vec<Duration> = (0..rounds)
        .map(|_| {
            wait_for(1);
            cluster.clients[0].kill();
            let killed = Instant::now();
            wait_for(0);
            let delay = killed.elapsed();
            cluster.clients[0].spawn();
            delay
        })
        .collect();
    delays.sort();
    assert!(delays[delays.len() / 2] < MEDIAN, "{delays:?}");
    eprintln!("from SIGKILL to gone from DNS, median {:?}, all {delays:?}", delays[delays.len() / 2]);
}

#[test]
fn lost_packets_make_nobody_fail() {
    let _turn = turn::take();
    let cluster = Cluster::start(&plan());
    cluster.network.lose(5);
    let minutes = std::env::var("LICTOR_LONG_TESTS").map_or(0.5, |_| 10.0);
    std::thread::sleep(Duration::from_secs_f64(60.0 * minutes));
    for agent in cluster.running() {
        assert!(!agent.log().contains("EventMemberFailed"), "somebody was taken for dead");
    }
}
