//! Follows what alias checks are as healthy as.
//!
//! One without a node follows this agent's own state, one with a node the catalog, by blocking
//! queries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use lictor_checks::{Alias, Reporter};
use lictor_local::{Local, LocalState};
use lictor_model::filter::Filter;
use lictor_model::query::{Answer, Consistency, Query, ReadOptions, Reply};
use lictor_model::seam::Backend;
use lictor_model::{CheckId, Error, NodeName, RaftIndex, Result};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a question to the catalog waits for a change.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long to wait after the first failures.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long to wait at the most after many of them.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// How many failures in a row are waited for no longer than the first.
const QUICK_RETRIES: u32 = 3;

/// All alias checks of this agent.
pub(crate) struct Aliases {
    local: Local,
    reporter: Arc<dyn Reporter>,
    /// Who knows the catalog, once it is there.
    backend: OnceLock<Weak<dyn Backend>>,
    /// What ends the task of each.
    followed: Mutex<HashMap<CheckId, DropGuard>>,
    stop: CancellationToken,
}

impl Aliases {
    pub(crate) fn new(local: Local, reporter: Arc<dyn Reporter>, stop: CancellationToken) -> Self {
        Self { local, reporter, backend: OnceLock::new(), followed: Mutex::default(), stop }
    }

    /// Says who knows the catalog; the first one counts.
    pub(crate) fn ask(&self, backend: Weak<dyn Backend>) {
        let _ = self.backend.set(backend);
    }

    /// Follows for a check, instead of what was followed for it before.
    pub(crate) fn follow(self: &Arc<Self>, id: CheckId, alias: Alias) {
        let stop = self.stop.child_token();
        let (theirs, ended, check) = (Arc::clone(self), stop.clone(), id.clone());
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert(id, stop.drop_guard());
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            if alias.node.is_empty() {
                theirs.follow_local(&check, &alias).await;
            } else {
                theirs.follow_catalog(&check, &alias).await;
            }
        }));
    }

    /// Follows nothing any more for a check.
    pub(crate) fn forget(&self, id: &CheckId) {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn follow_local(&self, id: &CheckId, alias: &Alias) {
        let mut changes = self.local.subscribe();
        let look = |state: &LocalState| {
            let exists = || state.service(&alias.service).is_some();
            alias.judge(id, &state.identity().name, state.each_check(), exists)
        };
        loop {
            changes.mark_unchanged();
            let (status, output) = self.local.read(look);
            self.reporter.report(id, Some(status), output);
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow_catalog(&self, id: &CheckId, alias: &Alias) {
        let own_node = self.local.read(|state| state.identity().name.clone());
        let (mut seen, mut failures) = (RaftIndex::default(), 0_u32);
        loop {
            match self.look_at_catalog(id, &own_node, alias, seen).await {
                Ok(index) => (seen, failures) = (index, 0),
                Err(error) => {
                    failures += 1;
                    // One failure alone says nothing of what is followed.
                    if failures > 1 {
                        let output = format!("Failure checking aliased node or service: {error}");
                        self.reporter.report(id, Some(lictor_model::check::Status::Critical), output);
                    }
                    tokio::time::sleep(pause(failures)).await;
                }
            }
        }
    }

    /// Waits for a change of the node's checks and reports what follows from them; returns the
    /// index to wait on next.
    async fn look_at_catalog(
        &self,
        id: &CheckId,
        own_node: &NodeName,
        alias: &Alias,
        seen: RaftIndex,
    ) -> Result<RaftIndex> {
        let checks = Query::NodeChecks { node: alias.node.clone(), filter: Filter::default() };
        let reply = self.read(checks, seen).await?;
        let Answer::Checks(checks) = reply.answer.as_ref() else { return Err(Error::mismatch()) };
        let services = Query::NodeServices { node: alias.node.clone(), filter: Filter::default() };
        let services = self.read(services, RaftIndex::default()).await?;
        let Answer::NodeServices(found) = services.answer.as_ref() else { return Err(Error::mismatch()) };
        let exists = || {
            let mut services = found.iter().flat_map(|found| &found.services);
            services.any(|service| service.id == alias.service)
        };
        let checks = checks.iter().map(AsRef::as_ref);
        let (status, output) = alias.judge(id, own_node, checks, exists);
        self.reporter.report(id, Some(status), output);
        Ok(reply.meta.index)
    }

    async fn read(&self, query: Query, min_index: RaftIndex) -> Result<Reply> {
        let backend = self.backend.get().and_then(Weak::upgrade).ok_or_else(Error::no_leader)?;
        let consistency = Consistency::Stale;
        let options =
            ReadOptions { consistency, min_index, max_wait: Some(MAX_WAIT), ..ReadOptions::default() };
        backend.read(query, options).await
    }
}

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(QUICK_RETRIES).min(6);
    (RETRY_AFTER * 2_u32.pow(doublings)).min(MAX_RETRY_AFTER)
}
