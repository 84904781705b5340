//! Health checks of the catalog.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{CheckId, NodeName, RaftIndex, ServiceId, ServiceName};
use crate::service::list_or_null;

/// The identifier of the check that follows a node's gossip state.
pub const SERF_HEALTH: &str = "serfHealth";

/// How many bytes of a check's output are kept unless something else is configured.
pub const DEFAULT_OUTPUT_LIMIT: usize = 4096;

/// Cuts an output that a service reported itself to `limit` bytes, and says so.
#[must_use]
pub fn cut_output(mut output: String, limit: usize) -> String {
    let total = output.len();
    if total > limit {
        output.truncate(output.floor_char_boundary(limit));
        output.push_str(&format!(" ... (captured {limit} of {total} bytes)"));
    }
    output
}

/// What a check says of its target. The order is from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    Passing,
    /// It works, but somebody should look.
    Warning,
    /// It does not work, or nothing is known of it yet.
    #[default]
    Critical,
}

impl Status {
    /// The word the HTTP API uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "passing" => Ok(Self::Passing),
            "warning" => Ok(Self::Warning),
            "critical" => Ok(Self::Critical),
            _ => Err(UnknownStatus),
        }
    }
}

/// A word that is none of `passing`, `warning` and `critical`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a check status is one of passing, warning, critical")]
pub struct UnknownStatus;

/// The state of one check of a node or of a service on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Check {
    /// The node it belongs to.
    pub node: NodeName,
    /// Identifier, unique on its node.
    #[serde(rename = "CheckID")]
    pub id: CheckId,
    /// Name for people.
    pub name: String,
    /// Its verdict.
    pub status: Status,
    /// Free text of whoever defined it.
    pub notes: String,
    /// What the last run that changed the status had to say.
    pub output: String,
    /// The service instance it speaks for; empty for a check of the node.
    #[serde(rename = "ServiceID")]
    pub service_id: ServiceId,
    /// That service's name.
    pub service_name: ServiceName,
    /// That service's tags.
    #[serde(deserialize_with = "list_or_null")]
    pub service_tags: Vec<String>,
    /// The kind of check, such as `http` or `ttl`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// How often it runs, in Go's notation.
    pub interval: String,
    /// How long a run may take, in Go's notation.
    pub timeout: String,
    /// Kept for clients of the HTTP API: always an empty object.
    pub definition: EmptyObject,
    /// The Raft index at which it was first registered.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}

impl Check {
    /// Whether both say the same, whenever they were written.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.output == other.output && self.same_but_output(other)
    }

    /// Whether both say the same apart from their output.
    #[must_use]
    pub fn same_but_output(&self, other: &Self) -> bool {
        self.id == other.id
            && self.node == other.node
            && self.name == other.name
            && self.status == other.status
            && self.notes == other.notes
            && self.service_id == other.service_id
            && self.service_name == other.service_name
            && self.service_tags == other.service_tags
            && self.kind == other.kind
            && self.interval == other.interval
            && self.timeout == other.timeout
    }
}

/// An object without fields; whatever is read into it is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyObject {}
