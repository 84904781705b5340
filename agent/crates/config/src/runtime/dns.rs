//! What is said about the DNS interface.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lictor_model::duration;
use serde_json::Value;

use super::domain;
use super::read::Reader;

/// In which order recursors are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecursorStrategy {
    /// As they are written.
    #[default]
    Sequential,
    /// Shuffled for every question.
    Random,
}

/// The numbers of the start-of-authority record, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// After how long a secondary server looks for changes.
    pub refresh: u32,
    /// After how long it tries again.
    pub retry: u32,
    /// After how long without a success it stops answering.
    pub expire: u32,
    /// How long "does not exist" may be kept.
    pub min_ttl: u32,
}

/// How names resolve: `domain`, `alt_domain`, `recursors` and `dns_config`.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsConfig {
    /// The domain.
    pub domain: String,
    /// A second domain.
    pub alt_domain: Option<String>,
    /// How long records of nodes may be kept.
    pub node_ttl: Duration,
    /// How long records of services may be kept, by name; a name that ends with `*` is a prefix.
    pub service_ttl: BTreeMap<String, Duration>,
    /// Leave instances with warnings out.
    pub only_passing: bool,
    /// Let any server answer, not only the leader.
    pub allow_stale: bool,
    /// How far behind such an answer may be.
    pub max_stale: Duration,
    /// How many answers fit into a plain UDP response.
    pub udp_answer_limit: usize,
    /// How many instances an answer shows, other than to SRV questions; 0: all.
    pub a_record_limit: usize,
    /// Mark responses from which something was left out.
    pub enable_truncate: bool,
    /// Write every name in full.
    pub disable_compression: bool,
    /// Publish node metadata as TXT records beside addresses.
    pub node_meta_txt: bool,
    /// The start-of-authority record.
    pub soa: Soa,
    /// Whom to ask about names outside of the domains.
    pub recursors: Vec<String>,
    /// How long each of them may take.
    pub recursor_timeout: Duration,
    /// In which order they are asked.
    pub recursor_strategy: RecursorStrategy,
}

/// How far behind an answer may be unless the configuration says otherwise: ten years.
const MAX_STALE: Duration = Duration::from_secs(87_600 * 3600);
/// How long a recursor may take unless the configuration says otherwise.
const RECURSOR_TIMEOUT: Duration = Duration::from_secs(2);

impl DnsConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        // Accepted: an answer from a snapshot in memory is as fast as one from a cache, and newer.
        reader.duration("dns_config.cache_max_age");
        Self {
            domain: domain(reader.text("domain")).unwrap_or_else(|| "consul".to_owned()),
            alt_domain: domain(reader.text("alt_domain")),
            node_ttl: reader.duration("dns_config.node_ttl"),
            service_ttl: service_ttl(reader),
            only_passing: reader.flag("dns_config.only_passing"),
            allow_stale: reader.flag_or("dns_config.allow_stale", true),
            max_stale: reader.duration_or("dns_config.max_stale", MAX_STALE),
            udp_answer_limit: reader.count("dns_config.udp_answer_limit", 3),
            a_record_limit: reader.count("dns_config.a_record_limit", 0),
            enable_truncate: reader.flag("dns_config.enable_truncate"),
            disable_compression: reader.flag("dns_config.disable_compression"),
            node_meta_txt: reader.flag_or("dns_config.enable_additional_node_meta_txt", true),
            soa: Soa {
                refresh: reader.whole("dns_config.soa.refresh", 3600, u32::MAX),
                retry: reader.whole("dns_config.soa.retry", 600, u32::MAX),
                expire: reader.whole("dns_config.soa.expire", 86_400, u32::MAX),
                min_ttl: reader.whole("dns_config.soa.min_ttl", 0, u32::MAX),
            },
            recursors: recursors(reader),
            recursor_timeout: reader.duration_or("dns_config.recursor_timeout", RECURSOR_TIMEOUT),
            recursor_strategy: strategy(reader),
        }
    }
}

fn service_ttl(reader: &mut Reader) -> BTreeMap<String, Duration> {
    let mut ttls = BTreeMap::new();
    match reader.take("dns_config.service_ttl") {
        Value::Null => {}
        Value::Object(given) => {
            for (service, ttl) in given {
                let text = ttl.as_str().map_or_else(|| ttl.to_string(), str::to_owned);
                match duration::parse(&text) {
                    Ok(ttl) => drop(ttls.insert(service, ttl)),
                    Err(why) => reader.invalid(format!(
                        "dns_config.service_ttl[{service:?}]: invalid duration: {text:?}: {why}"
                    )),
                }
            }
        }
        other => reader.problem(format!("dns_config.service_ttl: expected an object, got {other}")),
    }
    ttls
}

/// The recursors in the order they are written, each once.
fn recursors(reader: &mut Reader) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for item in reader.list("recursors") {
        match item {
            Value::String(recursor) if found.contains(&recursor) => {}
            Value::String(recursor) => {
                let bare = recursor.trim_start_matches('[').trim_end_matches(']');
                if bare.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
                    reader.problem("DNS recursor address cannot be 0.0.0.0, :: or [::]".to_owned());
                } else {
                    found.push(recursor);
                }
            }
            other => reader.problem(format!("recursors: expected a text, got {other}")),
        }
    }
    found
}

fn strategy(reader: &mut Reader) -> RecursorStrategy {
    match reader.text("dns_config.recursor_strategy").as_deref() {
        None | Some("sequential") => RecursorStrategy::Sequential,
        Some("random") => RecursorStrategy::Random,
        Some(other) => {
            reader.invalid(format!("dns_config.recursor_strategy: invalid strategy: {other:?}"));
            RecursorStrategy::Sequential
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(tree: Value) -> Result<DnsConfig, Vec<String>> {
        let mut reader = Reader::new(tree);
        let config = DnsConfig::read(&mut reader);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let config = read(json!({})).unwrap();
        assert_eq!((config.udp_answer_limit, config.a_record_limit), (3, 0));
        assert!(config.allow_stale && config.node_meta_txt && !config.enable_truncate);
        assert_eq!(config.recursor_timeout, Duration::from_secs(2));
        assert_eq!(config.soa, Soa { refresh: 3600, retry: 600, expire: 86_400, min_ttl: 0 });
    }

    #[test]
    fn bad_durations_and_strategies_are_listed_together() {
        let tree = json!({"dns_config": {
            "node_ttl": "abc", "service_ttl": {"web": "5x"}, "recursor_strategy": "best"}});
        let problems = read(tree).unwrap_err();
        assert_eq!(
            problems,
            ["3 errors occurred:\n\
              \t* dns_config.node_ttl: invalid duration: \"abc\": time: invalid duration \"abc\"\n\
              \t* dns_config.service_ttl[\"web\"]: invalid duration: \"5x\": time: unknown unit \"x\" in duration \"5x\"\n\
              \t* dns_config.recursor_strategy: invalid strategy: \"best\"\n\n\n"]
        );
    }

    #[test]
    fn recursors_keep_their_order_and_none_is_everywhere() {
        let config = read(json!({"recursors": ["9.9.9.9", "[::1]:53", "9.9.9.9"]})).unwrap();
        assert_eq!(config.recursors, ["9.9.9.9", "[::1]:53"]);
        for everywhere in ["0.0.0.0", "::", "[::]"] {
            let problems = read(json!({"recursors": [everywhere]})).unwrap_err();
            assert_eq!(problems, ["DNS recursor address cannot be 0.0.0.0, :: or [::]"]);
        }
    }
}
