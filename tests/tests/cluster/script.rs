//! What operators start: the cluster as a script, and the program as a container does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lictor_testkit::{Http, Network, eventually_within, lictor, repository};

use crate::turn;

const LIMIT: Duration = Duration::from_secs(60);
const HTTP: u16 = 8500;

/// Ends it as a terminal would, and waits.
fn interrupt(mut child: Child) -> Option<i32> {
    let killed =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("`kill` can be run");
    assert!(killed.success());
    eventually_within(LIMIT, "it ends", || match child.try_wait().expect("our own child") {
        Some(status) => Ok(status.code()),
        None => Err("it goes on".to_owned()),
    })
}

fn is_silent(address: Ipv4Addr) -> bool {
    Http::on(address, HTTP).request("GET", "/v1/status/leader", b"").is_err()
}

#[test]
fn the_script_starts_a_cluster_and_ends_it() {
    let _turn = turn::take();
    let _network = Network::isolated();
    let folder = tempfile::tempdir().expect("a folder");
    let mut script = Command::new(repository().join("compose/local-cluster"))
        .args(["-c", "2", "-p"])
        .arg(lictor())
        .arg("-d")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script can be run");
    let mut said = Vec::new();
    for line in BufReader::new(script.stdout.take().expect("a pipe")).lines() {
        said.push(line.expect("text"));
        if said.last().is_some_and(|line| line.starts_with("ready")) {
            break;
        }
    }
    assert!(said.iter().any(|line| line.starts_with("ready")), "{said:?}");
    let members = Http::on(Network::client(2), HTTP).json("/v1/agent/members");
    assert_eq!(members.as_array().map(Vec::len), Some(5), "{members}");
    interrupt(script);
    for address in [Network::server(1), Network::server(3), Network::client(1), Network::client(2)] {
        eventually_within(LIMIT, "everything has ended", || {
            if is_silent(address) { Ok(()) } else { Err(address.to_string()) }
        });
    }
}

#[test]
fn the_entrypoint_adds_what_the_command_line_leaves_out() {
    let _turn = turn::take();
    let _network = Network::isolated();
    let home = tempfile::tempdir().expect("a folder");
    for folder in ["config", "data"] {
        fs::create_dir(home.path().join(folder)).expect("a folder");
    }
    let mut container = Command::new(repository().join("compose/entrypoint"));
    container
        .env("LICTOR_HOME", home.path())
        .env("LICTOR_PROGRAM", lictor())
        .env("CONSUL_LOCAL_CONFIG", r#"{"node_name": "boxed"}"#)
        .env("LICTOR_BIND_INTERFACE", "lo")
        .args(["agent", "-server", "-bootstrap"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let agent = container.spawn().expect("the entrypoint can be run");
    let http = Http::at(HTTP);
    eventually_within(LIMIT, "a leader", || match http.request("GET", "/v1/catalog/nodes", b"") {
        Ok(nodes) if nodes.status == 200 && nodes.text().contains("boxed") => Ok(()),
        Ok(nodes) => Err(nodes.text()),
        Err(error) => Err(error.to_string()),
    });
    assert!(home.path().join("data/raft").is_dir(), "state is kept where the image has its volume");
    interrupt(agent);
    assert!(is_silent(Ipv4Addr::LOCALHOST));
    let version = Command::new(repository().join("compose/entrypoint"))
        .env("LICTOR_PROGRAM", lictor())
        .arg("version")
        .output()
        .expect("the entrypoint can be run");
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("Consul v"), "{version:?}");
}
