//! Transactions: many operations that happen together or not at all.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::ids::{Key, NodeName, RaftIndex, SessionId};
use crate::kv::KvEntry;
use crate::node::Node;
use crate::service::Service;

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// On the key-value store.
    Kv(KvOperation),
    /// On a node of the catalog.
    Node(NodeOperation),
    /// On a service instance of the catalog.
    Service(ServiceOperation),
    /// On a check of the catalog.
    Check(CheckOperation),
}

impl Operation {
    /// Whether it may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Kv(operation) => operation.verb.is_write(),
            Self::Node(NodeOperation { verb, .. })
            | Self::Service(ServiceOperation { verb, .. })
            | Self::Check(CheckOperation { verb, .. }) => *verb != RowVerb::Get,
        }
    }
}

/// An operation on the key-value store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvOperation {
    /// What to do.
    pub verb: KvVerb,
    /// The entry's path, or what the paths start with.
    pub key: Key,
    /// The new content.
    pub value: Bytes,
    /// The new flags.
    pub flags: u64,
    /// The modify index that the entry must have, where the verb asks for one.
    pub index: RaftIndex,
    /// The session that locks, unlocks or is looked for.
    pub session: SessionId,
}

macro_rules! verbs {
    ($(#[$doc:meta])* $name:ident { $($(#[$verb_doc:meta])* $verb:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$verb_doc])* $verb,)*
            /// A word that is no verb; an operation with it is refused.
            Unknown(String),
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$verb,)*
                    _ => Self::Unknown(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(verb: $name) -> Self {
                match verb {
                    $($name::$verb => $word.to_owned(),)*
                    $name::Unknown(word) => word,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Unknown(String::new())
            }
        }
    };
}

verbs! {
    /// What to do with entries of the key-value store.
    KvVerb {
        /// Write an entry.
        Set = "set",
        /// Delete an entry.
        Delete = "delete",
        /// Delete an entry if its modify index is the given one.
        DeleteCas = "delete-cas",
        /// Delete all entries below a prefix.
        DeleteTree = "delete-tree",
        /// Write an entry if its modify index is the given one; 0: if it does not exist.
        Cas = "cas",
        /// Write an entry and lock it for a session.
        Lock = "lock",
        /// Write an entry and unlock it.
        Unlock = "unlock",
        /// Read an entry that must exist.
        Get = "get",
        /// Read an entry, or an empty one if it does not exist.
        GetOrEmpty = "get-or-empty",
        /// Read all entries below a prefix.
        GetTree = "get-tree",
        /// Make sure that a session holds an entry.
        CheckSession = "check-session",
        /// Make sure that an entry has the given modify index.
        CheckIndex = "check-index",
        /// Make sure that an entry does not exist.
        CheckNotExists = "check-not-exists",
    }
}

impl KvVerb {
    /// Whether it may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Set
                | Self::Delete
                | Self::DeleteCas
                | Self::DeleteTree
                | Self::Cas
                | Self::Lock
                | Self::Unlock
        )
    }
}

verbs! {
    /// What to do with a row of the catalog.
    RowVerb {
        /// Read one that must exist.
        Get = "get",
        /// Write it.
        Set = "set",
        /// Write it if its modify index is the given one; 0: if it does not exist.
        Cas = "cas",
        /// Delete it.
        Delete = "delete",
        /// Delete it if its modify index is the given one.
        DeleteCas = "delete-cas",
    }
}

/// An operation on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOperation {
    /// What to do.
    pub verb: RowVerb,
    /// The node; its modify index is the one to compare with.
    pub node: Node,
}

/// An operation on a service instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOperation {
    /// What to do.
    pub verb: RowVerb,
    /// The node it runs on.
    pub node: NodeName,
    /// The instance; its modify index is the one to compare with.
    pub service: Service,
}

/// An operation on a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOperation {
    /// What to do.
    pub verb: RowVerb,
    /// The check with its node; its modify index is the one to compare with.
    pub check: Check,
}

/// What a transaction came to: all of it, or nothing and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionReply {
    /// What its operations read and wrote, in order; empty if there are errors.
    pub rows: Vec<Row>,
    /// What was wrong, in the order of the operations. Nothing was changed if there is anything.
    pub errors: Vec<OperationError>,
}

/// Something that a transaction read or wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Row {
    /// An entry with its content.
    Entry(Arc<KvEntry>),
    /// An entry of which the content was not asked for.
    EntryWithoutValue(Arc<KvEntry>),
    /// A node.
    Node(Arc<Node>),
    /// A service instance.
    Service(Arc<Service>),
    /// A check.
    Check(Arc<Check>),
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OperationError {
    /// Which one, from 0.
    pub op_index: usize,
    /// Why.
    pub what: String,
}
