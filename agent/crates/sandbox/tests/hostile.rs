//! Guests that misbehave, and neighbours that must not notice.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use lictor_model::check::Status;
use lictor_model::probe::{Blindness, Finding};
use lictor_sandbox::{Sandbox, SandboxConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

#[tokio::test]
async fn each_limit_ends_a_run_and_is_named() {
    let sandbox = Sandbox::new(config());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (mode, limit) in [
        ("loop", "processor time limit of 200ms reached"),
        ("memory", "memory limit of 32 MiB reached"),
        ("stack", "call stack limit of 256 KiB reached"),
        ("flood", "limit of 100 log lines reached"),
        ("many", "limit of 16 connections reached"),
    ] {
        let finding = hostile(&sandbox, json!({"mode": mode, "address": address})).await;
        assert_eq!(unknown(finding, Blindness::Limit), limit);
    }
}

#[tokio::test]
async fn a_loop_that_outlives_its_time_is_ended() {
    let mut config = config();
    config.limits.cpu = Duration::from_secs(60);
    let sandbox = Sandbox::new(config);
    let probe = prepare(&sandbox, "hostile.wasm", json!({"mode": "loop"})).await;
    let message = unknown(probe.run(SECOND / 10).await, Blindness::Limit);
    assert_eq!(message, "time limit of 100ms reached and the plugin still running");
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let sandbox = Sandbox::new(config());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (config, message) in [
        (
            json!({"mode": "connect", "elsewhere": address}),
            format!("tcp to {address} is not granted; granted: nothing"),
        ),
        (
            json!({"mode": "request", "elsewhere": format!("http://{address}/"), "address": "127.0.0.1:1"}),
            format!(
                "http to {address} is not granted; granted: tcp 127.0.0.1:1, udp 127.0.0.1:1, tls 127.0.0.1:1"
            ),
        ),
        (
            json!({"mode": "dns", "elsewhere": "localhost"}),
            "dns to localhost is not granted; granted: nothing".into(),
        ),
        (
            json!({"mode": "exec"}),
            "exec is not granted: true; commands take enable_script_checks or enable_local_script_checks in the agent's \
             configuration, and may only be those in the definition"
                .into(),
        ),
    ] {
        assert_eq!(unknown(hostile(&sandbox, config).await, Blindness::Denied), message);
    }
    let accepted = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(accepted.is_err(), "somebody connected");
}

#[tokio::test]
async fn crashes_and_faults_are_told_apart() {
    let sandbox = Sandbox::new(config());
    let trap = unknown(hostile(&sandbox, json!({"mode": "trap"})).await, Blindness::Trap);
    assert_eq!(trap, "hostile crashed: wasm `unreachable` instruction executed");
    let fault = unknown(hostile(&sandbox, json!({"mode": "fault"})).await, Blindness::Fault);
    assert_eq!(fault, "the helper is away");
}

#[tokio::test]
async fn output_is_kept_up_to_its_limit() {
    let sandbox = Sandbox::new(config());
    let verbose = verdict(hostile(&sandbox, json!({"mode": "verbose"})).await);
    assert_eq!(verbose.summary.len(), 8192);
    assert_eq!(verbose.detail.unwrap().len(), 4096);
}

#[tokio::test]
async fn granted_exchanges_go_through() {
    let sandbox = Sandbox::new(config());
    let echo = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = echo.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut datagram = [0; 64];
        let (count, from) = echo.recv_from(&mut datagram).await.unwrap();
        echo.send_to(&datagram[..count], from).await.unwrap();
    });
    let reply = verdict(hostile(&sandbox, json!({"mode": "echo", "address": address})).await);
    assert_eq!(reply.summary, "ping");

    let greeter = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = greeter.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = greeter.accept().await.unwrap();
        let mut line = [0; 6];
        stream.read_exact(&mut line).await.unwrap();
        stream.write_all(b"well, hello world").await.unwrap();
    });
    let banner = verdict(hostile(&sandbox, json!({"mode": "banner", "address": address})).await);
    assert_eq!(banner.summary, "matched: true");

    let closed = format!("127.0.0.1:{}", closed_port().await);
    let refused = verdict(hostile(&sandbox, json!({"mode": "echo", "address": closed})).await);
    assert_eq!((refused.status, refused.summary.as_str()), (Status::Critical, "connection refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_go_on_beside_hostile_guests() {
    let sandbox = Arc::new(Sandbox::new(config()));
    let web = web().await;
    let good = prepare(&sandbox, "http_check", json!({"url": format!("http://{web}/status/200")})).await;
    let mut bad = Vec::new();
    for mode in ["loop", "memory", "loop", "stack", "trap", "loop"] {
        let probe = prepare(&sandbox, "hostile.wasm", json!({"mode": mode})).await;
        bad.push(tokio::spawn(async move { probe.run(SECOND * 10).await }));
    }
    for _ in 0..20 {
        assert_eq!(verdict(good.run(SECOND * 10).await).status, Status::Passing);
    }
    for task in bad {
        assert!(matches!(task.await.unwrap(), Finding::Unknown { .. }));
    }
    let figures = sandbox.figures();
    let names: Vec<&str> = figures.iter().map(|figures| figures.plugin.as_str()).collect();
    assert_eq!(names, ["hostile", "http_check"]);
    assert_eq!((figures[0].unknown["limit"], figures[0].unknown["trap"]), (5, 1));
    assert_eq!(figures[1].verdicts["passing"], 20);
}

#[tokio::test]
async fn a_full_pool_makes_runs_late_not_critical() {
    let config = SandboxConfig { concurrency: 1, queue_wait: Duration::from_millis(50), ..config() };
    let sandbox = Sandbox::new(config);
    let web = web().await;
    let hanging = prepare(&sandbox, "http_check", json!({"url": format!("http://{web}/hang")})).await;
    let holder = Arc::clone(&hanging);
    let held = tokio::spawn(async move { holder.run(SECOND * 30).await });
    let waiting = prepare(&sandbox, "http_check", json!({"url": format!("http://{web}/status/200")})).await;
    let deadline = tokio::time::Instant::now() + SECOND * 5;
    while waiting.run(SECOND).await != Finding::Late {
        assert!(tokio::time::Instant::now() < deadline, "the pool never filled");
    }
    // Whoever no longer wants an answer frees the place.
    held.abort();
    let _ = held.await;
    while waiting.run(SECOND).await == Finding::Late {
        assert!(tokio::time::Instant::now() < deadline, "the place was never freed");
    }
}

#[tokio::test]
async fn after_the_end_nothing_runs() {
    let sandbox = Sandbox::new(config());
    let probe = prepare(&sandbox, "hostile.wasm", json!({"mode": "fine"})).await;
    assert_eq!(verdict(probe.run(SECOND).await).summary, "fine went through");
    sandbox.shutdown().await;
    sandbox.shutdown().await;
    assert_eq!(unknown(probe.run(SECOND).await, Blindness::Host), "the agent is shutting down");
    assert_eq!(refusal(&sandbox, &program("http_check", json!({}))).await, "the agent is shutting down");
}
