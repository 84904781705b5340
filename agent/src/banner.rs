//! What the agent prints before its log, in the form that operators and scripts look for.

use std::io::Write;

use lictor_config::RuntimeConfig;
use lictor_local::Identity;
use lictor_model::version;

/// Prints who this agent is, where it listens, and whether its gossip is encrypted.
pub(crate) fn print(config: &RuntimeConfig, identity: &Identity, is_encrypted: bool) {
    let port = |port: Option<u16>| port.map_or(-1, i32::from);
    let paths = config.http.sockets.iter().map(|path| format!("unix://{}", path.display()));
    let clients: Vec<String> = config.http.addrs.iter().map(ToString::to_string).chain(paths).collect();
    let ports = &config.ports;
    let banner = format!(
        "==> Starting Consul agent...\n\
         \x20              Version: '{}'\n\
         \x20              Node ID: '{}'\n\
         \x20            Node name: '{}'\n\
         \x20           Datacenter: '{}' (Segment: '<all>')\n\
         \x20               Server: {} (Bootstrap: {})\n\
         \x20          Client Addr: [{}] (HTTP: {}, HTTPS: {}, gRPC: {}, gRPC-TLS: {}, DNS: {})\n\
         \x20         Cluster Addr: {} (LAN: {}, WAN: {})\n\
         \x20    Gossip Encryption: {}\n\n\
         ==> Log data will now stream in as it occurs:\n\n",
        version::FULL,
        identity.id,
        identity.name,
        identity.datacenter,
        config.server,
        config.bootstrap,
        clients.join(" "),
        port(ports.http),
        port(ports.https),
        port(ports.grpc),
        port(ports.grpc_tls),
        port(ports.dns),
        identity.address,
        port(ports.serf_lan),
        port(ports.serf_wan),
        is_encrypted,
    );
    // A closed standard output is no reason not to run.
    let _ = std::io::stdout().write_all(banner.as_bytes());
}
