//! Counts and times per plugin, for whoever wants to see how plugins do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lictor_model::probe::Finding;

/// What one plugin did since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginFigures {
    /// The plugin's name.
    pub plugin: String,
    /// SHA-256 over the component, in hex.
    pub digest: String,
    /// Runs that ended, however they did.
    pub runs: u64,
    /// Verdicts by status.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Runs that could not look, by reason.
    pub unknown: BTreeMap<&'static str, u64>,
    /// Runs that did not start because the pool was full.
    pub late: u64,
    /// How long all runs took together.
    pub total_time: Duration,
    /// How long the longest run took.
    pub longest: Duration,
    /// How many runs took at most as many milliseconds as [`BUCKETS`] says at the same place; the
    /// last one counts those beyond.
    pub buckets: [u64; BUCKETS.len() + 1],
}

/// Upper ends of [`PluginFigures::buckets`], in milliseconds.
pub const BUCKETS: [u64; 8] = [1, 3, 10, 30, 100, 300, 1000, 10_000];

/// The figures of one loaded component.
#[derive(Debug, Default)]
pub(crate) struct Figures(Mutex<PluginFigures>);

impl Figures {
    pub(crate) fn new(plugin: String, digest: String) -> Self {
        Self(Mutex::new(PluginFigures { plugin, digest, ..PluginFigures::default() }))
    }

    pub(crate) fn note(&self, finding: &Finding, took: Duration) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match finding {
            Finding::Verdict(verdict) => {
                *figures.verdicts.entry(verdict.status.as_str()).or_default() += 1;
            }
            Finding::Unknown { reason, .. } => *figures.unknown.entry(reason.as_str()).or_default() += 1,
            Finding::Late => {
                figures.late += 1;
                return;
            }
        }
        figures.runs += 1;
        figures.total_time = figures.total_time.saturating_add(took);
        figures.longest = figures.longest.max(took);
        let place =
            BUCKETS.iter().position(|end| took <= Duration::from_millis(*end)).unwrap_or(BUCKETS.len());
        if let Some(count) = figures.buckets.get_mut(place) {
            *count += 1;
        }
    }

    pub(crate) fn snapshot(&self) -> PluginFigures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
