//! The agent beside a resolver, as hosts are set up: dnsmasq has the agent answer for its domain,
//! and the agent has dnsmasq answer for the rest.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lictor_testkit::{Agent, Dns, Ports, Rcode, Record, RecordType, eventually};
use serde_json::json;

/// A running dnsmasq; dropping it kills it.
struct Dnsmasq {
    child: Child,
}

impl Dnsmasq {
    /// Forwards the domain `consul` to a port, and knows `www.outside.test` itself.
    fn start(port: u16, agent: u16) -> Self {
        let installed = Path::new("/usr/sbin/dnsmasq");
        let program = if installed.is_file() { installed } else { Path::new("dnsmasq") };
        let child = Command::new(program)
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--log-facility=-"])
            .args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1"])
            .args(["--cache-size=0", "--user=root", "--group=root"])
            .args(["--address=/www.outside.test/192.0.2.10", "--local=/test/"])
            .arg(format!("--port={port}"))
            .arg(format!("--server=/consul/127.0.0.1#{agent}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq can be started (tests/run installs it; Debian: dnsmasq-base)");
        Self { child }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_resolver_finds_services_through_the_agent_and_the_agent_the_world_through_it() {
    let ports = Ports::reserve();
    let recursor = format!("127.0.0.1:{}", ports.at(0));
    let agent = Agent::builder().config(json!({"recursors": [recursor]})).start();
    let _dnsmasq = Dnsmasq::start(ports.at(0), agent.ports().at(1));
    let resolver = Dns::at(ports.at(0));
    for (id, address) in [("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")] {
        let service = json!({"ID": id, "Name": "web", "Port": 8080, "Address": address});
        agent.http().put_json("/v1/agent/service/register", &service);
    }
    agent.wait_for_service("web", 2);
    let _connection = eventually("dnsmasq listens", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, ports.at(0))).map_err(|error| error.to_string())
    });

    let addresses = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)].map(Record::A);
    let name = "web.service.consul";
    for mut reply in [resolver.query(name, RecordType::A), resolver.query_tcp(name, RecordType::A)] {
        reply.answers.sort_by_key(|record| format!("{record:?}"));
        assert_eq!((reply.rcode, reply.answers.as_slice()), (Rcode::NoError, addresses.as_slice()));
    }
    let targets = ["0a000001.addr.dc1.consul.", "0a000002.addr.dc1.consul."]
        .map(|target| Record::Srv { port: 8080, target: target.to_owned() });
    for mut reply in [resolver.query(name, RecordType::Srv), resolver.query_tcp(name, RecordType::Srv)] {
        reply.answers.sort_by_key(|record| format!("{record:?}"));
        assert_eq!((reply.rcode, reply.answers.as_slice()), (Rcode::NoError, targets.as_slice()));
    }
    assert_eq!(resolver.addresses("0a000001.addr.dc1.consul"), [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(resolver.query("nosuch.service.consul", RecordType::A).rcode, Rcode::NxDomain);

    let outside = vec![Record::A(Ipv4Addr::new(192, 0, 2, 10))];
    for reply in [
        agent.dns().query("www.outside.test", RecordType::A),
        agent.dns().query_tcp("www.outside.test", RecordType::A),
    ] {
        assert_eq!((reply.rcode, &reply.answers), (Rcode::NoError, &outside));
    }
    assert_eq!(agent.dns().query("nosuch.outside.test", RecordType::A).rcode, Rcode::NxDomain);
}
