//! From catalog rows to resource records.

use std::collections::HashSet;
use std::net::IpAddr;

use hickory_server::proto::rr::rdata::{CNAME, NS, PTR, SRV};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use lictor_model::check::Status;
use lictor_model::node::Node;
use lictor_model::query::Instance;

use crate::domain::{Domain, host_name};
use crate::place::{self, Place};
use crate::reply::Response;
use crate::txt;

/// How many host names that instances are registered at are followed for one response.
const MOST_FOLLOWED: usize = 8;

/// A question in one of the agent's domains.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'q> {
    pub(crate) name: &'q Name,
    pub(crate) kind: RecordType,
    pub(crate) domain: &'q Domain,
    /// How many answers can be of use.
    pub(crate) useful: usize,
    /// Whence the question came.
    pub(crate) origin: IpAddr,
    /// Whether the client knows EDNS.
    pub(crate) extended: bool,
    /// How often a name may still lead to another.
    pub(crate) leads: u8,
}

/// A response, and the host names in it that lead out of the catalog.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) response: Response,
    /// What stands at these names belongs into the response too.
    pub(crate) follow: Vec<Name>,
}

/// An A or AAAA record.
pub(crate) fn address(name: Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    };
    Record::from_rdata(name, ttl, data)
}

fn alias(name: &Name, ttl: u32, target: Name) -> Record {
    Record::from_rdata(name.clone(), ttl, RData::CNAME(CNAME(target)))
}

/// The record that leads from an address to a name.
pub(crate) fn pointer(name: &Name, target: Name) -> Record {
    Record::from_rdata(name.clone(), 0, RData::PTR(PTR(target)))
}

fn is_of_kind(ip: IpAddr, kind: RecordType) -> bool {
    match kind {
        RecordType::A => ip.is_ipv4(),
        RecordType::AAAA => ip.is_ipv6(),
        RecordType::ANY => true,
        _ => false,
    }
}

/// A node's own records.
pub(crate) fn of_node(asked: Asked<'_>, node: &Node, ttl: u32, with_meta: bool) -> Found {
    let mut found = Found { response: Response::authoritative(), ..Found::default() };
    let response = &mut found.response;
    let about_address = matches!(asked.kind, RecordType::A | RecordType::AAAA | RecordType::ANY);
    if about_address {
        match place::of_node(node, asked.kind) {
            Some(Place::Ip(ip)) if is_of_kind(ip, asked.kind) => {
                response.answers.push(address(asked.name.clone(), ttl, ip));
            }
            Some(Place::Host(host)) => {
                if let Some(target) = host_name(host) {
                    response.answers.push(alias(asked.name, ttl, target.clone()));
                    found.follow.push(target);
                }
            }
            _ => {}
        }
    }
    if matches!(asked.kind, RecordType::TXT | RecordType::ANY) {
        response.answers.extend(txt::of_node(asked.name, node, ttl));
    } else if with_meta && about_address {
        response.additional.extend(txt::of_node(asked.name, node, ttl));
    }
    found
}

/// The addresses of instances, at most `limit` unless that is 0. A host name is only an answer if
/// there is no address, since an alias cannot stand beside other records.
pub(crate) fn of_service<'i>(
    asked: Asked<'_>,
    instances: impl Iterator<Item = &'i Instance>,
    ttl: u32,
    limit: usize,
) -> Found {
    // Questions for texts are answered with addresses too.
    let kind = if asked.kind == RecordType::TXT { RecordType::ANY } else { asked.kind };
    let limit = if limit == 0 { asked.useful } else { limit.min(asked.useful) };
    let mut found = Found { response: Response::authoritative(), ..Found::default() };
    let mut seen = HashSet::new();
    let mut host = None;
    for instance in instances {
        match place::of_instance(instance, asked.kind, asked.name) {
            Some((Place::Ip(ip), _)) if is_of_kind(ip, kind) && seen.insert(ip) => {
                found.response.answers.push(address(asked.name.clone(), ttl, ip));
                if found.response.answers.len() >= limit {
                    return found;
                }
            }
            Some((Place::Host(name), _)) if host.is_none() => host = Some(name),
            _ => {}
        }
    }
    let follows = is_about_host(kind) && found.response.answers.is_empty();
    if let Some(target) = host.filter(|_| follows).and_then(host_name) {
        found.response.answers.push(alias(asked.name, ttl, target.clone()));
        found.follow.push(target);
    }
    found
}

