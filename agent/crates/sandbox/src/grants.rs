//! What a check may reach, and the decision whether it may.
//!
//! Two kinds of grants: what stands literally in the definition, at whatever address it resolves
//! to, loopback included; and patterns that the definition allows itself within the operator's
//! bounds, which never lead to loopback, link-local or metadata addresses unless they name such an
//! address themselves. Everything else is denied. This module decides; it does no I/O.

mod address;
mod pattern;

use serde_json::Value;
use url::Url;

pub(crate) use address::Reach;
use address::normal_host;
pub(crate) use address::split_host_port;
use pattern::Pattern;

use crate::config::Bounds;

/// The interfaces through which something can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Http,
    Tcp,
    Udp,
    Tls,
    Dns,
    Exec,
}

impl Door {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::Exec => "exec",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Http, Self::Tcp, Self::Udp, Self::Tls, Self::Dns, Self::Exec]
            .into_iter()
            .find(|door| door.as_str() == word)
    }
}

/// A host and port that stand in the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Literal {
    door: Door,
    host: String,
    port: u16,
}

/// Everything one check may reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    literals: Vec<Literal>,
    patterns: Vec<Pattern>,
    redirects: bool,
    commands: Vec<Vec<String>>,
}

impl Grants {
    /// Grants what a filled-in need names; text that names nothing reachable grants nothing.
    pub(crate) fn add_literal(&mut self, door: Door, text: &str) {
        let place = match door {
            Door::Http => Url::parse(text).ok().and_then(|url| url_place(&url)),
            Door::Dns => (!text.is_empty()).then(|| (normal_host(text), 0)),
            Door::Exec => None,
            Door::Tcp | Door::Udp | Door::Tls => split_host_port(text),
        };
        if let Some((host, port)) = place {
            let literal = Literal { door, host, port };
            if !self.literals.contains(&literal) {
                self.literals.push(literal);
            }
        }
    }

    /// Grants a command that stands in the definition.
    pub(crate) fn add_command(&mut self, words: Vec<String>) {
        self.commands.push(words);
    }

    /// Whether a command may be run.
    pub(crate) fn check_command(&self, words: &[String]) -> Result<(), String> {
        if self.commands.iter().any(|granted| granted == words) {
            return Ok(());
        }
        let program = words.first().map(String::as_str).unwrap_or_default();
        Err(format!(
            "exec is not granted: {program}; commands take enable_script_checks or enable_local_script_checks in the \
             agent's configuration, and may only be those in the definition"
        ))
    }

    /// Adds what a definition allows its check, as far as the operator lets it.
    pub(crate) fn add_allowed(&mut self, allow: &Value, bounds: &Bounds) -> Result<(), String> {
        let object = match allow {
            Value::Null => return Ok(()),
            Value::Object(object) => object,
            _ => return Err("check allow: must be an object".to_owned()),
        };
        for (key, value) in object {
            if key == "redirects" {
                let wanted = value.as_bool().ok_or("check allow: \"redirects\" must be true or false")?;
                if wanted && !bounds.redirects {
                    return Err(beyond("redirects", "true"));
                }
                self.redirects = wanted;
                continue;
            }
            let (door, bounds) = match key.as_str() {
                "http" => (Door::Http, &bounds.http),
                "tcp" => (Door::Tcp, &bounds.tcp),
                "udp" => (Door::Udp, &bounds.udp),
                "tls" => (Door::Tls, &bounds.tls),
                "dns" => (Door::Dns, &bounds.dns),
                _ => {
                    return Err(format!(
                        "check allow: {key:?} is not known, which are http, tcp, udp, tls, dns and redirects"
                    ));
                }
            };
            let understand = |text: &String| {
                let pattern = Pattern::parse(door, text);
                pattern.inspect_err(|error| tracing::warn!("plugin_bounds.{key} {text:?} {error}")).ok()
            };
            let bounds: Vec<Pattern> = bounds.iter().filter_map(understand).collect();
            let list = value.as_array().ok_or_else(|| format!("check allow: {key:?} must be a list"))?;
            for item in list {
                let text = item.as_str().ok_or_else(|| format!("check allow: {key:?} must list texts"))?;
                let pattern = Pattern::parse(door, text)
                    .map_err(|error| format!("check allow: {key} {text:?} {error}"))?;
                if !bounds.iter().any(|bound| bound.covers(&pattern)) {
                    return Err(beyond(key, text));
                }
                self.patterns.push(pattern);
            }
        }
        Ok(())
    }

    /// Whether a host and port may be reached, and at which addresses.
    pub(crate) fn check(&self, door: Door, host: &str, port: u16) -> Result<Reach, String> {
        let host = normal_host(host);
        if self
            .literals
            .iter()
            .any(|literal| literal.door == door && literal.host == host && literal.port == port)
        {
            return Ok(Reach::Anywhere);
        }
        let pattern = self.patterns.iter().find(|pattern| pattern.matches(door, &host, port));
        pattern.map(Pattern::reach).ok_or_else(|| self.refusal(door, &host, port))
    }

    /// Whether a URL may be requested, and at which addresses; `redirected` if the peer chose it.
    pub(crate) fn check_url(&self, url: &Url, redirected: bool) -> Result<Reach, String> {
        let Some((host, port)) = url_place(url) else { return Err(format!("{url} names no host")) };
        let granted =
            |literal: &&Literal| literal.door == Door::Http && literal.host == host && literal.port == port;
        if self.literals.iter().any(|literal| granted(&literal)) {
            return Ok(Reach::Anywhere);
        }
        if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.matches_url(url, &host, port)) {
            return Ok(pattern.reach());
        }
        if redirected && self.redirects {
            return Ok(Reach::Public);
        }
        let refusal = self.refusal(Door::Http, &host, port);
        Err(if redirected { format!("redirect elsewhere: {refusal}") } else { refusal })
    }

    fn refusal(&self, door: Door, host: &str, port: u16) -> String {
        let granted = self.lines();
        let granted = if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
        format!("{} to {} is not granted; granted: {granted}", door.as_str(), place(host, port))
    }

    /// One grant a line, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let literals = self
            .literals
            .iter()
            .map(|grant| format!("{} {}", grant.door.as_str(), place(&grant.host, grant.port)));
        let patterns = self.patterns.iter().map(Pattern::to_string);
        let redirects = self.redirects.then(|| "http redirects".to_owned());
        let commands = self.commands.iter().map(|words| format!("exec {words:?}"));
        literals.chain(patterns).chain(redirects).chain(commands).collect()
    }
}

/// The host and port that a URL leads to.
pub(crate) fn url_place(url: &Url) -> Option<(String, u16)> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    Some((normal_host(url.host_str()?), url.port_or_known_default()?))
}

fn place(host: &str, port: u16) -> String {
    match (port, host.contains(':')) {
        (0, _) => host.to_owned(),
        (_, true) => format!("[{host}]:{port}"),
        (_, false) => format!("{host}:{port}"),
    }
}

fn beyond(key: &str, text: &str) -> String {
    format!(
        "check allow: {key} {text:?} is beyond what this agent's operator permits; it takes plugin_bounds.{key} in the \
         agent's configuration"
    )
}

#[cfg(test)]
mod tests;
