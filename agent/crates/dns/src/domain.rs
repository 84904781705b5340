//! A domain the agent answers for, and the names in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_server::proto::rr::rdata::SOA;
use hickory_server::proto::rr::{Name, RData, Record};
use lictor_model::node::Node;

use crate::SoaTimes;

/// A domain the agent answers for.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) name: Name,
}

impl Domain {
    pub(crate) fn new(name: &str) -> Self {
        let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
        Self { name: name_of(&labels, &Name::root()).unwrap_or_else(Name::root) }
    }

    pub(crate) fn contains(&self, name: &Name) -> bool {
        self.name.zone_of(name)
    }

    /// The labels of a name before the domain, in lower case.
    pub(crate) fn labels_before(&self, name: &Name) -> Vec<String> {
        let count = name.iter().len().saturating_sub(self.name.iter().len());
        name.iter().take(count).map(lower_case).collect()
    }

    pub(crate) fn start_of_authority(&self, serial: u32, times: SoaTimes) -> Record {
        let below = |label: &str| name_of(&[label], &self.name).unwrap_or_else(|| self.name.clone());
        let signed = |seconds: u32| i32::try_from(seconds).unwrap_or(i32::MAX);
        let soa = SOA::new(
            below("ns"),
            below("hostmaster"),
            serial,
            signed(times.refresh),
            signed(times.retry),
            signed(times.expire),
            times.min_ttl,
        );
        Record::from_rdata(self.name.clone(), times.min_ttl, RData::SOA(soa))
    }

    /// `<label>.<kind>.<datacenter>.<domain>`; a node whose name cannot be one has none.
    fn qualified(&self, label: &str, kind: &str, datacenter: &str) -> Option<Name> {
        let labels: Vec<&str> = label.split('.').chain([kind, datacenter]).collect();
        name_of(&labels, &self.name)
    }

    pub(crate) fn name_of_node(&self, node: &Node) -> Option<Name> {
        self.qualified(node.name.as_str(), "node", node.datacenter.as_str())
    }

    pub(crate) fn name_of_service(&self, service: &str, datacenter: &str) -> Option<Name> {
        self.qualified(service, "service", datacenter)
    }

    /// The name that stands for an address.
    pub(crate) fn name_of_address(&self, address: IpAddr, datacenter: &str) -> Option<Name> {
        self.qualified(&crate::question::address_label(address), "addr", datacenter)
    }
}

/// A label as text.
pub(crate) fn lower_case(label: &[u8]) -> String {
    String::from_utf8_lossy(label).to_lowercase()
}

fn name_of(labels: &[&str], domain: &Name) -> Option<Name> {
    let own = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?;
    let mut name = own.append_domain(domain).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// A host name that somebody registered as an address.
pub(crate) fn host_name(address: &str) -> Option<Name> {
    let labels: Vec<&str> = address.trim_end_matches('.').split('.').collect();
    name_of(&labels, &Name::root())
}

/// Whether a name is one of those that lead from addresses to names.
pub(crate) fn is_reverse(name: &Name) -> bool {
    name.iter().next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"arpa"))
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for (RFC 1035, RFC 3596).
pub(crate) fn reverse(name: &Name) -> Option<IpAddr> {
    let labels: Vec<String> = name.iter().map(lower_case).collect();
    let (address, zone) = labels.split_at_checked(labels.len().checked_sub(2)?)?;
    match zone {
        [zone, arpa] if arpa == "arpa" && zone == "in-addr" => reverse_v4(address),
        [zone, arpa] if arpa == "arpa" && zone == "ip6" => reverse_v6(address),
        _ => None,
    }
}

fn reverse_v4(labels: &[String]) -> Option<IpAddr> {
    let octets: Vec<u8> = labels.iter().rev().map(|label| label.parse().ok()).collect::<Option<_>>()?;
    <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into())
}

fn reverse_v6(labels: &[String]) -> Option<IpAddr> {
    if labels.len() != 32 {
        return None;
    }
    let mut bits: u128 = 0;
    for label in labels.iter().rev() {
        let [digit] = label.as_bytes() else { return None };
        bits = bits << 4 | u128::from(char::from(*digit).to_digit(16)?);
    }
    Some(Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reversed(name: &str) -> Option<IpAddr> {
        reverse(&host_name(name).unwrap())
    }

    #[test]
    fn reverse_names_need_all_their_labels() {
        assert_eq!(reversed("1.0.0.10.in-addr.arpa"), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(reversed("1.0.0.10.IN-ADDR.ARPA"), Some(IpAddr::from([10, 0, 0, 1])));
        for name in [
            "0.0.10.in-addr.arpa",
            "1.1.0.0.10.in-addr.arpa",
            "256.0.0.10.in-addr.arpa",
            "bogus.in-addr.arpa",
            "in-addr.arpa",
            "1.ip6.arpa",
            "arpa",
            "1.0.0.10.ip4.arpa",
        ] {
            assert_eq!(reversed(name), None, "{name}");
            assert!(is_reverse(&host_name(name).unwrap()));
        }
        assert!(!is_reverse(&host_name("arpa.consul").unwrap()));
    }

    proptest! {
        #[test]
        fn reverse_names_read_back(address: IpAddr) {
            let name = Name::from(address);
            prop_assert_eq!(reverse(&name), Some(address));
        }
    }
}
