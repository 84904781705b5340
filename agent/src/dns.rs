//! What the DNS interface is told.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lictor_config::{RecursorStrategy, RuntimeConfig};
use lictor_dns::{RecursorOrder, Settings, SoaTimes, Times};
use lictor_sys::net;

use crate::StartError;

/// The port of recursors that are given without one.
const PORT: u16 = 53;
/// How long the name of a recursor may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of the DNS interface.
pub(crate) fn settings(config: &RuntimeConfig, recursors: &[SocketAddr], times: &Times) -> Settings {
    let dns = &config.dns;
    Settings {
        times: times.clone(),
        datacenter: config.datacenter.clone(),
        domain: dns.domain.clone(),
        alt_domain: dns.alt_domain.clone(),
        node_ttl: dns.node_ttl,
        service_ttl: dns.service_ttl.clone(),
        only_passing: dns.only_passing,
        allow_stale: dns.allow_stale,
        max_stale: dns.max_stale,
        udp_answer_limit: dns.udp_answer_limit,
        a_record_limit: dns.a_record_limit,
        enable_truncate: dns.enable_truncate,
        disable_compression: dns.disable_compression,
        node_meta_txt: dns.node_meta_txt,
        soa: SoaTimes {
            refresh: dns.soa.refresh,
            retry: dns.soa.retry,
            expire: dns.soa.expire,
            min_ttl: dns.soa.min_ttl,
        },
        recursors: recursors.to_vec(),
        recursor_order: match dns.recursor_strategy {
            RecursorStrategy::Sequential => RecursorOrder::Sequential,
            RecursorStrategy::Random => RecursorOrder::Random,
        },
        recursor_timeout: dns.recursor_timeout,
    }
}

/// The addresses of the recursors. The agent itself is none: it would ask itself forever.
pub(crate) async fn recursors(
    config: &RuntimeConfig,
    advertised: IpAddr,
) -> Result<Vec<SocketAddr>, StartError> {
    let mut found = Vec::new();
    for recursor in &config.dns.recursors {
        let failed =
            |why: &dyn std::fmt::Display| StartError(format!("Invalid recursor address: {recursor}: {why}"));
        if !may_be_address(recursor) {
            return Err(failed(&"too many colons in address"));
        }
        let resolved = tokio::time::timeout(RESOLVE_TIMEOUT, net::resolve(recursor, PORT)).await;
        let addresses = resolved.map_err(|_| failed(&"timed out"))?.map_err(|error| failed(&error))?;
        let address = *addresses.first().ok_or_else(|| failed(&"no address"))?;
        if is_own(config, advertised, address) {
            tracing::warn!(%recursor, "a recursor that is this agent is not asked");
        } else if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// Whether a text is an address, or a name with or without a port.
fn may_be_address(text: &str) -> bool {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse::<SocketAddr>().is_ok() || bare.parse::<IpAddr>().is_ok() || text.matches(':').count() < 2
}

/// Whether the agent's own DNS interface answers at an address.
fn is_own(config: &RuntimeConfig, advertised: IpAddr, address: SocketAddr) -> bool {
    let ip = address.ip();
    let local = |listening: &IpAddr| {
        *listening == ip || listening.is_unspecified() && (ip.is_loopback() || ip == advertised)
    };
    config.ports.dns == Some(address.port()) && config.dns_addrs.iter().any(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(recursors: &[&str]) -> Result<Vec<SocketAddr>, String> {
        let list: Vec<String> = recursors.iter().map(|recursor| format!("-recursor={recursor}")).collect();
        let arguments = ["-dev".to_owned(), "-client=0.0.0.0".to_owned()].into_iter().chain(list);
        let sources = lictor_config::flags::parse(&arguments.collect::<Vec<_>>()).unwrap();
        let config = lictor_config::load(&sources).unwrap();
        super::recursors(&config, IpAddr::from([10, 0, 0, 1])).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn recursors_have_a_port_and_are_somebody_else() {
        let given =
            ["9.9.9.9", "::1", "[::2]:54", "127.0.0.1:8600", "10.0.0.1:8600", "10.0.0.1", "9.9.9.9:53"];
        let expected = ["9.9.9.9:53", "[::1]:53", "[::2]:54", "10.0.0.1:53"];
        let expected: Vec<SocketAddr> = expected.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(of(&given).await, Ok(expected));
    }

    #[tokio::test]
    async fn what_is_no_address_is_told() {
        for (bad, why) in [("bad:::1", "too many colons in address"), ("9.9.9.9:99999", "invalid port value")]
        {
            let error = of(&[bad]).await.unwrap_err();
            assert_eq!(error, format!("Invalid recursor address: {bad}: {why}"));
        }
    }
}
