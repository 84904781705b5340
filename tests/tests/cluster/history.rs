//! Histories of writes, compare-and-sets and consistent reads under faults, and whether some order
//! of single steps explains them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lictor_testkit::{Cluster, Http, Network, Signal};
use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use rand::Rng;

use crate::turn;

/// How many clients there are, and how many keys they share.
const CLIENTS: u32 = 5;
const KEYS: u32 = 3;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the search for an order may take.
const SEARCH: Duration = Duration::from_secs(120);

/// An entry of the key-value store: what it holds, and the index of its last change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Entry {
    value: Option<u64>,
    index: u64,
}

/// What a client did to a key, and what it was told.
#[derive(Clone, Debug)]
enum Done {
    /// Read consistently: the entry, if there was one.
    Read(Entry),
    /// Wrote; absent: it is not known whether it happened.
    Write { value: u64, acknowledged: bool },
    /// Wrote if the index was this one; absent: it is not known whether that was so.
    Swap { value: u64, expected: u64, outcome: Option<bool> },
}

#[derive(Clone, Debug)]
struct Step {
    key: u32,
    done: Done,
}

/// One entry by itself. Writes do not tell their index, so a state knows it only once it was read.
#[derive(Clone, Debug)]
struct Register;

/// What is known of an entry between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    value: Option<u64>,
    /// The index of the last change, if somebody has read it; 0 for no entry.
    index: Option<u64>,
    /// Indexes that belonged to earlier changes are at most this.
    past: u64,
}

impl Model for Register {
    type State = Known;
    type Op = Step;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        (0..KEYS).map(|key| history.iter().filter(|step| step.op.key == key).cloned().collect()).collect()
    }

    fn init() -> Known {
        Known { value: None, index: Some(0), past: 0 }
    }

    fn step(known: &Known, step: &Step) -> (bool, Known) {
        let changed = |value: u64| Known {
            value: Some(value),
            index: None,
            past: known.index.unwrap_or(known.past).max(known.past),
        };
        match &step.done {
            Done::Read(entry) => {
                let same_value = entry.value == known.value;
                let same_index = known.index.map_or(entry.index > known.past, |index| index == entry.index);
                (same_value && same_index, Known { index: Some(entry.index), ..known.clone() })
            }
            Done::Write { value, .. } => (true, changed(*value)),
            Done::Swap { value, expected, outcome } => {
                // An index that nobody has read yet may be any that is newer than those known.
                let may_match = known.index.map_or(*expected > known.past, |index| index == *expected);
                let may_differ = known.index != Some(*expected);
                match outcome {
                    Some(true) => (may_match, changed(*value)),
                    Some(false) => (may_differ, known.clone()),
                    // Last in the order, such a step may have done nothing at all.
                    None if may_match => (true, changed(*value)),
                    None => (true, known.clone()),
                }
            }
        }
    }
}

struct Recorder {
    start: Instant,
    steps: Mutex<Vec<Operation<Register>>>,
    values: AtomicU64,
}

impl Recorder {
    fn new() -> Self {
        Self { start: Instant::now(), steps: Mutex::default(), values: AtomicU64::new(1) }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_nanos()).expect("a short test")
    }

    fn note(&self, client: u32, call_time: i64, key: u32, done: Done) {
        let is_known =
            !matches!(done, Done::Write { acknowledged: false, .. } | Done::Swap { outcome: None, .. });
        // What is not known to have happened may happen at any time.
        let return_time = if is_known { self.now() } else { i64::MAX };
        let step = Operation {
            client_id: Some(client),
            call_time,
            return_time,
            op: Step { key, done },
            metadata: None,
        };
        self.steps.lock().expect("a history").push(step);
    }

    /// Does one thing by chance.
    fn act(&self, client: u32, http: Http) -> bool {
        let mut random = rand::rng();
        let key = random.random_range(0..KEYS);
        let path = format!("/v1/kv/history/{key}");
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        let body = value.to_string();
        match random.random_range(0..3) {
            0 => self.read(client, http, key).is_some(),
            1 => {
                let call = self.now();
                let answer = http.request("PUT", &path, body.as_bytes());
                let acknowledged = answer.is_ok_and(|answer| answer.status == 200);
                self.note(client, call, key, Done::Write { value, acknowledged });
                acknowledged
            }
            _ => {
                let Some(Entry { index: expected, .. }) = self.read(client, http, key) else { return false };
                let call = self.now();
                let answer = http.request("PUT", &format!("{path}?cas={expected}"), body.as_bytes());
                let outcome =
                    answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.text() == "true");
                self.note(client, call, key, Done::Swap { value, expected, outcome });
                outcome.is_some()
            }
        }
    }

    fn read(&self, client: u32, http: Http, key: u32) -> Option<Entry> {
        let call = self.now();
        let answer = http.request("GET", &format!("/v1/kv/history/{key}?consistent"), b"").ok()?;
        let entry = match answer.status {
            404 => Entry::default(),
            200 => {
                let entry = &answer.json()[0];
                let value = BASE64.decode(entry["Value"].as_str().expect("a value")).expect("base64");
                let value = String::from_utf8(value).expect("digits").parse().expect("a number");
                Entry { value: Some(value), index: entry["ModifyIndex"].as_u64().expect("an index") }
            }
            _ => return None,
        };
        self.note(client, call, key, Done::Read(entry.clone()));
        Some(entry)
    }
}

