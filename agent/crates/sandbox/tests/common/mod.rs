//! What the tests share: a sandbox, targets to look at, and short names.
#![allow(dead_code, unreachable_pub, reason = "not every test binary uses all of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "part of tests, which fail so"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lictor_model::probe::{Blindness, CheckRunner, Finding, Origin, Probe, Program, Target, Verdict};
use lictor_sandbox::{Limits, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// One cache for all test binaries, so that each component is compiled once.
pub fn config() -> SandboxConfig {
    SandboxConfig {
        plugin_dir: Some(fixtures()),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("aot")),
        limits: Limits { cpu: Duration::from_millis(200), ..Limits::default() },
        ..SandboxConfig::default()
    }
}

pub fn program(name: &str, config: Value) -> Program {
    Program { name: name.to_owned(), origin: Origin::Api, config, allow: Value::Null, output_limit: 4096 }
}

pub async fn prepare(sandbox: &Sandbox, name: &str, config: Value) -> Arc<dyn Probe> {
    sandbox.prepare(&program(name, config), &Target::default()).await.unwrap()
}

pub async fn refusal(sandbox: &Sandbox, program: &Program) -> String {
    match sandbox.prepare(program, &Target::default()).await {
        Ok(probe) => panic!("{} was accepted", probe.facts().plugin),
        Err(error) => error.message,
    }
}

/// Runs the built-in HTTP check against a path of a server.
pub async fn http(sandbox: &Sandbox, url: &str) -> Finding {
    prepare(sandbox, "http_check", json!({"url": url})).await.run(SECOND * 5).await
}

/// Runs the hostile component in one of its ways.
pub async fn hostile(sandbox: &Sandbox, config: Value) -> Finding {
    prepare(sandbox, "hostile.wasm", config).await.run(SECOND * 10).await
}

#[track_caller]
pub fn verdict(finding: Finding) -> Verdict {
    match finding {
        Finding::Verdict(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn unknown(finding: Finding, expected: Blindness) -> String {
    match finding {
        Finding::Unknown { reason, message } if reason == expected => message,
        other => panic!("{other:?}"),
    }
}

/// A port of this machine on which nobody listens.
pub async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A web server whose answers follow from the path: `/status/N`, `/to/URL` (a redirect),
/// `/body/N`, `/endless`, `/hang`, and the request itself for everything else.
pub async fn web() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: tokio::net::TcpStream) {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            // Somebody speaks TLS.
            Ok(count) if count > 0 && chunk[0] == 0x16 => {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                return;
            }
            Ok(count) if count > 0 => request.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = |line: &str, body: &str| {
        format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let bytes = if let Some(code) = path.strip_prefix("/status/") {
        let reason = match code {
            "200" => "OK",
            "429" => "Too Many Requests",
            "500" => "Internal Server Error",
            _ => "",
        };
        answer(&format!("{code} {reason}"), &format!("status {code}"))
    } else if let Some(url) = path.strip_prefix("/to/") {
        format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n")
    } else if let Some(size) = path.strip_prefix("/body/") {
        let size: usize = size.parse().unwrap();
        answer("200 OK", &format!("{}end", "x".repeat(size - 3)))
    } else if path == "/endless" {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nso far").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        return;
    } else if path == "/hang" {
        tokio::time::sleep(Duration::from_secs(60)).await;
        return;
    } else {
        answer("200 OK", &text)
    };
    let _ = stream.write_all(bytes.as_bytes()).await;
}

/// A server that gives everybody the same body.
pub async fn always(body: String) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}
