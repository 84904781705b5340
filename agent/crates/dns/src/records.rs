//! From catalog rows to resource records.

use std::net::IpAddr;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::rdata::{CNAME, NS, SOA, SRV, TXT};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use lictor_model::check::Status;
use lictor_model::node::Node;
use lictor_model::query::Instance;

use crate::question::address_label;

/// How long a record may be kept, in seconds.
const TTL: u32 = 0;
/// The longest text that fits into one string of a TXT record.
const MAX_TXT: usize = 255;
/// Metadata under keys with this prefix is published without its key.
const BARE_META_PREFIX: &str = "rfc1035-";

/// What a question comes to.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
}

impl Response {
    /// Keeps at most that many answers, and of the records beside them only those that lead on
    /// from one that was kept: what nobody is pointed to would only fill the packet and get it
    /// marked as truncated.
    pub(crate) fn limit(&mut self, most: usize) {
        if self.answers.len() <= most {
            return;
        }
        self.answers.truncate(most);
        let targets: Vec<&Name> = self
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(&srv.target),
                _ => None,
            })
            .collect();
        self.additional.retain(|record| targets.contains(&&record.name));
    }
}

/// A question in one of the agent's domains.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'q> {
    pub(crate) name: &'q Name,
    pub(crate) kind: RecordType,
    pub(crate) domain: &'q Domain,
}

/// A domain the agent answers for.
pub(crate) struct Domain {
    name: Name,
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
        name.iter().take(count).map(|label| String::from_utf8_lossy(label).to_lowercase()).collect()
    }

    pub(crate) fn start_of_authority(&self, serial: u32) -> Record {
        let below = |label: &str| name_of(&[label], &self.name).unwrap_or_else(|| self.name.clone());
        let soa = SOA::new(below("ns"), below("hostmaster"), serial, 3600, 600, 86400, 0);
        Record::from_rdata(self.name.clone(), TTL, RData::SOA(soa))
    }

    /// `<label>.<kind>.<datacenter>.<domain>`; a node whose name cannot be one has none.
    fn qualified(&self, label: &str, kind: &str, datacenter: &str) -> Option<Name> {
        let labels: Vec<&str> = label.split('.').chain([kind, datacenter]).collect();
        name_of(&labels, &self.name)
    }

    fn name_of_node(&self, node: &Node) -> Option<Name> {
        self.qualified(node.name.as_str(), "node", node.datacenter.as_str())
    }
}

fn name_of(labels: &[&str], domain: &Name) -> Option<Name> {
    let own = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?;
    let mut name = own.append_domain(domain).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// A host name that somebody registered as an address.
fn host_name(address: &str) -> Option<Name> {
    let labels: Vec<&str> = address.trim_end_matches('.').split('.').collect();
    name_of(&labels, &Name::root())
}

/// An A or AAAA record.
pub(crate) fn address(name: Name, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    };
    Record::from_rdata(name, TTL, data)
}

/// The record that leads from a name to an address or host name, if the kind asked for fits it.
fn leads_to(name: &Name, target: &str, kind: RecordType, takes_any: &[RecordType]) -> Option<Record> {
    let wanted = |found: RecordType| kind == found || takes_any.contains(&kind);
    match target.parse::<IpAddr>() {
        Ok(ip) => Some(address(name.clone(), ip)).filter(|record| wanted(record.record_type())),
        Err(_) => {
            let follows = wanted(RecordType::A) || wanted(RecordType::AAAA) || wanted(RecordType::CNAME);
            let target = host_name(target).filter(|_| follows)?;
            Some(Record::from_rdata(name.clone(), TTL, RData::CNAME(CNAME(target))))
        }
    }
}

/// A node's own records.
pub(crate) fn of_node(asked: Asked<'_>, node: &Node, with_meta: bool) -> Response {
    let mut response = Response { authoritative: true, ..Response::default() };
    let about_address = matches!(asked.kind, RecordType::A | RecordType::AAAA | RecordType::ANY);
    if about_address {
        response.answers.extend(leads_to(asked.name, &node.address, asked.kind, &[RecordType::ANY]));
    }
    if matches!(asked.kind, RecordType::TXT | RecordType::ANY) {
        response.answers.extend(meta(asked.name, node));
    } else if with_meta && about_address {
        response.additional.extend(meta(asked.name, node));
    }
    response
}

/// A node's metadata as TXT records.
fn meta(name: &Name, node: &Node) -> Vec<Record> {
    node.meta
        .iter()
        .map(|(key, value)| {
            let text = if key.to_ascii_lowercase().starts_with(BARE_META_PREFIX) {
                value.clone()
            } else {
                format!("{key}={value}")
            };
            let strings: Vec<&[u8]> = text.as_bytes().chunks(MAX_TXT).collect();
            Record::from_rdata(name.clone(), TTL, RData::TXT(TXT::from_bytes(strings)))
        })
        .collect()
}

/// The records of healthy instances.
pub(crate) fn of_service(asked: Asked<'_>, instances: &[Instance], with_meta: bool) -> Response {
    let mut response = Response { authoritative: true, ..Response::default() };
    for instance in instances {
        if asked.kind == RecordType::SRV {
            add_srv(&mut response, asked, instance, with_meta);
        } else {
            let takes_any = [RecordType::ANY, RecordType::TXT];
            let record = leads_to(asked.name, instance.address(), asked.kind, &takes_any);
            add_once(&mut response.answers, record);
        }
    }
    response
}

fn add_srv(response: &mut Response, asked: Asked<'_>, instance: &Instance, with_meta: bool) {
    let Instance { node, service, .. } = instance;
    let node_name = asked.domain.name_of_node(node);
    let address_is_own = !service.address.is_empty();
    let (target, found_at) = match instance.address().parse::<IpAddr>() {
        Ok(ip) if address_is_own => {
            let label = address_label(ip);
            (asked.domain.qualified(&label, "addr", node.datacenter.as_str()), Some(ip))
        }
        Ok(ip) => (node_name.clone(), Some(ip)),
        Err(_) => (host_name(instance.address()), None),
    };
    let Some(target) = target else { return };
    let weight = match instance.status() {
        Status::Passing => service.weights.passing,
        _ => service.weights.warning,
    };
    let srv = SRV::new(1, weight, service.port, target.clone());
    add_once(&mut response.answers, Some(Record::from_rdata(asked.name.clone(), TTL, RData::SRV(srv))));
    add_once(&mut response.additional, found_at.map(|ip| address(target, ip)));
    if with_meta && let Some(name) = node_name {
        for record in meta(&name, node) {
            add_once(&mut response.additional, Some(record));
        }
    }
}

fn add_once(records: &mut Vec<Record>, record: Option<Record>) {
    if let Some(record) = record
        && !records.contains(&record)
    {
        records.push(record);
    }
}

/// The servers of a domain with their addresses.
pub(crate) fn of_name_servers(domain: &Domain, servers: &[Instance]) -> Response {
    let mut response = Response { authoritative: true, ..Response::default() };
    for server in servers {
        let Some(name) = domain.name_of_node(&server.node) else { continue };
        let record = Record::from_rdata(domain.name.clone(), TTL, RData::NS(NS(name.clone())));
        response.answers.push(record);
        let at = server.node.address.parse::<IpAddr>().ok();
        response.additional.extend(at.map(|ip| address(name, ip)));
    }
    response
}
