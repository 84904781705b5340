//! The definition of a service.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::CheckDefinition;
use crate::error::{Error, Result};
use crate::ids::{RaftIndex, ServiceId, ServiceName};
use crate::service::{Service, ServiceAddress, Weights};

/// A service as a user defines it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceDefinition {
    /// Identifier; the name if empty.
    pub id: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub tags: Vec<String>,
    /// IP address or host name.
    pub address: String,
    /// Addresses by audience.
    #[serde(rename = "taggedaddresses")]
    pub tagged_addresses: BTreeMap<String, AddressDefinition>,
    /// Key-value pairs.
    pub meta: BTreeMap<String, String>,
    /// Port; 0 for none.
    pub port: u16,
    /// DNS weights.
    pub weights: Option<WeightsDefinition>,
    /// Whether others may change the tags.
    #[serde(rename = "enabletagoverride")]
    pub enable_tag_override: bool,
    /// A check of it.
    pub check: Option<CheckDefinition>,
    /// More checks of it.
    pub checks: Vec<CheckDefinition>,
    /// The token to register it with.
    #[serde(skip_serializing)]
    pub token: String,
}

/// An address for one audience, as a user defines it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddressDefinition {
    /// IP address or host name.
    pub address: String,
    /// Port at that address.
    pub port: u16,
}

/// DNS weights, as a user defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WeightsDefinition {
    /// The weight while all checks pass.
    pub passing: i64,
    /// The weight while a check warns.
    pub warning: i64,
}

impl Default for WeightsDefinition {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// The highest weight a DNS SRV record can carry.
const MAX_WEIGHT: i64 = 65_535;

impl ServiceDefinition {
    /// The identifier: the given one, or else the name.
    #[must_use]
    pub fn effective_id(&self) -> ServiceId {
        ServiceId::from(if self.id.is_empty() { self.name.as_str() } else { self.id.as_str() })
    }

    /// The check definitions, the single one first.
    pub fn all_checks(&self) -> impl Iterator<Item = &CheckDefinition> {
        self.check.iter().chain(&self.checks)
    }

    /// The catalog entry this defines.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Code::InvalidArgument) naming the field that is wrong.
    pub fn to_service(&self) -> Result<Service> {
        if self.name.is_empty() {
            return Err(Error::invalid("Missing service name"));
        }
        if is_wildcard_address(&self.address) {
            return Err(Error::invalid("Invalid service address"));
        }
        for (audience, tagged) in &self.tagged_addresses {
            if is_wildcard_address(&tagged.address) {
                return Err(Error::invalid(format!(
                    "tagged address {audience:?} must not be a wildcard address"
                )));
            }
        }
        Ok(Service {
            id: self.effective_id(),
            name: ServiceName::from(self.name.as_str()),
            tags: self.tags.clone(),
            address: self.address.clone(),
            tagged_addresses: self.effective_tagged_addresses(),
            meta: self.meta.clone(),
            port: self.port,
            weights: self.effective_weights()?,
            enable_tag_override: self.enable_tag_override,
            create_index: RaftIndex::default(),
            modify_index: RaftIndex::default(),
        })
    }

    /// The tagged addresses with the ones that follow from the plain address: its family's `lan`
    /// and `wan` forms.
    fn effective_tagged_addresses(&self) -> BTreeMap<String, ServiceAddress> {
        let mut addresses: BTreeMap<String, ServiceAddress> = self
            .tagged_addresses
            .iter()
            .map(|(audience, tagged)| {
                let address = ServiceAddress { address: tagged.address.clone(), port: tagged.port };
                (audience.clone(), address)
            })
            .collect();
        let family = match self.address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => "ipv4",
            Ok(IpAddr::V6(_)) => "ipv6",
            Err(_) => return addresses,
        };
        for audience in ["lan", "wan"] {
            addresses
                .entry(format!("{audience}_{family}"))
                .or_insert_with(|| ServiceAddress { address: self.address.clone(), port: self.port });
        }
        addresses
    }

    fn effective_weights(&self) -> Result<Weights> {
        let Some(weights) = self.weights else { return Ok(Weights::default()) };
        if weights.passing < 1 {
            return Err(Error::invalid("Passing must be greater than 0"));
        }
        if weights.warning < 0 {
            return Err(Error::invalid("Warning must be greater or equal than 0"));
        }
        if weights.passing > MAX_WEIGHT || weights.warning > MAX_WEIGHT {
            return Err(Error::invalid("DNS Weight must be between 0 and 65535"));
        }
        let narrow = |weight: i64| u16::try_from(weight).unwrap_or(u16::MAX);
        Ok(Weights { passing: narrow(weights.passing), warning: narrow(weights.warning) })
    }
}

fn is_wildcard_address(address: &str) -> bool {
    matches!(address, "0.0.0.0" | "::" | "[::]")
}
