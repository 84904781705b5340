//! When something happened last, for any number of threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lictor_sys::clock::{Clock, Moment, SystemClock};

/// A moment that is set and read without a lock, to the millisecond.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// In milliseconds on the clock's scale plus one; 0 if there is none.
    at: AtomicU64,
    clock: SystemClock,
}

impl Mark {
    /// Sets it to now.
    pub(crate) fn set(&self) {
        let now = self.clock.now().since(Moment::default()).as_millis();
        self.at.store(u64::try_from(now).unwrap_or(u64::MAX - 1).saturating_add(1), Ordering::Relaxed);
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        self.at.store(0, Ordering::Relaxed);
    }

    /// How long ago it was set, if it is.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let millis = self.at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.clock.now().since(Moment::from_origin(Duration::from_millis(millis))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_from_when_it_was_set_until_it_is_cleared() {
        let mark = Mark::default();
        assert_eq!(mark.elapsed(), None);
        mark.set();
        assert!(mark.elapsed().is_some(), "also in the first millisecond of the clock");
        mark.clear();
        assert_eq!(mark.elapsed(), None);
    }
}
