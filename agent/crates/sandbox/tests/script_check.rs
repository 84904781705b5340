//! Commands: run only where the operator lets them, and never for longer than their check.

mod common;

use std::sync::Arc;

use common::*;
use lictor_model::check::Status;
use lictor_model::probe::{Blindness, CheckRunner, Origin, Probe, Target, Verdict};
use lictor_sandbox::{ExecPolicy, Sandbox, SandboxConfig};
use serde_json::{Value, json};

fn sandbox(exec: ExecPolicy) -> Sandbox {
    Sandbox::new(SandboxConfig { exec, ..config() })
}

async fn script(sandbox: &Sandbox, config: Value) -> Arc<dyn Probe> {
    prepare(sandbox, "script_check", config).await
}

async fn shell(sandbox: &Sandbox, line: &str) -> Verdict {
    verdict(script(sandbox, json!({"args": ["/bin/sh", "-c", line]})).await.run(SECOND * 5).await)
}

#[tokio::test]
async fn the_exit_status_decides_and_the_output_is_exact() {
    let sandbox = sandbox(ExecPolicy::Anyone);
    for (line, status, output) in [
        ("echo fine; exit 0", Status::Passing, "fine\n"),
        ("echo careful; exit 1", Status::Warning, "careful\n"),
        ("echo broken >&2; exit 2", Status::Critical, "broken\n"),
        ("exit 255", Status::Critical, ""),
        ("kill -9 $$", Status::Critical, ""),
        ("printf out; printf err >&2", Status::Passing, "outerr"),
    ] {
        let verdict = shell(&sandbox, line).await;
        assert_eq!(
            (verdict.status, verdict.summary.as_str(), verdict.detail),
            (status, output, None),
            "{line}"
        );
    }
    let big = shell(&sandbox, "head -c 5000 /dev/zero | tr '\\0' y").await;
    assert_eq!(big.summary, format!("Captured 4096 of 5000 bytes\n...\n{}", "y".repeat(4096)));
    let missing = script(&sandbox, json!({"args": ["/no/such/file"]})).await;
    let missing = verdict(missing.run(SECOND).await);
    assert_eq!(missing.status, Status::Critical);
    assert_eq!(missing.summary, "fork/exec /no/such/file: no such file or directory");
}

#[tokio::test]
async fn a_command_ends_with_its_time_and_takes_its_children_along() {
    let sandbox = sandbox(ExecPolicy::Anyone);
    let directory = tempfile::tempdir().unwrap();
    let alive = directory.path().join("alive");
    let line = format!("(sleep 0.6; touch {}) & sleep 5", alive.display());
    let probe = script(&sandbox, json!({"args": ["/bin/sh", "-c", line]})).await;
    let slow = verdict(probe.run(SECOND / 5).await);
    assert_eq!((slow.status, slow.summary.as_str()), (Status::Critical, "Timed out (200ms) running check"));
    tokio::time::sleep(SECOND).await;
    assert!(!alive.try_exists().unwrap(), "a child outlived its check");
}

#[tokio::test]
async fn who_may_name_commands_is_the_operators_choice() {
    let mut wanted = program("script_check", json!({"args": ["/bin/true"]}));
    for (policy, origin, runs) in [
        (ExecPolicy::Never, Origin::File, false),
        (ExecPolicy::Files, Origin::File, true),
        (ExecPolicy::Files, Origin::Api, false),
        (ExecPolicy::Anyone, Origin::Api, true),
    ] {
        wanted.origin = origin;
        let probe = sandbox(policy).prepare(&wanted, &Target::default()).await.unwrap();
        let finding = probe.run(SECOND).await;
        if runs {
            assert_eq!(verdict(finding).status, Status::Passing);
            assert_eq!(probe.facts().grants, ["exec [\"/bin/true\"]"]);
        } else {
            assert!(unknown(finding, Blindness::Denied).starts_with("exec is not granted: /bin/true"));
        }
    }
}

#[tokio::test]
async fn a_command_sees_no_more_of_the_environment_than_scripts_need() {
    // Tests are run with variables of cargo's own, which stand for an operator's secrets here.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let sandbox = sandbox(ExecPolicy::Anyone);
    let seen =
        verdict(script(&sandbox, json!({"args": ["/usr/bin/env"]})).await.run(SECOND * 5).await).summary;
    let names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains(&"PATH"), "{seen}");
    let permitted =
        |name: &&str| ["PATH", "HOME", "LANG", "TZ", "TMPDIR"].contains(name) || name.starts_with("LC_");
    assert!(names.iter().all(permitted), "{seen}");
}
