//! gRPC servers and HTTP/2 servers, with and without TLS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "part of tests, which fail so")]

mod common;

use std::net::SocketAddr;

use common::*;
use lictor_model::check::Status;
use lictor_model::probe::Blindness;
use lictor_sandbox::{Limits, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;

/// A gRPC server whose service `down` does not serve.
async fn grpc_server(secure: bool) -> SocketAddr {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("up", ServingStatus::Serving).await;
    reporter.set_service_status("down", ServingStatus::NotServing).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let mut server = Server::builder();
    if secure {
        let made = rcgen::generate_simple_self_signed(["grpc.example".to_owned()]).unwrap();
        let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
    }
    tokio::spawn(server.add_service(health).serve_with_incoming(incoming));
    address
}

/// A server that accepts connections and answers nothing.
async fn silent_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

async fn run(sandbox: &Sandbox, plugin: &str, config: Value) -> (Status, String) {
    let verdict = verdict(prepare(sandbox, plugin, config).await.run(SECOND).await);
    (verdict.status, verdict.summary)
}

#[tokio::test]
async fn a_grpc_server_says_how_its_services_are() {
    let (sandbox, server) = (Sandbox::new(config()), grpc_server(false).await.to_string());
    let all = run(&sandbox, "grpc_check", json!({"address": server})).await;
    assert_eq!(all, (Status::Passing, format!("gRPC check {server}: success")));
    let up = run(&sandbox, "grpc_check", json!({"address": server, "service": "up"})).await;
    assert_eq!(up, (Status::Passing, format!("gRPC check {server}/up: success")));
    let down = run(&sandbox, "grpc_check", json!({"address": server, "service": "down"})).await;
    assert_eq!(down, (Status::Critical, format!("gRPC {server}/down serving status: NOT_SERVING")));
    let (status, text) = run(&sandbox, "grpc_check", json!({"address": server, "service": "else"})).await;
    assert_eq!(status, Status::Critical);
    assert!(text.starts_with("rpc error: code = NotFound desc = "), "{text}");
}

#[tokio::test]
async fn a_grpc_server_with_tls_is_asked_with_tls() {
    let (sandbox, server) = (Sandbox::new(config()), grpc_server(true).await.to_string());
    let lax = json!({"address": server, "tls": true, "tls_skip_verify": true});
    assert_eq!(run(&sandbox, "grpc_check", lax).await.0, Status::Passing);
    let (status, text) = run(&sandbox, "grpc_check", json!({"address": server, "tls": true})).await;
    assert_eq!(status, Status::Critical);
    assert!(text.contains("transport: authentication handshake failed: tls: "), "{text}");
    let (status, text) = run(&sandbox, "grpc_check", json!({"address": server})).await;
    assert_eq!(status, Status::Critical, "{text}");
}

#[tokio::test]
async fn what_is_no_grpc_server_is_critical() {
    let sandbox = Sandbox::new(config());
    let nobody = format!("127.0.0.1:{}", closed_port().await);
    let (status, text) = run(&sandbox, "grpc_check", json!({"address": nobody})).await;
    assert_eq!(status, Status::Critical);
    let expected = format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp \
         {nobody}: connect: connection refused\""
    );
    assert_eq!(text, expected);
    let web = web().await.to_string();
    let (status, text) = run(&sandbox, "grpc_check", json!({"address": web})).await;
    assert_eq!(status, Status::Critical);
    assert!(text.starts_with("rpc error: code = Unavailable desc = "), "{text}");
    let silent = silent_server().await.to_string();
    let (status, text) = run(&sandbox, "grpc_check", json!({"address": silent})).await;
    assert_eq!(status, Status::Critical);
    assert_eq!(text, "rpc error: code = DeadlineExceeded desc = context deadline exceeded");
}

#[tokio::test]
async fn http_2_servers_answer_pings_and_others_do_not() {
    let sandbox = Sandbox::new(config());
    let plain = grpc_server(false).await.to_string();
    let pinged = run(&sandbox, "h2ping_check", json!({"address": plain, "tls": false})).await;
    assert_eq!(pinged, (Status::Passing, "HTTP2 ping was successful".to_owned()));
    let secure = grpc_server(true).await.to_string();
    let pinged = run(&sandbox, "h2ping_check", json!({"address": secure, "tls_skip_verify": true})).await;
    assert_eq!(pinged, (Status::Passing, "HTTP2 ping was successful".to_owned()));
    let (status, text) = run(&sandbox, "h2ping_check", json!({"address": secure})).await;
    assert_eq!(status, Status::Critical);
    assert!(text.starts_with(&format!("Failed to dial to {secure}: dial tcp {secure}: tls: ")), "{text}");

    for server in [web().await, silent_server().await] {
        let config = json!({"address": server.to_string(), "tls": false});
        let (status, text) = run(&sandbox, "h2ping_check", config).await;
        assert_eq!(status, Status::Critical);
        assert!(text.starts_with("HTTP2 ping failed: "), "{text}");
    }
    let nobody = format!("127.0.0.1:{}", closed_port().await);
    let (status, text) = run(&sandbox, "h2ping_check", json!({"address": nobody, "tls": false})).await;
    assert_eq!(status, Status::Critical);
    assert_eq!(text, format!("Failed to dial to {nobody}: dial tcp {nobody}: connect: connection refused"));
}

#[tokio::test]
async fn a_server_that_floods_with_frames_is_left_when_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                // Settings, over and over.
                while stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.is_ok() {}
            });
        }
    });
    let limits = Limits { cpu: SECOND, ..Limits::default() };
    let sandbox = Sandbox::new(SandboxConfig { limits, ..config() });
    let (status, _) = run(&sandbox, "h2ping_check", json!({"address": address, "tls": false})).await;
    assert_eq!(status, Status::Critical);
    let (status, _) = run(&sandbox, "grpc_check", json!({"address": address})).await;
    assert_eq!(status, Status::Critical);
}

#[tokio::test]
async fn pings_reach_only_what_the_definition_names() {
    let server = grpc_server(false).await.to_string();
    let sandbox = Sandbox::new(config());
    let elsewhere = json!({"mode": "ping", "elsewhere": format!("http://{server}/")});
    let denied = unknown(hostile(&sandbox, elsewhere).await, Blindness::Denied);
    assert!(denied.starts_with(&format!("http to {server} is not granted")), "{denied}");
}
