//! Blocking queries wake for what they wait for, and for nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Http, Response};
use serde_json::json;

/// How long queries wait that nothing is to wake.
const WAIT: Duration = Duration::from_millis(700);

/// Blocks on a path in the background.
fn block(http: Http, path: &str, index: u64, wait: Duration) -> thread::JoinHandle<(Response, Duration)> {
    let sign = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{sign}index={index}&wait={}ms", wait.as_millis());
    thread::spawn(move || {
        let start = Instant::now();
        (http.get(&path), start.elapsed())
    })
}

#[test]
fn unrelated_writes_wake_nobody() {
    let agent = Agent::start();
    let http = agent.http();
    assert_eq!(http.put("/v1/kv/app/one", "1").status, 200);
    http.put_json("/v1/agent/service/register", &json!({"Name": "web", "Port": 1}));
    agent.wait_for_service("web", 1);
    let paths = [
        "/v1/kv/app/one",
        "/v1/kv/app/?recurse",
        "/v1/kv/app/?keys",
        "/v1/kv/absent",
        "/v1/kv/nothing/?recurse",
        "/v1/health/service/web",
        "/v1/health/service/web?passing",
        "/v1/catalog/service/web",
        "/v1/health/checks/web",
    ];
    let waiting: Vec<_> = paths
        .iter()
        .map(|path| {
            let index = http.get(path).index();
            (path, index, block(http, path, index, WAIT))
        })
        .collect();
    let start = Instant::now();
    let mut writes = 0;
    while start.elapsed() < WAIT {
        assert_eq!(http.put(&format!("/v1/kv/other/{writes}"), "x").status, 200);
        let service = json!({"Name": format!("other-{writes}"), "Port": 1});
        http.put_json("/v1/agent/service/register", &service);
        writes += 1;
    }
    assert!(writes > 5, "the agent was hardly written to: {writes}");
    for (path, index, query) in waiting {
        let (response, elapsed) = query.join().unwrap();
        assert!(elapsed >= WAIT, "{path} was woken after {elapsed:?}");
        assert!(elapsed < WAIT * 4, "{path} waited {elapsed:?}");
        if response.status == 200 {
            assert_eq!(response.index(), index, "{path}");
        }
    }
}

#[test]
fn what_is_waited_for_wakes() {
    let agent = Agent::start();
    let http = agent.http();
    assert_eq!(http.put("/v1/kv/app/one", "1").status, 200);
    let long = Duration::from_secs(20);
    let awaited = [
        ("/v1/kv/app/one", 200),
        ("/v1/kv/app/?recurse", 200),
        ("/v1/kv/app/new", 404),
        ("/v1/kv/fresh/?keys", 404),
        ("/v1/health/service/later", 200),
        ("/v1/catalog/services", 200),
    ];
    let waiting: Vec<_> = awaited
        .iter()
        .map(|(path, status)| {
            let now = http.get(path);
            assert_eq!(now.status, *status, "{path}");
            (path, now.index(), block(http, path, now.index(), long))
        })
        .collect();
    for key in ["app/one", "app/new", "fresh/a"] {
        assert_eq!(http.put(&format!("/v1/kv/{key}"), "2").status, 200);
    }
    http.put_json("/v1/agent/service/register", &json!({"Name": "later", "Port": 1}));
    for (path, index, query) in waiting {
        let (response, elapsed) = query.join().unwrap();
        assert_eq!(response.status, 200, "{path}");
        assert!(response.index() > index, "{path}");
        assert!(elapsed < long / 2, "{path} was woken after {elapsed:?}");
    }
    // What goes away wakes, too, and the index does not go back.
    let before = http.get("/v1/kv/app/one").index();
    let waiting = block(http, "/v1/kv/app/one", before, long);
    assert_eq!(http.delete("/v1/kv/app/one").status, 200);
    let (response, elapsed) = waiting.join().unwrap();
    assert_eq!(response.status, 404);
    assert!(response.index() > before && elapsed < long / 2, "{} after {elapsed:?}", response.index());
}

#[test]
fn each_change_wakes_once() {
    let agent = Agent::start();
    let http = agent.http();
    assert_eq!(http.put("/v1/kv/watched", "0").status, 200);
    let start = http.get("/v1/kv/watched").index();
    let watcher = thread::spawn(move || {
        let (mut index, mut wakes, mut last) = (start, 0, String::new());
        while last != "done" {
            let response = http.get(&format!("/v1/kv/watched?raw&index={index}&wait=10s"));
            assert!(response.index() > index, "woken for nothing");
            (index, last) = (response.index(), response.text());
            wakes += 1;
        }
        wakes
    });
    for number in 0..50 {
        assert_eq!(http.put(&format!("/v1/kv/beside/{number}"), "x").status, 200);
    }
    for value in ["1", "2", "done"] {
        assert_eq!(http.put("/v1/kv/watched", value).status, 200);
    }
    let wakes = watcher.join().unwrap();
    assert!((1..=3).contains(&wakes), "woken {wakes} times by 3 changes");
}

#[test]
fn many_wait_and_all_are_woken_by_one_write() {
    let agent = Agent::builder().config(json!({"limits": {"http_max_conns_per_client": 0}})).start();
    let http = agent.http();
    assert_eq!(http.put("/v1/kv/crowd", "1").status, 200);
    let index = http.get("/v1/kv/crowd").index();
    let request = format!(
        "GET /v1/kv/crowd?raw&index={index}&wait=20s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    let waiting: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", agent.http_port())).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Others are served meanwhile, and disturb nobody.
    for number in 0..20 {
        assert_eq!(http.put(&format!("/v1/kv/beside/{number}"), "x").status, 200);
    }
    assert_eq!(http.put("/v1/kv/crowd", "awake").status, 200);
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nawake"), "{answer}");
    }
}

#[test]
fn odd_indexes_and_waits_are_met_with_patience() {
    let agent = Agent::start();
    let http = agent.http();
    assert_eq!(http.put("/v1/kv/a", "1").status, 200);
    let index = http.get("/v1/kv/a").index();
    // Far ahead: nothing can be newer, so it waits and then says where it is.
    let start = Instant::now();
    let response = http.get("/v1/kv/a?index=18446744073709551615&wait=300ms").ok();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(response.index(), index);
    // Behind and zero: at once.
    for asked in [0, 1] {
        let start = Instant::now();
        assert_eq!(http.get(&format!("/v1/kv/a?index={asked}&wait=20s")).ok().index(), index);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    for odd in ["index=-1", "index=x", "index=99999999999999999999999", "index=1&wait=soon", "wait=-5s"] {
        assert!(matches!(http.get(&format!("/v1/kv/a?{odd}")).status, 200 | 400), "{odd}");
    }
}
