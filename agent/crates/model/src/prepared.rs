//! Prepared queries: questions about a service that the servers keep, to be asked by name.
//!
//! A [`PreparedQuery`] is what a user wrote down, an [`Execution`] asks it and [`Executed`] is what
//! it comes to. A query whose [`TemplateOptions`] name a type answers for every name that begins
//! with its own; [`CompiledTemplate`] makes the query out of the name that was asked for.

mod interpolation;
mod template;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{CheckId, Datacenter, NodeName, PreparedQueryId, RaftIndex, SessionId, Token};
use crate::query::Instance;

pub use template::{CompiledTemplate, MAX_RENDERED};

/// A question about a service under a name. Lists and maps that were not given are not the same
/// as empty ones: the HTTP API says `null` for the former.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PreparedQuery {
    /// Identifier: a UUID.
    #[serde(rename = "ID")]
    pub id: PreparedQueryId,
    /// The name it can be asked by, unique without regard to case; empty for none. Of a template:
    /// what the names begin with that it answers for.
    pub name: String,
    /// The session that it ends with; empty to stay.
    pub session: SessionId,
    /// On whose behalf it is asked; empty for whoever asks.
    pub token: Token,
    /// Whether it is a template, and how it reads names.
    pub template: TemplateOptions,
    /// What it asks.
    pub service: ServiceQuery,
    /// How DNS answers it.
    #[serde(rename = "DNS")]
    pub dns: DnsOptions,
    /// The Raft index at which it was created.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}

impl PreparedQuery {
    /// Whether it is made anew for each name.
    #[must_use]
    pub fn is_template(&self) -> bool {
        !self.template.kind.is_empty()
    }

    /// What rules about names apply to it, if any do: who knows the id of a query without a name
    /// may use it.
    #[must_use]
    pub fn ruled_name(&self) -> Option<&str> {
        (!self.name.is_empty() || self.is_template()).then_some(self.name.as_str())
    }

    /// How large it is, in bytes of its JSON.
    #[must_use]
    pub fn size(&self) -> usize {
        // Plain data always has a form in JSON; what has none is not small.
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }

    /// Whether both ask the same, whenever they were written.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.session == other.session
            && self.token == other.token
            && self.template == other.template
            && self.service == other.service
            && self.dns == other.dns
    }
}

/// How a template reads names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TemplateOptions {
    /// `name_prefix_match`, or empty for a query that is no template.
    #[serde(rename = "Type")]
    pub kind: String,
    /// An expression whose groups `${match(N)}` stands for.
    pub regexp: String,
    /// Leave out tags that come to nothing.
    pub remove_empty_tags: bool,
}

/// Which instances of which service, and where else to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceQuery {
    /// The service's name.
    pub service: String,
    /// A group of clusters, which only the reference's Enterprise edition has.
    pub sameness_group: String,
    /// Where to look if there is no instance here.
    pub failover: Failover,
    /// Leave out instances of which a check is not passing; else those with a critical one.
    pub only_passing: bool,
    /// Checks that do not matter.
    #[serde(rename = "IgnoreCheckIDs")]
    pub ignore_check_ids: Option<Vec<CheckId>>,
    /// The node whose distance orders the answer: a name, `_agent` or `_ip`; empty for any order.
    pub near: String,
    /// Tags that an instance must carry; with `!` in front: must not. Compared without regard to
    /// case.
    pub tags: Option<Vec<String>>,
    /// Pairs that a node's metadata must contain.
    pub node_meta: Option<BTreeMap<String, String>>,
    /// Pairs that an instance's metadata must contain.
    pub service_meta: Option<BTreeMap<String, String>>,
    /// Only instances that are part of a mesh.
    pub connect: bool,
    /// The cluster from which instances were imported; empty for this one.
    pub peer: String,
}

/// Where to look for instances that are not here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Failover {
    /// In so many of the nearest datacenters.
    pub nearest_n: i64,
    /// Then in these.
    pub datacenters: Option<Vec<String>>,
    /// In these, instead of the above.
    pub targets: Option<Vec<FailoverTarget>>,
}

/// A place to look for instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FailoverTarget {
    /// What was imported from this cluster.
    pub peer: String,
    /// A datacenter.
    pub datacenter: String,
}

/// How DNS answers a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsOptions {
    /// How long an answer may be kept, in Go's notation; empty for what the agent is configured to.
    #[serde(rename = "TTL")]
    pub ttl: String,
}

