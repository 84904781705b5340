//! Time as an argument: the cores take a [`Moment`], only their drivers ask a [`Clock`] for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A point on the clock's monotonic scale, counted from an arbitrary origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that many after the origin.
    #[must_use]
    pub fn from_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The last moment up to this one that is a multiple of `grain` after the origin.
    #[must_use]
    pub fn rounded_down(self, grain: Duration) -> Self {
        let over = self.0.as_nanos() % grain.as_nanos().max(1);
        Self(self.0.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0))))
    }

    /// The first moment from this one on that is a multiple of `grain` after the origin.
    #[must_use]
    pub fn rounded_up(self, grain: Duration) -> Self {
        let grain = grain.as_nanos().max(1);
        let missing = (grain - self.0.as_nanos() % grain) % grain;
        self + Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// A time as RFC 3339 has it, in UTC: `2001-02-03T04:05:06Z`.
#[must_use]
pub fn rfc3339(unix_millis: u64) -> String {
    let seconds = i64::try_from(unix_millis / 1000).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned())
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Now, on a scale that never goes back.
    fn now(&self) -> Moment;

    /// Now, in milliseconds since the Unix epoch.
    fn unix_millis(&self) -> u64;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { origin: system_instant() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(system_instant().saturating_duration_since(self.origin))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn unix_millis(&self) -> u64 {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
fn system_instant() -> Instant {
    Instant::now()
}

/// A clock that moves only when told to.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    elapsed: Arc<Mutex<Duration>>,
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.elapsed())
    }

    fn unix_millis(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rounded_to_multiples_of_a_grain() {
        let (grain, at) = (Duration::from_millis(20), |millis| Moment(Duration::from_millis(millis)));
        for (exact, down, up) in [(0, 0, 0), (1, 0, 20), (20, 20, 20), (39, 20, 40)] {
            assert_eq!((at(exact).rounded_down(grain), at(exact).rounded_up(grain)), (at(down), at(up)));
        }
        assert_eq!(at(7).rounded_up(Duration::ZERO), at(7));
    }
}
