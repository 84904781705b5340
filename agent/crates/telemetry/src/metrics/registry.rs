//! Where figures are kept while they are recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::inventory::{Kind, Metric};
use super::{Amount, Labels, Reading, Summary};

/// How long figures are gathered before they are shown together, as in the reference.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// All series of an agent.
#[derive(Debug, Default)]
pub struct Registry {
    /// A series ends with the last one who records in it.
    series: Mutex<BTreeMap<(&'static str, Labels), Weak<Series>>>,
    levels: Mutex<Vec<Arc<Level>>>,
    /// When the interval that is shown began, and the one that is running, in milliseconds since
    /// the Unix epoch.
    begun: Mutex<(u64, u64)>,
}

/// What is counted or measured under one name and one set of labels. Recording takes no lock and
/// allocates nothing.
#[derive(Debug)]
pub struct Series {
    pub(super) metric: &'static Metric,
    pub(super) labels: Labels,
    count: AtomicU64,
    /// Nanoseconds of what is measured.
    sum: AtomicU64,
    /// Square microseconds: those of nanoseconds would not fit.
    squares: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    settled: Mutex<Settled>,
}

/// What intervals that have ended left behind.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    last: Option<Summary>,
    total: Summary,
}

/// What goes up and down.
#[derive(Debug)]
pub struct Level {
    metric: &'static Metric,
    value: AtomicI64,
}

/// One more of a [`Level`], until it is dropped.
#[derive(Debug)]
pub struct Raised(Arc<Level>);

impl Registry {
    /// The series of a figure; the same whenever name and labels are.
    ///
    /// # Panics
    /// In debug builds, if the labels are not those of the inventory.
    #[must_use]
    pub fn series(&self, metric: &'static Metric, labels: Labels) -> Arc<Series> {
        debug_assert!(labels.iter().map(|(name, _)| name).eq(metric.labels), "labels of {}", metric.name);
        let mut all = lock(&self.series);
        let place = all.entry((metric.name, labels.clone())).or_default();
        place.upgrade().unwrap_or_else(|| {
            let series = Arc::new(Series::new(metric, labels));
            *place = Arc::downgrade(&series);
            series
        })
    }

    /// The level of a figure that goes up and down; the same whenever the name is.
    #[must_use]
    pub fn level(&self, metric: &'static Metric) -> Arc<Level> {
        let mut all = lock(&self.levels);
        if let Some(known) = all.iter().find(|known| known.metric.name == metric.name) {
            return Arc::clone(known);
        }
        let level = Arc::new(Level { metric, value: AtomicI64::new(0) });
        all.push(Arc::clone(&level));
        level
    }

    /// Begins the first interval; the time in milliseconds since the Unix epoch.
    pub fn begin(&self, now: u64) {
        *lock(&self.begun) = (0, now);
    }

    /// Ends an interval and begins the next one; times in milliseconds since the Unix epoch.
    pub fn roll(&self, now: u64) {
        let mut begun = lock(&self.begun);
        *begun = (begun.1, now);
        lock(&self.series).retain(|_, series| {
            let series = series.upgrade();
            series.inspect(|series| series.settle()).is_some()
        });
    }

    /// When the interval began that [`Registry::last`] is about; before the first one has ended, the
    /// one that is running.
    pub(super) fn begun(&self) -> u64 {
        match *lock(&self.begun) {
            (0, running) => running,
            (shown, _) => shown,
        }
    }

    /// What was recorded in the last whole interval.
    pub(super) fn last(&self) -> Vec<Reading> {
        self.read(Series::last)
    }

    /// What was recorded since the start.
    pub(super) fn total(&self) -> Vec<Reading> {
        self.read(Series::total)
    }

    fn read(&self, summary: impl Fn(&Series) -> Summary) -> Vec<Reading> {
        let series: Vec<Arc<Series>> = lock(&self.series).values().filter_map(Weak::upgrade).collect();
        let series = series.iter().map(|series| Reading {
            metric: series.metric,
            labels: series.labels.clone(),
            amount: Amount::Summary(summary(series)),
        });
        let levels = lock(&self.levels).clone();
        let levels = levels.iter().map(|level| Reading {
            metric: level.metric,
            labels: Labels::new(),
            amount: Amount::Gauge(level.value.load(Ordering::Relaxed) as f64),
        });
        series.chain(levels).collect()
    }
}

impl Series {
    fn new(metric: &'static Metric, labels: Labels) -> Self {
        Self {
            metric,
            labels,
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            squares: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            settled: Mutex::default(),
        }
    }

    /// Counts one more.
    pub fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Records how long something took.
    pub fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let micros = nanos / 1000;
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
        self.squares.fetch_add(micros.saturating_mul(micros), Ordering::Relaxed);
        // Mostly there is nothing to change, and looking is cheaper than changing.
        if nanos < self.min.load(Ordering::Relaxed) {
            self.min.fetch_min(nanos, Ordering::Relaxed);
        }
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// What was recorded since the last interval ended. Whoever records at the same time may be
    /// counted here and measured there; figures are not accounts.
    fn running(&self, mut read: impl FnMut(&AtomicU64, u64) -> u64) -> Summary {
        let count = read(&self.count, 0);
        if self.metric.kind == Kind::Counter {
            return Summary::counted(count);
        }
        let millis = |nanos: u64| nanos as f64 / 1e6;
        let (sum, squares) = (read(&self.sum, 0), read(&self.squares, 0));
        let (min, max) = (read(&self.min, u64::MAX), read(&self.max, 0));
        if count == 0 {
            return Summary::default();
        }
        Summary {
            count,
            sum: millis(sum),
            squares: squares as f64 / 1e6,
            min: millis(if min == u64::MAX { max } else { min }),
            max: millis(max),
        }
    }

    fn settle(&self) {
        let mut settled = lock(&self.settled);
        let ended = self.running(|part, empty| part.swap(empty, Ordering::Relaxed));
        *settled = Settled { last: Some(ended), total: settled.total.and(ended) };
    }

    fn peek(&self) -> Summary {
        self.running(|part, _| part.load(Ordering::Relaxed))
    }

    fn last(&self) -> Summary {
        let last = lock(&self.settled).last;
        last.unwrap_or_else(|| self.peek())
    }

    fn total(&self) -> Summary {
        let settled = lock(&self.settled);
        settled.total.and(self.peek())
    }
}

impl Level {
    /// One more, until what is returned is dropped.
    #[must_use]
    pub fn raise(self: &Arc<Self>) -> Raised {
        self.value.fetch_add(1, Ordering::Relaxed);
        Raised(Arc::clone(self))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.value.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
