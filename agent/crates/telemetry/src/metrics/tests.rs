use std::collections::BTreeSet;
use std::time::Duration;

use super::inventory::{self, ALL, API_HTTP, KVS_APPLY, RPC_QUERY, STATE_NODES};
use super::report::{Report, report};
use super::{Amount, Kind, Reading, Registry, Style, Summary, prometheus};

fn shown(registry: &Registry) -> Report {
    report(registry, Vec::new(), &Style::default(), |millis| millis.to_string())
}

fn gauge(value: f64) -> Reading {
    Reading {
        metric: &STATE_NODES,
        labels: vec![("datacenter", "dc1".to_owned())],
        amount: Amount::Gauge(value),
    }
}

#[test]
fn the_last_whole_interval_is_shown_once_there_is_one() {
    let registry = Registry::default();
    let (queries, writes) = (registry.series(&RPC_QUERY, vec![]), registry.series(&KVS_APPLY, vec![]));
    registry.begin(1000);
    queries.count();
    queries.count();
    writes.took(Duration::from_millis(3));
    writes.took(Duration::from_millis(1));
    registry.roll(11_000);
    queries.count();
    let now = shown(&registry);
    assert_eq!(now.timestamp, "1000");
    let counter = &now.counters[0];
    assert_eq!(
        (counter.name.as_str(), counter.count, counter.sum, counter.rate),
        ("consul.rpc.query", 2, 2.0, 0.2)
    );
    let sample = &now.samples[0];
    assert_eq!((sample.count, sample.sum, sample.min, sample.max, sample.mean), (2, 4.0, 1.0, 3.0, 2.0));
    assert!((sample.stddev - 2.0_f64.sqrt()).abs() < 1e-9, "{sample:?}");
    registry.roll(21_000);
    let next = shown(&registry);
    assert_eq!((next.timestamp.as_str(), next.counters[0].count, next.samples.len()), ("11000", 1, 0));
}

#[test]
fn before_the_first_interval_ends_the_running_one_is_shown() {
    let registry = Registry::default();
    let queries = registry.series(&RPC_QUERY, vec![]);
    queries.count();
    assert_eq!(shown(&registry).counters[0].count, 1);
}

#[test]
fn a_series_is_the_same_whenever_name_and_labels_are() {
    let registry = Registry::default();
    let labels = |path: &str| vec![("method", "GET".to_owned()), ("path", path.to_owned())];
    let series = ["a", "a", "b"].map(|path| registry.series(&API_HTTP, labels(path)));
    series.iter().for_each(|series| series.took(Duration::from_millis(1)));
    let counts: Vec<u64> = shown(&registry).samples.iter().map(|sample| sample.count).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn a_series_ends_with_the_last_who_records_in_it() {
    let registry = Registry::default();
    let series = registry.series(&RPC_QUERY, vec![]);
    series.count();
    registry.roll(1);
    assert_eq!(shown(&registry).counters.len(), 1);
    drop(series);
    assert_eq!(shown(&registry).counters.len(), 0);
}

#[test]
fn nothing_that_is_recorded_at_once_gets_lost() {
    let registry = Registry::default();
    let series = registry.series(&KVS_APPLY, vec![]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| series.took(Duration::from_micros(5))));
        }
        scope.spawn(|| (0..50).for_each(|now| registry.roll(now)));
    });
    let text = prometheus::text(&registry, Vec::new(), &Style::default());
    assert!(text.contains("consul_kvs_apply_count 4000\n"), "{text}");
}

#[test]
fn a_level_falls_when_what_raised_it_is_dropped() {
    let registry = Registry::default();
    let level = registry.level(&inventory::HTTP_CONNECTIONS);
    let raised = (level.raise(), registry.level(&inventory::HTTP_CONNECTIONS).raise());
    assert_eq!(shown(&registry).gauges[0].value, 2.0);
    drop(raised);
    assert_eq!(shown(&registry).gauges[0].value, 0.0);
}

