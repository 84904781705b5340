//! Nothing that comes in by the network stops the agent.

use std::io::Write;
use std::net::TcpStream;

use lictor_testkit::{Agent, Rcode, RecordType};
use rand::{Rng, RngCore};
use serde_json::json;

#[test]
fn bad_requests_are_told_what_is_wrong_with_them() {
    let agent = Agent::start();
    let http = agent.http();
    let limit = 512 * 1024;
    assert_eq!(http.put("/v1/kv/large", vec![b'x'; limit]).status, 200);
    let response = http.put("/v1/kv/large", vec![b'x'; limit + 1]);
    assert_eq!(response.status, 413, "{}", response.text());
    assert!(response.text().contains("too large"), "{}", response.text());
    assert_eq!(http.get("/v1/kv/large?raw").body.len(), limit, "what was there stays");

    for path in ["/v1/agent/service/register", "/v1/agent/check/register", "/v1/catalog/register"] {
        for body in ["", "{", "[]", "nonsense", "{\"Name\": }", "{} {}", "\u{0}"] {
            let response = http.put(path, body);
            assert_eq!(response.status, 400, "{path} {body:?}: {}", response.text());
            assert!(!response.body.is_empty(), "{path} {body:?} is not explained");
        }
        // Nesting without end.
        let response = http.put(path, "[".repeat(100_000));
        assert_eq!(response.status, 400, "{path}");
    }
    for service in [
        json!({"Name": ""}),
        json!({"Name": 5}),
        json!({"Name": "web", "Port": -1}),
        json!({"Name": "web", "Port": 70_000}),
        json!({"Name": "web", "Bogus": 1}),
        json!({"Name": "web", "Check": {"TTL": "soon"}}),
        json!({"Name": "web", "Check": {}}),
        json!({"Name": "web", "Weights": {"Passing": -1, "Warning": 1}}),
    ] {
        let response = http.put("/v1/agent/service/register", service.to_string());
        assert_eq!(response.status, 400, "{service}: {}", response.text());
    }
    assert_eq!(http.json("/v1/agent/services"), json!({}));

    for query in ["index=x", "index=-1", "wait=x", "stale&consistent"] {
        for path in ["/v1/kv/large", "/v1/catalog/nodes", "/v1/health/service/consul"] {
            assert_eq!(http.get(&format!("{path}?{query}")).status, 400, "{path}?{query}");
        }
    }
    assert_eq!(http.get("/v1/catalog/nodes?dc=nowhere").status, 500);
    assert_eq!(http.get("/v1/nosuch").status, 404);
    assert_eq!(http.get("/v1/kv/%ff%fe").status, 400);
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let agent = Agent::start();
    let http = agent.http();
    for (method, path, allowed) in [
        ("POST", "/v1/kv/a", "OPTIONS,GET,PUT,DELETE"),
        ("PUT", "/v1/catalog/nodes", "OPTIONS,GET"),
        ("GET", "/v1/agent/service/register", "OPTIONS,PUT"),
        ("DELETE", "/v1/health/service/web", "OPTIONS,GET"),
        ("GET", "/v1/agent/leave", "OPTIONS,PUT"),
    ] {
        let response = http.request(method, path, b"").unwrap();
        assert_eq!((response.status, response.header("allow")), (405, Some(allowed)), "{method} {path}");
        assert_eq!(response.text(), format!("method {method} not allowed"));
    }
    assert_eq!(http.get("/v1/status/leader").status, 200, "nobody left");
}

#[test]
fn garbage_by_http_is_survived() {
    let agent = Agent::start();
    let http = agent.http();
    let mut random = rand::rng();
    for _ in 0..100 {
        let mut bytes = vec![0; random.random_range(1..2000)];
        random.fill_bytes(&mut bytes);
        // Whether it is answered or cut off does not matter, so nothing is read.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", agent.http_port())) {
            let _ = stream.write_all(&bytes);
        }
    }
    for request in [
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET /v1/kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(),
        "PUT /v1/kv/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
    ] {
        let answer = http.exchange(request.as_bytes()).unwrap_or_default();
        let head = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
    }
    assert_eq!(http.put("/v1/kv/alive", "yes").status, 200);
}

#[test]
fn garbage_by_dns_is_survived() {
    let mut agent = Agent::start();
    let dns = agent.dns();
    let mut random = rand::rng();
    for round in 0..1500 {
        let mut packet = vec![0; random.random_range(0..600)];
        random.fill_bytes(&mut packet);
        // Half of it looks like a question at first.
        if round % 2 == 0 && packet.len() > 12 {
            packet[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        dns.send(&packet).unwrap();
        if round % 10 == 0 {
            // The length in front may be right, wrong, or promise more than comes.
            let mut message = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
            message.extend_from_slice(&packet);
            dns.send_tcp(&message).unwrap();
            dns.send_tcp(&packet).unwrap();
        }
    }
    // Names that point at themselves, and questions without end.
    dns.send(&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]).unwrap();
    dns.send(&[0, 1, 1, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]).unwrap();
    let reply = lictor_testkit::eventually("an answer after all that", || {
        agent.poll_exit().map_or(Ok(()), |status| Err(format!("the agent ended with {status}")))?;
        Ok::<_, String>(dns.query("consul.service.consul", RecordType::A))
    });
    assert_eq!(reply.rcode, Rcode::NoError);
    assert_eq!(dns.query_tcp("n1.node.consul", RecordType::A).rcode, Rcode::NoError);
    let log = agent.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn garbage_by_gossip_is_survived() {
    let mut agent = Agent::start();
    let mut random = rand::rng();
    let gossip = lictor_testkit::Dns::at(agent.ports().at(2));
    for _ in 0..500 {
        let mut packet = vec![0; random.random_range(0..1400)];
        random.fill_bytes(&mut packet);
        gossip.send(&packet).unwrap();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", agent.ports().at(2))) {
            let _ = stream.write_all(&packet);
        }
    }
    assert_eq!(agent.http().put("/v1/kv/alive", "yes").status, 200);
    assert_eq!(agent.poll_exit(), None);
    let members = agent.http().json("/v1/agent/members");
    assert_eq!(members.as_array().map(Vec::len), Some(1), "{members}");
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}
