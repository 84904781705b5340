//! Client agents, which have no state of their own.

use std::time::Duration;

use lictor_testkit::{Cluster, Plan, RecordType, eventually, eventually_within};
use serde_json::json;

use crate::turn;

const LIMIT: Duration = Duration::from_secs(40);

#[test]
fn everything_a_server_answers_a_client_answers_too() {
    let _turn = turn::take();
    let cluster = Cluster::start(&Plan { clients: 2, ..Plan::default() });
    let (one, other) = (cluster.clients[0].http(), cluster.clients[1].http());
    one.put("/v1/kv/a", "b").ok();
    assert_eq!(other.kv("a").as_deref(), Some("b"));
    one.put_json("/v1/agent/service/register", &json!({"Name": "web", "Port": 80}));
    eventually("the service is known everywhere", || {
        let answer = cluster.clients[1].dns().query("web.service.consul.", RecordType::A);
        if answer.answers.len() == 1 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    let session = one.put_json("/v1/session/create", &json!({"TTL": "60s"})).json();
    let id = session["ID"].as_str().expect("an id");
    assert_eq!(other.put(&format!("/v1/kv/lock?acquire={id}"), "mine").ok().text(), "true");
    assert_eq!(one.put(&format!("/v1/kv/lock?acquire={id}-"), "not mine").status, 500);
    let query = json!({"Name": "q", "Service": {"Service": "web", "Near": "_agent"}});
    one.request("POST", "/v1/query", query.to_string().as_bytes()).expect("an answer").ok();
    assert_eq!(other.json("/v1/query/q/execute")["Nodes"][0]["Service"]["Port"], 80);
    assert_eq!(other.get("/v1/query/nosuch/execute").status, 404);
    assert_eq!(cluster.clients[1].dns().query("q.query.consul.", RecordType::A).answers.len(), 1);
    let index = one.get("/v1/kv/a").index();
    let waiting =
        std::thread::spawn(move || one.get(&format!("/v1/kv/a?index={index}&wait=30s")).ok().json());
    other.put("/v1/kv/a", "c").ok();
    assert_eq!(waiting.join().expect("an answer")[0]["Value"], "Yw==");
}

#[test]
fn a_blocking_query_outlives_the_server_it_was_asked_of() {
    let _turn = turn::take();
    let mut cluster = Cluster::start(&Plan { clients: 1, ..Plan::default() });
    let client = cluster.clients[0].http().patience(LIMIT);
    client.put("/v1/kv/a", "1").ok();
    let index = client.get("/v1/kv/a").index();
    let waiting = std::thread::spawn(move || client.get(&format!("/v1/kv/a?index={index}&wait=60s")));
    let leader = cluster.wait_for_leader();
    cluster.servers[leader].kill();
    let next = cluster.wait_for_leader();
    eventually_within(LIMIT, "a write", || {
        let written = cluster.servers[next].http().put("/v1/kv/a", "2");
        if written.status == 200 { Ok(()) } else { Err(written.text()) }
    });
    let answer = waiting.join().expect("an answer").ok().json();
    assert_eq!(answer[0]["Value"], "Mg==");
}
