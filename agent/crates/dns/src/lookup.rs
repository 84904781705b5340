//! From a name to records, by asking the backend.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::RecordType;
use lictor_model::check::Status;
use lictor_model::filter::Filter;
use lictor_model::query::{Answer, Consistency, Instance, NodeSelector, Query, ReadOptions, ServiceSelector};
use lictor_model::seam::Backend;
use lictor_model::{Datacenter, Error, Result};
use lictor_sys::clock::Clock;
use rand::seq::SliceRandom;

use crate::Settings;
use crate::question::{self, Name};
use crate::records::{self, Asked, Domain, Response};

/// How many name servers are listed.
const MAX_NAME_SERVERS: usize = 3;

/// Resolves names.
pub(crate) struct Lookup {
    backend: Arc<dyn Backend>,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl Lookup {
    pub(crate) fn new(backend: Arc<dyn Backend>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self { backend, settings, clock }
    }

    /// Resolves a name of one of the agent's domains.
    pub(crate) async fn resolve(&self, asked: Asked<'_>) -> Result<Response> {
        match asked.kind {
            RecordType::SOA => return self.start_of_authority(asked.domain).await,
            RecordType::NS => return self.name_servers(asked.domain).await,
            _ => {}
        }
        match question::parse(&asked.domain.labels_before(asked.name)) {
            Name::Service { service, tag, datacenter } => {
                self.service(asked, &service, tag, datacenter).await
            }
            Name::Node { node, datacenter } => self.node(asked, &node, datacenter).await,
            Name::Address(address) => Ok(Self::address(asked, address)),
            Name::Nothing => Ok(self.does_not_exist(asked.domain)),
        }
    }

    /// The answer for names that do not exist.
    pub(crate) fn does_not_exist(&self, domain: &Domain) -> Response {
        Response {
            code: ResponseCode::NXDomain,
            authoritative: true,
            authority: vec![domain.start_of_authority(self.serial())],
            ..Response::default()
        }
    }

    fn serial(&self) -> u32 {
        // Serials wrap around by design (RFC 1982).
        ((self.clock.unix_millis() / 1000) & u64::from(u32::MAX)) as u32
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
        let mut instances = self.instances(selector, datacenter).await?;
        instances.retain(|instance| instance.status() != Status::Critical);
        if instances.is_empty() {
            return Ok(self.does_not_exist(asked.domain));
        }
        // Clients tend to take the first answer: a new order every time spreads the load.
        instances.shuffle(&mut rand::rng());
        let mut response = records::of_service(asked, &instances, self.settings.node_meta_txt);
        if response.answers.is_empty() {
            response.authority.push(asked.domain.start_of_authority(self.serial()));
        }
        Ok(response)
    }

    async fn node(&self, asked: Asked<'_>, node: &str, datacenter: Option<String>) -> Result<Response> {
        let query = Query::NodeServices { node: node.into(), filter: Filter::default() };
        match self.read(query, datacenter).await?.as_ref() {
            Answer::NodeServices(Some(found)) => {
                Ok(records::of_node(asked, &found.node, self.settings.node_meta_txt))
            }
            Answer::NodeServices(None) => Ok(self.does_not_exist(asked.domain)),
            _ => Err(mismatch()),
        }
    }

    fn address(asked: Asked<'_>, address: IpAddr) -> Response {
        let record = records::address(asked.name.to_lowercase(), address);
        let fits = asked.kind == RecordType::ANY || asked.kind == record.record_type();
        let (answers, additional) =
            if fits { (vec![record], Vec::new()) } else { (Vec::new(), vec![record]) };
        Response { authoritative: true, answers, additional, ..Response::default() }
    }

    async fn start_of_authority(&self, domain: &Domain) -> Result<Response> {
        let servers = self.name_servers(domain).await?;
        Ok(Response {
            answers: vec![domain.start_of_authority(self.serial())],
            authority: servers.answers,
            ..servers
        })
    }

    async fn name_servers(&self, domain: &Domain) -> Result<Response> {
        let selector = ServiceSelector { service: "consul".into(), ..ServiceSelector::default() };
        let mut servers = self.instances(selector, None).await?;
        servers.retain(|server| server.status() != Status::Critical);
        servers.shuffle(&mut rand::rng());
        servers.truncate(MAX_NAME_SERVERS);
        Ok(records::of_name_servers(domain, &servers))
    }

    async fn instances(
        &self,
        selector: ServiceSelector,
        datacenter: Option<String>,
    ) -> Result<Vec<Instance>> {
        match self.read(Query::Health(selector), datacenter).await?.as_ref() {
            Answer::Instances(instances) => Ok(instances.clone()),
            _ => Err(mismatch()),
        }
    }

    async fn read(&self, query: Query, datacenter: Option<String>) -> Result<Arc<Answer>> {
        let options = ReadOptions {
            consistency: Consistency::Stale,
            datacenter: datacenter
                .filter(|name| !name.eq_ignore_ascii_case(&self.settings.datacenter))
                .map(Datacenter::from),
            ..ReadOptions::default()
        };
        Ok(self.backend.read(query, options).await?.answer)
    }
}

fn mismatch() -> Error {
    Error::failed("the agent answered something else than it was asked")
}
