//! What many agents that have nothing to do cost on one machine.

use std::time::{Duration, Instant};

use lictor_testkit::{Agent, Cluster, Plan};
use serde_json::json;

use crate::checks::processor_time;
use crate::line;

/// How many client agents there are.
const CLIENTS: usize = 100;
/// For how long they are watched.
const REST: Duration = Duration::from_secs(20);

/// Starts them beside three servers, waits until all are in the catalog, and looks at them.
pub(crate) fn measure() {
    let config = json!({"log_level": "warn", "performance": {"raft_multiplier": 5}});
    let started = Instant::now();
    let cluster = Cluster::start(&Plan { servers: 3, clients: CLIENTS, config });
    line(&format!("{CLIENTS} client agents, all in the catalog"), &format!("{:.1?}", started.elapsed()));
    let used = |agents: &[Agent]| -> Option<Duration> { agents.iter().map(processor_time).sum() };
    std::thread::sleep(REST);
    let before = used(&cluster.clients);
    std::thread::sleep(REST);
    let spent = used(&cluster.clients).zip(before).map(|(after, before)| after - before);
    let memory: Option<u64> = cluster.clients.iter().map(proportional).sum();
    if let Some(memory) = memory {
        line("an idle client agent, PSS", &format!("{:.1} MiB", memory as f64 / 1024.0 / CLIENTS as f64));
    }
    if let Some(spent) = spent {
        let share = spent.as_secs_f64() / REST.as_secs_f64() / CLIENTS as f64 * 100.0;
        line("an idle client agent, of one processor", &format!("{share:.2} %"));
    }
}

/// The memory of a process in KiB, what is shared with others counted in parts.
fn proportional(agent: &Agent) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", agent.pid())).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
