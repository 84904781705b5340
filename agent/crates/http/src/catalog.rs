//! `/v1/catalog/`: what is registered.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Response;
use lictor_model::command::{Command, Deregistration};
use lictor_model::local::{LocalAnswer, LocalRequest};
use lictor_model::node::Node;
use lictor_model::query::{Answer, Instance, Query, ReadOptions, Reply, ServiceSelector};
use lictor_model::service::{Service, ServiceAddress, Weights};
use lictor_model::{Datacenter, RaftIndex};
use serde::Serialize;

use crate::call::Call;
use crate::failure::Failure;
use crate::{decode, respond};

pub(crate) async fn nodes(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.read_options()?;
    let reply = read(&call, Query::Nodes(call.params.node_selector()), options).await?;
    match reply.answer.as_ref() {
        Answer::Nodes(nodes) => respond::json_with_meta(&call, &reply.meta, nodes),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn services(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.cached_read_options()?;
    let reply = read(&call, Query::Services(call.params.node_selector()), options).await?;
    match reply.answer.as_ref() {
        Answer::Services(services) => respond::json_with_meta(&call, &reply.meta, services),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn service(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.cached_read_options()?;
    let selector = ServiceSelector {
        service: call.named("service name")?.into(),
        tags: call.params.all("tag").map(str::to_owned).collect(),
        passing_only: false,
        selector: call.params.node_selector(),
    };
    let reply = read(&call, Query::ServiceNodes(selector), options).await?;
    let Answer::Instances(instances) = reply.answer.as_ref() else {
        return Err(Failure::mismatch());
    };
    let rows: Vec<FlatRow<'_>> = instances.iter().map(FlatRow::from).collect();
    respond::json_with_meta(&call, &reply.meta, &rows)
}

/// A node with its services by id.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeWithMap<'a> {
    node: &'a Node,
    services: BTreeMap<&'a str, &'a Service>,
}

pub(crate) async fn node(call: Call) -> Result<Response<Body>, Failure> {
    let reply = node_with_services(&call).await?;
    let Answer::NodeServices(found) = reply.answer.as_ref() else {
        return Err(Failure::mismatch());
    };
    let row = found.as_ref().map(|found| NodeWithMap {
        node: &found.node,
        services: found.services.iter().map(|service| (service.id.as_str(), service.as_ref())).collect(),
    });
    respond::json_with_meta(&call, &reply.meta, &row)
}

/// A node with its services as a list.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeWithList<'a> {
    node: Option<&'a Node>,
    services: Option<Vec<&'a Service>>,
}

pub(crate) async fn node_services(call: Call) -> Result<Response<Body>, Failure> {
    let reply = node_with_services(&call).await?;
    let Answer::NodeServices(found) = reply.answer.as_ref() else {
        return Err(Failure::mismatch());
    };
    let row = NodeWithList {
        node: found.as_ref().map(|found| found.node.as_ref()),
        services: found.as_ref().map(|found| found.services.iter().map(AsRef::as_ref).collect()),
    };
    respond::json_with_meta(&call, &reply.meta, &row)
}

async fn node_with_services(call: &Call) -> Result<Reply, Failure> {
    let options = call.read_options()?;
    let node = call.named("node name")?.into();
    read(call, Query::NodeServices { node, filter: call.params.filter() }, options).await
}

pub(crate) async fn datacenters(call: Call) -> Result<Response<Body>, Failure> {
    match call.agent(LocalRequest::Datacenters).await? {
        LocalAnswer::Datacenters(names) => respond::json(&call, &names),
        _ => Err(Failure::mismatch()),
    }
}

pub(crate) async fn register(call: Call) -> Result<Response<Body>, Failure> {
    let body = call.whole_body()?;
    let mut registration = decode::registration(body)?;
    own_datacenter(&mut registration.datacenter, &call);
    respond::json(&call, &call.write(Command::Register(Box::new(registration))).await?)
}

pub(crate) async fn deregister(call: Call) -> Result<Response<Body>, Failure> {
    let body = call.whole_body()?;
    let mut deregistration: Deregistration = decode::deregistration(body)?;
    own_datacenter(&mut deregistration.datacenter, &call);
    respond::json(&call, &call.write(Command::Deregister(deregistration)).await?)
}

fn own_datacenter(datacenter: &mut Datacenter, call: &Call) {
    if datacenter.is_empty() {
        *datacenter = call
            .params
            .datacenter()
            .unwrap_or_else(|| Datacenter::from(call.api.settings.datacenter.as_str()));
    }
}

/// Reads; a failure of these endpoints still says what is known of its freshness.
async fn read(call: &Call, query: Query, options: ReadOptions) -> Result<Reply, Failure> {
    call.read(query, options).await.map_err(Failure::with_empty_meta)
}

/// A node and a service in one object.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FlatRow<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    node: &'a str,
    address: &'a str,
    datacenter: &'a str,
    tagged_addresses: Option<&'a BTreeMap<String, String>>,
    node_meta: Option<&'a BTreeMap<String, String>>,
    #[serde(rename = "ServiceID")]
    service_id: &'a str,
    service_name: &'a str,
    service_tags: &'a [String],
    service_address: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_tagged_addresses: &'a BTreeMap<String, ServiceAddress>,
    service_weights: Weights,
    service_meta: &'a BTreeMap<String, String>,
    service_port: u16,
    service_enable_tag_override: bool,
    create_index: RaftIndex,
    modify_index: RaftIndex,
}

impl<'a> From<&'a Instance> for FlatRow<'a> {
    fn from(instance: &'a Instance) -> Self {
        let Instance { node, service, .. } = instance;
        let unless_empty = |map: &'a BTreeMap<String, String>| Some(map).filter(|map| !map.is_empty());
        Self {
            id: node.id.as_str(),
            node: node.name.as_str(),
            address: &node.address,
            datacenter: node.datacenter.as_str(),
            tagged_addresses: unless_empty(&node.tagged_addresses),
            node_meta: unless_empty(&node.meta),
            service_id: service.id.as_str(),
            service_name: service.name.as_str(),
            service_tags: &service.tags,
            service_address: &service.address,
            service_tagged_addresses: &service.tagged_addresses,
            service_weights: service.weights,
            service_meta: &service.meta,
            service_port: service.port,
            service_enable_tag_override: service.enable_tag_override,
            create_index: service.create_index,
            modify_index: service.modify_index,
        }
    }
}
