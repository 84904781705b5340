//! Nodes of the catalog.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Datacenter, NodeId, NodeName, RaftIndex};

/// A machine that runs an agent, or an external one that somebody registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// Identifier, empty for nodes registered without one.
    #[serde(rename = "ID")]
    pub id: NodeId,
    /// Name, unique without regard to case.
    #[serde(rename = "Node")]
    pub name: NodeName,
    /// IP address or host name.
    pub address: String,
    /// The datacenter it belongs to.
    pub datacenter: Datacenter,
    /// Addresses by audience, such as `lan` and `wan`.
    #[serde(with = "null_when_empty")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Key-value pairs that queries can select by.
    #[serde(with = "null_when_empty")]
    pub meta: BTreeMap<String, String>,
    /// The Raft index at which it was first registered.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}

impl Node {
    /// Whether both describe the same node, whenever they were written.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.address == other.address
            && self.tagged_addresses == other.tagged_addresses
            && self.meta == other.meta
    }
}

/// Maps that the HTTP API writes as `null` when they are empty.
pub mod null_when_empty {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the map, or `null` if it is empty.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, V: Serialize>(
        map: &BTreeMap<String, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if map.is_empty() { serializer.serialize_none() } else { map.serialize(serializer) }
    }

    /// Reads a map or `null`.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, V>, D::Error> {
        Ok(Option::<BTreeMap<String, V>>::deserialize(deserializer)?.unwrap_or_default())
    }
}
