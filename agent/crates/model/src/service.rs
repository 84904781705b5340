//! Service instances of the catalog.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{RaftIndex, ServiceId, ServiceName};
use crate::node::null_when_empty;

/// One instance of a service on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    /// Identifier, unique on its node; the name if none was given.
    #[serde(rename = "ID")]
    pub id: ServiceId,
    /// The name it is looked up by.
    #[serde(rename = "Service")]
    pub name: ServiceName,
    /// Labels that queries can select by.
    #[serde(deserialize_with = "list_or_null")]
    pub tags: Vec<String>,
    /// IP address or host name; the node's address if empty.
    pub address: String,
    /// Addresses by audience, such as `lan` and `wan`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "null_when_empty")]
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// Key-value pairs that queries can select by.
    #[serde(with = "null_when_empty")]
    pub meta: BTreeMap<String, String>,
    /// TCP or UDP port; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: u16,
    /// How DNS weighs the instance.
    pub weights: Weights,
    /// Whether others than the owning agent may change the tags.
    pub enable_tag_override: bool,
    /// The Raft index at which it was first registered.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}

impl Service {
    /// Whether both describe the same instance, whenever they were written.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.tags == other.tags
            && self.address == other.address
            && self.tagged_addresses == other.tagged_addresses
            && self.meta == other.meta
            && self.port == other.port
            && self.weights == other.weights
            && self.enable_tag_override == other.enable_tag_override
    }
}

/// An address of a service for one audience.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceAddress {
    /// IP address or host name.
    pub address: String,
    /// Port at that address.
    pub port: u16,
}

/// DNS SRV weights by health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Weights {
    /// The weight while all checks pass.
    pub passing: u16,
    /// The weight while a check warns.
    pub warning: u16,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// A list, or `null` for an empty one.
pub(crate) fn list_or_null<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
