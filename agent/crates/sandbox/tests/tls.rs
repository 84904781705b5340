//! TLS to targets: verified, not verified, and looked at.

#![allow(clippy::unwrap_used, reason = "part of tests, which fail so")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::*;
use lictor_model::check::Status;
use lictor_sandbox::Sandbox;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A web server with a certificate of its own making, for `web.example`.
async fn secure_web() -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_critical_unless_that_is_accepted() {
    let (sandbox, web) = (Sandbox::new(config()), secure_web().await);
    let url = format!("https://{web}/");
    let strict = verdict(http(&sandbox, &url).await);
    assert_eq!(strict.status, Status::Critical);
    assert!(
        strict.summary.starts_with(&format!("HTTP GET {url}: tls: invalid peer certificate")),
        "{strict:?}"
    );

    let lax = json!({"url": url, "tls_skip_verify": true});
    let lax = verdict(prepare(&sandbox, "http_check", lax).await.run(SECOND).await);
    assert_eq!((lax.status, lax.detail.as_deref()), (Status::Passing, Some("hi")));

    let address = web.to_string();
    let strict = json!({"address": address, "tls": true});
    let strict = verdict(prepare(&sandbox, "tcp_check", strict).await.run(SECOND).await);
    assert_eq!(strict.status, Status::Critical);
    let lax = json!({"address": address, "tls": true, "tls_skip_verify": true});
    let lax = verdict(prepare(&sandbox, "tcp_check", lax).await.run(SECOND).await);
    assert_eq!(lax.summary, format!("TCP connect {address}: Success"));
}

#[tokio::test]
async fn certificates_can_be_looked_at() {
    let (sandbox, web) = (Sandbox::new(config()), secure_web().await);
    let seen = hostile(&sandbox, json!({"mode": "certificate", "address": web.to_string()})).await;
    let summary = verdict(seen).summary;
    let [names, days, version] = summary.split(' ').collect::<Vec<_>>()[..] else { panic!("{summary}") };
    assert_eq!((names, version), ("web.example", "TLSv1.3"));
    assert!(days.parse::<i64>().unwrap() > 365, "{summary}");
}
