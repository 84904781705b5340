//! What a check looks at.

use std::collections::BTreeMap;

/// What a check looks at. Texts are empty and the port is 0 where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The node's name.
    pub node: String,
    /// The node's datacenter.
    pub datacenter: String,
    /// The service instance; empty for a check of the node.
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// The service's address, or else the node's.
    pub address: String,
    /// The service's port.
    pub port: u16,
    /// The service's tags.
    pub tags: Vec<String>,
    /// The service's metadata.
    pub meta: BTreeMap<String, String>,
}
