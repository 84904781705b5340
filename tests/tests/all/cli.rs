//! The commands, as scripts use them.

use lictor_testkit::{Agent, Cli, Target};
use serde_json::{Value, json};

#[test]
fn keys_are_written_read_and_removed() {
    let agent = Agent::start();
    let cli = agent.cli();
    assert_eq!(cli.run(["kv", "put", "app/port", "8080"]).ok(), "Success! Data written to: app/port\n");
    assert_eq!(cli.run(["kv", "get", "app/port"]).ok(), "8080\n");
    assert_eq!(cli.run_with(["kv", "put", "app/name", "-"], b"from stdin").code, 0);
    assert_eq!(agent.http().kv("app/name").as_deref(), Some("from stdin"));
    std::fs::write(cli.folder().join("value"), "from a file").unwrap();
    assert_eq!(cli.run(["kv", "put", "app/file", "@value"]).code, 0);
    assert_eq!(agent.http().kv("app/file").as_deref(), Some("from a file"));
    assert_eq!(cli.run(["kv", "get", "-keys", "app/"]).ok(), "app/file\napp/name\napp/port\n");
    let recursed = cli.run(["kv", "get", "-recurse", "app/"]).ok();
    assert!(recursed.contains("app/port:8080"), "{recursed}");

    // A stale compare-and-set fails and says so.
    let stale = cli.run(["kv", "put", "-cas", "-modify-index=1", "app/port", "1"]);
    assert_eq!(stale.code, 1);
    assert!(stale.stderr.contains("CAS"), "{}", stale.stderr);
    assert_eq!(agent.http().kv("app/port").as_deref(), Some("8080"));

    let missing = cli.run(["kv", "get", "app/nosuch"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (1, ""));
    assert_eq!(missing.stderr, "Error! No key exists at: app/nosuch\n");
    assert_eq!(cli.run(["kv", "delete", "app/port"]).ok(), "Success! Deleted key: app/port\n");
    assert_eq!(cli.run(["kv", "delete", "-recurse", "app/"]).code, 0);
    assert_eq!(agent.http().get("/v1/kv/?keys").json(), json!([]));
}

#[test]
fn the_catalog_and_the_members_are_listed() {
    let agent = Agent::start();
    let cli = agent.cli();
    let members = cli.run(["members"]).ok();
    assert!(members.starts_with("Node") && members.contains("n1") && members.contains("alive"), "{members}");
    assert!(cli.run(["catalog", "nodes"]).ok().contains("n1"));
    assert_eq!(cli.run(["catalog", "datacenters"]).ok(), "dc1\n");
    assert_eq!(cli.run(["catalog", "services"]).ok(), "consul\n");

    std::fs::write(
        cli.folder().join("web.json"),
        json!({"service": {"name": "web", "port": 80}}).to_string(),
    )
    .unwrap();
    assert_eq!(cli.run(["services", "register", "web.json"]).ok(), "Registered service: web\n");
    agent.wait_for_service("web", 1);
    assert_eq!(cli.run(["catalog", "services"]).ok(), "consul\nweb\n");
    assert_eq!(cli.run(["services", "deregister", "-id=web"]).ok(), "Deregistered service: web\n");
    agent.wait_for_service("web", 0);
    assert_eq!(cli.run(["services", "deregister", "-id=web"]).code, 1);
    for command in [&["members", "-format=json"][..], &["catalog", "nodes", "-format=json"]] {
        let printed = cli.run(command).ok();
        let _: Value =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{command:?}: {error}: {printed}"));
    }
}

#[test]
fn the_version_is_what_harnesses_parse() {
    let cli = Cli::new("127.0.0.1:1");
    let printed = cli.run(["version", "-format=json"]).ok();
    let version: Value = serde_json::from_str(&printed).expect("nothing but JSON");
    assert_eq!(version["Version"], "1.20.0");
    let plain = cli.run(["version"]).ok();
    assert!(plain.contains("1.20.0"), "{plain}");
}

#[test]
fn the_agent_is_reloaded_and_left() {
    let target = Target::healthy();
    let mut agent = Agent::start();
    let cli = agent.cli();
    agent.write_file("web.json", &json!({"service": {"name": "web", "port": target.port()}}));
    assert_eq!(cli.run(["reload"]).ok(), "Configuration reload triggered\n");
    agent.wait_for_service("web", 1);
    agent.write_file("web.json", "{");
    let refused = cli.run(["reload"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("web.json"), "{}", refused.stderr);
    assert_eq!(cli.run(["leave"]).ok(), "Graceful leave complete\n");
    assert_eq!(agent.wait_for_exit(), 0);
    let gone = cli.run(["members"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""));
    assert!(gone.stderr.starts_with("Error"), "{}", gone.stderr);
}

#[test]
fn every_command_explains_itself() {
    let cli = Cli::new("127.0.0.1:1");
    let overview = cli.run(["-h"]).ok();
    let mut commands = 0;
    for line in overview.lines().filter_map(|line| line.strip_prefix("    ")) {
        let words: Vec<&str> = line.split("  ").next().unwrap().split(' ').collect();
        for flag in ["-h", "--help"] {
            let ran = cli.run(words.iter().chain([&flag]));
            assert_eq!(ran.code, 0, "{words:?} {flag}: {}", ran.stderr);
            let help = format!("{}{}", ran.stdout, ran.stderr);
            assert!(
                help.starts_with(&format!("Usage: consul {}", words.join(" "))),
                "{words:?} {flag}: {help}"
            );
        }
        // A flag that does not exist is refused, with the way to use it.
        let ran = cli.run(words.iter().chain([&"-bogus"]));
        assert_eq!(ran.code, 1, "{words:?} -bogus");
        assert!(ran.stderr.contains("bogus"), "{words:?} -bogus: {}", ran.stderr);
        commands += 1;
    }
    assert!(commands >= 14, "{overview}");
    assert_eq!(cli.run(["nosuch"]).code, 127);
}

#[test]
fn configuration_is_validated_without_an_agent() {
    let cli = Cli::new("127.0.0.1:1");
    let good =
        json!({"data_dir": cli.folder().join("data"), "bind_addr": "127.0.0.1", "service": {"name": "web"}});
    std::fs::write(cli.folder().join("good.json"), good.to_string()).unwrap();
    std::fs::write(cli.folder().join("bad.json"), json!({"bogus": 1}).to_string()).unwrap();
    assert_eq!(cli.run(["validate", "good.json"]).code, 0);
    let bad = cli.run(["validate", "bad.json"]);
    assert_eq!(bad.code, 1);
    assert!(format!("{}{}", bad.stdout, bad.stderr).contains("bogus"), "{bad:?}");
}
