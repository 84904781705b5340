//! What a name asks for.
//!
//! `[tag.]<service>.service[.<dc>].<domain>`, `_<service>._<tag or protocol>.service…` (RFC 2782),
//! `<node>.node[.<dc>].<domain>`, `<id or name>.query[.<dc>].<domain>`, `<hex>.addr[.<dc>].<domain>`.
//! Everything else in the domain does not exist, and nothing outside of it is ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a name in the agent's domain stands for. Labels are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Instances of a service.
    Service {
        /// The service's name.
        service: String,
        /// A tag they must carry.
        tag: Option<String>,
        /// The datacenter; the agent's own if absent.
        datacenter: Option<String>,
    },
    /// A node.
    Node {
        /// Its name.
        node: String,
        /// The datacenter; the agent's own if absent.
        datacenter: Option<String>,
    },
    /// A prepared query.
    Query {
        /// Its id, or a name that it answers for.
        query: String,
        /// The datacenter; the agent's own if absent.
        datacenter: Option<String>,
    },
    /// An address written into the name.
    Address(IpAddr),
    /// Nothing that could exist.
    Nothing,
}

/// Labels that say what kind of thing the labels before them name.
const KINDS: [&str; 7] = ["service", "node", "addr", "query", "connect", "virtual", "ingress"];

/// Understands the labels that stand before the domain.
#[must_use]
pub fn parse(labels: &[String]) -> Name {
    let Some(position) = labels.iter().rposition(|label| KINDS.contains(&label.as_str())) else {
        return Name::Nothing;
    };
    let (before, rest) = labels.split_at(position);
    let Some((kind, suffix)) = rest.split_first() else { return Name::Nothing };
    let datacenter = match suffix {
        [] => None,
        [datacenter] => Some(datacenter.clone()),
        [datacenter, mark] if mark == "dc" => Some(datacenter.clone()),
        _ => return Name::Nothing,
    };
    if before.is_empty() || before.iter().any(String::is_empty) {
        return Name::Nothing;
    }
    match kind.as_str() {
        "service" => service(before, datacenter),
        "node" => Name::Node { node: before.join("."), datacenter },
        "query" => query(before, datacenter),
        "addr" => address(before).map_or(Name::Nothing, Name::Address),
        _ => Name::Nothing,
    }
}

fn service(before: &[String], datacenter: Option<String>) -> Name {
    if let [service, protocol] = before
        && let (Some(service), Some(tag)) = (service.strip_prefix('_'), protocol.strip_prefix('_'))
    {
        let tag = Some(tag).filter(|tag| *tag != "tcp").map(str::to_owned);
        return Name::Service { service: service.to_owned(), tag, datacenter };
    }
    let Some((service, tag)) = before.split_last() else { return Name::Nothing };
    let tag = if tag.is_empty() { None } else { Some(tag.join(".")) };
    Name::Service { service: service.clone(), tag, datacenter }
}

/// Names of queries may have dots. What comes last in a question for a service is its protocol.
fn query(before: &[String], datacenter: Option<String>) -> Name {
    let of_service = match before {
        [first, between @ .., protocol] if protocol.starts_with('_') => {
            first.strip_prefix('_').map(|first| [&[first.to_owned()], between].concat())
        }
        _ => None,
    };
    match of_service.as_deref().unwrap_or(before).join(".") {
        query if query.is_empty() => Name::Nothing,
        query => Name::Query { query, datacenter },
    }
}

fn address(before: &[String]) -> Option<IpAddr> {
    let [hex] = before else { return None };
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match hex.len() {
        8 => u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits).into()),
        32 => u128::from_str_radix(hex, 16).ok().map(|bits| Ipv6Addr::from(bits).into()),
        _ => None,
    }
}

/// The label that stands for an address.
#[must_use]
pub fn address_label(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08x}", u32::from(address)),
        IpAddr::V6(address) => format!("{:032x}", u128::from(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(name: &str) -> Name {
        let labels: Vec<String> = name.split('.').map(str::to_owned).collect();
        parse(&labels)
    }

    fn web(tag: Option<&str>, datacenter: Option<&str>) -> Name {
        Name::Service {
            service: "web".to_owned(),
            tag: tag.map(str::to_owned),
            datacenter: datacenter.map(str::to_owned),
        }
    }

    #[test]
    fn services_in_every_form() {
        assert_eq!(parsed("web.service"), web(None, None));
        assert_eq!(parsed("v1.web.service.dc1"), web(Some("v1"), Some("dc1")));
        assert_eq!(parsed("web.service.dc1.dc"), web(None, Some("dc1")));
        assert_eq!(parsed("_web._tcp.service"), web(None, None));
        assert_eq!(parsed("_web._v1.service"), web(Some("v1"), None));
        assert_eq!(parsed("a.b.web.service"), web(Some("a.b"), None));
    }

    #[test]
    fn nodes_may_have_dots_and_nothing_is_nothing() {
        let node = Name::Node { node: "a.b".to_owned(), datacenter: None };
        assert_eq!(parsed("a.b.node"), node);
        for name in ["service", "node.dc1", "web", "web.service.x.y", "query", "a.connect", ".service"] {
            assert_eq!(parsed(name), Name::Nothing, "{name}");
        }
    }

    #[test]
    fn queries_may_have_dots_and_a_protocol() {
        let query = |name: &str, datacenter: Option<&str>| Name::Query {
            query: name.to_owned(),
            datacenter: datacenter.map(str::to_owned),
        };
        assert_eq!(parsed("q.query"), query("q", None));
        assert_eq!(parsed("a.b.query.dc1"), query("a.b", Some("dc1")));
        assert_eq!(parsed("a.service.query"), query("a.service", None));
        assert_eq!(parsed("_a.b._tcp.query"), query("a.b", None));
        assert_eq!(parsed("_a.query"), query("_a", None));
        assert_eq!(parsed("_._tcp.query"), Name::Nothing);
    }

    #[test]
    fn addresses_need_all_their_digits() {
        assert_eq!(parsed("0a000001.addr"), Name::Address(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(parsed("0a00000.addr"), Name::Nothing);
        assert_eq!(parsed("zz000001.addr"), Name::Nothing);
    }

    proptest! {
        #[test]
        fn an_address_label_reads_back(bits: u128, short: bool) {
            let address: IpAddr = if short {
                Ipv4Addr::from((bits & 0xffff_ffff) as u32).into()
            } else {
                Ipv6Addr::from(bits).into()
            };
            prop_assert_eq!(parsed(&format!("{}.addr", address_label(address))), Name::Address(address));
        }

        #[test]
        fn never_panics(labels in prop::collection::vec("\\PC{0,8}|service|node|addr|_x", 0..6)) {
            let _ = parse(&labels);
        }
    }
}
