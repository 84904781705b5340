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
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many writes are under way at once.
const CONCURRENCY: usize = 64;
/// How long to wait after the first failure, and at the most after many.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Within what time agents compare everything once servers are there again.
const STAGGER: Duration = Duration::from_secs(2);
/// The longest wait for an output that becomes due.
const IDLE: Duration = Duration::from_secs(3600);

pub(crate) struct Syncer {
    pub(crate) local: Local,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Told when servers can be reached that could not be before.
    pub(crate) reachable: Arc<Notify>,
    /// How many nodes the cluster has.
    pub(crate) cluster_size: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Syncer {
    /// Syncs until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changes = self.local.subscribe();
        let mut next_full = self.clock.now();
        let mut retry_after = RETRY_AFTER;
        loop {
            changes.mark_unchanged();
            let is_full = self.clock.now() >= next_full;
            let result = if is_full { self.full().await } else { self.push().await };
            let now = self.clock.now();
            match result {
                Err(error) => {
                    tracing::error!("failed to sync remote state: {error}");
                    next_full = now + retry_after + random::jitter(retry_after / 4);
                    retry_after = (retry_after * 2).min(LONGEST_RETRY);
                }
                Ok(()) if is_full => {
                    let interval = full_sync_interval((self.cluster_size)());
                    next_full = now + interval + random::jitter(interval / 4);
                    retry_after = RETRY_AFTER;
                }
                Ok(()) => {}
            }
            let due = self
                .local
                .change_quietly(lictor_local::LocalState::next_due)
                .map_or(IDLE, |at| at.since(now));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reachable.notified() => {
                    // All agents see this at the same time.
                    next_full = next_full.min(self.clock.now() + random::jitter(STAGGER));
                    retry_after = RETRY_AFTER;
                }
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
            return Err(Error::mismatch());
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use lictor_local::{Identity, LocalState};
    use lictor_model::Token;
    use lictor_model::command::Command;
    use lictor_model::local::{LocalAnswer, LocalRequest};
    use lictor_model::query::{Meta, Reply};
    use lictor_sys::clock::Moment;

    use super::*;

    /// A catalog that is empty and takes nothing.
    #[derive(Default)]
    struct Refusing {
        comparisons: AtomicUsize,
    }

    #[async_trait]
    impl Backend for Refusing {
        async fn read(&self, query: Query, _: ReadOptions) -> Result<Reply> {
            let answer = match query {
                Query::NodeServices { .. } => {
                    self.comparisons.fetch_add(1, Ordering::Relaxed);
                    Answer::NodeServices(None)
                }
                _ => Answer::Checks(Vec::new()),
            };
            Ok(Reply { meta: Meta::default(), answer: Arc::new(answer) })
        }

        async fn write(&self, _: Command, _: WriteOptions) -> Result<Outcome> {
            Ok(Outcome::Refused(Error::failed("not today")))
        }

        async fn agent(&self, _: LocalRequest, _: Token) -> Result<LocalAnswer> {
            Err(Error::no_leader())
        }
    }

    /// The clock of the paused runtime.
    struct PausedClock(tokio::time::Instant);

    impl Clock for PausedClock {
        fn now(&self) -> Moment {
            Moment::from_origin(self.0.elapsed())
        }

        fn unix_millis(&self) -> u64 {
            0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_again_and_again_is_tried_less_and_less() {
        let backend = Arc::new(Refusing::default());
        let syncer = Syncer {
            local: Local::new(LocalState::new(Identity::default(), Duration::ZERO)),
            backend: Arc::clone(&backend) as _,
            clock: Arc::new(PausedClock(tokio::time::Instant::now())),
            reachable: Arc::default(),
            cluster_size: Box::new(|| 1),
        };
        let stop = CancellationToken::new();
        let syncing = tokio::spawn(syncer.run(stop.clone()));
        tokio::time::sleep(Duration::from_secs(600)).await;
        stop.cancel();
        syncing.await.unwrap();
        let comparisons = backend.comparisons.load(Ordering::Relaxed);
        assert!((10..=20).contains(&comparisons), "{comparisons} comparisons in ten minutes");
    }
}
