//! Names, identifiers and indexes as types of their own, so that none can be handed in for another.
//!
//! All names are cheap to clone (a shared string). Names compare exactly here; tables that the
//! reference treats without regard to case are keyed by [`fold`].

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether nothing was given; the HTTP API writes an absent name as `""`.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// The shared text, for tables that keep it as a key.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self(Arc::from(""))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

name_type!(
    /// A node's name, unique in its datacenter without regard to case.
    NodeName
);
name_type!(
    /// A node's identifier: a UUID in lower case, or empty for nodes registered without one.
    NodeId
);
name_type!(
    /// The name under which instances of a service are looked up.
    ServiceName
);
name_type!(
    /// The identifier of one service instance, unique on its node.
    ServiceId
);
name_type!(
    /// The identifier of a check, unique on its node.
    CheckId
);
name_type!(
    /// The identifier of a session: a UUID in lower case.
    SessionId
);
name_type!(
    /// The identifier of a prepared query: a UUID in lower case.
    PreparedQueryId
);
name_type!(
    /// A datacenter's name.
    Datacenter
);
name_type!(
    /// The full path of an entry in the key-value store.
    Key
);

/// The secret a request carries. Its text never appears in logs or errors.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The secret itself, for comparing it with the known ones.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Whether the request came without a token.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Token {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_anonymous() { "Token(anonymous)" } else { "Token(hidden)" })
    }
}

/// A position in the Raft log. The first entry has index 1; 0 means "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaftIndex(pub u64);

impl RaftIndex {
    /// Whether this names no position.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for RaftIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The form in which names that ignore case are compared and kept as keys.
#[must_use]
pub fn fold(name: &str) -> Arc<str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Arc::from(name.to_lowercase())
    } else {
        Arc::from(name)
    }
}
