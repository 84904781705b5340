//! The time a probe has, and what is said when it is over.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault;
use crate::bindings::types::{Misbehaviour, ProbeError};

/// A point in time, and how far away it was at first.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    span: Duration,
    /// Cancelled when the time is over, if somebody watches it. All that waits can then do without
    /// a timer of its own, which costs a system call.
    over: Option<CancellationToken>,
}

impl Deadline {
    pub(crate) fn after(span: Duration) -> Self {
        Self { at: Instant::now() + span, span, over: None }
    }

    /// One that needs [`Deadline::watch`] to come.
    pub(crate) fn watched(span: Duration) -> Self {
        Self { over: Some(CancellationToken::new()), ..Self::after(span) }
    }

    /// Does what is bound by this deadline. Whatever waits in there is told when the time is over;
    /// if that does not bring it to an end, it is given up after some more time.
    pub(crate) async fn watch<T>(&self, grace: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout_at(self.at, &mut work).await {
            return Some(done);
        }
        if let Some(over) = &self.over {
            over.cancel();
        }
        tokio::time::timeout(grace, work).await.ok()
    }

    /// The earlier of this and one so many milliseconds from now.
    pub(crate) fn narrowed(&self, millis: Option<u32>) -> Self {
        match millis.map(|millis| Self::after(Duration::from_millis(millis.into()))) {
            Some(other) if other.at < self.at => other,
            _ => self.clone(),
        }
    }

    pub(crate) fn span(&self) -> Duration {
        self.span
    }

    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn instant(&self) -> Instant {
        self.at
    }

    /// Waits for something no longer than until now. That a target takes too long is its fault.
    pub(crate) async fn limit<T>(
        &self,
        doing: &str,
        work: impl Future<Output = Result<T, ProbeError>>,
    ) -> Result<T, ProbeError> {
        let done = match &self.over {
            Some(over) => over.run_until_cancelled(work).await,
            None => tokio::time::timeout_at(self.at, work).await.ok(),
        };
        done.unwrap_or_else(|| Err(self.passed(doing)))
    }

    /// What is said when the time is over.
    pub(crate) fn passed(&self, doing: &str) -> ProbeError {
        fault::target(Misbehaviour::TimedOut, format!("timed out after {:?} while {doing}", self.span))
    }
}
