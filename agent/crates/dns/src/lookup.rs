//! From a name to records, by asking the backend.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{Name, Record, RecordType};
use lictor_model::check::Status;
use lictor_model::filter::Filter;
use lictor_model::prepared::{Executed, Execution};
use lictor_model::query::{Answer, Consistency, Instance, NodeSelector, Query, ReadOptions, ServiceSelector};
use lictor_model::seam::Backend;
use lictor_model::{Code, Datacenter, Error, Result, duration};
use lictor_sys::clock::Clock;
use rand::seq::SliceRandom;

use crate::Settings;
use crate::domain::{self, Domain};
use crate::question::{self, Name as Kind};
use crate::records::{self, Asked, Found};
use crate::recursor::Recursors;
use crate::reply::Response;
use crate::ttl::{self, Ttl};

/// How many name servers are listed.
const MAX_NAME_SERVERS: usize = 3;
/// How many records a followed name brings into a response for a client without EDNS.
const MOST_FOLLOWED_RECORDS: usize = 5;

/// Resolves names.
pub(crate) struct Lookup {
    backend: Arc<dyn Backend>,
    settings: Settings,
    ttl: Ttl,
    clock: Arc<dyn Clock>,
    recursors: Arc<Recursors>,
    /// The longest name first.
    domains: Vec<Domain>,
    /// Which of them is the first domain.
    main: usize,
}

