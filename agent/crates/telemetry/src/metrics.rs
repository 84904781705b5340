//! Figures in the form of the reference's `/v1/agent/metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

/// All figures at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    /// When, as the reference writes it.
    pub timestamp: String,
    /// What goes up and down.
    pub gauges: Vec<Gauge>,
    /// Always empty; clients expect it.
    pub points: Vec<Gauge>,
    /// What only goes up.
    pub counters: Vec<Counter>,
    /// What was measured several times.
    pub samples: Vec<Counter>,
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
    pub labels: BTreeMap<String, String>,
}

/// A figure that only goes up, or was measured several times.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counter {
    /// Its name, dotted.
    pub name: String,
    /// How often.
    pub count: u64,
    /// What came together.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// What came together for each.
    pub mean: f64,
    /// What it is about.
    pub labels: BTreeMap<String, String>,
}

impl Report {
    /// Adds a gauge without labels.
    pub fn gauge(&mut self, name: &str, value: f64) {
        self.gauges.push(Gauge { name: name.to_owned(), value, labels: BTreeMap::new() });
    }

    /// Adds a counter.
    pub fn counter(&mut self, name: &str, count: u64, labels: BTreeMap<String, String>) {
        let sum = count as f64;
        self.counters.push(Counter {
            name: name.to_owned(),
            count,
            sum,
            min: 0.0,
            max: 0.0,
            mean: 0.0,
            labels,
        });
    }

    /// Adds what was measured `count` times, in milliseconds.
    pub fn sample(&mut self, name: &str, count: u64, sum: f64, max: f64, labels: BTreeMap<String, String>) {
        let mean = if count == 0 { 0.0 } else { sum / count as f64 };
        self.samples.push(Counter { name: name.to_owned(), count, sum, min: 0.0, max, mean, labels });
    }
}
