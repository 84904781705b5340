//! Figures in Prometheus' text format, version 0.0.4: everything since the start.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Amount, Kind, Reading, Registry, Style, merged};

/// The content type of what [`text`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures, and what else was looked up.
#[must_use]
pub fn text(registry: &Registry, readings: Vec<Reading>, style: &Style) -> String {
    let mut families: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    for reading in merged(registry.total().into_iter().chain(readings)) {
        if let Some(name) = style.name(reading.metric) {
            families.entry(metric_name(&name)).or_default().push(reading);
        }
    }
    let mut text = String::new();
    for (name, readings) in families {
        family(&mut text, &name, &readings);
    }
    text
}

fn family(text: &mut String, name: &str, readings: &[Reading]) {
    let shown: Vec<&Reading> = readings.iter().filter(|reading| is_shown(reading)).collect();
    let Some(first) = shown.first() else { return };
    let kind = match first.metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Sample => "summary",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", help(first.metric.help));
    for reading in shown {
        let labels = labels(reading);
        let _ = match (reading.amount, reading.metric.kind) {
            (Amount::Gauge(value), _) => writeln!(text, "{name}{labels} {value}"),
            (Amount::Summary(summary), Kind::Sample) => {
                writeln!(text, "{name}_sum{labels} {}\n{name}_count{labels} {}", summary.sum, summary.count)
            }
            (Amount::Summary(summary), _) => writeln!(text, "{name}{labels} {}", summary.count),
        };
    }
}

/// What has labels is one of many, most of which never happen.
fn is_shown(reading: &Reading) -> bool {
    match reading.amount {
        Amount::Summary(summary) => summary.count > 0 || reading.labels.is_empty(),
        Amount::Gauge(_) => true,
    }
}

fn metric_name(dotted: &str) -> String {
    let is_fit = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let name: String = dotted.chars().map(|letter| if is_fit(letter) { letter } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn labels(reading: &Reading) -> String {
    if reading.labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> =
        reading.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}
