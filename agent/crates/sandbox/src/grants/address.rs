//! Hosts, ports and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses at which a grant may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Wherever the name leads.
    Anywhere,
    /// Not into this machine, its link or its cloud's metadata.
    Public,
}

impl Reach {
    pub(crate) fn permits(self, address: IpAddr) -> bool {
        self == Self::Anywhere || !is_inside(address)
    }
}

/// Cloud providers' metadata services outside the link-local ranges.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                // All of 0.0.0.0/8 means this host to many systems.
                || v4.octets().first() == Some(&0)
                || v4 == METADATA_V4
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6 == METADATA_V6
                // Addresses that carry an IPv4 address lead where that one leads.
                || carried_v4(v6).is_some_and(|v4| is_inside(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside a NAT64 (64:ff9b::/96) or old compatible (::/96) address.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let nat64 = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    let compatible = [a, b, c, d, e, f] == [0; 6];
    (nat64 || compatible).then(|| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

/// A host in the one form that comparisons use.
pub(crate) fn normal_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => bare.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// Takes `host:port` apart.
pub(crate) fn split_host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    Some((normal_host(host), port))
}
