//! What the agent measures while it works.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lictor_gossip::MemberEvent;
use lictor_model::Result;
use lictor_model::command::{Command, Outcome};
use lictor_model::query::{Query, ReadOptions, Reply};
use lictor_server::Observer;
use lictor_sys::clock::{Clock, SystemClock};
use lictor_telemetry::metrics::inventory as of;
use lictor_telemetry::metrics::{INTERVAL, Level, Metric, Registry, Series};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// What is measured of reads and writes on their way to the servers.
pub(crate) struct Measures {
    clock: SystemClock,
    reads: Arc<Series>,
    blocking: Arc<Level>,
    read_transactions: Arc<Series>,
    executions: Arc<Series>,
    explanations: Arc<Series>,
    writes: Arc<Series>,
    commits: Arc<Series>,
    registrations: Arc<Series>,
    deregistrations: Arc<Series>,
    keys: Arc<Series>,
    sessions: Arc<Series>,
    transactions: Arc<Series>,
    prepared: Arc<Series>,
}

impl Measures {
    pub(crate) fn new(registry: &Registry) -> Self {
        let series = |metric: &'static Metric| registry.series(metric, Vec::new());
        Self {
            clock: SystemClock::default(),
            reads: series(&of::RPC_QUERY),
            blocking: registry.level(&of::RPC_QUERIES_BLOCKING),
            read_transactions: series(&of::TXN_READ),
            executions: series(&of::PREPARED_QUERY_EXECUTE),
            explanations: series(&of::PREPARED_QUERY_EXPLAIN),
            writes: series(&of::RAFT_APPLY),
            commits: series(&of::RAFT_COMMIT_TIME),
            registrations: series(&of::CATALOG_REGISTER),
            deregistrations: series(&of::CATALOG_DEREGISTER),
            keys: series(&of::KVS_APPLY),
            sessions: series(&of::SESSION_APPLY),
            transactions: series(&of::TXN_APPLY),
            prepared: series(&of::PREPARED_QUERY_APPLY),
        }
    }

    /// Has a question answered.
    pub(crate) async fn read<F: Future<Output = Result<Reply>>>(
        &self,
        query: Query,
        options: ReadOptions,
        answer: impl FnOnce(Query, ReadOptions) -> F,
    ) -> Result<Reply> {
        self.reads.count();
        let _blocking = options.is_blocking().then(|| self.blocking.raise());
        let series = match query {
            // The time that nothing happened is nobody's.
            _ if options.is_blocking() => return answer(query, options).await,
            Query::Transaction(_) => &self.read_transactions,
            Query::ExecutePrepared(_) => &self.executions,
            Query::ExplainPrepared { .. } => &self.explanations,
            _ => return answer(query, options).await,
        };
        let start = self.clock.now();
        let answered = answer(query, options).await;
        series.took(self.clock.now().since(start));
        answered
    }

    /// Has a command carried out. What was refused took no time worth knowing.
    pub(crate) async fn write<F: Future<Output = Result<Outcome>>>(
        &self,
        command: Command,
        carry_out: impl FnOnce(Command) -> F,
    ) -> Result<Outcome> {
        let (series, is_logged) = self.of(&command);
        let start = self.clock.now();
        let outcome = carry_out(command).await?;
        let took = self.clock.now().since(start);
        if let Some(series) = series {
            series.took(took);
        }
        if is_logged {
            self.writes.count();
            self.commits.took(took);
        }
        Ok(outcome)
    }

    /// Where a command is recorded beside all writes, and whether it goes into the log.
    fn of(&self, command: &Command) -> (Option<&Series>, bool) {
        match command {
            Command::Register(_) => (Some(&self.registrations), true),
            Command::Deregister(_) => (Some(&self.deregistrations), true),
            Command::Kv(_) => (Some(&self.keys), true),
            Command::CreateSession(_) | Command::EndSessions(_) => (Some(&self.sessions), true),
            Command::RenewSession(_) => (None, false),
            Command::Transaction(_) => (Some(&self.transactions), true),
            Command::Prepared(_) => (Some(&self.prepared), true),
            Command::EndLockDelays(_)
            | Command::SetAutopilot { .. }
            | Command::UpdateCoordinates(_)
            | Command::Restore(_) => (None, true),
        }
    }
}

/// How long duties of a leader take.
pub(crate) struct Duties {
    reconciliations: Arc<Series>,
    expirations: Arc<Series>,
    silences: Arc<Series>,
}

impl Duties {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            reconciliations: registry.series(&of::LEADER_RECONCILE, Vec::new()),
            expirations: registry.series(&of::SESSION_TTL_INVALIDATE, Vec::new()),
            silences: registry.series(&of::RAFT_LEADER_LAST_CONTACT, Vec::new()),
        }
    }
}

impl Observer for Duties {
    fn reconciled(&self, took: Duration) {
        self.reconciliations.took(took);
    }

    fn silent(&self, silence: Duration) {
        self.silences.took(silence);
    }

    fn sessions_ended(&self, took: Duration) {
        self.expirations.took(took);
    }
}

/// What members of the gossip pool do.
pub(crate) struct Members {
    joined: Arc<Series>,
    left: Arc<Series>,
    failed: Arc<Series>,
    updated: Arc<Series>,
}

impl Members {
    pub(crate) fn new(registry: &Registry) -> Self {
        let series = |metric: &'static Metric| registry.series(metric, Vec::new());
        Self {
            joined: series(&of::SERF_MEMBER_JOIN),
            left: series(&of::SERF_MEMBER_LEFT),
            failed: series(&of::SERF_MEMBER_FAILED),
            updated: series(&of::SERF_MEMBER_UPDATE),
        }
    }

    pub(crate) fn count(&self, event: &MemberEvent) {
        match event {
            MemberEvent::Join(_) => self.joined.count(),
            MemberEvent::Leave(_) => self.left.count(),
            MemberEvent::Failed(_) => self.failed.count(),
            MemberEvent::Update(_) => self.updated.count(),
            MemberEvent::Reap(_) => {}
        }
    }
}

/// Ends one interval after the other until `stop` is cancelled.
pub(crate) async fn intervals(registry: Arc<Registry>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    registry.begin(clock.unix_millis());
    let mut ends = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    ends.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ends.tick() => registry.roll(clock.unix_millis()),
        }
    }
}
