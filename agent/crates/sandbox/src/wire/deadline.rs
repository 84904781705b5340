//! The time a probe has, and what is said when it is over.

use std::time::Duration;

use tokio::time::Instant;

use super::fault;
use crate::bindings::types::{Misbehaviour, ProbeError};

/// A point in time, and how far away it was at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    span: Duration,
}

impl Deadline {
    pub(crate) fn after(span: Duration) -> Self {
        Self { at: Instant::now() + span, span }
    }

    /// The earlier of this and one so many milliseconds from now.
    pub(crate) fn narrowed(self, millis: Option<u32>) -> Self {
        match millis.map(|millis| Self::after(Duration::from_millis(millis.into()))) {
            Some(other) if other.at < self.at => other,
            _ => self,
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
        tokio::time::timeout_at(self.at, work).await.unwrap_or_else(|_| Err(self.passed(doing)))
    }

    /// What is said when the time is over.
    pub(crate) fn passed(&self, doing: &str) -> ProbeError {
        fault::target(Misbehaviour::TimedOut, format!("timed out after {:?} while {doing}", self.span))
    }
}
