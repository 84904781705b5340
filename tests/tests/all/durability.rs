//! What was acknowledged survives the power button.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Http, eventually};
use rand::Rng;
use serde_json::{Value, json};

/// How often the agent is killed.
const ROUNDS: usize = 4;
/// How many threads write keys.
const WRITERS: usize = 6;

/// What the agent has said yes to.
#[derive(Default)]
struct Acknowledged {
    keys: Mutex<BTreeMap<String, String>>,
    services: Mutex<Vec<String>>,
    checks: Mutex<Vec<String>>,
    /// The last value of the counter.
    counter: AtomicU64,
    /// The highest index that was seen.
    index: AtomicU64,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let mut agent = Agent::start();
    let acknowledged = Acknowledged::default();
    let mut random = rand::rng();
    assert_eq!(agent.http().put("/v1/kv/counter?cas=0", "0").ok().text(), "true");
    for round in 0..ROUNDS {
        let http = agent.http();
        let until = Instant::now() + Duration::from_millis(random.random_range(150..600));
        thread::scope(|scope| {
            let acknowledged = &acknowledged;
            for writer in 0..WRITERS {
                scope.spawn(move || write_keys(http, acknowledged, &format!("r{round}/w{writer}")));
            }
            scope.spawn(move || count(http, acknowledged));
            scope.spawn(move || register(http, acknowledged, round));
            while Instant::now() < until {
                let response = http.get("/v1/kv/?recurse");
                acknowledged.index.fetch_max(response.index(), Ordering::SeqCst);
            }
            agent.kill();
        });
        agent.restart();
        verify(&agent, &acknowledged);
    }
    let (keys, services) =
        (acknowledged.keys.lock().unwrap().len(), acknowledged.services.lock().unwrap().len());
    let counted = acknowledged.counter.load(Ordering::SeqCst);
    assert!(
        keys > 50 && services > 5 && counted > 10,
        "too little was written: {keys}, {services}, {counted}"
    );
}

/// Writes until the agent is gone.
fn write_keys(http: Http, acknowledged: &Acknowledged, prefix: &str) {
    for number in 0_u64.. {
        let (key, value) = (format!("{prefix}/{number}"), format!("value {number}"));
        match http.request("PUT", &format!("/v1/kv/{key}"), value.as_bytes()) {
            Ok(response) if response.status == 200 && response.body == b"true" => {
                acknowledged.keys.lock().unwrap().insert(key, value);
            }
            _ => return,
        }
    }
}

/// Counts by compare-and-set until the agent is gone.
fn count(http: Http, acknowledged: &Acknowledged) {
    loop {
        let Ok(response) = http.request("GET", "/v1/kv/counter", b"") else { return };
        if response.status != 200 {
            return;
        }
        let index = response.json()[0]["ModifyIndex"].as_u64().unwrap();
        let Ok(value) = http.request("GET", "/v1/kv/counter?raw", b"") else { return };
        let next = value.text().parse::<u64>().unwrap() + 1;
        match http.request("PUT", &format!("/v1/kv/counter?cas={index}"), next.to_string().as_bytes()) {
            Ok(response) if response.status == 200 && response.body == b"true" => {
                acknowledged.counter.store(next, Ordering::SeqCst);
            }
            Ok(response) if response.status == 200 => panic!("nobody else counts: {}", response.text()),
            _ => return,
        }
    }
}

/// Registers services until the agent is gone.
fn register(http: Http, acknowledged: &Acknowledged, round: usize) {
    for number in 0_u64.. {
        let name = format!("service-{round}-{number}");
        let service = json!({"Name": name, "Port": 1, "Check": {"TTL": "1h", "Status": "passing"}});
        match http.request("PUT", "/v1/agent/service/register", service.to_string().as_bytes()) {
            Ok(response) if response.status == 200 => acknowledged.services.lock().unwrap().push(name),
            _ => return,
        }
        let name = format!("check-{round}-{number}");
        let check = json!({"Name": name, "TTL": "1h"});
        match http.request("PUT", "/v1/agent/check/register", check.to_string().as_bytes()) {
            Ok(response) if response.status == 200 => acknowledged.checks.lock().unwrap().push(name),
            _ => return,
        }
    }
}

