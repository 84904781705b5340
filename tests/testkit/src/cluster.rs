//! Several agents that are one cluster.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::http::Http;
use crate::network::Network;
use crate::wait::eventually_within;

/// How long a cluster may take to come to what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same gossip port everywhere, so that a list of members to join needs no more than addresses.
const GOSSIP: u16 = 8301;

/// What a cluster is to be like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many servers.
    pub servers: usize,
    /// How many client agents.
    pub clients: usize,
    /// Laid over the configuration of all.
    pub config: Value,
}

impl Default for Plan {
    fn default() -> Self {
        Self { servers: 3, clients: 0, config: json!({}) }
    }
}

/// A cluster in a network of its own. Servers are called `s1`, `s2` and so on, client agents `c1`.
#[derive(Debug)]
pub struct Cluster {
    /// Where it is.
    pub network: Network,
    /// Its servers, in order.
    pub servers: Vec<Agent>,
    /// Its client agents, in order.
    pub clients: Vec<Agent>,
}

impl Cluster {
    /// Three servers with Raft's shortest timeouts.
    #[must_use]
    pub fn of_three() -> Self {
        Self::start(&Plan::default())
    }

    /// Starts a cluster and waits until it has a leader and all nodes are in the catalog.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        let mut cluster = Self::prepare(plan);
        for agent in cluster.servers.iter_mut().chain(&mut cluster.clients) {
            agent.spawn();
        }
        cluster.wait_until_whole();
        cluster
    }

    /// Prepares a cluster of which nothing runs.
    ///
    /// # Panics
    /// If files cannot be written.
    #[must_use]
    pub fn prepare(plan: &Plan) -> Self {
        let network = Network::isolated();
        let join: Vec<String> =
            (1..=plan.servers).map(|number| Network::server(number).to_string()).collect();
        let common = json!({
            "bootstrap": null,
            "retry_join": join,
            "retry_interval": "1s",
            "ports": {"serf_lan": GOSSIP},
        });
        let servers = (1..=plan.servers).map(|number| {
            Agent::builder()
                .address(Network::server(number))
                .config(common.clone())
                .config(json!({"node_name": format!("s{number}"), "bootstrap_expect": plan.servers}))
                .config(plan.config.clone())
                .prepare()
        });
        let clients = (1..=plan.clients).map(|number| {
            Agent::builder()
                .address(Network::client(number))
                .config(common.clone())
                .config(json!({"node_name": format!("c{number}"), "server": false}))
                .config(plan.config.clone())
                .prepare()
        });
        Self { network, servers: servers.collect(), clients: clients.collect() }
    }

    /// All agents that run.
    pub fn running(&self) -> impl Iterator<Item = &Agent> {
        self.servers.iter().chain(&self.clients).filter(|agent| agent.is_running())
    }

    /// The place of the server that leads, if all running servers that know a leader know this one,
    /// and most do.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let known: Vec<String> = self
            .servers
            .iter()
            .filter(|server| server.is_running())
            .filter_map(|server| leader_at(server.http()))
            .collect();
        let leader = known.first().filter(|leader| known.iter().all(|other| other == *leader))?;
        let host = leader.split(':').next()?;
        let is_known_to_most = known.len() * 2 > self.servers.len();
        self.servers
            .iter()
            .position(|server| server.is_running() && server.address().to_string() == host)
            .filter(|_| is_known_to_most)
    }

    /// Waits for a leader and returns its place.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    #[must_use]
    pub fn wait_for_leader(&self) -> usize {
        eventually_within(PATIENCE, "a leader that the servers agree on", || {
            self.leader().ok_or_else(|| {
                let known: Vec<_> = self.servers.iter().map(|server| leader_at(server.http())).collect();
                format!("{known:?}")
            })
        })
    }

    /// Waits until there is a leader that every running server knows, every running server has a
    /// vote, and every running node is in the catalog and healthy.
    ///
    /// # Panics
    /// If it does not come to that.
    #[track_caller]
    pub fn wait_until_whole(&self) {
        let nodes = self.running().count();
        let votes = self.servers.iter().filter(|server| server.is_running()).count();
        eventually_within(PATIENCE, "every node is healthy and every server follows", || {
            // Who leads may be about to change, and may have been started a moment ago.
            let leader = self.leader().ok_or("the servers agree on no leader")?;
            let read = |path| {
                self.servers[leader].http().request("GET", path, b"").map_err(|error| error.to_string())
            };
            let healthy = read("/v1/health/state/passing")?;
            let raft = read("/v1/operator/raft/configuration")?;
            if healthy.status != 200 || raft.status != 200 {
                return Err(format!("{} {}", healthy.text(), raft.text()));
            }
            let mut servers = self.servers.iter().filter(|server| server.is_running());
            if let Some(lost) = servers.find(|server| leader_at(server.http()).is_none()) {
                return Err(format!("{} knows no leader", lost.address()));
            }
            let healthy = healthy.json();
            let found = healthy
                .as_array()
                .map_or(0, |list| list.iter().filter(|check| check["CheckID"] == "serfHealth").count());
            let raft = raft.json();
            // One of an earlier life would be one too many.
            let voters = raft["Servers"].as_array().map_or(0, |list| {
                if list.iter().all(|server| server["Voter"] == true) { list.len() } else { 0 }
            });
            if found == nodes && voters == votes { Ok(()) } else { Err(format!("{healthy} {raft}")) }
        });
    }

    /// Waits until all running servers have applied what the leader has.
    ///
    /// # Panics
    /// If they do not.
    #[track_caller]
    pub fn wait_until_equal(&self) {
        let leader = self.wait_for_leader();
        let wanted = self.servers[leader].http().applied_index();
        for server in self.servers.iter().filter(|server| server.is_running()) {
            eventually_within(PATIENCE, "all servers have applied the same", || {
                let agent = server.http().request("GET", "/v1/agent/self", b"");
                let agent = agent.map_err(|error| error.to_string())?.json();
                // Without one while it reads its log.
                let applied = agent["Stats"]["raft"]["applied_index"].as_str().unwrap_or("0");
                let is_equal = applied.parse().is_ok_and(|applied: u64| applied >= wanted);
                if is_equal { Ok(()) } else { Err(format!("{applied} of {wanted}")) }
            });
        }
    }
}

fn leader_at(http: Http) -> Option<String> {
    let response = http.patience(Duration::from_secs(2)).request("GET", "/v1/status/leader", b"").ok()?;
    let leader: String = serde_json::from_slice(&response.body).ok()?;
    Some(leader).filter(|leader| !leader.is_empty())
}
