//! A data folder that cannot take any more.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lictor_testkit::{Agent, Cli};
use serde_json::json;

/// How many writes there may be until the disk counts as endless.
const MOST_WRITES: usize = 2000;

#[test]
fn a_disk_that_fills_up_stops_the_agent_and_nothing_acknowledged_is_lost() {
    let mut agent = Agent::start();
    let http = agent.http();
    let value = "x".repeat(50_000);
    assert_eq!(http.put("/v1/kv/before", &value).status, 200);
    let log = agent.data_dir().join("raft/log.redb");
    let size = fs::metadata(&log).unwrap().len();
    agent.limit_files(size);

    let mut acknowledged = Vec::new();
    for number in 0..MOST_WRITES {
        let key = format!("k{number}");
        match http.request("PUT", &format!("/v1/kv/{key}"), value.as_bytes()) {
            Ok(response) if response.status == 200 => acknowledged.push(key),
            // Refused, or cut off in the midst of it: not acknowledged.
            _ => break,
        }
    }
    assert!(acknowledged.len() < MOST_WRITES, "the disk did not fill up");
    assert_eq!(agent.wait_for_exit(), 1);
    let said = agent.log();
    let told =
        said.lines().find(|line| line.contains("make room on the disk")).expect("a line that says why");
    assert!(told.contains(log.to_str().unwrap()), "{told}");

    agent.restart();
    for key in acknowledged.iter().map(String::as_str).chain(["before"]) {
        assert_eq!(http.kv(key).as_deref(), Some(value.as_str()), "{key}");
    }
}

#[test]
fn a_registration_that_cannot_be_kept_is_not_acknowledged() {
    let mut agent = Agent::start();
    let http = agent.http();
    agent.limit_files(0);
    let response = http.put("/v1/agent/service/register", json!({"Name": "lost"}).to_string());
    assert_eq!(response.status, 500, "{}", response.text());
    assert!(response.text().contains("data_dir"), "{}", response.text());
    agent.kill();
    agent.restart();
    assert_eq!(http.json("/v1/agent/services"), json!({}));
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cli = Cli::new("127.0.0.1:1");
    // Nobody may create anything in it, whoever they are.
    let read_only = "/proc/lictor";
    let under_a_file = file.join("data");
    for (path, advice) in [(read_only, "-data-dir"), (under_a_file.to_str().unwrap(), "-data-dir")] {
        let ran = cli.run(["agent", "-server", "-bind=127.0.0.1", "-data-dir", path]);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(path) && ran.stderr.contains(advice), "{}", ran.stderr);
    }
    let ran = cli.run(["agent", "-server", "-bind=127.0.0.1", "-data-dir", file.to_str().unwrap()]);
    assert_eq!(ran.stderr, format!("==> data_dir {:?} is not a directory\n", file.to_str().unwrap()));
}

#[test]
fn a_data_folder_that_may_only_be_read_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    // The owner may not list or enter what is below, and who is root may all the same; then the
    // folder inside cannot be a file's name twice.
    fs::create_dir(data.join("probe.tmp")).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o500)).unwrap();
    let ran = Cli::new("127.0.0.1:1").run([
        "agent",
        "-server",
        "-bind=127.0.0.1",
        "-data-dir",
        data.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains(data.to_str().unwrap()) && ran.stderr.contains("-data-dir"),
        "{}",
        ran.stderr
    );
}
