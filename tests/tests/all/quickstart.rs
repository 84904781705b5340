//! The first thing everybody tries: a service that is found only while it is healthy.

use std::net::Ipv4Addr;

use lictor_testkit::{Agent, Rcode, Record, RecordType, Target, eventually};
use serde_json::{Value, json};

fn through_its_life(check: &Value, names_the_plugin: bool) {
    let target = Target::refusing();
    let mut check = check.clone();
    for (_, place) in check.as_object_mut().unwrap().iter_mut() {
        if place == "URL" {
            *place = json!(target.url());
        } else if place == &json!({"url": "URL"}) {
            *place = json!({"url": target.url()});
        }
    }
    let service = json!({"service": {"name": "web", "tags": ["v1"], "port": target.port(), "check": check}});
    let agent = Agent::builder().file("web.json", &service).start();
    let (http, dns) = (agent.http(), agent.dns());

    // Nothing listens.
    let output = eventually("the check has looked", || {
        let checks = http.checks("web");
        let output = checks.first().and_then(|check| check["Output"].as_str()).unwrap_or_default().to_owned();
        if output.contains("refused") { Ok(output) } else { Err(format!("{checks:?}")) }
    });
    assert!(!names_the_plugin || output.contains("http_check"), "{output}");
    assert_eq!(http.checks("web")[0]["Status"], "critical");
    assert_eq!(http.json("/v1/health/service/web?passing"), json!([]));
    assert_eq!(http.json("/v1/health/service/web").as_array().map(Vec::len), Some(1));
    assert_eq!(dns.query("web.service.consul", RecordType::A).rcode, Rcode::NxDomain);
    assert_eq!(dns.query_tcp("web.service.consul", RecordType::Srv).rcode, Rcode::NxDomain);
    assert_eq!(dns.query("nosuch.service.consul", RecordType::A).rcode, Rcode::NxDomain);

    target.listen();
    agent.wait_for_service("web", 1);
    assert_eq!(dns.addresses("web.service.consul"), [Ipv4Addr::LOCALHOST]);
    assert_eq!(dns.addresses("v1.web.service.consul"), [Ipv4Addr::LOCALHOST]);
    assert_eq!(dns.query("v2.web.service.consul", RecordType::A).rcode, Rcode::NxDomain);
    for reply in [
        dns.query("web.service.consul", RecordType::Srv),
        dns.query_tcp("_web._tcp.service.consul", RecordType::Srv),
    ] {
        let expected = Record::Srv { port: target.port(), target: "n1.node.dc1.consul.".to_owned() };
        assert_eq!((reply.rcode, reply.answers), (Rcode::NoError, vec![expected]));
    }
    assert_eq!(http.checks("web")[0]["Status"], "passing");

    // Unhealthy in each way.
    target.answer(503);
    agent.wait_for_service("web", 0);
    assert_eq!(dns.query("web.service.consul", RecordType::A).rcode, Rcode::NxDomain);
    target.answer(200);
    agent.wait_for_service("web", 1);
    target.answer(429);
    eventually("a warning", || {
        let checks = http.checks("web");
        if checks[0]["Status"] == "warning" { Ok(()) } else { Err(format!("{checks:?}")) }
    });
    assert_eq!(dns.addresses("web.service.consul"), [Ipv4Addr::LOCALHOST], "a warning stays in DNS");
    target.refuse();
    agent.wait_for_check("service:web", |check| check["Status"] == "critical");
    assert_eq!(dns.query("web.service.consul", RecordType::A).rcode, Rcode::NxDomain);
    assert_eq!(http.json("/v1/health/service/web?passing"), json!([]));
}

#[test]
fn a_component_watches_a_service() {
    through_its_life(&json!({"wasm": "http_check.wasm", "config": {"url": "URL"}, "interval": "1s"}), true);
}

#[test]
fn a_classic_check_watches_a_service() {
    through_its_life(&json!({"http": "URL", "interval": "1s", "timeout": "1s"}), false);
}

#[test]
fn a_service_without_a_check_is_found_at_once_and_gone_at_once() {
    let agent = Agent::start();
    let service = json!({"Name": "plain", "Port": 4321, "Address": "10.1.2.3"});
    agent.http().put_json("/v1/agent/service/register", &service);
    eventually("the address", || match agent.dns().addresses("plain.service.consul").as_slice() {
        [address] if address.octets() == [10, 1, 2, 3] => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(agent.http().put("/v1/agent/service/deregister/plain", "").status, 200);
    eventually("no address", || {
        let reply = agent.dns().query("plain.service.consul", RecordType::A);
        if reply.rcode == Rcode::NxDomain { Ok(()) } else { Err(format!("{reply:?}")) }
    });
}
