//! Guests that use standard WASI are under the same grants.

mod common;

use common::*;
use lictor_sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn seen(sandbox: &Sandbox, config: Value) -> String {
    verdict(prepare(sandbox, "wasi.wasm", config).await.run(SECOND).await).summary
}

#[tokio::test]
async fn there_is_nothing_to_see_of_the_machine() {
    let sandbox = Sandbox::new(config());
    assert_eq!(seen(&sandbox, json!({"mode": "look"})).await, "0 variables, 0 arguments, 0 folders");
    let lookup = seen(&sandbox, json!({"mode": "lookup"})).await;
    assert!(lookup.contains("permanent-resolver-failure"), "{lookup}");
}

#[tokio::test]
async fn sockets_reach_granted_addresses_only() {
    let sandbox = Sandbox::new(config());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(seen(&sandbox, json!({"mode": "tcp", "address": address})).await, "reached");
    let denied = seen(&sandbox, json!({"mode": "tcp", "elsewhere": address})).await;
    assert!(denied.contains("access-denied"), "{denied}");
}

#[tokio::test]
async fn requests_reach_granted_hosts_only() {
    let (sandbox, web, other) = (Sandbox::new(config()), web().await, web().await);
    let url = format!("http://{web}/status/429");
    assert_eq!(seen(&sandbox, json!({"mode": "http", "url": url})).await, "status 429");
    let elsewhere = json!({"mode": "http", "url": url, "elsewhere": format!("{other}/status/200")});
    let denied = seen(&sandbox, elsewhere).await;
    assert!(denied.contains("HttpRequestDenied"), "{denied}");
    let closed = format!("http://127.0.0.1:{}/", closed_port().await);
    let refused = seen(&sandbox, json!({"mode": "http", "url": closed})).await;
    assert!(refused.contains("ConnectionRefused"), "{refused}");
}
