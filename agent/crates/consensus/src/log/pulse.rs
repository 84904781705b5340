//! Whether the disk still takes what the writer gives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lictor_sys::clock::{Clock, Moment, SystemClock};

/// Tells for how long the disk has been busy with one write.
#[derive(Clone)]
pub(crate) struct Pulse {
    /// When the write began, in milliseconds on the clock's scale plus one; 0 if there is none.
    since: Arc<AtomicU64>,
    clock: SystemClock,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { since: Arc::default(), clock: SystemClock::default() }
    }

    pub(crate) fn begin(&self) {
        let now = self.clock.now().since(Moment::default()).as_millis();
        self.since.store(u64::try_from(now).unwrap_or(u64::MAX - 1).saturating_add(1), Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// For how long the write that is not complete has been going on; no time if there is none.
    pub(crate) fn busy_for(&self) -> Duration {
        match self.since.load(Ordering::Relaxed).checked_sub(1) {
            Some(since) => self.clock.now().since(Moment::from_origin(Duration::from_millis(since))),
            None => Duration::ZERO,
        }
    }
}
