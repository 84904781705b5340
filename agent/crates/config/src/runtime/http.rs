//! What the HTTP API is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::read::Reader;

/// How many connections a single address may have unless configured otherwise.
const CONNECTIONS_PER_CLIENT: usize = 200;
/// What starts an address that is a path.
const UNIX: &str = "unix://";

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Addresses to listen on.
    pub addrs: Vec<IpAddr>,
    /// Paths of unix sockets to listen on.
    pub sockets: Vec<PathBuf>,
    /// The permission bits of those sockets; as the process creates them if absent.
    pub socket_mode: Option<u32>,
    /// Headers that every answer carries, by name.
    pub response_headers: BTreeMap<String, String>,
    /// What the paths of blocked endpoints start with.
    pub block_endpoints: Vec<String>,
    /// Networks that may change something; all if there are none.
    pub allow_write_from: Vec<IpNet>,
    /// Whether `?cached` is heeded.
    pub use_cache: bool,
    /// How many connections a single address may have; 0 for no limit.
    pub max_conns_per_client: usize,
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader, client_addrs: &[IpAddr]) -> Self {
        let words = reader.text("addresses.http").unwrap_or_default();
        let (sockets, addrs): (Vec<&str>, Vec<&str>) =
            words.split_whitespace().partition(|word| word.starts_with(UNIX));
        let has_sockets = !sockets.is_empty();
        let mut addrs = reader.parse_addresses("addresses.http", &addrs);
        if addrs.is_empty() && !has_sockets {
            addrs = client_addrs.to_vec();
        }
        let allow_write_from = networks(reader, "http_config.allow_write_http_from");
        Self {
            addrs,
            sockets: sockets.iter().map(|path| PathBuf::from(path.trim_start_matches(UNIX))).collect(),
            socket_mode: mode(reader),
            response_headers: reader.map("http_config.response_headers"),
            block_endpoints: reader.texts("http_config.block_endpoints"),
            allow_write_from,
            use_cache: reader.flag_or("http_config.use_cache", true),
            max_conns_per_client: reader.count("limits.http_max_conns_per_client", CONNECTIONS_PER_CLIENT),
        }
    }
}

fn mode(reader: &mut Reader) -> Option<u32> {
    let text = reader.text("unix_sockets.mode")?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
    if mode.is_none() {
        reader.problem(format!("unix_sockets.mode: {text:?} is not an octal number such as \"0660\""));
    }
    mode
}

pub(super) fn networks(reader: &mut Reader, key: &str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for word in reader.texts(key) {
        match word.parse() {
            Ok(network) => networks.push(network),
            Err(_) => reader.problem(format!("{key}: invalid CIDR address: {word}")),
        }
    }
    networks
}
