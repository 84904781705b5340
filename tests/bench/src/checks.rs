//! What HTTP checks cost.

use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Builder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many checks there are; each runs every [`INTERVAL`].
pub(crate) const CHECKS: usize = 2000;
/// How often each check runs.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long the agent may take until all checks pass.
const GIVE_UP: Duration = Duration::from_secs(30);
/// How many times a second Linux counts processor time.
const TICKS: f64 = 100.0;

/// Processor time of the agent for each run of a check.
pub(crate) async fn time_run(agent: Builder, lasts: Duration) -> Option<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let target = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let interval = format!("{}s", INTERVAL.as_secs());
    let service = |number: usize| json!({"name": format!("s{number}"), "check": {"http": url, "interval": interval, "timeout": "1s"}});
    let services: Vec<Value> = (0..CHECKS).map(service).collect();
    let agent = tokio::task::spawn_blocking(move || {
        let agent = agent.config(json!({"services": services})).start();
        wait_until_passing(&agent);
        agent
    });
    let agent = agent.await.expect("an agent");
    let (before, since) = (processor_time(&agent)?, Instant::now());
    tokio::time::sleep(lasts).await;
    let used = processor_time(&agent)?.saturating_sub(before);
    let runs = CHECKS as f64 * since.elapsed().as_secs_f64() / INTERVAL.as_secs_f64();
    target.abort();
    tokio::task::spawn_blocking(move || drop(agent)).await.expect("an end");
    Some(used.div_f64(runs))
}

async fn answer(mut stream: TcpStream) {
    // A request of a check comes in one piece.
    let _ = stream.read(&mut [0; 1024]).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
}

fn wait_until_passing(agent: &Agent) {
    let give_up = Instant::now() + GIVE_UP;
    loop {
        let checks = agent.http().json("/v1/agent/checks");
        let passing = checks
            .as_object()
            .map_or(0, |checks| checks.values().filter(|check| check["Status"] == "passing").count());
        if passing == CHECKS {
            return;
        }
        assert!(Instant::now() < give_up, "only {passing} checks pass");
        std::thread::sleep(INTERVAL / 4);
    }
}

/// What the agent used of processors so far, in itself and in the kernel.
pub(crate) fn processor_time(agent: &Agent) -> Option<Duration> {
    let line = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid())).ok()?;
    // The name of the program, in parentheses, may hold blanks.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(Duration::from_secs_f64(ticks / TICKS))
}
