//! Patterns of what may be reached, for definitions and for operators' bounds alike.

use std::fmt;
use std::net::IpAddr;

use url::Url;

use super::Door;
use super::address::{Reach, normal_host};

/// A set of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    door: Door,
    text: String,
    /// The URL's scheme; any if none.
    scheme: Option<String>,
    host: Host,
    /// Any if none.
    port: Option<u16>,
    path: Path,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// All names below a domain, with the dot.
    Below(String),
    Exactly(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    From(String),
    Exactly(String),
}

impl Pattern {
    pub(super) fn parse(door: Door, text: &str) -> Result<Self, String> {
        let (scheme, rest) = match (door, text.split_once("://")) {
            (Door::Http, Some((scheme @ ("http" | "https"), rest))) => (Some(scheme.to_owned()), rest),
            (Door::Http, _) => return Err("must start with http:// or https://".to_owned()),
            (_, Some(_)) => return Err("must not be a URL".to_owned()),
            (_, None) => (None, text),
        };
        let (place, path) = match rest.split_once('/') {
            Some((place, path)) if door == Door::Http => (place, format!("/{path}")),
            Some(_) => return Err("must not have a path".to_owned()),
            None => (rest, "/*".to_owned()),
        };
        let default_port = match scheme.as_deref() {
            Some("https") => Some("443"),
            Some(_) => Some("80"),
            None if door == Door::Dns => Some("0"),
            None => None,
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if door != Door::Dns && !port.ends_with(']') => (host, Some(port)),
            _ => (place, default_port),
        };
        let port = match port.ok_or("needs a port, or :* for any")? {
            "*" => None,
            digits => Some(digits.parse().map_err(|_| "has no valid port".to_owned())?),
        };
        let path = match path.strip_suffix('*') {
            Some(prefix) => Path::From(prefix.to_owned()),
            None => Path::Exactly(path),
        };
        if host.is_empty() || host.trim_start_matches("*.").contains('*') && host != "*" {
            return Err("needs a host, *.domain or *".to_owned());
        }
        let host = match host.strip_prefix('*') {
            Some("") => Host::Any,
            Some(domain) => Host::Below(domain.to_ascii_lowercase()),
            None => Host::Exactly(normal_host(host)),
        };
        Ok(Self { door, text: text.to_owned(), scheme, host, port, path })
    }

    pub(super) fn matches(&self, door: Door, host: &str, port: u16) -> bool {
        self.door == door && self.host.matches(host) && self.port.is_none_or(|own| own == port)
    }

    pub(super) fn matches_url(&self, url: &Url, host: &str, port: u16) -> bool {
        let path_matches = match &self.path {
            Path::From(prefix) => url.path().starts_with(prefix.as_str()),
            Path::Exactly(path) => url.path() == path,
        };
        let scheme_matches = self.scheme.as_deref().is_none_or(|scheme| scheme == url.scheme());
        self.matches(Door::Http, host, port) && scheme_matches && path_matches
    }

    /// Whether everything in `other` is in this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let host = match (&self.host, &other.host) {
            (Host::Any, Host::Exactly(theirs)) => !leads_inside(theirs),
            (Host::Any, _) => true,
            (Host::Below(own), Host::Below(theirs)) => theirs.ends_with(own.as_str()),
            (own, Host::Exactly(theirs)) => own.matches(theirs),
            _ => false,
        };
        let path = match (&self.path, &other.path) {
            (Path::From(own), Path::From(theirs) | Path::Exactly(theirs)) => theirs.starts_with(own.as_str()),
            (Path::Exactly(own), Path::Exactly(theirs)) => own == theirs,
            (Path::Exactly(_), Path::From(_)) => false,
        };
        let port = self.port.is_none() || self.port == other.port;
        let scheme = self.scheme.is_none() || self.scheme == other.scheme;
        self.door == other.door && host && path && port && scheme
    }

    /// One written-out address means that address; names can be made to lead anywhere.
    pub(super) fn reach(&self) -> Reach {
        match &self.host {
            Host::Exactly(host) if host.parse::<IpAddr>().is_ok() => Reach::Anywhere,
            _ => Reach::Public,
        }
    }
}

/// Whether a host is an address that only its own text may grant.
fn leads_inside(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| !Reach::Public.permits(address))
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(domain) => host.ends_with(domain.as_str()) && host.parse::<IpAddr>().is_err(),
            Self::Exactly(own) => own == host,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.door.as_str(), self.text)
    }
}