fn is_about_host(kind: RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::AAAA | RecordType::CNAME | RecordType::ANY)
}

/// The ports of instances, with the addresses of where they are.
pub(crate) fn of_ports<'i>(
    asked: Asked<'_>,
    instances: impl Iterator<Item = &'i Instance>,
    ttl: u32,
    with_meta: bool,
) -> Found {
    let mut ports = Ports {
        asked,
        ttl,
        with_meta,
        found: Found { response: Response::authoritative(), ..Found::default() },
        answered: HashSet::new(),
        beside: HashSet::new(),
        described: HashSet::new(),
    };
    for instance in instances {
        ports.add(instance);
        if ports.found.response.answers.len() >= asked.useful {
            break;
        }
    }
    ports.found
}

struct Ports<'q> {
    asked: Asked<'q>,
    ttl: u32,
    with_meta: bool,
    found: Found,
    /// What there is an answer of already.
    answered: HashSet<(Name, u16, u16)>,
    /// What there is something beside the answers of.
    beside: HashSet<Name>,
    described: HashSet<Name>,
}

impl Ports<'_> {
    fn add(&mut self, instance: &Instance) {
        let Some((target, ip)) = self.target(instance) else { return };
        let Instance { node, service, .. } = instance;
        let weight = match instance.status() {
            Status::Passing => service.weights.passing,
            _ => service.weights.warning,
        };
        let response = &mut self.found.response;
        if self.answered.insert((target.clone(), service.port, weight)) {
            let srv = SRV::new(1, weight, service.port, target.clone());
            response.answers.push(Record::from_rdata(self.asked.name.clone(), self.ttl, RData::SRV(srv)));
        }
        if self.beside.insert(target.clone()) {
            match ip {
                Some(ip) => response.additional.push(address(target, self.ttl, ip)),
                None if self.found.follow.len() < MOST_FOLLOWED => self.found.follow.push(target),
                None => {}
            }
        }
        if self.with_meta
            && let Some(name) = self.asked.domain.name_of_node(node)
            && self.described.insert(name.clone())
        {
            response.additional.extend(txt::of_node(&name, node, self.ttl));
        }
    }

    /// The name that an instance is reached at, and its address if that is known.
    fn target(&self, instance: &Instance) -> Option<(Name, Option<IpAddr>)> {
        let (domain, node) = (self.asked.domain, &instance.node);
        match place::of_instance(instance, self.asked.kind, self.asked.name)? {
            (Place::Ip(ip), place::Owner::Service) => {
                Some((domain.name_of_address(ip, node.datacenter.as_str())?, Some(ip)))
            }
            (Place::Ip(ip), place::Owner::Node) => Some((domain.name_of_node(node)?, Some(ip))),
            (Place::Host(host), _) => Some((host_name(host)?, None)),
        }
    }
}

/// The servers of a domain with their addresses.
pub(crate) fn of_name_servers(domain: &Domain, servers: &[&Instance], ttl: u32) -> Response {
    let mut response = Response::authoritative();
    for server in servers {
        let Some(name) = domain.name_of_node(&server.node) else { continue };
        let record = Record::from_rdata(domain.name.clone(), ttl, RData::NS(NS(name.clone())));
        response.answers.push(record);
        let at = server.node.address.parse::<IpAddr>().ok();
        response.additional.extend(at.map(|ip| address(name, ttl, ip)));
    }
    response
}
