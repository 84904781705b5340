//! Sessions: what holds locks in the key-value store, and how long it lives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::ids::{CheckId, NodeName, RaftIndex, SessionId};

/// The longest lock-delay that is observed, whatever a session asks for.
pub const MAX_LOCK_DELAY: Duration = Duration::from_secs(60);
/// How long keys are protected if a session does not say.
pub const DEFAULT_LOCK_DELAY: Duration = Duration::from_secs(15);
/// The longest time to live that a session may ask for.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// A client's promise to be there. It ends when its node or one of its checks fails or goes, when
/// it is not renewed in time, or when somebody ends it; its locks end with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Session {
    /// Identifier: a UUID.
    #[serde(rename = "ID")]
    pub id: SessionId,
    /// Name for people.
    pub name: String,
    /// The node it lives and dies with.
    pub node: NodeName,
    /// How long nobody may lock a key after the session lost it; in JSON nanoseconds.
    #[serde(with = "nanoseconds")]
    pub lock_delay: Duration,
    /// What becomes of the keys it holds.
    pub behavior: Behavior,
    /// How long it lives without being renewed, in Go's notation; empty or zero for ever.
    #[serde(rename = "TTL")]
    pub ttl: String,
    /// Checks of the node that it depends on.
    pub node_checks: Vec<CheckId>,
    /// Checks of services that it depends on.
    #[serde(with = "null_when_none")]
    pub service_checks: Vec<ServiceCheck>,
    /// Checks that it depends on, as older clients name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckId>,
    /// The Raft index at which it was created.
    pub create_index: RaftIndex,
    /// The Raft index of its last change.
    pub modify_index: RaftIndex,
}

impl Session {
    /// All checks that it depends on, those named in the older way first.
    pub fn check_ids(&self) -> impl Iterator<Item = &CheckId> {
        let of_services = self.service_checks.iter().map(|check| &check.id);
        self.checks.iter().chain(&self.node_checks).chain(of_services)
    }

    /// How long it lives without being renewed; none for ever.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        duration::parse(&self.ttl).ok().filter(|ttl| !ttl.is_zero())
    }
}

/// A check of a service, as sessions name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceCheck {
    /// The check's id.
    #[serde(rename = "ID")]
    pub id: CheckId,
}

/// What becomes of the keys that a session holds when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Behavior {
    /// They are released and stay.
    #[default]
    Release,
    /// They are deleted.
    Delete,
    /// A word that is no behaviour; no session is created with it.
    Unknown(String),
}

impl From<String> for Behavior {
    fn from(word: String) -> Self {
        match word.as_str() {
            "" | "release" => Self::Release,
            "delete" => Self::Delete,
            _ => Self::Unknown(word),
        }
    }
}

impl From<Behavior> for String {
    fn from(behavior: Behavior) -> Self {
        match behavior {
            Behavior::Release => "release".to_owned(),
            Behavior::Delete => "delete".to_owned(),
            Behavior::Unknown(word) => word,
        }
    }
}

mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

/// Lists that the HTTP API writes as `null` when they are empty.
mod null_when_none {
    use serde::{Deserializer, Serialize, Serializer};

    use super::ServiceCheck;

    pub(super) fn serialize<S: Serializer>(list: &[ServiceCheck], serializer: S) -> Result<S::Ok, S::Error> {
        if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ServiceCheck>, D::Error> {
        crate::service::list_or_null(deserializer)
    }
}
