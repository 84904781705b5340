//! An agent with many services, and a store with many keys.

use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Builder, Http};
use serde_json::{Value, json};

use crate::{line, resident};

/// How many services the agent has; each with two checks.
const SERVICES: usize = 5000;
/// How many registrations are under way at once.
const WRITERS: usize = 8;
/// How many keys the store has.
const KEYS: usize = 100_000;
/// How many of them one transaction writes.
const KEYS_AT_ONCE: usize = 64;
/// How long anything may take.
const GIVE_UP: Duration = Duration::from_secs(120);

/// Registers many services, restarts, and prints what it took.
pub(crate) fn services(agent: Builder) {
    let mut agent = agent.start();
    let before = resident(&agent);
    let start = Instant::now();
    in_parallel(agent.http(), SERVICES, |http, number| {
        let check = |kind: &str| json!({"Name": kind, "TTL": "1h", "Status": "passing"});
        let service = json!({"Name": format!("s{number}"), "ID": format!("s{number}"), "Port": 80, "Tags": ["bench"],
            "Checks": [check("alive"), check("ready")]});
        http.put_json("/v1/agent/service/register", &service).ok();
    });
    let took = start.elapsed();
    line("5,000 services: registrations", &format!("{:.0}/s", SERVICES as f64 / took.as_secs_f64()));
    let synced = until(|| in_catalog(&agent) == SERVICES);
    line("5,000 services: all in the catalog", &format!("{synced:.0?} after the last"));
    let each = (resident(&agent) - before) / SERVICES as f64;
    line("5,000 services: memory of each", &format!("{:.1} KiB", each / 1024.0));
    // A catalog that has lost them all: everything is compared, everything written again.
    agent.http().put_json("/v1/catalog/deregister", &json!({"Node": "n1"})).ok();
    agent.kill();
    agent.spawn();
    let started =
        until(|| agent.http().request("GET", "/v1/agent/self", b"").is_ok_and(|answer| answer.status == 200));
    line("5,000 services: exec to answers", &format!("{started:.0?}"));
    let synced = until(|| in_catalog(&agent) == SERVICES);
    line("5,000 services: full sync", &format!("{synced:.0?} from an empty catalog"));
}

fn in_catalog(agent: &Agent) -> usize {
    let Ok(answer) = agent.http().request("GET", "/v1/catalog/services", b"") else { return 0 };
    let services: Value = if answer.status == 200 { answer.json() } else { Value::Null };
    services.as_object().map_or(0, |services| services.keys().filter(|name| name.starts_with('s')).count())
}

/// Fills the store, lists it whole and empties it, and prints what it took.
pub(crate) fn keys(agent: Builder) {
    let agent = agent.start();
    let before = resident(&agent);
    let start = Instant::now();
    in_parallel(agent.http(), KEYS / KEYS_AT_ONCE, |http, number| {
        let operation = |key: usize| json!({"KV": {"Verb": "set", "Key": format!("bench/{number}/{key}"), "Value": "YSB2YWx1ZQ=="}});
        let operations: Vec<Value> = (0..KEYS_AT_ONCE).map(operation).collect();
        http.put_json("/v1/txn", &json!(operations)).ok();
    });
    line("100,000 keys: by transactions", &format!("{:.0}/s", KEYS as f64 / start.elapsed().as_secs_f64()));
    line("100,000 keys: memory of each", &format!("{:.0} bytes", (resident(&agent) - before) / KEYS as f64));
    let start = Instant::now();
    let listed = agent.http().get("/v1/kv/bench/?recurse").ok();
    line("100,000 keys: recursive list", &format!("{:.0?}, {} bytes", start.elapsed(), listed.body.len()));
    let start = Instant::now();
    agent.http().delete("/v1/kv/bench/?recurse").ok();
    line("100,000 keys: recursive delete", &format!("{:.0?}", start.elapsed()));
}

fn in_parallel(http: Http, count: usize, work: impl Fn(Http, usize) + Sync) {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let work = &work;
            scope.spawn(move || (writer..count).step_by(WRITERS).for_each(|number| work(http, number)));
        }
    });
}

fn until(mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GIVE_UP, "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}
