//! Prepared queries as their users have them: over HTTP, over DNS, across a crash.

use std::net::Ipv4Addr;
use std::thread;

use lictor_testkit::{Agent, Http, Rcode, Record, RecordType, eventually};
use serde_json::{Value, json};

fn create(http: Http, query: &Value) -> String {
    let created = http.request("POST", "/v1/query", query.to_string().as_bytes()).unwrap().ok().json();
    created["ID"].as_str().unwrap().to_owned()
}

/// An instance of a service on a node of its own, which has a tag with the node's name. It must not be
/// the agent's node: the agent clears away what it does not know there.
fn register(http: Http, node: &str, address: &str, service: &str, status: &str) {
    let registration = json!({
        "Node": node, "Address": address,
        "Service": {"Service": service, "Port": 80, "Tags": [node]},
        "Check": {"CheckID": "alive", "ServiceID": service, "Status": status}
    });
    http.put_json("/v1/catalog/register", &registration);
}

fn nodes(http: Http, path: &str) -> Vec<String> {
    let answer = http.json(path);
    let nodes = answer["Nodes"].as_array().unwrap().iter();
    nodes.map(|found| found["Node"]["Node"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_query_is_kept_changed_and_forgotten() {
    let mut agent = Agent::start();
    let session = agent.http().put_json("/v1/session/create", &json!({})).json()["ID"].clone();
    let bound = create(agent.http(), &json!({"Session": session, "Service": {"Service": "web"}}));
    let id = create(agent.http(), &json!({"Name": "web", "Service": {"Service": "web", "Tags": []}}));
    agent.kill();
    agent.restart();
    agent.wait_for_leader();

    let http = agent.http();
    let found = http.get(&format!("/v1/query/{}", id.to_uppercase())).ok();
    assert_eq!(found.json()[0]["Service"]["Tags"], json!([]));
    assert_eq!(found.json()[0]["Service"]["NodeMeta"], Value::Null);
    let path = format!("/v1/query/{id}?index={}&wait=30s", found.index());
    let waiting = thread::spawn(move || http.get(&path));
    let changed = json!({"ID": "ignored", "Name": "db", "Service": {"Service": "db"}});
    assert_eq!(http.put_json(&format!("/v1/query/{id}"), &changed).text(), "");
    assert_eq!(waiting.join().unwrap().ok().json()[0]["Name"], "db");

    assert_eq!(http.json("/v1/query").as_array().unwrap().len(), 2);
    http.put(&format!("/v1/session/destroy/{}", session.as_str().unwrap()), "").ok();
    let gone = http.get(&format!("/v1/query/{bound}"));
    assert_eq!((gone.status, gone.text().as_str()), (404, "Query not found"));
    http.request("DELETE", &format!("/v1/query/{id}"), b"").unwrap().ok();
    let again = http.request("DELETE", &format!("/v1/query/{id}"), b"").unwrap();
    assert_eq!(again.text(), format!("Cannot modify non-existent prepared query: '{id}'"));
    assert_eq!(http.json("/v1/query"), json!([]));
}

#[test]
fn a_query_finds_the_same_over_http_and_dns() {
    let agent = Agent::start();
    let http = agent.http();
    for (node, address, status) in
        [("m1", "10.0.0.1", "passing"), ("m2", "10.0.0.2", "warning"), ("m3", "10.0.0.3", "critical")]
    {
        register(http, node, address, "web", status);
    }
    let id = create(
        http,
        &json!({"Name": "all.of.it", "Service": {"Service": "web", "Near": "m2"}, "DNS": {"TTL": "9s"}}),
    );
    for name in ["all.of.it", "ALL.of.it", &id] {
        assert_eq!(nodes(http, &format!("/v1/query/{name}/execute")), ["m2", "m1"]);
        assert_eq!(nodes(http, &format!("/v1/query/{name}/execute?near=m1&limit=1")), ["m1"]);
        assert!(nodes(http, &format!("/v1/query/{name}/execute?connect=true")).is_empty());
        let addresses = agent.dns().addresses(&format!("{name}.query.consul"));
        assert_eq!(addresses, [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1)]);
    }
    let answer = agent.dns().query("_all.of.it._tcp.query.dc1.consul", RecordType::Srv);
    let target = |name: &str| Record::Srv { port: 80, target: format!("{name}.node.dc1.consul.") };
    assert_eq!(answer.answers, [target("m2"), target("m1")]);
    assert_eq!(agent.dns().query("nosuch.query.consul", RecordType::A).rcode, Rcode::NxDomain);
    let answer = http.json("/v1/query/all.of.it/execute");
    for (field, value) in [
        ("Service", json!("web")),
        ("Datacenter", json!("dc1")),
        ("Failovers", json!(0)),
        ("DNS", json!({"TTL": "9s"})),
        ("KnownLeader", json!(true)),
    ] {
        assert_eq!(answer[field], value, "{field}");
    }
}

#[test]
fn a_kept_answer_follows_its_query_and_goes_with_it() {
    let agent = Agent::start();
    let http = agent.http();
    let id = create(http, &json!({"Name": "q", "Service": {"Service": "web"}}));
    let kept = "/v1/query/q/execute?cached";
    assert!(nodes(http, kept).is_empty());
    register(http, "m1", "10.0.0.1", "web", "passing");
    eventually("the kept answer has the instance", || {
        if nodes(http, kept) == ["m1"] { Ok(()) } else { Err("nothing yet".to_owned()) }
    });
    assert_eq!(http.get(kept).header("x-cache"), Some("HIT"));
    http.request("DELETE", &format!("/v1/query/{id}"), b"").unwrap().ok();
    eventually("nothing is kept of what is gone", || {
        let status = http.get(kept).status;
        if status == 404 { Ok(()) } else { Err(status.to_string()) }
    });
}

#[test]
fn a_template_answers_for_what_begins_with_its_name() {
    let agent = Agent::start();
    let http = agent.http();
    register(http, "m1", "10.0.0.1", "db", "passing");
    register(http, "m2", "127.0.0.1", "db", "passing");
    let template = |name: &str, service: Value| {
        let kind =
            json!({"Type": "name_prefix_match", "Regexp": "^geo-(.*?)(-([^-]*))?$", "RemoveEmptyTags": true});
        create(http, &json!({"Name": name, "Template": kind, "Service": service}));
    };
    template("", json!({"Service": "${name.full}", "Near": "_ip"}));
    template("geo-", json!({"Service": "${match(1)}", "Tags": ["${match(3)}"]}));

    let explained = http.json("/v1/query/geo-db-m1/explain");
    assert_eq!(explained["Query"]["Service"]["Service"], "db");
    assert_eq!(explained["Query"]["Service"]["Tags"], json!(["m1"]));
    assert_eq!(nodes(http, "/v1/query/geo-db-m1/execute"), ["m1"]);
    assert_eq!(nodes(http, "/v1/query/geo-db/execute").len(), 2);
    // The one for all other names, near who asks.
    assert_eq!(nodes(http, "/v1/query/db/execute"), ["m2", "m1"]);
    let addresses = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 0, 0, 1)];
    assert_eq!(agent.dns().addresses("db.query.consul"), addresses);
    assert_eq!(agent.dns().addresses("geo-db-m1.query.consul"), addresses[1..]);
}
