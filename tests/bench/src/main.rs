//! Figures of a running agent: how fast it starts, how much it answers, how little it needs.
//!
//! ```text
//! cargo build --release -p lictor && cargo run --release -p lictor-bench
//! ```
//!
//! Everything is on loopback and bounded to about three minutes. State is kept on disk, below
//! `TMPDIR`, and every write is synchronised: choose a folder on the disk that matters. Nothing
//! is judged here; figures are to be compared with those of the reference on the same machine.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that cannot be made ends, and prints what it measured in real time"
)]

mod agents;
mod checks;
mod load;
mod scale;
mod watchers;

use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Builder, lictor};
use serde_json::json;

use load::{Answer, Load};

/// What is asked of DNS in turn, with the type of records.
const DNS_MIX: [(&str, u16); 4] = [
    ("web.service.consul", 1),
    ("_web._tcp.service.consul", 33),
    ("n1.node.consul", 1),
    ("web.service.dc1.consul", 1),
];
/// How many instances the service has.
const INSTANCES: u8 = 10;

/// How many connections there are at once.
const CONNECTIONS: usize = 64;
/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(3);
/// How many starts are measured.
const STARTS: usize = 5;
/// How long an agent is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

fn main() {
    println!("{} on {}", lictor().display(), std::env::temp_dir().display());
    if cfg!(debug_assertions) {
        println!("these programs are not optimised: add --release");
    }
    let mut starts: Vec<(Duration, Duration)> = (0..STARTS).map(|_| time_start()).collect();
    starts.sort();
    let (answers, _) = starts[STARTS / 2];
    starts.sort_by_key(|(_, writes)| *writes);
    let (_, writes) = starts[STARTS / 2];
    line("exec to first HTTP answer", &format!("{answers:.1?}"));
    line("exec to first accepted write", &format!("{writes:.1?}"));

    let agent = quiet().start();
    std::thread::sleep(REST);
    line("resident when idle", &mebibytes(resident(&agent)));
    prepare(&agent);
    let load =
        Load { connections: CONNECTIONS, lasts: LASTS, http: agent.http_port(), dns: agent.ports().at(1) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        report(
            "KV PUT, durable",
            &load.http(|turn| put(&format!("/v1/kv/bench/{}", turn % 4096), &turn.to_string())).await,
        );
        report("KV GET", &load.http(|turn| get(&format!("/v1/kv/read/{}", turn % 64))).await);
        report(
            "KV GET, consistent",
            &load.http(|turn| get(&format!("/v1/kv/read/{}?consistent", turn % 64))).await,
        );
        report("health of 10 instances", &load.http(|_| get("/v1/health/service/web?passing")).await);
        report("DNS mix", &load.dns(&DNS_MIX).await);
    });
    line("resident after the load", &mebibytes(resident(&agent)));
    drop(agent);
    let run = runtime.block_on(checks::time_run(quiet(), 2 * LASTS));
    let run = run.map_or_else(|| "unknown here".to_owned(), |run| format!("{run:.0?} of processor time"));
    line(&format!("HTTP check, one of {}", checks::CHECKS), &run);
    let watchers = runtime.block_on(watchers::measure(quiet()));
    line("blocking query that waits", &format!("{:.1} KiB", watchers.memory / 1024.0));
    let last =
        |percent: usize| watchers.woken[(watchers.woken.len() * percent / 100).min(watchers.woken.len() - 1)];
    let woken = format!("p50 {:.1?}, p99 {:.1?}, last {:.1?}", last(50), last(99), last(100));
    line(&format!("{} waiting, woken", watchers::WATCHERS), &woken);
    scale::services(quiet());
    scale::keys(quiet());
    // In a network of its own, which a thread is in with all that it starts.
    std::thread::spawn(agents::measure).join().expect("a cluster that can be measured");
}

/// An agent that logs as little as in production.
fn quiet() -> Builder {
    Agent::builder().config(json!({"log_level": "warn"}))
}

/// How long an agent takes until it answers, and until it accepts a write.
fn time_start() -> (Duration, Duration) {
    let mut agent = quiet().prepare();
    agent.spawn();
    let http = agent.http();
    let every = Duration::from_millis(1);
    let give_up = Instant::now() + Duration::from_secs(10);
    let mut answers = None;
    loop {
        if let Ok(response) = http.request("PUT", "/v1/kv/first", b"1") {
            let elapsed = agent.started().elapsed();
            let first = *answers.get_or_insert(elapsed);
            if response.status == 200 {
                return (first, elapsed);
            }
        }
        assert!(Instant::now() < give_up, "the agent does not start: {}", agent.log());
        std::thread::sleep(every);
    }
}

fn prepare(agent: &Agent) {
    for key in 0..64 {
        assert_eq!(agent.http().put(&format!("/v1/kv/read/{key}"), "a value of some length").status, 200);
    }
    for instance in 0..INSTANCES {
        let node = format!("web{instance}");
        let registration = json!({
            "Node": node,
            "Address": format!("10.0.0.{instance}"),
            "Service": {"Service": "web", "Port": 80, "Tags": ["v1"]},
            "Checks": [
                {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "passing"},
                {"CheckID": "service:web", "Name": "alive", "ServiceID": "web", "Status": "passing"},
            ],
        });
        agent.http().put_json("/v1/catalog/register", &registration).ok();
    }
}

/// What the process holds in memory, in bytes; nothing where that cannot be seen.
fn resident(agent: &Agent) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kibibytes.unwrap_or(f64::NAN) * 1024.0
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1024.0 / 1024.0)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes()
}

fn put(path: &str, body: &str) -> Vec<u8> {
    format!("PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn report(what: &str, answers: &[Answer]) {
    let mut times: Vec<Duration> =
        answers.iter().filter(|answer| answer.is_good).map(|answer| answer.after).collect();
    times.sort_unstable();
    let bad = answers.len() - times.len();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    let rate = times.len() as f64 / LASTS.as_secs_f64();
    line(what, &format!("{rate:.0}/s, p50 {:.2?}, p99 {:.2?}, {bad} failed", at(50), at(99)));
}

fn line(what: &str, figure: &str) {
    println!("{what:32}{figure}");
}
