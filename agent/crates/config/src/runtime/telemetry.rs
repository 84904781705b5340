//! What becomes of the agent's figures.

use std::time::Duration;

use super::read::Reader;

/// Figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// For how long Prometheus would find a figure that is no longer measured. If it is zero there
    /// are no figures for Prometheus.
    pub prometheus_retention: Duration,
    /// Leave the host's name out of the names of gauges.
    pub disable_hostname: bool,
    /// What names of figures begin with, in the reference's namespace.
    pub prefix: String,
    /// Whether figures that no filter speaks of are shown.
    pub filter_default: bool,
    /// Beginnings of names, and whether what begins so is shown; the longest that fits decides.
    pub filters: Vec<(String, bool)>,
}

impl TelemetryConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            prometheus_retention: reader.duration("telemetry.prometheus_retention_time"),
            disable_hostname: reader.flag("telemetry.disable_hostname"),
            prefix: reader.text("telemetry.metrics_prefix").unwrap_or_else(|| "consul".to_owned()),
            filter_default: reader.flag_or("telemetry.filter_default", true),
            filters: filters(reader),
        }
    }
}

fn filters(reader: &mut Reader) -> Vec<(String, bool)> {
    let mut filters = Vec::new();
    for rule in reader.texts("telemetry.prefix_filter") {
        match (rule.strip_prefix('+'), rule.strip_prefix('-')) {
            _ if rule.is_empty() => reader.warn("Cannot have empty filter rule in prefix_filter".to_owned()),
            (Some(shown), _) => filters.push((shown.to_owned(), true)),
            (_, Some(hidden)) => filters.push((hidden.to_owned(), false)),
            _ => reader.warn(format!("Filter rule must begin with either '+' or '-': {rule:?}")),
        }
    }
    filters
}