fn verify(agent: &Agent, acknowledged: &Acknowledged) {
    let http = agent.http();
    let found = http.get("/v1/kv/?recurse");
    let before = acknowledged.index.load(Ordering::SeqCst);
    assert!(found.index() >= before, "the index went back from {before} to {}", found.index());
    let there: BTreeMap<String, u64> = found
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["Key"].as_str().unwrap().to_owned(), entry["ModifyIndex"].as_u64().unwrap()))
        .collect();
    for key in acknowledged.keys.lock().unwrap().keys() {
        assert!(there.contains_key(key), "{key} was acknowledged and is gone");
    }
    // A write that was not acknowledged may have happened, but never half.
    for key in there.keys().filter(|key| key.starts_with('r')).take(200) {
        let number = key.rsplit('/').next().unwrap();
        assert_eq!(http.kv(key), Some(format!("value {number}")), "{key}");
    }
    let counter: u64 = http.kv("counter").unwrap().parse().unwrap();
    let counted = acknowledged.counter.load(Ordering::SeqCst);
    assert!(counter == counted || counter == counted + 1, "counted to {counted}, found {counter}");

    let services = http.json("/v1/agent/services");
    let checks = http.json("/v1/agent/checks");
    for name in acknowledged.services.lock().unwrap().iter() {
        assert!(services.get(name).is_some(), "service {name} was acknowledged and is gone");
        assert!(checks.get(format!("service:{name}")).is_some(), "the check of {name} is gone");
    }
    for name in acknowledged.checks.lock().unwrap().iter() {
        assert!(checks.get(name).is_some(), "check {name} was acknowledged and is gone");
    }
    let last = acknowledged.services.lock().unwrap().last().cloned();
    if let Some(name) = last {
        eventually("the last service is in the catalog", || {
            let found = http.json(&format!("/v1/catalog/service/{name}"));
            if found.as_array().is_some_and(|list| list.len() == 1) { Ok(()) } else { Err(found.to_string()) }
        });
    }
}

#[test]
fn what_is_lost_is_noticed() {
    let mut agent = Agent::start();
    let acknowledged = Acknowledged::default();
    assert_eq!(agent.http().put("/v1/kv/counter", "0").ok().text(), "true");
    assert_eq!(agent.http().put("/v1/kv/r0/w0/0", "value 0").ok().text(), "true");
    acknowledged.keys.lock().unwrap().insert("r0/w0/0".to_owned(), "value 0".to_owned());
    verify(&agent, &acknowledged);
    agent.kill();
    std::fs::remove_dir_all(agent.data_dir().join("raft")).unwrap();
    agent.restart();
    assert_eq!(agent.http().put("/v1/kv/counter", "0").ok().text(), "true");
    let verified = std::panic::catch_unwind(AssertUnwindSafe(|| verify(&agent, &acknowledged)));
    let complaint = verified.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*complaint, "r0/w0/0 was acknowledged and is gone");
}

#[test]
fn indexes_go_on_after_an_orderly_restart() {
    let mut agent = Agent::start();
    assert_eq!(agent.http().put("/v1/kv/a", "1").status, 200);
    let before = agent.http().get("/v1/kv/a").index();
    agent.stop(lictor_testkit::Signal::TERM);
    agent.restart();
    let after = agent.http().get("/v1/kv/a");
    assert_eq!(after.index(), before, "an entry keeps its index");
    assert_eq!(agent.http().put("/v1/kv/a", "2").status, 200);
    assert!(agent.http().get("/v1/kv/a").index() > before);
}

#[test]
fn checks_of_services_are_after_a_restart_as_they_were_before() {
    let mut agent = Agent::start();
    let http = agent.http();
    let ttl = |name: &str| json!({"Name": name, "TTL": "10m"});
    let web = |checks: Value| json!({"Name": "web", "Port": 80, "Checks": checks});
    http.put_json("/v1/agent/service/register", &web(json!([ttl("a"), ttl("b"), ttl("c")]))).ok();
    // Registered once more with less, the service keeps the checks that it had.
    http.put_json("/v1/agent/service/register", &json!({"Name": "web", "Port": 81})).ok();
    http.put("/v1/agent/check/deregister/service:web:2", "").ok();
    http.put("/v1/agent/check/pass/service:web:3", "").ok();
    let shown = |http: Http| {
        let checks = http.json("/v1/agent/checks");
        let shown = checks.as_object().unwrap().iter().map(|(id, check)| {
            (id.clone(), check["Name"].clone(), check["Status"].clone(), check["ServiceID"].clone())
        });
        shown.collect::<Vec<_>>()
    };
    let before = shown(http);
    let ids: Vec<&str> = before.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["service:web:1", "service:web:3"]);
    agent.kill();
    agent.restart();
    agent.wait_for_leader();
    assert_eq!(shown(agent.http()), before);
    assert_eq!(agent.http().json("/v1/agent/service/web")["Port"], 81);
    // Registered once more with checks to replace those, it has no others after a restart either.
    let replace = "/v1/agent/service/register?replace-existing-checks=true";
    agent.http().put_json(replace, &web(json!([ttl("d")]))).ok();
    let before = shown(agent.http());
    assert_eq!(before.len(), 1);
    agent.kill();
    agent.restart();
    agent.wait_for_leader();
    assert_eq!(shown(agent.http()), before);
}
