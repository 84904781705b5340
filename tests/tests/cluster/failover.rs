//! Leaders that die, stop and come back.

use std::time::{Duration, Instant};

use lictor_testkit::{Cluster, Plan, Signal, eventually_within};
use serde_json::json;

use crate::load::Load;
use crate::turn;

/// How long anything here may take before it counts as broken; how fast it is, is printed.
const LIMIT: Duration = Duration::from_secs(30);
/// The same for the median: several times of what a quiet machine needs.
const MEDIAN: Duration = Duration::from_secs(10);

/// What was acknowledged before a kill may be noted this long after it.
const LATE: Duration = Duration::from_millis(50);

/// Kills the leader again and again; returns how long each time it took to the next accepted write.
fn kill_leaders(cluster: &mut Cluster, load: &Load, kills: usize) -> Vec<Duration> {
    let mut outages = Vec::new();
    for _ in 0..kills {
        let leader = cluster.wait_for_leader();
        cluster.servers[leader].kill();
        let killed = Instant::now();
        let accepted = eventually_within(LIMIT, "a write after the leader was killed", || {
            load.first_after(killed + LATE).ok_or_else(|| format!("{} writes", load.count()))
        });
        outages.push(accepted - killed);
        cluster.servers[leader].spawn();
        cluster.wait_until_whole();
    }
    outages.sort();
    outages
}

fn kill_ten(multiplier: u32) {
    let _turn = turn::take();
    let config = json!({"performance": {"raft_multiplier": multiplier}});
    let mut cluster = Cluster::start(&Plan { config, ..Plan::default() });
    let load = Load::start(&cluster, 4);
    let outages = kill_leaders(&mut cluster, &load, 10);
    let leader = cluster.wait_for_leader();
    load.stop_and_check(cluster.servers[leader].http());
    assert!(outages[5] < MEDIAN, "{outages:?}");
    eprintln!(
        "raft_multiplier {multiplier}: from kill to accepted write, median {:?}, all {outages:?}",
        outages[5]
    );
}

#[test]
fn ten_killed_leaders_lose_nothing_at_the_shortest_timeouts() {
    kill_ten(1);
}

#[test]
fn ten_killed_leaders_lose_nothing_at_default_timeouts() {
    kill_ten(5);
}

#[test]
fn a_busy_cluster_elects_nobody() {
    let _turn = turn::take();
    let config = json!({"performance": {"raft_multiplier": 5}});
    let cluster = Cluster::start(&Plan { clients: 1, config, ..Plan::default() });
    let leader = cluster.wait_for_leader();
    let term = |server: usize| {
        let agent = cluster.servers[server].http().json("/v1/agent/self");
        agent["Stats"]["raft"]["term"].as_str().expect("a term").to_owned()
    };
    let before = term(leader);
    let load = Load::start(&cluster, 4);
    let minutes = std::env::var("LICTOR_LONG_TESTS").map_or(0.5, |_| 10.0);
    std::thread::sleep(Duration::from_secs_f64(60.0 * minutes));
    load.stop_and_check(cluster.servers[leader].http());
    assert_eq!((cluster.wait_for_leader(), term(leader)), (leader, before), "there was an election");
}

#[test]
fn servers_that_were_all_killed_at_once_have_everything() {
    let _turn = turn::take();
    let mut cluster = Cluster::of_three();
    let load = Load::start(&cluster, 4);
    eventually_within(LIMIT, "some writes", || {
        if load.count() > 500 { Ok(()) } else { Err(load.count().to_string()) }
    });
    for server in &mut cluster.servers {
        server.kill();
    }
    for server in &mut cluster.servers {
        server.spawn();
    }
    cluster.wait_until_whole();
    let before = load.count();
    eventually_within(LIMIT, "writes go on", || {
        if load.count() > before { Ok(()) } else { Err(load.count().to_string()) }
    });
    let leader = cluster.wait_for_leader();
    load.stop_and_check(cluster.servers[leader].http());
}

#[test]
fn a_leader_that_was_stopped_for_a_while_follows_when_it_goes_on() {
    let _turn = turn::take();
    let cluster = Cluster::of_three();
    let load = Load::start(&cluster, 4);
    let leader = cluster.wait_for_leader();
    cluster.servers[leader].signal(Signal::STOP);
    let stopped = Instant::now();
    // Writes that went to the stopped server end by their client's patience first.
    eventually_within(LIMIT, "writes go on without the leader", || {
        load.first_after(stopped + Duration::from_millis(500)).ok_or_else(|| load.count().to_string())
    });
    cluster.servers[leader].signal(Signal::CONT);
    cluster.wait_until_whole();
    let new = cluster.wait_for_leader();
    assert_ne!(new, leader);
    load.stop_and_check(cluster.servers[new].http());
    cluster.wait_until_equal();
}

#[test]
fn a_rolling_restart_fails_no_stale_read() {
    let _turn = turn::take();
    let mut cluster = Cluster::start(&Plan { clients: 1, ..Plan::default() });
    cluster.servers[0].http().put("/v1/kv/roll", "on").ok();
    cluster.wait_until_equal();
    let client = cluster.clients[0].http().patience(LIMIT);
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = {
        let done = std::sync::Arc::clone(&done);
        std::thread::spawn(move || {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let read = client.get("/v1/kv/roll?stale&raw");
                assert_eq!((read.status, read.text()), (200, "on".to_owned()), "after {reads} reads");
                reads += 1;
            }
            reads
        })
    };
    for server in 0..cluster.servers.len() {
        assert_eq!(cluster.servers[server].stop(Signal::TERM), 1);
        cluster.servers[server].spawn();
        // As an operator would: the next one only when this one is back.
        cluster.wait_until_equal();
        cluster.wait_until_whole();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let reads = reader.join().expect("no read failed");
    eprintln!("{reads} stale reads during a rolling restart");
    assert!(reads > 10);
}
