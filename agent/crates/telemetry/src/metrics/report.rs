//! Figures in the form of the reference's `/v1/agent/metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Amount, INTERVAL, Kind, Reading, Registry, Style, Summary, merged};

/// All figures of an interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    /// When the interval began, as the reference writes it.
    pub timestamp: String,
    /// What goes up and down.
    pub gauges: Vec<Gauge>,
    /// Always empty; clients expect it.
    pub points: Vec<Gauge>,
    /// What was counted.
    pub counters: Vec<Sampled>,
    /// What was measured, in milliseconds.
    pub samples: Vec<Sampled>,
}

/// A figure that goes up and down.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Gauge {
    /// Its name, dotted.
    pub name: String,
    /// How much.
    pub value: f64,
    /// What it is about.
    pub labels: BTreeMap<&'static str, String>,
}

/// A figure that was counted or measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sampled {
    /// Its name, dotted.
    pub name: String,
    /// How often.
    pub count: u64,
    /// What came together in a second.
    pub rate: f64,
    /// What came together.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// What came together for each.
    pub mean: f64,
    /// How far they are from each other.
    pub stddev: f64,
    /// What it is about.
    pub labels: BTreeMap<&'static str, String>,
}

/// The last whole interval's figures, and what else was looked up. `timestamp` writes milliseconds
/// since the Unix epoch.
#[must_use]
pub fn report(
    registry: &Registry,
    readings: Vec<Reading>,
    style: &Style,
    timestamp: impl Fn(u64) -> String,
) -> Report {
    let mut report = Report { timestamp: timestamp(registry.begun()), ..Report::default() };
    for reading in merged(registry.last().into_iter().chain(readings)) {
        let Some(name) = style.name(reading.metric) else { continue };
        let labels = reading.labels.into_iter().collect();
        match reading.amount {
            Amount::Gauge(value) => report.gauges.push(Gauge { name, value, labels }),
            Amount::Summary(Summary { count: 0, .. }) => {}
            Amount::Summary(summary) => {
                let sampled = sampled(name, &summary, labels);
                match reading.metric.kind {
                    Kind::Counter => report.counters.push(sampled),
                    _ => report.samples.push(sampled),
                }
            }
        }
    }
    report
}

fn sampled(name: String, summary: &Summary, labels: BTreeMap<&'static str, String>) -> Sampled {
    Sampled {
        name,
        count: summary.count,
        rate: summary.sum / INTERVAL.as_secs_f64(),
        sum: summary.sum,
        min: summary.min,
        max: summary.max,
        mean: summary.mean(),
        stddev: summary.deviation(),
        labels,
    }
}
