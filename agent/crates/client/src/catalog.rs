//! The catalog.

use std::collections::BTreeMap;

use lictor_model::node::null_when_empty;
use serde::{Deserialize, Serialize};

use crate::{Client, Failure, Parameters};

/// A node of the catalog, also as a row of a service's instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CatalogNode {
    /// Identifier.
    #[serde(rename = "ID")]
    pub id: String,
    /// Name.
    pub node: String,
    /// Address.
    pub address: String,
    /// Datacenter.
    pub datacenter: String,
    /// Addresses by audience.
    #[serde(with = "null_when_empty")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Metadata.
    #[serde(with = "null_when_empty", alias = "NodeMeta")]
    pub meta: BTreeMap<String, String>,
}

/// The services of one node, by identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeServices {
    /// The services.
    pub services: BTreeMap<String, NodeService>,
}

/// A service of a node, as far as lists show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeService {
    /// Name.
    pub service: String,
    /// Labels.
    pub tags: Vec<String>,
}

fn node_meta(mut parameters: Parameters, pairs: &[(String, String)]) -> Parameters {
    for (key, value) in pairs {
        parameters = parameters.value("node-meta", format!("{key}:{value}"));
    }
    parameters
}

impl Client {
    /// Nodes that carry the metadata given, in any or a given order of distance.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn nodes(
        &self,
        meta: &[(String, String)],
        filter: &str,
        near: &str,
    ) -> Result<Vec<CatalogNode>, Failure> {
        let parameters = Parameters::default().unless_empty("filter", filter).unless_empty("near", near);
        self.get("/v1/catalog/nodes", node_meta(parameters, meta)).await?.json()
    }

    /// Nodes that an instance of a service runs on.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn nodes_of_service(
        &self,
        service: &str,
        meta: &[(String, String)],
        filter: &str,
    ) -> Result<Vec<CatalogNode>, Failure> {
        let parameters = Parameters::default().unless_empty("filter", filter);
        let path = format!("/v1/catalog/service/{service}");
        self.get(&path, node_meta(parameters, meta)).await?.json()
    }

    /// Names of services with their tags.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn services(
        &self,
        meta: &[(String, String)],
    ) -> Result<BTreeMap<String, Vec<String>>, Failure> {
        self.get("/v1/catalog/services", node_meta(Parameters::default(), meta)).await?.json()
    }

    /// The services of one node, if it exists.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn services_of_node(&self, node: &str) -> Result<Option<NodeServices>, Failure> {
        self.get(&format!("/v1/catalog/node/{node}"), Parameters::default()).await?.json()
    }

    /// Names of the datacenters.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn datacenters(&self) -> Result<Vec<String>, Failure> {
        self.get("/v1/catalog/datacenters", Parameters::default()).await?.json()
    }
}