fn check(steps: &[Operation<Register>]) -> CheckResult {
    check_operations_timeout::<Register>(steps, SEARCH)
}

/// Has clients act while `faults` does its worst, and checks the history.
fn record_and_check(cluster: &mut Cluster, faults: impl FnOnce(&mut Cluster)) {
    let recorder = Arc::new(Recorder::new());
    let stop = Arc::<AtomicBool>::default();
    let agents: Vec<Http> = cluster.servers.iter().map(|server| server.http().patience(PATIENCE)).collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (recorder, stop, agents) = (Arc::clone(&recorder), Arc::clone(&stop), agents.clone());
            std::thread::spawn(move || {
                let mut asked = client as usize;
                while !stop.load(Ordering::Relaxed) {
                    if !recorder.act(client, agents[asked % agents.len()]) {
                        asked += 1;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    faults(cluster);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("a client ends");
    }
    let steps = recorder.steps.lock().expect("a history");
    let unknown = steps.iter().filter(|step| step.return_time == i64::MAX).count();
    eprintln!("{} steps, of which {unknown} may have happened", steps.len());
    assert!(steps.len() > 200, "too few steps to say anything");
    assert_eq!(check(&steps), CheckResult::Ok, "no order of single steps explains the history");
}

#[test]
fn reads_and_swaps_are_linearizable_while_leaders_die_and_networks_break() {
    let _turn = turn::take();
    let mut cluster = Cluster::of_three();
    record_and_check(&mut cluster, |cluster| {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_secs(1));
            let leader = cluster.wait_for_leader();
            cluster.network.cut_off(&[Network::server(leader + 1)]);
            std::thread::sleep(Duration::from_secs(3));
            cluster.network.heal();
            let leader = cluster.wait_for_leader();
            cluster.servers[leader].kill();
            std::thread::sleep(Duration::from_secs(2));
            cluster.servers[leader].spawn();
            cluster.wait_until_whole();
            let leader = cluster.wait_for_leader();
            cluster.servers[leader].signal(Signal::STOP);
            std::thread::sleep(Duration::from_secs(2));
            cluster.servers[leader].signal(Signal::CONT);
            cluster.network.lose(10);
            std::thread::sleep(Duration::from_secs(2));
            cluster.network.heal();
        }
    });
}

fn step(client: u32, call_time: i64, return_time: i64, done: Done) -> Operation<Register> {
    Operation { client_id: Some(client), call_time, return_time, op: Step { key: 0, done }, metadata: None }
}

#[test]
fn the_checker_rejects_what_cannot_have_happened() {
    let write = |value| Done::Write { value, acknowledged: true };
    let read = |value, index| Done::Read(Entry { value: Some(value), index });
    let good = vec![
        step(0, 0, 1, write(1)),
        step(0, 2, 3, read(1, 10)),
        step(1, 4, 5, Done::Swap { value: 2, expected: 10, outcome: Some(true) }),
        step(0, 6, 7, read(2, 11)),
        step(1, 8, i64::MAX, Done::Write { value: 3, acknowledged: false }),
        step(0, 9, 10, read(2, 11)),
        step(0, 11, 12, read(3, 12)),
    ];
    assert_eq!(check(&good), CheckResult::Ok);
    let stale_read = [good.clone(), vec![step(2, 13, 14, read(2, 11))]].concat();
    assert_eq!(check(&stale_read), CheckResult::Illegal, "a read of what was overwritten before");
    let swapped_twice =
        [good.clone(), vec![step(2, 13, 14, Done::Swap { value: 9, expected: 11, outcome: Some(true) })]]
            .concat();
    assert_eq!(check(&swapped_twice), CheckResult::Illegal, "a swap from an index of the past");
    let lost_write = [good, vec![step(2, 13, 14, write(4)), step(2, 15, 16, read(3, 12))]].concat();
    assert_eq!(check(&lost_write), CheckResult::Illegal, "an acknowledged write that is gone");
}
