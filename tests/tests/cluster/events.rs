//! Events that are fired and heard of by agents everywhere.

use std::time::Duration;

use lictor_testkit::{Agent, Cluster, Plan, eventually_within};
use serde_json::json;

use crate::turn;

const LIMIT: Duration = Duration::from_secs(30);

fn heard(agent: &Agent) -> Vec<String> {
    let list = agent.http().json("/v1/event/list");
    list.as_array().unwrap().iter().map(|event| event["Name"].as_str().unwrap().to_owned()).collect()
}

fn wait_for(agent: &Agent, names: &[&str]) {
    eventually_within(LIMIT, "the events come", || {
        let heard = heard(agent);
        if heard == names { Ok(()) } else { Err(format!("{heard:?}")) }
    });
}

#[test]
fn whoever_fires_an_event_all_who_are_meant_hear_of_it_once() {
    let _turn = turn::take();
    let config = json!({"encrypt": "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="});
    let mut cluster = Cluster::start(&Plan { clients: 2, config, ..Plan::default() });
    cluster.clients[0].http().put("/v1/event/fire/from-a-client", "p").ok();
    cluster.servers.iter().chain(&cluster.clients).for_each(|agent| wait_for(agent, &["from-a-client"]));
    cluster.servers[1].http().put("/v1/event/fire/for-clients?node=%5Ec", "").ok();
    cluster.clients.iter().for_each(|agent| wait_for(agent, &["from-a-client", "for-clients"]));

    // Without a leader any server that has seen one will do.
    let leader = cluster.wait_for_leader();
    cluster.servers[leader].kill();
    let other = (leader + 1) % 3;
    cluster.servers[other].http().put("/v1/event/fire/meanwhile", "").ok();
    cluster.clients.iter().for_each(|agent| wait_for(agent, &["from-a-client", "for-clients", "meanwhile"]));

    // Who comes back is told nothing that is over.
    let _ = cluster.wait_for_leader();
    cluster.servers[leader].spawn();
    cluster.wait_until_whole();
    cluster.clients[1].http().put("/v1/event/fire/after", "").ok();
    wait_for(&cluster.servers[leader], &["after"]);
    wait_for(&cluster.servers[other], &["from-a-client", "meanwhile", "after"]);
}
