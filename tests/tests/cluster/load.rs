//! Clients that write without a pause and remember what was acknowledged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lictor_testkit::{Cluster, Http};

/// How long one write may take before the client gives up and asks somebody else.
const PATIENCE: Duration = Duration::from_secs(3);
/// The key that all writers count up by compare-and-set.
const COUNTER: &str = "load/counter";

/// What was acknowledged.
#[derive(Debug, Default)]
struct Log {
    /// Keys with their values.
    written: Vec<(String, String)>,
    /// When.
    times: Vec<Instant>,
    /// For each index that a compare-and-set was told, how often it was acknowledged.
    swaps: HashMap<u64, u32>,
    /// Compare-and-sets of which nobody knows whether they happened.
    unknown_swaps: u64,
}

/// Writers at work; dropped, they stop.
pub(crate) struct Load {
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts writers, which begin at different agents and move on when one does not answer.
    pub(crate) fn start(cluster: &Cluster, writers: usize) -> Self {
        let agents: Vec<Http> = cluster.running().map(|agent| agent.http().patience(PATIENCE)).collect();
        let (log, stop) = (Arc::<Mutex<Log>>::default(), Arc::<AtomicBool>::default());
        let writers = (0..writers)
            .map(|writer| {
                let (agents, log, stop) = (agents.clone(), Arc::clone(&log), Arc::clone(&stop));
                std::thread::spawn(move || write(writer, &agents, &log, &stop))
            })
            .collect();
        Self { log, stop, writers }
    }

    /// How many writes were acknowledged.
    pub(crate) fn count(&self) -> usize {
        lock(&self.log).times.len()
    }

    /// When the first write was acknowledged that was after `moment`.
    pub(crate) fn first_after(&self, moment: Instant) -> Option<Instant> {
        // The newest are at the end, nearly in order.
        lock(&self.log).times.iter().rev().take_while(|time| **time > moment).min().copied()
    }

    /// Stops, and holds what is in the cluster against what was acknowledged.
    #[track_caller]
    pub(crate) fn stop_and_check(mut self, http: Http) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            writer.join().expect("a writer ends");
        }
        let log = lock(&self.log);
        let stored = http.json("/v1/kv/load/?recurse&consistent");
        let stored: HashMap<&str, &str> = stored
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| (entry["Key"].as_str().expect("a key"), entry["Value"].as_str().unwrap_or_default()))
            .collect();
        for (key, value) in &log.written {
            let found = stored.get(key.as_str()).map(|value| decoded(value));
            assert_eq!(found.as_ref(), Some(value), "acknowledged, but not there: {key}");
        }
        let twice: Vec<_> = log.swaps.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "compare-and-sets that succeeded twice for one index: {twice:?}");
        let count: u64 = stored.get(COUNTER).map_or(0, |value| decoded(value).parse().expect("a number"));
        let swaps = log.swaps.len() as u64;
        assert!(
            (swaps..=swaps + log.unknown_swaps).contains(&count),
            "the counter is at {count} after {swaps} acknowledged swaps and {} unknown ones",
            log.unknown_swaps
        );
        eprintln!("{} writes and {swaps} swaps were acknowledged, and all are there", log.written.len());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(log: &Mutex<Log>) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(writer: usize, agents: &[Http], log: &Mutex<Log>, stop: &AtomicBool) {
    let mut asked = writer;
    for round in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let agent = agents[asked % agents.len()];
        let key = format!("load/{writer}/{round}");
        let value = format!("{writer}-{round}");
        match agent.request("PUT", &format!("/v1/kv/{key}"), value.as_bytes()) {
            Ok(response) if response.status == 200 && response.text() == "true" => {
                let mut log = lock(log);
                log.written.push((key, value));
                log.times.push(Instant::now());
            }
            _ => {
                asked += 1;
                // A server that is down refuses at once.
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
        }
        if round % 8 == 0 {
            swap(agent, log);
        }
    }
}

/// Counts up by one, if nobody is faster.
fn swap(agent: Http, log: &Mutex<Log>) {
    let Ok(read) = agent.request("GET", &format!("/v1/kv/{COUNTER}"), b"") else { return };
    let (index, count) = match read.status {
        404 => (0, 0),
        200 => {
            let entry = &read.json()[0];
            let count: u64 = decoded(entry["Value"].as_str().expect("a value")).parse().expect("a number");
            (entry["ModifyIndex"].as_u64().expect("an index"), count)
        }
        _ => return,
    };
    let body = (count + 1).to_string();
    match agent.request("PUT", &format!("/v1/kv/{COUNTER}?cas={index}"), body.as_bytes()) {
        Ok(response) if response.status == 200 => {
            if response.text() == "true" {
                *lock(log).swaps.entry(index).or_default() += 1;
            }
        }
        _ => lock(log).unknown_swaps += 1,
    }
}

/// What a value of the API's stands for.
fn decoded(base64: &str) -> String {
    String::from_utf8(BASE64.decode(base64).expect("base64")).expect("text")
}
