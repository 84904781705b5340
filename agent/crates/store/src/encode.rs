//! Snapshots as bytes.
//!
//! A version byte, then MessagePack with named fields: a later build may add fields, this one
//! ignores those it does not know.

use std::io::{self, Read, Write};
use std::sync::Arc;

use lictor_model::check::Check;
use lictor_model::coordinate::NodeCoordinate;
use lictor_model::ids::fold;
use lictor_model::kv::KvEntry;
use lictor_model::node::Node;
use lictor_model::operator::AutopilotConfig;
use lictor_model::prepared::PreparedQuery;
use lictor_model::service::Service;
use lictor_model::session::Session;
use lictor_model::{Key, RaftIndex};
use serde::{Deserialize, Serialize};

use crate::indexes::Indexes;
use crate::prepared::Prepared;
use crate::restore::Incoming;
use crate::snapshot::{Folded, PendingDelay, Snapshot};

/// The version of the encoding that this build writes and reads.
const VERSION: u8 = 1;

/// Why bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There are no bytes.
    #[error("the snapshot is empty")]
    Empty,
    /// Another build wrote it.
    #[error("the snapshot has version {found}; this build reads version {VERSION}")]
    Version {
        /// The version it has.
        found: u8,
    },
    /// What is written after it could not be newer than it.
    #[error("the snapshot's index {found} is too large")]
    Index {
        /// The index it has.
        found: u64,
    },
    /// Something follows that belongs to no state.
    #[error("the snapshot goes on after its end")]
    TooLong,
    /// The bytes are damaged.
    #[error("the snapshot cannot be read: {0}")]
    Damaged(#[from] rmp_serde::decode::Error),
}

/// What is written: the tables. What follows from them is computed again.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Tables {
    index: RaftIndex,
    ahead: u64,
    incoming: Option<Incoming>,
    restored: RaftIndex,
    nodes: Vec<Arc<Node>>,
    services: Vec<(Folded, Arc<Service>)>,
    checks: Vec<Arc<Check>>,
    kv: Vec<Arc<KvEntry>>,
    sessions: Vec<Arc<Session>>,
    lock_delays: Vec<(Key, PendingDelay)>,
    autopilot: Option<Arc<AutopilotConfig>>,
    coordinates: Vec<Arc<NodeCoordinate>>,
    prepared_queries: Vec<Arc<PreparedQuery>>,
    indexes: Indexes,
}

impl Snapshot {
    /// The whole state as bytes. Equal states give equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoded = self.encode_to(&mut bytes);
        debug_assert!(encoded.is_ok(), "plain data into memory always encodes: {encoded:?}");
        bytes
    }

    /// Writes the whole state, as [`Snapshot::encode`] gives it, without having it in memory twice.
    ///
    /// # Errors
    /// Those of whom it is written to.
    fn encode_to(&self, to: &mut impl Write) -> io::Result<()> {
        let tables = Tables {
            index: self.index,
            ahead: self.ahead,
            incoming: self.incoming.clone(),
            restored: self.restored,
            nodes: self.nodes.values().cloned().collect(),
            services: self
                .services
                .iter()
                .map(|((node, _), service)| (Arc::clone(node), Arc::clone(service)))
                .collect(),
            checks: self.checks.values().cloned().collect(),
            kv: self.kv.values().cloned().collect(),
            sessions: self.sessions.values().cloned().collect(),
            lock_delays: self.lock_delays.iter().map(|(key, delay)| (key.clone(), *delay)).collect(),
            autopilot: self.autopilot.clone(),
            coordinates: self.coordinates.values().cloned().collect(),
            prepared_queries: self.prepared.values().map(|prepared| Arc::clone(&prepared.query)).collect(),
            indexes: self.indexes.clone(),
        };
        to.write_all(&[VERSION])?;
        rmp_serde::encode::write_named(to, &tables).map_err(io::Error::other)
    }

    /// Writes the state for somebody to keep: without another one that is about to replace it.
    ///
    /// # Errors
    /// Those of whom it is written to.
    pub fn encode_saved(&self, to: &mut impl Write) -> io::Result<()> {
        Self { incoming: None, ..self.clone() }.encode_to(to)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (version, body) = bytes.split_first().ok_or(RestoreError::Empty)?;
        check_version(*version)?;
        Ok(rmp_serde::from_slice::<Tables>(body)?.into())
    }

    /// Reads a state that does not lie in one piece.
    pub(crate) fn read(mut from: impl Read) -> Result<Self, RestoreError> {
        let mut version = [0];
        from.read_exact(&mut version).map_err(|_| RestoreError::Empty)?;
        let [version] = version;
        check_version(version)?;
        let tables: Tables = rmp_serde::from_read(&mut from)?;
        match io::copy(&mut from, &mut io::sink()) {
            Ok(0) => Ok(tables.into()),
            _ => Err(RestoreError::TooLong),
        }
    }
}

fn check_version(found: u8) -> Result<(), RestoreError> {
    if found == VERSION { Ok(()) } else { Err(RestoreError::Version { found }) }
}

impl From<Tables> for Snapshot {
    fn from(tables: Tables) -> Self {
        let mut snapshot = Self {
            index: tables.index,
            ahead: tables.ahead,
            incoming: tables.incoming,
            restored: tables.restored,
            indexes: tables.indexes,
            ..Self::default()
        };
        for node in tables.nodes {
            snapshot.put_node(node);
        }
        for (node, service) in tables.services {
            snapshot.put_service(&node, service);
        }
        for check in tables.checks {
            snapshot.put_check(check);
        }
        for entry in tables.kv {
            snapshot.put_entry(entry);
        }
        for session in tables.sessions {
            snapshot.put_session(session);
        }
        for query in tables.prepared_queries {
            snapshot.put_prepared(Prepared::new(query));
        }
        snapshot.autopilot = tables.autopilot;
        snapshot.coordinates = tables
            .coordinates
            .into_iter()
            .map(|coordinate| (fold(coordinate.node.as_str()), coordinate))
            .collect();
        snapshot.lock_delays = tables.lock_delays.into_iter().collect();
        snapshot
    }
}
