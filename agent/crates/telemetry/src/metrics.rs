//! Figures: what is measured, how it is counted, and how it leaves the agent.
//!
//! [`inventory`] names everything there is to measure; nothing else can be recorded. A [`Registry`]
//! hands out a [`Series`] for each figure and its labels, once, and recording in a series is a
//! handful of atomic operations. [`report`] writes the figures of the last whole interval in the
//! reference's JSON, [`prometheus`] those since the start in the text format 0.0.4.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub mod inventory;
pub mod prometheus;
mod registry;
pub mod report;
mod summary;

pub use inventory::{Kind, Metric};
pub use registry::{INTERVAL, Level, Raised, Registry, Series};
pub use summary::Summary;

/// What a figure is about: names and values.
pub type Labels = Vec<(&'static str, String)>;

/// A figure as it is at one time, for those that are looked up rather than recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which figure.
    pub metric: &'static Metric,
    /// What it is about.
    pub labels: Labels,
    /// How much: of a gauge its value, of others what came together since the start.
    pub amount: Amount,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// What goes up and down.
    Gauge(f64),
    /// What was counted or measured.
    Summary(Summary),
}

/// Readings in order, those of the same name and labels as one.
fn merged(readings: impl Iterator<Item = Reading>) -> impl Iterator<Item = Reading> {
    let mut merged: BTreeMap<(&str, Labels), Reading> = BTreeMap::new();
    for reading in readings {
        match merged.entry((reading.metric.name, reading.labels.clone())) {
            Entry::Vacant(place) => drop(place.insert(reading)),
            Entry::Occupied(mut place) => {
                let known = &mut place.get_mut().amount;
                *known = match (*known, reading.amount) {
                    (Amount::Summary(a), Amount::Summary(b)) => Amount::Summary(a.and(b)),
                    (Amount::Gauge(a), Amount::Gauge(b)) => Amount::Gauge(a + b),
                    (known, _) => known,
                };
            }
        }
    }
    merged.into_values()
}

/// How names of figures are written, and which are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// What stands for the first part of the reference's names.
    pub prefix: String,
    /// What names of the reference's gauges say after it, if anything.
    pub hostname: Option<String>,
    /// Whether figures that no filter speaks of are shown.
    pub filter_default: bool,
    /// Beginnings of names, and whether what begins so is shown; the longest that fits decides.
    pub filters: Vec<(String, bool)>,
}

impl Default for Style {
    fn default() -> Self {
        Self { prefix: "consul".to_owned(), hostname: None, filter_default: true, filters: Vec::new() }
    }
}

impl Style {
    /// A figure's name, unless it is not to be shown.
    fn name(&self, metric: &Metric) -> Option<String> {
        let name = match (metric.name.strip_prefix("consul."), &self.hostname) {
            (Some(rest), Some(host)) if metric.kind == Kind::Gauge => {
                format!("{}.{host}.{rest}", self.prefix)
            }
            (Some(rest), _) => format!("{}.{rest}", self.prefix),
            (None, _) => metric.name.to_owned(),
        };
        // A host's name in between is nothing that filters are written for.
        let filtered = metric
            .name
            .strip_prefix("consul.")
            .map_or_else(|| metric.name.to_owned(), |rest| format!("{}.{rest}", self.prefix));
        let rule = self.filters.iter().filter(|(start, _)| filtered.starts_with(start.as_str()));
        let shown =
            rule.max_by_key(|(start, _)| start.len()).map_or(self.filter_default, |(_, shown)| *shown);
        shown.then_some(name)
    }
}

#[cfg(test)]
mod tests;
