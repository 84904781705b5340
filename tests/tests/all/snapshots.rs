//! The whole state as a file, over the API and by the commands.

use std::time::Duration;

use lictor_testkit::{Agent, eventually};
use serde_json::json;

/// Larger than a piece of a transfer, and not to be compressed to less.
fn large(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    (0..400_000).map(|_| next()).collect()
}

#[test]
fn a_state_of_many_pieces_comes_back_and_survives_a_restart() {
    let mut agent = Agent::start();
    let http = agent.http();
    for number in 0..10 {
        http.put(&format!("/v1/kv/large/{number}"), large(number)).ok();
    }
    let saved = http.get("/v1/snapshot").ok();
    assert_eq!(saved.header("content-type"), Some("application/x-gzip"));
    assert!(saved.body.len() > 3_000_000, "{}", saved.body.len());
    http.delete("/v1/kv/large/?recurse").ok();
    http.put("/v1/kv/later", "x").ok();
    http.put("/v1/snapshot", &saved.body).ok();
    let look = |agent: &Agent| {
        for number in 0..10 {
            let found = agent.http().get(&format!("/v1/kv/large/{number}?raw")).ok();
            assert!(found.body == large(number), "{number}");
        }
        assert_eq!(agent.http().kv("later"), None);
    };
    look(&agent);
    agent.kill();
    agent.restart();
    look(&agent);
}

#[test]
fn what_is_damaged_changes_nothing() {
    let agent = Agent::start();
    let http = agent.http();
    http.put("/v1/kv/a", "before").ok();
    let saved = http.get("/v1/snapshot").ok().body;
    http.put("/v1/kv/a", "after").ok();
    let mut flipped = saved.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x20;
    for (what, file) in [
        ("torn", &saved[..saved.len() - 1]),
        ("flipped", &flipped),
        ("longer", &[saved.as_slice(), b"x"].concat()),
        ("empty", b""),
        ("garbage", b"this is no snapshot at all"),
    ] {
        let refused = http.put("/v1/snapshot", file);
        assert_eq!(refused.status, 500, "{what}");
        assert!(refused.text().contains("snapshot"), "{what}: {}", refused.text());
        assert_eq!(http.kv("a").as_deref(), Some("after"), "{what}");
    }
    http.put("/v1/snapshot", &saved).ok();
    assert_eq!(http.kv("a").as_deref(), Some("before"));
}

#[test]
fn an_upload_that_breaks_off_changes_nothing_and_is_not_in_the_way() {
    let agent = Agent::start();
    let http = agent.http();
    http.put("/v1/kv/a", "before").ok();
    let saved = http.get("/v1/snapshot").ok().body;
    http.put("/v1/kv/a", "after").ok();
    let head = format!("PUT /v1/snapshot HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", saved.len());
    let half = [head.as_bytes(), &saved[..saved.len() / 2]].concat();
    // Nobody answers a client that goes away in the midst of what it says.
    let _ = http.patience(Duration::from_millis(300)).exchange(&half);
    assert_eq!(http.kv("a").as_deref(), Some("after"));
    eventually("another one is taken", || {
        let answer = http.put("/v1/snapshot", &saved);
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    });
    assert_eq!(http.kv("a").as_deref(), Some("before"));
}

#[test]
fn the_state_of_another_cluster_wakes_who_waits_and_keeps_the_own_node() {
    let (old, agent) = (Agent::start(), Agent::start());
    for number in 0..50 {
        old.http().put("/v1/kv/a", number.to_string()).ok();
    }
    old.http().put_json(
        "/v1/catalog/register",
        &json!({"Node": "ext", "Address": "192.0.2.1", "Service": {"Service": "db", "Port": 1}}),
    );
    let saved = old.http().get("/v1/snapshot").ok().body;
    let http = agent.http();
    http.put("/v1/kv/a", "new").ok();
    let index = http.get("/v1/kv/a").index();
    let waiting = {
        let http = agent.http();
        std::thread::spawn(move || http.get(&format!("/v1/kv/a?index={index}&wait=30s")).ok().json())
    };
    http.put("/v1/snapshot", &saved).ok();
    assert_eq!(waiting.join().unwrap()[0]["Value"], "NDk=");

    // The other log was longer: what is written next is newer all the same.
    let restored = http.get("/v1/kv/a").ok();
    assert!(restored.index() > 50);
    let index = restored.index();
    let waiting = {
        let http = agent.http();
        std::thread::spawn(move || http.get(&format!("/v1/kv/a?index={index}&wait=30s")).ok())
    };
    http.put("/v1/kv/a", "next").ok();
    let woken = waiting.join().unwrap();
    assert_eq!(woken.json()[0]["Value"], "bmV4dA==");
    assert!(woken.index() > index, "{} after {index}", woken.index());
    assert_eq!(http.get("/v1/catalog/service/db").json()[0]["Node"], "ext");
    let own = agent.node_id().to_owned();
    eventually("the agent's own node is in the catalog again", || {
        let nodes = http.json("/v1/catalog/nodes");
        let is_there = nodes.as_array().is_some_and(|nodes| nodes.iter().any(|node| node["ID"] == own));
        if is_there { Ok(()) } else { Err(nodes.to_string()) }
    });
}

#[test]
fn the_commands_save_inspect_and_restore() {
    let agent = Agent::start();
    let cli = agent.cli();
    for key in ["a/b/1", "a/b/2", "c"] {
        assert_eq!(cli.run(["kv", "put", key, "v"]).code, 0);
    }
    assert!(
        cli.run(["snapshot", "save", "x.snap"]).ok().starts_with("Saved and verified snapshot to index ")
    );
    assert_eq!(cli.run(["snapshot", "save", "-append-filename=dc,status", "y.snap"]).code, 0);
    let mut files: Vec<String> = std::fs::read_dir(cli.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("snap"))
        .collect();
    files.sort();
    assert_eq!(files, ["x.snap", "y-dc1-leader.snap"], "nothing else is left behind");
    let shown = cli.run(["snapshot", "inspect", "-kvdetails", "-kvfilter=a/", "x.snap"]).ok();
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert!(words.windows(2).any(|pair| pair == ["KVS", "3"]), "{shown}");
    assert!(words.windows(2).any(|pair| pair == ["a/b", "2"]), "{shown}");
    let document: serde_json::Value =
        serde_json::from_str(&cli.run(["snapshot", "inspect", "-format=json", "x.snap"]).ok()).unwrap();
    assert_eq!(document["Meta"]["Version"], 1);
    assert_eq!(cli.run(["kv", "delete", "-recurse", "a/"]).code, 0);
    assert_eq!(cli.run(["snapshot", "restore", "x.snap"]).ok(), "Restored snapshot\n");
    assert_eq!(agent.http().kv("a/b/1").as_deref(), Some("v"));
}
