//! Who this agent is: name, identifier, addresses and tags.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use lictor_config::RuntimeConfig;
use lictor_local::Identity;
use lictor_model::version;
use lictor_sys::{file, net};

use crate::StartError;

/// The tag that says where a server is in the pool between datacenters.
pub(crate) const WAN_PORT: &str = "wan_join_port";
/// The file that keeps the node's identifier.
const NODE_ID_FILE: &str = "node-id";

/// Finds out who this agent is and where others reach it; an identifier that is new is on disk
/// when this returns.
pub(crate) fn establish(config: &RuntimeConfig) -> Result<(Identity, IpAddr), StartError> {
    let address = advertised(config)?;
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let text = address.to_string();
    let tagged = ["lan".to_owned(), format!("lan_{family}"), "wan".to_owned(), format!("wan_{family}")];
    let identity = Identity {
        id: node_id(config)?.as_str().into(),
        name: node_name(config)?.as_str().into(),
        datacenter: config.datacenter.as_str().into(),
        address: text.clone(),
        tagged_addresses: tagged.into_iter().map(|audience| (audience, text.clone())).collect(),
        meta: meta(config),
    };
    Ok((identity, address))
}

/// What the node says of itself: what the configuration says, and what follows.
pub(crate) fn meta(config: &RuntimeConfig) -> BTreeMap<String, String> {
    let mut meta = config.node_meta.clone();
    meta.insert("consul-version".to_owned(), version::COMPATIBILITY.to_owned());
    meta.insert("consul-network-segment".to_owned(), String::new());
    meta
}

/// The address others reach this agent at.
fn advertised(config: &RuntimeConfig) -> Result<IpAddr, StartError> {
    if let Some(address) = config.advertise_addr {
        return Ok(address);
    }
    if !config.bind_addr.is_unspecified() {
        return Ok(config.bind_addr);
    }
    let found = net::private_ipv4().map_err(|error| StartError::new("network interfaces", error))?;
    match found.as_slice() {
        [only] => Ok(IpAddr::V4(*only)),
        [] => Err(StartError(
            "No private IPv4 address found; set -bind or -advertise to the address that other agents reach this one at".to_owned(),
        )),
        several => {
            let list: Vec<String> = several.iter().map(Ipv4Addr::to_string).collect();
            Err(StartError(format!(
                "Multiple private IPv4 addresses found: {}; set -bind or -advertise to the one that other agents reach this one at",
                list.join(", ")
            )))
        }
    }
}

fn node_name(config: &RuntimeConfig) -> Result<String, StartError> {
    if let Some(name) = &config.node_name {
        return Ok(name.clone());
    }
    let limit = 1024;
    let name = file::read_bounded(Path::new("/proc/sys/kernel/hostname"), limit)
        .map_err(|error| StartError::new("the host's name cannot be read; set -node", error))?;
    let name = String::from_utf8_lossy(&name).trim().to_owned();
    if name.is_empty() {
        return Err(StartError("the host has no name; set -node".to_owned()));
    }
    Ok(name)
}

fn node_id(config: &RuntimeConfig) -> Result<String, StartError> {
    if let Some(id) = &config.node_id {
        return Ok(id.to_lowercase());
    }
    let fresh = || uuid::Uuid::new_v4().to_string();
    let Some(data_dir) = &config.data_dir else { return Ok(fresh()) };
    let path = data_dir.join(NODE_ID_FILE);
    let failed = |error: std::io::Error| StartError::new(path.display(), error);
    match file::read_bounded(&path, 128) {
        Ok(content) => {
            let text = String::from_utf8_lossy(&content).trim().to_lowercase();
            let id = uuid::Uuid::try_parse(&text).map_err(|_| {
                StartError(format!(
                    "{} does not hold a node id (a UUID); restore it, or remove it to get a new one",
                    path.display()
                ))
            })?;
            // With its hyphens, whichever way it was written.
            Ok(id.to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = fresh();
            file::write_atomic(&path, id.as_bytes()).map_err(failed)?;
            Ok(id)
        }
        Err(error) => Err(failed(error)),
    }
}

/// What this agent says of itself in the gossip pool.
pub(crate) fn tags(
    config: &RuntimeConfig,
    identity: &Identity,
    server: SocketAddr,
) -> BTreeMap<String, String> {
    let mut tags: BTreeMap<String, String> = [
        ("role", if config.server { "consul" } else { "node" }),
        ("dc", identity.datacenter.as_str()),
        ("id", identity.id.as_str()),
        ("vsn", "2"),
        ("vsn_min", "2"),
        ("vsn_max", "3"),
        ("acls", "0"),
        ("segment", ""),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    tags.insert("build".to_owned(), format!("{}:lictor{}", version::COMPATIBILITY, version::OWN));
    if config.server {
        tags.insert("port".to_owned(), server.port().to_string());
        tags.insert("raft_vsn".to_owned(), "3".to_owned());
        if config.read_replica {
            for name in ["read_replica", "nonvoter"] {
                tags.insert(name.to_owned(), "1".to_owned());
            }
        }
        if let Some(port) = config.ports.serf_wan {
            tags.insert(WAN_PORT.to_owned(), port.to_string());
        }
        if config.bootstrap {
            tags.insert("bootstrap".to_owned(), "1".to_owned());
        }
        if config.bootstrap_expect > 0 {
            tags.insert("expect".to_owned(), config.bootstrap_expect.to_string());
        }
    }
    tags
}
