//! Everything that is measured. `docs/metrics.md` is written from it.

use std::fmt::Write as _;

/// What kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is counted.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is measured, time and again.
    Sample,
}

/// A figure.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, dotted; that of the reference if that has it.
    pub name: &'static str,
    /// What kind.
    pub kind: Kind,
    /// What its values are in.
    pub unit: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! inventory {
    ($($id:ident $name:literal $kind:ident $unit:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, by name.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

inventory! {
    API_HTTP "consul.api.http" Sample "ms" ["method", "path"] "Time until an HTTP request was answered.";
    AUTOPILOT_FAILURE_TOLERANCE "consul.autopilot.failure_tolerance" Gauge "servers" [] "How many voters may fail before the servers have no majority; only the leader knows.";
    AUTOPILOT_HEALTHY "consul.autopilot.healthy" Gauge "yes or no" [] "1 if all servers are healthy; only the leader knows.";
    CATALOG_DEREGISTER "consul.catalog.deregister" Sample "ms" [] "Time until a deregistration was applied.";
    CATALOG_REGISTER "consul.catalog.register" Sample "ms" [] "Time until a registration was applied.";
    DNS_DOMAIN_QUERY "consul.dns.domain_query" Sample "ms" ["node"] "Time until a DNS question about the agent's domain was answered.";
    DNS_PTR_QUERY "consul.dns.ptr_query" Sample "ms" ["node"] "Time until a reverse DNS question was answered.";
    KVS_APPLY "consul.kvs.apply" Sample "ms" [] "Time until a change of the key-value store was applied.";
    LEADER_RECONCILE "consul.leader.reconcile" Sample "ms" [] "Time to compare the catalog with the gossip pool and to bring it in step.";
    MEMBERS_CLIENTS "consul.members.clients" Gauge "members" ["datacenter"] "Client agents of the gossip pool that are alive.";
    MEMBERS_SERVERS "consul.members.servers" Gauge "members" ["datacenter"] "Servers of the gossip pool that are alive.";
    PREPARED_QUERY_APPLY "consul.prepared-query.apply" Sample "ms" [] "Time until a change of prepared queries was applied.";
    PREPARED_QUERY_EXECUTE "consul.prepared-query.execute" Sample "ms" [] "Time until a prepared query was answered.";
    PREPARED_QUERY_EXPLAIN "consul.prepared-query.explain" Sample "ms" [] "Time until a prepared query was explained.";
    RAFT_APPLIED_INDEX "consul.raft.applied_index" Gauge "index" [] "Raft index of the last entry applied.";
    RAFT_APPLY "consul.raft.apply" Counter "writes" [] "Writes of the API and of the agent itself that were handed to the servers.";
    RAFT_COMMIT_INDEX "consul.raft.commit_index" Gauge "index" [] "Raft index of the last entry committed.";
    RAFT_COMMIT_TIME "consul.raft.commitTime" Sample "ms" [] "Time from handing a write to the servers until it was on disk and applied.";
    RAFT_LAST_INDEX "consul.raft.last_index" Gauge "index" [] "Raft index of the newest entry of the log.";
    RAFT_LEADER_LAST_CONTACT "consul.raft.leader.lastContact" Sample "ms" [] "How long ago each follower was last known to follow, once a second while this server leads.";
    RAFT_LEADER "consul.raft.state.leader" Counter "times" [] "How often this server became leader.";
    RPC_QUERY "consul.rpc.query" Counter "reads" [] "Reads that were handed to the servers.";
    RPC_QUERIES_BLOCKING "consul.rpc.queries_blocking" Gauge "reads" [] "Blocking reads that are being answered or waiting.";
    RUNTIME_ALLOC_BYTES "consul.runtime.alloc_bytes" Gauge "bytes" [] "Memory of the process that is resident.";
    RUNTIME_NUM_THREADS "consul.runtime.num_threads" Gauge "threads" [] "Threads of the process.";
    SERF_EVENTS "consul.serf.events" Counter "events" [] "Events of users that this agent heard of, whomever they are meant for.";
    SERF_MEMBER_FAILED "consul.serf.member.failed" Counter "members" [] "Members of the gossip pool that were seen to fail.";
    SERF_MEMBER_JOIN "consul.serf.member.join" Counter "members" [] "Members that joined the gossip pool.";
    SERF_MEMBER_LEFT "consul.serf.member.left" Counter "members" [] "Members that left the gossip pool.";
    SERF_MEMBER_UPDATE "consul.serf.member.update" Counter "members" [] "Members of the gossip pool that changed what they say of themselves.";
    SERVER_IS_LEADER "consul.server.isLeader" Gauge "yes or no" [] "1 if this server leads, else 0.";
    SESSION_APPLY "consul.session.apply" Sample "ms" [] "Time until a change of sessions was applied.";
    SESSION_TTL_INVALIDATE "consul.session_ttl.invalidate" Sample "ms" [] "Time until sessions were ended whose time to live was over.";
    STATE_KV_ENTRIES "consul.state.kv_entries" Gauge "entries" ["datacenter"] "Entries of the key-value store.";
    STATE_NODES "consul.state.nodes" Gauge "nodes" ["datacenter"] "Nodes of the catalog.";
    STATE_SERVICES "consul.state.services" Gauge "services" ["datacenter"] "Names of services of the catalog.";
    STATE_SERVICE_INSTANCES "consul.state.service_instances" Gauge "instances" ["datacenter"] "Instances of services of the catalog.";
    TXN_APPLY "consul.txn.apply" Sample "ms" [] "Time until a transaction was applied.";
    TXN_READ "consul.txn.read" Sample "ms" [] "Time until a transaction that only reads was answered.";
    VERSION "consul.version" Gauge "1" ["version", "pre_release"] "Always 1; its labels tell the compatibility level.";
    AGENT_CHECKS "lictor.agent.checks" Gauge "checks" [] "Checks of this agent.";
    AGENT_SERVICES "lictor.agent.services" Gauge "services" [] "Services of this agent.";
    CHECK_RUN "lictor.check.run" Sample "ms" ["service", "plugin"] "How long runs of a service's checks took; the node's own have no service.";
    HTTP_CONNECTIONS "lictor.http.connections" Gauge "connections" [] "Connections to the HTTP API that are open.";
    PLUGIN_LATE "lictor.plugin.late" Counter "runs" ["plugin"] "Runs of checks that did not begin since too many others ran; since the start.";
    PLUGIN_RUN "lictor.plugin.run" Sample "ms" ["plugin"] "How long runs of checks took; since the start.";
    PLUGIN_UNKNOWN "lictor.plugin.unknown" Counter "runs" ["plugin", "reason"] "Runs of checks that could not look, such as for a limit they hit; since the start.";
    PLUGIN_VERDICTS "lictor.plugin.verdicts" Counter "runs" ["plugin", "status"] "Runs of checks by what they found; since the start.";
    WATCHERS "lictor.store.watchers" Gauge "readers" [] "Readers that wait for a change of the store.";
}

/// The inventory as a page.
#[must_use]
pub fn markdown() -> String {
    let mut page = "# Metrics\n\n\
        `/v1/agent/metrics` shows the last whole interval of ten seconds, `?format=prometheus` everything since\n\
        the start, where `telemetry.prometheus_retention_time` is positive. In Prometheus' names dots are\n\
        underscores. Names that begin with `consul` are the reference's; `telemetry.metrics_prefix` changes that word.\n\
        Figures of plugins are since the start in both forms.\n\n\
        | name | kind | unit | labels | |\n|---|---|---|---|---|\n"
        .to_owned();
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Sample => "sample",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} | {} |",
            metric.name,
            metric.unit,
            metric.labels.join(", "),
            metric.help
        );
    }
    page
}
