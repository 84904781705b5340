//! How long records may be kept.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long records may be kept, in seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ttl {
    node: u32,
    exact: HashMap<String, u32>,
    /// The longest prefix first.
    prefixes: Vec<(String, u32)>,
}

impl Ttl {
    pub(crate) fn new(node: Duration, services: &BTreeMap<String, Duration>) -> Self {
        let mut ttl = Self { node: seconds(node), ..Self::default() };
        for (pattern, time) in services {
            match pattern.strip_suffix('*') {
                Some(prefix) => ttl.prefixes.push((prefix.to_owned(), seconds(*time))),
                None => drop(ttl.exact.insert(pattern.clone(), seconds(*time))),
            }
        }
        ttl.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        ttl
    }

    /// For records of nodes, and of everything that nothing else is said of.
    pub(crate) fn node(&self) -> u32 {
        self.node
    }

    /// For records of a service: what is said of its name, else of the longest prefix of it.
    pub(crate) fn service(&self, name: &str) -> u32 {
        let by_prefix = || {
            let found = self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix.as_str()));
            found.map_or(self.node, |(_, ttl)| *ttl)
        };
        self.exact.get(name).copied().unwrap_or_else(by_prefix)
    }
}

/// As records write it.
pub(crate) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(services: &[(&str, u64)]) -> Ttl {
        let services = services.iter().map(|(name, ttl)| ((*name).to_owned(), Duration::from_secs(*ttl)));
        Ttl::new(Duration::from_secs(10), &services.collect())
    }

    #[test]
    fn an_exact_name_goes_before_the_longest_prefix_before_everything() {
        let ttl = ttl(&[("*", 1), ("db*", 2), ("db-*", 3), ("db-main", 4)]);
        for (name, expected) in
            [("db-main", 4), ("db-main2", 3), ("db-x", 3), ("dbx", 2), ("db", 2), ("web", 1)]
        {
            assert_eq!(ttl.service(name), expected, "{name}");
        }
    }

    #[test]
    fn what_nothing_is_said_of_is_kept_as_long_as_a_node() {
        assert_eq!(ttl(&[("db*", 2)]).service("web"), 10);
        assert_eq!(ttl(&[]).service("web"), 10);
    }
}