/// In the place of a node's name in [`ServiceQuery::near`]: that of the agent that is asked.
pub const NEAR_AGENT: &str = "_agent";
/// In the place of a node's name in [`ServiceQuery::near`]: the one at the address from where is asked.
pub const NEAR_ADDRESS: &str = "_ip";

/// Asks a prepared query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The query's id or a name.
    pub name: String,
    /// How many instances are of use; none for all.
    pub limit: Option<usize>,
    /// Only instances that are part of a mesh, whatever the query says.
    pub connect: bool,
    /// The node whose distance orders the answer, as in [`ServiceQuery::near`]; empty for what the
    /// query says.
    pub near: String,
    /// From where it is asked, if that is known.
    pub from: Option<IpAddr>,
    /// The node of the agent that was asked.
    pub agent: NodeName,
}

/// What a prepared query comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    /// The service's name.
    pub service: String,
    /// The instances that it selects.
    pub instances: Vec<Instance>,
    /// How DNS answers it.
    pub dns: DnsOptions,
    /// The node that orders them; empty for none.
    pub near: NodeName,
    /// Where they are; empty if they are a peer's.
    pub datacenter: Datacenter,
    /// The peer they were imported from, if any.
    pub peer: String,
    /// In how many other places was looked for them.
    pub failovers: u32,
}

/// The longest name that a query can be asked by, in bytes: what templates make of it takes time.
pub const MAX_NAME: usize = 1024;

/// What stands in the place of a token that the caller may not see.
pub const HIDDEN_TOKEN: &str = "<hidden>";

/// The id that a text stands for, however it writes a UUID; none if it cannot be that of a query.
///
/// # Errors
/// In the reference's words if it is no UUID at all.
pub fn parse_id(text: &str) -> Result<Option<PreparedQueryId>, String> {
    const LENGTH: usize = 36;
    if text.len() != LENGTH {
        return Err("UUID must be 36 characters".to_owned());
    }
    let hyphens = text.matches('-').count();
    if hyphens > 4 {
        return Err(format!("UUID should have maximum of 4 \"-\"; got {hyphens}"));
    }
    if !(LENGTH - hyphens).is_multiple_of(2) {
        return Err("Input (without hyphens) must be even length".to_owned());
    }
    let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        let code = u32::from(wrong);
        return Err(format!("Invalid UUID: encoding/hex: invalid byte: U+{code:04X} '{wrong}'"));
    }
    let parts = [digits.get(..8), digits.get(8..12), digits.get(12..16), digits.get(16..20)];
    let written = parts.into_iter().chain([digits.get(20..32)]).collect::<Option<Vec<&str>>>();
    Ok(written.filter(|_| digits.len() == 32).map(|parts| PreparedQueryId::from(parts.join("-"))))
}

/// Whether a text is written as ids are, in any case.
#[must_use]
pub fn looks_like_id(text: &str) -> bool {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "8f246b77-f3e1-ff88-5b48-8ec93abf3e05";

    #[test]
    fn ids_are_found_however_they_are_written_and_others_are_named() {
        for text in [ID, &ID.to_uppercase(), "8f246b77f3e1ff885b488ec93abf3e05----"] {
            assert_eq!(parse_id(text), Ok(Some(ID.into())), "{text}");
        }
        assert_eq!(parse_id(&"a".repeat(36)), Ok(None));
        for (text, why) in [
            ("my-query", "UUID must be 36 characters"),
            ("8f246b77-f3e1-ff88-5b48-8ec93abf3e-5", "UUID should have maximum of 4 \"-\"; got 5"),
            ("8f246b770f3e1-ff88-5b48-8ec93abf3e05", "Input (without hyphens) must be even length"),
            ("zf246b77-f3e1-ff88-5b48-8ec93abf3e05", "Invalid UUID: encoding/hex: invalid byte: U+007A 'z'"),
        ] {
            assert_eq!(parse_id(text), Err(why.to_owned()));
        }
        assert!(looks_like_id(ID) && looks_like_id(&ID.to_uppercase()));
        assert!(!looks_like_id("8f246b77f3e1ff885b488ec93abf3e05----"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_id_or_none(text in "[0-9a-g-]{36}|\\PC{0,40}") {
            if let Ok(Some(id)) = parse_id(&text) {
                prop_assert!(looks_like_id(id.as_str()));
            }
            prop_assert!(!looks_like_id(&text) || parse_id(&text).is_ok_and(|id| id.is_some()));
        }
    }
}
