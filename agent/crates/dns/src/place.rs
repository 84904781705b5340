//! Where nodes and instances are, for a question of a certain kind.
//!
//! Who is registered with one address may carry a second of the other family under the tags
//! `lan_ipv4` and `lan_ipv6`.

use std::net::IpAddr;

use hickory_server::proto::rr::{Name, RecordType};
use lictor_model::node::Node;
use lictor_model::query::Instance;
use lictor_model::service::Service;

use crate::domain::host_name;

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// At an address.
    Ip(IpAddr),
    /// At whatever a host name resolves to.
    Host(&'a str),
}

/// Whose place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Service,
    Node,
}

/// Where a node is. For a question about one family of addresses: nowhere, if it has none of it.
pub(crate) fn of_node(node: &Node, kind: RecordType) -> Option<Place<'_>> {
    choose(&node.address, kind, |tag| node.tagged_addresses.get(tag).map(String::as_str))
}

/// Where an instance is: at its own address, else at its node's.
pub(crate) fn of_instance<'i>(
    instance: &'i Instance,
    kind: RecordType,
    asked: &Name,
) -> Option<(Place<'i>, Owner)> {
    let own = of_service(&instance.service, kind);
    let at_node = || of_node(&instance.node, kind).map(|place| (place, Owner::Node));
    match own {
        // An instance that is registered under the very name that is being asked for.
        Some(Place::Host(host)) if host_name(host).is_some_and(|name| name == *asked) => at_node(),
        Some(place) => Some((place, Owner::Service)),
        None => at_node(),
    }
}

fn of_service(service: &Service, kind: RecordType) -> Option<Place<'_>> {
    if service.address.is_empty() {
        return None;
    }
    choose(&service.address, kind, |tag| {
        service.tagged_addresses.get(tag).map(|tagged| tagged.address.as_str())
    })
}

fn choose<'a>(
    plain: &'a str,
    kind: RecordType,
    tagged: impl Fn(&str) -> Option<&'a str>,
) -> Option<Place<'a>> {
    let place = plain.parse().map_or(Place::Host(plain), Place::Ip);
    let (tag, fits): (_, fn(&IpAddr) -> bool) = match kind {
        RecordType::A => ("lan_ipv4", IpAddr::is_ipv4),
        RecordType::AAAA => ("lan_ipv6", IpAddr::is_ipv6),
        _ => return Some(place),
    };
    match place {
        Place::Ip(ip) if !fits(&ip) => tagged(tag)?.parse().ok().filter(fits).map(Place::Ip),
        place => Some(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_model::service::ServiceAddress;
    use std::sync::Arc;

    fn instance(service: &str, second: Option<(&str, &str)>, node: &str) -> Instance {
        let tagged = |(tag, address): (&str, &str)| {
            (tag.to_owned(), ServiceAddress { address: address.to_owned(), port: 0 })
        };
        Instance {
            node: Arc::new(Node { address: node.to_owned(), ..Node::default() }),
            service: Arc::new(Service {
                address: service.to_owned(),
                tagged_addresses: second.map(tagged).into_iter().collect(),
                ..Service::default()
            }),
            checks: Vec::new(),
        }
    }

    fn found(instance: &Instance, kind: RecordType) -> String {
        let asked = host_name("web.service.consul").unwrap();
        format!("{:?}", of_instance(instance, kind, &asked))
    }

    #[test]
    fn the_address_of_the_right_family_is_found() {
        let both = instance("10.0.0.1", Some(("lan_ipv6", "::5")), "10.9.9.9");
        assert_eq!(found(&both, RecordType::A), "Some((Ip(10.0.0.1), Service))");
        assert_eq!(found(&both, RecordType::AAAA), "Some((Ip(::5), Service))");
        assert_eq!(found(&both, RecordType::SRV), "Some((Ip(10.0.0.1), Service))");
        let one = instance("10.0.0.1", Some(("lan_ipv6", "10.0.0.2")), "10.9.9.9");
        assert_eq!(found(&one, RecordType::AAAA), "None");
    }

    #[test]
    fn the_node_stands_in_for_a_missing_address_and_for_the_name_itself() {
        for service in ["", "web.service.consul", "WEB.service.consul."] {
            let without = instance(service, None, "10.9.9.9");
            assert_eq!(found(&without, RecordType::A), "Some((Ip(10.9.9.9), Node))", "{service}");
        }
        let elsewhere = instance("db.example", None, "10.9.9.9");
        assert_eq!(found(&elsewhere, RecordType::AAAA), "Some((Host(\"db.example\"), Service))");
    }
}
