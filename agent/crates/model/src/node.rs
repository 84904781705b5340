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

/// How many pairs metadata may have.
const MOST_META: usize = 64;
/// The longest key of a pair, in bytes.
const LONGEST_META_KEY: usize = 128;
/// The longest value of a pair, in bytes.
const LONGEST_META_VALUE: usize = 512;

/// Whether metadata may have keys that agents set themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// As where nodes are looked for.
    Allowed,
    /// As where a node is described.
    Refused,
}

/// What is wrong with metadata, for each pair.
#[must_use]
pub fn meta_problems(meta: &BTreeMap<String, String>, reserved: Reserved) -> Vec<String> {
    let too_many = (meta.len() > MOST_META)
        .then(|| format!("Node metadata cannot contain more than {MOST_META} key/value pairs"));
    let pairs = meta.iter().filter_map(|(key, value)| {
        let why = pair_problem(key, value, reserved)?;
        Some(format!("Couldn't load metadata pair ('{key}', '{value}'): {why}"))
    });
    too_many.into_iter().chain(pairs).collect()
}

fn pair_problem(key: &str, value: &str, reserved: Reserved) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() {
        return Some("Key cannot be blank".to_owned());
    }
    if !key.chars().all(fits) {
        return Some("Key contains invalid characters".to_owned());
    }
    if key.len() > LONGEST_META_KEY {
        return Some(format!("Key is too long (limit: {LONGEST_META_KEY} characters)"));
    }
    if reserved == Reserved::Refused && key.starts_with("consul-") {
        return Some("Key prefix 'consul-' is reserved for internal use".to_owned());
    }
    (value.len() > LONGEST_META_VALUE)
        .then(|| format!("Value is too long (limit: {LONGEST_META_VALUE} characters)"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_plain_keys() {
        let problems = |key: &str, value: &str, reserved| {
            meta_problems(&[(key.to_owned(), value.to_owned())].into(), reserved).len()
        };
        assert_eq!(problems("rack_1-a", "any value", Reserved::Refused), 0);
        for bad in ["", "a b", "consul-x", &"k".repeat(129)] {
            assert_eq!(problems(bad, "v", Reserved::Refused), 1, "{bad}");
        }
        assert_eq!(problems("consul-x", "v", Reserved::Allowed), 0);
        assert_eq!(problems("k", &"v".repeat(513), Reserved::Allowed), 1);
        let many = (0..65).map(|number| (format!("k{number}"), String::new())).collect();
        assert_eq!(meta_problems(&many, Reserved::Refused).len(), 1);
    }
}
