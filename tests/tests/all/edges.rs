//! The HTTP API's connections: compression, limits, sockets, and what configuration shuts out.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use lictor_testkit::{Agent, Cli, eventually};
use serde_json::json;

/// What a server says to these bytes, until it closes the connection.
fn say(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    // Whoever is refused before it was heard may see the connection reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_large_answer_is_compressed_for_those_who_take_it() {
    let agent = Agent::start();
    let value = "lictor ".repeat(2000);
    agent.http().put("/v1/kv/large", &value).ok();
    let ask = |coding: &str| {
        let request = format!(
            "GET /v1/kv/large?raw HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: {coding}\r\n\r\n"
        );
        agent.http().exchange(request.as_bytes()).unwrap()
    };
    let plain = String::from_utf8(ask("gzip;q=0")).unwrap();
    assert!(plain.ends_with(&value));
    let packed = ask("deflate, gzip");
    let end = packed.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&packed[..end]).contains("content-encoding: gzip"));
    let mut gunzip =
        Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gunzip.stdin.take().unwrap().write_all(&packed[end..]).unwrap();
    let unpacked = gunzip.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(unpacked.stdout).unwrap(), value);
    assert!(packed.len() < value.len() / 10);
}

#[test]
fn one_connection_carries_many_requests() {
    let agent = Agent::start();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, agent.http_port())).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        assert!(body.starts_with(b"\"127.0.0.1:"));
    }
}

#[test]
fn a_client_with_too_many_connections_is_told_so_and_served_again_later() {
    let agent = Agent::builder().config(json!({"limits": {"http_max_conns_per_client": 8}})).start();
    let port = agent.http_port();
    let request = "GET /v1/status/leader HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut held = Vec::new();
    eventually("another connection is refused", || {
        // One that is being closed may still count, so that a place may become free later.
        for _ in 0..8 {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let _ = stream.write_all(b"GET /v1/status/leader HTTP/1.1\r\n");
            held.push(stream);
        }
        let answer = say(port, request);
        if answer.starts_with("HTTP/1.1 429 Too Many Requests") { Ok(()) } else { Err(answer) }
    });
    drop(held);
    eventually("there is room again", || {
        let answer = say(port, request);
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn the_api_answers_on_a_unix_socket_and_commands_find_it_there() {
    let mut agent = Agent::builder().prepare();
    let socket = agent.folder().join("http.sock");
    let path = format!("unix://{}", socket.display());
    agent.write_file(
        "socket.json",
        &json!({
            "addresses": {"http": format!("127.0.0.1 {path}")},
            "unix_sockets": {"mode": "0600"},
        })
        .to_string(),
    );
    agent.spawn();
    agent.wait_until_ready();
    agent.wait_for_leader();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let cli = Cli::new(&path);
    assert_eq!(cli.run(["kv", "put", "over", "a socket"]).ok(), "Success! Data written to: over\n");
    assert_eq!(agent.http().kv("over").as_deref(), Some("a socket"));
    agent.kill();
    agent.restart();
    agent.wait_for_leader();
    assert_eq!(cli.run(["kv", "get", "over"]).ok(), "a socket\n", "the old socket was in nobody's way");
}

#[test]
fn only_some_networks_may_write_and_some_endpoints_are_shut() {
    let agent = Agent::builder()
        .config(json!({
            "http_config": {
                "allow_write_http_from": ["10.0.0.0/8"],
                "block_endpoints": ["/v1/agent/members"],
                "response_headers": {"X-Frame-Options": "DENY"},
            },
        }))
        .start();
    let refused = agent.http().put("/v1/kv/a", "1");
    assert_eq!((refused.status, refused.text().as_str()), (403, "Access is restricted"));
    assert_eq!(refused.header("x-frame-options"), Some("DENY"));
    assert_eq!(agent.http().get("/v1/kv/a").status, 404);
    assert_eq!(agent.http().get("/v1/agent/members?wan=1").status, 403);
}

#[test]
fn a_kept_answer_follows_every_change() {
    let agent = Agent::start();
    let http = agent.http();
    let ask = || http.get("/v1/health/service/web?cached");
    assert_eq!(ask().header("x-cache"), Some("MISS"));
    let hit = ask();
    assert_eq!((hit.header("x-cache"), hit.header("age")), (Some("HIT"), Some("0")));
    http.put_json("/v1/agent/service/register", &json!({"Name": "web", "Port": 80})).ok();
    eventually("the kept answer shows the service", || {
        let answer = ask();
        assert_eq!(answer.header("x-cache"), Some("HIT"));
        if answer.json()[0]["Service"]["Port"] == 80 { Ok(()) } else { Err(answer.text()) }
    });
    let request = "GET /v1/health/service/web?cached HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCache-Control: no-cache, must-revalidate\r\n\r\n";
    assert!(say(agent.http_port(), request).contains("x-cache: HIT"), "it is kept fresh already");
}
