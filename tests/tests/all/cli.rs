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

#[test]
fn trees_move_from_agent_to_agent() {
    let (from, to) = (Agent::start(), Agent::start());
    for number in 0..100 {
        from.http().put(&format!("/v1/kv/tree/{number:03}?flags={number}"), format!("value {number}")).ok();
    }
    from.http().put("/v1/kv/tree/large", "x".repeat(400 * 1024)).ok();
    from.http().put("/v1/kv/other", "stays").ok();
    let exported = from.cli().run(["kv", "export", "tree/"]).ok();
    let entries: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 101);
    assert_eq!(entries[7], json!({"key": "tree/007", "flags": 7, "value": "dmFsdWUgNw=="}));

    let imported = to.cli().run_with(["kv", "import", "-"], exported.as_bytes()).ok();
    assert_eq!(imported.lines().count(), 101);
    assert!(imported.starts_with("Imported: tree/000\n"), "{imported}");
    assert_eq!(to.cli().run(["kv", "export", "tree/"]).ok(), exported);
    assert_eq!(to.http().kv("other"), None);
    let moved = to.cli().run_with(["kv", "import", "-prefix=copy", "-"], exported.as_bytes());
    assert_eq!(moved.code, 0, "{}", moved.stderr);
    assert_eq!(to.http().kv("copy/tree/042").as_deref(), Some("value 42"));
    assert_eq!(to.cli().run(["kv", "export", "nothing"]).ok(), "[]\n");
}

#[test]
fn bash_completes_commands_and_flags() {
    let cli = Cli::new("127.0.0.1:1");
    let script = cli.run(["completion", "bash"]).ok();
    std::fs::write(cli.folder().join("completion"), &script).unwrap();
    let bash = |line: &str| {
        let output =
            std::process::Command::new("bash").arg("-c").arg(line).current_dir(cli.folder()).output();
        let output = output.expect("bash runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    bash("bash -n completion");
    let complete = |words: &str| {
        bash(&format!(
            "source ./completion; COMP_WORDS=({words} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _lictor; echo ${{COMPREPLY[@]}}"
        ))
    };
    assert_eq!(complete("consul kv"), "delete export get import put\n");
    assert_eq!(complete("consul operator raft"), "list-peers recover remove-peer transfer-leader\n");
    assert!(complete("consul").starts_with("agent acl catalog "), "{}", complete("consul"));
    for flag in ["-recurse", "-format", "-http-addr"] {
        assert!(complete("consul kv get some/key").split(' ').any(|word| word == flag), "{flag}");
    }
    for shell in ["zsh", "fish"] {
        assert!(cli.run(["completion", shell]).ok().contains("list-peers"));
    }
    assert_eq!(cli.run(["completion", "tcsh"]).code, 1);
    assert!(cli.run(["-autocomplete-install"]).ok().contains("completion bash"));
}

#[test]
fn what_this_build_lacks_is_said() {
    let cli = Cli::new("127.0.0.1:1");
    for words in [&["watch", "-type=nodes"][..], &["lock", "a", "b"]] {
        let ran = cli.run(words);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{words:?}");
        assert!(ran.stderr.starts_with("Error! This build does not have "), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn an_unknown_format_is_refused_before_anything_is_done() {
    let cli = Cli::new("127.0.0.1:1");
    for words in [&["members"][..], &["catalog", "nodes"], &["kv", "get"], &["version"]] {
        let ran = cli.run(words.iter().chain([&"-format=bogus"]));
        assert_eq!((ran.code, ran.stderr.as_str()), (1, "Unknown format: bogus\n"), "{words:?}");
    }
}
