//! What readers cost that wait, and how soon all of them hear of a change.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Builder};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::resident;

/// How many wait for the same key.
pub(crate) const WATCHERS: usize = 4000;
/// How long the agent is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(1);
/// How long waking all of them may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was measured.
pub(crate) struct Figures {
    /// Memory for each reader that waits, in bytes.
    pub(crate) memory: f64,
    /// How long after the write each had its answer, the quickest first.
    pub(crate) woken: Vec<Duration>,
}

pub(crate) async fn measure(agent: Builder) -> Figures {
    let agent = agent.config(json!({"limits": {"http_max_conns_per_client": 0}}));
    let agent = tokio::task::spawn_blocking(move || agent.start()).await.expect("an agent");
    agent.http().put("/v1/kv/watched", "before").ok();
    let index = agent.http().get("/v1/kv/watched").index();
    let port = agent.http_port();
    tokio::time::sleep(REST).await;
    let before = resident(&agent);
    let mut waiting = Vec::with_capacity(WATCHERS);
    for _ in 0..WATCHERS {
        waiting.push(watch(port, index).await);
    }
    tokio::time::sleep(REST).await;
    let memory = (resident(&agent) - before) / WATCHERS as f64;
    let mut readers = JoinSet::new();
    for mut stream in waiting {
        readers.spawn(async move {
            let mut answer = [0; 1024];
            let read = stream.read(&mut answer).await.expect("an answer");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "an answer");
            Instant::now()
        });
    }
    let start = Instant::now();
    let written = tokio::task::spawn_blocking(move || {
        agent.http().put("/v1/kv/watched", "after").ok();
        agent
    });
    let heard = tokio::time::timeout(PATIENCE, readers.join_all()).await.expect("all are woken");
    let mut woken: Vec<Duration> = heard.into_iter().map(|at| at - start).collect();
    woken.sort_unstable();
    let agent: Agent = written.await.expect("a write");
    tokio::task::spawn_blocking(move || drop(agent)).await.expect("an end");
    Figures { memory, woken }
}

async fn watch(port: u16, index: u64) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("a connection");
    let request = format!("GET /v1/kv/watched?index={index}&wait=10m HTTP/1.1\r\nHost: bench\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a connection");
    stream
}