impl Lookup {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        recursors: Arc<Recursors>,
    ) -> Self {
        let names = std::iter::once(&settings.domain).chain(&settings.alt_domain);
        let mut domains: Vec<Domain> = names.map(|name| Domain::new(name)).collect();
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.name.iter().len()));
        let main = Domain::new(&settings.domain).name;
        let main = domains.iter().position(|domain| domain.name == main).unwrap_or_default();
        let ttl = Ttl::new(settings.node_ttl, &settings.service_ttl);
        Self { backend, settings, ttl, clock, recursors, domains, main }
    }

    /// The domain that a name is in. Names of addresses are in the first domain.
    pub(crate) fn domain_of(&self, name: &Name) -> Option<&Domain> {
        let found = self.domains.iter().find(|domain| domain.contains(name));
        found.or_else(|| self.domains.get(self.main).filter(|_| domain::is_reverse(name)))
    }

    /// Resolves a name of one of the agent's domains.
    pub(crate) async fn resolve(&self, asked: Asked<'_>) -> Result<Response> {
        match self.find(asked).await {
            // A datacenter that nobody knows has no names in it.
            Err(error) if matches!(error.code, Code::NoPath | Code::NotFound) => {
                Ok(self.does_not_exist(asked.domain))
            }
            result => result,
        }
    }

    async fn find(&self, asked: Asked<'_>) -> Result<Response> {
        match asked.kind {
            RecordType::SOA => return self.start_of_authority(asked.domain).await,
            RecordType::NS => return self.name_servers(asked.domain).await,
            _ => {}
        }
        if domain::is_reverse(asked.name) && !asked.domain.contains(asked.name) {
            return self.reverse(asked).await;
        }
        match question::parse(&asked.domain.labels_before(asked.name)) {
            Kind::Service { service, tag, datacenter } => {
                self.service(asked, &service, tag, datacenter).await
            }
            Kind::Node { node, datacenter } => self.node(asked, &node, datacenter).await,
            Kind::Query { query, datacenter } => self.prepared(asked, query, datacenter).await,
            Kind::Address(address) => Ok(self.address(asked, address)),
            Kind::Nothing => Ok(self.does_not_exist(asked.domain)),
        }
    }

    /// The answer for names that do not exist.
    fn does_not_exist(&self, domain: &Domain) -> Response {
        Response {
            code: ResponseCode::NXDomain,
            authority: vec![self.authority(domain)],
            ..Response::authoritative()
        }
    }

    fn authority(&self, domain: &Domain) -> Record {
        // Serials wrap around by design (RFC 1982).
        let serial = ((self.clock.unix_millis() / 1000) & u64::from(u32::MAX)) as u32;
        domain.start_of_authority(serial, self.settings.soa)
    }

    async fn service(
        &self,
        asked: Asked<'_>,
        service: &str,
        tag: Option<String>,
        datacenter: Option<String>,
    ) -> Result<Response> {
        let selector = ServiceSelector {
            service: service.into(),
            tags: tag.into_iter().collect(),
            passing_only: self.settings.only_passing,
            selector: NodeSelector::default(),
        };
        let answer = self.read(Query::Health(selector), datacenter).await?;
        let mut healthy = healthy(&answer)?;
        if healthy.is_empty() {
            return Ok(self.does_not_exist(asked.domain));
        }
        // Clients tend to take the first answer: a new order every time spreads the load.
        healthy.shuffle(&mut rand::rng());
        Ok(self.instances(asked, healthy.into_iter(), self.ttl.service(service)).await)
    }

    /// What a prepared query comes to, in its own order.
    async fn prepared(&self, asked: Asked<'_>, name: String, datacenter: Option<String>) -> Result<Response> {
        let execution = Execution { name, from: Some(asked.origin), ..Execution::default() };
        let answer = self.read(Query::ExecutePrepared(Box::new(execution)), datacenter).await;
        let answer = answer.map_err(|error| match error.code {
            // What queries there are in a datacenter that cannot be asked, nobody can say.
            Code::NoPath => Error::failed(error.message),
            _ => error,
        })?;
        let Answer::Executed(executed) = answer.as_ref() else { return Err(Error::mismatch()) };
        if executed.instances.is_empty() {
            return Ok(self.does_not_exist(asked.domain));
        }
        let instances = executed.instances.iter();
        let response = self.instances(asked, instances, self.ttl_of_query(executed)).await;
        Ok(Response { for_subnet: true, ..response })
    }

    /// How long records of a prepared query may be kept: what it says itself, else its service's.
    fn ttl_of_query(&self, executed: &Executed) -> u32 {
        let own = duration::parse(&executed.dns.ttl).ok();
        own.map_or_else(|| self.ttl.service(&executed.service), ttl::seconds)
    }

    /// Instances in the order in which they are to be used.
    async fn instances<'i>(
        &self,
        asked: Asked<'_>,
        instances: impl Iterator<Item = &'i Instance>,
        ttl: u32,
    ) -> Response {
        let found = if asked.kind == RecordType::SRV {
            records::of_ports(asked, instances, ttl, self.settings.node_meta_txt)
        } else {
            records::of_service(asked, instances, ttl, self.settings.a_record_limit)
        };
        let mut response = self.follow(asked, found, ttl).await;
        if response.answers.is_empty() {
            response.authority.push(self.authority(asked.domain));
        }
        response
    }

    async fn node(&self, asked: Asked<'_>, node: &str, datacenter: Option<String>) -> Result<Response> {
        let query = Query::NodeServices { node: node.into(), filter: Filter::default() };
        match self.read(query, datacenter).await?.as_ref() {
            Answer::NodeServices(Some(found)) => {
                let ttl = self.ttl.node();
                let found = records::of_node(asked, &found.node, ttl, self.settings.node_meta_txt);
                Ok(self.follow(asked, found, ttl).await)
            }
            Answer::NodeServices(None) => Ok(self.does_not_exist(asked.domain)),
            _ => Err(Error::mismatch()),
        }
    }

    fn address(&self, asked: Asked<'_>, address: IpAddr) -> Response {
        let record = records::address(asked.name.to_lowercase(), self.ttl.node(), address);
        let fits = asked.kind == RecordType::ANY || asked.kind == record.record_type();
        let (answers, additional) =
            if fits { (vec![record], Vec::new()) } else { (Vec::new(), vec![record]) };
        Response { answers, additional, ..Response::authoritative() }
    }

    /// The nodes at an address, else the services.
    async fn reverse(&self, asked: Asked<'_>) -> Result<Response> {
        let Some(address) = domain::reverse(asked.name) else {
            return Ok(self.does_not_exist(asked.domain));
        };
        let mut names = Vec::new();
        match self.read(Query::NodesAt { address }, None).await?.as_ref() {
            Answer::Nodes(nodes) => {
                names.extend(nodes.iter().filter_map(|node| asked.domain.name_of_node(node)));
            }
            _ => return Err(Error::mismatch()),
        }
        if names.is_empty() {
            match self.read(Query::InstancesAt { address }, None).await?.as_ref() {
                Answer::Instances(instances) => names.extend(instances.iter().filter_map(|instance| {
                    let datacenter = instance.node.datacenter.as_str();
                    asked.domain.name_of_service(instance.service.name.as_str(), datacenter)
                })),
                _ => return Err(Error::mismatch()),
            }
        }
        if names.is_empty() {
            return Ok(self.does_not_exist(asked.domain));
        }
        let mut seen = HashSet::new();
        let new = names.into_iter().filter(|name| seen.insert(name.clone())).take(asked.useful);
        let answers = new.map(|target| records::pointer(asked.name, target)).collect();
        Ok(Response { answers, ..Response::authoritative() })
    }

    async fn start_of_authority(&self, domain: &Domain) -> Result<Response> {
        let servers = self.name_servers(domain).await?;
        Ok(Response { answers: vec![self.authority(domain)], authority: servers.answers, ..servers })
    }

    async fn name_servers(&self, domain: &Domain) -> Result<Response> {
        let selector = ServiceSelector { service: "consul".into(), ..ServiceSelector::default() };
        let answer = self.read(Query::Health(selector), None).await?;
        let mut servers = healthy(&answer)?;
        servers.shuffle(&mut rand::rng());
        servers.truncate(MAX_NAME_SERVERS);
        Ok(records::of_name_servers(domain, &servers, self.ttl.node()))
    }

    /// Adds what stands at the host names that were found: to the answers if they are aliases,
    /// else beside them.
    async fn follow(&self, asked: Asked<'_>, found: Found, ttl: u32) -> Response {
        let Found { mut response, follow } = found;
        for name in follow {
            let records = self.records_at(asked, name).await.into_iter().map(|mut record| {
                record.ttl = ttl;
                record
            });
            let most = if asked.extended { usize::MAX } else { MOST_FOLLOWED_RECORDS };
            let section =
                if asked.kind == RecordType::SRV { &mut response.additional } else { &mut response.answers };
            section.extend(records.take(most));
        }
        response
    }

    /// The addresses and texts at a host name; none if nobody can say.
    async fn records_at(&self, asked: Asked<'_>, name: Name) -> Vec<Record> {
        let mut records = match self.domain_of(&name) {
            Some(_) if asked.leads == 0 => {
                tracing::warn!(%name, "a name of the agent's domains leads to itself");
                return Vec::new();
            }
            Some(domain) => {
                let kind = RecordType::ANY;
                let inner = Asked { name: &name, kind, domain, leads: asked.leads - 1, ..asked };
                Box::pin(self.resolve(inner)).await.map(|response| response.answers).unwrap_or_default()
            }
            None => self.recursors.addresses_of(name).await,
        };
        records.retain(|record| {
            use RecordType::{A, AAAA, CNAME, TXT};
            matches!(record.record_type(), A | AAAA | CNAME | TXT)
        });
        records
    }

    async fn read(&self, query: Query, datacenter: Option<String>) -> Result<Arc<Answer>> {
        let consistency = if self.settings.allow_stale { Consistency::Stale } else { Consistency::Default };
        let mut options = ReadOptions {
            consistency,
            datacenter: datacenter
                .filter(|name| !name.eq_ignore_ascii_case(&self.settings.datacenter))
                .map(Datacenter::from),
            ..ReadOptions::default()
        };
        if !self.settings.allow_stale {
            return Ok(self.backend.read(query, options).await?.answer);
        }
        let reply = self.backend.read(query.clone(), options.clone()).await?;
        if reply.meta.last_contact <= self.settings.max_stale {
            return Ok(reply.answer);
        }
        options.consistency = Consistency::Default;
        Ok(self.backend.read(query, options).await?.answer)
    }
}

/// The instances that are not critical.
fn healthy(answer: &Answer) -> Result<Vec<&Instance>> {
    match answer {
        Answer::Instances(instances) => {
            Ok(instances.iter().filter(|instance| instance.status() != Status::Critical).collect())
        }
        _ => Err(Error::mismatch()),
    }
}
