//! What `/v1/agent/metrics` shows: what was measured, and what can be looked up when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::RuntimeConfig;
use lictor_model::local::{Member, MemberStatus};
use lictor_model::version;
use lictor_sandbox::PluginFigures;
use lictor_sys::clock::rfc3339;
use lictor_sys::host;
use lictor_telemetry::metrics::inventory as of;
use lictor_telemetry::metrics::report::report;
use lictor_telemetry::metrics::{Amount, Labels, Metric, Reading, Registry, Style, Summary, prometheus};
use serde_json::{Value, json};

use crate::backend::AgentBackend;
use crate::describe::is_server;
use crate::measure::Measures;

/// All figures of an agent.
pub(crate) struct Figures {
    registry: Arc<Registry>,
    style: Style,
    pub(crate) measures: Measures,
}

impl Figures {
    pub(crate) fn new(config: &RuntimeConfig, registry: Arc<Registry>) -> Self {
        let telemetry = &config.telemetry;
        // As in the reference, the host's name only matters to those who gather from many hosts.
        let names_host = !telemetry.disable_hostname && !telemetry.prometheus_retention.is_zero();
        let style = Style {
            prefix: telemetry.prefix.clone(),
            hostname: names_host.then(|| host::look().name).filter(|name| !name.is_empty()),
            filter_default: telemetry.filter_default,
            filters: telemetry.filters.clone(),
        };
        Self { measures: Measures::new(&registry), registry, style }
    }

    /// The last interval's, as the reference writes them.
    pub(crate) fn report(&self, agent: &AgentBackend) -> Value {
        let timestamp = |millis: u64| rfc3339(millis).replace('T', " ").replace('Z', " +0000 UTC");
        json!(report(&self.registry, readings(agent), &self.style, timestamp))
    }

    /// Those since the start, for Prometheus.
    pub(crate) fn prometheus(&self, agent: &AgentBackend) -> String {
        prometheus::text(&self.registry, readings(agent), &self.style)
    }
}

fn readings(agent: &AgentBackend) -> Vec<Reading> {
    let mut readings = Vec::new();
    let mut gauge = |metric: &'static Metric, labels: Labels, value: f64| {
        readings.push(Reading { metric, labels, amount: Amount::Gauge(value) });
    };
    let datacenter = agent.local.read(|state| state.identity().datacenter.to_string());
    let here = || vec![("datacenter", datacenter.clone())];
    let (services, checks) = agent.local.read(|state| (state.services().len(), state.checks().len()));
    gauge(&of::AGENT_SERVICES, vec![], services as f64);
    gauge(&of::AGENT_CHECKS, vec![], checks as f64);
    let process = host::process();
    gauge(&of::RUNTIME_ALLOC_BYTES, vec![], process.resident as f64);
    gauge(&of::RUNTIME_NUM_THREADS, vec![], process.threads as f64);
    let release = vec![("version", version::COMPATIBILITY.to_owned()), ("pre_release", String::new())];
    gauge(&of::VERSION, release, 1.0);
    let members = agent.gossip.members();
    let alive = |servers: bool| {
        let counts = |member: &&Member| member.status == MemberStatus::Alive && is_server(member) == servers;
        members.iter().filter(counts).count() as f64
    };
    gauge(&of::MEMBERS_SERVERS, here(), alive(true));
    gauge(&of::MEMBERS_CLIENTS, here(), alive(false));
    if let Some(server) = agent.upstream.own() {
        let raft = server.raft_status();
        gauge(&of::RAFT_APPLIED_INDEX, vec![], raft.applied_index as f64);
        gauge(&of::RAFT_COMMIT_INDEX, vec![], raft.commit_index as f64);
        gauge(&of::RAFT_LAST_INDEX, vec![], raft.last_log_index as f64);
        gauge(&of::SERVER_IS_LEADER, vec![], f64::from(u8::from(raft.state == "Leader")));
        if raft.state == "Leader" {
            let health = server.health();
            gauge(&of::AUTOPILOT_HEALTHY, vec![], f64::from(u8::from(health.healthy)));
            gauge(&of::AUTOPILOT_FAILURE_TOLERANCE, vec![], health.failure_tolerance as f64);
        }
        gauge(&of::WATCHERS, vec![], server.watched() as f64);
        let sizes = server.sizes();
        gauge(&of::STATE_NODES, here(), sizes.nodes as f64);
        gauge(&of::STATE_SERVICES, here(), sizes.services as f64);
        gauge(&of::STATE_SERVICE_INSTANCES, here(), sizes.instances as f64);
        gauge(&of::STATE_KV_ENTRIES, here(), sizes.kv as f64);
    }
    for plugin in agent.sandbox.figures() {
        of_plugin(&plugin, &mut readings);
    }
    readings
}

fn of_plugin(plugin: &PluginFigures, readings: &mut Vec<Reading>) {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let labels = |more: Option<(&'static str, &str)>| -> Labels {
        let more = more.map(|(name, value)| (name, value.to_owned()));
        std::iter::once(("plugin", plugin.plugin.clone())).chain(more).collect()
    };
    let mut add = |metric, labels, summary| {
        readings.push(Reading { metric, labels, amount: Amount::Summary(summary) });
    };
    for (status, count) in &plugin.verdicts {
        add(&of::PLUGIN_VERDICTS, labels(Some(("status", status))), Summary::counted(*count));
    }
    for (reason, count) in &plugin.unknown {
        add(&of::PLUGIN_UNKNOWN, labels(Some(("reason", reason))), Summary::counted(*count));
    }
    add(&of::PLUGIN_LATE, labels(None), Summary::counted(plugin.late));
    let runs = Summary {
        count: plugin.runs,
        sum: millis(plugin.total_time),
        max: millis(plugin.longest),
        ..Summary::default()
    };
    add(&of::PLUGIN_RUN, labels(None), runs);
}
