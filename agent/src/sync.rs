//! Keeps the catalog true to the local state.
//!
//! Changes are pushed as they happen; everything is compared when the agent starts, whenever a
//! push fails, and from time to time.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lictor_local::Local;
use lictor_local::sync::{Remote, Step, full_sync_interval};
use lictor_model::command::{Outcome, WriteOptions};
use lictor_model::filter::Filter;
use lictor_model::query::{Answer, Query, ReadOptions};
use lictor_model::seam::Backend;
use lictor_model::{Error, Result};
use lictor_sys::clock::Clock;
use lictor_sys::random;
use tokio_util::sync::CancellationToken;

/// How many writes are under way at once.
const CONCURRENCY: usize = 64;
/// How long to wait after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest wait for an output that becomes due.
const IDLE: Duration = Duration::from_secs(3600);

pub(crate) struct Syncer {
    pub(crate) local: Local,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How many nodes the cluster has.
    pub(crate) cluster_size: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Syncer {
    /// Syncs until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changes = self.local.subscribe();
        let mut next_full = self.clock.now();
        loop {
            changes.mark_unchanged();
            let now = self.clock.now();
            let result = if now >= next_full { self.full().await } else { self.push().await };
            match result {
                Err(error) => {
                    tracing::error!("failed to sync remote state: {error}");
                    next_full = now + RETRY_AFTER;
                }
                Ok(()) if now >= next_full => {
                    let interval = full_sync_interval((self.cluster_size)());
                    next_full = now + interval + random::jitter(interval / 4);
                }
                Ok(()) => {}
            }
            let now = self.clock.now();
            let due = self
                .local
                .change_quietly(lictor_local::LocalState::next_due)
                .map_or(IDLE, |at| at.since(now));
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed(), if next_full > now => if changed.is_err() { return },
                () = tokio::time::sleep(due.min(next_full.since(now))) => {}
            }
        }
    }

    async fn full(&self) -> Result<()> {
        let node = self.local.read(|state| state.identity().name.clone());
        let services = Query::NodeServices { node: node.clone(), filter: Filter::default() };
        let checks = Query::NodeChecks { node, filter: Filter::default() };
        let services = self.backend.read(services, ReadOptions::default()).await?;
        let checks = self.backend.read(checks, ReadOptions::default()).await?;
        let (Answer::NodeServices(services), Answer::Checks(checks)) =
            (services.answer.as_ref(), checks.answer.as_ref())
        else {
            return Err(Error::failed("the agent answered something else than it was asked"));
        };
        let remote = Remote {
            node: services.as_ref().map(|found| Arc::clone(&found.node)),
            services: services.as_ref().map(|found| found.services.clone()).unwrap_or_default(),
            checks: checks.clone(),
        };
        self.local.change_quietly(|state| state.compare(&remote));
        self.push().await
    }

    async fn push(&self) -> Result<()> {
        let steps = self.local.read(|state| state.pending(self.clock.now()));
        let mut writes =
            futures::stream::iter(steps).map(|step| self.write(step)).buffer_unordered(CONCURRENCY);
        let mut result = Ok(());
        while let Some(written) = writes.next().await {
            result = result.and(written);
        }
        result
    }

    async fn write(&self, step: Step) -> Result<()> {
        match self.backend.write(step.command.clone(), WriteOptions::default()).await? {
            Outcome::Refused(error) => Err(error),
            _ => {
                for line in &step.synced {
                    tracing::info!("{line}");
                }
                self.local.change_quietly(|state| state.made(&step));
                Ok(())
            }
        }
    }
}
