//! What the values of a configuration may not be, and what its author should think of.

use std::net::IpAddr;
use std::path::Path;

use lictor_model::node::{Reserved, meta_problems};

use super::RuntimeConfig;

/// Where deployments of several servers are explained.
const DEPLOYMENT_TABLE: &str = "See https://www.consul.io/docs/internals/consensus.html#deployment-table";

impl RuntimeConfig {
    pub(super) fn validate(&self, problems: &mut Vec<String>) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.datacenter.is_empty() || !self.datacenter.chars().all(fits) {
            problems.push(format!(
                "datacenter can only contain lowercase alphanumeric, - or _ characters. received: {:?}",
                self.datacenter
            ));
        }
        match &self.data_dir {
            None if !self.dev => problems.push("data_dir cannot be empty".to_owned()),
            Some(data_dir) if is_no_directory(data_dir) => {
                problems.push(format!("data_dir {:?} is not a directory", data_dir.display().to_string()));
            }
            _ => {}
        }
        self.validate_servers(problems);
        self.validate_meta(problems);
        if !self.gossip.encrypt.is_empty()
            && let Err(why) = gossip_key(&self.gossip.encrypt)
        {
            problems.push(format!("encrypt has invalid key: {why}"));
        }
        if self.node_id.as_ref().is_some_and(|id| !is_uuid(id)) {
            problems.push(format!(
                "node_id {:?} is not a UUID such as 1f2e3d4c-0000-1111-2222-333344445555",
                self.node_id.as_deref().unwrap_or_default()
            ));
        }
        self.validate_ports(problems);
    }

    fn validate_servers(&self, problems: &mut Vec<String>) {
        if self.bootstrap && !self.server {
            problems.push("'bootstrap = true' requires 'server = true'".to_owned());
        }
        if self.bootstrap_expect > 0 && self.dev {
            problems.push("'bootstrap_expect > 0' not allowed in dev mode".to_owned());
        }
        if self.bootstrap_expect > 0 && !self.server {
            problems.push("'bootstrap_expect > 0' requires 'server = true'".to_owned());
        }
        if self.bootstrap_expect > 0 && self.bootstrap && !self.dev {
            problems.push("'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive".to_owned());
        }
    }

    fn validate_meta(&self, problems: &mut Vec<String>) {
        let found = meta_problems(&self.node_meta, Reserved::Refused);
        for problem in found {
            problems.push(format!("node_meta invalid: {problem}"));
        }
    }

    /// No two listeners may want the same place.
    fn validate_ports(&self, problems: &mut Vec<String>) {
        let bound = Some(self.bind_addr).filter(|addr| !addr.is_unspecified());
        let advertised = self.advertise_addr.or(bound);
        let advertised: Vec<IpAddr> = advertised.into_iter().collect();
        let listeners = [
            ("DNS", self.dns_addrs.as_slice(), self.ports.dns),
            ("HTTP", self.http.addrs.as_slice(), self.ports.http),
            ("RPC Advertise", advertised.as_slice(), self.ports.server),
            ("Serf Advertise LAN", advertised.as_slice(), self.ports.serf_lan),
            ("Serf Advertise WAN", advertised.as_slice(), self.ports.serf_wan.filter(|_| self.server)),
        ];
        let mut taken: Vec<(IpAddr, u16, &str)> = Vec::new();
        for (name, addresses, port) in listeners {
            let Some(port) = port.filter(|port| *port > 0) else { continue };
            for address in addresses {
                match taken.iter().find(|(ip, number, _)| ip == address && *number == port) {
                    Some((.., owner)) => problems.push(format!(
                        "{name} address {} already configured for {owner}",
                        std::net::SocketAddr::new(*address, port)
                    )),
                    None => taken.push((*address, port, name)),
                }
            }
        }
    }

    /// What is worth a thought although it is no mistake.
    pub(super) fn advise(&mut self) {
        let fits = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if let Some(name) = self.node_name.as_ref().filter(|name| !fits(name)) {
            self.warnings.push(format!(
                "Node name {name:?} will not be discoverable via DNS due to invalid characters. Valid characters include all alpha-numerics and dashes."
            ));
        }
        if !self.server || self.dev {
            return;
        }
        match self.bootstrap_expect {
            0 if self.bootstrap => {
                self.warnings.push("bootstrap = true: do not enable unless necessary".to_owned());
            }
            0 => {}
            1 => {
                let line = "BootstrapExpect is set to 1; this is the same as Bootstrap mode.";
                self.warnings.push(line.to_owned());
            }
            expected => {
                if expected == 2 {
                    self.warnings.push(format!(
                        "bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance. {DEPLOYMENT_TABLE}"
                    ));
                } else if expected % 2 == 0 {
                    self.warnings.push(format!(
                        "bootstrap_expect is even number: A cluster with an even number of servers does not achieve optimum fault tolerance. {DEPLOYMENT_TABLE}"
                    ));
                }
                self.warnings.push(format!("bootstrap_expect > 0: expecting {expected} servers"));
            }
        }
    }
}

fn is_no_directory(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_dir())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(position, c)| {
            if matches!(position, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() }
        })
}

/// Whether a text is a key for gossip: 16, 24 or 32 bytes in base64.
fn gossip_key(text: &str) -> Result<(), String> {
    let bytes =
        base64_length(text.as_bytes()).map_err(|at| format!("illegal base64 data at input byte {at}"))?;
    if matches!(bytes, 16 | 24 | 32) { Ok(()) } else { Err("key size must be 16, 24 or 32 bytes".to_owned()) }
}

/// How many bytes stand in a base64 text, or the place that the reference names where none can.
fn base64_length(text: &[u8]) -> Result<usize, usize> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let mut bytes = 0;
    for (number, quantum) in text.chunks(4).enumerate() {
        let start = number * 4;
        let digits = quantum.iter().take_while(|byte| is_digit(**byte)).count();
        match (digits, quantum.get(digits), quantum.len()) {
            (4, ..) => bytes += 3,
            // It ends within a quantum: that quantum is at fault.
            (_, None, _) => return Err(start),
            (3, Some(b'='), _) if start + 4 == text.len() => bytes += 2,
            (2, Some(b'='), 4) if quantum.last() == Some(&b'=') && start + 4 == text.len() => bytes += 1,
            (2, Some(b'='), 3) => return Err(text.len()),
            (2, Some(b'='), _) if quantum.last() != Some(&b'=') => return Err(start + 3),
            (2 | 3, Some(b'='), _) => return Err(start + 4),
            _ => return Err(start + digits),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_gossip_are_of_three_sizes() {
        for good in ["MDEyMzQ1Njc4OWFiY2RlZg==", "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="] {
            assert_eq!(gossip_key(good), Ok(()), "{good}");
        }
        for (bad, at) in [
            ("short", 4),
            ("bogus", 4),
            ("a", 0),
            ("abcdef", 4),
            ("ab!d", 2),
            ("ab==cdef", 4),
            ("ab=", 3),
            ("ab=c", 3),
        ] {
            assert_eq!(gossip_key(bad), Err(format!("illegal base64 data at input byte {at}")), "{bad}");
        }
        assert_eq!(gossip_key("abcd").unwrap_err(), "key size must be 16, 24 or 32 bytes");
    }
}
