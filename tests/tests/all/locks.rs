//! Sessions and locks over the API, across failures.

use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Http, eventually};
use serde_json::{Value, json};

fn create_session(http: Http, wanted: &Value) -> String {
    let created = http.put_json("/v1/session/create", wanted).ok().json();
    created["ID"].as_str().unwrap().to_owned()
}

fn acquire(http: Http, session: &str) -> bool {
    http.put(&format!("/v1/kv/leader?acquire={session}"), session).ok().text() == "true"
}

fn is_there(http: Http, session: &str) -> bool {
    http.json(&format!("/v1/session/info/{session}")) != json!([])
}

#[test]
fn a_lock_survives_a_crash_and_its_delay_is_kept_after_it_is_lost() {
    let mut agent = Agent::start();
    let holder = create_session(agent.http(), &json!({"LockDelay": "2s"}));
    assert!(acquire(agent.http(), &holder));
    agent.kill();
    agent.restart();
    agent.wait_for_leader();
    let http = agent.http();
    let rival = create_session(http, &json!({"LockDelay": "0s"}));
    assert!(!acquire(http, &rival), "the lock is still held");

    let lost = Instant::now();
    assert_eq!(http.put(&format!("/v1/session/destroy/{holder}"), "").ok().text(), "true");
    assert_eq!(http.json("/v1/kv/leader")[0]["Session"], Value::Null);
    eventually("the delay is over", || {
        acquire(http, &rival).then_some(()).ok_or_else(|| "delayed".to_owned())
    });
    assert!(lost.elapsed() >= Duration::from_secs(2), "it was locked too early");
}

#[test]
fn a_restarted_leader_never_expires_a_session_early() {
    let mut agent = Agent::builder().config(json!({"session_ttl_min": "1s"})).start();
    let session = create_session(agent.http(), &json!({"TTL": "1s", "LockDelay": "0s"}));
    let before_kill = Instant::now();
    agent.kill();
    agent.restart();
    agent.wait_for_leader();
    let http = agent.http();
    eventually("the session expires", || {
        (!is_there(http, &session)).then_some(()).ok_or_else(|| "alive".to_owned())
    });
    assert!(before_kill.elapsed() >= Duration::from_secs(2), "it has twice its time to live");
}

#[test]
fn a_renewed_session_lives_on_and_an_unknown_one_is_told() {
    let agent = Agent::builder().config(json!({"session_ttl_min": "500ms"})).start();
    let http = agent.http();
    let session = create_session(http, &json!({"TTL": "500ms", "Behavior": "delete", "LockDelay": "0s"}));
    assert!(acquire(http, &session));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let renewed = http.put(&format!("/v1/session/renew/{session}"), "").ok().json();
        assert_eq!(renewed[0]["ID"], session.as_str());
    }
    eventually("its key goes with it", || match http.kv("leader") {
        None => Ok(()),
        Some(value) => Err(value),
    });
    assert_eq!(http.put(&format!("/v1/session/renew/{session}"), "").status, 404);
}

#[test]
fn only_one_of_many_rivals_gets_the_lock() {
    let agent = Agent::start();
    let http = agent.http();
    let sessions: Vec<String> = (0..8).map(|_| create_session(http, &json!({"LockDelay": "0s"}))).collect();
    for _ in 0..5 {
        let winners: Vec<&String> = std::thread::scope(|scope| {
            let tries: Vec<_> = sessions
                .iter()
                .map(|session| scope.spawn(move || acquire(http, session).then_some(session)))
                .collect();
            tries.into_iter().filter_map(|attempt| attempt.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1, "{winners:?}");
        let released = http.put(&format!("/v1/kv/leader?release={}", winners[0]), "").ok().text();
        assert_eq!(released, "true");
    }
}