#[test]
fn prometheus_gets_everything_since_the_start() {
    let registry = Registry::default();
    let queries = registry.series(&RPC_QUERY, vec![]);
    let labels = vec![("method", "GET".to_owned()), ("path", "a\"b\\c\nd".to_owned())];
    let requests = registry.series(&API_HTTP, labels);
    requests.took(Duration::from_millis(2));
    queries.count();
    registry.roll(1);
    queries.count();
    registry.roll(2);
    queries.count();
    let text = prometheus::text(&registry, vec![gauge(3.0)], &Style::default());
    assert_eq!(
        text,
        "# HELP consul_api_http Time until an HTTP request was answered.\n\
         # TYPE consul_api_http summary\n\
         consul_api_http_sum{method=\"GET\",path=\"a\\\"b\\\\c\\nd\"} 2\n\
         consul_api_http_count{method=\"GET\",path=\"a\\\"b\\\\c\\nd\"} 1\n\
         # HELP consul_rpc_query Reads that were handed to the servers.\n\
         # TYPE consul_rpc_query counter\n\
         consul_rpc_query 3\n\
         # HELP consul_state_nodes Nodes of the catalog.\n\
         # TYPE consul_state_nodes gauge\n\
         consul_state_nodes{datacenter=\"dc1\"} 3\n"
    );
}

#[test]
fn names_follow_the_configuration() {
    let registry = Registry::default();
    let queries = registry.series(&RPC_QUERY, vec![]);
    queries.count();
    let style = Style { prefix: "site-1".to_owned(), hostname: Some("web.7".to_owned()), ..Style::default() };
    let text = prometheus::text(&registry, vec![gauge(1.0)], &style);
    assert!(text.contains("\nsite_1_rpc_query 1\n"), "{text}");
    assert!(text.contains("\nsite_1_web_7_state_nodes{"), "{text}");
}

#[test]
fn the_longest_filter_decides() {
    let style = |default: bool, filters: &[(&str, bool)]| Style {
        filter_default: default,
        filters: filters.iter().map(|(start, shown)| ((*start).to_owned(), *shown)).collect(),
        ..Style::default()
    };
    let is_shown = |style: Style| style.name(&KVS_APPLY).is_some();
    assert!(is_shown(style(true, &[])));
    assert!(!is_shown(style(false, &[])));
    assert!(!is_shown(style(true, &[("consul.kvs", false)])));
    assert!(is_shown(style(true, &[("consul.kvs.apply", true), ("consul.kvs", false)])));
    assert!(is_shown(style(false, &[("consul", false), ("consul.kvs", true)])));
}

#[test]
fn the_inventory_is_in_order_and_fit_for_prometheus() {
    let names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name stands there twice");
    for metric in ALL {
        assert!(
            metric.name.starts_with("consul.") || metric.name.starts_with("lictor."),
            "{} is nobody's",
            metric.name
        );
        assert!(metric.help.ends_with('.') && !metric.unit.is_empty(), "{}", metric.name);
        assert_eq!(metric.kind == Kind::Sample, metric.unit == "ms", "{}", metric.name);
        let is_fit = |label: &&str| label.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        assert!(metric.labels.iter().all(is_fit), "{}", metric.name);
    }
}

#[test]
fn labels_are_those_of_the_inventory() {
    // A counter, since a summary of nothing is not written.
    let registry = Registry::default();
    let wrong = std::panic::catch_unwind(|| registry.series(&RPC_QUERY, vec![("bogus", String::new())]));
    assert!(wrong.is_err());
}

#[test]
fn the_page_of_the_manual_is_the_inventory() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/metrics.md");
    let page = inventory::markdown();
    if std::env::var_os("LICTOR_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "run this test with LICTOR_WRITE_DOCS=1 to write docs/metrics.md");
}

#[test]
fn readings_of_the_same_name_and_labels_are_one() {
    let registry = Registry::default();
    let text = prometheus::text(&registry, vec![gauge(1.0), gauge(2.0)], &Style::default());
    assert!(text.ends_with("gauge\nconsul_state_nodes{datacenter=\"dc1\"} 3\n"), "{text}");
}

#[test]
fn summaries_of_counts_are_counts() {
    assert_eq!(Summary::counted(3).sum, 3.0);
    assert_eq!(Summary::counted(0), Summary::default());
}
