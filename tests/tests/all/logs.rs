//! Where the log goes: files, the system's log, whoever watches.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use lictor_testkit::{Agent, Signal, eventually};
use serde_json::{Value, json};

#[test]
fn a_file_takes_the_lines_and_is_put_aside_when_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "log_file": format!("{}/", folder.path().display()), "log_rotate_bytes": 2000, "log_rotate_max_files": 2,
        "log_json": true,
    });
    let agent = Agent::builder().config(config).start();
    let names = || -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    eventually("two files were put aside", || {
        assert_eq!(agent.http().put("/v1/agent/reload", "").status, 200);
        if names().len() == 3 { Ok(()) } else { Err(names().join(" ")) }
    });
    let names = names();
    assert!(names[0].starts_with("consul-") && names[2] == "consul.log", "{names:?}");
    for name in names {
        for line in fs::read_to_string(folder.path().join(name)).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            for key in ["@level", "@message", "@module", "@timestamp"] {
                assert!(line[key].is_string(), "{line}");
            }
        }
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    let mut agent = Agent::builder().config(json!({"log_file": "/proc/nowhere/agent.log"})).prepare();
    agent.spawn();
    assert_eq!(agent.wait_for_exit(), 1);
    assert!(agent.log().contains("/proc/nowhere/agent.log"), "{}", agent.log());
}

#[test]
fn a_log_file_on_a_full_disk_does_not_stop_the_agent() {
    // Whatever is written there fails as on a full disk.
    let config = json!({"log_file": "/dev/full", "log_level": "trace"});
    let agent = Agent::builder().config(config).start();
    assert_eq!(agent.http().put("/v1/kv/a", "1").status, 200);
    eventually("the agent says so", || {
        let said = agent.log().contains("log lines cannot be written and are lost: to=log_file");
        if said { Ok(()) } else { Err(agent.log()) }
    });
}

#[test]
fn the_monitor_streams_lines_of_its_own_level_as_they_come() {
    let mut agent = Agent::builder().config(json!({"log_level": "warn"})).start();
    let cli = agent.cli();
    let bogus = cli.run(["monitor", "-log-level=bogus"]);
    assert_eq!(bogus.code, 1);
    let why = "Error starting monitor: Unexpected response code: 400 (Unknown log level: bogus)\n";
    assert_eq!(bogus.stderr, why);
    let mut child = Command::new(cli.program())
        .args(["monitor", "-log-level=debug", "-log-json"])
        .env("CONSUL_HTTP_ADDR", format!("127.0.0.1:{}", agent.http_port()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Something to say until the monitor is there to hear it.
    let port = agent.http();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let talker = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(port.put("/v1/agent/reload", "").status, 200);
        }
    });
    let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    talker.join().unwrap();
    assert!(matches!(line["@level"].as_str(), Some("info" | "debug")), "{line}");
    assert!(!agent.log().contains("[INFO]"), "{}", agent.log());
    agent.stop(Signal::TERM);
    let last = lines.map(Result::unwrap).last().unwrap();
    assert_eq!(last, "remote side has exited or crashed.");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_service_manager_hears_how_far_the_agent_is_and_the_pid_file_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let pid_file = folder.path().join("agent.pid");
    let mut agent = Agent::builder()
        .config(json!({"pid_file": pid_file}))
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .start();
    let said = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(said(), "READY=1");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), agent.pid().to_string());
    assert_eq!(agent.http().put("/v1/agent/reload", "").status, 200);
    assert_eq!((said().as_str(), said().as_str()), ("RELOADING=1", "READY=1"));
    agent.stop(Signal::TERM);
    assert_eq!(said(), "STOPPING=1");
    assert!(!pid_file.try_exists().unwrap());
}
